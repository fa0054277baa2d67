"""Rasters: GeoTIFF and its like through GDAL, from a file or from an address, window by window."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import numpy as np
import rasterio
import rasterio._env
import rasterio._err
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from swath.errors import ImageryError
from swath.files import replacing, stamp_of
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.georeference import Georeference
from swath.imagery.picture import open_picture
from swath.imagery.rendering import Pixels, Seen, Values
from swath.imagery.scene import LARGEST_READ_PX, Bands, Scene, Size, Window, decoding, driver_of

LARGEST_SCAN_PX = 2**32
"""Stored pixels one reduced read may go through where the file brings no overviews."""

_CACHE = 128 * 2**20  # bytes
# A file may name others (VRT does): none of them is fetched, and no code of theirs is run.
_LOCAL = {
    "GDAL_CACHEMAX": _CACHE,  # by default a twentieth of the memory
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE": "SIBLING_OR_CHILD_OF_VRT_PATH",
}
_REMOTE = {
    "GDAL_CACHEMAX": _CACHE,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "2",
    "VSI_CACHE": "TRUE",
}
_SIDE_FILES = (".ovr", ".msk", ".msk.ovr", ".ovr.msk", ".ovr.ovr", ".OVR", ".MSK")
_BESIDE = ":::BASE:::"  # GDAL's word for the folder of the raster
_NESTED = 4  # VRTs in VRTs
_ELSEWHERE = ("/vsicurl/", "/vsis3/")
_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
REFUSALS = (RasterioError, rasterio._err.CPLE_BaseError)  # some of the first are an OSError too
_UNNAMED = ("undefined", "palette", "gray")

_allowed: set[str] = set()
_held = threading.local()

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)  # most pictures lie nowhere


def allow(address: str) -> str:
    """Let `open_scene` read an address, which no file of data can make it do; gives it back.

    Call it with what a person named: a file of annotations that names an address of its own
    could otherwise have swath ask servers that only this machine reaches.
    """
    _allowed.add(address)
    return address


def open_address(address: str) -> Raster:
    """The raster at an http(s) or S3 address; its header and later its windows are fetched.

    S3 takes GDAL's environment variables: AWS_ACCESS_KEY_ID, AWS_NO_SIGN_REQUEST and the like.

    Raises:
        ImageryError: nobody allowed it, it does not answer, or holds no raster.
    """
    if address not in _allowed:
        raise ImageryError(
            f"{address}: an address; swath reads only those named on its command line. Fetch the "
            f"file and name it here, or call swath.imagery.raster.allow."
        )
    kind, _, target = address.partition("://")
    driver = "JP2OpenJPEG" if urlsplit(address).path.lower().endswith(".jp2") else "GTiff"
    with decoding(address):
        source = f"/vsis3/{target}" if kind == "s3" else f"/vsicurl/{address}"
        return open_raster(address, source, driver)


@dataclass(frozen=True, eq=False)
class Raster(Scene):
    """A scene that GDAL reads.

    Args:
        source: GDAL's name of the file.
        driver: GDAL's name of the file's format.
        palette: (256 or 65536, 3) colours of a palette band, or None.
        masked: whether some pixels may never have been observed.
        scales: what each band's stored values are multiplied by, and what is added then.
        overviews: factors at which the file holds smaller copies of itself.
    """

    source: str = ""
    driver: str = "GTiff"
    palette: Pixels | None = None
    masked: bool = False
    scales: tuple[tuple[float, float], ...] = ()
    overviews: tuple[int, ...] = ()

    def _values(
        self, area: Window, size_wh: Size, numbers: Bands, scaled: bool, nearest: bool = False
    ) -> tuple[Values, Seen]:
        looked_up = self.palette is not None and numbers is None
        numbers = numbers or self.shown
        shape, window = size_wh[::-1], RasterWindow(*area)
        method = Resampling.bilinear
        if size_wh[0] < area[2] or size_wh[1] < area[3]:
            method = Resampling.average
            self._refuse_endless(area, size_wh)
        # The mean of two palette entries is a third colour; complex values have no mean here.
        if nearest or self.palette is not None or self.dtype.startswith("complex"):
            method = Resampling.nearest
        observed: Seen = None
        with self._opened() as raster:
            request = {"window": window, "out_shape": (len(numbers), *shape)}
            if len({raster.dtypes[number - 1] for number in numbers}) > 1:  # of a VRT
                options = {"window": window, "out_shape": shape, "resampling": method}
                values = np.stack([raster.read(number, **options) for number in numbers])
            else:
                values = raster.read(numbers, resampling=method, **request)
            if self.masked:
                observed = raster.read_masks(numbers, **request) > 0
        if values.dtype.kind == "c":
            values = np.abs(values)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            observed = finite if observed is None else observed & finite
        if looked_up:
            assert self.palette is not None
            return np.moveaxis(self.palette[values[0]], -1, 0), observed
        pairs = [self.scales[number - 1] for number in numbers]
        if scaled and any(pair != (1.0, 0.0) for pair in pairs):
            factor, offset = np.array(pairs).T[:, :, None, None]
            values = values * factor + offset
        return values, observed

    def save_window(self, window: Window, to: Path) -> None:
        """Write a part as a GeoTIFF of its own, with values, bands and georeference as they are.

        Raises:
            ImageryError: the part is too large to be held, or the file is damaged.
        """
        x, y, width, height = window
        if width * height > LARGEST_READ_PX:
            raise ImageryError(
                f"{self.path}: the part of {width} x {height} px is too large; name a smaller AOI."
            )
        area = RasterWindow(x, y, width, height)
        with decoding(self.path), self._opened() as raster, replacing(to) as temporary:
            profile = {key: raster.profile[key] for key in ("count", "dtype", "crs", "nodata")}
            profile |= {"width": width, "height": height}
            profile["transform"] = raster.window_transform(area)
            with rasterio.open(
                temporary, "w", driver="GTiff", tiled=True, compress="deflate", **profile
            ) as part:
                part.colorinterp = raster.colorinterp
                part.descriptions = raster.descriptions
                part.scales, part.offsets = raster.scales, raster.offsets
                part.write(raster.read(window=area))
                if self.palette is not None:
                    part.write_colormap(1, raster.colormap(1))
                if any(MaskFlags.per_dataset in flags for flags in raster.mask_flag_enums):
                    part.write_mask(raster.dataset_mask(window=area))

    def _refuse_endless(self, area: Window, size_wh: Size) -> None:
        """Keep a small picture of a huge file from reading all of it."""
        shrink = min(area[2] / size_wh[0], area[3] / size_wh[1])
        copy = max((factor for factor in self.overviews if factor <= shrink), default=1)
        if area[2] * area[3] > LARGEST_SCAN_PX * copy**2:
            raise ImageryError(
                f"{self.path}: {area[2]} x {area[3]} px would be gone through for a picture of "
                f"{size_wh[0]} x {size_wh[1]} px; add overviews with `gdaladdo FILE`, or read "
                f"it tile by tile."
            )

    def _opened(self) -> AbstractContextManager[Any]:
        return held_open(self.source, self.driver)


def open_raster(path: Path | str, source: str, driver: str) -> Raster:
    """The raster that GDAL finds under a name; the header is read."""
    if driver == "VRT":
        _check_sources(Path(source))
    with opened(source, driver) as raster:
        rows, columns = raster.block_shapes[0]
        if rows * columns > LARGEST_READ_PX:
            raise ImageryError(
                f"{path}: is stored in pieces of {columns} x {rows} px, too large to read; bring "
                f"it into tiles with `gdal_translate -of COG FILE NEW`."
            )
        meaning = list(raster.colorinterp)
        colours = [i for i, band in enumerate(meaning, 1) if band != ColorInterp.alpha] or [1]
        palette = None
        descriptions = [(name or "").strip().lower() for name in raster.descriptions]
        if meaning[0] == ColorInterp.palette and raster.dtypes[0] in ("uint8", "uint16"):
            palette = np.zeros((np.iinfo(raster.dtypes[0]).max + 1, 3), dtype=np.uint8)
            for value, colour in raster.colormap(1).items():
                palette[value] = colour[:3] if colour[3] else 0  # a transparent one is black
            colours = [1]
        elif all(band in meaning for band in _COLOURS):
            colours = [meaning.index(band) + 1 for band in _COLOURS]
        elif all(descriptions.count(band.name) == 1 for band in _COLOURS):
            colours = [descriptions.index(band.name) + 1 for band in _COLOURS]
        else:
            colours = colours[:3] if len(colours) >= 3 else colours[:1]
        names = []
        for description, band in zip(raster.descriptions, meaning, strict=True):
            names.append(tuple(n for n in (description, band.name) if n and n not in _UNNAMED))
        name = PurePosixPath(urlsplit(path).path) if isinstance(path, str) else path
        return Raster(
            id=name.stem,
            path=path,
            size_wh=(raster.width, raster.height),
            bands=raster.count,
            dtype=raster.dtypes[colours[0] - 1],
            names=tuple(names),
            shown=tuple(colours),
            georeference=_georeference(str(path), raster),
            source=source,
            driver=driver,
            palette=palette,
            masked=any(MaskFlags.all_valid not in flags for flags in raster.mask_flag_enums),
            scales=tuple(zip(raster.scales, raster.offsets, strict=True)),
            overviews=tuple(raster.overviews(1)),
        )


def _georeference(name: str, raster: Any) -> Georeference | None:
    """Where a raster lies: a CRS without a way to it, or a way that shows a line, says nothing."""
    place = Georeference(name, (raster.width, raster.height))
    points, crs = raster.gcps
    if not raster.transform.is_identity:
        if raster.transform.determinant == 0:
            return None
        crs = raster.crs
        return replace(place, crs=crs.to_string() if crs else None, transform=raster.transform)
    if _spread([(p.col, p.row) for p in points]) and _spread([(p.x, p.y) for p in points]):
        return replace(place, crs=crs.to_string() if crs else None, gcps=tuple(points))
    if raster.rpcs is not None:
        return replace(place, crs="EPSG:4326", rpcs=raster.rpcs)
    return None


def _spread(points: list[tuple[float, float]]) -> bool:
    """Whether points lie neither in one place nor on one line."""
    around = np.unique(np.array(points).reshape(-1, 2), axis=0)
    if len(around) < 3:
        return False
    along, across = np.linalg.svd(around - around.mean(axis=0), compute_uv=False)
    return bool(across > 1e-8 * along)


def _check_sources(vrt: Path, depth: int = 0) -> None:
    """Refuse a VRT that names anything but raster files: GDAL would fetch addresses, run services.

    Raises:
        ImageryError: it does, or is nested without end.
    """
    if depth > _NESTED:
        raise ImageryError(f"{vrt}: VRTs are nested too deep; make it anew.")
    try:
        elements = list(fromstring(vrt.read_bytes(), forbid_dtd=True).iter())
    except DefusedXmlException:
        raise ImageryError(f"{vrt}: declares entities, as a VRT need not; make it anew.") from None
    except (ParseError, ValueError, LookupError) as error:
        raise ImageryError(f"{vrt}: cannot be read as VRT ({error}); make it anew.") from None
    for element in elements:
        names_dataset = element.get("key", "").endswith("DATASET")
        is_words = element.tag in ("MDI", "SRS") and not names_dataset
        for name, value in [(element.tag, element.text or ""), *element.items()]:
            value = value.strip()
            names_file = name.lower() in ("sourcefilename", "sourcedataset")
            # Which of the two GDAL takes depends on more than one mark; both must be harmless.
            places = (vrt.parent / value, Path(value)) if names_file else ()
            files = [place for place in places if place.is_file()]
            if (names_file and not files) or (not is_words and ("://" in value or "/vsi" in value)):
                raise ImageryError(f"{vrt}: '{value}' is no file; put it beside the VRT.")
            for file in files:
                if file.suffix.lower() == ".vrt":
                    _check_sources(file, depth + 1)
                elif driver_of(file) is None:
                    with decoding(file):
                        open_picture(file)
                else:
                    _check_side_files(str(file))


def _check_side_files(source: str) -> None:
    """Refuse overviews and masks beside a raster that are of a format which names other files.

    Raises:
        ImageryError: one is no TIFF.
    """
    for end in _SIDE_FILES:
        file = Path(source + end)
        if file.is_file() and driver_of(file) != "GTiff":
            raise ImageryError(f"{file}: is no TIFF; make it anew with `gdaladdo -ro {source}`.")


def _check_overviews(source: str, raster: Any) -> None:
    """Refuse a raster that says where its overviews lie, unless in a raster beside it.

    Raises:
        ImageryError: GDAL would open whatever it names.
    """
    overviews = raster.tags(ns="OVERVIEWS").get("OVERVIEW_FILE", "")
    beside = Path(source).parent / PurePosixPath(overviews.removeprefix(_BESIDE)).name
    harmless = overviews == _BESIDE + beside.name and beside.is_file()
    if overviews and not (harmless and driver_of(beside) in ("HFA", "GTiff")):
        raise ImageryError(
            f"{source}: names another file as its overviews, which may be an attack; bring it "
            f"into a file of its own with `gdal_translate -of COG FILE NEW`."
        )


@contextmanager
def opened(source: str, driver: str = "GTiff") -> Iterator[Any]:
    """GDAL's view of a file; other files that it names are opened only if they lie here.

    Raises:
        OSError: it cannot be opened, or later not be read.
        ImageryError: its overviews or mask are of another format, or lie elsewhere.
    """
    with _safely(source), _checked(source, driver) as raster:
        yield raster


@contextmanager
def held_open(source: str, driver: str) -> Iterator[Any]:
    """The same, and a file stays open in its thread until another is read or it changes.

    Tiles are read one after the other, and to open a file takes several times as long as a tile.
    """
    if driver == "VRT" or source.startswith(_ELSEWHERE):  # what they stand on may change
        with opened(source, driver) as raster:
            yield raster
        return
    key = (source, driver, stamp_of(source))
    with _safely(source):
        if getattr(_held, "key", None) != key:
            _held.key = None
            _held.raster = None  # closed before the next is opened
            _held.raster = _checked(source, driver)
        _held.key = None  # not held where it turns out to be damaged
        yield _held.raster
        _held.key = key


def _checked(source: str, driver: str) -> Any:
    """A file opened, if all that GDAL would open with it is harmless."""
    _check_side_files(source)
    raster = rasterio.open(source, driver=driver)
    _check_overviews(source, raster)
    return raster


@contextmanager
def _safely(source: str) -> Iterator[None]:
    """GDAL's settings under which a file is opened and read, and its errors as OSError."""
    # What a file elsewhere names is not fetched either.
    remote = _REMOTE | {"CPL_VSIL_CURL_ALLOWED_FILENAME": source}
    options = remote if source.startswith(_ELSEWHERE) else _LOCAL
    try:
        with rasterio.Env(**options):
            keep_safe_drivers(rasterio._env)
            yield
    except REFUSALS as error:
        raise OSError(str(error.__cause__ or error)) from None
