"""What a comparison leaves: a layer for QGIS, a JSON of all that was asked, and a sheet."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import is_ours, refuse_foreign_file, replacing, write_json
from swath.imagery.picture import open_image
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile
from swath.inference.compare import Comparison
from swath.recipe import Rendering

SUFFIXES = (".gpkg", ".geojson")
SIGN = "changes written by swath"
"""Stands in every file, so that no file of someone else is replaced."""

COLOUR = (255, 64, 129)
SIDE_PX = 720
"""Longest side of each date on the sheet."""

_MARGIN = 12
_LINE = 22
_FIXED = {"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"}  # else each file holds its hour


def check_outputs(path: Path) -> None:
    """Refuse a path before anything is asked.

    Raises:
        RequestError: it is neither .gpkg nor .geojson, or a file of its name is someone else's.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RequestError(f"{path}: changes are written as {' or '.join(SUFFIXES)}.")
    refuse_foreign_file(path, SIGN.encode())
    refuse_foreign_file(path.with_suffix(".png"), SIGN.encode())
    note = path.with_suffix(".json")
    if note.exists() and not is_ours(note):
        raise RequestError(f"{note} exists and was not written by swath; choose another name.")


def write_outputs(path: Path, comparison: Comparison, rendering: Rendering = PLAIN) -> None:
    """Write the layer, and beside it `.json` and `.png` of the same name.

    Raises:
        RequestError: see `check_outputs`.
    """
    check_outputs(path)
    _write_layer(path, comparison)
    write_json(path.with_suffix(".json"), comparison.to_row())
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", SIGN)
    with replacing(path.with_suffix(".png")) as temporary:
        sheet(comparison, rendering).save(temporary, format="PNG", pnginfo=notes)


def _write_layer(path: Path, comparison: Comparison) -> None:
    changes = comparison.changes
    scene = comparison.pair.before
    shapes, crs = _shapes(scene, changes.boxes)
    columns: dict[str, Any] = {
        "id": np.arange(1, len(changes) + 1),
        "class": np.array(changes.names, dtype=object),
        "confidence": np.array(changes.confidence, dtype=np.float64),
        "quad_px": np.array(_texts(changes.boxes), dtype=object),
    }
    geopackage = path.suffix.lower() == ".gpkg"
    # RFC 7946 turns to degrees, winds rings and cuts them at 180 degrees.
    options = {"GEOMETRY_NAME": "geom"} if geopackage else {"RFC7946": str(crs is not None)}
    before = {name: pyogrio.get_gdal_config_option(name) for name in _FIXED}
    pyogrio.set_gdal_config_options(_FIXED)
    try:
        with replacing(path) as temporary, warnings.catch_warnings():
            # The file has its own name only once it is whole.
            warnings.filterwarnings("ignore", "(?s).*extension", RuntimeWarning)
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            temporary.unlink()
            pyogrio.raw.write(
                temporary,
                geometry=shapely.to_wkb(np.array(shapes, dtype=object)),
                field_data=list(columns.values()),
                fields=list(columns),
                layer="changes",
                crs=crs,
                geometry_type="Polygon",
                driver="GPKG" if geopackage else "GeoJSON",
                dataset_options={"VERSION": "1.2"} if geopackage else {},
                layer_options={"DESCRIPTION": SIGN, **options},
            )
    finally:
        pyogrio.set_gdal_config_options(before)


def _shapes(scene: Scene, boxes: Boxes) -> tuple[list[Any], str | None]:
    """Boxes as polygons in the scene's CRS, or in pixels, y upwards, where it has none."""
    place = scene.georeference
    if place is None or place.crs is None:
        upwards = boxes.scaled((1.0, -1.0))
        return list(shapely.polygons(upwards.quads)), None
    corners = place.to_ground(boxes.quads.reshape(-1, 2))
    return list(shapely.polygons(corners.reshape(-1, 4, 2))), place.crs


def _texts(boxes: Boxes) -> list[str]:
    """Corners in pixels as text: tables have no lists."""
    rows = boxes.quads.reshape(-1, 8).round(2)
    return [" ".join(f"{value:g}" for value in row) for row in rows]


def sheet(comparison: Comparison, rendering: Rendering = PLAIN) -> Image.Image:
    """Both dates side by side, the changes drawn on each."""
    pair = comparison.pair
    left, top, width, height = pair.region
    scale = min(1.0, SIDE_PX / max(width, height))
    scale = max(scale, min(SIDE_PX / max(width, height), 3.0))  # small ones are enlarged
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    page = Image.new("RGB", (2 * size[0] + 3 * _MARGIN, size[1] + 2 * _LINE + 2 * _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(14)
    window = Tile(pair.before.id, (left, top), (width, height))
    for number, (title, scene) in enumerate((("before", pair.before), ("after", pair.after))):
        x = _MARGIN + number * (size[0] + _MARGIN)
        picture = Image.fromarray(scene.read_rgb(window, size, rendering))
        _outline(picture, comparison.changes.boxes, (left, top), scale)
        page.paste(picture, (x, _MARGIN + _LINE))
        draw.text((x, _MARGIN), title, "black", font)
    words = f"{len(comparison.changes)} changes; {pair.words()}"
    draw.text((_MARGIN, size[1] + _LINE + _MARGIN + 4), words, "black", font)
    return page


def dates_on(path: Path) -> tuple[Image.Image, Image.Image]:
    """Both dates of a sheet that `write_outputs` wrote, with the changes drawn on them."""
    page = open_image(path)
    width = (page.width - 3 * _MARGIN) // 2
    top, bottom = _MARGIN + _LINE, page.height - _LINE - _MARGIN
    lefts = (_MARGIN, 2 * _MARGIN + width)
    before, after = [page.crop((left, top, left + width, bottom)) for left in lefts]
    return before, after


def changes_in(path: Path) -> list[dict[str, Any]]:
    """The changes of a layer that `write_outputs` wrote: id, class, confidence, corners in pixels.

    A confidence that is not known is None.
    """
    about, _, _, columns = pyogrio.raw.read(path, read_geometry=False)
    values = dict(zip(about["fields"], columns, strict=True))
    known = np.isfinite(values["confidence"])
    shares = np.where(known, values["confidence"].astype(object), None)
    values["confidence"] = shares
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _outline(picture: Image.Image, boxes: Boxes, origin_xy: tuple[int, int], scale: float) -> None:
    draw = ImageDraw.Draw(picture)
    for quad in (boxes.quads - origin_xy) * scale:
        corners = [tuple(point) for point in quad.tolist()]
        draw.line([*corners, corners[0]], COLOUR, 2)
