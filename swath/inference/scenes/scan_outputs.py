"""Writing a scan: layers of what it found, its record, and pages to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import write_json
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile
from swath.inference.mapping.class_files import file_names, write_areas, write_class_files
from swath.inference.mapping.class_map import ClassMap
from swath.inference.mapping.map_page import write_map
from swath.inference.mapping.overview import write_overview
from swath.inference.scan import Scan
from swath.inference.scenes.ground import DEGREES, on_ground, world_shapes
from swath.inference.scenes.layers import SUFFIXES, Layer, check_layer_path, write_layer
from swath.inference.scenes.scan_results import FoundObjects, TileWords

RECORD, OVERVIEW, MAP = "scan.json", "overview.png", "map.html"

OBJECTS, ANSWERS = "objects", "answers"
"""Layers of what was found, and of what tiles said."""

_METRES = 2  # decimals

Part = tuple[Scene, Boxes, dict[str, list[Any]]]
"""Boxes in a scene's pixels, with a value of each by column."""


def home_of(to: Path) -> Path:
    """The folder of a scan's record, journal and pages: `to`, or `ships.scan` beside `ships.gpkg`.

    Raises:
        RequestError: the suffix is of no layer, or the file is someone else's.
    """
    if not to.suffix:
        return to
    check_layer_path(to)
    return to.with_suffix(".scan")


def write_scan(scan: Scan, to: Path) -> list[Path]:
    """Write a scan's layers, pages and record; the files, what a person opens first.

    Args:
        scan: what was found.
        to: a .gpkg or .geojson for the objects, or a folder for everything.
    """
    home = home_of(to)
    layers = {OBJECTS: objects_layer(scan), ANSWERS: answers_layer(scan)}
    files = []
    for name, layer in layers.items():
        if layer is None:
            continue
        only = to.suffix and (name == OBJECTS or layers[OBJECTS] is None)
        paths = [to] if only else [home / f"{name}{suffix}" for suffix in SUFFIXES]
        for path in paths:
            write_layer(path, layer)
            files.append(path)
    if to.suffix and not files:
        raise RequestError(
            f"{to}: this scan finds no boxes and gives no answers in words; name a folder instead."
        )
    files += _write_class_maps(scan, home)
    write_overview(home / OVERVIEW, scan)
    write_map(home / MAP, scan)
    write_json(home / RECORD, scan.to_row())
    return [*files, home / MAP, home / OVERVIEW, home / RECORD]


def _write_class_maps(scan: Scan, home: Path) -> list[Path]:
    """The maps of classes of all scenes and the table of their areas; none where none is asked."""
    files: list[Path] = []
    tables = []
    names = file_names([scanned.path for scanned in scan.scenes])
    for name, scanned in zip(names, scan.scenes, strict=True):
        for result in scanned.results:
            if isinstance(result, ClassMap) and scanned.scene is not None:
                files += write_class_files(home, name, scanned.scene, result)
                tables.append((scanned.path, result))
    if tables:
        files.append(write_areas(home, tables))
    return files


def objects_layer(scan: Scan) -> Layer | None:
    """The objects of all scenes and boxed questions as one layer; None where none is asked for."""
    parts: list[Part] = []
    for scanned in scan.scenes:
        for result in scanned.results:
            if not isinstance(result, FoundObjects) or scanned.scene is None:
                continue
            columns: dict[str, list[Any]] = {
                "scene": [scanned.path] * result.count,
                "question": [result.question.asked] * result.count,
                "label": [result.question.label] * result.count,
                "confidence": _confidences(result),
                "sightings": result.objects.sightings.tolist(),
            }
            parts.append((scanned.scene, result.boxes, columns))
    return _layer(OBJECTS, parts) if parts else None


def answers_layer(scan: Scan) -> Layer | None:
    """What tiles said in words, each as the polygon of its tile; None where nothing was asked."""
    parts: list[Part] = []
    for scanned in scan.scenes:
        for result in scanned.results:
            if not isinstance(result, TileWords) or scanned.scene is None:
                continue
            count = len(result.texts)
            columns: dict[str, list[Any]] = {
                "scene": [scanned.path] * count,
                "question": [result.question.asked] * count,
                "answer": list(result.texts),
            }
            parts.append((scanned.scene, _outlines(result.tiles), columns))
    return _layer(ANSWERS, parts) if parts else None


def _confidences(result: FoundObjects) -> list[float | None]:
    if not result.weighed:
        return [None] * result.count
    rounded: list[float | None] = result.objects.confidence.round(4).tolist()
    return rounded


def _outlines(tiles: Sequence[Tile]) -> Boxes:
    corners = [(*tile.origin_xy, *np.add(tile.origin_xy, tile.size_wh)) for tile in tiles]
    return Boxes.from_hbb(corners)


def _layer(name: str, parts: Sequence[Part]) -> Layer:
    """Boxes of several scenes as one layer, in their CRS if they have one in common."""
    known = {scene.crs for scene, _, _ in parts}
    crs = known.pop() if len(known) == 1 else DEGREES
    shapes: list[shapely.Geometry | None] = []
    world: list[shapely.Geometry | None] = []
    columns: dict[str, list[Any]] = {"id": []}
    for scene, boxes, values in parts:
        own, degrees, measures = _placed(scene, boxes)
        shapes += own if scene.crs == crs else degrees
        world += degrees
        values = {**values, **measures, "quad_px": _written(boxes)}
        for key, column in values.items():
            columns.setdefault(key, []).extend(column)
    columns["id"] = list(range(1, len(shapes) + 1))
    return Layer(name, shapes, world, columns, crs)


def _placed(
    scene: Scene, boxes: Boxes
) -> tuple[list[Any], list[Any], dict[str, list[float | None]]]:
    """Boxes in the scene's CRS and in degrees, with their measures.

    Of a scene that lies nowhere they are in pixels, y upwards, as QGIS shows such a picture.
    """
    count = len(boxes)
    names = ("length_m", "width_m", "area_m2", "azimuth_deg", "longitude", "latitude")
    ground = on_ground(scene, boxes)
    if ground is None:
        upwards = boxes.scaled((1.0, -1.0)).quads
        return (
            list(shapely.polygons(upwards)),
            [None] * count,
            {name: [None] * count for name in names},
        )
    longitude, latitude = ground.middles.T
    measures = {
        "length_m": ground.length_m,
        "width_m": ground.width_m,
        "area_m2": ground.area_m2,
        "azimuth_deg": ground.azimuth_deg,
    }
    rounded = {name: _rounded(values, _METRES) for name, values in measures.items()}
    rounded |= {"longitude": _rounded(longitude, 8), "latitude": _rounded(latitude, 8)}
    return list(shapely.polygons(ground.corners)), world_shapes(ground.lonlat), rounded


def _rounded(values: Any, decimals: int) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.round(decimals).tolist()]


def _written(boxes: Boxes) -> list[str]:
    """Corners in the scene's pixels as text: tables have no lists."""
    return [" ".join(f"{value:g}" for value in row) for row in boxes.to_rows(2)]
