"""Rendering: any stored values to 8-bit colours, and those to another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRETCH_PERCENTILES = (2.0, 98.0)
"""Where black and white lie among the observed values of a band that is not 8-bit."""

Pixels = NDArray[np.uint8]  # (height, width, 3)


def resized(pixels: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """The pixels at another width and height."""
    if pixels.shape[1::-1] == size_wh:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BICUBIC))


def stretch_limits(values: NDArray[Any], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(bands, 2) values shown black and white, among the observed ones.

    Args:
        values: (bands, height, width) stored values.
        seen: (height, width) whether they were observed.
    """
    limits = np.zeros((len(values), 2))
    for band, row in zip(values, limits, strict=True):
        observed = band[seen].astype(np.float64)
        if observed.size:
            row[:] = np.percentile(observed, STRETCH_PERCENTILES)
            if row[0] == row[1]:  # a mask with few marks: show them all the same
                row[:] = observed.min(), observed.max()
    return limits


def stretched(values: NDArray[Any], limits: NDArray[np.float64]) -> Pixels:
    """(bands, height, width) values between their limits as 0..255; a constant band is black."""
    shown = np.zeros(values.shape, dtype=np.uint8)
    for band, (low, high), result in zip(values, limits, shown, strict=True):
        if high > low:
            with np.errstate(over="ignore", invalid="ignore"):  # nodata may be -3.4e38
                share = np.nan_to_num((band.astype(np.float64) - low) / (high - low))
            result[:] = np.round(np.clip(share, 0.0, 1.0) * 255)
    return shown
