"""A sheet to draw one overhead scene on: grounds first, then things with shadows, all remembered.

Lengths are hundredths of the picture's side, so a drawing looks the same at any size in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from swath.boxes import Flags, Floats
from swath.imagery.drawing.palette import Palette, Rgb, develop
from swath.imagery.drawing.texture import Field, grid, noise
from swath.imagery.drawing.wording import SAYINGS, be

Points = NDArray[np.float64]  # (n, 2) x, y in hundredths of the side
At = tuple[float, float] | Floats  # one place
Ink = Rgb | tuple[int, int, int, int]  # colour, and how much of it
Part = tuple[Points, Rgb]  # a filled outline in the frame of a thing

MIDDLE = (50.0, 50.0)
_RING = np.array([[0, 0]] + [[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4])


@dataclass(frozen=True)
class Thing:
    """One object as it was drawn: its class, its paint, its oriented box (4, 2), its reach.

    `reach` is the upright box (4, 2) around its outline, which can be smaller than that around
    its oriented box.
    """

    name: str
    colour: str | None
    quad: Points
    reach: Points


def rectangle(width: float, height: float, x: float = 0.0, y: float = 0.0) -> Points:
    """Corners of an upright rectangle about (x, y)."""
    w, h = width / 2, height / 2
    return np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]])


def disc(radius: float, x: float = 0.0, y: float = 0.0, corners: int = 20) -> Points:
    """A circle as a polygon."""
    turn = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def turned(points: Points, at: ArrayLike, angle: float, size: float = 1.0) -> Points:
    """Points of a local frame, scaled, turned clockwise by `angle` radians, moved `at` (x, y)."""
    cos, sin = np.cos(angle) * size, np.sin(angle) * size
    return points @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(at)


def straight(reach: float, angle: float, v: float = 0.0, at: ArrayLike = MIDDLE) -> Points:
    """Both ends of a line that runs `v` beside `at`, `reach` to either side."""
    return turned(np.array([[-reach, v], [reach, v]]), at, angle)


class Canvas:
    """The sheet, at twice the asked size until `finish`."""

    def __init__(self, rng: np.random.Generator, size_px: int) -> None:
        self.rng = rng
        self.size = size_px
        self.scale = 2 * size_px / 100
        palette = Palette.draw(rng)
        self.rgb = palette.rgb
        self.word = palette.word
        self.roofs = palette.roofs
        self.things: list[Thing] = []
        self.crowds: dict[str, None] = {}
        self.notes: list[str] = []
        self.sayings: list[str] = []
        self.extent_m = 200.0
        turn = self.between(0, 2 * np.pi)
        self.sun = (float(np.cos(turn)), float(np.sin(turn)))
        self.low_sun = self.between(0.4, 1.3)
        self.darkness = int(self.between(70, 140))
        self.land = "grass"
        self.ground: Field = np.zeros((size_px, size_px, 3), np.float32)
        self.blocked = np.zeros((size_px, size_px), bool)

    # Dice: every drawing takes its numbers from the scene's own generator.

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return float(self.rng.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to below `high`."""
        return int(self.rng.integers(low, high))

    def chance(self, share: float) -> bool:
        """True in that share of all cases."""
        return bool(self.rng.random() < share)

    def pick(self, *names: str) -> str:
        """One of some names."""
        return str(self.rng.choice(names))

    # Grounds: blended into a float picture at the asked size.

    def noise(self, cells: int, octaves: int = 3, fade: float = 0.5) -> Field:
        """Value noise the size of the sheet."""
        return noise(self.rng, self.size, cells, octaves, fade)

    def spread(self, rgb: Rgb, grain: Field | float = 0.0, cover: Field | None = None) -> None:
        """Lay a colour, made lighter and darker by `grain` (grey levels), where `cover` is 1."""
        layer = np.asarray(rgb, np.float32)
        if isinstance(grain, np.ndarray):
            layer = layer + grain[..., None]
        if cover is None:
            self.ground = np.broadcast_to(layer, self.ground.shape).astype(np.float32)
        else:
            self.ground += cover[..., None] * (layer - self.ground)

    # Things: drawn with a pen at twice the size.

    @cached_property
    def image(self) -> Image.Image:
        """The sheet at twice the size, made from the ground when the pen first touches it."""
        sheet = Image.fromarray(np.clip(self.ground, 0, 255).astype(np.uint8))
        return sheet.resize((2 * self.size, 2 * self.size), Image.Resampling.BILINEAR)

    @cached_property
    def pen(self) -> ImageDraw.ImageDraw:
        """Draws on `image`; colours may carry an alpha."""
        return ImageDraw.Draw(self.image, "RGBA")

    def polygon(self, points: Points, rgb: Ink) -> None:
        """A filled outline."""
        self.pen.polygon(flat(points, self.scale), fill=rgb)

    def line(self, points: Points, width: float, rgb: Ink) -> None:
        """A line of the given width with rounded bends."""
        px = max(1, round(width * self.scale))
        self.pen.line(flat(points, self.scale), fill=rgb, width=px, joint="curve")

    def circle(self, x: float, y: float, radius: float, rgb: Ink) -> None:
        """A filled circle."""
        corners = np.array([[x - radius, y - radius], [x + radius, y + radius]])
        self.pen.ellipse(flat(corners, self.scale), fill=rgb)

    def shadow(self, points: Points, height: float) -> None:
        """The shadow an outline of that height throws, to be covered by the thing itself."""
        reach = height * self.low_sun
        steps = 1 if reach < 4 else 2
        for step in range(1, steps + 1):
            shift = np.array(self.sun) * (-reach * step / steps)
            self.polygon(points + shift, (8, 10, 22, self.darkness // steps + 8))

    def stamp(
        self,
        parts: Sequence[Part],
        at: At,
        angle: float,
        size: float,
        height: float = 0.0,
        solid: int = 1,
        name: str | None = None,
        colour: str | None = None,
    ) -> None:
        """Draw a thing made of parts, with the shadow of its first `solid` ones.

        Args:
            parts: outlines in the thing's own frame, the lowest first.
            at: where its origin goes.
            angle: how far it is turned clockwise, radians.
            size: factor from its frame to the sheet.
            height: how tall it stands, in its frame.
            solid: how many of the parts throw a shadow.
            name: its class, when it is to be remembered with its box.
            colour: the paint a phrase may name.
        """
        placed = [(turned(points, at, angle, size), rgb) for points, rgb in parts]
        if height:
            for points, _ in placed[:solid]:
                self.shadow(points, height * size)
        for points, rgb in placed:
            self.polygon(points, rgb)
        if name is not None:
            box = turned(_around(parts), at, angle, size)
            self.things.append(Thing(name, colour, box, _around(placed)))

    def note(self, words: str) -> None:
        """Remember what lies around, with its article or amount, for captions."""
        self.notes.append(words)

    def say(self, kind: str, **drawn: str) -> None:
        """Add the kind's own sentences, of `sayings.yaml`.

        Args:
            kind: of scene, and where it has several forms, which.
            drawn: what stands in braces there, beside `near`, the first of the notes, and the
                word of each material; `be_near` and its like are "is" or "are" after it.
        """
        near = self.notes[0] if self.notes else ""
        words = {**self.word, "near": near, **drawn}
        verbs = {f"be_{name}": be(text) for name, text in words.items()}
        self.sayings += [sentence.format(**words, **verbs) for sentence in SAYINGS[kind]]

    # Room: where the next thing may go.

    def take(self, x: float, y: float, radius: float) -> None:
        """Keep a circle free of later things."""
        xx, yy = grid(self.size)
        self.blocked |= (xx - x) ** 2 + (yy - y) ** 2 < radius * radius

    def take_cover(self, cover: Field) -> None:
        """Keep covered ground free of later things."""
        self.blocked |= cover > 0.3

    def take_line(self, points: Points, width: float) -> None:
        """Keep a line of that width free of later things."""
        mask = Image.new("L", (self.size, self.size))
        scale = self.size / 100
        px = max(1, round(width * scale))
        ImageDraw.Draw(mask).line(flat(points, scale), fill=1, width=px, joint="curve")
        self.blocked |= np.asarray(mask, bool)

    def free(self, points: Points, radius: float) -> Flags:
        """Which of n places have room for a circle of that radius."""
        ring = points[:, None] + radius * _RING
        if radius > 6:
            ring = np.concatenate([ring, points[:, None] + radius / 2 * _RING[1:]], axis=1)
        index = np.clip((ring * (self.size / 100)).astype(int), 0, self.size - 1)
        free: Flags = ~self.blocked[index[..., 1], index[..., 0]].any(axis=1)
        return free

    def spot(
        self, radius: float, off_centre: float = 0.0, tries: int = 60
    ) -> tuple[float, float] | None:
        """A free place, wholly inside the picture, which is then taken; None when there is none."""
        low = min(radius + 1, 49.0)
        points = self.rng.uniform(low, 100 - low, (tries, 2))
        good = self.free(points, radius)
        if off_centre:
            reach = min(off_centre, (50 - low) * 1.2)
            good &= np.hypot(*(points - 50).T) >= reach
        if not good.any():
            return None
        x, y = points[int(np.argmax(good))]
        self.take(x, y, radius * 1.05)
        return float(x), float(y)

    # The picture.

    def finish(self, grain_rng: np.random.Generator) -> NDArray[np.uint8]:
        """The picture at the asked size, as a sensor would deliver it."""
        pixels = np.asarray(self.image.reduce(2), np.float32)
        light = self.noise(2, 1)
        pixels = pixels * (1 + self.between(0.01, 0.06) * light[..., None])
        pixels = develop(self.rng, pixels)
        if self.chance(0.5):
            pixels[1:-1, 1:-1] = _blurred(pixels)
        grain = grain_rng.standard_normal((self.size, self.size), dtype=np.float32)
        pixels += self.between(1, 7) * grain[..., None]
        return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def flat(points: Points, scale: float) -> list[float]:
    """Coordinates one after the other, as the pen takes them."""
    return (points * scale).ravel().tolist()


def _around(parts: Sequence[Part]) -> Points:
    """The upright rectangle around all outlines."""
    corners = np.concatenate([points for points, _ in parts])
    low = corners.min(axis=0)
    high = corners.max(axis=0)
    return rectangle(*(high - low), *((high + low) / 2))


def _blurred(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """All pixels but those of the border, each mixed with its four neighbours."""
    upright = pixels[1:-1, 1:-1] * 2 + pixels[:-2, 1:-1] + pixels[2:, 1:-1]
    return (upright + pixels[1:-1, :-2] + pixels[1:-1, 2:]) / np.float32(6)
