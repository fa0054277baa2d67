"""Tiles: windows that cover a scene."""

from __future__ import annotations

from dataclasses import dataclass

from swath.boxes import Size
from swath.errors import TilingError


@dataclass(frozen=True)
class Tile:
    """A window of a scene.

    Args:
        scene_id: the scene it was cut from.
        origin_xy: upper left corner in the scene's pixels, x to the right, y down.
        size_wh: width and height in the scene's pixels.
    """

    scene_id: str
    origin_xy: tuple[int, int]
    size_wh: Size

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in the scene's pixels."""
        (x, y), (width, height) = self.origin_xy, self.size_wh
        return x, y, x + width, y + height


def starts(length: int, size: int, overlap: int = 0) -> list[int]:
    """Where tiles begin along one edge, so that they cover it and none reaches beyond it.

    The last tile slides back to end on the edge. A tile longer than the edge begins at 0.

    Args:
        length: pixels of the edge.
        size: pixels of a tile.
        overlap: pixels that neighbours share at least.

    Raises:
        TilingError: a size is not positive, or tiles would not advance.
    """
    if length < 1 or size < 1:
        raise TilingError(
            f"a scene of {length} px cannot be cut into tiles of {size} px; both must be 1 or more."
        )
    if not 0 <= overlap < size:
        raise TilingError(
            f"overlap is {overlap} px and tile size is {size} px, so tiles would "
            f"not advance; choose an overlap from 0 to {size - 1}."
        )
    last = max(length - size, 0)
    return [*range(0, last, size - overlap), last]


def tiles(scene_id: str, size_wh: Size, tile_px: int, overlap_px: int = 0) -> list[Tile]:
    """Square tiles covering a scene, row by row.

    A scene smaller than a tile along an edge gives tiles of the scene's length along that edge.

    Args:
        size_wh: width and height of the scene in pixels.
        overlap_px: pixels that neighbours share at least.

    Raises:
        TilingError: see `starts`.
    """
    width, height = size_wh
    tile_wh = (min(tile_px, width), min(tile_px, height))
    return [
        Tile(scene_id, (x, y), tile_wh)
        for y in starts(height, tile_px, overlap_px)
        for x in starts(width, tile_px, overlap_px)
    ]
