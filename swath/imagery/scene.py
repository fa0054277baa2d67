"""`Scene`: one face for GeoTIFFs and ordinary pictures, read as 8-bit RGB."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError

from swath.errors import ImageryError
from swath.files import stamp_of
from swath.imagery.georeference import Georeference
from swath.imagery.rendering import (
    PLAIN,
    Limits,
    Pixels,
    Seen,
    Values,
    in_decibels,
    percentile_limits,
    rendered,
    stretch_of,
)
from swath.imagery.tiling import Tile
from swath.recipe import Rendering
from swath.registry import did_you_mean

if TYPE_CHECKING:
    from affine import Affine

LARGEST_READ_PX = 2 * 89_478_485
"""Pixels one read may return; Pillow refuses to open a picture of more."""

FRAME = "#frame="
"""Stands between a clip's path and the number of a frame in it, counted from 0."""

GRID = "#grid="
"""Stands between a raster's path and that of another, on whose pixels it is shown."""

TILE = "#tile="
"""Stands between a scene's path and the x, y, width and height in it of a tile."""

ADDRESSES = ("https://", "http://", "s3://")
"""What names of rasters elsewhere begin with."""

_STRETCH_SAMPLE_PX = 1024  # longest edge of the decimated read the percentiles are taken from
_DRIVERS = {  # first bytes of a file, and what GDAL calls its format
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"EHFA": "HFA",
}
_PLACED = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}
_PNG_HEADER = 26  # bytes; the last two are the bits of a value and the kind of colours
_WIDE_COLOURS = (b"\x10\x02", b"\x10\x06")  # 16 bits, RGB and RGBA
_LONGEST_NOTES = 2**20  # bytes
# What decoders raise on damaged input; Pillow's PNG reader does raise SyntaxError.
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(SyntaxError, RuntimeError, AssertionError, MemoryError, struct.error, zlib.error),
)

Window = tuple[int, int, int, int]  # x, y, width, height in scene pixels
Size = tuple[int, int]  # width, height
Bands = tuple[int, ...] | None  # counted from 1; None leaves them to the file


@dataclass(frozen=True, eq=False)
class Scene:
    """An image file that can be read whole, in part and at another size, always as 8-bit RGB.

    Args:
        id: the file's name without suffix.
        path: the file, or its address.
        size_wh: width and height in pixels, as `read_rgb` shows it.
        bands: bands in the file, an alpha band included.
        dtype: numpy name of the stored values.
        names: what each band is called: by the file, and as a colour.
        shown: bands shown where a rendering names none, counted from 1.
        georeference: where it lies, None where the file does not say.
    """

    id: str
    path: Path | str
    size_wh: Size
    bands: int
    dtype: str
    names: tuple[tuple[str, ...], ...] = (("red",), ("green",), ("blue",))
    shown: tuple[int, ...] = (1, 2, 3)
    georeference: Georeference | None = None

    @property
    def crs(self) -> str | None:
        """Coordinate reference system as authority code or WKT, None without one."""
        return self.georeference.crs if self.georeference else None

    @property
    def transform(self) -> Affine | None:
        """Pixels to CRS units, None where there is none or points take its place."""
        return self.georeference.transform if self.georeference else None

    @property
    def gsd_m(self) -> float | None:
        """Metres of ground a pixel measures at the centre, None where that is not known."""
        return self.georeference.gsd_m if self.georeference else None

    @property
    def footprint(self) -> Any:
        """The ground shown, a shapely shape of longitude and latitude, None if not known."""
        return self.georeference.footprint if self.georeference else None

    def read_rgb(
        self, window: Tile | None = None, size_wh: Size | None = None, rendering: Rendering = PLAIN
    ) -> Pixels:
        """The scene, or a window of it, as colours.

        Unless the rendering says otherwise, 8-bit values stay as they are, a palette is looked
        up, and others are stretched between the 2nd and 98th percentile of the observed values
        of the whole scene, band by band, so that neighbouring tiles agree. One band is shown
        grey; of several, those declared red, green and blue, else the first three. Pixels never
        observed (nodata, NaN, alpha 0) are black.

        Args:
            size_wh: width and height of the result; those of the window if None.

        Returns:
            (height, width, 3) uint8.

        Raises:
            ImageryError: the file is damaged, has no such band, the window leaves the scene, or
                the result would hold more than `LARGEST_READ_PX` pixels.
        """
        area = self._window(window)
        if size_wh is None:
            size_wh = area[2:]
        if min(size_wh) < 1 or size_wh[0] * size_wh[1] > LARGEST_READ_PX:
            raise ImageryError(
                f"{self.path}: cannot be read as {size_wh[0]} x {size_wh[1]} px; "
                f"read it tile by tile, or give a size of at most {LARGEST_READ_PX} px in all."
            )
        numbers = self.numbers(rendering)
        scaled = stretch_of(rendering, self.dtype) != "none"
        with decoding(self.path):
            values, observed = self._values(area, size_wh, numbers, scaled)
            values, observed = in_decibels(values, observed, rendering)
            stretch = stretch_of(rendering, values.dtype.name)  # a palette's colours are of 8 bits
            limits = partial(self._limits, rendering, numbers)
            return rendered(values, observed, rendering, stretch, limits)

    def numbers(self, rendering: Rendering) -> Bands:
        """The bands a rendering names, counted from 1; None where it leaves them to the file.

        Raises:
            ImageryError: there is no such band, or a name means several.
        """
        if rendering.bands is None:
            return None
        return tuple(self._number(band) for band in rendering.bands)

    def _number(self, band: int | str) -> int:
        name = _plain(band) if isinstance(band, str) else ""
        plain_names = []
        places = []
        for place, names in enumerate(self.names, 1):
            plain = [_plain(label) for label in names]
            plain_names += plain
            if place == band or name in plain:
                places.append(place)
        if len(places) == 1:
            return places[0]
        listed = ", ".join(" ".join((str(i), *names)) for i, names in enumerate(self.names, 1))
        near = did_you_mean(name, plain_names) if name else "."
        fault = "several bands are called" if places else "has no band"
        raise ImageryError(
            f"{self.path}: {fault} {band}{near} It has {listed}; see imagery.rendering.bands."
        )

    def _limits(self, rendering: Rendering, numbers: Bands) -> Limits:
        """Values shown black and white, from a decimated read of the whole scene."""
        key = (rendering.percentiles, rendering.decibel, numbers)
        if key not in self._known_limits:
            width, height = self.size_wh
            shrink = max(1.0, max(width, height) / _STRETCH_SAMPLE_PX)
            sample_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
            everything = (0, 0, width, height)
            values, observed = self._values(everything, sample_wh, numbers, True, nearest=True)
            values, observed = in_decibels(values, observed, rendering)
            self._known_limits[key] = percentile_limits(values, observed, rendering.percentiles)
        return self._known_limits[key]

    @cached_property
    def _known_limits(self) -> dict[Any, Limits]:
        return {}

    def _window(self, window: Tile | None) -> Window:
        width, height = self.size_wh
        if window is None:
            return 0, 0, width, height
        (x, y), (w, h) = window.origin_xy, window.size_wh
        if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
            raise ImageryError(
                f"{self.path}: the window of {w} x {h} px at ({x}, {y}) leaves the scene of "
                f"{width} x {height} px; cut it with swath.imagery.tiling.tiles."
            )
        return x, y, w, h

    def _values(
        self, area: Window, size_wh: Size, numbers: Bands, scaled: bool, nearest: bool = False
    ) -> tuple[Values, Seen]:
        """Values of the bands, and which were observed.

        Args:
            numbers: of the bands; None: those shown, a palette's colours.
            scaled: whether the file's scale and offset are applied.
            nearest: whether to sample rather than average.
        """
        raise NotImplementedError


def parts_of(path: Path | str) -> tuple[str, str, str]:
    """The file a name stands on, then FRAME, GRID or TILE and what follows, "" and "" of a file."""
    for mark in (TILE, GRID, FRAME):  # a tile may be one of a raster on another grid
        file, mark_there, part = str(path).partition(mark)
        if mark_there:
            return file, mark, part
    return str(path), "", ""


def is_frame(path: Path | str) -> bool:
    """Whether a path names a view of a file: a clip's frame, a raster on another grid, a tile."""
    return bool(parts_of(path)[1])


def files_of(path: Path | str) -> list[str]:
    """The files that a name stands on: of a raster on another grid both; none of an address."""
    file, mark, rest = parts_of(path)
    if not mark:
        return [] if is_address(file) else [file]
    return [*files_of(file), *(files_of(rest) if mark == GRID else ())]


def is_address(path: Path | str) -> bool:
    """Whether a path is an address of the web or of S3."""
    return str(path).startswith(ADDRESSES)


@contextmanager
def decoding(path: Path | str) -> Iterator[None]:
    """Turn whatever a decoder raises on a bad file into an `ImageryError` naming it."""
    try:
        yield
    except ImageryError:
        raise
    except FileNotFoundError:
        raise ImageryError(f"{path}: no such file; check the path.") from None
    except Image.DecompressionBombError:
        raise ImageryError(
            f"{path}: more than {LARGEST_READ_PX} pixels, which may be an attack; if you trust "
            f"it, convert it to a tiled GeoTIFF (gdal_translate -of COG)."
        ) from None
    except _DAMAGE as error:
        raise ImageryError(_explained(path, error)) from error


@contextmanager
def written_whole(file: Path | str, *errors: type[Exception]) -> Iterator[None]:
    """A block in which GDAL writes a file.

    Args:
        errors: by which its caller says that it cannot.

    Raises:
        OSError: it cannot, as on a full disk.
    """
    try:
        yield
    except errors as error:
        words = " ".join(str(error.__cause__ or error).split())[:200]
        raise OSError(f"{file}: cannot be written ({words}); is the disk full?") from None


def _explained(name: Path | str, error: Exception) -> str:
    path = Path(name)
    if path.is_dir():
        return f"{path}: a folder, expected an image file."
    if path.is_file() and path.stat().st_size == 0:
        return f"{path}: the file is empty; copy it again."
    if isinstance(error, UnidentifiedImageError):
        return (
            f"{path}: of no format that is read here; is it an image? Bring other rasters into "
            f"GeoTIFF with `gdal_translate -of COG FILE NEW`."
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{name}: cannot be read ({reason}); is it an image, and was it copied whole?"


def driver_of(path: Path) -> str | None:
    """GDAL's name of the format, None for what Pillow reads.

    A PNG or JPEG beside which its place is written (a world file, GDAL's `.aux.xml`) is a raster,
    and so is a PNG of colours of 16 bits, of which Pillow would read the upper 8 alone.
    """
    start = _first_bytes(path, stamp_of(path))
    # A VRT may point to other files, so that only a file named as one is read as one.
    if path.suffix.lower() == ".vrt":
        return "VRT"
    if start.startswith(b"\x89PNG") and start[-2:] in _WIDE_COLOURS:
        return "PNG"
    drivers = _DRIVERS | (_PLACED if _is_placed(path) else {})
    return next((name for magic, name in drivers.items() if start.startswith(magic)), None)


@lru_cache(maxsize=4096)
def _first_bytes(path: Path, stamp: tuple[int, ...]) -> bytes:
    """What a file begins with, read once as long as it stays as it is."""
    if path.is_fifo():
        raise ImageryError(f"{path}: is a pipe and no file; take it away.")
    with path.open("rb") as stream:  # GDAL would also take a folder or an address: this does not
        return stream.read(_PNG_HEADER)


def _is_placed(path: Path) -> bool:
    name, end = str(path), path.suffix
    bare = name.removesuffix(end)  # joined as text, since this is asked of every picture
    worlds = (f"{end}w", f"{end[:2]}{end[-1:]}w", ".wld")  # .jpgw, .jgw
    if end and any(Path(f"{bare}{world}").is_file() for world in worlds):
        return True
    notes = Path(f"{name}.aux.xml")
    return notes.is_file() and b"<GeoTransform>" in notes.read_bytes()[:_LONGEST_NOTES]


def _plain(name: str) -> str:
    """A band's name as it is compared: B04 and b4 are one, and what follows a comma is a remark."""
    return re.sub(r"(?<=[a-z])0+(?=\d)", "", name.split(",")[0].strip().lower())
