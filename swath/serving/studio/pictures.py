"""Pictures as the page shows them: rendered when the browser asks, under names no one can guess."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from swath.errors import ImageryError
from swath.evaluation.report.gallery import rendered
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.recipe import Rendering

ROUTE, FILES = "/pictures/", "/results/"
LONGEST_PX = 1600
"""Longest side of a picture as it is shown."""

_MOST_NAMES = 20_000


class Pictures:
    """The pictures that the page may show, by their names in its addresses."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._known: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._lock = Lock()

    def row(self, path: str, rendering: Rendering = PLAIN) -> dict[str, Any]:
        """A picture for the canvas: its address, its size in pixels, and what it is called.

        Raises:
            ImageryError: it cannot be opened.
        """
        size_wh = open_scene(path).size_wh
        return {"src": self.address(path, rendering), "size_wh": size_wh, "name": Path(path).name}

    def address(self, path: str, rendering: Rendering = PLAIN) -> str:
        """Where the page finds a picture, which is opened when it is asked for."""
        return ROUTE + self._named(path, rendering.model_dump_json())

    def file_address(self, path: Path) -> str:
        """Where the page finds a file as it is, another one when it has changed."""
        return FILES + self._named(str(path), f"{path.stat().st_mtime_ns}")

    def file(self, name: str) -> Path | None:
        """The file of a name; None where there is none of that name, or it is gone."""
        with self._lock:
            path = Path(self._known.get(name, ("", ""))[0])
        return path if path.is_file() else None

    def _named(self, path: str, style: str) -> str:
        name = hashlib.sha256(self._salt + f"{path}\n{style}".encode()).hexdigest()[:32]
        with self._lock:
            self._known[name] = (path, style)
            if len(self._known) > _MOST_NAMES:
                self._known.popitem(last=False)
        return name

    def jpeg(self, name: str) -> bytes | None:
        """The picture of a name; None where there is none of that name, or it cannot be opened."""
        with self._lock:
            entry = self._known.get(name)
        if entry is None:
            return None
        try:
            return _jpeg(*entry)
        except ImageryError:
            return None


@lru_cache(maxsize=32)
def _jpeg(path: str, style: str) -> bytes:
    stream = io.BytesIO()
    picture = rendered(path, Rendering.model_validate_json(style), LONGEST_PX)
    picture.save(stream, "JPEG", quality=92)
    return stream.getvalue()
