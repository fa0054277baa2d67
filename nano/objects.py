"""Objects that only the base kinds draw: planes, ships, tanks, churches, sports grounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from swath.imagery.drawing.canvas import (
    MIDDLE,
    At,
    Canvas,
    Part,
    Points,
    Thing,
    disc,
    flat,
    rectangle,
    turned,
)
from swath.imagery.drawing.objects import GLASS, gable, outline
from swath.imagery.drawing.palette import PAINTS, Rgb, mix, paint, shade
from swath.imagery.drawing.texture import Field


def cover(c: Canvas, *shapes: Points) -> Field:
    """Cover 0 to 1 of filled outlines."""
    mask = Image.new("L", (2 * c.size, 2 * c.size))
    pen = ImageDraw.Draw(mask)
    for points in shapes:
        pen.polygon(flat(points, c.scale), fill=255)
    return np.asarray(mask.reduce(2), np.float32) / np.float32(255)


def plane(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """An airliner or a small propeller plane."""
    rgb = paint(c.rng, colour)
    dark = shade(rgb, 0.82)
    jet = c.chance(0.75)
    sweep, span = (0.24, 0.47) if jet else (0.05, 0.5)
    wing = outline((0.1, 0.04), (0.08 - sweep, span), (0.0 - sweep, span), (-0.08, 0.04))
    tail = outline((-0.38, 0.02), (-0.46, 0.17), (-0.5, 0.17), (-0.46, 0.02))
    body = outline(
        (0.5, 0.0), (0.45, 0.035), (0.36, 0.05), (-0.3, 0.05), (-0.5, 0.012), (-0.5, 0.0)
    )
    parts: list[Part] = [(wing, dark), (tail, dark), (body, rgb)]
    if jet:
        for side in (-1, 1):
            parts.append((rectangle(0.1, 0.045, 0.03, side * 0.17), shade(rgb, 0.55)))
    parts.append((outline((0.46, 0.0), (0.44, 0.025), (0.4, 0.025)), GLASS))
    if c.chance(0.4):
        parts.append((rectangle(0.1, 0.03, -0.44), PAINTS[c.pick("red", "blue")]))
    c.stamp(parts, at, angle, size, 0.09, 3, "plane", colour)


def ship(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A ship with a pointed bow, hatches or a deckhouse; its hull carries the colour."""
    rgb = paint(c.rng, colour)
    w = c.between(0.1, 0.16)
    hull = outline((0.5, 0.0), (0.4, w * 0.6), (0.28, w), (-0.46, w), (-0.5, w * 0.75))
    deck = outline((0.42, 0.0), (0.26, w * 0.68), (-0.44, w * 0.68))
    parts: list[Part] = [(hull, rgb), (deck, shade(rgb, 1.12 if colour != "black" else 1.6))]
    form = c.rng.random()
    if form < 0.45:
        for i in range(c.whole(2, 5)):
            parts.append((rectangle(0.1, w * 1.0, 0.2 - i * 0.14), shade(rgb, 0.68)))
    elif form < 0.7:
        parts.append((rectangle(0.5, w * 0.2, 0.02), shade(rgb, 0.6)))
    parts.append((rectangle(0.13, w * 1.3, -0.36), (226, 226, 222)))
    parts.append((rectangle(0.04, w * 0.9, -0.33), GLASS))
    c.stamp(parts, at, angle, size, 0.05, 1, "ship", colour)


def truck(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A lorry: cab and a long load."""
    rgb = paint(c.rng, colour)
    cab = paint(c.rng, c.pick("white", "red", "blue", "yellow"))
    parts: list[Part] = [
        (rectangle(0.78, 0.26, -0.11), rgb),
        (rectangle(0.18, 0.24, 0.41), cab),
        (rectangle(0.74, 0.05, -0.11), shade(rgb, 0.85)),
        (rectangle(0.04, 0.2, 0.44), GLASS),
    ]
    c.stamp(parts, at, angle, size, 0.24, 2, "truck", colour)


def train(c: Canvas, at: At, angle: float, size: float, colour: str, width: float) -> None:
    """A train: equal cars in a row, `width` wide on the sheet."""
    rgb = paint(c.rng, colour)
    w = width / size
    cars = c.whole(3, 7)
    parts: list[Part] = [(rectangle(1, w), shade(rgb, 0.45))]
    for i in range(cars):
        middle = -0.5 + (i + 0.5) / cars
        parts.append((rectangle(0.94 / cars, w, middle), rgb))
        parts.append((rectangle(0.9 / cars, w * 0.3, middle), shade(rgb, 1.2)))
    c.stamp(parts, at, angle, size, w * 0.9, 1, "train", colour)


def tank(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A round storage tank with a rim, a stair and a lit roof."""
    rgb = paint(c.rng, colour)
    parts: list[Part] = [(disc(0.5, corners=28), shade(rgb, 0.72)), (disc(0.46), rgb)]
    if c.chance(0.5):
        lit = disc(0.3, 0.1 * c.sun[0], 0.1 * c.sun[1])
        parts.append((lit, shade(rgb, 1.1)))
    else:
        stair = turned(rectangle(0.9, 0.03), (0, 0), angle)
        parts += [(stair, shade(rgb, 0.75)), (disc(0.08), shade(rgb, 0.6))]
    c.stamp(parts, at, 0.0, size, c.between(0.2, 0.45), 1, "storage tank", colour)


def hall(
    c: Canvas, at: At, angle: float, wh: tuple[float, float], colour: str, name: str | None
) -> None:
    """A long works hall: parallel sheds with ribs and skylights."""
    rgb = paint(c.rng, colour)
    w, h = wh
    sheds = c.whole(1, 5)
    parts: list[Part] = [(rectangle(w, h), rgb)]
    for i in range(sheds):
        y = -h / 2 + (i + 0.5) * h / sheds
        parts += gable(c, w, h / sheds, rgb, angle, 0, y) if w > h / sheds else []
        if c.chance(0.5):
            for x in np.linspace(-0.4, 0.4, c.whole(4, 8)) * w:
                parts.append((rectangle(w * 0.03, h / sheds * 0.7, x, y), shade(rgb, 1.25)))
    c.stamp(parts, at, angle, 1.0, min(w, h) * 0.15, 1, name, colour)


def church(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A cross-shaped church with an apse and a tower."""
    rgb = paint(c.rng, colour)
    nave, arm = c.between(0.2, 0.28), c.between(0.5, 0.62)
    parts: list[Part] = [(disc(nave / 2, 0.37, 0), shade(rgb, 0.9))]
    parts += gable(c, 0.84, nave, rgb, angle)
    parts += gable(c, nave * 0.9, arm, rgb, angle, 0.14)
    tower = nave * 0.95
    x = -0.5 + tower / 2
    top = shade(paint(c.rng, c.pick("gray", "brown", "green", "white")), 0.9)
    parts.append((rectangle(tower, tower, x), top))
    for k, light in enumerate((1.2, 0.7, 0.85, 1.05)):
        wedge = np.array([[0, 0], [-0.5, -0.5], [0.5, -0.5]]) * tower
        parts.append((turned(wedge, (x, 0), k * np.pi / 2), shade(top, light)))
    c.stamp(parts, at, angle, size, 0.2, 6, "church", colour)


def dome(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A great round hall: wedges of roof about a crown, light following the sun."""
    rgb = paint(c.rng, colour)
    wedges = int(c.rng.choice([6, 8, 12, 16, 24]))
    squash = c.between(0.75, 1.0)
    parts: list[Part] = [(disc(0.5, corners=32) * (1, squash), shade(rgb, 0.6))]
    ring = c.between(0.1, 0.28)
    for i in range(wedges):
        a, b = 2 * np.pi * i / wedges, 2 * np.pi * (i + 1) / wedges
        middle = (a + b) / 2 + angle
        light = 0.92 + 0.2 * (np.cos(middle) * c.sun[0] + np.sin(middle) * c.sun[1])
        wedge = np.array([[0, 0], [np.cos(a), np.sin(a)], [np.cos(b), np.sin(b)]]) * 0.46
        parts.append((wedge * (1, squash), shade(rgb, light - 0.06 * (i % 2))))
    parts.append((disc(ring, corners=24) * (1, squash), shade(rgb, c.rng.choice([0.65, 1.25]))))
    if c.chance(0.5):
        parts.append((disc(ring * 0.6) * (1, squash), paint(c.rng, "gray")))
    c.stamp(parts, at, angle, size, 0.14, 1, "dome", colour)


def oval(a: float, b: float, straight: float) -> Points:
    """A track's outline: two half ellipses joined by straights of that length along x."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 12)
    end = np.stack([straight / 2 + a * np.cos(turn), b * np.sin(turn)], axis=1)
    return np.concatenate([end, -end])


def pitch_parts(c: Canvas, w: float, h: float, rgb: Rgb) -> list[Part]:
    """A football pitch with mown stripes and white lines, in the frame of the thing it lies in."""
    parts: list[Part] = [(rectangle(w, h), rgb)]
    bands = c.whole(6, 10)
    for i in range(0, bands, 2):
        parts.append((rectangle(w / bands, h, -w / 2 + (i + 0.5) * w / bands), shade(rgb, 1.12)))
    line = mix(rgb, (255, 255, 255), 0.6)
    t = h * 0.025
    parts += [(rectangle(t, h), line), (disc(h * 0.15), line), (disc(h * 0.12), rgb)]
    for side in (-1, 1):
        parts += [
            (rectangle(w * 0.14, h * 0.5, side * w * 0.43), line),
            (rectangle(w * 0.14 - t, h * 0.5 - 2 * t, side * (w * 0.43 + t / 2)), rgb),
            (rectangle(w, t, 0, side * h / 2), line),
            (rectangle(t, h, side * w / 2), line),
        ]
    return parts


def turf(c: Canvas) -> Rgb:
    """The colour of a mown pitch."""
    return mix(c.rgb["grass"], (70, 130, 60), c.between(0.1, 0.7))


def track(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A running track about a football pitch."""
    rgb = paint(c.rng, colour)
    b = 0.28
    parts: list[Part] = [(oval(0.24, b, 0.52), rgb)]
    for k in (0.045, 0.025):
        ring = mix(rgb, (255, 255, 255), 0.45)
        parts += [(oval(0.24 - k, b - k, 0.52), ring), (oval(0.23 - k, b - k - 0.01, 0.52), rgb)]
    grass = turf(c)
    parts.append((oval(0.17, b - 0.075, 0.52), shade(grass, 0.92)))
    parts += pitch_parts(c, 0.54, 0.3, grass)
    c.stamp(parts, at, angle, size, name="running track", colour=colour)


def court(c: Canvas, at: At, angle: float, size: float, colour: str, name: str) -> None:
    """A tennis or basketball court: an inner field in another paint, white lines."""
    rgb = paint(c.rng, colour)
    inner = shade(rgb, 1.22) if c.chance(0.5) else mix(rgb, PAINTS["red"], 0.25)
    white: Rgb = (232, 232, 228)
    parts: list[Part] = [(rectangle(1, 0.54), rgb), (rectangle(0.82, 0.4), white)]
    parts += [(rectangle(0.79, 0.37), inner), (rectangle(0.02, 0.4), white)]
    if name == "tennis court":
        parts += [(rectangle(0.44, 0.015), white), (rectangle(0.79, 0.015, 0, 0.13), white)]
        parts.append((rectangle(0.79, 0.015, 0, -0.13), white))
    else:
        parts += [(disc(0.08), white), (disc(0.06), inner)]
        for side in (-1, 1):
            parts.append((rectangle(0.16, 0.16, side * 0.32), white))
            parts.append((rectangle(0.14, 0.13, side * 0.32), rgb))
    c.stamp(parts, at, angle, size, name=name, colour=colour)


def diamond(c: Canvas, at: At, angle: float, size: float) -> None:
    """A baseball diamond: a quarter of a disc about the home plate, its infield of bare dirt."""
    grass = turf(c)
    dirt = mix(c.rgb["soil"], (176, 120, 80), c.between(0.2, 0.8))
    home = np.array([-0.5, -0.5])

    def quarter(radius: float, back: float = 0.0) -> Points:
        turn = np.linspace(0, np.pi / 2, 14)
        arc = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius
        return np.concatenate([[[-back, -back]], arc]) + home

    line = mix(grass, (255, 255, 255), 0.7)
    parts: list[Part] = [(quarter(1.0), dirt), (quarter(0.95), grass)]
    parts += [(quarter(0.5), dirt)]
    inner = np.array([[0.07, 0.07], [0.33, 0.07], [0.33, 0.33], [0.07, 0.33]]) + home
    parts.append((inner, shade(grass, 1.1)))
    parts.append((disc(0.045, -0.3, -0.3), dirt))
    parts.append((disc(0.07, -0.43, -0.43), dirt))
    for base in ((0.36, 0.04), (0.36, 0.36), (0.04, 0.36)):
        parts.append((rectangle(0.03, 0.03, *(home + base)), (240, 240, 236)))
    parts.append((rectangle(0.98, 0.012, -0.01, -0.49), line))
    parts.append((rectangle(0.012, 0.98, -0.49, -0.01), line))
    c.stamp(parts, at, angle, size, name="baseball diamond")


def stadium(c: Canvas, at: At, angle: float, size: float, colour: str) -> None:
    """A stadium: stands in sectors about a pitch, some of them roofed."""
    rgb = paint(c.rng, colour)
    b = c.between(0.36, 0.45)
    parts: list[Part] = [(oval(0.3, b, 0.4), shade(rgb, 0.8))]
    seats = [rgb, shade(rgb, 0.86), paint(c.rng, c.pick("blue", "red", "gray"))]
    outer, inner = oval(0.285, b - 0.015, 0.4), oval(0.12, b - 0.17, 0.4)
    count = len(outer)
    for i in range(count):
        j = (i + 1) % count
        wedge = np.array([outer[i], outer[j], inner[j], inner[i]])
        middle = wedge.mean(axis=0)
        turn = np.arctan2(middle[1], middle[0]) + angle
        light = 0.95 - 0.22 * (np.cos(turn) * c.sun[0] + np.sin(turn) * c.sun[1])
        parts.append((wedge, shade(seats[(i // 2) % len(seats)], light)))
    parts.append((inner, shade(paint(c.rng, c.pick("red", "green", "gray")), 0.8)))
    parts += pitch_parts(c, 0.46, (b - 0.2) * 1.7, turf(c))
    if c.chance(0.5):
        for side in (-1, 1):
            roof = np.array([[-0.3, b], [0.3, b], [0.25, b - 0.12], [-0.25, b - 0.12]]) * (1, side)
            parts.append((roof, paint(c.rng, "white")))
    c.stamp(parts, at, angle, size, 0.12, 1, "stadium", colour)


def spot_at(u: float, v: float, angle: float) -> Points:
    """The place (u, v) from the picture's middle, along axes turned by `angle`."""
    return turned(np.array([[u, v]]), MIDDLE, angle)[0]


def blob(c: Canvas, radius: float, rough: float = 0.25) -> Points:
    """A rounded, uneven outline about the origin, `radius` on average."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    out = np.ones(40)
    for k in (2, 3, 4, 5):
        out += rough / k * c.rng.normal() * np.cos(k * turn + c.between(0, 6.3))
    out = np.clip(out, 0.45, 1.6) * radius
    return np.stack([np.cos(turn) * out, np.sin(turn) * out], axis=1)


def remember(c: Canvas, name: str, colour: str | None, middle: ArrayLike, size: ArrayLike) -> None:
    """Note a thing drawn as ground by its upright box: middle, and width and height."""
    wide, high = np.broadcast_to(np.asarray(size, float), 2)
    x, y = np.asarray(middle, float)
    box = rectangle(wide, high, x, y)
    c.things.append(Thing(name, colour, box, box))


def pool(c: Canvas, at: At, angle: float, size: float) -> None:
    """A swimming pool with a pale rim: a rectangle, or two round basins run together."""
    blue = mix((60, 170, 205), (40, 120, 200), c.rng.random())
    rim: Rgb = (226, 218, 200)
    if c.chance(0.5):
        h = c.between(0.4, 0.6)
        parts: list[Part] = [(rectangle(1, h), rim), (rectangle(0.9, h - 0.1), blue)]
        parts.append((rectangle(0.9, h * 0.1, 0, h * 0.3), shade(blue, 1.2)))
    else:
        small = c.between(0.16, 0.22)
        x = 0.5 - small
        parts = [(disc(0.32, -0.18), rim), (disc(small, x), rim), (rectangle(0.5, 0.26, 0.08), rim)]
        parts += [(disc(0.28, -0.18), blue), (disc(small - 0.04, x), blue)]
        parts.append((rectangle(0.5, 0.18, 0.08), blue))
    c.stamp(parts, at, angle, size, name="swimming pool")
