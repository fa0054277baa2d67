"""Scene kinds of play and rest: sports grounds, stadiums, parks."""

from __future__ import annotations

from functools import partial

import numpy as np

from nano import objects
from nano.objects import blob
from swath.imagery.drawing.canvas import MIDDLE, Canvas, turned
from swath.imagery.drawing.layout import by_name, number, plan, put
from swath.imagery.drawing.surroundings import curve, lay, open_ground, settle, trees, water


def playground(c: Canvas) -> None:
    """A running track about a pitch, with courts beside it."""
    c.extent_m = c.between(120, 300)
    lay(c)
    angle = c.between(0, 2 * np.pi)
    paints = ("red", "blue", "green", "brown", "orange")
    c_word = c.pick(*paints)
    put(c, partial(objects.track, c), plan(c, 1, (46, 86), (c_word,)), 0.5, angle, 0, 6)
    if c.chance(0.6):
        kind = c.pick("basketball court", "tennis court")
        wanted = plan(c, number(c, 5, 0.4), (14, 24), ("green", "blue", "red", "orange"))
        put(c, partial(objects.court, c, name=kind), wanted, 0.56, angle, 0.04, 0)
    settle(c, angle)
    c.say("playground", colour=c_word)


def baseball_field(c: Canvas) -> None:
    """One large diamond, or a few in a cluster."""
    c.extent_m = c.between(100, 300)
    lay(c)
    count = number(c, 4, 0.55)
    wanted = plan(c, count, (40, 66), ("green", "brown"))
    put(c, lambda at, turn, size, _: objects.diamond(c, at, turn, size), wanted, 0.71, off_centre=8)
    settle(c)
    c.say("baseball field")


def stadium(c: Canvas) -> None:
    """A stadium in its surroundings."""
    c.extent_m = c.between(200, 500)
    lay(c)
    colour = c.pick("white", "gray", "blue", "red", "brown", "yellow")
    wanted = plan(c, 1, (40, 82), (colour,))
    angle = c.between(0, 2 * np.pi)
    if c.chance(0.6):
        size = wanted[0][0]
        at = c.spot(size * 0.5, 6) or MIDDLE
        c.polygon(turned(blob(c, size * 0.62, 0.05), at, angle), c.rgb["concrete"])
        c.blocked[...] = False
        c.take(*at, size * 0.62)
        objects.stadium(c, at, angle, size, colour)
    else:
        put(c, partial(objects.stadium, c), wanted, 0.5, angle, off_centre=6)
    settle(c)
    c.say("stadium", colour=colour)


def park(c: Canvas) -> None:
    """Lawns, groves and a pond tied together by curved paths."""
    c.extent_m = c.between(150, 500)
    open_ground(c, c.pick("grass", "grass", "soil"), 0.8)
    if c.chance(0.75):
        shape = blob(c, c.between(12, 24), 0.35)
        at = c.spot(min(46.0, float(np.hypot(*shape.T).max())), 10) or MIDDLE
        shape = np.clip(shape + at, 1, 99)
        cover = objects.cover(c, shape)
        water(c, cover)
        low, high = shape.min(axis=0), shape.max(axis=0)
        objects.remember(c, "pond", None, (low + high) / 2, high - low)
    pale = c.rgb["concrete" if c.chance(0.5) else "sand"]
    for _ in range(c.whole(2, 5)):
        line = curve(c, c.between(6, 18), offset=35)
        good = c.free(line, 1)
        for i in np.flatnonzero(good[:-1] & good[1:]):
            c.line(line[i : i + 2], 1.8, pale)
        c.take_line(line, 2)
    if c.chance(0.5):
        x, y = c.rng.uniform(20, 80, 2)
        if c.free(np.array([[x, y]]), 6)[0]:
            c.circle(x, y, 8, pale)
            c.circle(x, y, 5, c.rgb["grass"])
            c.circle(x, y, 2, pale)
    trees(c, c.whole(60, 150), c.between(1.5, 3), groups=True)
    tone = c.word["tree"]
    c.notes += [f"many {tone} trees", "some curved paths"]
    c.say("park", pond="a pond and " if c.things else "")


LEISURE = by_name(baseball_field, park, playground, stadium)
