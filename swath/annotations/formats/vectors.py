"""Features on the ground (GeoJSON, GeoPackage, Shapefile) over rasters in any CRS."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from swath.annotations.finding_pictures import (
    PictureFinder,
    absolute,
    few,
    is_clip,
    official_splits,
)
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note, using
from swath.annotations.parsing import OBJECT, image_of, objects
from swath.boxes import rectangle_around
from swath.errors import AnnotationError, ImageryError
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene

SUFFIXES = (".geojson", ".gpkg", ".shp")
"""File name endings of features."""

_CLASS = ("class", "class_name", "label", "category")
_OTHERS = ("type", "kind", "name")  # which may mean other things
_PHRASE = ("phrase", "description")
# How a string may begin that makes a CRS an address: "link" or "url", or a letter in other words.
_ADDRESS = re.compile(rb"""["'](?:link|url)|\\u00[4-7]""", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Whether a file holds features, or a folder does beside pictures."""
    return bool(_files(path))


def read(path: Path) -> list[AnnotatedImage]:
    """One image a raster in which features lie, a box a polygon: the smallest rectangle around it.

    Features are brought into the raster's CRS and then to its pixels; those of a file whose name
    is a raster's belong to that raster, others to each raster their middle lies in. The class is
    in the first of the fields class, class_name, label and category that says anything, else a
    field of yes alone is it (OpenStreetMap's `building`), else it is in type, kind or name where
    each feature has one, else it is the layer's name where there are several. Parts of a
    multipolygon are objects of their own; points and lines have no box.

    Raises:
        AnnotationError: a file is damaged, of no known CRS, or lies in no raster.
    """
    files = _files(path)
    root = absolute(path if path.is_dir() else path.parent)
    finder, listed = PictureFinder(root, files[0]), official_splits(root)
    scenes = {
        one: scene for one in finder.pictures if not is_clip(one) and (scene := _located(one))
    }
    if not scenes:
        raise AnnotationError(
            f"{files[0]}: has no raster with a CRS in {root}; put the raster it was drawn on there."
        )
    found: dict[Path, list[tuple[NDArray[np.float64], str, str | None]]] = {}
    for file in files:
        using(file)
        own = [one for one in scenes if one.stem == file.stem] or [*scenes]
        shapes, names, phrases, crs = _features(file)
        taken = np.zeros(len(shapes), dtype=bool)
        for one in own:
            try:
                placed = _placed(shapes, crs, scenes[one], file)
            except AnnotationError:
                if len(own) == 1:
                    raise
                continue
            centres = shapely.centroid(placed)
            middles = np.stack([shapely.get_x(centres), shapely.get_y(centres)], axis=1)
            inside = ((middles >= 0) & (middles < scenes[one].size_wh)).all(axis=1)
            taken |= inside
            held = found.setdefault(one, []) if inside.any() or len(own) == 1 else []
            for row in np.flatnonzero(inside):
                corners = rectangle_around(shapely.get_coordinates(placed[row]))
                held.append((corners, names[row], phrases[row]))
        if not taken.any():
            raise AnnotationError(
                f"{file}: none of {len(shapes)} features lies in "
                f"{few([one.name for one in own])}; is its CRS ({crs}) the true one?"
            )
        if away := int((~taken).sum()):
            note("feature outside", file, f"{away} features lie in no raster", "left out", away)
    return [
        image_of(one, root, size_wh=scenes[one].size_wh, split=listed(one), **objects(rows))
        for one, rows in found.items()
    ]


Features = tuple[NDArray[np.object_], list[str], list[str | None], str]


def _features(file: Path) -> Features:
    """Polygons of a file, their classes, their phrases, and the CRS they are in."""
    import pyogrio
    import pyogrio._ogr
    from pyogrio.errors import DataLayerError, DataSourceError

    shapes, names, phrases, crs = list[Any](), list[str](), list[str | None](), ""
    bare = 0
    keep_safe_drivers(pyogrio._ogr)
    _check_crs(file)
    try:
        layers = [name for name, kind in pyogrio.list_layers(file) if kind is not None]
        for layer in layers:
            about, _, geometry, fields = pyogrio.raw.read(file, layer=layer)
            if crs and about["crs"] != crs:
                raise AnnotationError(f"{file}: its layers are of two CRSs; keep one a file.")
            crs = about["crs"] or ""
            columns = {str(name).lower(): values for name, values in
                       zip(about["fields"], fields, strict=True)}  # fmt: skip
            own = _classes(columns, layer if len(layers) > 1 else OBJECT, len(geometry))
            said = next((columns[key] for key in _PHRASE if key in columns), [None] * len(geometry))
            parts, rows = shapely.get_parts(shapely.from_wkb(geometry), return_index=True)
            bare += int(shapely.is_missing(shapely.from_wkb(geometry)).sum())
            flat = (shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)
            bare += int((~flat).sum())
            shapes += [*parts[flat]]
            names += [own[row] for row in rows[flat]]
            phrases += [str(said[row]) if said[row] else None for row in rows[flat]]
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: cannot be read ({error.reason}): not UTF-8; save it as UTF-8."
        ) from None
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError) as error:
        raise AnnotationError(f"{file}: cannot be read ({error}); copy it again.") from None
    bounds = shapely.total_bounds(shapes) if crs == "EPSG:4326" and shapes else np.zeros(4)
    if file.suffix.lower() == ".geojson" and (np.abs(bounds) > (360, 90, 360, 90)).any():
        raise AnnotationError(
            f"{file}: says no CRS, which in GeoJSON means degrees, but its coordinates reach "
            f"{np.abs(bounds).max():.0f}; write it with its CRS, or as a GeoPackage."
        )
    if bare:
        note("no area", file, f"{bare} features are points, lines or nothing", "left out", bare)
    if not shapes or not crs:
        what = "says no CRS; write it with its CRS" if shapes else "holds no polygons"
        raise AnnotationError(f"{file}: {what}; boxes are made of polygons on known ground.")
    return np.array(shapes, dtype=object), names, phrases, crs


def _check_crs(file: Path) -> None:
    """Refuse GeoJSON whose CRS is an address, which GDAL would ask.

    Raises:
        AnnotationError: it is, or the file is empty or damaged.
    """
    if file.suffix.lower() != ".geojson":
        return
    try:
        with (
            file.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            if not _ADDRESS.search(text):
                return
            text.seek(3 if text[:3] == b"\xef\xbb\xbf" else 0)  # UTF-8's mark
            for place, event, value in ijson.parse(text, use_float=True):
                typed = event == "string" and f".{place}".lower().endswith(".crs.type")
                if typed and value.lower().startswith(("link", "url")):
                    raise AnnotationError(
                        f"{file}: its CRS is an address, which is not asked; write it in WGS 84."
                    )
    except (ijson.JSONError, OSError, ValueError) as error:
        raise AnnotationError(f"{file}: cannot be read ({error}); copy it again.") from None


def _classes(columns: dict[str, NDArray[Any]], layer: str, count: int) -> list[str]:
    for key in _CLASS:
        if key in columns and any(map(_said, columns[key])):
            return [str(value) if _said(value) else layer for value in columns[key]]
    flags = [key for key, values in columns.items() if count and all(v == "yes" for v in values)]
    if flags:
        return [flags[0]] * count
    for key in _OTHERS:
        if key in columns and all(map(_said, columns[key])):
            return [*map(str, columns[key])]
    return [layer] * count


def _said(value: Any) -> bool:
    return value is not None and value == value and str(value).strip() != ""


def _placed(shapes: NDArray[np.object_], crs: str, scene: Scene, file: Path) -> NDArray[np.object_]:
    """The shapes in pixels of a scene; what lies beyond its projection has no finite middle."""
    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    place = scene.georeference
    assert place is not None  # of `_located`
    try:
        if file.suffix.lower() == ".geojson" and crs == "EPSG:4326" and not place.on_earth:
            to_pixels = place.from_lonlat  # which can say no planet: the scene's is meant
        else:
            way = Transformer.from_crs(crs, scene.crs, always_xy=True)

            def to_pixels(lonlat: ArrayLike) -> NDArray[np.float64]:
                return place.to_pixels(np.stack(way.transform(*np.asarray(lonlat).T), axis=1))

        moved: NDArray[np.object_] = shapely.transform(shapes, to_pixels)
        return moved
    except (CRSError, ProjError, ImageryError) as error:
        raise AnnotationError(f"{file}: cannot be laid over {scene.path} ({error}).") from None


def _located(path: Path) -> Scene | None:
    try:
        scene = open_scene(path)
    except ImageryError:
        return None
    return scene if scene.crs and scene.georeference is not None else None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [absolute(path)] if path.suffix.lower() in SUFFIXES else []
    places: Iterator[Path] = (one for place in ("*", "*/*") for one in path.glob(place))
    return sorted(
        absolute(one)
        for one in places
        if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")
    )
