"""What lies around the subject of a scene: open land, woods, patchwork fields, blocks of houses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from swath.boxes import Flags, Floats
from swath.imagery.drawing.canvas import MIDDLE, Canvas, Points, turned
from swath.imagery.drawing.objects import block, car, house, tree
from swath.imagery.drawing.palette import Rgb, mix, shade
from swath.imagery.drawing.texture import Field, above, across, band, crowns, hillshade, stripes

LANDS = ("grass", "soil", "sand", "paved", "woods", "fields", "town", "blocks")


def open_ground(c: Canvas, material: str, roughness: float = 1.0) -> None:
    """Grass, soil or sand with patches of a second tone."""
    grain = c.noise(3, 5, 0.62) * (c.between(4, 11) * roughness)
    c.spread(c.rgb[material], grain)
    if c.chance(0.6):
        second = "soil" if material != "soil" else "sand"
        patches = np.clip(c.noise(4, 3) - 0.6, 0, 1) * c.between(0.2, 0.6)
        c.spread(c.rgb[second], grain, patches)


def paved_ground(c: Canvas, material: str = "asphalt", cover: Field | None = None) -> None:
    """Asphalt or concrete with stains."""
    c.spread(c.rgb[material], c.noise(5, 4, 0.7) * 4, cover)


def water(c: Canvas, cover: Field | None = None, depth: Field | None = None) -> None:
    """Water with ripples; `depth` 0 to 1 darkens it."""
    swell = c.noise(2, 2) * 4 + c.noise(28, 2) * c.between(0.5, 4)
    if depth is not None:
        swell = swell - depth * 22
    c.spread(c.rgb["water"], swell, cover)


def canopy(c: Canvas) -> None:
    """Closed forest seen from above: crowns lit on the sun's side, dark gaps, mixed species."""
    height = crowns(c.rng, c.size, c.whole(11, 30))
    light = hillshade(height + c.noise(30, 2) * 0.05, c.sun)
    light = np.clip(light, -2.2, 2.2) * np.float32(c.between(8, 14))
    gaps = np.clip(0.62 - height, 0, 1) * 60
    mood = c.noise(3, 2) * 5
    relief = light - gaps + mood
    rgb = c.rgb["tree"]
    c.spread(rgb, relief)
    if c.chance(0.4):
        stands = above(c.noise(5, 3) * 10, 4, c.size, 12) * 0.5
        species = mix(rgb, c.rgb["grass"], c.between(0.3, 0.8))
        c.spread(species, light - gaps, stands)


def crop(c: Canvas) -> Rgb:
    """The colour of one field: growing, ripe, ploughed or bare."""
    names = ["grass", "soil", "sand", "tree"]
    name = str(c.rng.choice(names, p=[0.45, 0.27, 0.13, 0.15]))
    second = c.pick(*names)
    return mix(c.rgb[name], c.rgb[second], c.between(0, 0.4))


def fields(c: Canvas, width: float, height: float, angle: float) -> None:
    """Patchwork of fields with furrows: strips `height` deep cut into pieces about `width` long."""
    u = across(c.size, angle)
    v = across(c.size, angle + np.pi / 2)
    u = u + c.noise(3, 1) * c.between(0, 1.2)
    rows = int(160 / height) + 2
    edges = np.cumsum(c.rng.uniform(0.6, 1.4, rows)) * height - 80
    row = np.searchsorted(edges, v.ravel()).reshape(v.shape)
    shift = c.rng.uniform(0, width, rows + 1).astype(np.float32)
    along = u + shift[row] + 100
    column = (along / width).astype(int)
    columns = int(column.max()) + 1

    # Each field has one of a few crops, and furrows along or across its strip.
    count = (rows + 1) * columns
    crops = np.array([crop(c) for _ in range(min(count, 24))], np.float32)
    chosen = c.rng.integers(0, len(crops), count)[row * columns + column]
    grain = c.noise(4, 4, 0.6) * 4
    lengthwise = (chosen % 2).astype(np.float32)
    period = c.between(2.4, 6)
    furrows = stripes(c.size, angle, period) * lengthwise
    furrows += stripes(c.size, angle + np.pi / 2, period) * (1 - lengthwise)
    depth = c.rng.uniform(1, 9, len(crops)).astype(np.float32)[chosen]
    c.ground = crops[chosen] + (grain + furrows * depth)[..., None]

    hedge = c.rgb["tree" if c.chance(0.6) else "soil"]
    half_width = c.between(0.4, 1.2) / 2
    offset = along % width
    c.spread(hedge, 0.0, band(np.minimum(offset, width - offset), half_width, c.size))
    away = np.abs(v[None] - edges[:, None, None].astype(np.float32))
    c.spread(hedge, 0.0, band(away.min(axis=0), half_width, c.size))


def lay(c: Canvas, lands: Sequence[str] = LANDS) -> str:
    """Lay the ground of the surroundings; `settle` later puts up what stands on it."""
    c.land = c.pick(*lands)
    if c.land in ("grass", "soil", "sand"):
        open_ground(c, c.land)
    elif c.land == "paved":
        paved_ground(c, "concrete" if c.chance(0.5) else "asphalt")
    elif c.land == "woods":
        canopy(c)
    elif c.land == "fields":
        fields(c, c.between(18, 50), c.between(10, 30), c.between(0, np.pi))
    else:
        open_ground(c, c.pick("grass", "soil", "sand"), 0.7)
        c.spread(c.rgb["concrete"], 0.0, np.full_like(c.ground[..., 0], 0.3))
    return c.land


def settle(c: Canvas, angle: float | None = None) -> None:
    """Put up what stands around the subject, on ground not yet taken, and note it for captions."""
    angle = c.between(0, np.pi) if angle is None else angle
    if c.land == "town":
        size = c.between(5, 8)
        streets(c, angle, size * 1.25, c.whole(3, 5), size, c.between(0.8, 1))
        note = "many houses"
    elif c.land == "blocks":
        size = c.between(10, 16)
        streets(c, angle, size * 1.2, 2, size, 0.9, tall=c.between(2, 7))
        note = "many buildings"
    elif c.land == "woods":
        note = f"many {c.word['tree']} trees"
    elif c.land == "fields":
        note = "a piece of farmland"
    elif c.land == "paved":
        note = "a road" if c.chance(0.5) else "some cement ground"
    else:
        ground = "bare land" if c.land == "soil" else c.land
        note = f"some {c.word[c.land]} {ground}"
    c.note(note)
    leafy = c.land in ("grass", "soil", "paved", "town", "fields") and c.chance(0.75)
    if leafy and trees(c, c.whole(8, 45), c.between(1.2, 3)) > 4:
        c.note(f"some {c.word['tree']} trees")


def trees(c: Canvas, count: int, radius: float, groups: bool = True) -> int:
    """Scatter trees on free ground, partly in groups; how many stand."""
    points = c.rng.uniform(-2, 102, (count, 2))
    if groups and c.chance(0.6):
        middles = c.rng.uniform(0, 100, (max(2, count // 8), 2))
        points = middles[c.rng.integers(0, len(middles), count)] + c.rng.normal(0, 7, (count, 2))
    points = points[c.free(points, radius)]
    base = c.rgb["tree"]
    for x, y in points:
        tree(c, x, y, radius * c.between(0.6, 1.3), shade(base, c.between(0.8, 1.25)))
    return len(points)


def lattice(angle: float, step: tuple[float, float], phase: tuple[float, float]) -> Points:
    """Points of a turned lattice covering the picture, row by row."""
    u = np.arange(-76, 77, step[0]) + phase[0]
    v = np.arange(-76, 77, step[1]) + phase[1]
    points = turned(mesh(u, v), MIDDLE, angle)
    return points[within(points, 56)]


def mesh(u: ArrayLike, v: ArrayLike) -> Points:
    """Points at every u and v, row by row."""
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)


def within(points: Points, reach: float) -> Flags:
    """Which points lie at most so far from the picture's middle, both ways."""
    away: Floats = np.abs(points - 50).max(axis=1)
    return away < reach


def streets(
    c: Canvas,
    angle: float,
    lot: float,
    rows: int,
    size: float,
    filled: float,
    tall: float = 0.0,
    bent: float = 0.0,
) -> None:
    """Streets every `rows` lots with buildings between them, turned by `angle`.

    `tall` above 0 puts up flat-roofed blocks of about that height instead of gabled houses.
    """
    width = max(1.4, lot * c.between(0.2, 0.4))
    gap = lot * rows + width * 1.3
    phase = c.between(0, gap)
    grey = c.rgb["asphalt"]
    lines = np.arange(-80, 81, gap) + phase
    for v in lines:
        ends = turned(np.array([[-80, v], [0, v + bent * np.sin(v)], [80, v]]), MIDDLE, angle)
        _free_line(c, ends, width, grey)
    for u in np.arange(-80, 81, gap * c.between(1.4, 2.6)) + c.between(0, gap):
        _free_line(c, turned(np.array([[u, -80.0], [u, 80.0]]), MIDDLE, angle), width, grey)
    offsets = lines[:, None] + width * 0.65 + (np.arange(rows) + 0.5) * lot
    places = mesh(np.arange(-76, 77, lot * 1.06), offsets.ravel())
    places += c.rng.normal(0, lot * 0.04, places.shape)
    places = turned(places, MIDDLE, angle)
    near = within(places, 50 + size * 0.6)
    places = places[near & (c.rng.random(len(places)) < filled)]
    for x, y in places[c.free(places, size * 0.45)]:
        colour = c.pick(*c.roofs)
        way = angle + (np.pi / 2 if c.chance(0.25) else 0)
        if tall:
            w, h = size * c.rng.uniform(0.6, 1.0, 2)
            height = tall * c.between(0.4, 1.4)
            block(c, (x, y), way, (w, h), colour, height, detail=size > 9)
        else:
            house(c, (x, y), way, size * c.between(0.75, 1.05), colour, None)
    c.crowds["building" if tall else "house"] = None


def _free_line(c: Canvas, points: Points, width: float, rgb: Rgb) -> None:
    """A street on the ground that is not taken, drawn where all of a short piece is free."""
    start, end = points[0], points[-1]
    steps = np.linspace(0, 1, 41)[:, None]
    along = start + (end - start) * steps
    if len(points) == 3:
        along = along + (points[1] - (start + end) / 2) * (1 - (2 * steps - 1) ** 2)
    free = c.free(along, width / 2)
    first = 0
    for place in range(len(along) + 1):
        if place == len(along) or not free[place]:
            if place - first >= 2:
                c.line(along[first:place], width, rgb)
            first = place + 1
    if free.all():
        c.take_line(along, width)
        return
    for piece in np.flatnonzero(free[:-1] & free[1:]):
        c.take_line(along[piece : piece + 2], width)


def road(c: Canvas, points: Points, width: float, marked: bool = True, height: float = 0.0) -> None:
    """A road with pale edges and, when wide enough, a dashed centre line."""
    grey = c.rgb["asphalt"]
    if height:
        reach = np.array(c.sun) * (-height * c.low_sun)
        c.line(points + reach, width, (8, 10, 22, c.darkness))
    c.line(points, width, mix(grey, (235, 232, 225), 0.45))
    c.line(points, width * 0.84, grey)
    if marked and width * c.scale > 8:
        length = float(_steps(points).sum())
        count = max(2, int(length / 3.2))
        dashes = resample(points, count * 2).reshape(-1, 2, 2)  # (dashes, ends, xy)
        for dash in dashes:
            c.line(dash, width * 0.05, (232, 230, 220))


def resample(points: Points, count: int) -> Points:
    """The same line with its points equally spaced."""
    lengths = np.concatenate([[0], np.cumsum(_steps(points))])
    at = np.linspace(0, lengths[-1], count)
    x, y = points.T
    return np.stack([np.interp(at, lengths, x), np.interp(at, lengths, y)], axis=1)


def _steps(points: Points) -> Floats:
    """Length of each piece of a line."""
    return np.hypot(*np.diff(points, axis=0).T)


def curve(c: Canvas, bend: float, offset: float = 20.0) -> Points:
    """A winding line across the whole picture."""
    angle = c.between(0, 2 * np.pi)
    u = np.linspace(-78, 78, 40)
    long_phase, short_phase = c.rng.uniform(0, 2 * np.pi, 2)
    v = bend * np.sin(u / c.between(16, 30) + long_phase)
    v = v + bend * 0.4 * np.sin(u / 9 + short_phase)
    v += c.between(-offset, offset)
    return turned(np.stack([u, v], axis=1), MIDDLE, angle)


def traffic(c: Canvas, points: Points, width: float, count: int, size: float) -> None:
    """Cars strung along a road, too many or too small to be listed."""
    along = resample(points, 200)
    for i in c.rng.choice(198, count, replace=False):
        dx, dy = along[i + 1] - along[i]
        angle = float(np.arctan2(dy, dx))
        lane = np.array([-dy, dx]) / max(float(np.hypot(dx, dy)), 1e-6) * width * 0.22
        colour = c.pick("white", "black", "red", "blue", "gray")
        car(c, along[i] + lane, angle, size, colour, named=False)
    c.crowds["car"] = None
