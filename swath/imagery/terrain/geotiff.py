"""A drawn place as a GeoTIFF: in any CRS, turned or not, of 8 or 16 bits and any bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from swath.files import FORMAT, claim, read_json, replacing, write_json
from swath.imagery.rendering import Pixels
from swath.imagery.terrain.place import Place, lay_out
from swath.imagery.tiling import tiles

_BLOCK_PX = 512
_COLOURS = ("red", "green", "blue")
_GSD_M = 0.5
_CORNER_M = (500_000.0, 5_300_000.0)
_CROWDED = 0.6  # share of the room that objects take where a model is to learn them
_DRAWN = "drawn.json"


def write_geotiff(
    place: Place,
    path: Path | str,
    crs: str | None = "EPSG:32632",
    transform: Affine | None = None,
    bands: Sequence[str] = _COLOURS,
    dtype: str = "uint8",
    empty_px: int = 0,
    **profile: Any,
) -> Path:
    """Write a place block by block; a file of any size takes the memory of a block.

    Args:
        crs: of the file; None for a picture that lies nowhere.
        transform: pixels to CRS units; nothing: half a metre a pixel, north up.
        bands: names in their order; those that are no colour hold a mean of the colours.
        dtype: "uint8", or "uint16" for values of about 300 to 6,000.
        empty_px: side of the upper left triangle that was never observed (nodata 0).
        profile: what else rasterio is to be told, as `gcps` or `rpcs` instead of a transform.
    """
    if crs is not None and transform is None and not {"gcps", "rpcs"} & profile.keys():
        transform = _grid(_CORNER_M[0])
    width, height = place.size_wh
    values = {"width": width, "height": height, "count": len(bands), "dtype": dtype, "crs": crs}
    values |= {"tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX}
    values |= {"compress": "deflate", "bigtiff": "if_safer"} | profile
    if transform is not None:
        values["transform"] = transform
    if empty_px:
        values["nodata"] = 0
    with (
        replacing(path) as temporary,
        rasterio.open(temporary, "w", driver="GTiff", **values) as file,
    ):
        file.descriptions = tuple(bands)
        for tile in tiles("", place.size_wh, _BLOCK_PX):
            stored = _stored(place.pixels(tile), bands, dtype)
            (x, y), (columns, rows) = tile.origin_xy, tile.size_wh
            below = np.add.outer(np.arange(y, y + rows), np.arange(x, x + columns)) < empty_px
            stored[:, below] = 0
            file.write(stored, window=Window(x, y, columns, rows))
    return Path(path)


def draw_places(
    folder: Path | str,
    count: int,
    seed: int,
    size_px: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[Path, Place]]:
    """GeoTIFFs side by side on the ground, and what lies on them; those drawn before are kept.

    Args:
        seed: same seed, same places.
        size_px: edge of each.
        progress: called with places drawn and places in all.

    Raises:
        RequestError: the folder holds something that swath did not draw.
    """
    folder = Path(folder).absolute()
    claim(folder, _DRAWN)
    settings = {"swath": version("swath"), "seed": seed, "size_px": size_px}
    note = folder / _DRAWN
    drawn = note.is_file() and read_json(note) == {"format": FORMAT, **settings}
    write_json(note, settings)
    places = []
    for number in range(count):
        path = folder / f"{number:04d}.tif"
        place = lay_out((size_px, size_px), 10_000 * seed + number, _CROWDED)
        if not drawn or not path.is_file():
            east = _CORNER_M[0] + _GSD_M * size_px * number
            write_geotiff(place, path, transform=_grid(east))
        places.append((path, place))
        if progress is not None:
            progress(number + 1, count)
    return places


def _grid(east: float) -> Affine:
    """North up, from a place of UTM zone 32 on."""
    return Affine(_GSD_M, 0, east, 0, -_GSD_M, _CORNER_M[1])


def _stored(pixels: Pixels, bands: Sequence[str], dtype: str) -> NDArray[Any]:
    """(bands, height, width) values of colours."""
    mean = pixels.mean(axis=2).astype(np.uint8)
    layers = [pixels[..., _COLOURS.index(n)] if n in _COLOURS else mean for n in bands]
    stacked = np.stack(layers)
    return stacked if dtype == "uint8" else stacked.astype(dtype) * 22 + 300
