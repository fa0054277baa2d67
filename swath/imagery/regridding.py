"""Regridding: a raster as it would look on the pixels of another, `b.tif#grid=a.tif`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from swath.errors import ImageryError
from swath.imagery.raster import Raster
from swath.imagery.scene import GRID, Scene


def open_on_grid(scene: Scene, reference: Scene) -> Scene:
    """The scene on the pixels of the reference, black where it does not reach.

    Raises:
        ImageryError: one of them does not say where it lies, or they lie apart.
    """
    for candidate in (scene, reference):
        if (
            not isinstance(candidate, Raster)
            or candidate.footprint is None
            or reference.transform is None
        ):
            raise ImageryError(
                f"{candidate.path}: cannot be brought onto one grid, which needs a CRS of both "
                f"rasters and a transform of the first; give two pictures of the same size instead."
            )
    assert isinstance(scene, Raster)
    if not scene.footprint.intersects(reference.footprint):
        raise ImageryError(
            f"{scene.path}: shows other ground than {reference.path}; is it the same place?"
        )
    values = {field.name: getattr(scene, field.name) for field in fields(Raster)}
    values |= {
        "path": f"{scene.path}{GRID}{reference.path}",
        "size_wh": reference.size_wh,
        "georeference": reference.georeference,
        "masked": True,
        "overviews": (),
    }
    return OnGrid(**values)


@dataclass(frozen=True, eq=False)
class OnGrid(Raster):
    """A raster as it would look on the pixels of another."""

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with super()._opened() as raster:
            method = Resampling.nearest if self.palette is not None else Resampling.bilinear
            width, height = self.size_wh
            grid = {"crs": self.crs, "transform": self.transform, "width": width, "height": height}
            has_nodata = raster.nodata is not None or ColorInterp.alpha in raster.colorinterp
            with WarpedVRT(raster, resampling=method, add_alpha=not has_nodata, **grid) as warped:
                yield warped
