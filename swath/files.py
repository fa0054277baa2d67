"""Files between stages: whole or not there at all, JSON, with a format number."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from swath.errors import FormatError

FORMAT = 1
"""Number every file between stages carries; a file with a larger one is refused."""

RUN_FILE = "run.json"
"""Marks a folder as a run; names the base its adapter stands on."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends without an error.

    An interrupt or error leaves `path` as it was and removes the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed onto it when the block ends without an error.

    A folder that stood at `path` is removed only once the new one is complete.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            _swap_folder(temporary, path)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap_folder(new: Path, path: Path) -> None:
    """Put `new` where `path` is; an interrupt between the two renames puts the old one back."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    old = aside / "was"
    try:
        path.replace(old)
        new.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write one JSON object, indented, with its format number first."""
    text = orjson.dumps(
        {"format": FORMAT, **value}, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    )
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read an object that `write_json` wrote.

    Raises:
        FormatError: it is absent, not JSON, not an object, or of a newer format.
    """
    path = Path(path)
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file.") from None
    except orjson.JSONDecodeError as error:
        raise FormatError(f"{path}: not valid JSON ({error}); was it cut short?") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}.") from None
    if not isinstance(value, dict):
        raise FormatError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    _refuse_newer(value, str(path))
    return value


def write_jsonl(path: Path | str, kind: str, rows: Iterable[dict[str, Any]]) -> int:
    """Write a header line and one row a line; return the number of rows."""
    count = 0
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(orjson.dumps({"format": FORMAT, "kind": kind}) + b"\n")
        for row in rows:
            stream.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            count += 1
    return count


def read_jsonl(path: Path | str, kind: str, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that `write_jsonl` wrote, in order, one at a time.

    Args:
        whole: only whole lines; one that is still being written is left out.

    Raises:
        FormatError: the file is absent, of another kind, of a newer format, or a row is damaged.
    """
    path = Path(path)
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file; has the stage before been run?") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}.") from None
    with stream:
        yield from read_lines(stream, path, kind, whole)


def read_lines(
    stream: BinaryIO, path: Path, kind: str, whole: bool = False
) -> Iterator[dict[str, Any]]:
    """The rows that `read_jsonl` yields, of a file that is open."""
    number = 0
    for number, line in enumerate(stream, start=1):
        if whole and not line.endswith(b"\n"):
            return
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise FormatError(
                f"{path}:{number}: not valid JSON ({error}); was the file cut short?"
            ) from None
        if not isinstance(row, dict):
            raise FormatError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}.")
        if number > 1:
            yield row
            continue
        if row.get("kind") != kind:
            raise FormatError(f"{path}:1: expected a header of kind '{kind}'.")
        _refuse_newer(row, f"{path}:1")
    if number == 0:
        raise FormatError(f"{path}: empty; expected a header of kind '{kind}'.")


class Journal:
    """A JSONL file of rows by key that grows while work goes on, so that it can be continued.

    What is killed leaves at most its last row short, which the next reader cuts off.

    Args:
        path: of the file, begun if it is not there; None keeps rows in memory alone.
        kind: of the file's rows.
        others: journals of the same kind whose rows are known as well, and left as they are.

    Raises:
        FormatError: a file is of another kind, of a newer format, or damaged.
    """

    def __init__(self, path: Path | None, kind: str, others: Iterable[Path] = ()) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        self._stream = None
        self._lock = threading.Lock()
        if path is None:
            return
        whole = path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0
        if whole:
            os.truncate(path, whole)
        else:
            write_jsonl(path, kind, [])
        for file in (*others, path):
            self._rows |= {row["key"]: row for row in read_jsonl(file, kind, whole=True)}
        self._stream = path.open("ab", buffering=0)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of a key, or None."""
        return self._rows.get(key)

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row; from several threads at once, if need be."""
        line = orjson.dumps({"key": key, **row}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        with self._lock:
            self._rows[key] = orjson.loads(line)
            if self._stream:
                self._stream.write(line)  # one write of a whole line

    def rows(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        return list(self._rows.values())

    def close(self) -> None:
        """Close the file."""
        if self._stream:
            self._stream.close()


def _refuse_newer(value: dict[str, Any], where: str) -> None:
    number = value.get("format")
    if not isinstance(number, int):
        raise FormatError(f"{where}: no format number; this is not a file swath wrote.")
    if number > FORMAT:
        raise FormatError(
            f"{where}: format {number}, and this swath reads up to {FORMAT}; update swath."
        )
