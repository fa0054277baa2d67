"""Series: images of one place at several times, shown on the pixels of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from swath.errors import ImageryError
from swath.imagery.raster import Raster
from swath.imagery.scene import GRID, Scene, open_scene


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


def open_on_grid(scene: Scene, reference: Scene) -> Scene:
    """The scene on the pixels of the reference, black where it does not reach.

    Raises:
        ImageryError: one of them does not say where it lies, or they lie apart.
    """
    for one in (scene, reference):
        if not isinstance(one, Raster) or one.footprint is None or reference.transform is None:
            raise ImageryError(
                f"{one.path}: cannot be brought onto one grid, which needs a CRS of both rasters "
                f"and a transform of the first; give two pictures of the same size instead."
            )
    assert isinstance(scene, Raster)
    if not scene.footprint.intersects(reference.footprint):
        raise ImageryError(
            f"{scene.path}: shows other ground than {reference.path}; is it the same place?"
        )
    kept = {field.name: getattr(scene, field.name) for field in fields(Raster)}
    kept |= {
        "path": f"{scene.path}{GRID}{reference.path}",
        "size_wh": reference.size_wh,
        "georeference": reference.georeference,
        "masked": True,
        "overviews": (),
    }
    return OnGrid(**kept)


@dataclass(frozen=True, eq=False)
class OnGrid(Raster):
    """A raster as it would look on the pixels of another."""

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with super()._opened() as raster:
            method = Resampling.nearest if self.palette is not None else Resampling.bilinear
            width, height = self.size_wh
            grid = {"crs": self.crs, "transform": self.transform, "width": width, "height": height}
            told = raster.nodata is not None or ColorInterp.alpha in raster.colorinterp
            with WarpedVRT(raster, resampling=method, add_alpha=not told, **grid) as warped:
                yield warped


def _same_grid(one: Scene, other: Scene) -> bool:
    same = one.size_wh == other.size_wh and one.crs == other.crs and one.transform is not None
    if not same or one.georeference is None or other.georeference is None:
        return False
    corners = [(0, 0), one.size_wh, (0, one.size_wh[1])]
    moved = other.georeference.to_pixels(one.georeference.to_ground(corners)) - corners
    return bool(np.abs(moved).max() < 0.01)
