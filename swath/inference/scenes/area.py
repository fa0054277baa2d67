"""The area within which a scene is asked about: polygons of a file, in the scene's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pyogrio._ogr
import pyogrio.raw
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from swath.annotations.formats.vectors import SUFFIXES, placed_in
from swath.errors import AnnotationError, ImageryError, RequestError
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.scene import Scene
from swath.vector_files import refuse_harmful


def area_in(scene: Scene, aoi: str) -> shapely.Geometry:
    """The polygons of a file in a scene's pixels, cut at its border; empty where it lies elsewhere.

    Args:
        scene: which has to say where it lies.
        aoi: GeoJSON, GeoPackage or Shapefile, in any CRS.

    Raises:
        ImageryError: the scene does not say where it lies.
        RequestError: the file is of another kind, or not there.
        AnnotationError: it holds no polygons, or does not say where they lie.
    """
    if scene.crs is None:
        raise ImageryError(
            f"{scene.path}: says no CRS, so that {aoi} cannot be laid over it; leave --aoi out."
        )
    file = Path(aoi)
    shapes, crs = _polygons(file)
    placed = placed_in(np.array(shapes, dtype=object), crs, scene, file)
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        raise AnnotationError(
            f"{file}: a polygon reaches farther than the projection of {scene.path} does; leave "
            f"in it what lies near the scenes."
        )
    area = shapely.union_all(shapely.make_valid(placed))
    return area.intersection(shapely.box(0, 0, *scene.size_wh))


def _polygons(file: Path) -> tuple[list[shapely.Geometry], str]:
    """The polygons of all layers of a file, and their CRS."""
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        raise RequestError(
            f"{file}: --aoi names a file of polygons ({', '.join(SUFFIXES)}) that is there."
        )
    keep_safe_drivers(pyogrio._ogr)
    refuse_harmful(file)
    shapes: list[shapely.Geometry] = []
    known = set()
    try:
        for layer, kind in pyogrio.list_layers(file):
            if kind is None:
                continue
            about, _, geometry, _ = pyogrio.raw.read(file, layer=layer, columns=[])
            known.add(about["crs"])
            parts = shapely.get_parts(shapely.from_wkb(geometry, on_invalid="ignore"))
            shapes += list(parts[shapely.get_dimensions(parts) == 2])
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise AnnotationError(f"{file}: cannot be read ({error}); write it anew.") from None
    if not shapes:
        raise AnnotationError(f"{file}: holds no polygons; draw the area as one.")
    if len(known) != 1 or None in known:
        raise AnnotationError(f"{file}: says no CRS, or several; write it with its own.")
    return shapes, str(known.pop())
