"""The tiles of a scan: each as much ground as a picture that the model was tuned on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.annotations.image import AnnotatedImage, read_images
from swath.errors import ImageryError, TilingError
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile, starts
from swath.inference.scenes.ground import plain

SMALLEST_PX = 8
"""A tile of fewer scene pixels shows nothing."""

_SAMPLE = 200  # pictures of a set that are looked at
_LONG = 98  # percentile of the objects' lengths that neighbouring tiles share
_OVERLAP = 0.25  # of a tile, where no object's length is known


@dataclass(frozen=True)
class TunedOn:
    """What the pictures were like that a model was tuned on.

    Args:
        side_px: longer side of a picture.
        gsd_m: metres of ground a pixel of theirs measures; None where they do not say.
        object_share: length of a long object, in sides of the picture; None without objects.
    """

    side_px: int
    gsd_m: float | None = None
    object_share: float | None = None

    @classmethod
    def of_run(cls, folder: Path | str, image_px: int) -> TunedOn:
        """As the set in a run's folder tells, of up to 200 of its training pictures.

        Args:
            folder: of the run; one without a set tells nothing.
            image_px: side the model reads, taken where no picture tells.
        """
        file = Path(folder) / "set" / "images.jsonl"
        if not file.is_file():
            return cls(image_px)
        images = [image for image in read_images(file) if image.split in (None, "train")]
        images = images[:: max(1, len(images) // _SAMPLE)]
        if not images:
            return cls(image_px)
        sides = [max(image.size_wh) for image in images]
        resolutions = list(filter(None, map(_gsd_of, images)))
        lengths = [length for image in images for length in _lengths(image)]
        return cls(
            side_px=round(float(np.median(sides))),
            gsd_m=float(np.median(resolutions)) if resolutions else None,
            object_share=float(np.percentile(lengths, _LONG)) if lengths else None,
        )


def _gsd_of(image: AnnotatedImage) -> float | None:
    try:
        return open_scene(image.path).gsd_m
    except ImageryError:  # the set's pictures need not be here any more
        return None


def _lengths(image: AnnotatedImage) -> list[float]:
    """Longer side of each box's upright box, in sides of the picture."""
    hbb = image.boxes.hbb
    lengths = (hbb[:, 2:] - hbb[:, :2]).max(axis=1) / max(image.size_wh)
    return lengths.tolist()


Span = tuple[int, int]  # start, length


@dataclass(frozen=True)
class TilePlan:
    """Which windows of a scene are asked about, row by row.

    Args:
        scene_id: the scene.
        region: x, y, width and height of the part that is covered, scene pixels.
        tile_px: side of a tile in scene pixels.
        overlap_px: scene pixels that neighbours share at least; None: none, and tiles are as equal
            as can be and at most of that side, so that what they count can be summed.
    """

    scene_id: str
    region: tuple[int, int, int, int]
    tile_px: int
    overlap_px: int | None

    @cached_property
    def columns(self) -> list[Span]:
        """Where tiles begin from left to right, and their widths."""
        return self._spans(self.region[0], self.region[2])

    @cached_property
    def rows(self) -> list[Span]:
        """Where tiles begin from top to bottom, and their heights."""
        return self._spans(self.region[1], self.region[3])

    def _spans(self, begin: int, length: int) -> list[Span]:
        if self.overlap_px is not None:
            size = min(self.tile_px, length)
            return [(begin + x, size) for x in starts(length, self.tile_px, self.overlap_px)]
        count = math.ceil(length / self.tile_px)
        edges = [begin + length * place // count for place in range(count + 1)]
        return [(start, end - start) for start, end in pairwise(edges)]

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    def __getitem__(self, number: int) -> Tile:
        if not 0 <= number < len(self):
            raise IndexError(number)
        row, column = divmod(number, len(self.columns))
        x, width = self.columns[column]
        y, height = self.rows[row]
        return Tile(self.scene_id, (x, y), (width, height))

    def ground(self, number: int) -> Tile:
        """The part of the scene that a tile's answer stands for: here the tile itself."""
        return self[number]

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds it."""
        return {
            "tile_px": self.tile_px,
            "overlap_px": self.overlap_px,
            "region": list(self.region),
            "columns": len(self.columns),
            "rows": len(self.rows),
        }

    def __iter__(self) -> Iterator[Tile]:
        return (self[number] for number in range(len(self)))


class CellPlan(TilePlan):
    """Tiles of full size about the cells into which a region is divided evenly.

    The cells are as large as the tiles' advance or a little less, so that they fill the region; the
    tile of a cell reaches as far to all sides of it as the region does.
    """

    def _spans(self, begin: int, length: int) -> list[Span]:
        size = min(self.tile_px, length)
        count = math.ceil(length / (self.tile_px - (self.overlap_px or 0)))
        middles = begin + (np.arange(count) + 0.5) * length / count
        first = np.clip(np.floor(middles - size / 2 + 0.5), begin, begin + length - size)
        return [(int(start), size) for start in first]

    @property
    def cell_wh(self) -> tuple[float, float]:
        """Width and height of a cell in scene pixels."""
        return self.region[2] / len(self.columns), self.region[3] / len(self.rows)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the region, scene pixels."""
        left, top, width, height = self.region
        return left, top, left + width, top + height

    @property
    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x of the columns' borders and y of the rows', scene pixels."""
        left, top, width, height = self.region
        x = np.linspace(left, left + width, len(self.columns) + 1)
        return x, np.linspace(top, top + height, len(self.rows) + 1)

    def ground(self, number: int) -> Tile:
        """The cell, with the pixels that its borders cut; the tile reaches further."""
        row, column = divmod(number, len(self.columns))
        x_edges, y_edges = self.edges
        left, top = math.floor(x_edges[column]), math.floor(y_edges[row])
        right, bottom = math.ceil(x_edges[column + 1]), math.ceil(y_edges[row + 1])
        return Tile(self.scene_id, (left, top), (right - left, bottom - top))

    def middles(self, first: int, last: int) -> NDArray[np.float64]:
        """(cells, 2) x and y of the middles of some rows' cells, row by row."""
        x, y = self.edges
        y = y[first : last + 1]
        grid = np.meshgrid((x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2)
        return np.stack(grid, axis=-1).reshape(-1, 2)

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds it."""
        return {**super().to_row(), "cell_px": [round(side, 4) for side in self.cell_wh]}


def tile_plan(
    scene: Scene,
    tuned: TunedOn,
    gsd_m: float | None = None,
    overlap: float | None = None,
    tile_px: int | None = None,
    region: tuple[int, int, int, int] | None = None,
) -> TilePlan:
    """The tiles of a scene.

    Args:
        scene: what is covered.
        tuned: the pictures the model knows.
        gsd_m: metres of ground a pixel of theirs measured, where they do not say or are wrong.
        overlap: share of a tile's side that neighbours have in common at least; nothing: a long
            object's length, half a tile at most.
        tile_px: side of a tile in scene pixels, whatever the ground resolution.
        region: x, y, width and height of the part that is asked about; all of it if None.

    Raises:
        TilingError: a tile would be of less than 8 pixels, or the overlap leaves no advance.
    """
    tuned_gsd = gsd_m or tuned.gsd_m
    if tile_px is None:
        tile_px = tuned.side_px
        if tuned_gsd and scene.gsd_m:
            tile_px = round(tuned.side_px * tuned_gsd / scene.gsd_m)
    if tile_px < SMALLEST_PX:
        raise TilingError(
            f"{scene.path}: its pixels measure {_metres(scene.gsd_m)}, and the model was tuned on "
            f"pictures of {tuned.side_px} px at {_metres(tuned_gsd)}, so a tile would have "
            f"{tile_px} px; take a sharper scene, or say --gsd if the model reads coarser ones."
        )
    if overlap is None:
        overlap = min(tuned.object_share or _OVERLAP, 0.5)
    if not 0 <= overlap < 1:
        raise TilingError(f"--overlap {overlap}: say a share of the tile from 0 to less than 1.")
    overlap_px = min(math.ceil(overlap * tile_px), tile_px - 1)
    return TilePlan(scene.id, region or (0, 0, *scene.size_wh), tile_px, overlap_px)


def _metres(gsd_m: float | None) -> str:
    return "an unknown length" if gsd_m is None else f"{plain(gsd_m)} m"
