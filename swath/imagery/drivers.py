"""GDAL's formats: those that swath reads or writes stay, all others leave the process."""

from __future__ import annotations

import ctypes
from threading import Lock
from types import ModuleType

from swath.errors import ImageryError

RASTERS = ("GTiff", "COG", "JP2OpenJPEG", "HFA", "PNG", "JPEG", "VRT")
"""Formats of pictures, as GDAL calls them."""

VECTORS = ("GeoJSON", "GPKG", "FlatGeobuf", "ESRI Shapefile")
"""Formats of features."""

_ALLOWED = {*RASTERS, *VECTORS, "MEM", "Memory"}  # of the latter two GDAL makes what it works on
_lock = Lock()


def keep_safe_drivers(extension: ModuleType) -> None:
    """Take every format but those above out of the GDAL that an extension module is linked to.

    A file may name others (as its overviews, mask or sources), which GDAL opens with any format
    it knows, whatever formats the caller named: among some 150 are those that ask servers, write
    caches (MRF) or run code. Hence the formats themselves go, for the whole process, whoever
    registered them, and before each file is opened, since others may register them again.

    Args:
        extension: a module of rasterio or pyogrio that calls GDAL, whose formats are registered.

    Raises:
        ImageryError: GDAL's functions cannot be reached.
    """
    gdal = ctypes.CDLL(extension.__file__)
    try:
        count, driver_at = gdal.GDALGetDriverCount, gdal.GDALGetDriver
        name_of, remove = gdal.GDALGetDescription, gdal.GDALDeregisterDriver
    except AttributeError as error:
        raise ImageryError(
            f"{extension.__file__}: GDAL's formats cannot be restricted ({error}), so files could "
            f"write and fetch others; install the wheels of rasterio and pyogrio from PyPI."
        ) from None
    driver_at.argtypes, driver_at.restype = [ctypes.c_int], ctypes.c_void_p
    name_of.argtypes, name_of.restype = [ctypes.c_void_p], ctypes.c_char_p
    remove.argtypes, remove.restype = [ctypes.c_void_p], None
    with _lock:
        for place in reversed(range(count())):
            driver = driver_at(place)
            if name_of(driver).decode() not in _ALLOWED:
                remove(driver)
