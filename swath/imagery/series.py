"""Series: images of one place at several times, shown on the pixels of the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swath.imagery.opening import open_scene
from swath.imagery.raster import Raster
from swath.imagery.regridding import open_on_grid
from swath.imagery.scene import Scene


def coregistered(paths: Sequence[str], apart: bool = False) -> tuple[str, ...]:
    """Names of images of one place, those on other pixels than the first as `b.tif#grid=a.tif`.

    Pictures that do not say where they lie keep their names.

    Args:
        paths: in order of time.
        apart: whether rasters of other ground than the first keep their names, too.

    Raises:
        ImageryError: one cannot be opened, or shows other ground than the first.
    """
    first = open_scene(paths[0])
    if not isinstance(first, Raster) or first.transform is None or first.footprint is None:
        return tuple(paths)
    names = [paths[0]]
    for path in paths[1:]:
        scene = open_scene(path)
        located = isinstance(scene, Raster) and scene.footprint is not None
        if apart and located and not scene.footprint.intersects(first.footprint):
            located = False
        if located and not _same_grid(scene, first):
            path = str(open_on_grid(scene, first).path)
        names.append(path)
    return tuple(names)


def _same_grid(one: Scene, other: Scene) -> bool:
    same = one.size_wh == other.size_wh and one.crs == other.crs and one.transform is not None
    if not same or one.georeference is None or other.georeference is None:
        return False
    corners = [(0, 0), one.size_wh, (0, one.size_wh[1])]
    moved = other.georeference.to_pixels(one.georeference.to_ground(corners)) - corners
    return bool(np.abs(moved).max() < 0.01)
