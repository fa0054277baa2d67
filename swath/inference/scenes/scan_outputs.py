"""Writing a scan: layers of what it found, its record, and pages to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import write_json
from swath.inference.mapping.class_files import file_names, write_areas, write_class_files
from swath.inference.mapping.class_map import ClassMap
from swath.inference.mapping.map_page import write_map
from swath.inference.mapping.overview import write_overview
from swath.inference.scan import Scan
from swath.inference.scenes.layers import (
    SUFFIXES,
    Layer,
    Part,
    check_layer_path,
    write_layer,
)
from swath.inference.scenes.scan_results import FoundObjects, TileWords

RECORD, OVERVIEW, MAP = "scan.json", "overview.png", "map.html"

OBJECTS, ANSWERS = "objects", "answers"
"""Layers of what was found, and of what tiles said."""


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
    parts = []
    for scanned in scan.scenes:
        for result in scanned.results:
            if not isinstance(result, FoundObjects) or scanned.scene is None:
                continue
            confidence = result.objects.confidence.round(4)
            columns = {
                "scene": scanned.path,
                "question": result.question.asked,
                "label": result.question.label,
                "confidence": confidence if result.weighed else np.full(result.count, np.nan),
                "sightings": result.objects.sightings,
            }
            parts.append(Part(scanned.scene, result.boxes, columns))
    return Layer(OBJECTS, parts) if parts else None


def answers_layer(scan: Scan) -> Layer | None:
    """What tiles said in words, each as the polygon of its tile; None where nothing was asked."""
    parts = []
    for scanned in scan.scenes:
        for result in scanned.results:
            if not isinstance(result, TileWords) or scanned.scene is None:
                continue
            columns = {
                "scene": scanned.path,
                "question": result.question.asked,
                "answer": result.texts,
            }
            boxes = Boxes.from_hbb([tile.bounds for tile in result.tiles])
            parts.append(Part(scanned.scene, boxes, columns))
    return Layer(ANSWERS, parts) if parts else None
