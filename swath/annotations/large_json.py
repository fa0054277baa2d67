"""Large JSON files row by row: the lists at their top stay on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from swath.errors import AnnotationError
from swath.files import stamp_of

STREAMED = 64 * 1024**2
"""Bytes from which on a JSON file is streamed."""

LARGEST_PIECE = 16 * 1024**2
"""Bytes of one row, and of all that stands beside the lists of a file together."""

DEEPEST = 500
"""Lists and objects within one another at most."""

_CHUNK = 1 << 16
_OPENING, _CLOSING = {"start_map", "start_array"}, {"end_map", "end_array"}


class Rows(list[Any]):
    """A list in a JSON file, read anew, row by row, each time that it is gone through.

    Args:
        place: of the rows in it, in ijson's words.
        count: of the rows.
    """

    def __init__(self, path: Path, place: str, count: int) -> None:
        super().__init__()
        self._path, self._place, self._count = path, place, count
        self._state = stamp_of(path)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        if stamp_of(self._path) != self._state:
            raise AnnotationError(
                f"{self._path}: changed while it was read; begin again once it is written."
            )
        with _pieces(self._path) as pieces:
            for row in ijson.items(pieces, self._place, buf_size=_CHUNK, use_float=True):
                pieces.size = 0
                yield row

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return list(islice(self, *place.indices(self._count)))
        for row in islice(self, place % max(1, self._count), None):
            return row
        raise IndexError(place)


def load_large(path: Path) -> Any:
    """What a JSON file holds, with `Rows` for a list that it is, or that a key of it names.

    Raises:
        AnnotationError: it is not JSON, or cannot be taken apart into rows.
        OSError: it cannot be read.
    """
    builder = ijson.ObjectBuilder()
    counts: dict[str, int] = {}
    key, depth, beside = "", 0, 0
    rows_depth = 0  # of the rows of the list that is gone through
    with _pieces(path) as pieces:
        for event, value in ijson.basic_parse(pieces, buf_size=_CHUNK, use_float=True):
            if event in _CLOSING:
                depth -= 1
            elif event in _OPENING and depth == DEEPEST:
                raise AnnotationError(f"{path}: holds lists within lists without end.")
            if depth > rows_depth > 0:  # within a row
                depth += event in _OPENING
                continue
            if event == "map_key" and depth == 1:
                key = value
            if rows_depth == 0 and event == "start_array" and _can_stay(depth, key):
                rows_depth = depth + 1
                counts.setdefault(key, 0)
                builder.event("null", None)
            elif rows_depth == 0:
                builder.event(event, value)
                beside += len(value) if isinstance(value, str) else 1
                if beside > LARGEST_PIECE:
                    raise pieces.too_large()
            elif depth < rows_depth:
                rows_depth = 0
            elif depth == rows_depth and event not in _OPENING:
                counts[key] += 1
            if depth <= max(rows_depth, 1):
                pieces.size = 0
            depth += event in _OPENING
    if not isinstance(builder.value, dict):
        return Rows(path, "item", counts[""]) if counts else builder.value
    lists = {key: Rows(path, f"{key}.item", count) for key, count in counts.items()}
    return builder.value | lists


def _can_stay(depth: int, key: str) -> bool:
    """Whether a list can be found in the file again: at the top, or under a key without dots."""
    return depth == 0 or (depth == 1 and key != "" and "." not in key)


class _Pieces:
    """A file that gives no more than `LARGEST_PIECE` bytes until `size` is set back."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path
        self.size = 0

    def read(self, count: int) -> bytes:
        """The next bytes."""
        self.size += count
        if self.size > LARGEST_PIECE + _CHUNK:
            raise self.too_large()
        return self._stream.read(count)

    def too_large(self) -> AnnotationError:
        """What to say of a file that is no list of rows."""
        return AnnotationError(
            f"{self._path}: holds more than {LARGEST_PIECE >> 20} MB in one piece before byte "
            f"{self._stream.tell()}, or is damaged there; write it as JSON Lines, an object a line."
        )


@contextmanager
def _pieces(path: Path) -> Iterator[_Pieces]:
    """The file from behind its byte-order mark on.

    Raises:
        AnnotationError: it is found to be no JSON.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(3) != b"\xef\xbb\xbf":
                stream.seek(0)
            yield _Pieces(stream, path)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise AnnotationError(
            f"{path}: not valid JSON ({reason}); was it cut short? Copy it again, or move it away "
            f"if it has nothing to do with the pictures."
        ) from None
