"""`map.html`: the scenes of a scan with the results over them, in one file that asks no server."""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from swath.files import replacing
from swath.inference.mapping.class_files import class_colours
from swath.inference.mapping.class_map import ClassMap
from swath.inference.mapping.overview import tally
from swath.inference.mapping.scene_view import Shapes, placing_of, shapes_of, small_picture
from swath.inference.scan import Scan
from swath.inference.scenes.ground import on_ground
from swath.inference.scenes.scan_scene import ScannedScene

MOST_SCENES = 100
MOST_SHAPES, MOST_CELLS = 20_000, 250_000
"""The surest of a question, and the cells, that a scene's map holds; more would be slow to move."""
PAGE_LAYERS = 3
"""As many layers of that size fit a page; where there are more, each holds less."""

_PICTURE_PX = {1: 1600, 8: 1000, MOST_SCENES: 600}  # longest side, by the number of scenes
_QUALITY = 85
_HERE = Path(__file__).parent


def write_map(path: Path, scan: Scan) -> None:
    """Write the map of a scan; the same scan gives the same bytes."""
    style = (_HERE / "map.css").read_text("utf-8")
    script = (_HERE / "map.js").read_text("utf-8")
    page = _templates().get_template("map.html")
    text = page.render(
        title=", ".join(Path(scanned.path).name for scanned in scan.scenes[:3]),
        model=scan.model.name,
        complete=scan.complete,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(_json(scan_data(scan))),
    )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def scan_data(scan: Scan) -> dict[str, Any]:
    """What the page's script shows."""
    scenes = scan.scenes[:MOST_SCENES]
    longest_px = next(px for most, px in _PICTURE_PX.items() if len(scenes) <= most)
    note = ""
    if len(scan.scenes) > len(scenes):
        note = f"the first {len(scenes)} of {len(scan.scenes)} scenes; scan.json tells of all"
    layers = sum(len(scanned.results) for scanned in scenes)
    share = min(1.0, PAGE_LAYERS / max(layers, 1))
    shown = [_scene_data(scan, scanned, longest_px, share) for scanned in scenes]
    return {"note": note, "scenes": shown}


def _scene_data(scan: Scan, scanned: ScannedScene, longest_px: int, share: float) -> dict[str, Any]:
    """What is shown of a scene, each layer with a share of the most it may hold."""
    name = Path(scanned.path).name
    scene = scanned.scene
    if scene is None:
        return {"name": name, "notes": [scanned.failure], "failed": True, "layers": []}
    picture, _, fault = small_picture(scene, scan.model.rendering, longest_px)
    placing = placing_of(scene)
    notes = [words for words, _ in tally(scanned)]
    notes += [words for words in (fault, placing.note) if words]
    return {
        "name": name,
        "notes": notes,
        "picture": _data_address(picture),
        "size": scene.size_wh,
        "matrix": placing.matrix,
        "corners": None if placing.corners is None else placing.corners.tolist(),
        "layers": [*_cell_layers(scanned, share), *_shape_layers(scanned, share)],
    }


def _cell_layers(scanned: ScannedScene, share: float) -> list[dict[str, Any]]:
    maps = [result for result in scanned.results if isinstance(result, ClassMap)]
    return [_cell_data(result, share) for result in maps]


def _spread(count: int, step: int) -> Any:
    """A `step`th of the places of so many, evenly from the first on."""
    fewer = -(-count // step)
    return np.arange(fewer) * count // fewer


def _shape_layers(scanned: ScannedScene, share: float) -> list[dict[str, Any]]:
    return [_layer_data(scanned, layer, share) for layer in shapes_of(scanned)]


def _cell_data(result: ClassMap, share: float) -> dict[str, Any]:
    """A map of classes, of cells so many that the page stays light."""
    step = int(np.ceil(np.sqrt(len(result.plan) / (MOST_CELLS * share))))
    y, x = _spread(len(result.plan.rows), step), _spread(len(result.plan.columns), step)
    values, confidence = result.sample(y, x)
    confidence = np.nan_to_num(confidence)
    colours = class_colours(len(result.labels))
    classes = [
        {"name": label, "colour": rgb, "summary": f"{covered:.1%}"}
        for label, rgb, covered in zip(result.labels, colours, result.shares, strict=True)
    ]
    return {
        "title": result.question.asked,
        "summary": result.told,
        "note": "" if step == 1 else f"one cell in {step} of each row and column",
        "classes": classes,
        "cells": {
            "columns": len(x),
            "rows": len(y),
            "region": result.plan.region,
            "values": values.ravel().tolist(),
            "confidence": (1000 * confidence).round().astype(int).ravel().tolist(),
        },
    }


def _layer_data(scanned: ScannedScene, layer: Shapes, share: float) -> dict[str, Any]:
    """A layer's shapes with what a click on each tells."""
    count = min(len(layer.boxes), int(MOST_SHAPES * share))
    boxes = layer.boxes[:count]
    facts: dict[str, list[Any]] = {"answer" if layer.filled else "class": list(layer.texts[:count])}
    if layer.confidence is not None:
        facts["confidence"] = layer.confidence[:count].round(3).tolist()
    assert scanned.scene is not None
    ground = on_ground(scanned.scene, boxes)
    if ground is not None:
        longitude, latitude = ground.middles.T
        facts["length m"] = _numbers(ground.length_m, 1)
        facts["width m"] = _numbers(ground.width_m, 1)
        facts["area m2"] = _numbers(ground.area_m2, 1)
        facts["longitude"] = _numbers(longitude, 6)
        facts["latitude"] = _numbers(latitude, 6)
    note = "" if count == len(layer.boxes) else f"the {count} surest of {len(layer.boxes)}"
    return {
        "title": layer.title,
        "summary": layer.summary,
        "note": note,
        "colour": "#{:02x}{:02x}{:02x}".format(*layer.colour),
        "quads": boxes.to_rows(1),
        "facts": facts,
    }


def _numbers(values: Any, decimals: int) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.round(decimals).tolist()]


def _data_address(picture: Any) -> str:
    """A picture as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _json(value: dict[str, Any]) -> str:
    """JSON that no class name or answer can end the script element with."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    """By which the page's policy lets this text run, and no other."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(_HERE)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
