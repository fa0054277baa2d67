"""Features on the ground (GeoJSON, GeoPackage, Shapefile) over rasters in any CRS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from swath.annotations.finding_pictures import absolute, few, is_clip, shown
from swath.annotations.parsing import OBJECT, Outline, Row
from swath.annotations.source import Source
from swath.boxes import Floats, rectangle_around
from swath.errors import AnnotationError, ImageryError
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene
from swath.vector_files import refuse_harmful

SUFFIXES = (".geojson", ".gpkg", ".shp")
"""File name endings of features."""

_CLASS = ("class", "class_name", "label", "category")
_OTHERS = ("type", "kind", "name")  # which may mean other things
_PHRASE = ("phrase", "description")
_ANSI = (b"\0", b"\x57")  # marks of a .dbf that leave open in which encoding its words are

Columns = Mapping[str, Sequence[Any]]


@dataclass
class _Features:
    """Polygons, their classes and phrases, and the CRS they are in."""

    shapes: list[shapely.Polygon] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    phrases: list[str | None] = field(default_factory=list)
    crs: str = ""
    bare: int = 0


def recognises(path: Path) -> bool:
    """Whether a file holds features, or a folder does beside pictures."""
    return bool(_files(path))


def rows(source: Source) -> Iterator[Row]:
    """A row a raster in which features lie, a box a polygon: the smallest rectangle around it.

    Features are brought into the raster's CRS and then to its pixels; those of a file whose name
    is a raster's belong to that raster, others to each raster their middle lies in. The class is
    in the property that `annotations.class_field` names, else as `_classes` chooses it. Parts of a
    multipolygon are objects of their own; points and lines have no box.
    """
    files = _files(source.path)
    scenes: dict[Path, Scene] = {}
    for picture in source.finder.pictures:
        scene = None if is_clip(picture) else _located(picture)
        if scene is not None:
            scenes[picture] = scene
    if not scenes and files:
        raise AnnotationError(
            f"{files[0]}: has no raster with a CRS in {source.root}; put the raster it was drawn "
            f"on there."
        )
    outlines: dict[Path, list[Outline]] = {}
    for file in files:
        source.opens(file)
        with source.row():
            features = _features(file, source)
            for picture, of_picture in _laid_over(scenes, features, source).items():
                outlines.setdefault(picture, []).extend(of_picture)
    for picture, of_picture in outlines.items():
        yield Row(str(picture), (picture,), of_picture, size_wh=scenes[picture].size_wh)


def _laid_over(
    scenes: Mapping[Path, Scene], features: _Features, source: Source
) -> dict[Path, list[Outline]]:
    """Objects in pixels of each raster that features lie in."""
    file, shapes = source.file, np.array(features.shapes, dtype=object)
    rasters = [picture for picture in scenes if picture.stem == file.stem] or [*scenes]
    outlines: dict[Path, list[Outline]] = defaultdict(list)
    taken = np.zeros(len(shapes), dtype=bool)
    for picture in rasters:
        try:
            placed = placed_in(shapes, features.crs, scenes[picture], file)
        except AnnotationError:
            if len(rasters) == 1:
                raise
            continue
        corners, of_shape = shapely.get_coordinates(placed, return_index=True)
        placed[of_shape[~np.isfinite(corners).all(axis=1)]] = None  # it lies in no raster
        centres = shapely.centroid(placed)
        middles = np.stack([shapely.get_x(centres), shapely.get_y(centres)], axis=1)
        inside = ((middles >= 0) & (middles < scenes[picture].size_wh)).all(axis=1)
        taken |= inside
        for row in np.flatnonzero(inside):
            rectangle = rectangle_around(shapely.get_coordinates(placed[row]))
            outlines[picture].append(Outline(rectangle, features.names[row], features.phrases[row]))
    if not taken.any():
        raise AnnotationError(
            f"{file}: none of {len(shapes)} features lies in "
            f"{few([picture.name for picture in rasters])}; is its CRS ({features.crs}) the true "
            f"one?"
        )
    source.count("feature outside", int((~taken).sum()), "features lie in no raster")
    return outlines


def _features(file: Path, source: Source) -> _Features:
    """What a file holds.

    Raises:
        AnnotationError: it is damaged, holds no polygons, or does not say where they lie.
    """
    import pyogrio
    import pyogrio._ogr
    from pyogrio.errors import DataLayerError, DataSourceError

    keep_safe_drivers(pyogrio._ogr)
    refuse_harmful(file)
    features = _Features()
    encoding = _encoding(file)
    try:
        layers = [name for name, kind in pyogrio.list_layers(file) if kind is not None]
        for layer in layers:
            about, _, geometry, values = pyogrio.raw.read(file, layer=layer, encoding=encoding)
            if features.crs and about["crs"] != features.crs:
                raise AnnotationError(f"{file}: its layers are of two CRSs; keep one a file.")
            features.crs = about["crs"] or ""
            columns = dict(zip(map(str.lower, about["fields"]), values, strict=True))
            shapes = shapely.from_wkb(geometry, on_invalid="ignore")
            _append(features, shapes, columns, layer if len(layers) > 1 else "", source)
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: cannot be read ({error.reason}): not UTF-8; save it as UTF-8, or name the "
            f"encoding of a Shapefile in a .cpg file."
        ) from None
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError, ValueError) as error:
        reason = shown(str(error))
        raise AnnotationError(f"{file}: cannot be read ({reason}); copy it again.") from None
    source.count("no area", features.bare, "features are points, lines or nothing")
    if not features.shapes or not features.crs:
        what = "says no CRS; write it with its CRS" if features.shapes else "holds no polygons"
        raise AnnotationError(f"{file}: {what}; boxes are made of polygons on known ground.")
    reach = np.abs(shapely.total_bounds(features.shapes))
    in_degrees = file.suffix.lower() == ".geojson" and features.crs == "EPSG:4326"
    if in_degrees and (reach > (360, 90, 360, 90)).any():
        raise AnnotationError(
            f"{file}: says no CRS, which in GeoJSON means degrees, but its coordinates reach "
            f"{reach.max():.0f}; write it with its CRS, or as a GeoPackage."
        )
    return features


def _append(
    features: _Features,
    shapes: NDArray[np.object_],
    columns: Columns,
    layer: str,
    source: Source,
) -> None:
    """Add the polygons of a layer, and the count of its shapes that have no area."""
    names = _classes(columns, layer, len(shapes), source)
    phrases = next((columns[key] for key in _PHRASE if key in columns), [None] * len(shapes))
    parts, rows = shapely.get_parts(shapes, return_index=True)
    flat = (shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)
    features.bare += int(shapely.is_missing(shapes).sum() + (~flat).sum())
    features.shapes += [*parts[flat]]
    for row in rows[flat]:
        features.names.append(names[row])
        features.phrases.append(str(phrases[row]) if _says(phrases[row]) else None)


def _encoding(file: Path) -> str | None:
    """UTF-8 for words of a Shapefile that does not say their encoding, None where it is said."""
    table = file.with_suffix(".dbf")
    named = file.with_suffix(".cpg").is_file() or file.with_suffix(".CPG").is_file()
    if file.suffix.lower() != ".shp" or named or not table.is_file():
        return None
    return "UTF-8" if table.read_bytes()[29:30] in _ANSI else None


def _classes(columns: Columns, layer: str, count: int, source: Source) -> list[str]:
    """The class of each feature.

    It is in the property that the recipe names; else in the first of class, class_name, label and
    category that says anything; else a property of yes alone is it (OpenStreetMap's `building`);
    else it is in type, kind or name where each feature has one; else it is the layer's name where
    there are several; else it is in the one other property that holds words for each feature.

    Raises:
        AnnotationError: there is no property of the name that the recipe gives.
    """
    chosen = source.class_field.lower()
    if chosen and chosen not in columns:
        raise AnnotationError(
            f"{source.file}: has no property '{source.class_field}' (annotations.class_field); it "
            f"has {few([*columns], 20) or 'none'}."
        )
    for key in [chosen] if chosen else _CLASS:
        if key in columns and any(map(_says, columns[key])):
            return [str(value) if _says(value) else layer or OBJECT for value in columns[key]]
    full = [key for key, values in columns.items() if count and all(map(_says, values))]
    for key in full:
        if {*columns[key]} == {"yes"}:
            return [key] * count
    for key in _OTHERS:
        if key in full:
            return [*map(str, columns[key])]
    if layer:
        return [layer] * count
    words = [key for key in full if key not in _PHRASE and all(map(_is_word, columns[key]))]
    what = f"no property is called class; there are {few([*columns], 20) or 'none'}"
    effect = f"'{words[0]}' is taken" if len(words) == 1 else f"all are called '{OBJECT}'"
    action = "name the property in annotations.class_field"
    source.note("class field", what, effect, count, action)
    return [*map(str, columns[words[0]])] if len(words) == 1 else [OBJECT] * count


def _says(value: Any) -> bool:
    return value is not None and value == value and str(value).strip() != ""


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and any(sign.isalpha() for sign in value)


def placed_in(
    shapes: NDArray[np.object_], crs: str, scene: Scene, file: Path
) -> NDArray[np.object_]:
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

            def to_pixels(lonlat: ArrayLike) -> Floats:
                return place.to_pixels(np.stack(way.transform(*np.asarray(lonlat).T), axis=1))

        def closed(points: ArrayLike) -> Floats:
            with np.errstate(invalid="ignore"):
                pixels = to_pixels(points)
            pixels[~np.isfinite(pixels).all(axis=1)] = np.inf  # NaN would not close a ring
            return pixels

        return np.asarray(shapely.transform(shapes, closed))
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
    files = [file for place in ("*", "*/*") for file in path.glob(place)]
    return sorted(
        absolute(file)
        for file in files
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
