"""Box text on a grid of 0 to 100, as GeoChat and MiniGPT-v2 write it: finding and reading it."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes

GRID = 100
"""GeoChat and MiniGPT-v2 count 0 to 100 along the width and along the height."""

# Digits are bounded so that no answer, however odd, becomes a number that is not finite.
_NUMBER = r"<\s*(-?[0-9]{1,5}(?:\.[0-9]{1,9})?)\s*>\s*"
ORIENTED = re.compile(rf"\{{\s*{_NUMBER * 4}(?:\|\s*{_NUMBER})?\}}")
HORIZONTAL = re.compile(rf"\{{\s*{_NUMBER * 4}\}}")


def numbers(pattern: re.Pattern[str], text: str) -> NDArray[np.float64]:
    """(n, 5) grid numbers and angle of every match; the angle is 0 where the text has none."""
    found = [[float(number or 0) for number in match.groups()] for match in pattern.finditer(text)]
    rows = np.zeros((len(found), 5))
    for row, values in zip(rows, found, strict=True):
        row[: len(values)] = values
    return rows


def from_grid(rows: NDArray[np.generic], size_wh: tuple[int, int]) -> Boxes:
    """Boxes in pixels from (n, 5) rows x1, y1, x2, y2 on the grid and angle in degrees."""
    values = np.asarray(rows, dtype=np.float64)
    scale = np.asarray(size_wh, dtype=np.float64) / GRID
    one, two = values[:, :2] * scale, values[:, 2:4] * scale
    return Boxes.from_rotated(
        np.concatenate([(one + two) / 2, np.abs(two - one), values[:, 4:]], axis=1)
    )
