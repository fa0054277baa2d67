"""A picture as others can read it: its bytes, their kind, and a name made of both."""

from __future__ import annotations

import hashlib
import io
import re
from functools import lru_cache
from pathlib import Path

from PIL import Image as Picture

from swath.imagery.opening import open_scene
from swath.imagery.scene import is_frame

_DIGEST = re.compile(r"-[0-9a-f]{8}$")
_AS_IS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


def portable_kind(path: str) -> str:
    """png, jpeg or webp."""
    return "png" if is_frame(path) else _AS_IS.get(Path(path).suffix.lower(), "png")


@lru_cache(maxsize=8)  # rows of a picture stand together
def portable_bytes(path: str) -> bytes:
    """A picture's own bytes; of what others cannot read (a raster, a tile, a frame) a PNG."""
    if not is_frame(path) and Path(path).suffix.lower() in _AS_IS:
        return Path(path).read_bytes()
    stream = io.BytesIO()
    Picture.fromarray(open_scene(path).read_rgb()).save(stream, format="PNG")
    return stream.getvalue()


def portable_name(path: str) -> str:
    """Its own name and a digest of its content, as two folders may hold one name."""
    stem = _DIGEST.sub("", re.sub(r"[^\w.-]+", "_", Path(path).stem))[-60:]
    digest = hashlib.sha256(portable_bytes(path)).hexdigest()[:8]
    return f"{stem}-{digest}.{portable_kind(path)}"
