"""Pictures: JPEG, PNG, WebP, BMP, GIF through Pillow, turned upright as their EXIF says."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swath.errors import ImageryError
from swath.files import stamp_of
from swath.imagery.rendering import Pixels, Seen, Values, resized
from swath.imagery.scene import LARGEST_READ_PX, Bands, Scene, Size, Window, decoding

_PICTURES = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "PPM",
    "TIFF",
)  # not EPS: Ghostscript would run it
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

# A picture up to LARGEST_READ_PX is read; above it Pillow raises, which we pass on as our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def open_image(path: Path | str) -> Image.Image:
    """What Pillow reads from a file, decoded, in the mode in which it is stored.

    Raises:
        ImageryError: it is damaged, too large, or of a format that is not read here.
    """
    with decoding(path), _opened(path) as picture:
        picture.load()
        return picture


def picture_header(data: bytes, name: str, most_px: int) -> tuple[str, tuple[int, int]]:
    """Format, in small letters, and upright width and height of a picture in memory.

    Raises:
        ImageryError: it is of no format that is read here, or of more pixels.
    """
    with decoding(name), _opened(io.BytesIO(data)) as picture:
        size_wh = _upright_size(picture)
        if size_wh[0] * size_wh[1] > most_px:
            raise ImageryError(f"{name}: {size_wh[0]} x {size_wh[1]} px; at most {most_px} px.")
        return str(picture.format).lower(), size_wh


def _opened(file: Path | str | io.BytesIO) -> Image.Image:
    """A picture whose header is read, its pixels not: of our formats, within our limit."""
    picture = Image.open(file, formats=_PICTURES)
    if picture.width * picture.height > LARGEST_READ_PX:
        picture.close()
        raise Image.DecompressionBombError
    return picture


def open_picture(path: Path) -> Picture:
    """The picture in a file; its header is read, once as long as the file stays as it is."""
    return replace(_described(path, stamp_of(path)))


@lru_cache(maxsize=4096)
def _described(path: Path, stamp: tuple[int, ...]) -> Picture:
    """The picture by its header; `replace` gives one that keeps pixels of its own."""
    with _opened(path) as picture:
        wide = picture.mode in _WIDE_MODES
        return Picture(
            id=path.stem,
            path=path,
            size_wh=_upright_size(picture),
            bands=len(picture.getbands()),
            dtype=_WIDE_MODES.get(picture.mode, "uint8"),
            names=(("grey",),) if wide else Picture.names,
            shown=(1,) if wide else Picture.shown,
        )


@dataclass(frozen=True, eq=False)
class Picture(Scene):
    """A scene that Pillow reads."""

    def _values(
        self, area: Window, size_wh: Size, numbers: Bands, scaled: bool, nearest: bool = False
    ) -> tuple[Values, Seen]:
        bands = np.atleast_3d(self._part(area, size_wh))
        return np.moveaxis(bands, -1, 0)[[number - 1 for number in numbers or self.shown]], None

    def _part(self, area: Window, size_wh: Size) -> Pixels:
        x, y, width, height = area
        if (width, height) != self.size_wh or "_upright" in vars(self):
            return resized(self._upright[y : y + height, x : x + width], size_wh)
        with _opened(self.path) as picture:
            turned = _orientation(picture) >= 5
            # A JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time.
            picture.draft(None, size_wh[::-1] if turned else size_wh)
            return resized(_upright_pixels(picture), size_wh)

    @cached_property
    def _upright(self) -> Pixels:
        """All pixels, kept because neighbouring tiles are read from the same picture."""
        with _opened(self.path) as picture:
            return _upright_pixels(picture)


def _orientation(picture: Image.Image) -> int:
    """EXIF's 1 to 8: how the stored pixels lie; 5 and above swap width and height."""
    # Pillow decodes a whole PNG to look for EXIF behind the pixels, where hardly anyone puts it.
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    orientation = picture.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in _TURNS else 1


def _upright_size(picture: Image.Image) -> Size:
    width, height = picture.size
    return (height, width) if _orientation(picture) >= 5 else (width, height)


def _upright_pixels(picture: Image.Image) -> Any:
    """(height, width, 3) colours, or (height, width) wider values."""
    turn = _TURNS.get(_orientation(picture))
    if picture.mode in _WIDE_MODES:
        picture = Image.fromarray(np.asarray(picture).astype(np.float32))
    elif picture.has_transparency_data:
        rgba = np.array(picture.convert("RGBA"))
        rgba[rgba[..., 3] == 0] = 0
        picture = Image.fromarray(rgba[..., :3])
    elif picture.mode != "RGB":
        picture = picture.convert("RGB")
    return np.asarray(picture if turn is None else picture.transpose(turn))
