"""The one box type: four corners in pixels, from which every other form is a view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from swath.errors import ShapeError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Size = tuple[int, int]  # width and height in pixels

_NEXT = [1, 2, 3, 0]  # the corner after each


@dataclass(frozen=True, eq=False, slots=True)
class Boxes:
    """n boxes as corner points.

    Args:
        quads: (n, 4, 2) x and y of the corners in order around the box, in pixels of one image:
            x to the right, y down, (0, 0) the upper left corner of the upper left pixel.

    Raises:
        ShapeError: `quads` has another shape or holds a value that is not finite.
    """

    quads: Floats

    def __post_init__(self) -> None:
        quads = np.asarray(self.quads, dtype=np.float64)
        if quads.size == 0:
            quads = quads.reshape(0, 4, 2)
        if quads.ndim != 3 or quads.shape[1:] != (4, 2):
            raise ShapeError(f"boxes need shape (n, 4, 2), got {quads.shape}.")
        if not np.isfinite(quads).all():
            raise ShapeError("boxes hold a coordinate that is not finite.")
        object.__setattr__(self, "quads", quads)

    @classmethod
    def empty(cls) -> Boxes:
        """No box."""
        return _NONE

    @classmethod
    def from_rows(cls, rows: ArrayLike) -> Boxes:
        """Boxes from rows of eight numbers: x and y of the four corners in order, pixels."""
        return cls(np.asarray(rows, dtype=np.float64).reshape(-1, 4, 2))

    def to_rows(self, decimals: int | None = 3) -> list[list[float]]:
        """Rows of eight numbers, as files hold boxes; unrounded where `decimals` is None."""
        numbers = self.quads.reshape(-1, 8)
        if decimals is not None:
            numbers = numbers.round(decimals)
        rows: list[list[float]] = numbers.tolist()
        return rows

    @classmethod
    def from_hbb(cls, corners: ArrayLike) -> Boxes:
        """Horizontal boxes from (n, 4) rows x1, y1, x2, y2; swapped corners are put in order."""
        pairs = np.asarray(corners, dtype=np.float64).reshape(-1, 2, 2)  # (n, corners, xy)
        x1, y1 = pairs.min(axis=1).T
        x2, y2 = pairs.max(axis=1).T
        return cls(np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1).reshape(-1, 4, 2))

    @classmethod
    def from_rotated(cls, rows: ArrayLike) -> Boxes:
        """Oriented boxes from (n, 5) rows: centre x, centre y, width, height, angle.

        The angle is in degrees and turns the upright box clockwise on screen (y down) about its
        centre, as in GeoChat's box text.
        """
        values = np.asarray(rows, dtype=np.float64).reshape(-1, 5)
        centre, half, angle = values[:, :2], values[:, 2:4] / 2, np.deg2rad(values[:, 4])
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)
        local = signs[None] * half[:, None]  # (n, 4, 2)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        x = local[..., 0] * cos - local[..., 1] * sin
        y = local[..., 0] * sin + local[..., 1] * cos
        return cls(np.stack([x, y], axis=-1) + centre[:, None])

    def __len__(self) -> int:
        return len(self.quads)

    def __getitem__(
        self, rows: int | slice | Sequence[int] | NDArray[np.bool_ | np.integer]
    ) -> Boxes:
        if isinstance(rows, Integral):
            return self._of_sound(self.quads[int(rows)][None])
        return self._of_sound(self.quads[rows])

    def rounded(self, decimals: int = 3) -> Boxes:
        """Boxes as files hold them."""
        return self._of_sound(self.quads.round(decimals))

    @classmethod
    def _of_sound(cls, quads: NDArray[np.float64]) -> Boxes:
        """Boxes of corners that were checked already: large sets take millions of boxes."""
        boxes = cls.__new__(cls)
        object.__setattr__(boxes, "quads", quads)
        return boxes

    @property
    def hbb(self) -> Floats:
        """(n, 4) x1, y1, x2, y2 of the smallest horizontal boxes around the corners, pixels."""
        return np.concatenate([self.quads.min(axis=1), self.quads.max(axis=1)], axis=1)

    @property
    def areas(self) -> Floats:
        """(n,) areas in square pixels."""
        x, y = self.quads[..., 0], self.quads[..., 1]
        cross = x * y[:, _NEXT] - x[:, _NEXT] * y
        areas: Floats = np.abs(cross.sum(axis=1)) / 2
        return areas

    @property
    def rotated(self) -> Floats:
        """(n, 5) centre x, centre y, width, height in pixels, angle in (0, 90] degrees.

        Exact for rectangles; another quadrilateral gives the smallest rectangle around it, and
        corners in one line give a rectangle without height along that line.
        The angle turns clockwise on screen, the convention of `from_rotated`.
        """
        rows = np.zeros((len(self), 5))
        for row, quad in zip(rows, self.quads, strict=True):
            edge_a, edge_b = quad[1] - quad[0], quad[2] - quad[1]
            if not (
                np.allclose(quad[0] + quad[2], quad[1] + quad[3], atol=1e-6)
                and abs(edge_a @ edge_b) <= 1e-6 * max(1.0, abs(edge_a).max() ** 2)
            ):
                quad = rectangle_around(quad)
                edge_a, edge_b = quad[1] - quad[0], quad[2] - quad[1]
            width, height = np.hypot(*edge_a), np.hypot(*edge_b)
            if width < height:  # the longer edge has the surer direction; one may be a point
                edge_a, width, height = edge_b, height, width
            angle = np.rad2deg(np.arctan2(edge_a[1], edge_a[0])) % 180
            if angle > 90 + 1e-9:
                angle, width, height = angle - 90, height, width
            elif angle < 1e-9:
                angle, width, height = 90.0, height, width
            row[:] = (*((quad.min(axis=0) + quad.max(axis=0)) / 2), width, height, angle)
        return rows

    def transformed(self, matrix: ArrayLike) -> Boxes:
        """Every corner moved by a (2, 3) affine matrix, pixels to pixels."""
        affine = np.asarray(matrix, dtype=np.float64)
        return Boxes(self.quads @ affine[:, :2].T + affine[:, 2])

    def shifted(self, by_xy: tuple[float, float]) -> Boxes:
        """Boxes moved by (x, y) pixels."""
        return Boxes(self.quads + np.asarray(by_xy, dtype=np.float64))

    def scaled(self, by_xy: tuple[float, float]) -> Boxes:
        """Boxes in the pixels of an image resized by (x factor, y factor)."""
        return Boxes(self.quads * np.asarray(by_xy, dtype=np.float64))


_NONE = Boxes(np.zeros((0, 4, 2)))


def rectangle_around(points: Floats) -> Floats:
    """(4, 2) corners of the smallest rectangle around (n, 2) points; flat if they lie in a line."""
    around = shapely.oriented_envelope(shapely.MultiPoint(points))
    corners: Floats = shapely.get_coordinates(around)
    if isinstance(around, shapely.Polygon):
        return corners[:4]
    return corners[[0, -1, -1, 0]]  # a line, or one point


def iou(a: Boxes, b: Boxes) -> Floats:
    """Row-wise intersection over union of oriented boxes, continuous area, (n,) in 0 to 1.

    A pair whose union has no area, or a quadrilateral that crosses itself, scores 0.

    Raises:
        ShapeError: the two differ in length.
    """
    if len(a) != len(b):
        raise ShapeError(f"IoU pairs boxes row by row, got {len(a)} and {len(b)} boxes.")
    first, second = shapely.polygons(a.quads), shapely.polygons(b.quads)
    sound = shapely.is_valid(first) & shapely.is_valid(second)
    shared = np.zeros(len(a))
    shared[sound] = shapely.area(shapely.intersection(first[sound], second[sound]))
    # Of corners 1e-14 apart GEOS now and then finds no intersection; snapped to a grid it does.
    lost = sound & (shared == 0) & shapely.intersects(first, second)
    shared[lost] = shapely.area(shapely.intersection(first[lost], second[lost], grid_size=1e-9))
    union = shapely.area(first) + shapely.area(second) - shared
    return _share(shared, union, (union > 0) & sound)


def iou_hbb(a: Boxes, b: Boxes) -> Floats:
    """Row-wise intersection over union of the horizontal boxes, continuous area, (n,) in 0 to 1.

    Raises:
        ShapeError: the two differ in length.
    """
    if len(a) != len(b):
        raise ShapeError(f"IoU pairs boxes row by row, got {len(a)} and {len(b)} boxes.")
    low = np.maximum(a.hbb, b.hbb)[:, :2]
    high = np.minimum(a.hbb, b.hbb)[:, 2:]
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (a.hbb, b.hbb)]
    union = areas[0] + areas[1] - shared
    return _share(shared, union, union > 0)


def _share(part: Floats, whole: Floats, where: Flags) -> Floats:
    """(n,) part over whole, 0 elsewhere."""
    share: Floats = np.divide(part, whole, out=np.zeros(len(part)), where=where)
    return share
