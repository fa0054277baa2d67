"""Fields of numbers that grounds are made of: value noise, hillshade, stripes, crowns, dunes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]  # (rows, columns)


@lru_cache(maxsize=8)
def grid(size_px: int) -> tuple[Field, Field]:
    """x and y of every pixel centre, in hundredths of the picture's side."""
    along = (np.arange(size_px, dtype=np.float32) + 0.5) * (100 / size_px)
    return tuple(np.meshgrid(along, along))


def noise(
    rng: np.random.Generator, size_px: int, cells: int, octaves: int = 3, fade: float = 0.5
) -> Field:
    """Value noise of mean 0 and deviation 1.

    Args:
        cells: lattice cells along the side in the coarsest octave; each next one doubles them.
        fade: weight of an octave relative to the one before.
    """
    total = np.zeros((size_px, size_px), dtype=np.float32)
    weight = 1.0
    for octave in range(octaves):
        side = cells * 2**octave + 2
        lattice = Image.fromarray(rng.standard_normal((side, side), dtype=np.float32))
        smooth = lattice.resize((size_px, size_px), Image.Resampling.BICUBIC)
        total += weight * np.asarray(smooth)
        weight *= fade
    return unit(total)


def unit(field: Field) -> Field:
    """The field with mean 0 and deviation 1."""
    centred: Field = field - field.mean()
    deviation = float(np.sqrt(np.mean(centred * centred)))
    return centred / np.float32(max(deviation, 1e-6))


def hillshade(height: Field, sun_xy: tuple[float, float]) -> Field:
    """Brightness of a relief lit from the side the sun stands on, deviation 1."""
    sun_x, sun_y = np.array(sun_xy, np.float32)
    slope_x = np.diff(height, axis=1)
    slope_y = np.diff(height, axis=0)
    slope_x = np.concatenate([slope_x[:, :1], slope_x], axis=1)
    slope_y = np.concatenate([slope_y[:1], slope_y], axis=0)
    return unit(slope_x * sun_x + slope_y * sun_y)


def crowns(rng: np.random.Generator, size_px: int, cells: int) -> Field:
    """Height 0 to 1 of a closed stand of round crowns, about `cells` of them along the side."""
    side = cells + 4
    jitter = rng.uniform(-0.42, 0.42, (2, side, side)).astype(np.float32)
    radius = rng.uniform(0.55, 0.95, (side, side)).astype(np.float32)
    x, y = grid(size_px)
    u = x * (cells / 100)
    v = y * (cells / 100)
    column = u.astype(np.int32)
    row = v.astype(np.int32)
    u = u - column - 0.5
    v = v - row - 0.5
    height = np.zeros_like(u)
    for down in (-1, 0, 1):
        for over in (-1, 0, 1):
            cell = (row + (down + 2)) * side + column + (over + 2)
            away_x = u - np.take(jitter[0], cell) - over
            away_y = v - np.take(jitter[1], cell) - down
            crown = np.take(radius, cell) - (away_x * away_x + away_y * away_y)
            np.maximum(height, crown, out=height)
    return np.sqrt(height)


def across(size_px: int, angle: float) -> Field:
    """Distance from the picture's middle measured along `angle` (radians), in hundredths."""
    x, y = grid(size_px)
    return (x - 50) * np.float32(np.cos(angle)) + (y - 50) * np.float32(np.sin(angle))


def stripes(size_px: int, angle: float, period: float, wobble: Field | float = 0.0) -> Field:
    """Waves -1 to 1 with the given period in hundredths, bent by `wobble` (hundredths)."""
    return np.sin((across(size_px, angle) + wobble) * (2 * np.pi / float(period)))


def band(distance: Field, half_width: Field | float, size_px: int) -> Field:
    """Cover 0 to 1 of the places closer to zero than `half_width`, soft over one pixel."""
    cover = np.clip((half_width - np.abs(distance)) * (size_px / 100) + 0.5, 0, 1)
    return cover.astype(np.float32, copy=False)


def above(field: Field, level: float, size_px: int, softness: float = 1.0) -> Field:
    """Cover 0 to 1 of the places where `field` (hundredths) exceeds `level`."""
    cover = np.clip((field - level) * (size_px / 100 / softness) + 0.5, 0, 1)
    return cover.astype(np.float32, copy=False)
