"""Pixels as the model sees them: padded to a square, resized, in training also turned and cropped.

A `View` carries the matrix that took image pixels to its own, so that boxes follow the pixels and
answers come back to the image.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from swath.boxes import Boxes
from swath.files import stamp_of
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import files_of
from swath.recipe import Augment, Rendering

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """A square picture for the model.

    Args:
        pixels: (size, size, 3) uint8 RGB.
        matrix: (2, 3) affine, image pixels to view pixels.
    """

    pixels: NDArray[np.uint8]
    matrix: Matrix

    def to_image(self, boxes: Boxes) -> Boxes:
        """Boxes of the view in pixels of the image."""
        return boxes.transformed(invert(self.matrix))


class PixelStore:
    """Images read once, padded to a square and held at a size close to the model's.

    Args:
        image_size: side in pixels the model reads.
        cache_px: side at which images are held, so that crops have pixels to show.
        capacity: how many images are held; the ones not used longest go first.
        fit: "pad" an oblong image to a square, or take its square middle, "centre_crop".
        rendering: how rasters become colours.
    """

    def __init__(
        self,
        image_size: int,
        cache_px: int,
        capacity: int = 50_000,
        fit: str = "pad",
        rendering: Rendering = PLAIN,
    ) -> None:
        self.image_size = image_size
        self.fit, self.rendering = fit, rendering
        self.cache_px = max(cache_px, image_size)
        self._capacity = capacity
        self._held: OrderedDict[tuple[Any, ...], tuple[Image.Image, Matrix]] = OrderedDict()

    def plain(self, path: str, orientation: int = 0) -> View:
        """The whole image, unchanged but for its size; `orientation` 0 to 7 turns and flips it."""
        square, matrix = self._square(path)
        return self._view(square, matrix, (0, 0, square.width, square.height), orientation)

    def augmented(
        self, path: str, augment: Augment, upright: bool, whole: bool, rng: np.random.Generator
    ) -> View:
        """A random view for training.

        Args:
            upright: words name directions, so nothing is turned.
            whole: boxes or counts are asked, so nothing is cut off.
        """
        square, matrix = self._square(path)
        side = float(square.width)
        window = (0.0, 0.0, side, side)
        if not whole and augment.crop < 1:
            crop = side * np.sqrt(rng.uniform(augment.crop, 1))
            x, y = rng.uniform(0, side - crop, size=2)
            window = (x, y, x + crop, y + crop)
        turned = augment.turn and not upright
        return self._view(square, matrix, window, int(rng.integers(8)) if turned else 0)

    def _square(self, path: str) -> tuple[Image.Image, Matrix]:
        # A file may be replaced while a server runs.
        key = (path, *map(stamp_of, files_of(path)))
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        scene = open_scene(path)
        width, height = scene.size_wh
        crops = self.fit == "centre_crop"
        side = min(width, height) if crops else max(width, height)
        scale = min(1.0, self.cache_px / side)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = Image.fromarray(scene.read_rgb(size_wh=size, rendering=self.rendering))
        edge = min(size) if crops else max(size)
        x, y = (edge - size[0]) // 2, (edge - size[1]) // 2
        if size != (edge, edge):
            mean = tuple(int(v) for v in np.asarray(picture).reshape(-1, 3).mean(axis=0))
            padded = Image.new("RGB", (edge, edge), mean)
            padded.paste(picture, (x, y))
            picture = padded
        matrix = np.array([[size[0] / width, 0, x], [0, size[1] / height, y]], dtype=np.float64)
        self._held[key] = (picture, matrix)
        if len(self._held) > self._capacity:
            self._held.popitem(last=False)
        return picture, matrix

    def _view(
        self,
        square: Image.Image,
        matrix: Matrix,
        window: tuple[float, float, float, float],
        orientation: int,
    ) -> View:
        size = self.image_size
        picture = square.resize((size, size), Image.Resampling.BILINEAR, box=window)
        scale = size / (window[2] - window[0])
        fitted = np.array(
            [[scale, 0, -window[0] * scale], [0, scale, -window[1] * scale]], dtype=np.float64
        )
        pixels = np.asarray(picture)
        turn = np.eye(2, 3)
        if orientation & 4:
            pixels, turn = pixels[:, ::-1], _after(np.array([[-1, 0, size], [0, 1, 0]]), turn)
        if quarters := orientation & 3:
            pixels = np.rot90(pixels, -quarters)  # clockwise on screen
            for _ in range(quarters):
                turn = _after(np.array([[0, -1, size], [1, 0, 0]]), turn)
        return View(np.ascontiguousarray(pixels), _after(turn, _after(fitted, matrix)))


def to_tensor(
    views: Sequence[View],
    mean: Sequence[float],
    std: Sequence[float],
    colour: float = 0.0,
    rng: np.random.Generator | None = None,
) -> torch.Tensor:
    """Views as normalised pixel values (images, 3, size, size), channels last in memory.

    Args:
        colour: strength of a random change of brightness, contrast, saturation and tint.
    """
    pixels = np.stack([view.pixels for view in views]).astype(np.float32) / 255
    if colour and rng is not None:
        pixels = _recoloured(pixels, colour, rng)
    pixels = (pixels - np.asarray(mean)) / np.asarray(std)
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)


def _recoloured(pixels: NDArray[Any], colour: float, rng: np.random.Generator) -> NDArray[Any]:
    """Pictures (n, height, width, 3) with other saturation, contrast, tint and brightness each."""
    shape = (len(pixels), 1, 1, 1)
    grey = pixels.mean(axis=3, keepdims=True)
    pixels = grey + (pixels - grey) * rng.uniform(1 - 2 * colour, 1 + colour, shape)
    middle = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = middle + (pixels - middle) * rng.uniform(1 - colour, 1 + colour, shape)
    tint = rng.uniform(1 - colour / 2, 1 + colour / 2, (len(pixels), 1, 1, 3))
    return pixels * rng.uniform(1 - colour, 1 + colour, shape) * tint


def invert(matrix: Matrix) -> Matrix:
    """The (2, 3) affine that undoes another."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def _after(outer: NDArray[np.floating] | NDArray[np.integer], inner: Matrix) -> Matrix:
    linear = outer[:, :2] @ inner[:, :2]
    return np.concatenate([linear, outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)
