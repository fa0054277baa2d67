"""Scene kinds of getting about: airports, ports, bridges, railways, crossing roads."""

from __future__ import annotations

from functools import partial

import numpy as np

from nano import objects
from nano.nature import SHIP_PAINTS, bank
from nano.objects import spot_at
from swath.imagery.drawing.canvas import MIDDLE, Canvas, rectangle, straight, turned
from swath.imagery.drawing.layout import by_name, number, plan, put, those
from swath.imagery.drawing.palette import mix, paint, shade
from swath.imagery.drawing.surroundings import lay, paved_ground, road, settle, traffic, water
from swath.imagery.drawing.texture import above, across

PLANE_PAINTS = ("white", "red", "blue", "gray", "yellow", "white")


def airport(c: Canvas) -> None:
    """Runway, taxiways, apron and terminal with planes; or the apron from close by."""
    angle = c.between(0, 2 * np.pi)
    close = c.chance(0.45)
    c.extent_m = c.between(60, 200) if close else c.between(400, 1200)
    paints = tuple(dict.fromkeys(PLANE_PAINTS))
    if close:
        paved_ground(c, "concrete" if c.chance(0.6) else "asphalt")
        mark = (226, 200, 80) if c.chance(0.6) else (235, 235, 230)
        base = c.between(-60, -20)
        for k in range(7):
            seam = straight(80, angle, base + k * 22)
            c.line(seam, 0.3, shade(c.rgb["concrete"], 0.8))
        for _ in range(2):
            v = c.between(-40, 40)
            c.line(straight(80, angle, v), 0.6, mark)
        if c.chance(0.5):
            edge = turned(rectangle(170, 60, 0, c.between(60, 75)), MIDDLE, angle)
            c.polygon(edge, c.rgb["grass"])
            c.take_line(edge[[0, 1]], 4)
            c.blocked |= objects.cover(c, edge) > 0.3
        wanted = plan(c, number(c, 4, 0.4), (26, 62), paints)
        put(c, partial(objects.plane, c), wanted, 0.5, angle, c.rng.choice([0.2, 3.1]))
        c.note("some lines on the ground")
    else:
        lay(c, ("grass", "soil", "sand", "fields"))
        grey = c.rgb["asphalt"]
        v = c.between(14, 34) * c.rng.choice([-1, 1])
        width = c.between(6, 10)
        runway = straight(90, angle, v)
        road(c, runway, width)
        start = straight(90, angle, v * 0.35)
        c.line(start, width * 0.45, grey)
        for u in c.rng.uniform(-45, 45, 3):
            link = np.array([[u, v], [u + 8 * np.sign(v), v * 0.35]])
            c.line(turned(link, MIDDLE, angle), width * 0.4, grey)
        apron = turned(rectangle(90, 44, 0, -np.sign(v) * 17), MIDDLE, angle)
        c.polygon(apron, c.rgb["concrete"])
        deep = c.between(8, 12)
        at = spot_at(0, -np.sign(v) * 34, angle)
        roof = c.pick("white", "gray", "blue", "brown")
        objects.hall(c, at, angle, (c.between(40, 76), deep), roof, None)
        c.blocked = objects.cover(c, apron) < 0.9
        c.take_line(straight(60, angle, -np.sign(v) * 34), 14)
        wanted = plan(c, c.whole(2, 8), (13, 22), paints)
        facing = angle - np.sign(v) * np.pi / 2
        put(c, partial(objects.plane, c), wanted, 0.52, facing, 0.1)
        c.blocked = objects.cover(c, apron) > 0
        c.take_line(runway, width + 2)
        c.take_line(start, width)
        c.take(at[0], at[1], 30)
        settle(c)
        c.notes[:0] = ["a long runway", "a terminal"]
    c.say("airport", planes=those(c, "plane"))


def port(c: Canvas) -> None:
    """A quay with piers and ships lying along them."""
    c.extent_m = c.between(150, 600)
    angle = c.between(0, 2 * np.pi)
    lay(c, ("paved", "paved", "blocks", "soil", "grass"))
    away = across(c.size, angle + np.pi / 2)
    edge = c.between(-32, -14)
    sea = above(away, edge, c.size)
    quay = above(away, edge - c.between(3, 10), c.size)
    paved_ground(c, "concrete", quay)
    water(c, sea)
    count = number(c, 4, 0.4)
    piers = np.sort(c.rng.uniform(-44, 44, count))
    piers = piers[np.concatenate([[True], np.diff(piers) > 16])]
    wide, far = c.between(3, 7), c.between(25, 55)
    for u in piers:
        deck = turned(rectangle(wide, far, u, edge + far / 2 - 1), MIDDLE, angle)
        c.shadow(deck, 1.5)
        c.polygon(deck, c.rgb["concrete"])
        c.take_cover(
            objects.cover(
                c, turned(rectangle(wide + 0.5, far, u, edge + far / 2 - 1), MIDDLE, angle)
            )
        )
    c.take_cover(1 - sea)
    wanted = plan(c, number(c, 8, 0.3), (16, 44), SHIP_PAINTS)
    way = angle + (np.pi / 2 if len(piers) > 1 or c.chance(0.5) else 0)
    put(c, partial(objects.ship, c), wanted, 0.42 if len(wanted) > 2 else 0.5, way, 0.12)
    c.blocked = sea > 0
    c.blocked |= quay > 0.5
    settle(c, angle)
    for _ in range(c.whole(0, 4)):
        u = c.between(-50, 50)
        at = spot_at(u, edge - 9, angle)
        hue = c.pick("white", "gray", "blue", "brown")
        objects.hall(c, at, angle, (c.between(14, 26), 7), hue, None)
    c.say("port", ships=those(c, "ship"))


def bridge(c: Canvas) -> None:
    """A straight bridge over water, a road running on to both banks."""
    c.extent_m = c.between(150, 600)
    lay(c)
    half = c.between(10, 27)
    state = c.between(0, np.pi)
    v = across(c.size, state + np.pi / 2) - c.between(-12, 12)
    away = v + c.noise(2, 3) * np.float32(1.6)
    wet = above(-np.abs(away), -half, c.size)
    bank(c, away, half)
    water(c, wet)
    shift = float((across(c.size, state + np.pi / 2) - v).mean())
    middle = spot_at(c.between(-20, 20), shift, state)
    slant = c.between(-0.35, 0.35)
    angle = state + np.pi / 2 + slant
    width = c.between(4, 11)
    long = 2 * (half + c.between(4, 8)) / np.cos(slant)
    line = turned(np.array([[-110.0, 0], [0, 0], [110, 0]]), middle, angle)
    road(c, line, width * 0.9)
    colour = c.pick("white", "gray", "red", "gray", "brown")
    rgb = mix(paint(c.rng, colour), c.rgb["asphalt"], 0.35 if colour != "red" else 0.1)
    w = width / long
    parts = [
        (rectangle(1, w * 1.25), shade(rgb, 1.1)),
        (rectangle(1, w * 0.8), c.rgb["asphalt"]),
    ]
    for k in np.linspace(-0.4, 0.4, c.whole(3, 8)):
        parts.append((rectangle(0.012, w * 1.25, k), shade(rgb, 1.25)))
    c.stamp(parts, middle, angle, long, w * 0.7, 1, "bridge", colour)
    if width > 6:
        traffic(c, line, width, c.whole(4, 14), width * 0.3)
    c.take_line(line, width * 1.3)
    if half > 16 and c.chance(0.5):
        keep = c.blocked.copy()
        c.blocked |= wet < 0.98
        wanted = plan(c, number(c, 3), (11, 20), SHIP_PAINTS)
        put(c, partial(objects.ship, c), wanted, 0.5, state, 0.2)
        c.blocked = keep
    c.take_cover(wet)
    settle(c)
    c.say("bridge", colour=colour)


def railway_station(c: Canvas) -> None:
    """Parallel tracks, platform roofs and trains."""
    c.extent_m = c.between(120, 500)
    angle = c.between(0, np.pi)
    lay(c, ("town", "blocks", "soil", "grass", "paved"))
    tracks = c.whole(5, 13)
    gap = c.between(4.5, 7.5)
    shift = c.between(-14, 14)
    yard = turned(rectangle(180, tracks * gap + 2, 0, shift), MIDDLE, angle)
    bed = mix(c.rgb["soil"], c.rgb["asphalt"], c.between(0.3, 0.8))
    c.spread(bed, c.noise(20, 2) * np.float32(5), objects.cover(c, yard))
    rows = shift + (np.arange(tracks) - (tracks - 1) / 2) * gap
    covered = c.rng.random(tracks) < 0.3
    for v, roof in zip(rows, covered, strict=True):
        if roof:
            length = c.between(60, 170)
            deck = turned(rectangle(length, gap * 0.85, c.between(-20, 20), v), MIDDLE, angle)
            c.shadow(deck, 1.2)
            c.polygon(deck, shade(c.rgb["concrete"], c.between(0.85, 1.1)))
            continue
        for side in (-0.16, 0.16):
            rail = straight(90, angle, v + side * gap)
            c.line(rail, 0.35, shade(bed, 0.6 if sum(bed) > 240 else 1.6))
    free = list(rows[~covered])
    count = min(number(c, 4, 0.4), len(free))
    for (_, colour), v in zip(
        plan(c, count, (50, 60), ("white", "blue", "red", "green", "yellow")) if count else [],
        c.rng.permutation(free)[:count] if count else [],
        strict=True,
    ):
        size, u = c.between(40, 84), c.between(-20, 20)
        at = spot_at(u, v, angle)
        ends = turned(rectangle(size, gap * 0.6), at, angle)
        over = max(0.0, float(np.abs(ends - 50).max()) - 49)
        size = max(16.0, size - 2.9 * over)
        objects.train(c, at, angle, size, colour, gap * 0.62)
    c.take_cover(objects.cover(c, yard))
    settle(c, angle)
    c.notes[:0] = ["many tracks"]
    c.say("railway station", around=c.notes[1])


def viaduct(c: Canvas) -> None:
    """Raised roads crossing one another, with ramps."""
    c.extent_m = c.between(200, 700)
    lay(c)
    width = c.between(6, 12)
    first = c.between(0, np.pi)
    second = first + c.between(0.9, 2.2)
    middle = c.rng.uniform(38, 62, 2)
    lines = []
    for angle in (first, second):
        u = np.linspace(-110, 110, 24)
        bend = c.between(-0.002, 0.002) * u * u
        lines.append(turned(np.stack([u, bend], 1), middle, angle))
    ramps = []
    reach = c.between(22, 34)
    for k in range(c.whole(1, 5)):
        turn = first if k % 2 == 0 else second
        side = 1 if k < 2 else -1
        if c.chance(0.5):
            t = np.linspace(0, 1, 14)[:, None]
            a = np.array([np.cos(first), np.sin(first)]) * reach * 1.5 * side
            b = np.array([np.cos(second), np.sin(second)]) * reach * 1.5 * (1 if k % 2 else -1)
            ramps.append(middle + a * (1 - t) ** 2 + b * t**2)
        else:
            away = (first + second) / 2 + (k * np.pi / 2)
            at = middle + reach * 0.55 * np.array([np.cos(away), np.sin(away)])
            spin = np.linspace(0, 2 * np.pi, 26) + turn
            ring = np.stack([np.cos(spin), np.sin(spin)], 1) * reach * 0.42
            ramps.append(at + ring)
    for ramp in ramps:
        road(c, ramp, width * 0.5, False, 1.0)
        c.take_line(ramp, width * 0.6)
    for k, line in enumerate(lines):
        road(c, line, width, True, 1.5 + 1.5 * k)
        c.take_line(line, width * 1.2)
        traffic(c, line, width, c.whole(5, 16), width * 0.3)
    settle(c)
    c.notes += ["many cars"]
    c.say("viaduct")


TRANSPORT = by_name(airport, bridge, port, railway_station, viaduct)
