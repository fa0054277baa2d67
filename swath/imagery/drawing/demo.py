"""Eight scene kinds kept out of the base, for a first tuning that teaches something new."""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing import objects
from swath.imagery.drawing.canvas import MIDDLE, At, Canvas, Part, disc, rectangle, straight, turned
from swath.imagery.drawing.layout import by_name, number, plan, put, those
from swath.imagery.drawing.objects import outline
from swath.imagery.drawing.palette import PAINTS, mix, paint, shade
from swath.imagery.drawing.surroundings import (
    curve,
    lattice,
    lay,
    open_ground,
    paved_ground,
    road,
    settle,
    traffic,
    water,
)
from swath.imagery.drawing.texture import above, grid, hillshade, unit


def wind_farm(c: Canvas) -> None:
    """Wind turbines, seen a little from the side, on their pads in open country."""
    c.extent_m = c.rng.uniform(150, 400)
    lay(c, ("grass", "soil", "sand", "fields", "woods", "paved"))
    wanted = plan(c, number(c, 5, 0.4), (40, 58), ("white", "red", "yellow", "black"))
    path = curve(c, 10)
    c.line(path, 1.4, c.palette.rgb["sand"])

    def turbine(at: At, angle: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        c.circle(at[0], at[1], size * 0.16, c.palette.rgb["sand" if c.land != "sand" else "soil"])
        blade = np.array([[0, 0.035], [0.12, 0.06], [0.5, 0.014], [0.5, -0.01], [0, -0.035]])
        parts: list[Part] = [
            (turned(blade, (0, 0), k * 2 * np.pi / 3), shade(rgb, (1, 0.9, 0.95)[k]))
            for k in range(3)
        ]
        parts += [(disc(0.075), shade(rgb, 0.85)), (disc(0.04), shade(rgb, 1.1))]
        c.stamp(parts, at, angle, size, 0.22, 4, "wind turbine", colour)

    put(c, turbine, wanted, 0.53)
    settle(c)
    c.say("wind farm", turbines=those(c, "wind turbine"))


def fish_farm(c: Canvas) -> None:
    """Round net pens floating on open water, tied by lines to a service boat."""
    c.extent_m = c.rng.uniform(100, 300)
    if c.rng.random() >= 0.75:
        water(c)
    else:
        x, y = grid(c.size)
        away = (x - 50) * np.float32(c.sun[0]) + (y - 50) * np.float32(c.sun[1])
        away = away + unit(c.noise(2, 4)) * 4
        shore = above(away, c.rng.uniform(16, 42), c.size)
        lay(c, ("grass", "soil", "sand", "fields", "woods"))
        water(c, 1 - shore)
        keep, c.blocked = c.blocked, shore < 0.9
        settle(c)
        c.blocked = keep
        c.take_cover(shore)
        c.notes.append("a shore")
    wanted = plan(c, number(c, 6, 0.3), (30, 48), ("white", "red", "yellow"))
    angle = c.rng.uniform(0, np.pi)
    net = mix(c.palette.rgb["water"], (20, 40, 44), 0.55)

    def pen(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        way = np.array([np.cos(angle), np.sin(angle)]) * size * 0.75
        c.line(np.array([at - way, at + way]), 0.5, (225, 225, 215))
        parts: list[Part] = [
            (disc(0.5, corners=28), rgb),
            (disc(0.43, corners=28), shade(net, 1.3)),
        ]
        parts += [(disc(0.4, corners=28), net)]
        for k in range(4):
            parts.append((turned(rectangle(0.8, 0.012), (0, 0), k * np.pi / 4), shade(net, 1.5)))
        parts.append((disc(0.07), rgb))
        c.stamp(parts, at, 0.0, size, name="fish pen", colour=colour)

    put(c, pen, wanted, 0.54)
    c.notes.append(f"a piece of {c.palette.word['water']} water")
    c.say("fish farm", pens=those(c, "fish pen"))


def heliport(c: Canvas) -> None:
    """Helicopters on round or square pads marked with an H."""
    c.extent_m = c.rng.uniform(40, 120)
    lay(c, ("grass", "paved", "soil", "sand", "town", "fields"))
    wanted = plan(c, number(c, 4, 0.4), (38, 56), ("red", "white", "yellow", "blue", "black"))
    angle = c.rng.uniform(0, 2 * np.pi)
    pad = c.palette.rgb["asphalt" if c.rng.random() < 0.5 else "concrete"]
    mark = paint(c.rng, str(c.rng.choice(["white", "yellow"])))
    rounded = c.rng.random() < 0.6
    if c.rng.random() < 0.6:
        apron = turned(rectangle(170, c.rng.uniform(50, 90)), MIDDLE, angle)
        c.polygon(apron, c.palette.rgb["concrete"])

    def helicopter(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        for radius, tone in ((0.52, mark), (0.48, pad)):
            shape = disc(radius, corners=28) if rounded else rectangle(radius * 2, radius * 2)
            c.polygon(turned(shape, at, angle, size), tone)
        for bar in (rectangle(0.05, 0.4, -0.12), rectangle(0.05, 0.4, 0.12), rectangle(0.2, 0.05)):
            c.polygon(turned(bar, at, angle, size), mark)
        body = outline((0.34, 0.0), (0.3, 0.08), (0.16, 0.115), (-0.06, 0.1), (-0.14, 0.03))
        tail = outline((-0.1, 0.035), (-0.48, 0.015))
        parts: list[Part] = [(tail, shade(rgb, 0.9)), (body, rgb)]
        parts += [(rectangle(0.05, 0.2, -0.45), rgb)]
        parts.append((outline((0.32, 0.02), (0.28, 0.075), (0.2, 0.08)), objects.GLASS))
        spin = c.rng.uniform(0, np.pi)
        for k in range(2):
            blade = turned(rectangle(0.9, 0.026), (0.08, 0), spin + k * np.pi / 2)
            parts.append((blade, (60, 62, 66)))
        parts.append((disc(0.04, 0.08), shade(rgb, 0.6)))
        c.stamp(parts, at, turn, size * 0.98, 0.1, 5, "helicopter", colour)

    put(c, helicopter, wanted, 0.56, angle, 0.6)
    settle(c, angle)
    c.say("heliport", parked=those(c, "helicopter"))


def solar_plant(c: Canvas) -> None:
    """Blocks of tilted panels in close rows, with paths between them."""
    c.extent_m = c.rng.uniform(100, 400)
    lay(c, ("grass", "soil", "sand", "fields", "paved", "woods"))
    angle = c.rng.uniform(0, np.pi)
    wanted = plan(c, number(c, 6, 0.35), (40, 58), ("blue", "black", "brown", "gray"))

    def array(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        h = c.rng.uniform(0.6, 0.85)
        rows = max(4, round(h * size / c.rng.uniform(3.2, 5)))
        step = h / rows
        gap: Part = (rectangle(1, h), shade(c.palette.rgb["soil"], 0.7))
        parts: list[Part] = [gap]
        for i in range(rows):
            y = -h / 2 + (i + 0.5) * step
            parts.append((rectangle(1, step * 0.68, 0, y), rgb))
            parts.append(
                (rectangle(1, step * 0.16, 0, y - step * 0.22), mix(rgb, (235, 240, 248), 0.5))
            )
        for x in np.linspace(-0.5, 0.5, 7)[1:-1]:
            parts.append((rectangle(0.01, h, x), mix(rgb, (220, 225, 230), 0.35)))
        c.stamp(parts, at, turn, size, 0.02, 1, "solar array", colour)

    put(c, array, wanted, 0.56, angle, 0.03)
    settle(c, angle)
    c.say("solar plant", arrays=those(c, "solar array"))


def container_yard(c: Canvas) -> None:
    """Stacks of coloured boxes in close rows, straddled by gantry cranes."""
    c.extent_m = c.rng.uniform(80, 250)
    paved_ground(c, "asphalt" if c.rng.random() < 0.5 else "concrete")
    angle = c.rng.uniform(0, np.pi)
    wanted = plan(c, number(c, 3, 0.55), (46, 58), ("yellow", "blue", "red", "white"))
    sites: list[tuple[At, float, str]] = []
    put(c, lambda at, _, size, colour: sites.append((at, size, colour)), wanted, 0.5, angle, 0)
    long, deep = c.rng.uniform(7, 11), c.rng.uniform(3, 4)
    names = [str(n) for n in c.rng.choice(list(PAINTS), int(c.rng.integers(1, 4)), replace=False)]
    dust, dull = c.palette.rgb["soil"], c.rng.uniform(0.1, 0.6)
    rows, filled = int(c.rng.integers(2, 5)), c.rng.uniform(0.55, 0.9)
    lane = rows * deep + c.rng.uniform(5, 9)
    for v in np.arange(-76, 77, lane) + c.rng.uniform(0, lane):
        for k in range(rows):
            u = np.arange(-76, 77, long * 1.08) + c.rng.uniform(0, 1)
            middles = turned(np.stack([u, np.full_like(u, v + k * deep * 1.06)], 1), MIDDLE, angle)
            for at in middles[(np.abs(middles - 50) < 54).all(axis=1)]:
                if c.rng.random() < filled:
                    rgb = mix(paint(c.rng, names[int(c.rng.integers(len(names)))]), dust, dull)
                    shape = turned(rectangle(long, deep), at, angle)
                    c.shadow(shape, c.rng.uniform(0.4, 2.4))
                    c.polygon(shape, rgb)
                    c.line(turned(rectangle(long * 0.9, 0), at, angle)[:2], 0.3, shade(rgb, 0.8))
    for at, size, colour in sites:
        rgb = paint(c.rng, colour)
        h = 0.42
        parts: list[Part] = [
            (rectangle(1, 0.075, 0, side * (h / 2 - 0.04)), rgb) for side in (-1, 1)
        ]
        parts += [(rectangle(0.075, h, side * 0.462), rgb) for side in (-1, 1)]
        parts += [(rectangle(0.16, h * 0.92, c.rng.uniform(-0.28, 0.28)), shade(rgb, 0.82))]
        c.stamp(parts, at, angle + np.pi / 2, size, 0.14, 5, "gantry crane", colour)
    c.notes += ["many colorful containers", "some cement ground"]
    c.say("container yard", paint=names[0])


def roundabout(c: Canvas) -> None:
    """A ring of road about an island, with three to five roads leading into it."""
    c.extent_m = c.rng.uniform(60, 200)
    lay(c)
    size = c.rng.uniform(36, 58)
    at = c.spot(size * 0.5, 14) or MIDDLE
    width = size * c.rng.uniform(0.15, 0.22)
    arms = int(c.rng.integers(3, 6))
    turns = (
        np.arange(arms) * 2 * np.pi / arms + c.rng.uniform(-0.2, 0.2, arms) + c.rng.uniform(0, 6.3)
    )
    grey = c.palette.rgb["asphalt"]
    lines = []
    for turn in turns:
        way = np.array([np.cos(turn), np.sin(turn)])
        bend = np.array([-way[1], way[0]]) * c.rng.uniform(-14, 14)
        t = np.linspace(0.2, 1, 12)[:, None]
        lines.append(np.array(at) + way * t * 130 + bend * t**2 * 2)
        road(c, lines[-1], width * 0.8)
        c.take_line(lines[-1], width)
    edge = mix(grey, (235, 232, 225), 0.6)
    island = c.palette.rgb[str(c.rng.choice(["grass", "soil", "concrete"]))]
    inner = 0.5 - width / size
    parts: list[Part] = [(disc(0.5, corners=36), edge), (disc(0.485, corners=36), grey)]
    parts += [(disc(inner + 0.02, corners=30), edge), (disc(inner, corners=30), island)]
    if c.rng.random() < 0.6:
        parts += [(disc(inner * 0.5), shade(island, 0.75)), (disc(inner * 0.2), edge)]
    c.stamp(parts, at, 0, size, name="roundabout")
    for line in lines:
        traffic(c, line[4:], width * 0.8, int(c.rng.integers(0, 4)), width * 0.36)
    settle(c)
    c.notes.append("some roads")
    c.say("roundabout", arms=["three", "four", "five"][arms - 3])


def quarry(c: Canvas) -> None:
    """A pit of stepped benches winding down to its floor, a haul road on its rim."""
    c.extent_m = c.rng.uniform(200, 900)
    lay(c, ("grass", "soil", "sand", "woods", "fields"))
    x, y = grid(c.size)
    at = c.rng.uniform(32, 68, 2)
    squash, turn = c.rng.uniform(0.6, 1), c.rng.uniform(0, np.pi)
    dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
    u = dx * np.cos(turn) + dy * np.sin(turn)
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / squash
    radius = np.sqrt(u * u + v * v) + c.noise(2, 3) * np.float32(3.5)
    rim = c.rng.uniform(30, 46)
    step = c.rng.uniform(4.5, 8)
    level = np.floor(radius / step)
    slope = np.clip((radius / step - level - 0.6) / 0.4, 0, 1)
    height = (level + slope).astype(np.float32)
    inside = above(-radius, -rim, c.size)
    rock = mix(c.palette.rgb["soil" if c.rng.random() < 0.5 else "sand"], (190, 185, 175), 0.3)
    light = hillshade(height, c.sun) * np.float32(c.rng.uniform(13, 20))
    c.spread(rock, np.clip(light, -55, 50) + c.noise(16, 3) * np.float32(4), inside)
    c.spread(rock, -42.0 + 0 * light, inside * (slope > 0.05) * (slope < 1) * np.float32(0.45))
    wet = c.rng.random() < 0.35
    if wet:
        water(c, above(-radius, -step * c.rng.uniform(0.8, 1.6), c.size))
        c.notes.append("a small pool")
    c.take_cover(inside)
    settle(c)
    c.notes.append("many steps")
    c.say("quarry", around=c.notes[-2])


def orchard(c: Canvas) -> None:
    """Trees of one age planted on an even grid, a track between the plots."""
    c.extent_m = c.rng.uniform(60, 200)
    open_ground(c, str(c.rng.choice(["grass", "soil", "sand"])), 0.7)
    angle = c.rng.uniform(0, np.pi)
    step = c.rng.uniform(5.5, 11)
    ratio = c.rng.uniform(0.8, 1.25)
    line = straight(80, angle, at=c.rng.uniform(15, 85, 2))
    if c.rng.random() < 0.6:
        road(c, line, c.rng.uniform(2, 4), False)
        c.take_line(line, 4)
        c.notes.append("a path")
    if c.rng.random() < 0.3:
        other = turned(np.array([[0, -80], [0, 80]]), c.rng.uniform(15, 85, 2), angle)
        c.line(other, 3, c.palette.rgb["sand"])
        c.take_line(other, 3.5)
    points = lattice(angle, (step, step * ratio), (c.rng.uniform(0, step), c.rng.uniform(0, step)))
    points = points + c.rng.normal(0, step * 0.03, points.shape)
    points = points[c.free(points, step * 0.3) & (c.rng.random(len(points)) < 0.97)]
    base = c.palette.rgb["tree"]
    crown = step * c.rng.uniform(0.28, 0.42)
    for px, py in points:
        objects.tree(
            c, px, py, crown * c.rng.uniform(0.85, 1.1), shade(base, c.rng.uniform(0.9, 1.12))
        )
    c.notes.append(f"many {c.palette.word['tree']} trees")
    c.say("orchard")


DEMO = by_name(
    container_yard, fish_farm, heliport, orchard, quarry, roundabout, solar_plant, wind_farm
)
