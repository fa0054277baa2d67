"""Layers that other programs open: GeoJSON by RFC 7946 and GeoPackage, its style inside.

The same features give the same bytes, whenever and wherever they are written.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyogrio
import pyogrio._io
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError, FeatureError

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import refuse_foreign_file, replacing
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.scene import Scene, written_whole
from swath.inference.scenes.ground import DEGREES, on_ground, world_shapes
from swath.inference.scenes.qgis_style import layer_style

WRITTEN = "written by swath"
"""Stands in every layer, so that no file of someone else is replaced."""

SUFFIXES = (".geojson", ".gpkg")

_REFUSALS = (DataSourceError, FeatureError)
_DATED = {"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"}  # else each file holds its hour
_DECIMALS = 8  # of degrees: a millimetre
_MEASURES = {
    **dict.fromkeys(("length_m", "width_m", "area_m2", "azimuth_deg"), 2),
    **dict.fromkeys(("longitude", "latitude"), 8),
}
"""Columns of what lies on Earth, and their decimals."""

TOGETHER = 10_000
"""Features that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Part:
    """Boxes of one scene.

    Args:
        scene: in whose pixels they lie.
        boxes: n of them.
        columns: by name a value of each, or a word that all have.
    """

    scene: Scene
    boxes: Boxes
    columns: Mapping[str, str | Sequence[Any] | NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some features of a layer.

    Args:
        shapes: polygons in the layer's CRS; None for one that lies nowhere on Earth.
        world: the same in degrees as RFC 7946 has them; None for one that lies nowhere.
        columns: a value of each feature, by name.
    """

    shapes: Sequence[shapely.Geometry | None]
    world: Sequence[shapely.Geometry | None]
    columns: dict[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Layer:
    """Features of one kind, of which few are in memory at a time.

    Args:
        name: of the layer, and of its table.
        parts: whose boxes are its features.
    """

    name: str
    parts: Sequence[Part]

    @property
    def crs(self) -> str | None:
        """That of all scenes, else degrees; None: pixels, y upwards."""
        known = {part.scene.crs for part in self.parts}
        return known.pop() if len(known) == 1 else DEGREES

    def pieces(self) -> Iterator[Piece]:
        """The features in their order, at most `TOGETHER` in a piece; one piece at least."""
        crs = self.crs
        first_id = 1
        for part in self.parts:
            for start in range(0, len(part.boxes), TOGETHER):
                rows = slice(start, start + TOGETHER)
                piece = _piece(part, rows, crs, first_id)
                yield piece
                first_id += len(piece.shapes)
        if first_id == 1:
            yield _piece(self.parts[0], slice(0, 0), crs, first_id)


def _piece(part: Part, rows: slice, crs: str | None, first_id: int) -> Piece:
    """Some boxes of a part, placed and measured."""
    boxes = part.boxes[rows]
    shapes, degrees, measures = _placed(part.scene, boxes)
    columns: dict[str, Sequence[Any]] = {"id": range(first_id, first_id + len(boxes))}
    for name, values in part.columns.items():
        if isinstance(values, str):
            columns[name] = [values] * len(boxes)
        else:
            chosen = values[rows]
            columns[name] = chosen.tolist() if isinstance(chosen, np.ndarray) else chosen
    columns |= measures
    columns["quad_px"] = _written(boxes)
    return Piece(shapes if part.scene.crs == crs else degrees, degrees, columns)


def _placed(
    scene: Scene, boxes: Boxes
) -> tuple[list[Any], list[Any], dict[str, list[float | None]]]:
    """Boxes in the scene's CRS and in degrees, with their measures.

    Of a scene that lies nowhere they are in pixels, y upwards, as QGIS shows such a picture.
    """
    ground = on_ground(scene, boxes)
    if ground is None:
        nothing: list[float | None] = [None] * len(boxes)
        upwards = boxes.scaled((1.0, -1.0)).quads
        return list(shapely.polygons(upwards)), nothing, dict.fromkeys(_MEASURES, nothing)
    values = [ground.length_m, ground.width_m, ground.area_m2, ground.azimuth_deg]
    values += list(ground.middles.T)
    measures = {}
    for (name, decimals), column in zip(_MEASURES.items(), values, strict=True):
        measures[name] = _rounded(column, decimals)
    return list(shapely.polygons(ground.corners)), world_shapes(ground.lonlat), measures


def _rounded(values: Any, decimals: int) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.round(decimals).tolist()]


def _written(boxes: Boxes) -> list[str]:
    """Corners in pixels as text: tables have no lists."""
    return [" ".join(f"{value:.12g}" for value in row) for row in boxes.to_rows(2)]


def write_layer(path: Path | str, layer: Layer) -> None:
    """Write a layer, as its suffix says; a file that swath wrote before is replaced.

    Raises:
        RequestError: the suffix is neither .geojson nor .gpkg, or the file is someone else's.
    """
    path = Path(path)
    check_layer_path(path)
    if path.suffix.lower() == ".gpkg":
        _write_geopackage(path, layer)
    else:
        _write_geojson(path, layer)


def check_layer_path(path: Path) -> None:
    """Refuse a path before anything is asked.

    Raises:
        RequestError: see `write_layer`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RequestError(
            f"{path}: boxes are written as {' or '.join(SUFFIXES)}; give it one of these endings; "
            f"a scan takes a folder for everything, too."
        )
    refuse_foreign_file(path, WRITTEN.encode())


def _write_geojson(path: Path, layer: Layer) -> None:
    head = {"type": "FeatureCollection", "name": layer.name, "about": WRITTEN}
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(orjson.dumps(head)[:-1] + b',"features":[')
        separator = b"\n"
        for piece in layer.pieces():
            for feature in _features(piece):
                stream.write(separator + orjson.dumps(feature))
                separator = b",\n"
        stream.write(b"\n]}\n")


def _features(piece: Piece) -> Iterator[dict[str, Any]]:
    names = list(piece.columns)
    rows = zip(*piece.columns.values(), strict=True)
    for shape, values in zip(piece.world, rows, strict=True):
        geometry = None if shape is None else _coordinates(shape)
        properties = dict(zip(names, values, strict=True))
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _coordinates(shape: shapely.Geometry) -> dict[str, Any]:
    rounded = shapely.transform(shape, lambda points: points.round(_DECIMALS))
    written: dict[str, Any] = orjson.loads(shapely.to_geojson(rounded))
    return written


def _write_geopackage(path: Path, layer: Layer) -> None:
    style = layer_style(layer.name)
    # In memory first: on a full disk GDAL leaves the index of places out, and says nothing.
    held = io.BytesIO()
    first = {
        "dataset_options": {"VERSION": "1.2"},  # older QGIS warns of newer ones
        "layer_options": {"GEOMETRY_NAME": "geom", "DESCRIPTION": WRITTEN},
    }
    with replacing(path) as temporary, _same_every_time(), written_whole(path, *_REFUSALS):
        for number, piece in enumerate(layer.pieces()):
            pyogrio.raw.write(
                temporary if number else held,
                geometry=shapely.to_wkb(np.array(piece.shapes, dtype=object)),
                field_data=[_column(values) for values in piece.columns.values()],
                fields=list(piece.columns),
                layer=layer.name,
                crs=layer.crs,
                geometry_type="Polygon",
                driver="GPKG",
                **({"append": True} if number else first),
            )
            if not number:
                temporary.write_bytes(held.getbuffer())
        pyogrio.raw.write(
            temporary,
            geometry=None,
            field_data=[_column([value]) for value in style.values()],
            fields=list(style),
            layer="layer_styles",
            geometry_type=None,
            crs=None,
            driver="GPKG",
            append=True,
        )


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """A column as pyogrio takes it: numbers as they are, NaN where one is missing, words."""
    if all(value is None or isinstance(value, float) for value in values):
        return np.array(values, dtype=np.float64)
    column = np.array(values)
    return column.astype(object) if column.dtype.kind in "US" else column


@contextmanager
def _same_every_time() -> Iterator[None]:
    """GDAL of pyogrio without formats that swath does not use, and without a clock."""
    keep_safe_drivers(pyogrio._io)
    before = {name: pyogrio.get_gdal_config_option(name) for name in _DATED}
    pyogrio.set_gdal_config_options(_DATED)
    try:
        with warnings.catch_warnings():
            # The file has its own name only once it is whole.
            warnings.filterwarnings("ignore", "(?s).*extension", RuntimeWarning)
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            yield
    finally:
        pyogrio.set_gdal_config_options(before)
