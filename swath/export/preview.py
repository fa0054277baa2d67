"""`preview.html`: rows of a set to look at, in one page that asks nothing of the network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image as Picture

from swath.dialect import DIALECTS, Dialect
from swath.errors import ImageryError
from swath.files import refuse_foreign_file, write_text
from swath.imagery.opening import open_scene
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Box, Conversation, Text
from swath.instructions.turns import tasks_in_turn
from swath.recipe import Rendering

SIGN = "swath preview"
"""Stands in the page as the program that wrote it."""

_LONGEST_PX = 360
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_preview(built: InstructionSet, path: Path, dialect: str, most: int) -> int:
    """Write rows of all tasks, spread over the set, each with its picture and boxes.

    Args:
        built: the set.
        path: of the page; one that `write_preview` wrote is replaced.
        dialect: whose notation boxes are written in.
        most: rows on the page.

    Returns:
        How many rows there are.

    Raises:
        RequestError: the dialect is unknown, or the file is somebody else's.
    """
    notation = DIALECTS.get(dialect)
    refuse_foreign_file(path, SIGN.encode())
    rendering = Rendering.model_validate(built.card.get("rendering", {}))
    chosen = _chosen(built.conversations, most)
    template = _TEMPLATES.get_template("preview.html")
    thumbnails = {
        image.path: _thumbnail(image.path, rendering) for row in chosen for image in row.images
    }
    page = template.render(
        sign=SIGN,
        card=built.card,
        dialect=dialect,
        total=len(built.conversations),
        rows=[_entry(row, notation, thumbnails) for row in chosen],
    )
    write_text(path, page)
    return len(chosen)


def _chosen(rows: Sequence[Conversation], most: int) -> list[Conversation]:
    """So many rows at most, of every task as many as far as there are, spread over each."""
    by_task: dict[str, list[Conversation]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    spread = []
    for number, of_task in enumerate(by_task.values()):
        step = max(1.0, len(of_task) / most)
        begin = step * number / len(by_task)  # so that tasks show different pictures
        spread += [of_task[int(begin + place * step)] for place in range(min(most, len(of_task)))]
    return tasks_in_turn(spread)[:most]


def _entry(
    row: Conversation, notation: Dialect, thumbnails: dict[str, str | None]
) -> dict[str, Any]:
    """What the page shows of a row."""
    sizes = [image.size_wh for image in row.images]
    turns = []
    pictures: list[dict[str, Any]] = []
    for image in row.images:
        shown: dict[str, Any] = {
            "name": Path(image.path).name,
            "data": thumbnails[image.path],
            "boxes": [],
        }
        pictures.append(shown | {"width": image.size_wh[0], "height": image.size_wh[1]})
    for turn in row.turns:
        pieces = []
        for part in turn.parts:
            if isinstance(part, Text):
                pieces.append({"text": part.text, "boxed": False})
            elif isinstance(part, Box):
                text = notation.write(part.boxes, sizes[part.image])
                pieces.append({"text": text, "boxed": True})
                for quad in part.boxes.quads:
                    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in quad)
                    pictures[part.image]["boxes"].append((turn.role, points))
        turns.append({"role": turn.role, "pieces": pieces})
    return {
        "id": row.id,
        "task": row.task,
        "split": row.split or "no split",
        "pictures": pictures,
        "turns": turns,
    }


def _thumbnail(path: str, rendering: Rendering) -> str | None:
    """The picture as a data URI of a small JPEG; None where it cannot be opened."""
    try:
        scene = open_scene(path)
        scale = min(1.0, _LONGEST_PX / max(scene.size_wh))
        width, height = (max(1, round(side * scale)) for side in scene.size_wh)
        pixels = scene.read_rgb(size_wh=(width, height), rendering=rendering)
    except ImageryError:
        return None
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
