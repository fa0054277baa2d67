"""What objects look like: colour, size, place, direction, length, neighbours; each if it is plain.

Source: attributes of GeoChat's data (arXiv:2311.15826): the largest cluster of a box gives the
colour, the 20th and 80th percentile of a class's areas bound "normal" size, a 3 x 3 grid the place,
distance and containment the relation.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes, Flags, Floats
from swath.errors import ShapeError
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.instructions.colours import A_COLOUR, Colours, colours_of
from swath.instructions.language import Look, spoken
from swath.instructions.relations import BESIDE, INSIDE, Layout
from swath.recipe import Rendering

LEAST_OBJECTS = 5
"""Classes with fewer training objects have no sizes."""

MOST_RELATED = 400
"""A picture with more objects is a crowd, in which nothing is said of neighbours."""

DIRECTIONS = ("horizontal", "diagonal", "vertical")  # 0, 45 and 90 degrees off the picture's width
_A_SIZE = re.compile(r"\b(?:small|large|big|mini|tiny|huge|medium)", re.IGNORECASE)
_NEAR_LINE = 0.04  # of the picture, how far from a line of the grid an object's place is plain
_LONG = 2.0  # sides of an object that has a direction
_UPRIGHT_LONG = 3.0  # of one whose box cannot turn


@dataclass(frozen=True)
class Objects:
    """The n objects of an image as they are called, and as somebody else could call them.

    Args:
        looks: what is plain of each.
        layout: how they stand to one another.
        areas: pixels.
        limits: (n, 2) areas below and above which one of its class is small or large; 0 and
            infinity where that is not known.
        colours: and the names that each could be given.
        cells: (n, 9) whether somebody could see it in that cell of the grid.
        directions: (n, 3) whether somebody could say it lies so.
        shown: (n,) whether the picture shows any of it; labels of crops reach beyond them.
    """

    looks: tuple[Look, ...]
    layout: Layout
    areas: Floats
    limits: Floats
    colours: Colours
    cells: Flags
    directions: Flags
    shown: Flags


class Looks:
    """Looks of objects, sizes judged against the training images of one set.

    Args:
        training: images that say which size is normal.
        rendering: how rasters become the colours that are named.
        colours: whether images are read for the colours of their objects.
    """

    def __init__(
        self,
        training: Iterable[AnnotatedImage] = (),
        rendering: Rendering = PLAIN,
        colours: bool = True,
    ) -> None:
        self._rendering = rendering
        self._reads = colours
        areas: dict[str, array[float]] = defaultdict(lambda: array("d"))
        for image in training:
            for name, area in zip(
                image.names, image.boxes.areas if image.names else (), strict=True
            ):
                areas[name].append(area)
        self._normal: dict[str, tuple[float, float]] = {}
        for name, values in areas.items():
            low, high = np.percentile(values, (20, 80))
            # Where all are alike, the smaller half of a hair's breadth is not "small".
            if len(values) >= LEAST_OBJECTS and high >= 1.5 * low and not _A_SIZE.search(name):
                self._normal[name] = (float(low), float(high))
        self._last: tuple[AnnotatedImage, Objects] | None = None

    def of(self, image: AnnotatedImage) -> tuple[Look, ...]:
        """The look of each of the image's boxes; see `objects`."""
        return self.objects(image).looks

    def objects(self, image: AnnotatedImage) -> Objects:
        """The image's boxes with all that can be said of them; the image is read once.

        Raises:
            ImageryError: the image cannot be read.
        """
        if self._last is None or self._last[0] is not image:
            self._last = (image, self._measured(image))
        return self._last[1]

    def _measured(self, image: AnnotatedImage) -> Objects:
        boxes = image.boxes
        count = len(boxes)
        reads = self._reads and count > 0
        colours = colours_of(image, self._rendering) if reads else Colours.unknown(count)
        layout = Layout(boxes)
        limits = np.array([self._normal.get(name, (0.0, np.inf)) for name in image.names])
        limits = limits.reshape(-1, 2)
        places, cells = _places(layout, image.size_wh)
        lying, directions, lengths = _lie_of(boxes)
        gsd_m = ground_m(image) if reads else image.gsd_m
        shown = np.all((layout.high > 0) & (layout.low < image.size_wh), axis=1)
        related = relations(layout, image.names, shown)
        areas = boxes.areas
        sizes = list(map(_size, areas.tolist(), limits.tolist()))
        looks = []
        for row, name in enumerate(image.names):
            length = lengths[row]
            look = Look(
                name,
                None if has_colour(name) else colours.names[row],
                sizes[row],
                places[row],
                related[row],
                lying[row],
                None if gsd_m is None or length is None else length * gsd_m,
            )
            looks.append(look)
        return Objects(tuple(looks), layout, areas, limits, colours, cells, directions, shown)


def places_of(image: AnnotatedImage) -> list[int | None]:
    """The cell of the 3 x 3 grid that each box is plainly in, counted in rows; None near a line."""
    places, _ = _places(Layout(image.boxes), image.size_wh)
    return places


def ground_m(image: AnnotatedImage) -> float | None:
    """Metres of ground a pixel of an image measures: as its source says, else as its file does."""
    return image.gsd_m or open_scene(image.path).gsd_m


@lru_cache(maxsize=4096)
def has_colour(name: str) -> bool:
    """Whether a class says a colour already."""
    return bool(A_COLOUR.search(spoken(name)))


def shared(looks: Iterable[Look]) -> Look:
    """What objects of one class have in common.

    Raises:
        ShapeError: there are none.
    """
    looks = list(looks)
    if not looks:
        raise ShapeError("no objects have nothing in common; give at least one look.")
    first = looks[0]
    same = [
        name
        for name in ("colour", "size", "place", "relation", "direction")
        if all(getattr(look, name) == getattr(first, name) for look in looks)
    ]
    return only(first, tuple(same))


def only(look: Look, fields: tuple[str, ...]) -> Look:
    """A look of which nothing but some fields is said."""
    return Look(look.name, **{name: getattr(look, name) for name in fields})


def relations(layout: Layout, names: tuple[str, ...], shown: Flags) -> list[tuple[str, str] | None]:
    """For each box the object of another class that it lies in, else the nearest one beside it.

    Of those that are shown, (n,).
    """
    count = len(names)
    if len(set(names)) < 2 or count > MOST_RELATED:
        return [None] * count
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[name] for name in names])
    differs = (labels[:, None] != labels) & shown
    holds = differs & layout.inside(plain=True)
    beside = differs & layout.beside(plain=True)
    areas = layout.sides.prod(axis=1)
    holder = np.where(holds, areas, np.inf).argmin(axis=1)
    neighbour = np.where(beside, layout.gaps, np.inf).argmin(axis=1)
    related: list[tuple[str, str] | None] = [None] * count
    for row in beside.any(axis=1).nonzero()[0].tolist():
        related[row] = (BESIDE, names[neighbour[row]])
    for row in holds.any(axis=1).nonzero()[0].tolist():
        related[row] = (INSIDE, names[holder[row]])
    return related


def _size(area: float, limits: Sequence[float]) -> str | None:
    low, high = limits
    return "small" if area < 0.9 * low else "large" if area > 1.1 * high else None


def _places(layout: Layout, size_wh: tuple[int, int]) -> tuple[list[int | None], Flags]:
    """The cell of each box, None near a line of the grid; and all that it could be seen in."""
    centres = layout.centres / size_wh
    steps = np.clip(np.floor(centres * 3), 0, 2).astype(int)
    lines = np.abs(centres[:, :, None] - (1 / 3, 2 / 3)).min(axis=(1, 2), initial=1.0)
    cells = (steps[:, 0] + 3 * steps[:, 1]).tolist()
    plain = (lines >= _NEAR_LINE).tolist()
    places = [cell if sure else None for cell, sure in zip(cells, plain, strict=True)]
    reach = np.maximum(_NEAR_LINE, layout.sides / size_wh / 4)
    first = np.clip(np.floor((centres - reach) * 3), 0, 2)[:, :, None]
    last = np.clip(np.floor((centres + reach) * 3), 0, 2)[:, :, None]
    thirds = (first <= np.arange(3)) & (np.arange(3) <= last)  # (n, 2, 3): columns and rows
    possible = thirds[:, 1, :, None] & thirds[:, 0, None, :]
    return places, possible.reshape(-1, 9)


def _lie_of(boxes: Boxes) -> tuple[list[str | None], Flags, list[float | None]]:
    """How each box lies, how it could be said to lie, and the length of its longer side in pixels.

    A box that lies upright among boxes that all do may hold an object that does not: only one much
    longer than wide tells the direction and the length of what is in it.
    """
    edges = boxes.quads[:, 1:3] - boxes.quads[:, 0:2]  # (n, 2 edges, xy)
    lengths = np.hypot(edges[..., 0], edges[..., 1])
    rows = np.arange(len(boxes))
    longer = lengths.argmax(axis=1)
    along = edges[rows, longer]
    length = lengths[rows, longer]
    shares = length / np.maximum(lengths[rows, 1 - longer], 1e-9)
    off = np.degrees(np.arctan2(np.abs(along[:, 1]), np.abs(along[:, 0])))  # 0 to 90
    turned = bool((np.minimum(off, 90 - off) > 1).any())
    least = _LONG if turned else _UPRIGHT_LONG
    apart = np.abs(off[:, None] - (0, 45, 90))
    # Corners that are no rectangle's, or in no order around it, tell no direction.
    corners = boxes.quads
    skew = corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]
    sound = np.hypot(skew[:, 0], skew[:, 1]) <= 0.2 * length
    nearest = apart.argmin(axis=1)
    plain = sound & (shares >= least) & (apart[rows, nearest] <= 12)
    pairs = zip(nearest.tolist(), plain.tolist(), strict=True)
    lying = [DIRECTIONS[direction] if sure else None for direction, sure in pairs]
    possible = (apart <= 40) | (shares < least)[:, None] | ~sound[:, None]
    measured = sound & (turned | (shares >= _UPRIGHT_LONG))
    lengths_px = zip(length.tolist(), measured.tolist(), strict=True)
    return lying, possible, [pixels if sure else None for pixels, sure in lengths_px]
