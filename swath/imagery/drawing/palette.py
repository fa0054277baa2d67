"""The colours of one scene: season, soils, roofs and the sensor, drawn whatever the kind is."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

PAINTS: dict[str, Rgb] = {
    "white": (238, 238, 234),
    "red": (192, 48, 42),
    "blue": (48, 88, 178),
    "yellow": (228, 192, 56),
    "black": (34, 34, 38),
    "green": (48, 124, 72),
    "brown": (122, 80, 50),
    "gray": (148, 150, 152),
    "orange": (226, 128, 44),
}

# Paints a person might call by the same word; between them no phrase names a colour.
_ALIKE = (
    {"white", "gray"},
    {"red", "orange", "brown"},
    {"black", "gray", "brown"},
    {"blue", "black"},
    {"yellow", "orange"},
    {"white", "yellow"},
    {"green", "black"},
)

# (hue in degrees, saturation, value) ranges and the word a caption uses.
_GRASS = [
    ("green", (75, 125), (0.25, 0.5), (0.36, 0.6)),
    ("green", (60, 90), (0.15, 0.32), (0.32, 0.55)),
    ("yellow", (40, 58), (0.25, 0.45), (0.5, 0.74)),
    ("brown", (25, 42), (0.2, 0.42), (0.36, 0.58)),
]
_TREE = [
    ("green", (80, 140), (0.25, 0.5), (0.18, 0.36)),
    ("green", (60, 100), (0.2, 0.4), (0.25, 0.42)),
    ("brown", (20, 45), (0.25, 0.45), (0.25, 0.45)),
]
_WATER = [
    ("blue", (195, 222), (0.35, 0.65), (0.3, 0.6)),
    ("green", (140, 178), (0.2, 0.45), (0.25, 0.48)),
    ("dark", (100, 230), (0.1, 0.3), (0.12, 0.26)),
    ("brown", (28, 50), (0.2, 0.4), (0.38, 0.6)),
]
_SOIL = [
    ("brown", (18, 35), (0.25, 0.48), (0.35, 0.58)),
    ("red", (8, 20), (0.35, 0.55), (0.42, 0.66)),
    ("yellow", (34, 46), (0.22, 0.42), (0.55, 0.78)),
    ("gray", (20, 60), (0.03, 0.14), (0.4, 0.66)),
]
_SAND = [
    ("yellow", (34, 48), (0.2, 0.42), (0.65, 0.86)),
    ("white", (34, 55), (0.05, 0.16), (0.74, 0.92)),
    ("brown", (22, 36), (0.25, 0.45), (0.46, 0.66)),
]


def shade(rgb: Rgb, factor: float) -> Rgb:
    """The colour made lighter (factor above 1) or darker."""
    r, g, b = (min(255, int(value * factor)) for value in rgb)
    return r, g, b


def mix(one: Rgb, two: Rgb, share: float) -> Rgb:
    """`one` with a share 0 to 1 of `two`."""
    r, g, b = (int(a + (z - a) * share) for a, z in zip(one, two, strict=True))
    return r, g, b


def alike(one: str, two: str) -> bool:
    """Whether a person might call both paints by the same word."""
    return one == two or any({one, two} <= group for group in _ALIKE)


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
        tables = {"grass": _GRASS, "tree": _TREE, "water": _WATER, "soil": _SOIL, "sand": _SAND}
        chances = {"grass": (0.4, 0.25, 0.2, 0.15), "tree": (0.45, 0.35, 0.2)}
        for name, table in tables.items():
            row = table[int(rng.choice(len(table), p=chances.get(name)))]
            word[name] = row[0]
            hue, saturation, value = (rng.uniform(*bounds) for bounds in row[1:])
            r, g, b = colorsys.hsv_to_rgb(hue / 360, saturation, value)
            rgb[name] = (int(r * 255), int(g * 255), int(b * 255))
        dark, light = int(rng.uniform(62, 150)), int(rng.uniform(135, 225))
        rgb["asphalt"] = (dark, dark + int(rng.integers(-3, 4)), dark + int(rng.integers(-4, 7)))
        rgb["concrete"] = (light, light - int(rng.integers(0, 8)), light - int(rng.integers(0, 22)))
        word["asphalt"], word["concrete"] = "gray", "gray"
        count = int(rng.integers(1, 5))
        names = ["red", "gray", "white", "brown", "blue", "orange", "black"]
        odds = np.array([0.2, 0.27, 0.2, 0.15, 0.08, 0.06, 0.04])
        roofs = tuple(str(name) for name in rng.choice(names, count, replace=False, p=odds))
        return cls(rgb, word, roofs)


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
    grey = pixels.mean(axis=2)
    spread = max(float(grey.std()), 4.0)
    contrast = float(np.clip((rng.uniform(26, 56) / spread) ** 0.8, 0.55, 2.6))
    target = rng.uniform(72, 158)
    tint = target * rng.uniform(0.92, 1.08, 3)
    pull = rng.uniform(0.1, 0.65)
    neutral = means.mean()
    centre = neutral + (means - neutral) * (1 - pull)
    offset = centre + (tint - neutral)
    saturation = rng.uniform(0.7, 1.2)
    flat = grey[..., None]
    coloured = flat + (pixels - flat) * np.float32(saturation)
    out = (coloured - means.astype(np.float32)) * np.float32(contrast) + offset.astype(np.float32)
    haze = rng.uniform(0, 0.2) if rng.random() < 0.5 else 0.0
    if haze:
        out = out * np.float32(1 - haze) + np.array([205, 212, 222], np.float32) * np.float32(haze)
    return out.astype(np.float32, copy=False)
