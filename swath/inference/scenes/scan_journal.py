"""The journal of a scan: what each finished group of tiles answered, so that work can go on.

A killed scan leaves at most its last line short, which the next one cuts off. Answers stay on disk
and are read when results are made, so that a scan of any size takes the same memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from swath.errors import FormatError, RequestError
from swath.files import read_lines, write_jsonl
from swath.sent_folders import refuse_link

KIND = "scan tiles"
PLANNED = "planned"
"""Key of the row that says how many tiles there are in all."""

_NAME = "tiles"
JOURNALS = f"{_NAME}*.jsonl"
"""The journals of a scan, one a shard."""

_SHARD = re.compile(r"(\d+)/(\d+)")


class ScanJournal:
    """Rows by key, on disk or, without a folder, in memory.

    Args:
        folder: of the scan; the journals of its other shards lie there as well.
        fingerprint: of what is asked, of which model, about what.
        shard: "2/8" writes a file of its own.

    Raises:
        RequestError: the folder holds a scan with another fingerprint.
        FormatError: a journal is damaged.
    """

    def __init__(self, folder: Path | None, fingerprint: str, shard: str | None = None) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        self._unfinished: set[str] = set()
        self._folder, self._fingerprint = folder, fingerprint
        if folder is None:
            return
        path = folder / _file_name(shard)
        refuse_link(path)
        if path.is_file():
            whole = path.read_bytes().rfind(b"\n") + 1
            os.truncate(path, whole)
        if not path.is_file() or not path.stat().st_size:
            write_jsonl(path, KIND, [{"key": "plan", "fingerprint": fingerprint}])
        for file in sorted(folder.glob(JOURNALS)):
            self._look_through(file)
        self._stream = path.open("ab", buffering=0)
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self._rows or key in self._places

    def finished(self, key: str) -> bool:
        """Whether a row is there, and nothing in it failed."""
        return key in self and key not in self._unfinished

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row; a later one of the same key takes its place."""
        self._note(key, row)
        line = orjson.dumps({"key": key, **row}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        if self._folder is None:
            self._rows[key] = orjson.loads(line)
            return
        start = self._stream.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:  # a disk that is nearly full takes a part of it and says nothing
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._places[key] = (self._path, start)

    def get(self, key: str) -> dict[str, Any]:
        """The row of a key that is there."""
        if key in self._rows:
            return self._rows[key]
        path, offset = self._places[key]
        with path.open("rb") as stream:
            stream.seek(offset)
            row: dict[str, Any] = orjson.loads(stream.readline())
        return row

    def close(self) -> None:
        """Close the file."""
        if self._folder is not None:
            self._stream.close()

    def _look_through(self, path: Path) -> None:
        """Note where each row of a file begins."""
        with path.open("rb") as stream:
            offset = len(stream.readline())
            for row in _rows(path):
                if row["key"] not in self or row["key"] in self._unfinished:
                    self._places[row["key"]] = (path, offset)
                    self._note(row["key"], row)
                offset += len(stream.readline())
        if "plan" not in self._places:
            raise FormatError(f"{path}: does not say what was scanned; was it cut short?")
        fingerprint = self.get("plan")["fingerprint"]
        if fingerprint != self._fingerprint:
            raise RequestError(
                f"{path.parent} holds another scan: of another model, other questions, scenes or "
                f"settings. Choose another --to, or forget it with --fresh."
            )

    def _note(self, key: str, row: dict[str, Any]) -> None:
        if row.get("failed"):
            self._unfinished.add(key)
        else:
            self._unfinished.discard(key)


def forget(folder: Path) -> None:
    """Remove the journals of a scan."""
    for file in folder.glob(JOURNALS):
        file.unlink()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        yield from read_lines(stream, path, KIND, whole=True)


def shard_bounds(shard: str | None, count: int) -> tuple[int, int]:
    """First and last (not included) of the jobs of a shard, "2/8" being the second eighth.

    Raises:
        RequestError: there is no such shard.
    """
    if shard is None:
        return 0, count
    number, shards = _shard(shard)
    return count * (number - 1) // shards, count * number // shards


def _file_name(shard: str | None) -> str:
    if shard is None:
        return f"{_NAME}.jsonl"
    number, shards = _shard(shard)
    return f"{_NAME}-{number}-of-{shards}.jsonl"


def _shard(shard: str) -> tuple[int, int]:
    found = _SHARD.fullmatch(shard)
    number, shards = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= shards:
        raise RequestError(f"--shard {shard}: write it as 1/3, 2/3 or 3/3.")
    return number, shards
