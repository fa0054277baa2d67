"""Rendering: any stored values to 8-bit colours, and those to another size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swath.boxes import Size
from swath.recipe import Rendering

PLAIN = Rendering()
_SHORT = 2**16  # values of 16 bits

Pixels = NDArray[np.uint8]  # (height, width, 3)
Values = NDArray[Any]  # (bands, height, width), one band or three
Seen = NDArray[np.bool_] | None  # (bands, height, width) whether observed; None: all of them
Limits = NDArray[np.float64]  # (bands, 2) values shown black and white


def resized(pixels: Pixels, size_wh: Size) -> Pixels:
    """The pixels at another width and height."""
    if pixels.shape[1::-1] == size_wh:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BICUBIC))


def stretch_of(rendering: Rendering, dtype: str) -> str:
    """The stretch that `auto` stands for: none of 8-bit values, percentiles of others."""
    if rendering.stretch != "auto":
        return rendering.stretch
    return "none" if dtype == "uint8" and rendering.decibel is None else "percentile"


def in_decibels(values: Values, seen: Seen, rendering: Rendering) -> tuple[Values, Seen]:
    """Values in decibels, if the rendering says so; those of 0 and less have none."""
    if rendering.decibel is None:
        return values, seen
    echo = values > 0
    factor = 20 if rendering.decibel == "amplitude" else 10
    decibels = factor * np.log10(values, where=echo, out=np.zeros(values.shape))
    return decibels, echo if seen is None else seen & echo


def percentile_limits(values: Values, seen: Seen, percentiles: tuple[float, float]) -> Limits:
    """Two percentiles of each band's observed values."""
    limits = np.zeros((len(values), 2))
    for place, band in enumerate(values):
        observed = (band if seen is None else band[seen[place]]).astype(np.float64)
        if observed.size:
            limits[place] = np.percentile(observed, percentiles)
            if limits[place, 0] == limits[place, 1]:  # a mask with few marks: show them all
                limits[place] = observed.min(), observed.max()
    return limits


def rendered(
    values: Values, seen: Seen, rendering: Rendering, stretch: str, limits: Callable[[], Limits]
) -> Pixels:
    """Values of one or three bands as colours; what was not observed is black.

    Args:
        values: stored values, in decibels where that is asked.
        seen: which of them were observed.
        rendering: for the range and the gamma.
        stretch: "none", "percentile" or "range".
        limits: gives the percentiles; called if they are needed.
    """
    if stretch == "none":
        bright = values if values.dtype == np.uint8 else _between(values, [(0, 255)] * len(values))
    else:
        pairs = rendering.ranges * (len(values) if len(rendering.ranges) == 1 else 1)
        bright = _between(values, pairs if stretch == "range" else limits())
    if rendering.gamma != 1:
        levels = 255 * (np.arange(256) / 255) ** (1 / rendering.gamma)
        bright = np.round(levels).astype(np.uint8)[bright]
    if seen is not None:
        bright = np.where(seen, bright, np.uint8(0))
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(bright, 0, -1), (*bright.shape[1:], 3)))


def _between(values: Values, limits: Any) -> Values:
    """Values between their limits as 0..255; a band without contrast is black."""
    stretched = np.zeros(values.shape, dtype=np.uint8)
    for band, (low, high), result in zip(values, limits, stretched, strict=True):
        if high <= low:
            continue
        # Of 16 bits there are fewer values than pixels: each is computed once and looked up.
        looked_up = band.itemsize == 2 and band.dtype.kind in "ui" and band.size > _SHORT
        each = np.arange(_SHORT, dtype=np.uint16).view(band.dtype) if looked_up else band
        with np.errstate(over="ignore", invalid="ignore"):  # nodata may be -3.4e38
            share = np.nan_to_num((each.astype(np.float64) - low) / (high - low))
        levels = np.round(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)
        result[:] = levels[band.view(np.uint16)] if looked_up else levels
    return stretched
