"""Where objects stand to one another: inside, beside, nearest, to one side, in rows and in groups.

All in horizontal boxes and pixels. A relation is said of an object only where it is plain; it may
be read into others as soon as somebody could see it so.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, Flags

INSIDE, BESIDE, NEAREST = "inside", "next to", "nearest to"
SIDES = ("to the left of", "to the right of", "above", "below")
OPPOSITE = dict(zip(SIDES, (SIDES[1], SIDES[0], SIDES[3], SIDES[2]), strict=True))

PLAINLY_NEARER = 1.5
"""An object is the nearest one only if all others are so many times farther away."""

SMALLEST_GROUP = 3
_APART = 1.0  # gap between neighbours of a group, in mean sides of the smaller one
_CROOKED = 0.3  # how far from its line an object of a row may lie, in mean sides
_UNEVEN = 0.35  # how much the steps of a row may vary, of their mean


class Layout:
    """Relations between n boxes, each computed when it is first asked for."""

    def __init__(self, boxes: Boxes) -> None:
        self.low = boxes.hbb[:, :2]
        self.high = boxes.hbb[:, 2:]
        self.centres = (self.low + self.high) / 2
        self.sides = self.high - self.low  # (n, 2)
        self.mean_side = self.sides.mean(axis=1)

    @cached_property
    def _overlap(self) -> NDArray[np.float64]:
        low = np.maximum(self.low[:, None], self.low)
        return np.minimum(self.high[:, None], self.high) - low  # (n, n, 2), negative where apart

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """(n, n) pixels between two boxes, 0 where they meet."""
        apart = np.clip(-self._overlap, 0, None)
        gaps: NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1])
        return gaps

    @cached_property
    def held(self) -> NDArray[np.float64]:
        """(n, n) share of box i that lies in box j."""
        shared = np.clip(self._overlap, 0, None).prod(axis=-1)
        areas = np.maximum(self.sides.prod(axis=1), 1e-9)
        share: NDArray[np.float64] = shared / areas[:, None]
        return share

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """(n, n) pixels between the middles of two boxes."""
        apart = self.centres[:, None] - self.centres
        distances: NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1])
        return distances

    def inside(self, plain: bool) -> Flags:
        """(n, n) whether box i lies in the larger box j; half in is enough where not `plain`."""
        areas = self.sides.prod(axis=1)
        flags: Flags = (self.held >= (0.9 if plain else 0.5)) & (areas > areas[:, None])
        return flags

    def beside(self, plain: bool) -> Flags:
        """(n, n) whether box i stands beside box j.

        Plainly: with a gap of at most half the mean side of the smaller box, neither lying in the
        other.
        """
        smaller = np.minimum(self.mean_side, self.mean_side[:, None])
        near: Flags = self.gaps <= (0.5 if plain else 1.5) * smaller
        if plain:
            near &= (self.held < 0.9) & (self.held.T < 0.9)
        return near

    def sides_of(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.intp]:
        """(k,) the side of `others` on which the boxes of `rows` plainly lie, pair by pair.

        Numbers of `SIDES`; -1 where it is not plain.
        """
        gaps = np.maximum(self.low[rows] - self.high[others], self.low[others] - self.high[rows])
        offsets = self.centres[rows] - self.centres[others]
        pairs = np.arange(len(rows))
        axis = gaps.argmax(axis=1)
        along = offsets[pairs, axis]
        across = offsets[pairs, 1 - axis]
        plain = (gaps[pairs, axis] > 0) & (np.abs(along) >= 2 * np.abs(across))
        return np.where(plain, 2 * axis + (along > 0), -1)

    def may_be_on(self, sides: NDArray[np.intp], others: NDArray[np.intp]) -> Flags:
        """(k, n) whether somebody could see box j on that side of the k-th of `others`."""
        axis = np.maximum(sides, 0) // 2
        offset = self.centres.T[axis] - self.centres[others, axis][:, None]
        slack = 0.1 * self.sides[others, axis][:, None]
        flags: Flags = np.where((sides % 2 == 1)[:, None], offset > -slack, offset < slack)
        return flags

    def groups(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Those of some boxes that stand together, three or more, largest group first."""
        if len(rows) < SMALLEST_GROUP:
            return []
        from scipy.sparse.csgraph import connected_components

        smaller = np.minimum(self.mean_side[rows], self.mean_side[rows][:, None])
        near = self.gaps[np.ix_(rows, rows)] <= _APART * smaller
        _, number = connected_components(near, directed=False)
        members = [rows[number == place] for place in range(number.max() + 1)]
        members = [group for group in members if len(group) >= SMALLEST_GROUP]
        return sorted(members, key=lambda group: (-len(group), int(group[0])))

    def in_a_row(self, rows: NDArray[np.intp]) -> bool:
        """Whether three boxes or more stand on a line, evenly spaced."""
        if len(rows) < SMALLEST_GROUP:
            return False
        points = self.centres[rows] - self.centres[rows].mean(axis=0)
        _, _, axes = np.linalg.svd(points, full_matrices=False)
        along = np.sort(points @ axes[0])
        steps = np.diff(along)
        side = float(self.mean_side[rows].mean())
        straight = float(np.abs(points @ axes[1]).max()) <= _CROOKED * side
        return straight and bool(steps.std() <= _UNEVEN * steps.mean()) and steps.min() > 0
