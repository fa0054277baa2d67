"""The shift between two dates: how far the later picture lies beside the earlier one, in pixels.

Measured by phase correlation: both spectra are whitened, so that edges count and brightness does
not, and their product peaks where one picture lies on the other. Source: Kuglin and Hines (1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

from swath.imagery.rendering import PLAIN
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile, starts
from swath.recipe import Rendering

SAMPLE_PX = 1024
"""Longest side at which whole pictures are laid on one another."""

WINDOW_PX = 512
"""Side of the windows in which the shift is measured to the pixel, where the picture is larger."""

CLEAR = 1.4
"""Least height of a peak over the next one for it to be believed.

Of 14 real pairs years apart, on one grid, 7 have peaks of 1.48 and more, all within 3 px of no
shift; the others, and 14 pairs of different places, stay below 1.22.
"""

_WINDOWS = 3  # along each side
_NEAR = 6  # pixels around a peak that belong to it
_BLUR_PX = 1.0  # finer detail differs from date to date
_FINEST = 0.2  # cycles a pixel from which on the spectrum fades
_LEAST_SHOWN = 0.5  # share of a window that both dates must show

Grey = NDArray[np.float64]  # (height, width)


@dataclass(frozen=True)
class Shift:
    """How the later picture lies beside the earlier one.

    Args:
        right_px: what stands at x in the earlier one stands at x + right_px in the later one.
        down_px: the same of y.
        clarity: height of the peak over the next one; `CLEAR` and more can be believed.
    """

    right_px: float
    down_px: float
    clarity: float

    @property
    def length_px(self) -> float:
        """How far it is."""
        return math.hypot(self.right_px, self.down_px)


def measured_shift(before: Scene, after: Scene, rendering: Rendering = PLAIN) -> Shift | None:
    """The shift between two pictures on one grid; None where they have too little in common.

    Args:
        before: the earlier one.
        after: the later one, of the same size.
        rendering: how both are shown.

    Raises:
        ImageryError: one cannot be read.
    """
    width, height = before.size_wh
    scale = max(1.0, max(width, height) / SAMPLE_PX)
    size_wh = (max(1, round(width / scale)), max(1, round(height / scale)))
    pair = [_grey(scene, None, size_wh, rendering) for scene in (before, after)]
    coarse = correlated(*pair)
    if scale == 1.0 or coarse is None:
        return coarse
    right = round(coarse.right_px * scale)
    down = round(coarse.down_px * scale)
    shifts: list[Shift] = []
    for tile in _windows(before):
        shift = _in_window(before, after, tile, (right, down), rendering)
        if shift is not None:
            shifts.append(shift)
    if not shifts:
        return None
    middle = np.median([[shift.right_px, shift.down_px, shift.clarity] for shift in shifts], axis=0)
    return Shift(*middle.tolist())


def correlated(before: Grey, after: Grey) -> Shift | None:
    """The shift between two grey pictures of one size; None where no peak is clear.

    Args:
        before: (height, width), NaN where nothing was observed.
        after: the same.
    """
    shown = np.isfinite(before) & np.isfinite(after)
    if shown.mean() < _LEAST_SHOWN:
        return None
    product = _spectrum(before, shown) * np.conj(_spectrum(after, shown))
    strength = np.abs(product)
    if not strength.any():
        return None
    # What is hardly there is noise, and whitening would make it as loud as the rest.
    whitened = product / np.maximum(strength, 1e-3 * strength.mean())
    surface = fft.ifft2(whitened * _coarse(product.shape)).real
    peak = np.unravel_index(surface.argmax(), surface.shape)
    row, column = int(peak[0]), int(peak[1])
    clarity = surface[row, column] / max(_next_peak(surface, row, column), 1e-12)
    if clarity < CLEAR:
        return None
    down = row + _between(surface[:, column], row)
    right = column + _between(surface[row], column)
    height, width = surface.shape
    return Shift(-_signed(right, width), -_signed(down, height), float(clarity))


def _spectrum(grey: Grey, shown: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """The spectrum of what both dates show, its borders faded out."""
    level = grey - grey[shown].mean()
    level[~shown] = 0
    height, width = grey.shape
    fade = np.hanning(height)[:, None] * np.hanning(width)
    return fft.fft2(gaussian_filter(level, _BLUR_PX) * fade)


def _coarse(shape: tuple[int, ...]) -> Grey:
    """How much each place of a spectrum counts: fine detail little."""
    down = fft.fftfreq(shape[0])[:, None]
    right = fft.fftfreq(shape[1])
    return np.exp(-(down**2 + right**2) / (2 * _FINEST**2))


def _next_peak(surface: Grey, row: int, column: int) -> float:
    """The highest place that does not belong to the peak."""
    rest = surface.copy()
    reach = np.arange(-_NEAR, _NEAR + 1)
    rows = (row + reach) % surface.shape[0]
    columns = (column + reach) % surface.shape[1]
    rest[np.ix_(rows, columns)] = -np.inf
    return float(rest.max())


def _between(line: Grey, place: int) -> float:
    """How far the top of a parabola through a peak and its neighbours lies from the peak."""
    before = line[place - 1]
    after = line[(place + 1) % len(line)]
    bend = before - 2 * line[place] + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _signed(place: float, length: int) -> float:
    """A place on a ring as a distance to the left or to the right."""
    return place - length if place > length / 2 else place


def _windows(scene: Scene) -> list[Tile]:
    """Windows spread over a picture."""
    width, height = scene.size_wh
    size_wh = (min(width, WINDOW_PX), min(height, WINDOW_PX))
    places = []
    for y in _spread(height, size_wh[1]):
        for x in _spread(width, size_wh[0]):
            places.append(Tile(scene.id, (x, y), size_wh))
    return places


def _spread(length: int, size: int) -> list[int]:
    begins = starts(length, size)
    step = max(1, math.ceil(len(begins) / _WINDOWS))
    return begins[step // 2 :: step]


def _in_window(
    before: Scene, after: Scene, tile: Tile, coarse: tuple[int, int], rendering: Rendering
) -> Shift | None:
    """The shift in a window; None where it leaves the picture, or nothing is clear there."""
    (x, y), size_wh = tile.origin_xy, tile.size_wh
    moved = (x + coarse[0], y + coarse[1])
    ends = (moved[0] + size_wh[0], moved[1] + size_wh[1])
    if min(moved) < 0 or ends[0] > after.size_wh[0] or ends[1] > after.size_wh[1]:
        return None
    earlier = _grey(before, tile, size_wh, rendering)
    later = _grey(after, Tile(after.id, moved, size_wh), size_wh, rendering)
    shift = correlated(earlier, later)
    if shift is None:
        return None
    return Shift(shift.right_px + coarse[0], shift.down_px + coarse[1], shift.clarity)


def _grey(scene: Scene, tile: Tile | None, size_wh: tuple[int, int], rendering: Rendering) -> Grey:
    """(height, width) brightness, NaN where it is black: there nothing was observed."""
    grey = scene.read_rgb(tile, size_wh, rendering).mean(axis=2)
    grey[grey == 0] = np.nan
    return grey
