"""Boxes of a scene on the ground: corners in its CRS and in degrees, lengths and areas in m."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS, Geod

from swath.boxes import Boxes, Floats
from swath.errors import ImageryError
from swath.imagery.georeference import Georeference, within_a_turn
from swath.imagery.scene import Scene

DEGREES = "EPSG:4326"


@dataclass(frozen=True, eq=False)
class GroundBoxes:
    """Where n boxes lie.

    Args:
        corners: (n, 4, 2) in the scene's CRS, east or longitude first.
        lonlat: (n, 4, 2) degrees; longitudes run on across the 180th meridian.
        length_m: (n,) mean of the two longer sides, along the ellipsoid.
        width_m: (n,) mean of the two shorter sides.
        area_m2: (n,) on the ellipsoid.
        azimuth_deg: (n,) direction of the longer side, clockwise from north, 0 to 180.
    """

    corners: Floats
    lonlat: Floats
    length_m: Floats
    width_m: Floats
    area_m2: Floats
    azimuth_deg: Floats

    @property
    def middles(self) -> Floats:
        """(n, 2) longitude and latitude of the middles, -180 to 180."""
        middles: Floats = self.lonlat.mean(axis=1)
        middles[:, 0] = (middles[:, 0] + 180) % 360 - 180
        return middles


def on_ground(scene: Scene, boxes: Boxes) -> GroundBoxes | None:
    """Where boxes in a scene's pixels lie; None where the scene does not say where it lies.

    Of a box that reaches beyond the planet only the corners in the CRS are finite.

    Raises:
        ImageryError: the CRS cannot be used.
    """
    place = scene.georeference
    if place is None or place.crs is None:
        return None
    points = boxes.quads.reshape(-1, 2)
    lonlat = place.to_lonlat(points).reshape(-1, 4, 2)
    lonlat[~np.isfinite(lonlat).all(axis=(1, 2))] = np.nan
    lonlat[..., 0] = np.unwrap(lonlat[..., 0], axis=1, period=360)
    lonlat[..., 1] = np.clip(lonlat[..., 1], -90, 90)
    geod = geod_of(place)
    starts, ends = lonlat, np.roll(lonlat, -1, axis=1)
    azimuths, _, sides = geod.inv(*np.moveaxis(starts, -1, 0), *np.moveaxis(ends, -1, 0))
    pairs = (sides[:, :2] + sides[:, 2:]) / 2  # (n, 2): opposite sides
    longer = pairs.argmax(axis=1)[:, None]
    azimuth = np.take_along_axis(azimuths, longer, axis=1)[:, 0]
    return GroundBoxes(
        corners=place.to_ground(points).reshape(-1, 4, 2),
        lonlat=lonlat,
        length_m=pairs.max(axis=1, initial=0),
        width_m=pairs.min(axis=1, initial=np.inf),
        area_m2=geodesic_areas(geod, lonlat),
        azimuth_deg=azimuth % 180,
    )


def plain(value: float) -> str:
    """A number for a reader: "0.3", "12,300"; three digits, no exponent, thousandths at most."""
    digits = float(f"{round(value, 3):.3g}")
    return f"{digits:,.3f}".rstrip("0").rstrip(".")


def geod_of(place: Georeference) -> Geod:
    """The ellipsoid that a scene's CRS stands on.

    Raises:
        ImageryError: it stands on none.
    """
    geod = CRS(place.crs).get_geod()
    if geod is None:
        raise ImageryError(f"{place.name}: its CRS stands on no planet, so nothing is measured.")
    return geod


def geodesic_areas(geod: Geod, lonlat: Floats) -> Floats:
    """(n,) square metres of (n, corners, 2) polygons of longitude and latitude."""
    areas = [geod.polygon_area_perimeter(*corners.T)[0] for corners in lonlat]
    return np.abs(np.array(areas, dtype=np.float64))


def world_shapes(lonlat: Floats) -> list[shapely.Geometry | None]:
    """Polygons of (n, corners, 2) degrees as RFC 7946 has them.

    Rings run counter-clockwise, and what crosses the 180th meridian is cut in two there. What
    reaches beyond the planet has none.
    """
    shapes: list[shapely.Geometry | None] = []
    for corners in lonlat:
        if not np.isfinite(corners).all():
            shapes.append(None)
            continue
        shape = within_a_turn(shapely.Polygon(corners))
        shapes.append(shapely.orient_polygons(shape))
    return shapes
