"""Files of annotations in a data folder: which there are, and what is in them."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as Xml
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import defusedxml
import defusedxml.ElementTree
import orjson

from swath.annotations import large_json as streaming
from swath.annotations.finding_pictures import absolute, shown, subfolders
from swath.errors import AnnotationError
from swath.files import Json

LARGEST_XML = 64 * 1024**2
"""Bytes of an XML file of one picture's annotations."""

TABLES = (".json", ".jsonl", ".csv", ".tsv")
"""Name endings of files that hold rows about many pictures."""

_PLACES = {"annotations", "captions", "questions"}  # FloodNet's are in Questions/
_ENCODINGS = {
    "Big5": "cp950",
    "GBK": "gbk",
    "Shift JIS": "cp932",
    "EUC-KR": "cp949",
    "Windows-1252": "cp1252",
}
"""Encodings of class names in the wild, and what Python calls them."""
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # how text in UTF-16 begins
_XML_ENCODING = re.compile(
    rb"""<\?xml[^>]*\bencoding=["'](gb\w+|big5[\w-]*|shift_jis|euc-\w+|cp9\d\d)["']""",
    re.IGNORECASE,
)


Refuse = Callable[[AnnotationError], None]
"""Told of a row that is left out."""


def table_files(path: Path, endings: Iterable[str] = TABLES) -> list[Path]:
    """The file `path`, or those in a folder and in `annotations`, `captions` or `questions` there.

    Roboflow's `<split>/_annotations.coco.json` and the Hub's `<split>/metadata.jsonl` are among
    them.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in endings else []
    folders = [path, *(folder for folder in subfolders(path) if folder.name.lower() in _PLACES)]
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    for name in ("_annotations.coco.json", "metadata.jsonl", "metadata.csv"):
        files += sorted(path.glob(f"*/{name}"))
    return [
        file
        for file in files
        if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
    ]


def matching_files(path: Path, fits: Callable[[Any], bool]) -> list[tuple[Path, Any]]:
    """The JSON files at `path` whose content fits, with that content.

    Args:
        path: a JSON file, or a folder holding some where `table_files` looks.
        fits: whether a parsed content is of the format looked for.

    Raises:
        AnnotationError: a file is not JSON.
    """
    contents = ((absolute(file), load(file)) for file in table_files(path, (".json",)))
    return [(file, content) for file, content in contents if fits(content)]


def root_of(path: Path, file: Path | None = None) -> Path:
    """The set's folder: `path` if it is one, else the folder of the file, above `annotations`."""
    if path.is_dir():
        return absolute(path)
    folder = absolute((file or path).parent)
    return folder.parent if folder.name.lower() in _PLACES else folder


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """A block that reads a file.

    Raises:
        AnnotationError: the disk refuses it, or it is a pipe or device, which may never end.
    """
    if file.is_fifo() or file.is_char_device():
        raise AnnotationError(f"{file}: is a pipe or device and no file; take it away.")
    try:
        yield
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error.strerror}).") from None


@contextmanager
def open_text(file: Path) -> Iterator[TextIO]:
    """A text file, open: UTF-8, or UTF-16 where its first bytes say so.

    Raises:
        AnnotationError: it cannot be read, or turns out to be in another encoding, which nothing
            in it names.
    """
    try:
        with reading(file):
            with file.open("rb") as stream:
                wide = stream.read(2) in _WIDE
            with file.open(encoding="utf-16" if wide else "utf-8-sig", newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: not UTF-8 ({error.reason} at byte {error.start}), so its words would be "
            f"garbled{_readings(file)}; save it as UTF-8 or move it away."
        ) from None


def _readings(file: Path) -> str:
    """What the first words of a file would be in encodings that it may be in."""
    with file.open("rb") as stream:
        start, _line_end, _rest = stream.read(4096).partition(b"\n")
    readings = []
    for name, encoding in _ENCODINGS.items():
        try:
            words = start.decode(encoding).strip()
        except UnicodeDecodeError:
            continue
        if words.isprintable() and any(letter.isalpha() for letter in words):
            readings.append(f"'{shown(words)}' in {name}")
    return f" (it begins with {', '.join(readings[:3])})" if readings else ""


def read_text(file: Path) -> str:
    """The text of a file that `open_text` opens.

    Raises:
        AnnotationError: see there; or it holds zero bytes, which no text does.
    """
    with open_text(file) as stream:
        text = stream.read()
    if "\0" in text:
        raise AnnotationError(f"{file}: holds zero bytes, so it is no text in UTF-8; save it so.")
    return text


def lines_of(file: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not empty, stripped, and before it where it stands, as file:line."""
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip():
            yield f"{file}:{number}", line.strip()


def beginning(file: Path, size: int = 4096) -> str:
    """The first bytes of a text, to tell by what it is; words that are not English may be garbled.

    Raises:
        AnnotationError: it cannot be read.
    """
    with reading(file), file.open("rb") as stream:
        start = stream.read(size)
    # Every byte is a sign of Latin-1; that the file is in UTF-8 is checked when it is read.
    return start.decode("utf-16", "ignore") if start.startswith(_WIDE) else start.decode("latin-1")


def loads(text: bytes | str) -> Any:
    """What a JSON text holds, also the NaN and Infinity that Python and pandas write."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
        raise


def load(path: Path, parse: Callable[[bytes], Any] = orjson.loads) -> Any:
    """What a JSON file holds; lists in a large one are read from it row by row.

    Args:
        parse: reads a file that is not large: `loads` takes what is no number too.

    Raises:
        AnnotationError: it cannot be read, is not JSON, or is large without being lists of rows.
    """
    try:
        with reading(path):
            status = path.stat()
            return _parsed(path, status.st_size, status.st_mtime_ns, parse)
    except orjson.JSONDecodeError as error:
        if status.st_size < streaming.STREAMED:
            read_text(path)  # of another encoding it says so itself
        raise AnnotationError(
            f"{path}: not valid JSON ({error}); was it cut short? Copy it again, or move it away "
            f"if it has nothing to do with the pictures."
        ) from None


@lru_cache(maxsize=4)
def _parsed(path: Path, size: int, changed_ns: int, parse: Callable[[bytes], Any]) -> Any:
    """Kept while readers look in turn whether a file is theirs; `forget` lets go of it."""
    if size >= streaming.STREAMED:
        return streaming.load_large(path)
    content = path.read_bytes()
    if content.startswith(_WIDE):
        content = read_text(path).encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return parse(content)
    except orjson.JSONDecodeError as error:
        if "content after document" not in error.msg:
            raise
        try:  # JSON Lines go by this name too
            return [parse(line) for line in content.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            raise error from None


def forget() -> None:
    """Let go of the files that `load` has kept."""
    _parsed.cache_clear()


def refuse(error: AnnotationError) -> None:
    """Raise an error about a row: what is done where nobody counts rows that are left out."""
    raise error


def rows_of(
    file: Path,
    parse: Callable[[Any], Any] = orjson.loads,
    refuse: Refuse = refuse,
) -> Iterator[tuple[str, Any]]:
    """Where each row of a table stands, and the row; tables and JSON Lines are streamed.

    Understands CSV and TSV under a header (keys in lower case, None for an empty field), JSON
    Lines, a JSON list, and a JSON object that numbers its rows (`id` then holds the number) or
    keeps them under a name; nothing where a JSON file holds something else.

    Args:
        refuse: told of each row that cannot be taken apart.

    Raises:
        AnnotationError: the file is absent or damaged.
    """
    if file.suffix.lower() == ".json":
        for number, row in enumerate(_entries(load(file, parse))):
            yield f"{file}: entry {number}", row
        return
    with open_text(file) as stream:
        if file.suffix.lower() == ".jsonl":
            yield from _lines_of_json(file, stream, parse, refuse)
        else:
            yield from _lines_of_table(file, stream, refuse)


def _lines_of_json(
    file: Path,
    stream: TextIO,
    parse: Callable[[Any], Any],
    refuse: Refuse,
) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = parse(line)
        except orjson.JSONDecodeError as error:
            refuse(AnnotationError(f"{where}: not valid JSON ({error}); correct it."))
        else:
            yield where, row


def _lines_of_table(file: Path, stream: TextIO, refuse: Refuse) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(1 << 28)  # VLMEvalKit writes pictures into its tables
    header = stream.readline()
    stream.seek(0)
    table = csv.DictReader(stream, delimiter=max(",;\t", key=header.count), strict=True)
    try:
        names = Counter(name.strip().lower() for name in table.fieldnames or ())
        repeated = [name for name, count in names.items() if count > 1 and name]
        if repeated:
            raise AnnotationError(
                f"{file}: two columns are called '{shown(repeated[0])}'; rename one, or join them."
            )
        for row in table:
            where = f"{file}:{table.line_num}"
            if None in row:
                refuse(
                    AnnotationError(
                        f"{where}: more fields than the header names; put quotes around texts that "
                        f"hold the separator."
                    )
                )
                continue
            yield where, {key.strip().lower(): value or None for key, value in row.items()}
    except csv.Error as error:
        raise AnnotationError(
            f"{file}:{table.line_num}: not CSV ({error}); is there a quote that is not closed, or "
            f"not doubled within a text? Correct it."
        ) from None


def _entries(content: Any) -> Iterable[Any]:
    if isinstance(content, dict):
        for value in content.values():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return value
        return [{"id": key, **row} for key, row in content.items() if isinstance(row, dict)]
    return content if isinstance(content, list) else ()


def first(row: Json, keys: Iterable[str]) -> Any:
    """The first of some fields that a row has, None without any."""
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def load_xml(path: Path) -> Xml.Element:
    """The root of an XML file, which may declare no entities: they can unfold into gigabytes.

    Raises:
        AnnotationError: it cannot be read, is no XML, too large, or declares a document type.
    """
    with reading(path):
        size = path.stat().st_size
        if size > LARGEST_XML:
            raise AnnotationError(f"{path}: {size} bytes, too large for annotations.")
        content = path.read_bytes()
    encoding = _XML_ENCODING.match(content)
    try:
        # The parser knows no encoding of several bytes a letter but Unicode's.
        text = content.decode(encoding[1].decode()) if encoding else content
        return defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        raise AnnotationError(
            f"{path}: declares a document type, as files that unfold in memory do; remove the "
            f"lines `<!DOCTYPE ...>`."
        ) from None
    except (Xml.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(
            f"{path}: not valid XML ({error}); was it cut short? Copy it again, or move it away."
        ) from None
