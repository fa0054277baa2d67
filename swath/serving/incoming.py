"""Pictures of a request: as files for as long as they are read, named by their content.

The same picture has the same name whoever sends it, so what was made of it can be used again.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene
from swath.serving.protocol import ServeError

_DATA = re.compile(r"data:(?P<kind>[\w.+/-]*)(?P<options>(?:;[\w.=+-]*)*),", re.ASCII)
_WHERE = "messages"

Fetch = Callable[[str], bytes]


class Incoming:
    """A folder of pictures that are being read.

    Args:
        folder: emptied of what an earlier server left there.
        image_px: pixels of a picture at most.
        fetch: reads an address; None refuses addresses.
    """

    def __init__(self, folder: Path, image_px: int, fetch: Fetch | None = None) -> None:
        self._folder, self._image_px, self._fetch = folder, image_px, fetch
        self._readers: Counter[str] = Counter()
        self._lock = Lock()
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            if re.fullmatch(r"[0-9a-f]{64}", file.name):
                file.unlink()

    def content(self, url: str, number: int) -> bytes:
        """The bytes of a picture.

        Args:
            url: as in `data:image/png;base64,...`.
            number: of the picture in its request, from 1, for errors.

        Raises:
            ServeError: it is no picture's data, or an address that is not read.
        """
        match = _DATA.match(url)
        if match is None:
            if self._fetch is not None and url.startswith(("http://", "https://")):
                return self._fetch(url)
            raise _refused(
                number,
                "is no data URI; send data:image/png;base64,... (addresses are read only by a "
                "server that was started with --allow-urls)",
            )
        if ";base64" not in match["options"]:
            raise _refused(number, "is not in base64; send data:image/png;base64,...")
        try:
            signs = "".join(url[match.end() :].split()).encode("ascii")
            return binascii.a2b_base64(signs, strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _refused(number, "is no valid base64; was it cut?") from None

    @contextmanager
    def opened(self, content: bytes, number: int = 1) -> Iterator[Scene]:
        """A picture as a scene, whose file is there for as long as the block runs.

        Raises:
            ServeError: it is no picture, damaged or too large.
        """
        name = hashlib.sha256(content).hexdigest()
        file = self._kept(name, lambda path: path.write_bytes(content))
        with file as path, _explained(path, number):
            yield _checked(path, number, self._image_px)

    @contextmanager
    def received(self, stream: BinaryIO, scene_px: int) -> Iterator[Scene]:
        """An uploaded scene, whose file is there for as long as the block runs.

        Raises:
            ServeError: it is no picture, damaged or too large.
        """
        digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
        stream.seek(0)

        def copy(path: Path) -> None:
            with path.open("wb") as target:
                shutil.copyfileobj(stream, target)

        with self._kept(digest.hexdigest(), copy) as path, _explained(path, 1):
            yield _checked(path, 1, scene_px)

    @contextmanager
    def _kept(self, name: str, write: Callable[[Path], object]) -> Iterator[Path]:
        """A file that is written by the first who reads it and removed by the last."""
        path = self._folder / name
        with self._lock:
            self._readers[name] += 1
        try:
            with self._lock:
                if not path.exists():
                    write(path)
            yield path
        finally:
            with self._lock:
                self._readers[name] -= 1
                if not self._readers[name]:
                    del self._readers[name]
                    path.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path, number: int) -> Iterator[None]:
    """What a decoder says of a picture's file is said of the picture."""
    try:
        yield
    except ImageryError as error:
        if path.name not in str(error):  # of another picture
            raise
        words = f"cannot be used: {_after_name(str(error), path)}"
        raise _refused(number, words) from None


def _checked(path: Path, number: int, most_px: int) -> Scene:
    """A picture whose header can be read and which is not too large."""
    scene = open_scene(path)
    width, height = scene.size_wh
    if width * height > most_px:
        words = f"has {width} x {height} pixels, and one may have {most_px}; send a part"
        raise _refused(number, words)
    return scene


def _refused(number: int, words: str) -> ServeError:
    return ServeError(400, f"Picture {number} {words}.", _WHERE, "invalid_image")


def _after_name(words: str, path: Path) -> str:
    """What an error says of a file, without the file's name."""
    plain = words.replace(f"{path}: ", "").replace(str(path), "it")
    return re.sub(r"[.\s]+$", "", plain)
