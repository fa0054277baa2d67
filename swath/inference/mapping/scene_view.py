"""A scene as pages show it: small, as its run renders it, with the results in its pixels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swath.boxes import Boxes, Floats
from swath.errors import ImageryError
from swath.imagery.rendering import Pixels
from swath.imagery.scene import Scene
from swath.inference.scenes.ground import geod_of
from swath.inference.scenes.qgis_style import OUTLINE
from swath.inference.scenes.scan_results import FoundObjects, TileWords
from swath.inference.scenes.scan_scene import ScannedScene
from swath.recipe import Rendering

COLOURS = (
    OUTLINE,
    (0, 229, 255),
    (255, 214, 0),
    (118, 255, 3),
    (255, 145, 0),
    (213, 128, 255),
)
"""Of the questions, in their order and then again."""

LARGEST_ZOOM = 4.0
"""How much larger than stored a small scene is shown."""

_CURVED = 0.02  # of half a diagonal: what lies further from the plane is no flat map
_UNREADABLE = (70, 70, 70)


@dataclass(frozen=True, eq=False)
class Shapes:
    """What answers one question on one scene.

    Args:
        title: the question.
        summary: its answer in a line.
        colour: in which it is drawn.
        boxes: n objects or tiles, scene pixels.
        texts: label or answer of each.
        confidence: of each, 0 to 1; None where the model told none.
        filled: whether the text is written into the shape, as the answer of a tile is.
    """

    title: str
    summary: str
    colour: tuple[int, int, int]
    boxes: Boxes
    texts: Sequence[str]
    confidence: Floats | None
    filled: bool


def shapes_of(scanned: ScannedScene) -> list[Shapes]:
    """The results of a scene, question by question, the surest first."""
    layers = []
    for place, result in enumerate(scanned.results):
        colour = COLOURS[place % len(COLOURS)]
        if isinstance(result, FoundObjects):
            order = np.argsort(-result.objects.confidence, kind="stable")
            layer = Shapes(
                title=result.question.asked,
                summary=result.told,
                colour=colour,
                boxes=result.boxes[order],
                texts=[result.question.label] * result.count,
                confidence=result.objects.confidence[order] if result.weighed else None,
                filled=False,
            )
            layers.append(layer)
        elif isinstance(result, TileWords):
            boxes = Boxes.from_hbb([tile.bounds for tile in result.tiles])
            title = result.question.asked
            layers.append(Shapes(title, result.told, colour, boxes, result.texts, None, True))
    return layers


def small_picture(
    scene: Scene, rendering: Rendering, longest_px: int
) -> tuple[Image.Image, float, str]:
    """A scene with a longest side, the size of its pixels on it, and why it is grey, "" if not.

    Args:
        scene: of any size.
        rendering: with which the model was shown it.
        longest_px: longest side of the picture.
    """
    longest = max(scene.size_wh)
    zoom = min(longest_px / longest, LARGEST_ZOOM)
    width, height = (max(1, round(length * zoom)) for length in scene.size_wh)
    try:
        read_wh = (min(width, scene.size_wh[0]), min(height, scene.size_wh[1]))
        pixels: Pixels = scene.read_rgb(size_wh=read_wh, rendering=rendering)
    except ImageryError as error:  # the tiles were read one by one, and say for themselves
        return Image.new("RGB", (width, height), _UNREADABLE), zoom, str(error)
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
    return picture, zoom, ""


def draw_shapes(picture: Image.Image, layer: Shapes, zoom: float) -> None:
    """Draw a layer's outlines, dark beneath and bright above, so that they stand out anywhere."""
    pen = ImageDraw.Draw(picture)
    quads = layer.boxes.quads * zoom
    crowded = len(quads) > 2000
    for quad in quads:
        ring = [tuple(corner) for corner in (*quad.tolist(), quad[0].tolist())]
        if not crowded and not layer.filled:
            pen.line(ring, (0, 0, 0), 4, joint="curve")
        pen.line(ring, layer.colour, 1 if crowded or layer.filled else 2, joint="curve")
    if layer.filled and not crowded:
        for quad, text in zip(quads, layer.texts, strict=True):
            _write_within(pen, quad, text, layer.colour)


def _write_within(
    pen: ImageDraw.ImageDraw, quad: Floats, text: str, colour: tuple[int, int, int]
) -> None:
    """As much of a text as an upright box is wide, in its upper left corner."""
    left, top = quad.min(axis=0)
    room = quad[:, 0].max() - left - 8
    font = ImageFont.load_default(14)
    line = " ".join(text.split())[:200]
    lengths = range(1, len(line) + 1)
    # Measuring each is slow; halving asks eight of two hundred.
    fitting = bisect_right(lengths, room, key=lambda count: pen.textlength(line[:count], font))
    pen.text(
        (left + 4, top + 2), line[:fitting], colour, font, stroke_width=2, stroke_fill=(0, 0, 0)
    )


@dataclass(frozen=True)
class Placing:
    """How a scene lies on a flat map.

    Args:
        matrix: a, b, c, d, e, f of x' = a x + c y + e and y' = b x + d y + f: its pixels to
            metres east and south of its middle; those of pixels to pixels where it lies nowhere.
        corners: (4, 2) longitude and latitude from its upper left corner on; None without.
        note: why it is shown as it is stored, "" where it lies north up.
    """

    matrix: tuple[float, ...]
    corners: Floats | None = None
    note: str = ""


_AS_STORED = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def placing_of(scene: Scene) -> Placing:
    """A scene's place on a plane that touches the planet in its middle, by its border."""
    place = scene.georeference
    if place is None or place.crs is None:
        return Placing(_AS_STORED, note="says no CRS: shown as stored, in pixels")
    width, height = scene.size_wh
    border = np.array([(0, 0), (2, 0), (2, 2), (0, 2), (1, 0), (2, 1), (1, 2), (0, 1), (1, 1)])
    points = border * np.array([width / 2, height / 2])
    lonlat = place.to_lonlat(points)
    if not np.isfinite(lonlat).all():
        return Placing(_AS_STORED, note="reaches beyond the planet: shown as stored")
    middle = np.repeat(lonlat[-1:], len(lonlat), axis=0)
    azimuths, _, lengths = geod_of(place).inv(*middle.T, *lonlat.T)
    angles = np.deg2rad(azimuths)
    plane = np.stack([lengths * np.sin(angles), -lengths * np.cos(angles)], axis=1)
    design = np.column_stack([points, np.ones(len(points))])
    solution = np.linalg.lstsq(design, plane, rcond=None)[0]  # (3, 2)
    miss = np.abs(design @ solution - plane).max()
    if miss > _CURVED * lengths.max() or not lengths.max():
        return Placing(_AS_STORED, note="too much of a planet for a flat map: shown as stored")
    corners = lonlat[:4].copy()
    corners[:, 0] = np.unwrap(corners[:, 0], period=360)
    return Placing(tuple(solution.ravel().tolist()), corners)
