"""Drawn overhead scenes whose class, boxes, phrases, counts and captions are exactly known.

They pretrain the small embedded model and are the data of the quickstart: pictures in the manner
of satellite and aerial imagery, drawn from a seed, with no licence but our own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.errors import ImageryError
from swath.imagery.drawing.canvas import Canvas, Thing
from swath.imagery.drawing.demo import DEMO
from swath.imagery.drawing.objects import parts_of
from swath.imagery.drawing.palette import PAINTS, paint
from swath.imagery.drawing.wording import captions, changes, movements, phrases
from swath.registry import Registry, did_you_mean

SCENE_KINDS: Registry[dict[str, Callable[[Canvas], None]]] = Registry(
    "set of scene kinds", "swath.scene_kinds", {"quickstart": DEMO}
)
"""Sets of kinds, each a painter by its label; the base's own set lies outside the package."""

QUICKSTART_KINDS: tuple[str, ...] = tuple(sorted(DEMO))
"""Kinds of the quickstart; no word of their labels or things occurs among the base's kinds."""

MOST_LISTED = 12
"""More things of one class than this are a crowd: none is boxed, captions say "many"."""

LEAST_SIDE_PX = 4.0
"""Things with a shorter side than this are not boxed."""


@dataclass(frozen=True, eq=False)
class DrawnScene:
    """One drawn scene and everything that is true of it.

    Args:
        pixels: (size, size, 3) RGB.
        label: the kind of scene, such as "port".
        boxes: oriented, in pixels of `pixels`; they reach at most 2 % of the side beyond it.
        names: class of each box, such as "ship". All visible things of a class are boxed, or
            none is: there are too many of them, they are tiny, or some are cut by the border.
        phrases: words only this box answers to ("the red ship", "the largest storage tank",
            "plane"), None where there are none.
        captions: three to five different sentences in the manner of RSICD.
        gsd_m: metres of ground per pixel.
    """

    pixels: NDArray[np.uint8]
    label: str
    boxes: Boxes
    names: tuple[str, ...]
    phrases: tuple[str | None, ...]
    captions: tuple[str, ...]
    gsd_m: float


def draw(kind: str, seed: int, size_px: int = 112) -> DrawnScene:
    """The scene of that kind and seed, the same on every machine.

    Args:
        kind: of any set in `SCENE_KINDS`.
        seed: any integer; another seed is another place, season and sensor.
        size_px: side of the picture. The layout of a seed stays the same at every size.

    Raises:
        ImageryError: there is no such kind.
    """
    return _described(kind, _painted(kind, seed, size_px), seed)


def draw_sequence(
    kind: str, seed: int, size_px: int = 112, frames: int = 4
) -> tuple[list[DrawnScene], tuple[str, ...]]:
    """Frames in order of time with a balloon over the scene, and sentences saying where it moves.

    One in four stands still. A balloon points nowhere, so that one frame does not tell.

    Args:
        frames: how many, at least 2.

    Raises:
        ImageryError: there is no such kind.
    """
    rng = np.random.default_rng((*_key(kind, seed), frames))
    colour = str(rng.choice(list(PAINTS)))
    rgb = paint(rng, colour)
    radius = float(rng.uniform(6, 10))
    eighth = None
    way = np.zeros(2)
    if rng.random() < 0.75:
        eighth = int(rng.integers(8))
        angle = eighth * np.pi / 4
        way = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(25, 50)
    room = 100 - 2 * radius - np.abs(way)  # for the start, so that the end is inside too
    start = radius + np.maximum(0, -way) + rng.uniform(0, 1, 2) * room
    scenes = []
    for step in range(frames):
        canvas = _painted(kind, seed, size_px)
        at = start + way * (step / (frames - 1))
        canvas.stamp(parts_of("balloon", rgb), at, 0.0, radius, 1.5, 1, "balloon", colour)
        scenes.append(_described(kind, canvas, seed))
    return scenes, movements(kind, f"{colour} balloon", eighth)


def draw_change(
    kind: str, seed: int, size_px: int = 112
) -> tuple[list[DrawnScene], tuple[str, ...], Boxes]:
    """A scene before and after, sentences saying what changed, and the boxes of what did.

    One to three tents of one colour were put up or taken down; in one pair of four nothing was,
    whether tents stand there or not. The boxes are in pixels of the picture that shows the tents;
    kind, seed and size are as for `draw`.

    Raises:
        ImageryError: there is no such kind.
    """
    rng = np.random.default_rng((*_key(kind, seed), 0))
    colour = str(rng.choice(list(PAINTS)))
    rgb = paint(rng, colour)
    count = int(rng.integers(1, 4))
    radius = float(rng.uniform(6.5, 8))
    before, after = _STANDING[int(rng.integers(8))]
    # Each in a column of its own, so that they do not overlap.
    columns = rng.permutation(3)[:count]
    angle = float(rng.uniform(0, np.pi))
    places = []
    for column in columns:
        x = (100 * column + rng.uniform(30, 70)) / 3
        places.append((x, float(rng.uniform(12, 88))))
    scenes = []
    for standing in (before, after):
        canvas = _painted(kind, seed, size_px)
        for at in places if standing else ():
            canvas.stamp(parts_of("tent", rgb), at, angle, radius, 0.6, 1, "tent", colour)
        scenes.append(_described(kind, canvas, seed))
    noun = f"{colour} tent"
    if before == after:
        return scenes, changes(kind, noun, count, None), Boxes.empty()
    with_tents = scenes[1] if after else scenes[0]
    tents = np.array([name == "tent" for name in with_tents.names], dtype=bool)
    return scenes, changes(kind, noun, count, after), with_tents.boxes[tents]


# Of eight pairs: whether the tents stand before and after.
_STANDING = (*((False, True), (True, False)) * 3, (True, True), (False, False))


def _key(kind: str, seed: int) -> tuple[int, int]:
    """What the dice of a scene are cast by."""
    return zlib.crc32(kind.encode()), seed % 2**64


def _painted(kind: str, seed: int, size_px: int) -> Canvas:
    """The sheet of that kind and seed."""
    painters: dict[str, Callable[[Canvas], None]] = {}
    for _, kinds in SCENE_KINDS.items():
        painters |= kinds
    if kind not in painters:
        raise ImageryError(f"unknown scene kind '{kind}'{did_you_mean(kind, painters)}")
    canvas = Canvas(np.random.default_rng(_key(kind, seed)), size_px)
    painters[kind](canvas)
    return canvas


def _described(kind: str, canvas: Canvas, seed: int) -> DrawnScene:
    """The picture of a sheet and what is true of it."""
    grain = np.random.default_rng((*_key(kind, seed), canvas.size))
    pixels = canvas.finish(grain)
    things = _listed(canvas)
    names = [thing.name for thing in things]
    colours = [thing.colour for thing in things]
    quads = np.array([thing.quad for thing in things]).reshape(-1, 4, 2)
    boxes = Boxes(quads * (canvas.size / 100))
    crowds = [name for name in canvas.crowds if name not in names]
    rng = canvas.rng
    return DrawnScene(
        pixels=pixels,
        label=kind,
        boxes=boxes,
        names=tuple(names),
        phrases=phrases(rng, names, colours, boxes.areas.tolist()),
        captions=captions(rng, kind, names, colours, crowds, canvas.notes, canvas.sayings),
        gsd_m=float(canvas.extent_m / canvas.size),
    )


def _listed(canvas: Canvas) -> list[Thing]:
    """The things to box: whole classes, without those that cannot be counted by looking."""
    groups: dict[str, list[Thing]] = {}
    uncountable = set(canvas.crowds)
    for drawn in canvas.things:
        thing = _visible(drawn)
        if thing is None:
            continue
        edges = np.hypot(*(thing.quad[:2] - thing.quad[1:3]).T)
        if edges.min() * (canvas.size / 100) < LEAST_SIDE_PX:
            uncountable.add(thing.name)
        groups.setdefault(thing.name, []).append(thing)
    listed = []
    for name, group in groups.items():
        cut = any(_share_inside(thing) < 0.6 for thing in group)
        if len(group) > MOST_LISTED or cut:
            uncountable.add(name)
        if name not in uncountable:
            listed += group
        elif len(group) > 5:
            canvas.crowds[name] = None
    return listed


def _share_inside(thing: Thing) -> float:
    if thing.quad.min() >= 0 and thing.quad.max() <= 100:
        return 1.0
    quad = shapely.Polygon(thing.quad)
    inside = quad.intersection(shapely.box(0, 0, 100, 100))
    return float(inside.area / max(quad.area, 1e-9))


def _visible(thing: Thing) -> Thing | None:
    """The thing with its box as far as the picture shows it, None when it shows nothing of it.

    A box reaching more than 2 % beyond the border gives way to the upright box of what is seen.
    """
    if thing.quad.min() >= -2 and thing.quad.max() <= 102:
        return thing
    share = _share_inside(thing)
    if share < 0.05:
        return None
    if share < 0.6:
        return thing
    inside = np.clip(thing.reach, 0, 100)
    return Thing(thing.name, thing.colour, inside, inside)
