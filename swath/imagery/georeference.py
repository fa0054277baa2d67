"""`Georeference`: where on a planet the pixels of a scene lie, and which pixel shows a place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from swath.boxes import Floats, Size
from swath.errors import ImageryError

if TYPE_CHECKING:
    from affine import Affine

Points = NDArray[np.float64]  # (n, 2) x, y; of the ground east or longitude first

_EARTH_RADII_M = 6_300_000, 6_400_000
_EDGE = 32  # points taken along the longer side of a footprint
_GRID = 65  # and along each side of a scene whose border lies off the planet


@dataclass(frozen=True, eq=False)
class Georeference:
    """The way from pixels to the ground and back.

    Pixels count from the upper left corner of the upper left pixel, whose centre is (0.5, 0.5).

    Args:
        name: the file, for errors.
        size_wh: width and height of the scene in pixels.
        crs: coordinate reference system as authority code or WKT; None: the units are unknown.
        transform: pixels to CRS units; None where points or polynomials take its place.
        gcps: ground control points, rasterio's; all are met exactly by a thin plate spline.
        rpcs: rational polynomial coefficients, rasterio's, taken at their mean height.
        origin_xy: its upper left corner, as points and polynomials count pixels.
    """

    name: str
    size_wh: Size
    crs: str | None = None
    transform: Affine | None = None
    gcps: tuple[Any, ...] = ()
    rpcs: Any = None
    origin_xy: tuple[int, int] = (0, 0)

    def part(self, origin_xy: tuple[int, int], size_wh: Size) -> Georeference:
        """Where a window of the scene lies, its upper left corner being `origin_xy`."""
        x, y = origin_xy
        if self.transform is None:
            x, y = x + self.origin_xy[0], y + self.origin_xy[1]
            return replace(self, size_wh=size_wh, origin_xy=(x, y))
        moved = self.transform * self.transform.translation(x, y)
        return replace(self, size_wh=size_wh, transform=moved)

    def to_ground(self, points_px: ArrayLike) -> Points:
        """(n, 2) CRS coordinates of (n, 2) pixels."""
        x, y = _columns(points_px)
        if self.transform is not None:
            a, b, c, d, e, f = self.transform[:6]
            return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)
        x, y = x + self.origin_xy[0], y + self.origin_xy[1]
        return np.stack(self._fitted.xy(y, x, offset="ul"), axis=1)

    def to_pixels(self, points: ArrayLike) -> Points:
        """(n, 2) pixels of (n, 2) CRS coordinates; the inverse of `to_ground`."""
        x, y = _columns(points)
        if self.transform is not None:
            a, b, c, d, e, f = (~self.transform)[:6]
            return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)
        rows, columns = self._fitted.rowcol(x, y, op=float)
        return np.stack([columns, rows], axis=1) - self.origin_xy

    def to_lonlat(self, points_px: ArrayLike) -> Points:
        """(n, 2) degrees of longitude and latitude of (n, 2) pixels; infinite off the planet.

        Raises:
            ImageryError: the scene says no CRS.
        """
        x, y = self.to_ground(points_px).T
        return np.stack(self._projection(x, y), axis=1)

    def from_lonlat(self, lonlat: ArrayLike) -> Points:
        """(n, 2) pixels of (n, 2) longitudes and latitudes; the inverse of `to_lonlat`.

        Raises:
            ImageryError: the scene says no CRS.
        """
        x, y = self._projection(*_columns(lonlat), direction="INVERSE")
        return self.to_pixels(np.stack([x, y], axis=1))

    @cached_property
    def on_earth(self) -> bool:
        """Whether longitudes and latitudes are the Earth's; the Moon and Mars have theirs."""
        low, high = _EARTH_RADII_M
        return self.crs is not None and self._geod is not None and low < self._geod.a < high

    @cached_property
    def gsd_m(self) -> float | None:
        """Metres of ground a pixel measures at the scene's centre, None without a CRS of a planet.

        Measured along the ellipsoid, whatever the units of the CRS and however it stretches;
        of oblong pixels the root of the area.
        """
        if self.crs is None or self._geod is None:
            return None
        x, y = np.asarray(self.size_wh) / 2
        ends = self.to_lonlat([(x - 0.5, y), (x, y - 0.5), (x + 0.5, y), (x, y + 0.5)])
        if not np.isfinite(ends).all():
            return None
        _, _, sides = self._geod.inv(*ends[:2].T, *ends[2:].T)
        return math.sqrt(sides[0] * sides[1]) or None  # at a pole a row of pixels has no width

    @cached_property
    def footprint(self) -> Any:
        """The ground a scene shows: a shapely polygon of longitude and latitude, None without CRS.

        Across the date line it is cut in two (RFC 7946, 3.1.9); a pole inside it is part of it.
        """
        if self.crs is None or self._geod is None:
            return None
        width, height = self.size_wh
        border = shapely.segmentize(shapely.box(0, 0, width, height), max(width, height) / _EDGE)
        ring = self.to_lonlat(shapely.get_coordinates(border))
        middle = self.to_lonlat([(width / 2, height / 2)])[0]
        if not np.isfinite(ring).all():  # a full disc: the planet ends before the picture does
            steps = np.linspace(0, 1, _GRID)
            grid = np.stack(np.meshgrid(steps * width, steps * height), axis=-1).reshape(-1, 2)
            lonlat = self.to_lonlat(grid)
            lonlat = lonlat[np.isfinite(lonlat).all(axis=1)]
            if not len(lonlat) or not np.isfinite(middle).all():
                return None
            lonlat[:, 0] = middle[0] + (lonlat[:, 0] - middle[0] + 180) % 360 - 180
            return within_a_turn(shapely.convex_hull(shapely.MultiPoint(lonlat)))
        ring[:, 0] = np.unwrap(ring[:, 0], period=360)
        if abs(ring[-1, 0] - ring[0, 0]) > 180:  # once around: a pole lies inside
            pole = math.copysign(90, middle[1])
            ring = np.concatenate([ring, [(ring[-1, 0], pole), (ring[0, 0], pole)]])
        return within_a_turn(shapely.Polygon(ring))

    @cached_property
    def _fitted(self) -> Any:
        from rasterio.transform import GCPTransformer, RPCTransformer

        if self.gcps:
            return GCPTransformer(self.gcps, tps=True)
        return RPCTransformer(
            self.rpcs, RPC_HEIGHT=self.rpcs.height_off, RPC_PIXEL_ERROR_THRESHOLD=0.001
        )

    @cached_property
    def _crs(self) -> Any:
        from pyproj import CRS
        from pyproj.exceptions import CRSError

        if self.crs is None:
            raise ImageryError(
                f"{self.name}: says no CRS, so its place on Earth is unknown; give it one with "
                f"`rio edit-info --crs EPSG:CODE FILE`."
            )
        try:
            return CRS.from_user_input(self.crs)
        except CRSError as error:
            raise ImageryError(f"{self.name}: its CRS cannot be used ({error}).") from None

    @cached_property
    def _projection(self) -> Callable[..., Any]:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        if self._geod is None:
            raise ImageryError(
                f"{self.name}: its CRS is a grid of its own on no planet, so its place on Earth is "
                f"unknown; give it another with `rio edit-info --crs EPSG:CODE FILE`."
            )
        # Of another planet: its own degrees.
        degrees = "EPSG:4326" if self.on_earth else self._crs.geodetic_crs
        try:
            return Transformer.from_crs(self._crs, degrees, always_xy=True).transform
        except ProjError as error:
            raise ImageryError(f"{self.name}: its CRS cannot be used ({error}).") from None

    @cached_property
    def _geod(self) -> Any:
        try:
            return self._crs.get_geod()
        except ZeroDivisionError:
            raise ImageryError(f"{self.name}: its CRS is of a planet without a size.") from None


def _columns(points: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    return x, y


def within_a_turn(shape: Any) -> Any:
    """A shape whose longitudes run on, cut at the date line and brought into -180 to 180."""
    shape = shapely.make_valid(shape)
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in range(math.floor((west + 180) / 360), math.floor((east + 180) / 360) + 1):
        world = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        pieces = shapely.get_parts(shapely.intersection(shape, world))
        parts += list(shapely.transform(pieces[shapely.area(pieces) > 0], _turned_back(turn)))
    return shapely.MultiPolygon(parts)


def _turned_back(turns: int) -> Callable[[Points], Points]:
    return lambda at: at - (360 * turns, 0)
