"""Scene kinds nature shapes: relief, water, woods, and the fields people made of them."""

from __future__ import annotations

from functools import partial

import numpy as np

from nano import objects
from nano.objects import blob
from swath.imagery.drawing.canvas import Canvas, straight, turned
from swath.imagery.drawing.layout import by_name, number, plan, put, those
from swath.imagery.drawing.palette import mix, paint, shade
from swath.imagery.drawing.surroundings import (
    canopy,
    crop,
    curve,
    fields,
    lay,
    open_ground,
    road,
    settle,
    trees,
    water,
)
from swath.imagery.drawing.texture import Field, above, across, band, grid, hillshade, stripes, unit

SHIP_PAINTS = ("white", "red", "blue", "black", "green", "yellow")


def bare_land(c: Canvas) -> None:
    """Open soil or sand: rills, patches, a track or two."""
    c.extent_m = c.between(150, 500)
    material = str(c.rng.choice(["soil", "sand", "grass"], p=[0.5, 0.3, 0.2]))
    tone = c.word[material]
    open_ground(c, material, 1.4)
    patch = above(c.noise(3, 4) * 14, c.between(0, 8), c.size, 6)
    second = mix(c.rgb["soil"], c.rgb["sand"], c.rng.random())
    share = np.float32(c.between(0.2, 0.7))
    c.spread(second, c.noise(9, 3) * np.float32(8), patch * share)
    rills = above(-np.abs(c.noise(3, 4, 0.6)) * 18, -c.between(0.5, 1.6), c.size, 1.5)
    c.spread(shade(c.rgb[material], 0.72), 0.0, rills * np.float32(0.7))
    if c.chance(0.6):
        track = shade(c.rgb["sand"], 1.05)
        for _ in range(c.whole(1, 3)):
            c.line(curve(c, c.between(0, 8)), c.between(0.7, 2), track)
        c.note("a path")
    if c.chance(0.4) and trees(c, c.whole(4, 20), 1.2) > 3:
        c.note("some plants")
    c.say("bare land", tone=tone)


def desert(c: Canvas) -> None:
    """Dunes: bent crests, a lit and a shaded slope."""
    c.extent_m = c.between(300, 1500)
    angle = c.between(0, np.pi)
    period = c.between(7, 26)
    wobble = c.noise(2, 3) * np.float32(period * c.between(0.12, 0.42))
    phase = (across(c.size, angle) + wobble) / np.float32(period) % 1
    crest = c.between(0.6, 0.82)
    height = np.where(phase < crest, phase / crest, (1 - phase) / (1 - crest))
    height = height * np.float32(1) + c.noise(9, 2) * np.float32(0.05)
    light = hillshade(height, c.sun) * np.float32(c.between(9, 20))
    ripples = stripes(c.size, angle + 0.3, 2.2, wobble) * np.float32(c.between(0, 2.5))
    material = c.pick("sand", "soil", "sand")
    c.spread(c.rgb[material], light + ripples)
    tone = c.word[material]
    c.say("desert", tone=tone)
    c.note("many dunes")


def forest(c: Canvas) -> None:
    """Closed canopy, now and then parted by a clearing, a track or a stream."""
    c.extent_m = c.between(100, 600)
    canopy(c)
    tone = c.word["tree"]
    if c.chance(0.35):
        clearing = above(c.noise(3, 3) * 12, c.between(12, 20), c.size, 2)
        c.spread(c.rgb["grass"], c.noise(9, 2) * np.float32(4), clearing)
    if c.chance(0.35):
        path = curve(c, c.between(3, 10))
        c.line(path, c.between(0.8, 2.4), c.rgb["sand"])
        c.note("a narrow path")
    c.note(f"many {tone} trees")
    c.say("forest")


def meadow(c: Canvas) -> None:
    """Even grass with soft mottling, a lone tree, a path."""
    c.extent_m = c.between(100, 400)
    rgb = mix(c.rgb["grass"], c.rgb["soil"], c.between(0, 0.25))
    c.spread(rgb, c.noise(2, 3) * np.float32(5) + c.noise(40, 2) * np.float32(3))
    if c.chance(0.6):
        angle = c.between(0, np.pi)
        mown = stripes(c.size, angle, c.between(4, 9), c.noise(2, 1) * np.float32(1.5))
        c.ground += (mown * np.float32(c.between(1.5, 4)))[..., None]
    if c.chance(0.4):
        c.line(curve(c, c.between(0, 5)), c.between(0.8, 2), c.rgb["sand"])
        c.note("a path")
    stand = trees(c, c.whole(0, 7), c.between(1.5, 4), groups=False)
    if stand > 1:
        c.note("several trees")
    c.say("meadow")


def mountain(c: Canvas) -> None:
    """Ridges and valleys lit from one side, rock above and plants or snow over part of it."""
    c.extent_m = c.between(800, 4000)
    rough = np.abs(c.noise(2, 5, 0.55))
    height = unit(-rough) + c.noise(2, 2) * np.float32(0.8)
    light = hillshade(height, c.sun)
    material = c.pick("soil", "tree", "grass")
    strength = np.float32(c.between(16, 30))
    c.spread(c.rgb[material], light * strength)
    tone = c.word[material]
    if c.chance(0.5):
        other = c.pick(*(name for name in ("soil", "tree", "grass") if name != material))
        where = above(height * 10 + c.noise(4, 3) * 4, c.between(-6, 10), c.size, 12)
        c.spread(c.rgb[other], light * strength, where)
    snow = c.chance(0.3)
    if snow:
        peaks = above(height * 10 + c.noise(8, 2) * 2, c.between(5, 14), c.size, 7)
        c.spread((240, 243, 248), light * np.float32(14), peaks)
        c.note("some white snow")
    c.note("many ridges")
    c.say("mountain", tone=tone, high="white snow" if snow else "rocks")


def farmland(c: Canvas) -> None:
    """A patchwork of furrowed fields, or the circles that turning sprinklers leave."""
    if c.chance(0.6):
        c.extent_m = c.between(200, 900)
        angle = c.between(0, np.pi)
        fields(c, c.between(14, 60), c.between(8, 30), angle)
        if c.chance(0.4):
            end = straight(80, angle, at=c.rng.uniform(25, 75, 2))
            road(c, end, c.between(1.5, 4), marked=False)
            c.note("a road")
        c.say("farmland")
        return
    c.extent_m = c.between(900, 3000)
    open_ground(c, c.pick("soil", "sand", "grass"))
    x, y = grid(c.size)
    count = c.whole(1, 8)
    for size, _ in plan(c, count, (24, 62), ("green", "brown")):
        at = c.spot(size / 2, 12.0)
        if at is None:
            continue
        dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
        radius = np.sqrt(dx * dx + dy * dy)
        rings = np.sin(radius * np.float32(2 * np.pi / c.between(1.8, 4)))
        rgb = crop(c)
        c.spread(rgb, rings * np.float32(c.between(2, 8)), band(radius, size / 2, c.size))
        if c.chance(0.5):
            turn = np.arctan2(dy, dx) - c.between(-3, 3)
            wedge = band(radius, size / 2 - 0.5, c.size) * (np.cos(turn) > c.between(-0.5, 0.8))
            c.spread(shade(rgb, c.rng.choice([0.78, 1.2])), rings * np.float32(3), wedge)
        objects.remember(c, "circular field", None, at, size)
    c.say("farmland, round", circles=those(c, "circular field"))


def river_cover(c: Canvas, half: float, bend: float) -> tuple[Field, Field]:
    """Cover of a winding river across the picture, and the distance from its middle line."""
    angle = c.between(0, np.pi)
    u, v = across(c.size, angle), across(c.size, angle + np.pi / 2)
    one, two, three = c.rng.uniform(0, 6.3, 3)
    line = bend * np.sin(u / np.float32(c.between(14, 26)) + one)
    line = line + bend * 0.3 * np.sin(u / 8 + two) + c.between(-14, 14)
    width = half * (1 + 0.18 * np.sin(u / 17 + three))
    away = v - line + c.noise(6, 2) * np.float32(0.6)
    return band(away, width, c.size), np.abs(away)


def bank(c: Canvas, away: Field, half: float) -> None:
    """A pale margin beside water."""
    c.spread(c.rgb["sand"], 0.0, band(away, half + c.between(0.5, 3), c.size) * 0.7)


def river(c: Canvas) -> None:
    """A winding river through country or town, with ships now and then."""
    c.extent_m = c.between(200, 900)
    lay(c)
    half = c.between(5, 17)
    wet, away = river_cover(c, half, c.between(5, 20))
    bank(c, away, half)
    water(c, wet)
    land = c.blocked.copy()
    if half > 11 and c.chance(0.6):
        c.blocked = wet < 0.97
        ships = plan(c, number(c, 3), (half * 0.9, half * 1.5), SHIP_PAINTS)
        put(c, partial(objects.ship, c), ships)
    c.blocked = land
    c.take_cover(wet)
    settle(c)
    c.say("river")


def pond(c: Canvas) -> None:
    """One or two still waters with uneven shores."""
    c.extent_m = c.between(100, 500)
    lay(c)
    tone = c.word["water"]
    wanted = plan(c, 1 if c.chance(0.7) else 2, (32, 68), ("blue", "green"))
    for size, _ in wanted:
        shape = blob(c, size / 2, c.between(0.1, 0.4))
        reach = float(np.hypot(*shape.T).max())
        at = c.spot(min(reach, 46), 8.0)
        if at is None:
            continue
        shape = np.clip(shape + at, 1.5, 98.5)
        shore = turned(shape - at, at, 0, 1.08)
        c.spread(c.rgb["sand"], 0.0, objects.cover(c, shore) * np.float32(c.between(0, 1)))
        water(c, objects.cover(c, shape))
        low, high = shape.min(axis=0), shape.max(axis=0)
        objects.remember(
            c, "pond", tone if tone in ("blue", "green") else None, (low + high) / 2, high - low
        )
    settle(c)
    c.say("pond", tone=tone)


def beach(c: Canvas) -> None:
    """Sea, foam, sand and land in bands along a gently bent shore."""
    c.extent_m = c.between(150, 700)
    angle = c.between(0, 2 * np.pi)
    u, v = across(c.size, angle), across(c.size, angle + np.pi / 2)
    away = u + c.between(3, 10) * np.sin(v / np.float32(c.between(15, 40)) + c.between(0, 6))
    away = away + c.noise(5, 3) * np.float32(0.8) + c.between(-8, 8)
    lay(c, ("grass", "woods", "town", "paved", "blocks", "soil"))
    width = c.between(10, 38)
    sand = above(away, -width, c.size)
    c.spread(c.rgb["sand"], c.noise(6, 4, 0.7) * np.float32(5), sand)
    wet = above(away, -3, c.size, 5)
    c.spread(shade(c.rgb["sand"], 0.78), 0.0, wet)
    sea = above(away, 0, c.size)
    water(c, sea, np.clip(away / 40, 0, 1))
    shallow = np.exp(-np.clip(away, 0, 99) / np.float32(c.between(4, 12))) * sea
    c.spread(mix(c.rgb["water"], (150, 215, 200), 0.6), 0.0, shallow * np.float32(0.6))
    for _ in range(c.whole(1, 5)):
        wave = away + c.noise(4, 3) * np.float32(1.4) - c.between(0, 18)
        foam = band(wave, c.between(0.3, 1.0), c.size) * np.clip(c.noise(7, 2) + 0.9, 0, 1)
        c.spread((244, 248, 248), 0.0, np.clip(foam, 0, 1))
    if c.chance(0.4):
        c.blocked = (sea < 1) | (away < 8)
        ships = plan(c, number(c, 4), (9, 22), SHIP_PAINTS)
        put(c, partial(objects.ship, c), ships)
    c.blocked[...] = False
    c.take_cover(sand)
    settle(c)
    if c.chance(0.4):
        c.note("many people")
        shore = np.argwhere((away > -width * 0.7) & (away < -3))
        for row, column in shore[c.rng.integers(0, len(shore), 40)] if len(shore) else []:
            x, y = column * 100 / c.size, row * 100 / c.size
            c.circle(x, y, 0.6, paint(c.rng, c.pick("red", "white", "blue")))
    c.say("beach")


NATURE = by_name(bare_land, beach, desert, farmland, forest, meadow, mountain, pond, river)
