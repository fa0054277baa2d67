"""A drawn place: water and land with ships and tanks, any window of which can be drawn alone.

It is the ground truth of scans: every object's oriented box is known, and half of the objects can
be put where tiles end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from swath.boxes import Boxes, Flags, Floats, Size
from swath.imagery.drawing.objects import parts_of
from swath.imagery.drawing.palette import PAINTS
from swath.imagery.rendering import Pixels
from swath.imagery.terrain.noise import random_at, smooth_at
from swath.imagery.tiling import Tile

CLASSES = ("ship", "storage tank")
"""Of the objects: the first lies on water, the second on land."""

LENGTHS_PX = {"ship": (34.0, 46.0), "storage tank": (22.0, 32.0)}
"""Shortest and longest of each class."""

APART_PX = 56.0
"""Least distance of the middles of two objects."""

_PAINTS = {"ship": ("white", "red", "yellow", "orange"), "storage tank": ("white", "gray", "blue")}
_SHIP_WIDTH = 0.36  # in its lengths
_WATER = np.array([38.0, 74.0, 104.0])
_SHOAL = np.array([70.0, 110.0, 120.0])
_SOIL = np.array([128.0, 112.0, 84.0])
_GRASS = np.array([86.0, 112.0, 62.0])


@dataclass(frozen=True, eq=False)
class Place:
    """What lies where.

    Args:
        size_wh: of the whole, in pixels.
        seed: of ground and objects.
        boxes: of the objects, pixels of the whole, from the top; all middles lie inside.
        names: class of each.
        paints: colour of each.
    """

    size_wh: Size
    seed: int
    boxes: Boxes
    names: tuple[str, ...]
    paints: tuple[str, ...]

    def pixels(self, window: Tile) -> Pixels:
        """(height, width, 3) of a window; neighbouring windows fit together."""
        x, y = _places(window)
        picture = Image.fromarray(_ground(x, y, self.seed))
        objects = self._objects(window)
        picture.paste(objects, mask=objects)
        grain = 6 * random_at(x, y, self.seed)
        noisy = np.asarray(picture) + grain[..., None]
        return np.clip(noisy, 1, 255).astype(np.uint8)  # 0 is left to nodata

    def _objects(self, window: Tile) -> Image.Image:
        """The objects of a window on nothing, drawn at twice the size."""
        width, height = window.size_wh
        sheet = Image.new("RGBA", (2 * width, 2 * height))
        pen = ImageDraw.Draw(sheet)
        for row in self._within(window):
            for points, rgb in parts_of(self.names[row], PAINTS[self.paints[row]]):
                corners = _laid(points, self.boxes.quads[row])
                corners = 2 * (corners - window.origin_xy)
                pen.polygon(corners.ravel().tolist(), fill=rgb)
        return sheet.reduce(2)

    def _within(self, window: Tile) -> NDArray[np.intp]:
        low = np.asarray(window.origin_xy)
        high = low + window.size_wh
        lows, highs = np.split(self.boxes.hbb, 2, axis=1)
        begun = (lows < high).all(axis=1)
        not_ended = (highs > low).all(axis=1)
        return np.flatnonzero(begun & not_ended)


def lay_out(
    size_wh: Size,
    seed: int,
    share: float = 0.35,
    borders_xy: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Place:
    """A place of that seed: ships on its water, tanks on its land, none touching another.

    Args:
        size_wh: of the whole, in pixels.
        share: of the room for objects that is used.
        borders_xy: columns and rows where tiles end; half of the objects then lie across them.
    """
    rng = np.random.default_rng((seed, *size_wh))
    middles = _middles(rng, size_wh, share, borders_xy)
    x, y = middles.T
    names = np.where(_height(x, y, seed) < 0, *CLASSES)
    rows = np.zeros((len(names), 5))
    paints = []
    for row, middle, name in zip(rows, middles, names, strict=True):
        length = rng.uniform(*LENGTHS_PX[name])
        if name == "ship":
            row[:] = (*middle, length, length * _SHIP_WIDTH, rng.uniform(0, 180))
        else:
            row[:] = (*middle, length, length, 0)
        paints.append(str(rng.choice(_PAINTS[name])))
    return Place(
        size_wh=size_wh,
        seed=seed,
        boxes=Boxes.from_rotated(rows),
        names=tuple(names.tolist()),
        paints=tuple(paints),
    )


def _middles(
    rng: np.random.Generator,
    size_wh: Size,
    share: float,
    borders_xy: tuple[Sequence[int], Sequence[int]],
) -> Floats:
    """(n, 2) middles of the objects, from the top and then from the left."""
    width, height = size_wh
    tries = max(1, int(4 * width * height / APART_PX**2))
    points = rng.uniform(0, size_wh, (tries, 2))
    across = np.zeros(tries, dtype=bool)
    for axis, lines in enumerate(borders_xy):
        if len(lines):
            moved = np.arange(tries) % 4 == axis
            beside = rng.uniform(-8, 8, moved.sum())
            points[moved, axis] = rng.choice(lines, moved.sum()) + beside
            across |= moved
    inside = (points >= 2) & (points <= np.subtract(size_wh, 2))
    free = _apart(points) & inside.all(axis=1)
    chosen = free & (rng.random(tries) < share)
    if across.any():
        elsewhere = np.flatnonzero(chosen & ~across)
        surplus = elsewhere[(chosen & across).sum() :]
        chosen[surplus] = False
    points = points[chosen]
    return points[np.lexsort(points.T)]


def _apart(points: Floats) -> Flags:
    """Which points are kept so that no two are too near, the first ones first."""
    free = np.ones(len(points), dtype=bool)
    pairs = cKDTree(points).query_pairs(APART_PX, output_type="ndarray")
    for first, second in sorted(pairs.tolist()):
        if free[first]:
            free[second] = False
    return free


def _laid(points: Floats, quad: Floats) -> Floats:
    """Points of an object's own frame, in its lengths, as they lie in its box."""
    forward = quad[1] - quad[0]
    sideways = quad[3] - quad[0]
    sideways = sideways * np.linalg.norm(forward) / np.linalg.norm(sideways)
    laid: Floats = quad.mean(axis=0) + points @ np.stack([forward, sideways])
    return laid


def _ground(x: Floats, y: Floats, seed: int) -> Pixels:
    """(height, width, 3) of the ground alone."""
    height = _height(x, y, seed)
    dryness = np.clip(12 * height + 0.5, 0, 1)
    shallowness = np.clip(1 + 5 * height, 0, 1)
    greenness = np.clip(2 * smooth_at(x, y, 90, seed + 3) + 0.5, 0, 1)
    land = _blend(_SOIL, _GRASS, greenness)
    water = _blend(_WATER, _SHOAL, shallowness)
    texture = 9 * smooth_at(x, y, 7, seed + 4)
    ground = _blend(water, land, dryness) + texture[..., None]
    return np.clip(ground, 0, 255).astype(np.uint8)


def _blend(colour: Floats, other: Floats, share: Floats) -> Floats:
    blended: Floats = colour + share[..., None] * (other - colour)
    return blended


def _height(x: Floats, y: Floats, seed: int) -> Floats:
    """Of the ground, about -1 to 1; what is below 0 is water."""
    coarse = smooth_at(x, y, 260, seed + 1)
    return coarse + 0.3 * smooth_at(x, y, 60, seed + 2)


def _places(window: Tile) -> tuple[Floats, Floats]:
    """x and y of the window's pixel centres in the whole, (1, width) and (height, 1)."""
    left, top = window.origin_xy
    width, height = window.size_wh
    x = np.arange(left, left + width, dtype=np.float64)
    y = np.arange(top, top + height, dtype=np.float64)
    return x[None] + 0.5, y[:, None] + 0.5
