"""Box text: how each model family writes boxes among its words, and reads them back.

`write` and `read` of one `Dialect` are inverse within the rounding of its numbers. Boxes go in and
come out in pixels of the image whose `size_wh` is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, iou
from swath.boxtext import GRID, HORIZONTAL, ORIENTED, from_grid, numbers
from swath.registry import Registry

DELIMITER = "<delim>"


@dataclass(frozen=True)
class Dialect:
    """One notation of boxes.

    Args:
        oriented: the notation holds an angle; otherwise it keeps only the horizontal box.
        write: text of boxes in pixels of an image of size (width, height); "" for no box.
        read: boxes found in a text, in order, same pixels. It never raises: a text without a
            readable box gives empty `Boxes`, which a metric counts as unreadable.
    """

    oriented: bool
    write: Callable[[Boxes, tuple[int, int]], str]
    read: Callable[[str, tuple[int, int]], Boxes]


DIALECTS: Registry[Dialect] = Registry("dialect", "swath.dialects")


def write_geochat(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Oriented boxes as `{<x1><y1><x2><y2>|<angle>}`, joined by `<delim>`.

    The corners are those of the upright rectangle before it is turned about its centre by the
    angle, which is in (0, 90] degrees, clockwise on screen, in pixels and not on the grid. Upright
    corners of a box near the border may therefore lie outside 0 to 100. Of the whole numbers next
    to the true ones, those are written whose box overlaps the true box most.

    Source: GeoChat (arXiv:2311.15826), direction from its issue 41.
    """
    texts = []
    for row, box in enumerate(boxes.rotated):
        exact = _on_grid(box, size_wh)
        turned = [_on_grid(whole, size_wh) for whole in _whole_angles(box)]
        near = np.concatenate([_integers_near(grid) for grid in turned])
        best = _closest(near, exact, from_grid(near, size_wh), boxes[row])
        x1, y1, x2, y2, angle = near[best]
        texts.append(f"{{<{x1}><{y1}><{x2}><{y2}>|<{angle}>}}")
    return DELIMITER.join(texts)


def read_geochat(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Oriented boxes of a text, whatever stands between them.

    Released files hold numbers outside 0 to 100, any angle and swapped corners: all are read. Four
    numbers without an angle are a horizontal box.
    """
    return from_grid(numbers(ORIENTED, text), size_wh)


def write_minigpt(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Horizontal boxes as `{<x1><y1><x2><y2>}`, 0 to 100, joined by `<delim>`.

    An oriented box is written as the horizontal box around it, cut at the image's border.

    Source: MiniGPT-v2 (arXiv:2310.09478).
    """
    texts = []
    for x1, y1, x2, y2 in boxes.hbb:
        width, height = x2 - x1, y2 - y1
        box = np.array([x1 + width / 2, y1 + height / 2, width, height, 0.0])
        exact = _on_grid(box, size_wh)
        near = _integers_near(exact)
        near = near[((near[:, :4] >= 0) & (near[:, :4] <= GRID)).all(axis=1)]
        if not len(near):  # it reaches over the border
            near = _inside(exact)
        truth = Boxes.from_hbb([x1, y1, x2, y2])
        corners = near[_closest(near, exact, from_grid(near, size_wh), truth), :4]
        texts.append("{" + "".join(f"<{number}>" for number in corners) + "}")
    return DELIMITER.join(texts)


def read_minigpt(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Horizontal boxes of a text; one with an angle is not of this dialect and is left out."""
    return from_grid(numbers(HORIZONTAL, text), size_wh)


DIALECTS.add("geochat", Dialect(oriented=True, write=write_geochat, read=read_geochat))
DIALECTS.add("minigpt", Dialect(oriented=False, write=write_minigpt, read=read_minigpt))
# Regions in a GeoChat question come from a drawn mask and hold no angle.
DIALECTS.add("geochat-region", Dialect(oriented=False, write=write_minigpt, read=read_minigpt))


def _on_grid(box: NDArray[np.float64], size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """(5,) x1, y1, x2, y2 on the grid and angle, from centre, width, height in pixels and angle."""
    scale = GRID / np.asarray(size_wh, dtype=np.float64)
    centre, half = box[:2], box[2:4] / 2
    return np.concatenate([(centre - half) * scale, (centre + half) * scale, box[4:]])


def _whole_angles(box: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The box turned by the whole degrees below and above its own, each in (0, 90].

    0 lies outside the range and is written as 90 with width and height swapped.
    """
    x, y, width, height, angle = box
    turned = []
    for whole in sorted({np.floor(angle), np.ceil(angle)}):
        sides = (width, height, whole) if whole >= 1 else (height, width, 90.0)
        turned.append(np.array([x, y, *sides]))
    return turned


def _integers_near(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, 5) rows of the integers below and above each corner, at least 1 apart, and the angle."""
    below = np.floor(grid[:4] + 1e-9).astype(np.int64)
    steps = np.array(list(itertools.product((0, 1), repeat=4)))
    corners = below + steps
    corners = corners[(corners[:, 2:] > corners[:, :2]).all(axis=1)]
    angles = np.full((len(corners), 1), round(float(grid[4])), dtype=np.int64)
    return np.concatenate([corners, angles], axis=1)


def _inside(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """(1, 5) the rounded box cut to 0 to 100, at least 1 wide and high."""
    corners = np.rint(np.clip(grid[:4], 0, GRID)).astype(np.int64)
    low = np.minimum(corners[:2], GRID - 1)
    high = np.maximum(corners[2:], low + 1)
    return np.concatenate([low, high, np.zeros(1, dtype=np.int64)])[None]


def _closest(
    near: NDArray[np.int64], exact: NDArray[np.float64], drawn: Boxes, truth: Boxes
) -> int:
    """Row of `near` whose box `drawn` overlaps `truth` most; the least rounding breaks a tie."""
    overlap = iou(drawn, Boxes(np.repeat(truth.quads, len(near), axis=0)))
    rounding = np.abs(near[:, :4] - exact[:4]).sum(axis=1)
    return int(np.lexsort((rounding, -overlap.round(9)))[0])
