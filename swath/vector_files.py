"""Files of features, looked at before GDAL opens them: it would ask servers, or never end."""

from __future__ import annotations

import mmap
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import ijson

from swath.errors import AnnotationError

# How a string may begin that makes a CRS an address: "link" or "url", or a letter in other words.
_ADDRESS = re.compile(rb"""["'](?:link|url)|\\u00[4-7]""", re.IGNORECASE)

_COMPUTED = "SELECT count(*) FROM pragma_table_xinfo(?) WHERE hidden IN (2, 3)"


def refuse_harmful(file: Path) -> None:
    """Refuse GeoJSON whose CRS is an address, and a GeoPackage whose layers are computed.

    Raises:
        AnnotationError: it is, or the file is empty or damaged.
    """
    suffix = file.suffix.lower()
    if suffix == ".geojson":
        _refuse_addresses(file)
    elif suffix == ".gpkg":
        _refuse_computed_layers(file)


def _refuse_computed_layers(file: Path) -> None:
    """Refuse layers that a query of the file's own makes: it may go on for ever, or fill memory."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as base:
            base.text_factory = bytes  # names may be in any encoding
            views = _column(base, "SELECT lower(name) FROM sqlite_master WHERE type = 'view'")
            computed = [name for name in views if name.startswith(b"gpkg_")]
            if not computed:
                layers = _column(base, "SELECT lower(table_name) FROM gpkg_contents")
                computed = [name for name in layers if name in views or _is_computed(base, name)]
    except sqlite3.DatabaseError as error:
        raise AnnotationError(
            f"{file}: cannot be read as a GeoPackage ({error}); copy it again."
        ) from None
    if computed:
        name = computed[0].decode("utf-8", "replace")[:60]
        raise AnnotationError(
            f"{file}: its layer '{name}' is computed while it is read, which may never end; write "
            f"it as a layer of its own: ogr2ogr NEW.gpkg {file.name}"
        )


def _is_computed(base: sqlite3.Connection, layer: bytes) -> bool:
    (count,) = base.execute(_COMPUTED, (layer.decode("utf-8", "replace"),)).fetchone()
    return bool(count)


def _column(base: sqlite3.Connection, query: str) -> list[bytes]:
    return [name for (name,) in base.execute(query) if isinstance(name, bytes)]


def _refuse_addresses(file: Path) -> None:
    """Refuse GeoJSON whose CRS is an address, which GDAL would ask."""
    try:
        with (
            file.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            if not _ADDRESS.search(text):
                return
            text.seek(3 if text[:3] == b"\xef\xbb\xbf" else 0)  # UTF-8's mark
            for place, event, value in ijson.parse(text, use_float=True):
                typed = event == "string" and f".{place}".lower().endswith(".crs.type")
                if typed and value.lower().startswith(("link", "url")):
                    raise AnnotationError(
                        f"{file}: its CRS is an address, which is not asked; write it in WGS 84."
                    )
    except (ijson.JSONError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise AnnotationError(f"{file}: cannot be read ({reason}); copy it again.") from None
