"""Files between stages: whole or not there at all, JSON, with a format number."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import socket
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from pydantic import BaseModel, ValidationError

from swath.errors import FormatError, RequestError, UnknownModelError
from swath.sent_folders import disarmed, refuse_link

FORMAT = 1
"""Number every file between stages carries; a file with a larger one is refused."""

FORMATS = {"images": 2}
"""The same of kinds that have changed: 2 keeps what each picture's file held."""

BASE_OF = "base:"  # before a run's folder: what the run was tuned from
RUN_FILE = "run.json"
"""Marks a folder as a run; names the base its adapter stands on."""

LOSSES = "losses.jsonl"
"""In a run's folder: a row a step."""

MANIFEST = "swath.json"
"""In an exported folder: what swath needs beside what `transformers` saves."""

MARK = ".swath"
"""Marks a folder that swath wrote and that holds no manifest of its own."""

Json = dict[str, Any]
"""A JSON object."""

_OURS = re.compile(rb'\s*\{\s*"format":\s*\d')  # how each of our JSON and JSONL files begins
_LONGEST_NAME = 120  # signs; file systems take 255 bytes


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends without an error.

    An interrupt or error leaves `path` as it was and removes the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.touch(exist_ok=False)
    mode = temporary.stat().st_mode  # as the umask says; some libraries write 0600
    try:
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        if error.errno:  # a stream does not say of which file
            error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path | str, manifest: str = MARK) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed onto it when the block ends without an error.

    A folder that stood at `path` is removed only once the new one is complete.

    Args:
        path: of the folder.
        manifest: by which swath knows such a folder; `MARK` is written here, others in the block.

    Raises:
        RequestError: `path` holds something else.
    """
    path = Path(path)
    refuse_foreign(path, manifest)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    file_mode = temporary.stat().st_mode & 0o666
    try:
        yield temporary
        if manifest == MARK:
            write_json(temporary / MARK, {})
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(file_mode)
        if path.exists():
            _swap_folder(temporary, path)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_foreign(path: Path | str, *manifests: str) -> None:
    """Leave alone what swath did not write: the one rule before a folder is filled or replaced.

    Args:
        path: of the folder; one that is absent or empty belongs to nobody.
        manifests: patterns of files within, one of which has to be there and be swath's.

    Raises:
        RequestError: it is a file, or holds something and none of the manifests.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise RequestError(f"{path}: a file is there already; choose a folder that does not exist.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not any(is_ours(file) for pattern in manifests for file in path.glob(pattern)):
        raise RequestError(
            f"{path} exists and was not written by swath for this; nothing in it is touched. "
            f"Choose a folder that does not exist."
        )


def claim(folder: Path | str, *manifests: str) -> None:
    """Mark a folder as swath's before it is filled file by file.

    Args:
        folder: made if it is absent.
        manifests: patterns by which a folder is known that an older swath filled.

    Raises:
        RequestError: it holds something that swath did not write.
    """
    refuse_foreign(folder, MARK, *manifests)
    if not (Path(folder) / MARK).is_file():
        write_json(Path(folder) / MARK, {})


def refuse_foreign_file(path: Path | str, sign: bytes) -> None:
    """Leave alone a file that swath did not write for this.

    Args:
        path: of the file; one that is absent or empty belongs to nobody.
        sign: what such a file of swath's holds within its first 64 kB.

    Raises:
        RequestError: it is there without that sign.
    """
    path = Path(path)
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as stream:
        if sign in stream.read(1 << 16):
            return
    raise RequestError(f"{path} exists and was not written by swath for this; choose another name.")


def is_ours(file: Path) -> bool:
    """Whether a file begins as all JSON and JSONL files of swath do: with its format number."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return bool(_OURS.match(stream.read(64)))


def stamp_of(file: Path | str) -> tuple[int, ...]:
    """Bytes and times of a file, which change whenever it does; empty where there can be none."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256_of(file: Path | str) -> str | None:
    """SHA-256 of a file, read once a process and state of it; None where there is no such file."""
    stamp = stamp_of(file)
    return _sha256(str(file), stamp) if stamp else None


@lru_cache(maxsize=1 << 17)
def _sha256(file: str, stamp: tuple[int, ...]) -> str:
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def lock(file: Path, refusal: str) -> sqlite3.Connection:
    """A lock that the system opens again when its holder ends, however it ends, or closes it.

    Args:
        file: made if it is absent, and left behind.
        refusal: the error where another process holds it.

    Raises:
        RequestError: another process does, or what lies there is no lock.
    """
    connection = None
    try:
        connection = sqlite3.connect(disarmed(file), timeout=0, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise RequestError(refusal) from None
        raise RequestError(
            f"{file}: cannot be locked ({error}); may you write there, and is it a file of "
            f"swath's? Take it away if not."
        ) from None
    return connection


def safe_name(name: str) -> str:
    """A name from outside as that of one file: no folder, no hidden file, no sign of a shell."""
    plain = re.sub(r"[^\w.\-]+", "_", name)[:_LONGEST_NAME]
    return plain.lstrip(".") or "unnamed"


def _beside(path: Path) -> Path:
    """A free temporary path beside another, once what a killed process left there is removed."""
    start = f".{path.name}.{socket.gethostname()}-"
    for old in path.parent.glob(f"{glob.escape(start)}*"):
        process = old.name.removeprefix(start).partition("-")[0]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
    return path.with_name(f"{start}{os.getpid()}-{uuid.uuid4().hex[:8]}")


def target_of(path: str) -> str:
    """The path that a temporary one beside it stands for, any other as it is."""
    host = re.escape(socket.gethostname())
    return re.sub(rf"(^|/)\.([^/]+)\.{host}-\d+-[0-9a-f]{{8}}(?=/|$)", r"\1\2", path)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:  # the latter: no number of a process at all
        return isinstance(error, PermissionError)  # someone else's
    return True


def _swap_folder(new: Path, path: Path) -> None:
    """Put `new` where `path` is; an interrupt between the two renames puts the old one back."""
    aside = _beside(path.with_name(f"{path.name}.old"))
    aside.mkdir()
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


def write_json(path: Path | str, value: Json) -> None:
    """Write one JSON object, indented, with its format number first."""
    text = orjson.dumps(
        {"format": FORMAT, **value}, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    )
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")


def read_json(path: Path | str) -> Json:
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


class _Stage(BaseModel, strict=True, extra="allow"):
    name: str
    steps: int
    seconds: float


class _Run(BaseModel, strict=True):
    base: str = ""
    fingerprint: str = ""
    finished: bool = False
    stages: list[_Stage] = []
    versions: dict[str, str] = {}
    weights: dict[str, str] = {}


def refuse_no_run(folder: Path) -> None:
    """Nothing, where `tune` has filled a folder.

    Raises:
        RequestError: there is no run in it.
    """
    if not (folder / RUN_FILE).is_file():
        raise RequestError(f"{folder}: no run here; `swath tune RECIPE` makes one.")


def refuse_no_model(name: Path | str) -> None:
    """Nothing, where a name is that of a folder, of a run's base or of the embedded model.

    Raises:
        UnknownModelError: it is not; the Hub is not asked.
    """
    folder = Path(str(name).removeprefix(BASE_OF))
    if str(name) != "swath-nano" and not folder.is_dir():
        raise UnknownModelError(
            f"'{folder}': there is no such run or folder; `swath tune` makes a run."
        )


def read_losses(folder: Path | str) -> list[Json]:
    """Losses of a run's steps so far: stage, step, steps, text, image, tokens, seconds."""
    return list(read_jsonl(Path(folder) / LOSSES, "losses", whole=True))


def read_record(folder: Path) -> Json:
    """What `run.json` says of a run; empty where an older swath kept nothing.

    Raises:
        FormatError: it is absent or damaged, or a field is of another type.
    """
    file = folder / RUN_FILE
    run = read_json(file)
    try:
        typed = _Run.model_validate(run)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise FormatError(f"{file}: {place}: {first['msg']}; was it changed by hand?") from None
    return run | typed.model_dump()


def write_jsonl(path: Path | str, kind: str, rows: Iterable[Json]) -> int:
    """Write a header line and one row a line; return the number of rows."""
    count = 0
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(orjson.dumps({"format": FORMATS.get(kind, FORMAT), "kind": kind}) + b"\n")
        for row in rows:
            stream.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            count += 1
    return count


def read_jsonl(path: Path | str, kind: str, whole: bool = False) -> Iterator[Json]:
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


def read_lines(stream: BinaryIO, path: Path, kind: str, whole: bool = False) -> Iterator[Json]:
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
        _refuse_newer(row, f"{path}:1", FORMATS.get(kind, FORMAT))
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
        self._rows: dict[str, Json] = {}
        self._stream = None
        self._lock = threading.Lock()
        if path is None:
            return
        refuse_link(path, folders=1)
        whole = path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0
        if not whole:
            write_jsonl(path, kind, [])
        for file in (*others, path):
            self._rows |= {row["key"]: row for row in read_jsonl(file, kind, whole=True)}
        os.truncate(path, whole or path.stat().st_size)  # it is of this kind, so it may be cut
        self._stream = path.open("ab", buffering=0)

    def get(self, key: str) -> Json | None:
        """The row of a key, or None."""
        return self._rows.get(key)

    def put(self, key: str, row: Json) -> None:
        """Keep a row; from several threads at once, if need be."""
        line = orjson.dumps({"key": key, **row}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        with self._lock:
            self._rows[key] = orjson.loads(line)
            if self._stream:
                self._stream.write(line)  # one write of a whole line

    def rows(self) -> list[Json]:
        """All rows, oldest first."""
        return list(self._rows.values())

    def close(self) -> None:
        """Close the file."""
        if self._stream:
            self._stream.close()


def _refuse_newer(value: Json, where: str, newest: int = FORMAT) -> None:
    number = value.get("format")
    if not isinstance(number, int):
        raise FormatError(f"{where}: no format number; this is not a file swath wrote.")
    if number > newest:
        raise FormatError(
            f"{where}: format {number}, and this swath reads up to {newest}; update swath."
        )
