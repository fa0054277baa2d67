"""The colours of objects as people name them, and the names that somebody else could give them.

The samples of a box are clustered in CIELAB, where distances are as large as they look. What was
never observed (nodata, shown black) has no colour; where the largest cluster is not much of what is
seen, lies between two names or looks like the ground around, the object is not called by any.

Source: the largest K-means cluster of a box, as in GeoChat's data (arXiv:2311.15826).
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.annotations.image import AnnotatedImage
from swath.boxes import Floats
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.recipe import Rendering

NAMES = (
    *("white", "gray", "black", "red", "orange"),
    *("brown", "yellow", "green", "blue", "purple"),
)
A_COLOUR = re.compile(rf"\b(?:{'|'.join(NAMES)}|grey|pink|silver)\b", re.IGNORECASE)

_LONGEST_PX = 2048  # side at which an image is read for its colours
_GRID = 16  # samples along each side of a box
_CLUSTERS = 3
_ROUNDS = 6
_DARK = 2  # 8-bit values up to which a pixel counts as never observed
_ALIKE = 14.0  # CIELAB distance below which two clusters are one
_MAIN_SHARE = 0.4  # of the samples that the named cluster holds
_GROUND_SHARE = 0.85  # where it looks like the ground around the box
_OBSERVED_SHARE = 0.5  # of the samples that were observed
_SEEN_SHARE = 0.15  # of the samples of a cluster that could be taken for the object
_LEAST_PX = 3.0  # shorter side, as read; the pixels of a smaller box are mostly its rim
_WITHOUT_HUE = {"white", "gray", "black"}
_SHIFTS = ((0.94, 0.0), (1.06, 0.0), (1.0, 6.0), (1.0, -6.0))  # a name holds if they do not move it


@dataclass(frozen=True)
class Colours:
    """The colours of n boxes.

    Args:
        names: of each; None where it is not plain.
        possible: (n, 10) whether somebody could call it by each of `NAMES`.
    """

    names: tuple[str | None, ...]
    possible: NDArray[np.bool_]

    @classmethod
    def unknown(cls, count: int) -> Colours:
        """Of boxes that nobody looked at."""
        return cls((None,) * count, np.ones((count, len(NAMES)), dtype=bool))


def colours_of(image: AnnotatedImage, rendering: Rendering = PLAIN) -> Colours:
    """The colours of an image's boxes, of one read of its pixels.

    Raises:
        ImageryError: the image cannot be read.
    """
    samples, ring, shorter_px = _samples(image, rendering)
    names: list[str | None] = []
    possible = np.zeros((len(samples), len(NAMES)), dtype=bool)
    centres, shares = _clusters(samples)
    observed = (samples.max(axis=2) > _DARK).mean(axis=1)
    ground = _lab(np.median(ring, axis=1))  # (boxes, 3)
    apart = np.linalg.norm(_lab(centres) - ground[:, None], axis=2)
    for row in range(len(samples)):
        if observed[row] < _OBSERVED_SHARE or shorter_px[row] < _LEAST_PX:
            names.append(None)
            possible[row] = True
            continue
        order = np.argsort(-shares[row], kind="stable")
        likely = [place for place in order if shares[row, place] >= _SEEN_SHARE]
        readings = [_readings(centres[row, place]) for place in likely]
        for reading in readings:
            possible[row, [NAMES.index(name) for name in reading]] = True
        main = order[0]
        least = _MAIN_SHARE if apart[row, main] > _ALIKE else _GROUND_SHARE
        plain = shares[row, main] >= least and len(readings[0]) == 1
        # Shadow and glass are dark: beside paint of a colour the object is not called by them.
        painted = any(
            not reading & _WITHOUT_HUE and apart[row, place] > _ALIKE
            for place, reading in zip(likely, readings, strict=True)
        )
        dim = readings[0] <= {"black", "gray"} and painted
        names.append(next(iter(readings[0])) if plain and not dim else None)
    return Colours(tuple(names), possible)


def _samples(image: AnnotatedImage, rendering: Rendering) -> tuple[Floats, Floats, Floats]:
    """(boxes, samples, 3) colours of a grid in each box, as it lies, and of a ring around it.

    And its shorter side, in pixels as read.
    """
    scene = open_scene(image.path)
    scale = min(1.0, _LONGEST_PX / max(scene.size_wh))
    width, height = (max(1, round(side * scale)) for side in scene.size_wh)
    pixels = scene.read_rgb(size_wh=(width, height), rendering=rendering)
    quads = image.boxes.quads * (np.array([width, height]) / image.size_wh)
    middle = np.linspace(0.2, 0.8, _GRID)  # rims are ground
    around = np.linspace(-0.25, 1.25, _GRID)

    def colours_at(shares: Floats) -> Floats:
        across, down = np.moveaxis(shares[None, :, :, None], 2, 0)
        corner = quads[:, 0, None]
        points = corner + across * (quads[:, 1, None] - corner)
        points = points + down * (quads[:, 3, None] - corner)  # (boxes, samples, 2)
        places = np.clip(np.floor(points), 0, (width - 1, height - 1)).astype(int)
        return pixels[places[..., 1], places[..., 0]].astype(np.float64)

    inside = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    whole = np.stack(np.meshgrid(around, around), axis=-1).reshape(-1, 2)
    ring = whole[np.any((whole < -0.1) | (whole > 1.1), axis=1)]
    sides = np.linalg.norm(quads[:, [1, 3]] - quads[:, [0]], axis=2)
    return colours_at(inside), colours_at(ring), sides.min(axis=1)


def _clusters(samples: Floats) -> tuple[Floats, Floats]:
    """(boxes, k, 3) colours and (boxes, k) shares of clusters; alike ones are joined in the first.

    Samples that were never observed belong to none.
    """
    lab = _lab(samples)
    observed = samples.max(axis=2) > _DARK
    brightness = np.where(observed, lab[..., 0], np.inf)
    order = brightness.argsort(axis=1, kind="stable")
    counts = observed.sum(axis=1)
    parts = (np.arange(_CLUSTERS) * 2 + 1) * counts[:, None] // (2 * _CLUSTERS)
    starts = np.take_along_axis(order, parts, axis=1)
    centres = np.take_along_axis(lab, starts[..., None], axis=1)
    member = np.zeros((*samples.shape[:2], _CLUSTERS), dtype=bool)
    for _ in range(_ROUNDS):
        apart = ((lab[:, :, None] - centres[:, None]) ** 2).sum(axis=-1)
        member = apart.argmin(axis=2)[..., None] == np.arange(_CLUSTERS)
        member &= observed[..., None]
        centres = _means(lab, member, centres)
    for first in range(_CLUSTERS):
        for second in range(first + 1, _CLUSTERS):
            near = np.linalg.norm(centres[:, first] - centres[:, second], axis=1) < _ALIKE
            member[near, :, first] |= member[near, :, second]
            member[near, :, second] = False
            centres = _means(lab, member, centres)
    shares = member.sum(axis=1) / np.maximum(counts, 1)[:, None]
    return _means(samples, member, np.zeros_like(centres)), shares


def _means(values: Floats, member: NDArray[np.bool_], empty: Floats) -> Floats:
    """(boxes, k, 3) the mean of each cluster's samples, and what stands for an empty one."""
    counts = member.sum(axis=1)[..., None]
    sums = member.transpose(0, 2, 1).astype(np.float64) @ values
    means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), empty)
    return means


def _lab(rgb: Floats) -> Floats:
    """CIELAB (D65) of sRGB values of 0 to 255, along the last axis."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / (0.95047, 1.0, 1.08883)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (xyz * 24389 / 27 + 16) / 116)
    lightness = 116 * root[..., 1] - 16
    red_green = 500 * (root[..., 0] - root[..., 1])
    yellow_blue = 200 * (root[..., 1] - root[..., 2])
    return np.stack([lightness, red_green, yellow_blue], axis=-1)


def _readings(rgb: Floats) -> set[str]:
    """The names of a colour when it is a little lighter, darker, warmer or cooler."""
    names = {colour_name(*rgb)}
    for gain, warmer in _SHIFTS:
        red, green, blue = np.clip(rgb * gain + (warmer, 0, -warmer), 0, 255)
        names.add(colour_name(red, green, blue))
    return names


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
