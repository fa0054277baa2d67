"""What pairs of oriented boxes share, and what lies around both, many pairs at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.boxes import Boxes, Floats

Rows = NDArray[np.integer]

_CHUNK = 20_000  # pairs at once, which bounds the memory


def shared_areas(boxes: Boxes, first: Rows, second: Rows, least: Floats) -> Floats:
    """(pairs,) area that two boxes share; 0 where it cannot reach `least` (pairs,)."""
    outlines = shapely.polygons(boxes.quads)
    lows, highs = np.split(boxes.hbb, 2, axis=1)
    shared = np.zeros(len(first))
    for part in _parts(len(first)):
        one, two = first[part], second[part]
        # The upright boxes bound what the oriented ones share: most pairs need no exact answer.
        low = np.maximum(lows[one], lows[two])
        high = np.minimum(highs[one], highs[two])
        bound = np.clip(high - low, 0, None).prod(axis=1)
        likely = bound >= least[part] * (1 - 1e-9)
        pieces = shapely.intersection(outlines[one[likely]], outlines[two[likely]])
        areas = shared[part]
        areas[likely] = shapely.area(pieces)
    return shared


def around_pairs(boxes: Boxes, first: Rows, second: Rows) -> tuple[Floats, Floats]:
    """Of the rectangle around each pair: the share they cover, and how often it holds the larger.

    Both are (pairs,).
    """
    areas = boxes.areas
    covered, growth = np.zeros(len(first)), np.zeros(len(first))
    shared = shared_areas(boxes, first, second, np.zeros(len(first)))
    for part in _parts(len(first)):
        one, two = first[part], second[part]
        corners = np.concatenate([boxes.quads[one], boxes.quads[two]], axis=1)
        around = np.maximum(smallest_rectangles(corners), 1e-9)
        larger = np.maximum(areas[one], areas[two])
        covered[part] = (areas[one] + areas[two] - shared[part]) / around
        growth[part] = around / np.maximum(larger, 1e-9)
    return covered, growth


def smallest_rectangles(points: Floats) -> Floats:
    """(n,) areas of the smallest rectangles around (n, points, 2); one side lies on two points."""
    start, end = np.triu_indices(points.shape[1], k=1)
    along = points[:, end] - points[:, start]  # (n, directions, 2)
    lengths = np.linalg.norm(along, axis=2)
    sound = lengths > 1e-9
    along = along / np.where(sound, lengths, 1)[..., None]
    across = np.stack([-along[..., 1], along[..., 0]], axis=2)
    turned = points.transpose(0, 2, 1)
    widths = np.ptp(along @ turned, axis=2)
    heights = np.ptp(across @ turned, axis=2)
    areas: Floats = np.where(sound, widths * heights, np.inf).min(axis=1)
    return areas


def _parts(count: int) -> Iterator[slice]:
    for begin in range(0, count, _CHUNK):
        yield slice(begin, begin + _CHUNK)
