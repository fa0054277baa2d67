"""Things seen from above, each drawn at a place, angle and size and remembered with its box.

`size` is always the thing's longer side in hundredths of the picture.
"""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing.canvas import At, Canvas, Part, Points, disc, rectangle
from swath.imagery.drawing.palette import Rgb, mix, paint, shade

GLASS: Rgb = (44, 54, 70)


def outline(*pairs: tuple[float, float]) -> Points:
    """A polygon symmetric about the x axis, from its upper half, front to back."""
    half = np.array(pairs, dtype=np.float64)
    return np.concatenate([half, half[::-1] * (1, -1)])


def car(c: Canvas, at: At, angle: float, size: float, colour: str, named: bool = True) -> None:
    """A passenger car."""
    rgb = paint(c.rng, colour)
    if size * c.scale < 14:
        parts: list[Part] = [(rectangle(1, 0.46), rgb), (rectangle(0.3, 0.36, 0.08), GLASS)]
    else:
        body = outline((0.5, 0.12), (0.46, 0.2), (0.3, 0.23), (-0.44, 0.23), (-0.5, 0.16))
        parts = [
            (body, rgb),
            (outline((0.22, 0.15), (0.1, 0.19), (0.08, 0.14)), GLASS),
            (outline((-0.28, 0.14), (-0.36, 0.19), (-0.38, 0.14)), GLASS),
            (rectangle(0.34, 0.3, -0.1), shade(rgb, 1.1)),
        ]
    c.stamp(parts, at, angle, size, 0.2, 1, "car" if named else None, colour)


def gable(
    c: Canvas, w: float, h: float, rgb: Rgb, angle: float, x: float = 0, y: float = 0
) -> list[Part]:
    """The two slopes of a roof whose ridge runs along the longer side, one lit."""
    lit = 1.13 if w >= h else 1.1
    if w >= h:
        facing = -np.sin(angle) * c.sun[0] + np.cos(angle) * c.sun[1]
        one = rectangle(w, h / 2, x, y + h / 4)
        two = rectangle(w, h / 2, x, y - h / 4)
    else:
        facing = np.cos(angle) * c.sun[0] + np.sin(angle) * c.sun[1]
        one = rectangle(w / 2, h, x + w / 4, y)
        two = rectangle(w / 2, h, x - w / 4, y)
    bright, dull = shade(rgb, lit), shade(rgb, 0.74)
    return [(one, bright if facing > 0 else dull), (two, dull if facing > 0 else bright)]


def house(
    c: Canvas, at: At, angle: float, size: float, colour: str, named: str | None = "house"
) -> None:
    """A house with a gabled roof, now and then with a wing."""
    rgb = paint(c.rng, colour)
    w, h = 1.0, c.rng.uniform(0.55, 0.85)
    parts = gable(c, w, h, rgb, angle)
    if size > 8:
        if c.rng.random() < 0.5:
            side = c.rng.choice([-1, 1])
            parts = (
                gable(c, w * 0.36, h * 0.5, shade(rgb, 0.95), angle, side * 0.24, h * 0.62) + parts
            )
        parts.append((rectangle(0.07, 0.07, 0.25, 0.12), shade(rgb, 0.5)))
    c.stamp(
        parts,
        at,
        angle,
        size,
        c.rng.uniform(0.2, 0.35),
        len(parts) if size > 8 else 2,
        named,
        colour,
    )


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
        for _ in range(int(c.rng.integers(1, 4))):
            x, y = c.rng.uniform(-0.3, 0.3, 2) * (w, h)
            part = rectangle(w * c.rng.uniform(0.1, 0.25), h * c.rng.uniform(0.1, 0.25), x, y)
            parts.append((part, shade(rgb, c.rng.choice([0.6, 0.8, 1.2]))))
    c.stamp(parts, at, angle, 1.0, height, 1, name, colour)


def pool(c: Canvas, at: At, angle: float, size: float) -> None:
    """A swimming pool with a pale rim: a rectangle, or two round basins run together."""
    blue = mix((60, 170, 205), (40, 120, 200), c.rng.random())
    rim: Rgb = (226, 218, 200)
    if c.rng.random() < 0.5:
        h = c.rng.uniform(0.4, 0.6)
        parts: list[Part] = [(rectangle(1, h), rim), (rectangle(0.9, h - 0.1), blue)]
        parts.append((rectangle(0.9, h * 0.1, 0, h * 0.3), shade(blue, 1.2)))
    else:
        small = c.rng.uniform(0.16, 0.22)
        x = 0.5 - small
        parts = [(disc(0.32, -0.18), rim), (disc(small, x), rim), (rectangle(0.5, 0.26, 0.08), rim)]
        parts += [(disc(0.28, -0.18), blue), (disc(small - 0.04, x), blue)]
        parts.append((rectangle(0.5, 0.18, 0.08), blue))
    c.stamp(parts, at, angle, size, name="swimming pool")


def tree(c: Canvas, x: float, y: float, radius: float, rgb: Rgb) -> None:
    """One crown: shadow, dark rim, lit side."""
    reach = radius * 0.7 * c.low_sun
    c.circle(x - c.sun[0] * reach, y - c.sun[1] * reach, radius, (8, 10, 22, c.darkness))
    c.circle(x, y, radius, rgb)
    if radius * c.scale > 3:
        lit = radius * 0.3
        c.circle(x + c.sun[0] * lit, y + c.sun[1] * lit, radius * 0.55, shade(rgb, 1.35))
