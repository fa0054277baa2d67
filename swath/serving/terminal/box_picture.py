"""A picture with the boxes of an answer drawn on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.evaluation.report.gallery import rendered
from swath.files import refuse_foreign_file, replacing
from swath.imagery.opening import open_scene
from swath.recipe import Rendering

LONGEST_PX = 2048
SMALLEST_PX = 512
"""Longest side of the picture that is written: small ones are enlarged."""

SIGN = "swath boxes of an answer"
"""Stands in the picture as the software that wrote it."""


def draw_boxes(
    picture: str, boxes: Mapping[str, Boxes], path: Path, rendering: Rendering
) -> tuple[int, int]:
    """Write a picture with boxes in colours, numbered; return its width and height.

    Args:
        picture: name of the one that the boxes lie in.
        boxes: in its pixels, by their colour.
        path: a .png; an earlier one of this kind is replaced.
        rendering: how the model is shown the picture.

    Raises:
        RequestError: the name is of another kind, or of a file that is not such a picture.
    """
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path}: boxes are drawn as PNG; give a name that ends in .png.")
    refuse_foreign_file(path, SIGN.encode())
    scene_size = open_scene(picture).size_wh
    shown = rendered(picture, rendering, LONGEST_PX)
    if max(shown.size) < SMALLEST_PX:
        factor = SMALLEST_PX / max(shown.size)
        enlarged = round(shown.width * factor), round(shown.height * factor)
        shown = shown.resize(enlarged, Image.Resampling.NEAREST)
    scale = shown.width / scene_size[0], shown.height / scene_size[1]
    draw = ImageDraw.Draw(shown)
    font = ImageFont.load_default(16)
    for colour, group in boxes.items():
        for number, quad in enumerate(group.scaled(scale).quads, 1):
            corners = [(x, y) for x, y in quad.tolist()]
            draw.line([*corners, corners[0]], colour, 3)
            left, top = quad.min(axis=0)
            draw.text((left + 4, top + 2), str(number), colour, font)
    about = PngInfo()
    about.add_text("Software", SIGN)
    with replacing(path) as temporary:
        shown.save(temporary, format="PNG", pnginfo=about)
    return shown.size
