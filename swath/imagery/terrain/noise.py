"""Noise that is the same at a place whatever is drawn around it, so that windows fit together."""

from __future__ import annotations

import numpy as np

from swath.boxes import Floats

_ALONG_X = np.uint64(0x9E3779B97F4A7C15)
_ALONG_Y = np.uint64(0xC2B2AE3D27D4EB4F)
_SEEDED = 0x165667B19E3779F9
_MIXING = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)


def random_at(x: Floats, y: Floats, seed: int) -> Floats:
    """Numbers of -1 to 1, each by the whole part of its place and the seed alone.

    Args:
        x, y: places, of shapes that broadcast.

    Source: the mixing of splitmix64.
    """
    column = np.floor(x).astype(np.int64).astype(np.uint64)
    row = np.floor(y).astype(np.int64).astype(np.uint64)
    mixed = (column * _ALONG_X) ^ (row * _ALONG_Y)
    mixed = mixed + np.uint64(seed * _SEEDED % 2**64)
    for shift, factor in _MIXING:
        mixed = (mixed ^ (mixed >> shift)) * factor
    mixed = mixed ^ (mixed >> np.uint64(31))
    numbers: Floats = (mixed >> np.uint64(11)) / 2.0**52
    return numbers - 1


def smooth_at(x: Floats, y: Floats, cell_px: float, seed: int) -> Floats:
    """Value noise of -1 to 1 whose hills are about `cell_px` wide; see `random_at`."""
    x, y = x / cell_px, y / cell_px
    column, row = np.floor(x), np.floor(y)
    right, down = _eased(x - column), _eased(y - row)
    top = _between(column, row, right, seed)
    bottom = _between(column, row + 1, right, seed)
    return top + down * (bottom - top)


def _between(column: Floats, row: Floats, share: Floats, seed: int) -> Floats:
    start = random_at(column, row, seed)
    end = random_at(column + 1, row, seed)
    return start + share * (end - start)


def _eased(share: Floats) -> Floats:
    return share * share * (3 - 2 * share)
