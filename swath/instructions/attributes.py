"""What objects look like: colour, size, place and neighbours, measured in the image and its boxes.

Source: attributes of GeoChat's data (arXiv:2311.15826): the largest K-means cluster of a box gives
the colour, the 20th and 80th percentile of a class's areas bound "normal" size, a 3 x 3 grid the
place, distance and containment the relation.
"""

from __future__ import annotations

import colorsys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import ShapeError
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.instructions.language import Look
from swath.recipe import Rendering

LEAST_OBJECTS = 5
"""Classes with fewer training objects have no sizes."""

_LONGEST_PX = 2048  # side at which an image is read for its colours
_GRID = 16  # samples along each side of a box
_CLUSTERS = 3
_ROUNDS = 6

# Attributes that may single an object out, the shortest phrase first.
_WAYS: tuple[tuple[str, ...], ...] = (
    *((), ("colour",), ("size",), ("place",)),
    *(("size", "colour"), ("colour", "place"), ("size", "place"), ("size", "colour", "place")),
    *(("relation",), ("colour", "relation"), ("size", "relation")),
)


class Looks:
    """Looks of objects, sizes judged against the training images of one set.

    Args:
        training: images that say which size is normal.
        rendering: how rasters become the colours that are named.
    """

    def __init__(
        self, training: Iterable[AnnotatedImage] = (), rendering: Rendering = PLAIN
    ) -> None:
        self._rendering = rendering
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
            if len(values) >= LEAST_OBJECTS and high >= 1.5 * low:
                self._normal[name] = (float(low), float(high))
        self._last: tuple[AnnotatedImage, tuple[Look, ...]] | None = None

    def of(self, image: AnnotatedImage) -> tuple[Look, ...]:
        """The look of each of the image's boxes; the image is read once.

        Raises:
            ImageryError: the image cannot be read.
        """
        if self._last is None or self._last[0] is not image:
            self._last = (image, self._measured(image))
        return self._last[1]

    def _measured(self, image: AnnotatedImage) -> tuple[Look, ...]:
        if not len(image.boxes):
            return ()
        centres = image.boxes.quads.mean(axis=1) / image.size_wh
        cells = np.clip(np.floor(centres * 3), 0, 2).astype(int)
        rows = zip(
            image.names,
            colours(image, self._rendering),
            image.boxes.areas,
            cells[:, 0] + 3 * cells[:, 1],
            relations(image.boxes, image.names),
            strict=True,
        )
        return tuple(
            Look(name, colour, self._size(name, area), int(place), relation)
            for name, colour, area, place, relation in rows
        )

    def _size(self, name: str, area: float) -> str | None:
        low, high = self._normal.get(name, (0.0, np.inf))
        return "small" if area < low else "large" if area > high else None


def singling_out(looks: tuple[Look, ...]) -> list[list[Look]]:
    """For each object the looks that only it answers to, the shortest first; none for some."""
    found: list[list[Look]] = [[] for _ in looks]
    for way in _WAYS:
        short = [_only(look, way) for look in looks]
        counts = Counter(short)
        for row, look in enumerate(short):
            if counts[look] == 1 and all(getattr(look, name) is not None for name in way):
                found[row].append(look)
    return found


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
        for name in ("colour", "size", "place", "relation")
        if all(getattr(look, name) == getattr(first, name) for look in looks)
    ]
    return _only(first, tuple(same))


def _only(look: Look, kept: tuple[str, ...]) -> Look:
    return replace(Look(look.name), **{name: getattr(look, name) for name in kept})


def relations(boxes: Boxes, names: tuple[str, ...]) -> list[tuple[str, str] | None]:
    """For each box the object of another class that it lies in, else the nearest one beside it.

    Beside means a gap of at most half the mean side of the smaller of the two; all in horizontal
    boxes.
    """
    low, high = boxes.hbb[:, :2], boxes.hbb[:, 2:]
    sides = high - low
    areas, mean = np.maximum(sides.prod(axis=1), 1e-9), sides.mean(axis=1)
    overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)  # (n, n, 2)
    inside = np.clip(overlap, 0, None).prod(axis=-1) / areas[:, None]
    gaps = np.hypot(*np.moveaxis(np.clip(-overlap, 0, None), -1, 0))
    others = np.array(names)[:, None] != np.array(names)
    holds = others & (inside >= 0.9) & (areas > areas[:, None])
    beside = others & (gaps <= 0.5 * np.minimum(mean, mean[:, None])) & (inside < 0.9)
    beside &= inside.T < 0.9
    found: list[tuple[str, str] | None] = []
    for row in range(len(boxes)):
        if holds[row].any():
            found.append(("inside", names[int(np.where(holds[row], areas, np.inf).argmin())]))
        elif beside[row].any():
            found.append(("next to", names[int(np.where(beside[row], gaps[row], np.inf).argmin())]))
        else:
            found.append(None)
    return found


def colours(image: AnnotatedImage, rendering: Rendering = PLAIN) -> list[str]:
    """The name of the commonest colour in each of the image's boxes."""
    scene = open_scene(image.path)
    scale = min(1.0, _LONGEST_PX / max(scene.size_wh))
    width, height = (max(1, round(side * scale)) for side in scene.size_wh)
    pixels = scene.read_rgb(size_wh=(width, height), rendering=rendering)
    # A grid inside each box, as it lies, without its rim.
    across, down = np.meshgrid(*[np.linspace(0.1, 0.9, _GRID)] * 2)
    corner, right, below = (image.boxes.quads[:, place, None] for place in (0, 1, 3))
    points = corner + across.reshape(1, -1, 1) * (right - corner)
    points = points + down.reshape(1, -1, 1) * (below - corner)  # (boxes, samples, 2)
    places = np.floor(points * (np.array([width, height]) / image.size_wh)).astype(int)
    x, y = (np.clip(places[..., axis], 0, side - 1) for axis, side in ((0, width), (1, height)))
    return [colour_name(*rgb) for rgb in _commonest(pixels[y, x].astype(np.float64))]


def _commonest(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """(boxes, 3) centre of the largest of a few K-means clusters of (boxes, samples, 3) colours."""
    order = samples.sum(axis=2).argsort(axis=1, kind="stable")
    starts = (np.arange(_CLUSTERS) * 2 + 1) * samples.shape[1] // (2 * _CLUSTERS)
    centres = np.take_along_axis(samples, order[:, starts, None], axis=1)
    for _ in range(_ROUNDS):
        apart = ((samples[:, :, None] - centres[:, None]) ** 2).sum(axis=-1)
        member = apart.argmin(axis=2)[..., None] == np.arange(_CLUSTERS)  # (boxes, samples, k)
        counts = member.sum(axis=1)[..., None]
        sums = member.transpose(0, 2, 1).astype(np.float64) @ samples
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    largest = counts[..., 0].argmax(axis=1)
    return centres[np.arange(len(samples)), largest]


def colour_name(red: float, green: float, blue: float) -> str:
    """One of ten names for a colour of 0 to 255."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    degrees = hue * 360
    # Of dark paint the hue is mostly that of its shadow, so colour is judged by chroma as well.
    if saturation < 0.2 or saturation * value < 0.13:
        return "white" if value > 0.78 else "gray" if value > 0.28 else "black"
    if 15 <= degrees < 45 or (degrees < 15 and saturation < 0.65 and value < 0.6):
        return "orange" if value > 0.8 and saturation > 0.6 else "brown"
    bounds = ((15, "red"), (70, "yellow"), (165, "green"), (255, "blue"), (330, "purple"))
    return next((name for bound, name in bounds if degrees < bound), "red")
