"""STAC catalogues: which scenes there are of a place, and their assets as scenes."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import shapely

from swath.errors import ImageryError, RequestError
from swath.files import Json
from swath.imagery.opening import open_scene
from swath.imagery.raster import Raster, allow
from swath.imagery.scene import Scene, is_address

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T[\d:.]+Z?)?)?)?")
_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")


@dataclass(frozen=True)
class Found:
    """One scene of a catalogue.

    Args:
        id: as the catalogue calls it.
        taken: when, as ISO 8601; "" where the catalogue does not say.
        clouds: per cent of cloud cover, None where it does not say.
        footprint: the ground shown, a shapely shape of longitude and latitude.
        assets: addresses or paths of its rasters, by name.
    """

    id: str
    taken: str
    clouds: float | None
    footprint: Any
    assets: dict[str, str]

    @property
    def folder(self) -> str:
        """The id as the name of a folder, which it may not have been made for."""
        return re.sub(r"[^\w.-]|^\.+", "_", self.id)

    def to_row(self) -> Json:
        """The scene as a JSON object, its footprint as GeoJSON."""
        row = {"id": self.id, "taken": self.taken, "clouds": self.clouds, "assets": self.assets}
        return row | {"footprint": json.loads(shapely.to_geojson(self.footprint))}

    def scene(self, asset: str) -> Scene:
        """An asset as a scene; what stands in a catalogue that was named may be read.

        Raises:
            ImageryError: it cannot be opened.
        """
        href = self.assets[asset]
        return open_scene(allow(href) if is_address(href) else href)


def search(
    catalogue: str,
    aoi: Any = None,
    dates: str | None = None,
    clouds: float | None = None,
    assets: Sequence[str] = (),
    collections: Sequence[str] = (),
    limit: int = 20,
) -> list[Found]:
    """The scenes of a STAC API, or of a static catalogue, that show a place at a time.

    Args:
        catalogue: address of either, or path of a `catalog.json`.
        aoi: shapely shape of longitude and latitude that scenes touch; None: anywhere.
        dates: "2024-05-01/2024-05-31", a single day, month or year; either end may be "..".
        clouds: at most so many per cent; scenes that do not say are left out.
        assets: names of those wanted; scenes lacking one are left out. Nothing: all rasters.

    Raises:
        RequestError: pystac-client is not installed, the dates are none, or scenes are there but
            none has the assets.
        ImageryError: the catalogue cannot be read.
    """
    try:
        import pystac
        from pystac_client import Client
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError
        from pystac_client.warnings import PystacClientWarning
        from requests.exceptions import RequestException
    except ImportError:
        raise RequestError(
            "catalogues are read by pystac-client, which is not installed; pip install "
            "'swath[stac]'."
        ) from None
    span = _span(dates)
    away = is_address(catalogue)

    def fits(found: Found) -> bool:
        clear = clouds is None or (found.clouds is not None and found.clouds <= clouds)
        there = aoi is None or found.footprint.intersects(aoi)
        return clear and there and (dates is None or _within(found.taken, span))

    lacking: set[str] = set()  # names of assets where those wanted are not

    def wanted(items: Iterable[Any]) -> Iterator[Found]:
        for item in items:
            if collections and item.collection_id not in collections:
                continue
            scene = _found(item, away, assets)
            if not fits(scene):
                continue
            if scene.assets and set(assets) <= set(scene.assets):
                yield scene
            else:
                lacking.update(item.assets)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)  # of walking a static one
            root = Client.open(catalogue)
            if away and root.conforms_to("ITEM_SEARCH"):
                shape = None if aoi is None else json.loads(shapely.to_geojson(aoi))
                items = root.search(
                    intersects=shape, datetime=dates, collections=list(collections) or None
                ).items()
            else:
                items = root.get_items(recursive=True)
            scenes = list(islice(wanted(items), limit))  # none beyond is fetched
    except (
        APIError, ClientTypeError, RequestException, pystac.STACError, shapely.GEOSException,
        OSError, ValueError, TypeError, LookupError, OverflowError,
    ) as error:  # fmt: skip
        raise ImageryError(
            f"{catalogue}: cannot be read ({_reason(error)}); is it a STAC API or catalog.json?"
        ) from error
    if not scenes and assets and lacking:
        raise RequestError(
            f"{catalogue}: no scene there has the assets {', '.join(assets)}; "
            f"some have {', '.join(sorted(lacking)[:20])}."
        )
    return scenes


def place_of(aoi: str) -> Any:
    """The shape of "west,south,east,north" in degrees, or of a GeoJSON file.

    A west beyond east reaches across the date line.

    Raises:
        RequestError: it is neither.
    """
    try:
        if Path(aoi).is_file():
            shapes = shapely.get_parts(shapely.from_geojson(Path(aoi).read_text("utf-8")))
            shape = shapely.union_all(shapes)
            if not shape.is_empty and shapely.box(-180, -90, 180, 90).covers(shape):
                return shape
        west, south, east, north = map(float, aoi.split(","))
    except (ValueError, OSError, shapely.GEOSException):
        west, south, east, north = 0.0, 1.0, 0.0, 0.0
    if not (max(abs(west), abs(east)) <= 180 and west != east and -90 <= south < north <= 90):
        raise RequestError(
            f"AOI '{aoi[:200]}': expected a GeoJSON file or west,south,east,north in degrees."
        )
    if west > east:  # across the date line, as GeoJSON has it
        halves = shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)
        return shapely.union_all([half for half in halves if half.area > 0])
    return shapely.box(west, south, east, north)


def clip(scene: Scene, aoi: Any, to: Path) -> Path:
    """Write the part of a raster that shows a place, with its bands, values and georeference.

    Raises:
        ImageryError: the raster lies elsewhere, has no transform, or the part is too large.
    """
    import numpy as np

    if not isinstance(scene, Raster) or scene.transform is None or scene.georeference is None:
        raise ImageryError(f"{scene.path}: has no transform, so no place in it can be cut out.")
    shape = scene.footprint.intersection(aoi)
    corners = shapely.get_coordinates(shapely.segmentize(shape, 0.01))
    points = scene.georeference.from_lonlat(corners) if len(corners) else np.zeros((0, 2))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ImageryError(f"{scene.path}: shows other ground than the AOI.")
    low = np.clip(np.floor(points.min(axis=0)), 0, np.array(scene.size_wh) - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), low + 1, scene.size_wh).astype(int)
    scene.save_window((*low.tolist(), *(high - low).tolist()), to)
    return to


def _found(item: Any, away: bool, wanted: Sequence[str]) -> Found:
    places = {}
    for name, asset in item.assets.items():
        href = asset.get_absolute_href() or asset.href
        kind = (asset.media_type or "").split(";")[0]
        if name not in wanted and (wanted or kind not in _RASTERS):
            continue
        if is_address(href):
            places[name] = href
        elif not away:  # a catalogue elsewhere does not name files here
            places[name] = unquote(urlsplit(href).path) if href.startswith("file:") else href
    shape = shapely.from_geojson(json.dumps(item.geometry)) if item.geometry else shapely.Polygon()
    taken = item.datetime or item.common_metadata.start_datetime
    cover = item.properties.get("eo:cloud_cover")
    return Found(
        id=item.id,
        taken=taken.isoformat() if taken else "",
        clouds=float(cover) if isinstance(cover, int | float) else None,
        footprint=shape,
        assets=places,
    )


def _reason(error: BaseException) -> str:
    """Why a catalogue cannot be read, in a few words where the HTTP library has many."""
    from requests import exceptions as http

    reasons: tuple[tuple[type[Exception], str], ...] = (
        (http.SSLError, "its certificate is not accepted"),
        (http.Timeout, "no answer in time"),
        (http.ConnectionError, "nothing answers there"),
        (json.JSONDecodeError, "no JSON"),
    )
    cause: BaseException | None = error
    while cause is not None:
        for kind, words in reasons:
            if isinstance(cause, kind):
                return words
        cause = cause.__cause__ or cause.__context__
    if status := getattr(error, "status_code", None):
        return f"it answers {status}"
    return " ".join(str(error).split())[:120] or type(error).__name__


def _span(dates: str | None) -> tuple[str, str]:
    """First and last moment as text that sorts as they do: "2024" ends behind 2024-12-31."""
    first, between, last = (dates or "..").partition("/")
    ends = [first, last if between else first]
    if not all(end in ("", "..") or _DATE.fullmatch(end) for end in ends):
        raise RequestError(
            f"dates '{dates}': expected a day, month or year, or two as in 2024-05-01/2024-05-31."
        )
    low, high = ("" if end == ".." else end.removesuffix("Z") for end in ends)
    return low, f"{high}~"  # which sorts behind digits, "-" and "T"


def _within(taken: str, span: tuple[str, str]) -> bool:
    if not taken:
        return False
    moment = datetime.fromisoformat(taken)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return span[0] <= moment.isoformat() <= span[1]
