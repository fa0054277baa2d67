"""The colours of one scene: season, soils, roofs and the sensor, drawn whatever the kind is."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

_TABLE = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

PAINTS: dict[str, Rgb] = {name: tuple(rgb) for name, rgb in _TABLE["paints"].items()}
_HAZE = np.array([205, 212, 222], np.float32)


def shade(rgb: Rgb, factor: float) -> Rgb:
    """The colour made lighter (factor above 1) or darker."""
    r, g, b = (min(255, int(value * factor)) for value in rgb)
    return r, g, b


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """The first colour with a share 0 to 1 of the second."""
    r, g, b = (int(a + (z - a) * share) for a, z in zip(first, second, strict=True))
    return r, g, b


def alike(first: str, second: str) -> bool:
    """Whether a person might call both paints by the same word."""
    return first == second or any({first, second} <= set(group) for group in _TABLE["alike"])


@dataclass(frozen=True)
class Palette:
    """Colour of each material, and the word a caption calls it by."""

    rgb: dict[str, Rgb]
    word: dict[str, str]
    roofs: tuple[str, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Palette:
        """The palette of one scene."""
        rgb: dict[str, Rgb] = {}
        word: dict[str, str] = {}
        for name, tones in _TABLE["materials"].items():
            shares = [tone["share"] for tone in tones if "share" in tone]
            tone = tones[int(rng.choice(len(tones), p=shares or None))]
            hue = rng.uniform(*tone["hue"]) / 360
            saturation = rng.uniform(*tone["saturation"])
            value = rng.uniform(*tone["value"])
            r, g, b = colorsys.hsv_to_rgb(hue, saturation, value)
            rgb[name] = (int(r * 255), int(g * 255), int(b * 255))
            word[name] = tone["word"]
        dark = int(rng.uniform(62, 150))
        light = int(rng.uniform(135, 225))
        rgb["asphalt"] = (dark, dark + int(rng.integers(-3, 4)), dark + int(rng.integers(-4, 7)))
        rgb["concrete"] = (light, light - int(rng.integers(0, 8)), light - int(rng.integers(0, 22)))
        word["asphalt"] = "gray"
        word["concrete"] = "gray"
        count = int(rng.integers(1, 5))
        names = list(_TABLE["roofs"])
        odds = list(_TABLE["roofs"].values())
        roofs = rng.choice(names, count, replace=False, p=odds)
        return cls(rgb, word, tuple(map(str, roofs)))


def paint(rng: np.random.Generator, name: str) -> Rgb:
    """A named paint as it happens to look on one object."""
    r, g, b = PAINTS[name]
    drift = rng.integers(-12, 13, 3)
    light = rng.uniform(0.9, 1.06)
    r, g, b = (int(np.clip(v * light + d, 0, 255)) for v, d in zip((r, g, b), drift, strict=True))
    return r, g, b


def develop(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture as one sensor on one day records it: exposure, contrast, cast, haze.

    Exposure and contrast are pulled towards targets drawn without looking at the kind of
    scene, as the stretch of a real product does, so that brightness tells little about it.
    """
    means = pixels.mean(axis=(0, 1))
    grey = pixels.mean(axis=2, keepdims=True)
    spread = max(float(grey.std()), 4.0)
    contrast = float(np.clip((rng.uniform(26, 56) / spread) ** 0.8, 0.55, 2.6))
    target = rng.uniform(72, 158)
    tint = target * rng.uniform(0.92, 1.08, 3)
    pull = rng.uniform(0.1, 0.65)
    neutral = means.mean()
    centre = neutral + (means - neutral) * (1 - pull)
    offset = centre + (tint - neutral)
    saturation = rng.uniform(0.7, 1.2)
    coloured = grey + (pixels - grey) * saturation
    recorded = (coloured - means.astype(np.float32)) * contrast
    recorded = recorded + offset.astype(np.float32)
    if rng.random() < 0.5:
        haze = rng.uniform(0, 0.2)
        recorded = recorded * (1 - haze) + _HAZE * haze
    return recorded.astype(np.float32, copy=False)
