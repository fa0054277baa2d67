"""Scene kinds people live and meet in: housing, shops, schools, squares, churches, resorts."""

from __future__ import annotations

from functools import partial

import numpy as np

from nano import objects
from nano.objects import blob, spot_at
from swath.imagery.drawing import objects as common
from swath.imagery.drawing.canvas import (
    MIDDLE,
    At,
    Canvas,
    Part,
    disc,
    rectangle,
    straight,
    turned,
)
from swath.imagery.drawing.layout import by_name, number, plan, put, those
from swath.imagery.drawing.palette import mix, paint, shade
from swath.imagery.drawing.surroundings import (
    curve,
    lay,
    open_ground,
    paved_ground,
    road,
    settle,
    streets,
    traffic,
    trees,
    water,
)

ROOFS = ("red", "gray", "white", "brown", "blue", "orange")


def _garden_ground(c: Canvas) -> None:
    open_ground(c, c.pick("grass", "soil", "grass", "sand"), 0.8)


def dense_residential_area(c: Canvas) -> None:
    """Small houses wall to wall along narrow streets."""
    c.extent_m = c.between(120, 350)
    paved_ground(c, "concrete")
    size = c.between(6, 10)
    streets(c, c.between(0, np.pi), size * 1.0, c.whole(2, 4), size, 1.0)
    c.notes += ["some roads"]
    c.say("dense residential area", roof=c.roofs[0], other=c.roofs[-1])


def medium_residential_area(c: Canvas) -> None:
    """Houses with gardens and trees along streets."""
    c.extent_m = c.between(120, 300)
    _garden_ground(c)
    size = c.between(8, 12)
    bent = c.between(0, 8)
    streets(c, c.between(0, np.pi), size * 1.35, 2, size, 0.95, bent=bent)
    trees(c, c.whole(70, 140), c.between(1.4, 2.6), groups=False)
    tone = c.word["tree"]
    c.notes += [f"many {tone} trees", "some roads"]
    c.say("medium residential area", roof=c.roofs[0])


def sparse_residential_area(c: Canvas) -> None:
    """A few houses far apart, each with its drive."""
    c.extent_m = c.between(60, 200)
    lay(c, ("grass", "soil", "woods", "fields", "sand"))
    line = curve(c, c.between(2, 10))
    width = c.between(2, 4.5)
    road(c, line, width, marked=False)
    c.take_line(line, width + 1)
    count = number(c, 7, 0.35)
    wanted = plan(c, count, (13, 34), ROOFS)

    def home(at: At, angle: float, size: float, colour: str) -> None:
        nearest = line[int(np.argmin(np.hypot(*(line - at).T)))]
        c.line(np.array([at, nearest]), width * 0.45, shade(c.rgb["sand"], 0.95))
        yard = turned(rectangle(size * 1.5, size * 1.3), at, angle)
        rgb = c.rgb["grass" if c.land != "grass" else "soil"]
        c.polygon(yard, (*rgb, 120))
        common.house(c, at, angle, size, colour)

    put(c, home, wanted, 0.72)
    c.notes += ["a road"]
    settle(c)
    trees(c, c.whole(10, 60), c.between(1.5, 3.5))
    c.say("sparse residential area")


def commercial_area(c: Canvas) -> None:
    """High blocks with long shadows between wide streets with cars."""
    c.extent_m = c.between(200, 500)
    paved_ground(c, "concrete")
    size = c.between(11, 21)
    angle = c.between(0, np.pi)
    line = straight(80, angle, at=c.rng.uniform(20, 80, 2))
    width = c.between(6, 10)
    road(c, line, width)
    c.take_line(line, width + 1)
    streets(c, angle, size * 1.12, c.whole(1, 3), size, 0.97, tall=c.between(5, 14))
    traffic_size = width * 0.34
    traffic(c, line, width, c.whole(6, 18), traffic_size)
    trees(c, c.whole(5, 30), 1.4)
    c.notes += ["a wide road", "many cars"]
    c.say("commercial area", roof=c.roofs[0], other=c.roofs[-1])


def center(c: Canvas) -> None:
    """A great round hall on a plaza with rays of paths."""
    c.extent_m = c.between(200, 500)
    lay(c)
    size = c.between(32, 68)
    at = c.spot(size * 0.56, 8.0) or MIDDLE
    around = disc(size * c.between(0.54, 0.7), *at, 28)
    c.polygon(around, c.rgb["concrete"])
    if c.chance(0.6):
        for turn in np.arange(c.rng.integers(2, 6)) + c.between(0, 3):
            end = np.array(at) + 90 * np.array([np.cos(turn * 1.3), np.sin(turn * 1.3)])
            c.line(np.array([at, end]), c.between(2, 4), c.rgb["concrete"])
            c.take_line(np.array([at, end]), 4)
    colour = c.pick("white", "gray", "red", "blue", "brown", "orange")
    objects.dome(c, at, c.between(0, 3), size, colour)
    settle(c)
    c.say("center", colour=colour)


def church(c: Canvas) -> None:
    """A cross-shaped church among the roofs of a town."""
    c.extent_m = c.between(80, 200)
    lay(c, ("town", "blocks", "grass", "paved", "town", "woods"))
    colour = c.pick("red", "gray", "brown", "blue", "black", "green", "orange")
    for size, paint_name in plan(c, 1, (30, 66), (colour,)):
        at = c.spot(size * 0.5, 10.0) or MIDDLE
        angle = c.between(0, 2 * np.pi)
        yard = turned(rectangle(size * 1.15, size * 0.85), at, angle)
        c.polygon(yard, c.rgb[c.pick("concrete", "grass", "sand")])
        objects.church(c, at, angle, size, paint_name)
    settle(c)
    c.say("church", colour=colour)


def school(c: Canvas) -> None:
    """Long teaching buildings about a yard with courts."""
    c.extent_m = c.between(120, 350)
    lay(c, ("grass", "paved", "soil", "sand"))
    angle = c.between(0, np.pi)
    colour = c.pick(*ROOFS)
    long, deep = c.between(32, 46), c.between(8, 12)
    gap = deep * c.between(2.0, 2.8)
    count = c.whole(2, 4)
    x0 = c.between(-16, -8)
    listed = c.chance(0.6)
    for i in range(count):
        v = (i - (count - 1) / 2) * gap
        at = spot_at(x0, v, angle)
        common.block(c, at, angle, (long, deep), colour, deep * 0.4, "building" if listed else None)
        for u in np.linspace(-long / 2, long / 2, 3):
            point = spot_at(x0 + u, v, angle)
            c.take(point[0], point[1], deep * 0.9)
    if not listed:
        c.crowds["building"] = None
        side = spot_at(x0 - long / 2 + deep / 2, 0.0, angle)
        common.block(c, side, angle, (deep, gap * (count - 1)), colour, deep * 0.4)
    paints = ("green", "blue", "red", "orange")
    ground = plan(c, number(c, 3), (15, 26), paints)
    kind = c.pick("basketball court", "tennis court")
    put(c, partial(objects.court, c, name=kind), ground, 0.6, angle, 0.05, 0)
    if c.chance(0.4):
        track = plan(c, 1, (24, 34), ("red", "brown"))
        put(c, partial(objects.track, c), track, 0.52, angle, 0.05)
    settle(c, angle)
    c.say("school", colour=colour)


def square(c: Canvas) -> None:
    """A paved square with rings, rays and lawns about a fountain or monument."""
    c.extent_m = c.between(120, 350)
    lay(c, ("town", "blocks", "grass", "paved", "woods"))
    size = c.between(56, 84)
    at = c.spot(size * 0.5) or MIDDLE
    angle = c.between(0, np.pi)
    stone = c.rgb["concrete"]
    tint = paint(c.rng, c.pick("red", "gray", "brown"))
    round_one = c.chance(0.4)
    shape = disc(0.5, corners=30) if round_one else rectangle(1, c.between(0.7, 1))
    c.polygon(turned(shape, at, angle, size), shade(stone, 0.8))
    c.polygon(turned(shape * 0.96, at, angle, size), stone)
    lawn = c.rgb["grass"] if c.chance(0.6) else mix(stone, tint, 0.5)
    for x, y in ((0.25, 0.19), (0.25, -0.19), (-0.25, -0.19), (-0.25, 0.19)):
        c.polygon(turned(rectangle(0.26, 0.2, x, y), at, angle, size), lawn)
    for k, radius in enumerate(np.linspace(0.24, 0.1, c.whole(2, 5))):
        c.polygon(turned(disc(radius, corners=28), at, angle, size), tint if k % 2 else stone)
    if c.chance(0.6):
        wide = size * c.between(0.2, 0.32)
        parts: list[Part] = [(disc(0.5, corners=24), (214, 208, 196)), (disc(0.42), (92, 158, 186))]
        parts += [(disc(0.2), (214, 208, 196)), (disc(0.13), (236, 244, 248))]
        c.stamp(parts, at, 0, wide, 0.06, 1, "fountain")
    settle(c, angle)
    c.say("square", shape="round" if round_one else "rectangular")


def resort(c: Canvas) -> None:
    """Villas and pools along winding paths, often by the water."""
    c.extent_m = c.between(80, 250)
    lay(c, ("grass", "sand", "soil", "woods"))
    sea = c.chance(0.4)
    if sea:
        side = turned(blob(c, 60, 0.15), 50 + 78 * np.array(c.sun), 0)
        c.spread(
            c.rgb["sand"], 0.0, objects.cover(c, turned(side - side.mean(0), side.mean(0), 0, 1.12))
        )
        shore = objects.cover(c, side)
        water(c, shore)
        c.take_cover(shore)
        c.note("a piece of ocean")
    for _ in range(2):
        path = curve(c, c.between(4, 14))
        inside = path[c.free(path, 1)]
        if len(inside) > 4:
            c.line(inside, 1.6, c.rgb["concrete"])
            c.take_line(inside, 1.8)
    pools = plan(c, number(c, 3), (18, 40), ("blue", "blue"))
    put(c, lambda at, turn, size, _: objects.pool(c, at, turn, size), pools, 0.5)
    colour = c.pick("red", "orange", "brown", "white", "gray")
    for _ in range(c.whole(8, 22)):
        size = c.between(8, 13)
        at = c.spot(size * 0.58, tries=20)
        if at:
            common.house(c, at, c.between(0, 6.3), size, colour, None)
    c.crowds["house"] = None
    settle(c)
    trees(c, c.whole(30, 80), c.between(1.2, 2.4), groups=False)
    c.say("resort", colour=colour, basins=those(c, "swimming pool"))


TOWN = by_name(
    center,
    church,
    commercial_area,
    dense_residential_area,
    medium_residential_area,
    resort,
    school,
    sparse_residential_area,
    square,
)
