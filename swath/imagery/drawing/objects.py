"""Things seen from above, each drawn at a place, angle and size and remembered with its box.

`size` is always the thing's longer side in hundredths of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from swath.imagery.drawing.canvas import At, Canvas, Part, Points, disc, rectangle, turned
from swath.imagery.drawing.palette import Rgb, paint, shade

GLASS: Rgb = (44, 54, 70)
_PARTS = yaml.safe_load(Path(__file__).with_name("parts.yaml").read_text("utf-8"))


def outline(*pairs: tuple[float, float]) -> Points:
    """A polygon symmetric about the x axis, from its upper half, front to back."""
    half = np.array(pairs, dtype=np.float64)
    return np.concatenate([half, half[::-1] * (1, -1)])


_SHAPES: dict[str, Callable[..., Points]] = {
    "outline": outline,
    "disc": disc,
    "rectangle": rectangle,
    "polygon": lambda *corners: np.array(corners),
}


def parts_of(name: str, rgb: Rgb, **others: Rgb) -> list[Part]:
    """The parts of a thing of `parts.yaml`, in that paint and those of others that it names."""
    parts: list[Part] = []
    for row in _PARTS[name]:
        kind = next(kind for kind in _SHAPES if kind in row)
        shape = turned(_SHAPES[kind](*row[kind]), (0, 0), np.radians(row.get("turn", 0)))
        colour: Rgb = tuple(row["rgb"]) if "rgb" in row else others.get(row.get("of"), rgb)
        parts.append((shape, shade(colour, row.get("paint", 1))))
    return parts


def car(c: Canvas, at: At, angle: float, size: float, colour: str, named: bool = True) -> None:
    """A passenger car."""
    form = "small car" if size * c.scale < 14 else "car"
    parts = parts_of(form, paint(c.rng, colour))
    c.stamp(parts, at, angle, size, 0.2, 1, "car" if named else None, colour)


def gable(
    c: Canvas, w: float, h: float, rgb: Rgb, angle: float, x: float = 0, y: float = 0
) -> list[Part]:
    """The two slopes of a roof whose ridge runs along the longer side, one lit."""
    across = w >= h
    if across:
        facing = -np.sin(angle) * c.sun[0] + np.cos(angle) * c.sun[1]
        lower = rectangle(w, h / 2, x, y + h / 4)
        upper = rectangle(w, h / 2, x, y - h / 4)
    else:
        facing = np.cos(angle) * c.sun[0] + np.sin(angle) * c.sun[1]
        lower = rectangle(w / 2, h, x + w / 4, y)
        upper = rectangle(w / 2, h, x - w / 4, y)
    bright = shade(rgb, 1.13 if across else 1.1)
    dull = shade(rgb, 0.74)
    if facing > 0:
        return [(lower, bright), (upper, dull)]
    return [(lower, dull), (upper, bright)]


def house(
    c: Canvas, at: At, angle: float, size: float, colour: str, named: str | None = "house"
) -> None:
    """A house with a gabled roof, now and then with a wing."""
    rgb = paint(c.rng, colour)
    depth = c.between(0.55, 0.85)
    parts = gable(c, 1.0, depth, rgb, angle)
    solid = 2
    if size > 8:
        if c.chance(0.5):
            side = c.rng.choice([-1, 1])
            wing = shade(rgb, 0.95)
            parts = gable(c, 0.36, depth * 0.5, wing, angle, side * 0.24, depth * 0.62) + parts
        chimney = rectangle(0.07, 0.07, 0.25, 0.12)
        parts.append((chimney, shade(rgb, 0.5)))
        solid = len(parts)
    c.stamp(parts, at, angle, size, c.between(0.2, 0.35), solid, named, colour)


def block(
    c: Canvas,
    at: At,
    angle: float,
    wh: tuple[float, float],
    colour: str,
    height: float,
    name: str | None = None,
    detail: bool = True,
) -> None:
    """A flat-roofed building with a parapet and machines on its roof."""
    rgb = paint(c.rng, colour)
    w, h = wh
    edge = min(w, h) * 0.07
    parts: list[Part] = [(rectangle(w, h), shade(rgb, 0.78))]
    parts.append((rectangle(w - 2 * edge, h - 2 * edge), rgb))
    if detail:
        for _ in range(c.whole(1, 4)):
            x, y = c.rng.uniform(-0.3, 0.3, 2) * (w, h)
            part = rectangle(w * c.between(0.1, 0.25), h * c.between(0.1, 0.25), x, y)
            parts.append((part, shade(rgb, c.rng.choice([0.6, 0.8, 1.2]))))
    c.stamp(parts, at, angle, 1.0, height, 1, name, colour)


def tree(c: Canvas, x: float, y: float, radius: float, rgb: Rgb) -> None:
    """One crown: shadow, dark rim, lit side."""
    reach = radius * 0.7 * c.low_sun
    c.circle(x - c.sun[0] * reach, y - c.sun[1] * reach, radius, (8, 10, 22, c.darkness))
    c.circle(x, y, radius, rgb)
    if radius * c.scale > 3:
        lit = radius * 0.3
        c.circle(x + c.sun[0] * lit, y + c.sun[1] * lit, radius * 0.55, shade(rgb, 1.35))
