"""`Scene`: one face for GeoTIFFs and ordinary pictures, read as 8-bit RGB."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swath.errors import ImageryError
from swath.imagery.rendering import Pixels, resized, stretch_limits, stretched
from swath.imagery.tiling import Tile

if TYPE_CHECKING:
    from affine import Affine

LARGEST_READ_PX = 2 * 89_478_485
"""Pixels one read may return; Pillow refuses to open a picture of more."""

FRAME = "#frame="
"""Stands between a clip's path and the number of a frame in it, counted from 0."""

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
_PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")  # not EPS, which Ghostscript would run
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WIDE_MODES = {"I;16": "uint16", "I;16B": "uint16", "I;16L": "uint16", "I": "int32", "F": "float32"}

# What decoders raise on damaged input; Pillow's PNG reader does raise SyntaxError.
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(SyntaxError, RuntimeError, AssertionError, MemoryError, struct.error, zlib.error),
)

# A picture up to LARGEST_READ_PX is read; above it Pillow raises, which we pass on as our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Window = tuple[int, int, int, int]  # x, y, width, height in scene pixels


@dataclass(frozen=True, eq=False)
class Scene:
    """An image file that can be read whole, in part and at another size, always as 8-bit RGB.

    Args:
        id: the file's name without suffix.
        path: the file.
        size_wh: width and height in pixels, as `read_rgb` shows it.
        bands: bands in the file, an alpha band included.
        dtype: numpy name of the stored values.
        crs: coordinate reference system as authority code or WKT, None without one.
        transform: pixels to CRS units, None without one.
    """

    id: str
    path: Path
    size_wh: tuple[int, int]
    bands: int
    dtype: str
    crs: str | None = None
    transform: Affine | None = None

    def read_rgb(
        self, window: Tile | None = None, size_wh: tuple[int, int] | None = None
    ) -> Pixels:
        """The scene, or a window of it, as colours.

        8-bit values stay as they are, a palette is looked up. Others are stretched between the
        2nd and 98th percentile of the observed values of the whole scene, band by band, so that
        neighbouring tiles agree. One band is shown grey; of several, those declared red, green
        and blue, else the first three. Pixels never observed (nodata, NaN, alpha 0) are black.

        Args:
            window: the part to read; all of the scene if None.
            size_wh: width and height of the result; those of the window if None.

        Returns:
            (height, width, 3) uint8.

        Raises:
            ImageryError: the file is damaged, the window leaves the scene, or the result
                would hold more than `LARGEST_READ_PX` pixels.
        """
        area = self._window(window)
        if size_wh is None:
            size_wh = area[2:]
        if min(size_wh) < 1 or size_wh[0] * size_wh[1] > LARGEST_READ_PX:
            raise ImageryError(
                f"{self.path}: cannot be read as {size_wh[0]} x {size_wh[1]} px; "
                f"read it tile by tile, or give a size of at most {LARGEST_READ_PX} px in all."
            )
        with _decoding(self.path):
            return self._read(area, size_wh)

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

    def _read(self, area: Window, size_wh: tuple[int, int]) -> Pixels:
        raise NotImplementedError


def open_scene(path: Path | str) -> Scene:
    """The scene in a file, or the frame of a clip (`clip.mp4#frame=120`); its header is read.

    TIFF, JPEG 2000, Imagine and `.vrt` files go through GDAL and keep their georeference
    (control points and rational polynomials are not turned into one); other pictures go
    through Pillow, turned upright as their EXIF says.

    Raises:
        ImageryError: there is no such file, it is empty, damaged, too large or no image.
    """
    path = Path(path)
    if is_frame(path):
        from swath.imagery.video import open_frame

        return open_frame(path)
    with _decoding(path):
        driver = _driver(path)
        if driver is not None:
            return _open_raster(path, driver)
        with Image.open(path, formats=_PICTURES) as picture:
            return Picture(
                id=path.stem,
                path=path,
                size_wh=_upright_size(picture),
                bands=len(picture.getbands()),
                dtype=_WIDE_MODES.get(picture.mode, "uint8"),
            )


def is_frame(path: Path | str) -> bool:
    """Whether a path names one frame of a clip, as `clip.mp4#frame=120` does."""
    return FRAME in str(path)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
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


def _explained(path: Path, error: Exception) -> str:
    if path.is_dir():
        return f"{path}: a folder, expected an image file."
    if path.is_file() and path.stat().st_size == 0:
        return f"{path}: the file is empty; copy it again."
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path}: cannot be read ({reason}); is it an image, and was it copied whole?"


def _driver(path: Path) -> str | None:
    """GDAL's name of the format, None for what Pillow reads."""
    with path.open("rb") as stream:  # GDAL would also take a folder or an address: this does not
        start = stream.read(8)
    # A VRT may point to other files, so that only a file named as one is read as one.
    if path.suffix.lower() == ".vrt":
        return "VRT"
    return next((name for magic, name in _DRIVERS.items() if start.startswith(magic)), None)


# Pictures: JPEG, PNG, WebP, BMP, GIF, through Pillow


@dataclass(frozen=True, eq=False)
class Picture(Scene):
    """A scene that Pillow reads."""

    def _read(self, area: Window, size_wh: tuple[int, int]) -> Pixels:
        x, y, width, height = area
        if (width, height) != self.size_wh:
            return resized(self._upright[y : y + height, x : x + width], size_wh)
        with Image.open(self.path, formats=_PICTURES) as picture:
            turned = _orientation(picture) >= 5
            # A JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time.
            picture.draft(None, size_wh[::-1] if turned else size_wh)
            return resized(_picture_rgb(picture), size_wh)

    @cached_property
    def _upright(self) -> Pixels:
        """All pixels, kept because neighbouring tiles are read from the same picture."""
        with Image.open(self.path, formats=_PICTURES) as picture:
            return _picture_rgb(picture)


def _orientation(picture: Image.Image) -> int:
    """EXIF's 1 to 8: how the stored pixels lie; 5 and above swap width and height."""
    # Pillow decodes a whole PNG to look for EXIF behind the pixels, where hardly anyone puts it.
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    found = picture.getexif().get(_ORIENTATION, 1)
    return found if found in _TURNS else 1


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if _orientation(picture) >= 5 else (width, height)


def _picture_rgb(picture: Image.Image) -> Pixels:
    turn = _TURNS.get(_orientation(picture))
    if picture.mode in _WIDE_MODES:
        values = np.asarray(picture)[None]
        low_high = stretch_limits(values, np.ones(values.shape[1:], dtype=bool))
        picture = Image.fromarray(stretched(values, low_high)[0])
    if picture.has_transparency_data:
        rgba = np.array(picture.convert("RGBA"))
        rgba[rgba[..., 3] == 0] = 0
        picture = Image.fromarray(rgba[..., :3])
    elif picture.mode != "RGB":
        picture = picture.convert("RGB")
    return np.asarray(picture if turn is None else picture.transpose(turn))


# Rasters: GeoTIFF and its like, through GDAL


@dataclass(frozen=True, eq=False)
class Raster(Scene):
    """A scene that GDAL reads.

    Args:
        driver: GDAL's name of the file format.
        rgb_bands: the one or three bands shown, counted from 1.
        palette: (256, 3) colours of a palette band, or None.
        masked: whether some pixels may never have been observed.
    """

    driver: str = "GTiff"
    rgb_bands: tuple[int, ...] = (1,)
    palette: Pixels | None = None
    masked: bool = False

    def _read(self, area: Window, size_wh: tuple[int, int]) -> Pixels:
        values, seen = self._values(area, size_wh)
        if self.palette is not None:
            shown = np.moveaxis(self.palette[values[0]], -1, 0)
        elif self.dtype == "uint8":
            shown = values
        else:
            shown = stretched(values, self._stretch)
        rgb = np.empty((*shown.shape[1:], 3), dtype=np.uint8)
        rgb[:] = np.moveaxis(shown, 0, -1)
        rgb[~seen] = 0
        return rgb

    @cached_property
    def _stretch(self) -> NDArray[np.float64]:
        """(bands, 2) values shown black and white, from a decimated read of the whole scene."""
        width, height = self.size_wh
        shrink = max(1.0, max(width, height) / _STRETCH_SAMPLE_PX)
        sample_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        return stretch_limits(*self._values((0, 0, width, height), sample_wh, nearest=True))

    def _values(
        self, area: Window, size_wh: tuple[int, int], nearest: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(bands, height, width) stored values, and (height, width) whether they were observed."""
        from rasterio.enums import Resampling
        from rasterio.windows import Window as RasterWindow

        shape, window = size_wh[::-1], RasterWindow(*area)
        method = Resampling.bilinear
        if size_wh[0] < area[2] or size_wh[1] < area[3]:
            method = Resampling.average
        # The mean of two palette entries is a third colour; complex values have no mean here.
        if nearest or self.palette is not None or self.dtype.startswith("complex"):
            method = Resampling.nearest
        with _opened(self.path, self.driver) as raster:
            values = raster.read(
                self.rgb_bands,
                window=window,
                out_shape=(len(self.rgb_bands), *shape),
                resampling=method,
            )
            seen = np.ones(shape, dtype=bool)
            if self.masked:
                seen = raster.dataset_mask(window=window, out_shape=shape) > 0
        if values.dtype.kind == "c":
            values = np.abs(values)
        if values.dtype.kind == "f":
            seen = seen & np.isfinite(values).all(axis=0)
        return values, seen


def _open_raster(path: Path, driver: str) -> Raster:
    from rasterio.enums import ColorInterp, MaskFlags

    with _opened(path, driver) as raster:
        meaning = list(raster.colorinterp)
        colours = [i for i, band in enumerate(meaning, 1) if band != ColorInterp.alpha] or [1]
        declared = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        palette = None
        if meaning[0] == ColorInterp.palette and raster.dtypes[0] == "uint8":
            palette = np.zeros((256, 3), dtype=np.uint8)
            for value, colour in raster.colormap(1).items():
                palette[value] = colour[:3]
            colours = [1]
        elif all(band in meaning for band in declared):
            colours = [meaning.index(band) + 1 for band in declared]
        else:
            colours = colours[:3] if len(colours) >= 3 else colours[:1]
        located = raster.crs is not None or not raster.transform.is_identity
        return Raster(
            id=path.stem,
            path=path,
            size_wh=(raster.width, raster.height),
            bands=raster.count,
            dtype=raster.dtypes[colours[0] - 1],
            crs=raster.crs.to_string() if raster.crs else None,
            transform=raster.transform if located else None,
            driver=driver,
            rgb_bands=tuple(colours),
            palette=palette,
            masked=any(MaskFlags.all_valid not in flags for flags in raster.mask_flag_enums),
        )


@contextmanager
def _opened(path: Path, driver: str) -> Iterator[Any]:
    """GDAL's view of a file, without its warning that it lies nowhere, as most pictures do."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    try:
        with rasterio.open(path, driver=driver) as raster:
            yield raster
    except RasterioError as error:  # no OSError of itself, and not imported outside
        raise OSError(str(error.__cause__ or error)) from None
