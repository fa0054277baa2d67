"""What lies around the subject of a scene: open land, woods, patchwork fields, blocks of houses."""

from __future__ import annotations

import numpy as np

from swath.imagery.drawing.canvas import MIDDLE, Canvas, Points, turned
from swath.imagery.drawing.objects import block, car, house, tree
from swath.imagery.drawing.palette import Rgb, mix, shade
from swath.imagery.drawing.texture import Field, above, across, band, crowns, hillshade, stripes

LANDS = ("grass", "soil", "sand", "paved", "woods", "fields", "town", "blocks")


def open_ground(c: Canvas, material: str, roughness: float = 1.0) -> None:
    """Grass, soil or sand with patches of a second tone."""
    grain = c.noise(3, 5, 0.62) * np.float32(c.rng.uniform(4, 11) * roughness)
    c.spread(c.palette.rgb[material], grain)
    if c.rng.random() < 0.6:
        other = c.palette.rgb["soil" if material != "soil" else "sand"]
        patches = np.clip(c.noise(4, 3) - 0.6, 0, 1) * np.float32(c.rng.uniform(0.2, 0.6))
        c.spread(other, grain, patches)


def paved_ground(c: Canvas, material: str = "asphalt", cover: Field | None = None) -> None:
    """Asphalt or concrete with stains."""
    c.spread(c.palette.rgb[material], c.noise(5, 4, 0.7) * np.float32(4), cover)


def water(c: Canvas, cover: Field | None = None, depth: Field | None = None) -> None:
    """Water with ripples; `depth` 0 to 1 darkens it."""
    swell = c.noise(2, 2) * np.float32(4) + c.noise(28, 2) * np.float32(c.rng.uniform(0.5, 4))
    if depth is not None:
        swell = swell - depth * np.float32(22)
    c.spread(c.palette.rgb["water"], swell, cover)


def canopy(c: Canvas) -> None:
    """Closed forest seen from above: crowns lit on the sun's side, dark gaps, mixed species."""
    height = crowns(c.rng, c.size, int(c.rng.integers(11, 30)))
    light = hillshade(height + c.noise(30, 2) * np.float32(0.05), c.sun)
    light = np.clip(light, -2.2, 2.2) * np.float32(c.rng.uniform(8, 14))
    gaps = np.clip(0.62 - height, 0, 1) * np.float32(60)
    mood = c.noise(3, 2) * np.float32(5)
    rgb = c.palette.rgb["tree"]
    c.spread(rgb, light - gaps + mood)
    if c.rng.random() < 0.4:
        kind = above(c.noise(5, 3) * 10, 4, c.size, 12) * np.float32(0.5)
        other = mix(rgb, c.palette.rgb["grass"], c.rng.uniform(0.3, 0.8))
        c.spread(other, light - gaps, kind)


def crop(c: Canvas) -> Rgb:
    """The colour of one field: growing, ripe, ploughed or bare."""
    names = ["grass", "soil", "sand", "tree"]
    name = str(c.rng.choice(names, p=[0.45, 0.27, 0.13, 0.15]))
    other = str(c.rng.choice(names))
    return mix(c.palette.rgb[name], c.palette.rgb[other], c.rng.uniform(0, 0.4))


def fields(c: Canvas, width: float, height: float, angle: float) -> None:
    """Patchwork of fields with furrows: strips `height` deep cut into pieces about `width` long."""
    u, v = across(c.size, angle), across(c.size, angle + np.pi / 2)
    u = u + c.noise(3, 1) * np.float32(c.rng.uniform(0, 1.2))
    rows = int(160 / height) + 2
    edges = np.cumsum(c.rng.uniform(0.6, 1.4, rows)) * height - 80
    row = np.searchsorted(edges, v.ravel()).reshape(v.shape)
    shift = c.rng.uniform(0, width, rows + 1).astype(np.float32)
    column = ((u + shift[row] + 100) / width).astype(int)
    columns = int(column.max()) + 1
    count = (rows + 1) * columns
    table = np.array([crop(c) for _ in range(min(count, 24))], np.float32)
    pick = c.rng.integers(0, len(table), count)[row * columns + column]
    grain = c.noise(4, 4, 0.6) * np.float32(4)
    across_it = (pick % 2).astype(np.float32)
    period = c.rng.uniform(2.4, 6)
    furrows = stripes(c.size, angle, period) * across_it
    furrows += stripes(c.size, angle + np.pi / 2, period) * (1 - across_it)
    strength = c.rng.uniform(1, 9, len(table)).astype(np.float32)[pick]
    c.ground = table[pick] + (grain + furrows * strength)[..., None]
    hedge = c.palette.rgb["tree" if c.rng.random() < 0.6 else "soil"]
    width_px = c.rng.uniform(0.4, 1.2)
    along = (u + shift[row] + 100) % width
    c.spread(hedge, 0.0, band(np.minimum(along, width - along), width_px / 2, c.size))
    near = np.min(np.abs(v[None] - edges[:, None, None].astype(np.float32)), axis=0)
    c.spread(hedge, 0.0, band(near, width_px / 2, c.size))


def lay(c: Canvas, lands: tuple[str, ...] = LANDS) -> str:
    """Lay the ground of the surroundings; `settle` later puts up what stands on it."""
    c.land = str(c.rng.choice(lands))
    if c.land in ("grass", "soil", "sand"):
        open_ground(c, c.land)
    elif c.land == "paved":
        paved_ground(c, "concrete" if c.rng.random() < 0.5 else "asphalt")
    elif c.land == "woods":
        canopy(c)
    elif c.land == "fields":
        fields(c, c.rng.uniform(18, 50), c.rng.uniform(10, 30), c.rng.uniform(0, np.pi))
    else:
        open_ground(c, str(c.rng.choice(["grass", "soil", "sand"])), 0.7)
        c.spread(c.palette.rgb["concrete"], 0.0, np.full_like(c.ground[..., 0], 0.3))
    return c.land


def settle(c: Canvas, angle: float | None = None) -> None:
    """Put up what stands around the subject, on ground not yet taken, and note it for captions."""
    angle = c.rng.uniform(0, np.pi) if angle is None else angle
    word = c.palette.word
    if c.land == "town":
        size = c.rng.uniform(5, 8)
        streets(c, angle, size * 1.25, int(c.rng.integers(3, 5)), size, c.rng.uniform(0.8, 1))
        c.notes.append("many houses")
    elif c.land == "blocks":
        size = c.rng.uniform(10, 16)
        streets(c, angle, size * 1.2, 2, size, 0.9, tall=c.rng.uniform(2, 7))
        c.notes.append("many buildings")
    elif c.land == "woods":
        c.notes.append(f"many {word['tree']} trees")
    elif c.land == "fields":
        c.notes.append("a piece of farmland")
    elif c.land == "paved":
        c.notes.append("a road" if c.rng.random() < 0.5 else "some cement ground")
    else:
        named = {"grass": "grass", "soil": "bare land", "sand": "sand"}[c.land]
        c.notes.append(f"some {word[c.land]} {named}")
    leafy = c.land in ("grass", "soil", "paved", "town", "fields") and c.rng.random() < 0.75
    if leafy and trees(c, int(c.rng.integers(8, 45)), c.rng.uniform(1.2, 3)) > 4:
        c.notes.append(f"some {word['tree']} trees")


def trees(c: Canvas, count: int, radius: float, groups: bool = True) -> int:
    """Scatter trees on free ground, partly in groups; how many stand."""
    points = c.rng.uniform(-2, 102, (count, 2))
    if groups and c.rng.random() < 0.6:
        middles = c.rng.uniform(0, 100, (max(2, count // 8), 2))
        points = middles[c.rng.integers(0, len(middles), count)] + c.rng.normal(0, 7, (count, 2))
    points = points[c.free(points, radius)]
    base = c.palette.rgb["tree"]
    for x, y in points:
        tree(c, x, y, radius * c.rng.uniform(0.6, 1.3), shade(base, c.rng.uniform(0.8, 1.25)))
    return len(points)


def lattice(angle: float, step: tuple[float, float], phase: tuple[float, float]) -> Points:
    """Points of a turned lattice covering the picture, row by row."""
    u = np.arange(-76, 77, step[0]) + phase[0]
    v = np.arange(-76, 77, step[1]) + phase[1]
    uv = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    xy = turned(uv, MIDDLE, angle)
    return xy[(np.abs(xy - 50) < 56).all(axis=1)]


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
    width = max(1.4, lot * c.rng.uniform(0.2, 0.4))
    gap = lot * rows + width * 1.3
    phase = c.rng.uniform(0, gap)
    grey = c.palette.rgb["asphalt"]
    lines = np.arange(-80, 81, gap) + phase
    for v in lines:
        ends = turned(np.array([[-80, v], [0, v + bent * np.sin(v)], [80, v]]), MIDDLE, angle)
        _free_line(c, ends, width, grey)
    for u in np.arange(-80, 81, gap * c.rng.uniform(1.4, 2.6)) + c.rng.uniform(0, gap):
        _free_line(c, turned(np.array([[u, -80.0], [u, 80.0]]), MIDDLE, angle), width, grey)
    offsets = lines[:, None] + width * 0.65 + (np.arange(rows) + 0.5) * lot
    u = np.arange(-76, 77, lot * 1.06)
    uv = np.stack(np.meshgrid(u, offsets.ravel()), axis=-1).reshape(-1, 2)
    uv += c.rng.normal(0, lot * 0.04, uv.shape)
    xy = turned(uv, MIDDLE, angle)
    xy = xy[(np.abs(xy - 50) < 50 + size * 0.6).all(axis=1) & (c.rng.random(len(xy)) < filled)]
    xy = xy[c.free(xy, size * 0.45)]
    roofs = c.palette.roofs
    for x, y in xy:
        colour = roofs[int(c.rng.integers(len(roofs)))]
        way = angle + (np.pi / 2 if c.rng.random() < 0.25 else 0)
        if tall:
            w, h = size * c.rng.uniform(0.6, 1.0, 2)
            high = tall * c.rng.uniform(0.4, 1.4)
            block(c, (x, y), way, (w, h), colour, high, detail=size > 9)
        else:
            house(c, (x, y), way, size * c.rng.uniform(0.75, 1.05), colour, None)
    c.crowds["building" if tall else "house"] = None


def _free_line(c: Canvas, points: Points, width: float, rgb: Rgb) -> None:
    """A street on the ground that is not taken, drawn where all of a short piece is free."""
    start, end = points[0], points[-1]
    steps = np.linspace(0, 1, 41)[:, None]
    along = start + (end - start) * steps
    if len(points) == 3:
        along = along + (points[1] - (start + end) / 2) * (1 - (2 * steps - 1) ** 2)
    inside = c.free(along, width / 2)
    first = 0
    for i in range(len(along) + 1):
        if i == len(along) or not inside[i]:
            if i - first >= 2:
                c.line(along[first:i], width, rgb)
            first = i + 1
    c.take_line(along[inside], width) if inside.all() else _take_free(c, along, inside, width)


def _take_free(c: Canvas, along: Points, inside: np.ndarray, width: float) -> None:
    for i in np.flatnonzero(inside[:-1] & inside[1:]):
        c.take_line(along[i : i + 2], width)


def road(c: Canvas, points: Points, width: float, marked: bool = True, height: float = 0.0) -> None:
    """A road with pale edges and, when wide enough, a dashed centre line."""
    grey = c.palette.rgb["asphalt"]
    if height:
        reach = np.array(c.sun) * (-height * c.low_sun)
        c.line(points + reach, width, (8, 10, 22, c.darkness))
    c.line(points, width, mix(grey, (235, 232, 225), 0.45))
    c.line(points, width * 0.84, grey)
    if marked and width * c.scale > 8:
        steps = np.diff(points, axis=0)
        length = float(np.hypot(*steps.T).sum())
        count = max(2, int(length / 3.2))
        along = resample(points, count * 2)
        for i in range(0, len(along) - 1, 2):
            c.line(along[i : i + 2], width * 0.05, (232, 230, 220))


def resample(points: Points, count: int) -> Points:
    """The same line with its points equally spaced."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, lengths[-1], count)
    return np.stack([np.interp(at, lengths, points[:, k]) for k in (0, 1)], axis=1)


def curve(c: Canvas, bend: float, offset: float = 20.0) -> Points:
    """A winding line across the whole picture."""
    angle = c.rng.uniform(0, 2 * np.pi)
    u = np.linspace(-78, 78, 40)
    one, two = c.rng.uniform(0, 2 * np.pi, 2)
    v = bend * np.sin(u / c.rng.uniform(16, 30) + one) + bend * 0.4 * np.sin(u / 9 + two)
    v += c.rng.uniform(-offset, offset)
    return turned(np.stack([u, v], axis=1), MIDDLE, angle)


def traffic(c: Canvas, points: Points, width: float, count: int, size: float) -> None:
    """Cars strung along a road, too many or too small to be listed."""
    along = resample(points, 200)
    for i in c.rng.choice(198, count, replace=False):
        way = along[i + 1] - along[i]
        angle = float(np.arctan2(way[1], way[0]))
        side = np.array([-way[1], way[0]]) / max(float(np.hypot(*way)), 1e-6) * width * 0.22
        x, y = along[i] + side
        colour = str(c.rng.choice(["white", "black", "red", "blue", "gray"]))
        car(c, (float(x), float(y)), angle, size, colour, named=False)
    c.crowds["car"] = None
