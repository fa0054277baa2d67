"""Scene kinds of storing and making: tanks, halls, parked cars."""

from __future__ import annotations

import numpy as np

from nano import objects
from nano.objects import spot_at
from swath.imagery.drawing import objects as common
from swath.imagery.drawing.canvas import MIDDLE, At, Canvas, rectangle, straight, turned
from swath.imagery.drawing.layout import by_name, number, plan, put, those
from swath.imagery.drawing.palette import shade
from swath.imagery.drawing.surroundings import lay, paved_ground, road, settle, trees

CAR_PAINTS = ("white", "black", "red", "blue", "yellow", "gray", "green")


def parking_lot(c: Canvas) -> None:
    """Rows of marked stalls with many cars, or a few cars from close by."""
    lot = "asphalt" if c.chance(0.6) else "concrete"
    paved_ground(c, lot)
    angle = c.between(0, np.pi)
    line = (235, 235, 228)
    if c.chance(0.45):
        c.extent_m = c.between(12, 30)
        size = c.between(22, 42)
        pitch = size * 0.62
        for k in range(-6, 7):
            for row in (-1, 1):
                seam = np.array([[0, k * pitch], [row * size * 1.15, k * pitch]])
                c.line(turned(seam, MIDDLE, angle), 0.9, line)
        colours = [colour for _, colour in plan(c, 9, (1, 1.01), CAR_PAINTS)]
        slots = [(row, k) for row in (-1, 1) for k in range(-4, 5)]
        count = number(c, 8, 0.3)
        for i in c.rng.permutation(len(slots)):
            row, k = slots[i]
            at = spot_at(row * size * 0.58, (k + 0.5) * pitch, angle)
            if (np.abs(at - 50) < 49 - size * 0.5).all() and colours and count:
                count -= 1
                way = angle + c.rng.normal(0, 0.03) + c.rng.choice([0, np.pi])
                wheels = c.between(0.85, 1) * size
                if c.chance(0.15):
                    objects.truck(c, at, way, size * 1.1, colours.pop(0))
                else:
                    common.car(c, at, way, wheels, colours.pop(0))
        c.say("parking lot, close", tone="dark" if lot == "asphalt" else "pale")
        c.note("white lines")
        return
    c.extent_m = c.between(60, 160)
    size = c.between(5.0, 8.5)
    full = c.between(0.45, 0.98)
    aisle = size * c.between(3.0, 3.6)
    keep = turned(rectangle(c.between(70, 150), c.between(70, 150)), MIDDLE, angle)
    inside = objects.cover(c, keep) > 0.5
    lawn = c.rgb["grass"]
    if not inside.all():
        for side in range(4):
            a, b = keep[side], keep[(side + 1) % 4]
            out = (b - a)[::-1] * (1, -1) / np.hypot(*(b - a)) * 80
            c.polygon(np.array([a, b, b + out, a + out]), lawn)
    for v in np.arange(-80, 81, aisle) + c.between(0, aisle):
        for half in (-0.52, 0.52):
            u = np.arange(-76, 77, size * 0.56)
            spots = turned(np.stack([u, np.full_like(u, v + half * size * 1.05)], 1), MIDDLE, angle)
            near = (np.abs(spots - 50) < 52).all(axis=1)
            index = np.clip((spots * c.size / 100).astype(int), 0, c.size - 1)
            near &= inside[index[:, 1], index[:, 0]]
            for (x, y), parked in zip(spots[near], c.rng.random(near.sum()) < full, strict=True):
                edge = turned(np.array([[-0.28, -0.5], [-0.28, 0.5]]) * size, (x, y), angle)
                c.line(edge, 0.3, line)
                if parked:
                    colour = CAR_PAINTS[
                        int(c.rng.choice(7, p=[0.3, 0.2, 0.1, 0.1, 0.03, 0.24, 0.03]))
                    ]
                    common.car(c, (x, y), angle + np.pi / 2, size * 0.9, colour, named=False)
    c.crowds["car"] = None
    c.blocked |= inside
    if not inside.all() and trees(c, 30, 2.0) > 4:
        c.note(f"some {c.word['tree']} trees")
    c.note("white lines")
    c.say("parking lot")


def storage_tanks(c: Canvas) -> None:
    """Round tanks in bunds, one to a dozen."""
    count = number(c, 12, 0.22)
    c.extent_m = c.between(80, 300)
    lay(c, ("grass", "soil", "sand", "paved", "paved", "fields"))
    colours = ("white", "gray", "brown", "red", "blue", "green", "yellow")
    wanted = plan(c, count, (22, 58), colours)
    wanted = [(min(s, 62 / max(1, count) ** 0.5), colour) for s, colour in wanted]
    floor = c.rgb[c.pick("concrete", "soil", "sand")]
    angle = c.between(0, np.pi)
    if c.chance(0.6):
        c.polygon(turned(rectangle(150, c.between(60, 110)), MIDDLE, angle), floor)

    def bund(at: At, turn: float, size: float, colour: str) -> None:
        wall = turned(rectangle(size * 1.32, size * 1.32), at, angle)
        c.line(np.concatenate([wall, wall[:1]]), 0.8, shade(floor, 1.2))
        objects.tank(c, at, turn, size, colour)

    put(c, bund, wanted, 0.62)
    for _ in range(c.whole(0, 4)):
        pipe = straight(80, angle, at=c.rng.uniform(10, 90, 2))
        inside = pipe if c.free(np.linspace(pipe[0], pipe[1], 60), 0.5).all() else None
        if inside is not None:
            c.line(inside, 0.8, (190, 190, 186))
    settle(c, angle)
    c.say("storage tanks", tanks=those(c, "storage tank"))


def industrial_area(c: Canvas) -> None:
    """Long ribbed halls in rows with yards between them."""
    c.extent_m = c.between(150, 500)
    lay(c, ("paved", "soil", "paved", "sand", "grass"))
    angle = c.between(0, np.pi)
    line = straight(80, angle, at=c.rng.uniform(25, 75, 2))
    width = c.between(3, 6)
    road(c, line, width)
    c.take_line(line, width + 1)
    colours = [
        str(n) for n in c.rng.choice(["blue", "white", "gray", "red", "brown"], 2, replace=False)
    ]
    deep, long = c.between(10, 20), c.between(22, 50)
    v = -70.0
    while v < 70:
        u = -75 + c.between(0, 10)
        while u < 75:
            w = long * c.between(0.6, 1.2)
            at = spot_at(u + w / 2, v, angle)
            ends = turned(rectangle(w, deep), at, angle)
            if (np.abs(at - 50) < 60).all() and c.free(np.concatenate([ends, at[None]]), 1).all():
                if c.chance(0.85):
                    hue = colours[int(c.chance(0.25))]
                    objects.hall(c, at, angle, (w, deep * c.between(0.8, 1)), hue, None)
                c.blocked |= objects.cover(c, turned(rectangle(w + 2, deep + 2), at, angle)) > 0.3
            u += w + c.between(2, 5)
        v += deep + c.between(3, 7)
    c.crowds["building"] = None
    c.notes += ["a road"]
    trees(c, c.whole(0, 30), 1.5)
    c.say("industrial area", paint=colours[0], other=colours[1])


WORKS = by_name(industrial_area, parking_lot, storage_tanks)
