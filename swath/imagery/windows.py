"""Windows: a tile of a scene as a scene of its own, named `scene.tif#tile=x,y,width,height`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swath.errors import ImageryError
from swath.imagery.rendering import Limits
from swath.imagery.scene import TILE, Scene, Window
from swath.imagery.tiling import Tile

_DIGITS = 12  # of a number in a tile's name; Python refuses to read one of thousands


def tile_path(path: str, tile: Tile) -> str:
    """The name of a tile of a scene; `open_scene` opens it."""
    return f"{path}{TILE}{','.join(map(str, (*tile.origin_xy, *tile.size_wh)))}"


@dataclass(frozen=True, eq=False)
class Part(Scene):
    """A tile of a scene: its own pixels alone, with the contrast of the whole.

    Args:
        whole: the scene.
        origin_xy: the tile's upper left corner in it.
    """

    whole: Any = None
    origin_xy: tuple[int, int] = (0, 0)

    def _values(self, area: Window, *how: Any, **more: Any) -> Any:
        x, y, width, height = area
        at = x + self.origin_xy[0], y + self.origin_xy[1]
        return self.whole._values((*at, width, height), *how, **more)

    def _limits(self, *how: Any) -> Limits:
        limits: Limits = self.whole._limits(*how)
        return limits


def part_of(whole: Scene, path: str, numbers: str) -> Part:
    """The tile of a scene, opened from `path`, that `x,y,width,height` say.

    Raises:
        ImageryError: the tile is none of the scene.
    """
    corners = numbers.split(",")
    if len(corners) != 4 or not all(
        corner.isdecimal() and len(corner) <= _DIGITS for corner in corners
    ):
        raise ImageryError(f"{path}{TILE}{numbers}: expected {TILE}x,y,width,height in pixels.")
    x, y, width, height = map(int, corners)
    whole._window(Tile(whole.id, (x, y), (width, height)))
    place = whole.georeference
    properties = {
        name: getattr(whole, name) for name in ("path", "bands", "dtype", "names", "shown")
    }
    return Part(
        id=f"{whole.id}{TILE}{numbers}",
        size_wh=(width, height),
        georeference=place.part((x, y), (width, height)) if place else None,
        whole=whole,
        origin_xy=(x, y),
        **properties,
    )
