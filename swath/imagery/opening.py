"""Opening: whatever a name stands for, a file, a frame, a tile, an address, as a scene."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from swath.files import stamp_of
from swath.imagery.picture import open_picture
from swath.imagery.raster import open_address, open_raster
from swath.imagery.regridding import open_on_grid
from swath.imagery.scene import (
    FRAME,
    GRID,
    TILE,
    Scene,
    decoding,
    driver_of,
    files_of,
    is_address,
    parts_of,
)
from swath.imagery.video import open_frame
from swath.imagery.windows import part_of


def open_scene(path: Path | str) -> Scene:
    """The scene in a file, a frame of a clip or a raster on another's pixels; its header is read.

    TIFF, JPEG 2000, Imagine and `.vrt` files go through GDAL and keep their georeference; other
    pictures go through Pillow, turned upright as their EXIF says. `clip.mp4#frame=120` is a
    frame, `after.tif#grid=before.tif` a raster as it would look on the pixels of another, and
    an address is read in pieces if `swath.imagery.raster.allow` was given it.

    Raises:
        ImageryError: there is no such file, it is empty, damaged, too large or no image.
    """
    file, mark, part = parts_of(path)
    if mark == FRAME:
        return open_frame(path)
    if mark == GRID:
        return open_on_grid(open_scene(file), open_scene(part))
    if mark == TILE:
        return part_of(_whole(file, *map(stamp_of, files_of(file))), file, part)
    if is_address(path):
        return open_address(str(path))
    path = Path(path)
    with decoding(path):
        driver = driver_of(path)
        if driver is not None:
            return open_raster(path, str(path), driver)
        return open_picture(path)


@lru_cache(maxsize=4)
def _whole(path: str, *stamps: tuple[int, ...]) -> Scene:
    """Neighbouring tiles are read from the same picture, decoded once until its file changes."""
    return open_scene(path)
