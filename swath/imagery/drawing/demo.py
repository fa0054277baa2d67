"""Eight scene kinds kept out of the base, for a first tuning that teaches something new."""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing.canvas import MIDDLE, At, Canvas, Part, disc, rectangle, straight, turned
from swath.imagery.drawing.layout import KINDS, by_name, planned, put, those
from swath.imagery.drawing.objects import parts_of, tree
from swath.imagery.drawing.palette import PAINTS, Rgb, mix, paint, shade
from swath.imagery.drawing.surroundings import (
    curve,
    lattice,
    lay,
    mesh,
    open_ground,
    paved_ground,
    road,
    settle,
    traffic,
    water,
    within,
)
from swath.imagery.drawing.texture import above, grid, hillshade, unit


def begin(c: Canvas, kind: str) -> None:
    """The reach of a scene of that kind, and the land around its subject."""
    row = KINDS[kind]
    c.extent_m = c.between(*row["extent_m"])
    lay(c, row["lands"])


def wind_farm(c: Canvas) -> None:
    """Wind turbines, seen a little from the side, on their pads in open country."""
    begin(c, "wind farm")
    things = planned(c, "wind farm")
    c.line(curve(c, 10), 1.4, c.rgb["sand"])

    def turbine(at: At, angle: float, size: float, colour: str) -> None:
        c.circle(at[0], at[1], size * 0.16, c.rgb["sand" if c.land != "sand" else "soil"])
        parts = parts_of("wind turbine", paint(c.rng, colour))
        c.stamp(parts, at, angle, size, 0.22, 4, "wind turbine", colour)

    put(c, turbine, things, 0.53)
    settle(c)
    c.say("wind farm", turbines=those(c, "wind turbine"))


def fish_farm(c: Canvas) -> None:
    """Round net pens floating on open water, tied by lines to a service boat."""
    c.extent_m = c.between(*KINDS["fish farm"]["extent_m"])
    if not c.chance(0.75):
        water(c)
    else:
        x, y = grid(c.size)
        away = (x - 50) * c.sun[0] + (y - 50) * c.sun[1] + unit(c.noise(2, 4)) * 4
        shore = above(away, c.between(16, 42), c.size)
        lay(c, KINDS["fish farm"]["lands"])
        water(c, 1 - shore)
        blocked = c.blocked
        c.blocked = shore < 0.9
        settle(c)
        c.blocked = blocked
        c.take_cover(shore)
        c.note("a shore")
    things = planned(c, "fish farm")
    angle = c.between(0, np.pi)
    net = mix(c.rgb["water"], (20, 40, 44), 0.55)

    def pen(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        way = np.array([np.cos(angle), np.sin(angle)]) * size * 0.75
        c.line(np.array([at - way, at + way]), 0.5, (225, 225, 215))
        parts = parts_of("fish pen", rgb, net=net)
        c.stamp(parts, at, 0.0, size, name="fish pen", colour=colour)

    put(c, pen, things, 0.54)
    c.note(f"a piece of {c.word['water']} water")
    c.say("fish farm", pens=those(c, "fish pen"))


def heliport(c: Canvas) -> None:
    """Helicopters on round or square pads marked with an H."""
    begin(c, "heliport")
    things = planned(c, "heliport")
    angle = c.between(0, 2 * np.pi)
    pad = c.rgb["asphalt" if c.chance(0.5) else "concrete"]
    mark = paint(c.rng, c.pick("white", "yellow"))
    rounded = c.chance(0.6)
    if c.chance(0.6):
        apron = turned(rectangle(170, c.between(50, 90)), MIDDLE, angle)
        c.polygon(apron, c.rgb["concrete"])

    def helicopter(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        c.stamp(parts_of("round pad" if rounded else "square pad", mark, pad=pad), at, angle, size)
        c.stamp(parts_of("helicopter mark", mark), at, angle, size)
        parts = parts_of("helicopter", rgb)
        spin = c.between(0, np.pi)
        for way in (spin, spin + np.pi / 2):
            blade = turned(rectangle(0.9, 0.026), (0.08, 0), way)
            parts.append((blade, (60, 62, 66)))
        parts.append((disc(0.04, 0.08), shade(rgb, 0.6)))
        c.stamp(parts, at, turn, size * 0.98, 0.1, 5, "helicopter", colour)

    put(c, helicopter, things, 0.56, angle, 0.6)
    settle(c, angle)
    c.say("heliport", parked=those(c, "helicopter"))


def solar_plant(c: Canvas) -> None:
    """Blocks of tilted panels in close rows, with paths between them."""
    begin(c, "solar plant")
    angle = c.between(0, np.pi)
    things = planned(c, "solar plant")

    def array(at: At, turn: float, size: float, colour: str) -> None:
        rgb = paint(c.rng, colour)
        h = c.between(0.6, 0.85)
        rows = max(4, round(h * size / c.between(3.2, 5)))
        step = h / rows
        glint = mix(rgb, (235, 240, 248), 0.5)
        seam = mix(rgb, (220, 225, 230), 0.35)
        parts: list[Part] = [(rectangle(1, h), shade(c.rgb["soil"], 0.7))]
        for i in range(rows):
            y = -h / 2 + (i + 0.5) * step
            parts.append((rectangle(1, step * 0.68, 0, y), rgb))
            parts.append((rectangle(1, step * 0.16, 0, y - step * 0.22), glint))
        for x in np.linspace(-0.5, 0.5, 7)[1:-1]:
            parts.append((rectangle(0.01, h, x), seam))
        c.stamp(parts, at, turn, size, 0.02, 1, "solar array", colour)

    put(c, array, things, 0.56, angle, 0.03)
    settle(c, angle)
    c.say("solar plant", arrays=those(c, "solar array"))


def container_yard(c: Canvas) -> None:
    """Stacks of coloured boxes in close rows, straddled by gantry cranes."""
    c.extent_m = c.between(*KINDS["container yard"]["extent_m"])
    paved_ground(c, "asphalt" if c.chance(0.5) else "concrete")
    angle = c.between(0, np.pi)
    things = planned(c, "container yard")
    sites: list[tuple[At, float, str]] = []
    put(c, lambda at, _, size, colour: sites.append((at, size, colour)), things, 0.5, angle, 0)
    paints = _containers(c, angle)
    for at, size, colour in sites:
        rgb = paint(c.rng, colour)
        h = 0.42
        parts: list[Part] = []
        for side in (-1, 1):
            parts.append((rectangle(1, 0.075, 0, side * (h / 2 - 0.04)), rgb))
        for side in (-1, 1):
            parts.append((rectangle(0.075, h, side * 0.462), rgb))
        trolley = rectangle(0.16, h * 0.92, c.between(-0.28, 0.28))
        parts.append((trolley, shade(rgb, 0.82)))
        c.stamp(parts, at, angle + np.pi / 2, size, 0.14, 5, "gantry crane", colour)
    c.notes += ["many colorful containers", "some cement ground"]
    c.say("container yard", paint=paints[0])


def _containers(c: Canvas, angle: float) -> list[str]:
    """Fill the yard with rows of containers; the paints they have."""
    length = c.between(7, 11)
    depth = c.between(3, 4)
    paints = [str(name) for name in c.rng.choice(list(PAINTS), c.whole(1, 4), replace=False)]
    dust = c.between(0.1, 0.6)
    rows = c.whole(2, 5)
    filled = c.between(0.55, 0.9)
    lane = rows * depth + c.between(5, 9)
    for v in np.arange(-76, 77, lane) + c.between(0, lane):
        for row in range(rows):
            u = np.arange(-76, 77, length * 1.08) + c.between(0, 1)
            places = turned(mesh(u, v + row * depth * 1.06), MIDDLE, angle)
            for at in places[within(places, 54)]:
                if c.chance(filled):
                    rgb = mix(paint(c.rng, c.pick(*paints)), c.rgb["soil"], dust)
                    _container(c, at, angle, (length, depth), rgb)
    return paints


def _container(c: Canvas, at: At, angle: float, wh: tuple[float, float], rgb: Rgb) -> None:
    """One container, with a line along its edge."""
    width, height = wh
    shape = turned(rectangle(width, height), at, angle)
    c.shadow(shape, c.between(0.4, 2.4))
    c.polygon(shape, rgb)
    c.line(turned(rectangle(width * 0.9, 0), at, angle)[:2], 0.3, shade(rgb, 0.8))


def roundabout(c: Canvas) -> None:
    """A ring of road about an island, with three to five roads leading into it."""
    begin(c, "roundabout")
    size = c.between(36, 58)
    at = c.spot(size * 0.5, 14) or MIDDLE
    width = size * c.between(0.15, 0.22)
    arms = c.whole(3, 6)
    spread = c.rng.uniform(-0.2, 0.2, arms)
    grey = c.rgb["asphalt"]
    t = np.linspace(0.2, 1, 12)[:, None]
    lines = []
    for turn in np.arange(arms) * 2 * np.pi / arms + spread + c.between(0, 6.3):
        way = np.array([np.cos(turn), np.sin(turn)])
        bend = np.array([-way[1], way[0]]) * c.between(-14, 14)
        line = np.array(at) + way * t * 130 + bend * t**2 * 2
        road(c, line, width * 0.8)
        c.take_line(line, width)
        lines.append(line)
    edge = mix(grey, (235, 232, 225), 0.6)
    island = c.rgb[c.pick("grass", "soil", "concrete")]
    inner = 0.5 - width / size
    parts: list[Part] = [(disc(0.5, corners=36), edge), (disc(0.485, corners=36), grey)]
    parts += [(disc(inner + 0.02, corners=30), edge), (disc(inner, corners=30), island)]
    if c.chance(0.6):
        parts += [(disc(inner * 0.5), shade(island, 0.75)), (disc(inner * 0.2), edge)]
    c.stamp(parts, at, 0, size, name="roundabout")
    for line in lines:
        traffic(c, line[4:], width * 0.8, c.whole(0, 4), width * 0.36)
    settle(c)
    c.note("some roads")
    c.say("roundabout", arms=["three", "four", "five"][arms - 3])


def quarry(c: Canvas) -> None:
    """A pit of stepped benches winding down to its floor, a haul road on its rim."""
    begin(c, "quarry")
    x, y = grid(c.size)
    at = c.rng.uniform(32, 68, 2)
    squash, turn = c.between(0.6, 1), c.between(0, np.pi)
    dx = x - float(at[0])
    dy = y - float(at[1])
    u = dx * np.cos(turn) + dy * np.sin(turn)
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / squash
    radius = np.sqrt(u * u + v * v) + c.noise(2, 3) * 3.5
    rim = c.between(30, 46)
    step = c.between(4.5, 8)
    level = np.floor(radius / step)
    slope = np.clip((radius / step - level - 0.6) / 0.4, 0, 1)
    height = (level + slope).astype(np.float32)
    inside = above(-radius, -rim, c.size)
    rock = mix(c.rgb["soil" if c.chance(0.5) else "sand"], (190, 185, 175), 0.3)
    light = hillshade(height, c.sun) * c.between(13, 20)
    c.spread(rock, np.clip(light, -55, 50) + c.noise(16, 3) * 4, inside)
    walls = inside * (slope > 0.05) * (slope < 1)
    c.spread(rock, np.full_like(light, -42.0), walls * 0.45)
    if c.chance(0.35):
        water(c, above(-radius, -step * c.between(0.8, 1.6), c.size))
        c.note("a small pool")
    c.take_cover(inside)
    settle(c)
    c.note("many steps")
    c.say("quarry", around=c.notes[-2])


def orchard(c: Canvas) -> None:
    """Trees of one age planted on an even grid, a track between the plots."""
    c.extent_m = c.between(*KINDS["orchard"]["extent_m"])
    open_ground(c, c.pick("grass", "soil", "sand"), 0.7)
    angle = c.between(0, np.pi)
    step = c.between(5.5, 11)
    ratio = c.between(0.8, 1.25)
    line = straight(80, angle, at=c.rng.uniform(15, 85, 2))
    if c.chance(0.6):
        road(c, line, c.between(2, 4), False)
        c.take_line(line, 4)
        c.note("a path")
    if c.chance(0.3):
        track = turned(np.array([[0, -80], [0, 80]]), c.rng.uniform(15, 85, 2), angle)
        c.line(track, 3, c.rgb["sand"])
        c.take_line(track, 3.5)
    points = lattice(angle, (step, step * ratio), (c.between(0, step), c.between(0, step)))
    points = points + c.rng.normal(0, step * 0.03, points.shape)
    points = points[c.free(points, step * 0.3) & (c.rng.random(len(points)) < 0.97)]
    base = c.rgb["tree"]
    crown = step * c.between(0.28, 0.42)
    for x, y in points:
        tree(c, x, y, crown * c.between(0.85, 1.1), shade(base, c.between(0.9, 1.12)))
    c.note(f"many {c.word['tree']} trees")
    c.say("orchard")


DEMO = by_name(
    container_yard, fish_farm, heliport, orchard, quarry, roundabout, solar_plant, wind_farm
)
