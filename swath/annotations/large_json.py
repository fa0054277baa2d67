"""Large JSON files row by row: the arrays at their top stay on the disk."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from swath.errors import AnnotationError

STREAMED = 64 * 1024**2
"""Bytes from which on a JSON file is streamed."""

LARGEST_PIECE = 16 * 1024**2
"""Bytes of one row, and of all that stands beside the arrays of a file together."""

_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
_scan = json.JSONDecoder().raw_decode


def load_large(path: Path) -> Any:
    """What a JSON file holds, with `Rows` for a list that it is, or that a key of it names.

    Raises:
        AnnotationError: it is not JSON, or cannot be taken apart into rows.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        cursor = _Cursor(stream, path, 3 if stream.read(3) == b"\xef\xbb\xbf" else 0)
        if cursor.peek() == "[":
            content: Any = cursor.rows()
        elif cursor.peek() == "{":
            content, held = {}, 0
            for key in cursor.names():
                start = cursor.place
                content[key] = cursor.rows() if cursor.peek() == "[" else cursor.value()
                if not isinstance(content[key], Rows):
                    held += cursor.place - start
                if held > LARGEST_PIECE:
                    raise cursor.too_large()
        else:
            content = cursor.value()
        if cursor.peek():
            raise cursor.damaged("more follows after its end")
    return content


class Rows(list[Any]):
    """A list in a JSON file, read anew, row by row, each time that it is gone through.

    Args:
        path: of the file.
        start: byte at which the list begins.
        count: of its rows.
        state: size and time of the file when they were counted.
    """

    def __init__(self, path: Path, start: int, count: int, state: tuple[int, int]) -> None:
        super().__init__()
        self._file, self._count, self._state = (path, start), count, state

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        path, start = self._file
        with path.open("rb") as stream:
            if _state(stream) != self._state:
                raise AnnotationError(
                    f"{path}: changed while it was read; begin again once it is written."
                )
            cursor = _Cursor(stream, path, start)
            yield from (cursor.value() for _ in cursor.items())

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return list(islice(self, *place.indices(self._count)))
        for row in islice(self, place % max(1, self._count), None):
            return row
        raise IndexError(place)


class _Cursor:
    """A place in a JSON file and the text that follows it.

    Bytes stand as Latin-1 until a value is whole, so that places in the text are places in the
    file; orjson reads them as the UTF-8 that they are.
    """

    def __init__(self, stream: BinaryIO, path: Path, start: int) -> None:
        self.stream, self.path = stream, path
        self.text, self.at, self.before = "", 0, start
        stream.seek(start)

    @property
    def place(self) -> int:
        """Byte of the file."""
        return self.before + self.at

    def peek(self) -> str:
        """The next character that is not white; "" at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or not self._more(_CHUNK):
                return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> str:
        """The next character, which must be one of these."""
        found = self.peek()
        if not found or found not in wanted:
            raise self.damaged(f"expected {' or '.join(wanted)}" if found else "it ends too early")
        self.at += 1
        return found

    def value(self) -> Any:
        """The next value, whole."""
        start = self._end()
        return self._parsed(self.text[start : self.at])

    def names(self) -> Iterator[str]:
        """The keys of the object that follows; each value has to be taken in between."""
        self.take("{")
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            key = self.value()
            self.take(":")
            self.peek()
            yield str(key)
            if self.take(",}") == "}":
                return
            self.peek()

    def items(self) -> Iterator[None]:
        """Once for each row of the list that follows; each has to be taken in between."""
        self.take("[")
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            self.peek()
            yield
            if self.take(",]") == "]":
                return

    def rows(self) -> Rows:
        """The list that follows, its rows counted."""
        start, count = self.place, 0
        for _ in self.items():
            self._end()
            count += 1
        return Rows(self.path, start, count, _state(self.stream))

    def damaged(self, why: str) -> AnnotationError:
        """What to say of a file that is no JSON."""
        return AnnotationError(
            f"{self.path}: not valid JSON at byte {self.place} ({why}); was it cut short? Copy it "
            f"again, or move it away if it has nothing to do with the pictures."
        )

    def too_large(self) -> AnnotationError:
        """What to say of a file that is no list of rows."""
        return AnnotationError(
            f"{self.path}: holds more than {LARGEST_PIECE >> 20} MB in one piece before byte "
            f"{self.place}, or is damaged there; write it as JSON Lines, an object a line."
        )

    def _end(self) -> int:
        """Pass over the next value; where it begins in the text."""
        start, size = self.at, _CHUNK
        while True:
            try:
                _, end = _scan(self.text, start)
            except RecursionError:
                raise self.damaged("lists within lists without end") from None
            except ValueError as error:
                why, end = str(error).partition(":")[0], len(self.text)
            else:
                why = ""
                if end < len(self.text):  # a number could go on
                    break
            if len(self.text) - start > LARGEST_PIECE:
                raise self.too_large()
            if not self._more(size):
                if why:
                    raise self.damaged(why)
                break
            start, size = self.at, 2 * size
        if end - start > LARGEST_PIECE:
            raise self.too_large()
        self.at = end
        return start

    def _more(self, size: int) -> bool:
        """Read on, letting go of what lies behind; False at the file's end."""
        data = self.stream.read(size)
        if data:
            self.text = self.text[self.at :] + data.decode("latin-1")
            self.before, self.at = self.before + self.at, 0
        return bool(data)

    def _parsed(self, text: str) -> Any:
        try:
            return orjson.loads(text.encode("latin-1"))
        except orjson.JSONDecodeError as error:
            raise self.damaged(str(error)) from None


def _state(stream: BinaryIO) -> tuple[int, int]:
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns
