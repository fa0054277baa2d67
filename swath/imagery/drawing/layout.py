"""How many things a scene holds, how large, in which paints, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml

from swath.imagery.drawing.canvas import At, Canvas
from swath.imagery.drawing.palette import alike
from swath.imagery.drawing.wording import plural, with_article

KINDS = yaml.safe_load(Path(__file__).with_name("kinds.yaml").read_text("utf-8"))
"""What stands on the quickstart's kinds of scene."""

Put = Callable[[At, float, float, str], None]  # at, angle, size, colour


def by_name(*kinds: Callable[[Canvas], None]) -> dict[str, Callable[[Canvas], None]]:
    """What draws each kind of scene, by the kind's name."""
    return {kind.__name__.replace("_", " "): kind for kind in kinds}


def number(c: Canvas, high: int, share_of_one: float = 0.5) -> int:
    """How many: 1 to `high`, small numbers more often."""
    return min(int(c.rng.geometric(share_of_one)), high)


def planned(c: Canvas, kind: str) -> list[tuple[float, str]]:
    """What `plan` gives for the things of a kind."""
    row = KINDS[kind]
    return plan(c, number(c, *row["number"]), row["sizes"], row["paints"])


def plan(
    c: Canvas, count: int, sizes: Sequence[float], paints: Sequence[str]
) -> list[tuple[float, str]]:
    """Size and paint of each of `count` things, the one that stands out first.

    Among several, the first differs from all others by its paint or is much the largest, so
    that a phrase can single it out.
    """
    low, high = sizes
    names = [str(name) for name in c.rng.permutation(paints)]
    first = c.between(low, high)
    if count == 1:
        return [(first, names[0])]
    size = min(first, 58.0 / (count - 1) ** 0.6)
    style = c.rng.random()
    apart = [name for name in names if not alike(names[0], name)]
    smallest = 0.7
    if style < 0.45 and apart:
        colours = apart[:1] * (count - 1)
    elif style < 0.65 and len(apart) >= count - 1:
        colours = apart[: count - 1]
    else:
        size = min(size, first * 0.62)
        smallest = 0.75
        same = c.chance(0.7) or len(names) < 2
        colours = [names[0 if same else 1]] * (count - 1)
    return [(first, names[0])] + [(size * c.between(smallest, 1.0), name) for name in colours]


def put(
    c: Canvas,
    draw: Put,
    planned: list[tuple[float, str]],
    reach: float = 0.54,
    angle: float | None = None,
    spread: float = np.pi,
    off_centre: float = 18.0,
) -> None:
    """Draw each planned thing on free ground, until one finds no room.

    Args:
        reach: radius of the circle a thing needs, in its sizes.
        angle: the way they lie, drawn at random by default.
        spread: how far each may turn from that.
        off_centre: least distance of the first from the picture's middle, where there is room.
    """
    largest = 100.0
    angle = c.between(0, 2 * np.pi) if angle is None else angle
    for i, (size, colour) in enumerate(planned):
        at = None
        size = min(size, largest)
        for _ in range(4):
            at = c.spot(size * reach, off_centre if i == 0 and c.chance(0.85) else 0.0)
            if at is not None:
                break
            size *= 0.85
        if at is None:
            break
        if i == 0:
            largest = size * (0.68 / 0.95 if size < planned[0][0] else 1.0)
        draw(at, angle + c.between(-spread, spread), size, colour)


def those(c: Canvas, name: str) -> str:
    """What a caption calls the drawn things of that class: "a plane", or "planes" of several."""
    count = sum(thing.name == name for thing in c.things)
    return with_article(name) if count == 1 else plural(name)
