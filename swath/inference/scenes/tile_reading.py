"""Reading ahead: the next tiles' pixels are read while the model answers about these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import shapely

from swath.errors import ImageryError
from swath.imagery.raster import Raster
from swath.imagery.scene import Scene, decoding
from swath.imagery.tiling import Tile
from swath.imagery.windows import tile_path
from swath.inference.scenes.tile_plan import TilePlan
from swath.models.pixels import PixelStore
from swath.recipe import Rendering

EMPTY, OUTSIDE, MASKED = "never observed", "outside the area", "masked"
"""Why a tile is not asked about."""

_SMALL_PX = 64  # side to which what is only looked through is read

Job = TypeVar("Job")


@dataclass(frozen=True, eq=False)
class TileRead:
    """A tile that was read.

    Args:
        number: of the tile in its plan.
        tile: the window.
        path: name under which the model is asked about it.
        skipped: why it is not asked about, "" if it is.
        failed: why it cannot be read, "" if it can.
    """

    number: int
    tile: Tile
    path: str
    skipped: str = ""
    failed: str = ""


@dataclass(frozen=True, eq=False)
class TileReader:
    """Reads the tiles of one scene.

    Args:
        scene: what they are cut from.
        path: its file or address.
        rendering: how its values become colours.
        store: holds pixels for a model in this process; None for one elsewhere.
        area: polygon in the scene's pixels outside which nothing is asked; None: anywhere.
        mask: scene on the same pixels whose bright places are not looked at, as clouds.
    """

    scene: Scene
    path: str
    rendering: Rendering
    store: TileStore | None = None
    area: Any = None
    mask: Scene | None = None

    def read(self, plan: TilePlan, number: int) -> TileRead:
        """A tile's pixels, or why there are none."""
        tile = plan[number]
        path = tile_path(self.path, tile)
        reason = ""
        try:
            reason = self._why_not(plan.ground(number))
            if not reason:
                self._look(path, tile)
        except ImageryError as error:
            return TileRead(number, tile, path, failed=str(error))
        return TileRead(number, tile, path, skipped=reason)

    def _look(self, path: str, tile: Tile) -> None:
        """Have the tile's pixels at hand, or find out that they cannot be read."""
        if self.store is not None:
            self.store.hold(path)
        else:
            self.scene.read_rgb(tile, rendering=self.rendering)

    def _why_not(self, ground: Tile) -> str:
        window = shapely.box(*ground.bounds)
        if self.area is not None and not self.area.intersects(window):
            return OUTSIDE
        if not _observed(self.scene, ground):
            return EMPTY
        if self.mask is not None and _bright(self.mask, ground):
            return MASKED
        return ""


class TileStore(PixelStore):
    """Holds the tiles of several groups, which another thread reads ahead of the model.

    Args:
        store: of the model, whose place it takes.
        group: tiles that are asked about together.
    """

    def __init__(self, store: PixelStore, group: int) -> None:
        capacity = 4 * group  # nothing goes that is still to be looked at
        super().__init__(store.image_size, store.cache_px, capacity, store.fit, store.rendering)

    def hold(self, path: str) -> None:
        """Read a tile ahead of the model that will look at it.

        Raises:
            ImageryError: it cannot be read.
        """
        self._square(path)


def _observed(scene: Scene, tile: Tile) -> bool:
    """Whether any of a tile's pixels was ever observed, of a sample."""
    if isinstance(scene, Raster) and not scene.masked and scene.dtype.startswith(("int", "uint")):
        return True  # such a file has no way to say that one was not
    size_wh = (min(tile.size_wh[0], _SMALL_PX), min(tile.size_wh[1], _SMALL_PX))
    area = (*tile.origin_xy, *tile.size_wh)
    with decoding(scene.path):
        _, seen = scene._values(area, size_wh, None, False, nearest=True)
    return seen is None or bool(seen.any())


def _bright(mask: Scene, tile: Tile) -> bool:
    """Whether a mask covers a whole tile."""
    size_wh = (min(tile.size_wh[0], _SMALL_PX), min(tile.size_wh[1], _SMALL_PX))
    return bool(mask.read_rgb(tile, size_wh, _AS_STORED).all())


_AS_STORED = Rendering(stretch="none")


def ahead(read: Any, jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
    """Each job and what was read of it, the next one being read meanwhile.

    Args:
        read: called with a job, in another thread.
        jobs: in order.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: list[tuple[Job, Any]] = []
        for job in jobs:
            waiting.append((job, pool.submit(read, job)))
            if len(waiting) > 1:
                earlier, future = waiting.pop(0)
                yield earlier, future.result()
        for earlier, future in waiting:
            yield earlier, future.result()
