"""Scene kinds for moving, storing, making and playing: airports to stadiums."""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing import objects
from swath.imagery.drawing.canvas import Canvas, rectangle, turned
from swath.imagery.drawing.layout import number, plan, put
from swath.imagery.drawing.nature import SHIP_PAINTS, bank, river_cover
from swath.imagery.drawing.palette import mix, paint, shade
from swath.imagery.drawing.surroundings import (
    blob,
    curve,
    lay,
    open_ground,
    paved_ground,
    road,
    settle,
    traffic,
    trees,
    water,
)
from swath.imagery.drawing.texture import above, across

PLANE_PAINTS = ("white", "red", "blue", "gray", "yellow", "white")
CAR_PAINTS = ("white", "black", "red", "blue", "yellow", "gray", "green")


def airport(c: Canvas) -> None:
    """Runway, taxiways, apron and terminal with planes; or the apron from close by."""
    angle = c.rng.uniform(0, 2 * np.pi)
    close = c.rng.random() < 0.45
    c.extent_m = c.rng.uniform(60, 200) if close else c.rng.uniform(400, 1200)
    paints = tuple(dict.fromkeys(PLANE_PAINTS))
    if close:
        paved_ground(c, "concrete" if c.rng.random() < 0.6 else "asphalt")
        mark = (226, 200, 80) if c.rng.random() < 0.6 else (235, 235, 230)
        base = c.rng.uniform(-60, -20)
        for k in range(7):
            seam = turned(np.array([[-80, base + k * 22], [80, base + k * 22]]), 50, 50, angle)
            c.line(seam, 0.3, shade(c.palette.rgb["concrete"], 0.8))
        for k in range(2):
            v = c.rng.uniform(-40, 40)
            c.line(turned(np.array([[-80, v], [80, v]]), 50, 50, angle), 0.6, mark)
        if c.rng.random() < 0.5:
            edge = turned(rectangle(170, 60, 0, c.rng.uniform(60, 75)), 50, 50, angle)
            c.polygon(edge, c.palette.rgb["grass"])
            c.take_line(edge[[0, 1]], 4)
            c.blocked |= c.cover(edge) > 0.3
        wanted = plan(c, number(c, 4, 0.4), (26, 62), paints)
        put(c, lambda *a: objects.plane(c, *a), wanted, 0.5, angle, c.rng.choice([0.2, 3.1]))
        c.notes.append("some lines on the ground")
    else:
        lay(c, ("grass", "soil", "sand", "fields"))
        grey = c.palette.rgb["asphalt"]
        v = c.rng.uniform(14, 34) * c.rng.choice([-1, 1])
        width = c.rng.uniform(6, 10)
        runway = turned(np.array([[-90, v], [90, v]]), 50, 50, angle)
        road(c, runway, width)
        start = turned(np.array([[-90, v * 0.35], [90, v * 0.35]]), 50, 50, angle)
        c.line(start, width * 0.45, grey)
        for u in c.rng.uniform(-45, 45, 3):
            link = np.array([[u, v], [u + 8 * np.sign(v), v * 0.35]])
            c.line(turned(link, 50, 50, angle), width * 0.4, grey)
        apron = turned(rectangle(90, 44, 0, -np.sign(v) * 17), 50, 50, angle)
        c.polygon(apron, c.palette.rgb["concrete"])
        deep = c.rng.uniform(8, 12)
        at = turned(np.array([[0, -np.sign(v) * 34]]), 50, 50, angle)[0]
        roof = str(c.rng.choice(["white", "gray", "blue", "brown"]))
        objects.hall(c, (at[0], at[1]), angle, (c.rng.uniform(40, 76), deep), roof, None)
        c.blocked = c.cover(apron) < 0.9
        c.take_line(turned(np.array([[-60, -np.sign(v) * 34], [60, -np.sign(v) * 34]]), 50, 50, angle), 14)
        wanted = plan(c, int(c.rng.integers(2, 8)), (13, 22), paints)
        facing = angle - np.sign(v) * np.pi / 2
        put(c, lambda *a: objects.plane(c, *a), wanted, 0.52, facing, 0.1)
        c.blocked = (c.cover(apron) > 0) | c.blocked & False
        c.take_line(runway, width + 2)
        c.take_line(start, width)
        c.take(at[0], at[1], 30)
        settle(c)
        c.notes[:0] = ["a long runway", "a terminal"]
    c.sayings += [
        f"planes are parked near {c.notes[0]} in an airport.",
        f"the airport has {c.notes[0]} and planes.",
    ]


def parking_lot(c: Canvas) -> None:
    """Rows of marked stalls with many cars, or a few cars from close by."""
    paved_ground(c, "asphalt" if c.rng.random() < 0.6 else "concrete")
    angle = c.rng.uniform(0, np.pi)
    line = (235, 235, 228)
    if c.rng.random() < 0.45:
        c.extent_m = c.rng.uniform(12, 30)
        size = c.rng.uniform(22, 42)
        pitch = size * 0.62
        for k in range(-6, 7):
            for row in (-1, 1):
                seam = np.array([[0, k * pitch], [row * size * 1.15, k * pitch]])
                c.line(turned(seam, 50, 50, angle), 0.9, line)
        colours = [colour for _, colour in plan(c, 9, (1, 1.01), CAR_PAINTS)]
        slots = [(row, k) for row in (-1, 1) for k in range(-4, 5)]
        count = number(c, 8, 0.3)
        for i in c.rng.permutation(len(slots)):
            row, k = slots[i]
            at = turned(np.array([[row * size * 0.58, (k + 0.5) * pitch]]), 50, 50, angle)[0]
            if (np.abs(at - 50) < 49 - size * 0.5).all() and colours and count:
                count -= 1
                way = angle + c.rng.normal(0, 0.03) + c.rng.choice([0, np.pi])
                wheels = c.rng.uniform(0.85, 1) * size
                if c.rng.random() < 0.15:
                    objects.truck(c, (at[0], at[1]), way, size * 1.1, colours.pop(0))
                else:
                    objects.car(c, (at[0], at[1]), way, wheels, colours.pop(0))
        c.sayings += ["a few cars are parked in a parking lot.", "white lines are on the parking lot."]
        c.notes.append("white lines")
        return
    c.extent_m = c.rng.uniform(60, 160)
    size = c.rng.uniform(5.0, 8.5)
    full = c.rng.uniform(0.45, 0.98)
    aisle = size * c.rng.uniform(3.0, 3.6)
    keep = turned(rectangle(c.rng.uniform(70, 150), c.rng.uniform(70, 150)), 50, 50, angle)
    inside = c.cover(keep) > 0.5
    lawn = c.palette.rgb["grass"]
    if not inside.all():
        for side in range(4):
            a, b = keep[side], keep[(side + 1) % 4]
            out = (b - a)[::-1] * (1, -1) / np.hypot(*(b - a)) * 80
            c.polygon(np.array([a, b, b + out, a + out]), lawn)
    for v in np.arange(-80, 81, aisle) + c.rng.uniform(0, aisle):
        for row in (-0.52, 0.52):
            u = np.arange(-76, 77, size * 0.56)
            spots = turned(np.stack([u, np.full_like(u, v + row * size * 1.05)], 1), 50, 50, angle)
            near = (np.abs(spots - 50) < 52).all(axis=1)
            index = np.clip((spots * c.size / 100).astype(int), 0, c.size - 1)
            near &= inside[index[:, 1], index[:, 0]]
            for (x, y), parked in zip(spots[near], c.rng.random(near.sum()) < full, strict=True):
                edge = turned(np.array([[-0.28, -0.5], [-0.28, 0.5]]) * size, x, y, angle)
                c.line(edge, 0.3, line)
                if parked:
                    colour = CAR_PAINTS[int(c.rng.choice(7, p=[0.3, 0.2, 0.1, 0.1, 0.03, 0.24, 0.03]))]
                    objects.car(c, (x, y), angle + np.pi / 2, size * 0.9, colour, named=False)
    c.crowds["car"] = None
    c.blocked |= inside
    if not inside.all() and trees(c, 30, 2.0) > 4:
        c.notes.append(f"some {c.palette.word['tree']} trees")
    c.notes.append("white lines")
    c.sayings += [
        "lots of cars are parked neatly in a parking lot.",
        "many cars of different colors are in the parking lot.",
        f"the parking lot is full of cars and {c.notes[0]}.",
    ]


def storage_tanks(c: Canvas) -> None:
    """Round tanks in bunds, one to a dozen."""
    count = number(c, 12, 0.22)
    c.extent_m = c.rng.uniform(80, 300)
    lay(c, ("grass", "soil", "sand", "paved", "paved", "fields"))
    colours = ("white", "gray", "brown", "red", "blue", "green", "yellow")
    wanted = plan(c, count, (22, 58), colours)
    wanted = [(min(s, 62 / max(1, count) ** 0.5), colour) for s, colour in wanted]
    floor = c.palette.rgb[str(c.rng.choice(["concrete", "soil", "sand"]))]
    angle = c.rng.uniform(0, np.pi)
    if c.rng.random() < 0.6:
        c.polygon(turned(rectangle(150, c.rng.uniform(60, 110)), 50, 50, angle), floor)

    def bund(at: tuple[float, float], turn: float, size: float, colour: str) -> None:
        wall = turned(rectangle(size * 1.32, size * 1.32), *at, angle)
        c.line(np.concatenate([wall, wall[:1]]), 0.8, shade(floor, 1.2))
        objects.tank(c, at, turn, size, colour)

    done = put(c, bund, wanted, 0.62)
    for _ in range(int(c.rng.integers(0, 4))):
        pipe = turned(np.array([[-80, 0], [80, 0]]), *c.rng.uniform(10, 90, 2), angle)
        inside = pipe if c.free(np.linspace(pipe[0], pipe[1], 60), 0.5).all() else None
        if inside is not None:
            c.line(inside, 0.8, (190, 190, 186))
    settle(c, angle)
    main = wanted[0][1]
    c.sayings += [
        f"{'a storage tank stands' if done == 1 else 'storage tanks stand'} near {c.notes[0]}.",
        f"{c.notes[0]} can be seen near the {main} storage tanks.",
    ]


def industrial(c: Canvas) -> None:
    """Long ribbed halls in rows with yards between them."""
    c.extent_m = c.rng.uniform(150, 500)
    lay(c, ("paved", "soil", "paved", "sand", "grass"))
    angle = c.rng.uniform(0, np.pi)
    line = turned(np.array([[-80, 0], [80, 0]]), *c.rng.uniform(25, 75, 2), angle)
    width = c.rng.uniform(3, 6)
    road(c, line, width)
    c.take_line(line, width + 1)
    colours = [str(n) for n in c.rng.choice(["blue", "white", "gray", "red", "brown"], 2, replace=False)]
    deep, long = c.rng.uniform(10, 20), c.rng.uniform(22, 50)
    v = -70.0
    while v < 70:
        u = -75 + c.rng.uniform(0, 10)
        while u < 75:
            w = long * c.rng.uniform(0.6, 1.2)
            at = turned(np.array([[u + w / 2, v]]), 50, 50, angle)[0]
            ends = turned(rectangle(w, deep), *at, angle)
            if (np.abs(at - 50) < 60).all() and c.free(np.concatenate([ends, at[None]]), 1).all():
                if c.rng.random() < 0.85:
                    hue = colours[int(c.rng.random() < 0.25)]
                    objects.hall(c, (at[0], at[1]), angle, (w, deep * c.rng.uniform(0.8, 1)), hue, None)
                c.blocked |= c.cover(turned(rectangle(w + 2, deep + 2), *at, angle)) > 0.3
            u += w + c.rng.uniform(2, 5)
        v += deep + c.rng.uniform(3, 7)
    c.crowds["building"] = None
    c.notes += ["a road"]
    trees(c, int(c.rng.integers(0, 30)), 1.5)
    c.sayings += [
        f"many {colours[0]} buildings are in an industrial area.",
        f"large {colours[0]} workshops are arranged in rows in an industrial area.",
        "an industrial area has many long workshops and a road.",
    ]


def port(c: Canvas) -> None:
    """A quay with piers and ships lying along them."""
    c.extent_m = c.rng.uniform(150, 600)
    angle = c.rng.uniform(0, 2 * np.pi)
    lay(c, ("paved", "paved", "blocks", "soil", "grass"))
    away = across(c.size, angle + np.pi / 2)
    edge = c.rng.uniform(-32, -14)
    sea = above(away, edge, c.size)
    quay = above(away, edge - c.rng.uniform(3, 10), c.size)
    paved_ground(c, "concrete", quay)
    water(c, sea)
    count = number(c, 4, 0.4)
    piers = np.sort(c.rng.uniform(-44, 44, count))
    piers = piers[np.concatenate([[True], np.diff(piers) > 16])]
    wide, far = c.rng.uniform(3, 7), c.rng.uniform(25, 55)
    for u in piers:
        deck = turned(rectangle(wide, far, u, edge + far / 2 - 1), 50, 50, angle)
        c.shadow(deck, 1.5)
        c.polygon(deck, c.palette.rgb["concrete"])
        c.take_cover(c.cover(turned(rectangle(wide + 0.5, far, u, edge + far / 2 - 1), 50, 50, angle)))
    c.take_cover(1 - sea)
    wanted = plan(c, number(c, 8, 0.3), (16, 44), SHIP_PAINTS)
    way = angle + (np.pi / 2 if len(piers) > 1 or c.rng.random() < 0.5 else 0)
    put(c, lambda *a: objects.ship(c, *a), wanted, 0.42 if len(wanted) > 2 else 0.5, way, 0.12)
    c.blocked = sea > 0
    c.blocked |= quay > 0.5
    settle(c, angle)
    for _ in range(int(c.rng.integers(0, 4))):
        u = c.rng.uniform(-50, 50)
        at = turned(np.array([[u, edge - 9]]), 50, 50, angle)[0]
        hue = str(c.rng.choice(["white", "gray", "blue", "brown"]))
        objects.hall(c, (at[0], at[1]), angle, (c.rng.uniform(14, 26), 7), hue, None)
    tone = c.palette.word["water"]
    c.sayings += [
        f"a port with long piers is near {c.notes[0]}.",
        f"ships are docked in the {tone} water of a port.",
        f"a port is beside a piece of {tone} sea.",
    ]


def bridge(c: Canvas) -> None:
    """A straight bridge over water, a road running on to both banks."""
    c.extent_m = c.rng.uniform(150, 600)
    lay(c)
    half = c.rng.uniform(10, 27)
    state = c.rng.uniform(0, np.pi)
    v = across(c.size, state + np.pi / 2) - c.rng.uniform(-12, 12)
    away = v + c.noise(2, 3) * np.float32(1.6)
    wet = above(-np.abs(away), -half, c.size)
    bank(c, away, half)
    water(c, wet)
    shift = float((across(c.size, state + np.pi / 2) - v).mean())
    middle = turned(np.array([[c.rng.uniform(-20, 20), shift]]), 50, 50, state)[0]
    slant = c.rng.uniform(-0.35, 0.35)
    angle = state + np.pi / 2 + slant
    width = c.rng.uniform(4, 11)
    long = 2 * (half + c.rng.uniform(4, 8)) / np.cos(slant)
    line = turned(np.array([[-110.0, 0], [0, 0], [110, 0]]), *middle, angle)
    road(c, line, width * 0.9)
    colour = str(c.rng.choice(["white", "gray", "red", "gray", "brown"]))
    rgb = mix(paint(c.rng, colour), c.palette.rgb["asphalt"], 0.35 if colour != "red" else 0.1)
    w = width / long
    parts = [
        (rectangle(1, w * 1.25), shade(rgb, 1.1)),
        (rectangle(1, w * 0.8), c.palette.rgb["asphalt"]),
    ]
    for k in np.linspace(-0.4, 0.4, int(c.rng.integers(3, 8))):
        parts.append((rectangle(0.012, w * 1.25, k), shade(rgb, 1.25)))
    c.stamp(parts, (middle[0], middle[1]), angle, long, w * 0.7, 1, "bridge", colour)
    if width > 6:
        traffic(c, line, width, int(c.rng.integers(4, 14)), width * 0.3)
    c.take_line(line, width * 1.3)
    if half > 16 and c.rng.random() < 0.5:
        keep = c.blocked.copy()
        c.blocked |= wet < 0.98
        wanted = plan(c, number(c, 3), (11, 20), SHIP_PAINTS)
        put(c, lambda *a: objects.ship(c, *a), wanted, 0.5, state, 0.2)
        c.blocked = keep
    c.take_cover(wet)
    settle(c)
    tone = c.palette.word["water"]
    c.sayings += [
        f"a bridge is over a {tone} river.",
        f"a {colour} bridge crosses a {tone} river with {c.notes[0]} in two sides.",
        f"{c.notes[0]} can be seen near a river with a bridge over it.",
    ]


def railway_station(c: Canvas) -> None:
    """Parallel tracks, platform roofs and trains."""
    c.extent_m = c.rng.uniform(120, 500)
    angle = c.rng.uniform(0, np.pi)
    lay(c, ("town", "blocks", "soil", "grass", "paved"))
    tracks = int(c.rng.integers(5, 13))
    gap = c.rng.uniform(4.5, 7.5)
    shift = c.rng.uniform(-14, 14)
    yard = turned(rectangle(180, tracks * gap + 2, 0, shift), 50, 50, angle)
    bed = mix(c.palette.rgb["soil"], c.palette.rgb["asphalt"], c.rng.uniform(0.3, 0.8))
    c.spread(bed, c.noise(20, 2) * np.float32(5), c.cover(yard))
    rows = shift + (np.arange(tracks) - (tracks - 1) / 2) * gap
    covered = c.rng.random(tracks) < 0.3
    for v, roof in zip(rows, covered, strict=True):
        if roof:
            length = c.rng.uniform(60, 170)
            deck = turned(rectangle(length, gap * 0.85, c.rng.uniform(-20, 20), v), 50, 50, angle)
            c.shadow(deck, 1.2)
            c.polygon(deck, shade(c.palette.rgb["concrete"], c.rng.uniform(0.85, 1.1)))
            continue
        for side in (-0.16, 0.16):
            rail = turned(np.array([[-90, v + side * gap], [90, v + side * gap]]), 50, 50, angle)
            c.line(rail, 0.35, shade(bed, 0.6 if sum(bed) > 240 else 1.6))
    free = [v for v in rows[~covered]]
    count = min(number(c, 4, 0.4), len(free))
    for (_, colour), v in zip(
        plan(c, count, (50, 60), ("white", "blue", "red", "green", "yellow")) if count else [],
        c.rng.permutation(free)[:count] if count else [],
        strict=True,
    ):
        size, u = c.rng.uniform(40, 84), c.rng.uniform(-20, 20)
        at = turned(np.array([[u, v]]), 50, 50, angle)[0]
        ends = turned(rectangle(size, gap * 0.6), *at, angle)
        over = max(0.0, float(np.abs(ends - 50).max()) - 49)
        size = max(16.0, size - 2.9 * over)
        objects.train(c, (at[0], at[1]), angle, size, colour, gap * 0.62)
    c.take_cover(c.cover(yard))
    settle(c, angle)
    c.notes[:0] = ["many tracks"]
    c.sayings += [
        f"many tracks are in a railway station near {c.notes[1]}.",
        "several parallel railways run through a railway station.",
        f"the railway station is surrounded by {c.notes[1]}.",
    ]


def viaduct(c: Canvas) -> None:
    """Raised roads crossing one another, with ramps."""
    c.extent_m = c.rng.uniform(200, 700)
    lay(c)
    width = c.rng.uniform(6, 12)
    first = c.rng.uniform(0, np.pi)
    second = first + c.rng.uniform(0.9, 2.2)
    middle = c.rng.uniform(38, 62, 2)
    lines = []
    for angle in (first, second):
        u = np.linspace(-110, 110, 24)
        bend = c.rng.uniform(-0.002, 0.002) * u * u
        lines.append(turned(np.stack([u, bend], 1), *middle, angle))
    ramps = []
    reach = c.rng.uniform(22, 34)
    for k in range(int(c.rng.integers(1, 5))):
        turn = first if k % 2 == 0 else second
        side = 1 if k < 2 else -1
        if c.rng.random() < 0.5:
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
        traffic(c, line, width, int(c.rng.integers(5, 16)), width * 0.3)
    settle(c)
    c.notes += ["many cars"]
    c.sayings += [
        f"a viaduct with many cars is near {c.notes[0]}.",
        f"{c.notes[0]} are around a viaduct."
        if c.notes[0].startswith(("many", "some"))
        else f"the viaduct is near {c.notes[0]}.",
        "some roads cross each other in the viaduct.",
    ]


def playground(c: Canvas) -> None:
    """A running track about a pitch, with courts beside it."""
    c.extent_m = c.rng.uniform(120, 300)
    lay(c)
    angle = c.rng.uniform(0, 2 * np.pi)
    paints = ("red", "blue", "green", "brown", "orange")
    c_word = str(c.rng.choice(paints))
    put(c, lambda *a: objects.track(c, *a), plan(c, 1, (46, 86), (c_word,)), 0.5, angle, 0, 6)
    if c.rng.random() < 0.6:
        kind = str(c.rng.choice(["basketball court", "tennis court"]))
        wanted = plan(c, number(c, 5, 0.4), (14, 24), ("green", "blue", "red", "orange"))
        put(c, lambda *a: objects.court(c, *a, kind), wanted, 0.56, angle, 0.04, 0)
    settle(c, angle)
    c.sayings += [
        f"a {c_word} playground is surrounded by {c.notes[0]}.",
        f"{c.notes[0]} can be seen near a playground with a football field in it.",
        f"a playground with a {c_word} track is near {c.notes[0]}.",
    ]


def baseball_field(c: Canvas) -> None:
    """One large diamond, or a few in a cluster."""
    c.extent_m = c.rng.uniform(100, 300)
    lay(c)
    count = number(c, 4, 0.55)
    wanted = plan(c, count, (40, 66), ("green", "brown"))
    put(c, lambda at, turn, size, _: objects.diamond(c, at, turn, size), wanted, 0.6, off_centre=8)
    settle(c)
    c.sayings += [
        f"a baseball field is near {c.notes[0]}.",
        f"{c.notes[0]} can be seen around the baseball field.",
    ]


def stadium(c: Canvas) -> None:
    """A stadium in its surroundings."""
    c.extent_m = c.rng.uniform(200, 500)
    lay(c)
    colour = str(c.rng.choice(["white", "gray", "blue", "red", "brown", "yellow"]))
    wanted = plan(c, 1, (40, 82), (colour,))
    angle = c.rng.uniform(0, 2 * np.pi)
    if c.rng.random() < 0.6:
        size = wanted[0][0]
        at = c.spot(size * 0.5, 6) or (50.0, 50.0)
        c.polygon(turned(blob(c, size * 0.62, 0.05), *at, angle), c.palette.rgb["concrete"])
        c.blocked[...] = False
        c.take(*at, size * 0.62)
        objects.stadium(c, at, angle, size, colour)
    else:
        put(c, lambda *a: objects.stadium(c, *a), wanted, 0.5, angle, off_centre=6)
    settle(c)
    c.sayings += [
        f"a large {colour} stadium is near {c.notes[0]}.",
        f"{c.notes[0]} can be seen around an oval stadium.",
    ]


def park(c: Canvas) -> None:
    """Lawns, groves and a pond tied together by curved paths."""
    c.extent_m = c.rng.uniform(150, 500)
    open_ground(c, str(c.rng.choice(["grass", "grass", "soil"])), 0.8)
    if c.rng.random() < 0.75:
        shape = blob(c, c.rng.uniform(12, 24), 0.35)
        at = c.spot(min(46.0, float(np.hypot(*shape.T).max())), 10) or (50.0, 50.0)
        shape = np.clip(shape + at, 1, 99)
        cover = c.cover(shape)
        water(c, cover)
        low, high = shape.min(axis=0), shape.max(axis=0)
        c.remember("pond", None, (low + high) / 2, high - low)
    pale = c.palette.rgb["concrete" if c.rng.random() < 0.5 else "sand"]
    for _ in range(int(c.rng.integers(2, 5))):
        line = curve(c, c.rng.uniform(6, 18), offset=35)
        good = c.free(line, 1)
        for i in np.flatnonzero(good[:-1] & good[1:]):
            c.line(line[i : i + 2], 1.8, pale)
        c.take_line(line, 2)
    if c.rng.random() < 0.5:
        x, y = c.rng.uniform(20, 80, 2)
        if c.free(np.array([[x, y]]), 6)[0]:
            c.circle(x, y, 8, pale)
            c.circle(x, y, 5, c.palette.rgb["grass"])
            c.circle(x, y, 2, pale)
    trees(c, int(c.rng.integers(60, 150)), c.rng.uniform(1.5, 3), groups=True)
    tone = c.palette.word["tree"]
    c.notes += [f"many {tone} trees", "some curved paths"]
    c.sayings += [
        f"many {tone} trees and curved paths are in a park.",
        "a park with a pond and some paths is full of plants.",
        f"the park has winding paths and {tone} trees.",
    ]


WORKS = {
    "airport": airport,
    "baseball field": baseball_field,
    "bridge": bridge,
    "industrial area": industrial,
    "park": park,
    "parking lot": parking_lot,
    "playground": playground,
    "port": port,
    "railway station": railway_station,
    "stadium": stadium,
    "storage tanks": storage_tanks,
    "viaduct": viaduct,
}
