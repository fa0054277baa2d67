"""`overview.png`: the scenes of a scan, small, with what was found drawn over them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFont

from swath.files import replacing
from swath.inference.mapping.class_files import AREAS, class_colours, class_picture
from swath.inference.mapping.class_map import ClassMap
from swath.inference.mapping.scene_view import draw_shapes, shapes_of, small_picture
from swath.inference.scan import Scan
from swath.inference.scenes.ground import plain
from swath.inference.scenes.scan_scene import ScannedScene

ALONE_PX, BESIDE_PX = 1200, 560
"""Longest side of the only scene, and of one among several."""

MOST_SCENES, MOST_CLASSES = 12, 16
"""That are shown, and listed below a scene."""

_LINE, _MARGIN = 20, 14
_INK, _WARNING, _PAPER = (20, 24, 28), (190, 20, 20), (255, 255, 255)
_AREA = (255, 255, 255)
_SWATCH = 12
_VEIL = 140  # of 255: how much a class' colour covers


@dataclass(frozen=True)
class Line:
    """A line below a scene: its words, their colour, and that of the square before them."""

    words: str
    ink: tuple[int, int, int] = _INK
    swatch: tuple[int, int, int] | None = None


def write_overview(path: Path, scan: Scan) -> None:
    """Write the overview of a scan as PNG; the same scan gives the same bytes."""
    with replacing(path) as temporary:
        overview(scan).save(temporary, format="PNG")


def overview(scan: Scan) -> Image.Image:
    """The scenes of a scan, at most `MOST_SCENES`, each with its results and what they are."""
    scenes = scan.scenes[:MOST_SCENES]
    longest_px = ALONE_PX if len(scenes) == 1 else BESIDE_PX
    panels = [_panel(scan, scanned, longest_px) for scanned in scenes]
    if len(scan.scenes) > MOST_SCENES:
        words = f"{len(scan.scenes) - MOST_SCENES} more scenes are in map.html and scan.json"
        panels.append(_captioned(None, [Line(words)]))
    return _sheet(panels)


def _panel(scan: Scan, scanned: ScannedScene, longest_px: int) -> Image.Image:
    scene = scanned.scene
    if scene is None:
        return _captioned(None, [Line(scanned.failure, _WARNING)])
    picture, zoom, fault = small_picture(scene, scan.model.rendering, longest_px)
    width, height = scene.size_wh
    size = f"{Path(scanned.path).name}, {width} x {height} px"
    if scene.gsd_m is not None:
        size += f", {plain(scene.gsd_m)} m a pixel"
    lines = [Line(size)]
    if fault:
        lines.append(Line(fault, _WARNING))
    for result in scanned.results:
        if isinstance(result, ClassMap):
            _paint_classes(picture, result, zoom)
            lines += _class_lines(result)
    for layer in shapes_of(scanned):
        draw_shapes(picture, layer, zoom)
        lines.append(Line(f"{layer.title}: {layer.summary}", swatch=layer.colour))
    if scanned.area is not None:
        _draw_area(picture, scanned.area, zoom)
    for words, missing in tally(scanned):
        lines.append(Line(words, _WARNING if missing else _INK))
    return _captioned(picture, lines)


def _paint_classes(picture: Image.Image, result: ClassMap, zoom: float) -> None:
    """Lay the classes' colours over the scene, through which it is still seen."""
    left, top, right, bottom = (round(edge * zoom) for edge in result.plan.bounds)
    size_wh = (max(1, right - left), max(1, bottom - top))
    colours, classified = class_picture(result, size_wh)
    mask = Image.fromarray((classified * _VEIL).astype(np.uint8))
    picture.paste(Image.fromarray(colours), (left, top), mask)


def _class_lines(result: ClassMap) -> list[Line]:
    """What the map is of, then the classes by the ground they cover."""
    lines = [Line(f"{result.question.asked} {result.told}")]
    colours = class_colours(len(result.labels))
    order = np.argsort(-result.shares, kind="stable")
    present = [row for row in order.tolist() if result.cells[row + 1]]
    for row in present[:MOST_CLASSES]:
        words = f"{result.labels[row]}: {result.shares[row]:.1%}"
        if result.areas_m2 is not None:
            words += f", {result.areas_m2[row + 1]:,.0f} m2"
        lines.append(Line(words, swatch=colours[row]))
    if len(present) > MOST_CLASSES:
        lines.append(Line(f"{len(present) - MOST_CLASSES} more classes in {AREAS}"))
    return lines


def tally(scanned: ScannedScene) -> list[tuple[str, bool]]:
    """What became of a scene's tiles, in words, and whether that makes the result a part."""
    tiles = scanned.tally
    skipped = [f"{count} {reason}" for reason, count in sorted(tiles.skipped.items())]
    words = ", ".join([f"{tiles.asked} of {tiles.planned} tiles asked", *skipped])
    lines = [(words, False)]
    if tiles.failed or tiles.waiting:
        missing = f"{len(tiles.failed)} tiles failed, {tiles.waiting} wait: a part of the result"
        lines.append((missing, True))
    return lines


def _draw_area(picture: Image.Image, area: shapely.Geometry, zoom: float) -> None:
    pen = ImageDraw.Draw(picture)
    for part in shapely.get_parts(area):
        if isinstance(part, shapely.Polygon):
            ring = shapely.get_coordinates(part.exterior) * zoom
            pen.line([tuple(corner) for corner in ring.tolist()], _AREA, 1)


def _captioned(picture: Image.Image | None, lines: Sequence[Line]) -> Image.Image:
    """A picture with lines below, broken where they are longer than it is wide."""
    font = ImageFont.load_default(14)
    wide, high = picture.size if picture else (BESIDE_PX, 0)
    wide = max(wide, BESIDE_PX)
    letters = max(20, wide // 8)
    broken = []
    for line in lines:
        first, *further = textwrap.wrap(line.words, letters, max_lines=4, placeholder=" ...")
        broken.append(replace(line, words=first))
        broken += [replace(line, words=words, swatch=None) for words in further]
    panel = Image.new("RGB", (wide, high + _LINE * len(broken) + _MARGIN // 2), _PAPER)
    if picture:
        panel.paste(picture)
    pen = ImageDraw.Draw(panel)
    y = high + _MARGIN // 2
    for line in broken:
        if line.swatch:
            square = (1, y + 2, 1 + _SWATCH, y + 2 + _SWATCH)
            pen.rectangle(square, line.swatch, _INK)
        pen.text((_SWATCH + 8, y), line.words, line.ink, font)
        y += _LINE
    return panel


def _sheet(panels: Sequence[Image.Image]) -> Image.Image:
    """Panels in rows, as many in a row as there are rows."""
    columns = int(np.ceil(np.sqrt(len(panels))))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    widest = max(panel.width for panel in panels) + _MARGIN
    heights = [max(panel.height for panel in row) + _MARGIN for row in rows]
    sheet = Image.new("RGB", (columns * widest + _MARGIN, sum(heights) + _MARGIN), _PAPER)
    for number, row in enumerate(rows):
        for column, panel in enumerate(row):
            sheet.paste(panel, (_MARGIN + column * widest, _MARGIN + sum(heights[:number])))
    return sheet
