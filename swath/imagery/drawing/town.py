"""Scene kinds people live and meet in: housing, shops, schools, squares, churches, resorts."""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing import objects
from swath.imagery.drawing.canvas import Canvas, Part, disc, rectangle, turned
from swath.imagery.drawing.layout import number, plan, put, those
from swath.imagery.drawing.palette import mix, paint, shade
from swath.imagery.drawing.surroundings import (
    blob,
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
from swath.imagery.drawing.wording import be

ROOFS = ("red", "gray", "white", "brown", "blue", "orange")


def _garden_ground(c: Canvas) -> None:
    open_ground(c, str(c.rng.choice(["grass", "soil", "grass", "sand"])), 0.8)


def dense_residential(c: Canvas) -> None:
    """Small houses wall to wall along narrow streets."""
    c.extent_m = c.rng.uniform(120, 350)
    paved_ground(c, "concrete")
    size = c.rng.uniform(6, 10)
    streets(c, c.rng.uniform(0, np.pi), size * 1.0, int(c.rng.integers(2, 4)), size, 1.0)
    roofs = f"{c.palette.roofs[0]} roofs"
    c.notes += ["some roads"]
    c.sayings += [
        "many houses are arranged neatly in a dense residential area.",
        f"lots of houses with {roofs} are close to each other in a dense residential area.",
        "a dense residential area has many small houses and narrow roads.",
        f"rows of houses with {c.palette.roofs[-1]} roofs fill the dense residential area.",
    ]


def medium_residential(c: Canvas) -> None:
    """Houses with gardens and trees along streets."""
    c.extent_m = c.rng.uniform(120, 300)
    _garden_ground(c)
    size = c.rng.uniform(8, 12)
    bent = c.rng.uniform(0, 8)
    streets(c, c.rng.uniform(0, np.pi), size * 1.35, 2, size, 0.95, bent=bent)
    trees(c, int(c.rng.integers(70, 140)), c.rng.uniform(1.4, 2.6), groups=False)
    tone = c.palette.word["tree"]
    c.notes += [f"many {tone} trees", "some roads"]
    c.sayings += [
        f"many houses and {tone} trees are in a medium residential area.",
        f"many houses with {c.palette.roofs[0]} roofs are in a medium residential area.",
        "houses with gardens stand along the roads in a medium residential area.",
        f"a medium residential area has rows of houses and some {tone} trees.",
    ]


def sparse_residential(c: Canvas) -> None:
    """A few houses far apart, each with its drive."""
    c.extent_m = c.rng.uniform(60, 200)
    lay(c, ("grass", "soil", "woods", "fields", "sand"))
    line = curve(c, c.rng.uniform(2, 10))
    width = c.rng.uniform(2, 4.5)
    road(c, line, width, marked=False)
    c.take_line(line, width + 1)
    count = number(c, 7, 0.35)
    wanted = plan(c, count, (13, 34), ROOFS)

    def home(at: tuple[float, float], angle: float, size: float, colour: str) -> None:
        nearest = line[int(np.argmin(np.hypot(*(line - at).T)))]
        c.line(np.array([at, nearest]), width * 0.45, shade(c.palette.rgb["sand"], 0.95))
        yard = turned(rectangle(size * 1.5, size * 1.3), at, angle)
        rgb = c.palette.rgb["grass" if c.land != "grass" else "soil"]
        c.polygon(yard, (*rgb, 120))
        objects.house(c, at, angle, size, colour)

    put(c, home, wanted, 0.72)
    c.notes += ["a road"]
    settle(c)
    tone = c.palette.word["tree"]
    trees(c, int(c.rng.integers(10, 60)), c.rng.uniform(1.5, 3.5))
    c.sayings += [
        f"the sparse residential area is surrounded by {tone} trees.",
        "there is a road beside the houses in the sparse residential area.",
    ]


def commercial(c: Canvas) -> None:
    """High blocks with long shadows between wide streets with cars."""
    c.extent_m = c.rng.uniform(200, 500)
    paved_ground(c, "concrete")
    size = c.rng.uniform(11, 21)
    angle = c.rng.uniform(0, np.pi)
    line = turned(np.array([[-80.0, 0], [80, 0]]), c.rng.uniform(20, 80, 2), angle)
    width = c.rng.uniform(6, 10)
    road(c, line, width)
    c.take_line(line, width + 1)
    streets(c, angle, size * 1.12, int(c.rng.integers(1, 3)), size, 0.97, tall=c.rng.uniform(5, 14))
    traffic_size = width * 0.34
    traffic(c, line, width, int(c.rng.integers(6, 18)), traffic_size)
    trees(c, int(c.rng.integers(5, 30)), 1.4)
    c.notes += ["a wide road", "many cars"]
    c.sayings += [
        "many tall buildings are in a commercial area.",
        f"buildings with {c.palette.roofs[0]} roofs stand close together in a commercial area.",
        f"the tall buildings of the commercial area have {c.palette.roofs[-1]} roofs.",
        "some tall buildings with long shadows are beside a wide road in a commercial area.",
        "a commercial area has many buildings and busy roads.",
    ]


def center(c: Canvas) -> None:
    """A great round hall on a plaza with rays of paths."""
    c.extent_m = c.rng.uniform(200, 500)
    lay(c)
    size = c.rng.uniform(32, 68)
    at = c.spot(size * 0.56, 8.0) or (50.0, 50.0)
    around = disc(size * c.rng.uniform(0.54, 0.7), *at, 28)
    c.polygon(around, c.palette.rgb["concrete"])
    if c.rng.random() < 0.6:
        for turn in np.arange(c.rng.integers(2, 6)) + c.rng.uniform(0, 3):
            end = np.array(at) + 90 * np.array([np.cos(turn * 1.3), np.sin(turn * 1.3)])
            c.line(np.array([at, end]), c.rng.uniform(2, 4), c.palette.rgb["concrete"])
            c.take_line(np.array([at, end]), 4)
    colour = str(c.rng.choice(["white", "gray", "red", "blue", "brown", "orange"]))
    objects.dome(c, at, c.rng.uniform(0, 3), size, colour)
    settle(c)
    c.sayings += [
        f"a center with a round {colour} roof is near {c.notes[0]}.",
        f"the center is a large round building surrounded by {c.notes[0]}.",
    ]


def church(c: Canvas) -> None:
    """A cross-shaped church among the roofs of a town."""
    c.extent_m = c.rng.uniform(80, 200)
    lay(c, ("town", "blocks", "grass", "paved", "town", "woods"))
    colour = str(c.rng.choice(["red", "gray", "brown", "blue", "black", "green", "orange"]))
    for size, paint_name in plan(c, 1, (30, 66), (colour,)):
        at = c.spot(size * 0.5, 10.0) or (50.0, 50.0)
        angle = c.rng.uniform(0, 2 * np.pi)
        yard = turned(rectangle(size * 1.15, size * 0.85), at, angle)
        c.polygon(yard, c.palette.rgb[str(c.rng.choice(["concrete", "grass", "sand"]))])
        objects.church(c, at, angle, size, paint_name)
    settle(c)
    c.sayings += [
        f"{c.notes[0]} {be(c.notes[0])} around a church with a {colour} roof.",
        "the church has the shape of a cross.",
    ]


def school(c: Canvas) -> None:
    """Long teaching buildings about a yard with courts."""
    c.extent_m = c.rng.uniform(120, 350)
    lay(c, ("grass", "paved", "soil", "sand"))
    angle = c.rng.uniform(0, np.pi)
    colour = str(c.rng.choice(ROOFS))
    long, deep = c.rng.uniform(32, 46), c.rng.uniform(8, 12)
    gap = deep * c.rng.uniform(2.0, 2.8)
    count = int(c.rng.integers(2, 4))
    x0 = c.rng.uniform(-16, -8)
    listed = c.rng.random() < 0.6
    for i in range(count):
        v = (i - (count - 1) / 2) * gap
        at = turned(np.array([[x0, v]]), (50, 50), angle)[0]
        objects.block(
            c,
            (at[0], at[1]),
            angle,
            (long, deep),
            colour,
            deep * 0.4,
            "building" if listed else None,
        )
        for u in np.linspace(-long / 2, long / 2, 3):
            point = turned(np.array([[x0 + u, v]]), (50, 50), angle)[0]
            c.take(point[0], point[1], deep * 0.9)
    if not listed:
        c.crowds["building"] = None
        side = turned(np.array([[x0 - long / 2 + deep / 2, 0.0]]), (50, 50), angle)[0]
        objects.block(c, (side[0], side[1]), angle, (deep, gap * (count - 1)), colour, deep * 0.4)
    paints = ("green", "blue", "red", "orange")
    ground = plan(c, number(c, 3), (15, 26), paints)
    kind = str(c.rng.choice(["basketball court", "tennis court"]))
    put(
        c,
        lambda at, turn, size, hue: objects.court(c, at, turn, size, hue, kind),
        ground,
        0.6,
        angle,
        0.05,
        0,
    )
    if c.rng.random() < 0.4:
        track = plan(c, 1, (24, 34), ("red", "brown"))
        put(c, lambda *a: objects.track(c, *a), track, 0.52, angle, 0.05)
    settle(c, angle)
    c.sayings += [
        f"a school with {colour} buildings is near {c.notes[0]}.",
        "several long buildings and a sports court are in a school.",
        f"the school buildings have {colour} roofs.",
    ]


def square(c: Canvas) -> None:
    """A paved square with rings, rays and lawns about a fountain or monument."""
    c.extent_m = c.rng.uniform(120, 350)
    lay(c, ("town", "blocks", "grass", "paved", "woods"))
    size = c.rng.uniform(56, 84)
    at = c.spot(size * 0.5) or (50.0, 50.0)
    angle = c.rng.uniform(0, np.pi)
    stone, tint = (
        c.palette.rgb["concrete"],
        paint(c.rng, str(c.rng.choice(["red", "gray", "brown"]))),
    )
    round_one = c.rng.random() < 0.4
    shape = disc(0.5, corners=30) if round_one else rectangle(1, c.rng.uniform(0.7, 1))
    c.polygon(turned(shape, at, angle, size), shade(stone, 0.8))
    c.polygon(turned(shape * 0.96, at, angle, size), stone)
    lawn = c.palette.rgb["grass"] if c.rng.random() < 0.6 else mix(stone, tint, 0.5)
    for k in range(4):
        corner = turned(rectangle(0.26, 0.2, 0.25, 0.19), (0, 0), k * np.pi / 2)
        if k % 2:
            corner = rectangle(0.26, 0.2, *((0.25, -0.19) if k == 1 else (-0.25, 0.19)))
        else:
            corner = rectangle(0.26, 0.2, *((0.25, 0.19) if k == 0 else (-0.25, -0.19)))
        c.polygon(turned(corner, at, angle, size), lawn)
    for k, radius in enumerate(np.linspace(0.24, 0.1, int(c.rng.integers(2, 5)))):
        c.polygon(turned(disc(radius, corners=28), at, angle, size), tint if k % 2 else stone)
    if c.rng.random() < 0.6:
        wide = size * c.rng.uniform(0.2, 0.32)
        parts: list[Part] = [(disc(0.5, corners=24), (214, 208, 196)), (disc(0.42), (92, 158, 186))]
        parts += [(disc(0.2), (214, 208, 196)), (disc(0.13), (236, 244, 248))]
        c.stamp(parts, at, 0, wide, 0.06, 1, "fountain")
    settle(c, angle)
    c.sayings += [
        f"a large square is surrounded by {c.notes[0]}.",
        f"{c.notes[0]} can be seen around a {'round' if round_one else 'rectangular'} square.",
        "some patterns are on the ground of the square.",
    ]


def resort(c: Canvas) -> None:
    """Villas and pools along winding paths, often by the water."""
    c.extent_m = c.rng.uniform(80, 250)
    lay(c, ("grass", "sand", "soil", "woods"))
    sea = c.rng.random() < 0.4
    if sea:
        side = turned(blob(c, 60, 0.15), 50 + 78 * np.array(c.sun), 0)
        c.spread(
            c.palette.rgb["sand"], 0.0, c.cover(turned(side - side.mean(0), side.mean(0), 0, 1.12))
        )
        shore = c.cover(side)
        water(c, shore)
        c.take_cover(shore)
        c.notes.append("a piece of ocean")
    for _ in range(2):
        path = curve(c, c.rng.uniform(4, 14))
        inside = path[c.free(path, 1)]
        if len(inside) > 4:
            c.line(inside, 1.6, c.palette.rgb["concrete"])
            c.take_line(inside, 1.8)
    pools = plan(c, number(c, 3), (18, 40), ("blue", "blue"))
    put(c, lambda at, turn, size, _: objects.pool(c, at, turn, size), pools, 0.5)
    colour = str(c.rng.choice(["red", "orange", "brown", "white", "gray"]))
    for _ in range(int(c.rng.integers(8, 22))):
        size = c.rng.uniform(8, 13)
        at = c.spot(size * 0.58, tries=20)
        if at:
            objects.house(c, at, c.rng.uniform(0, 6.3), size, colour, None)
    c.crowds["house"] = None
    settle(c)
    trees(c, int(c.rng.integers(30, 80)), c.rng.uniform(1.2, 2.4), groups=False)
    basins = those(c, "swimming pool")
    c.sayings += [
        f"a resort with {colour} villas and {basins} is near {c.notes[0]}.",
        f"many {c.palette.word['tree']} trees and houses are around a pool in the resort.",
    ]


TOWN = {
    "center": center,
    "church": church,
    "commercial area": commercial,
    "dense residential area": dense_residential,
    "medium residential area": medium_residential,
    "resort": resort,
    "school": school,
    "sparse residential area": sparse_residential,
    "square": square,
}
