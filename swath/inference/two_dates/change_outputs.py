"""What a comparison leaves: a layer for QGIS, a JSON of all that was asked, and a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import is_ours, refuse_foreign_file, replacing, write_json
from swath.imagery.picture import open_image
from swath.imagery.rendering import PLAIN
from swath.imagery.tiling import Tile
from swath.inference.compare import Comparison
from swath.inference.scenes.layers import Layer, Part, check_layer_path, write_layer
from swath.inference.scenes.qgis_style import OUTLINE
from swath.recipe import Rendering

CHANGES = "changes"
"""Name of the layer."""

SIGN = "changes written by swath"
"""Stands in every sheet, so that no picture of someone else is replaced."""

SIDE_PX = 720
"""Longest side of each date on the sheet."""

_MARGIN = 12
_LINE = 22


def check_outputs(path: Path) -> None:
    """Refuse a path before anything is asked.

    Raises:
        RequestError: it is neither .gpkg nor .geojson, or a file of its name is someone else's.
    """
    check_layer_path(path)
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
    changes = comparison.changes
    confidence = np.array(changes.confidence, dtype=np.float64).round(4)
    columns: dict[str, Any] = {"class": changes.names, "confidence": confidence}
    write_layer(path, Layer(CHANGES, [Part(comparison.pair.before, changes.boxes, columns)]))
    write_json(path.with_suffix(".json"), comparison.to_row())
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", SIGN)
    with replacing(path.with_suffix(".png")) as temporary:
        sheet(comparison, rendering).save(temporary, format="PNG", pnginfo=notes)


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
    about, _, _, columns = pyogrio.raw.read(path, CHANGES, read_geometry=False)
    values = dict(zip(about["fields"], columns, strict=True))
    known = np.isfinite(values["confidence"])
    shares = np.where(known, values["confidence"].astype(object), None)
    values["confidence"] = shares
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _outline(picture: Image.Image, boxes: Boxes, origin_xy: tuple[int, int], scale: float) -> None:
    draw = ImageDraw.Draw(picture)
    for quad in (boxes.quads - origin_xy) * scale:
        corners = [tuple(point) for point in quad.tolist()]
        draw.line([*corners, corners[0]], OUTLINE, 2)
