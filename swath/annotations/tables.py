"""Files of annotations in a data folder: which there are, and what is in them."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as Xml
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from swath.annotations import large_json as streaming
from swath.annotations.finding_pictures import SPLITS, absolute, subfolders
from swath.errors import AnnotationError

LARGEST_XML = 64 * 1024**2
"""Bytes of an XML file of one picture's annotations."""

TABLES = (".json", ".jsonl", ".csv", ".tsv")
"""Name endings of files that hold rows about many pictures."""

_PLACES = {"annotations", "captions", "questions"}  # FloodNet's are in Questions/


def table_files(path: Path, endings: Iterable[str] = TABLES) -> list[Path]:
    """The file `path`, or those in a folder and in `annotations`, `captions` or `questions` there.

    Roboflow's `<split>/_annotations.coco.json` are among them.

    Args:
        path: a file, or a folder.
        endings: of their names.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in endings else []
    inner = (folder for folder in subfolders(path) if folder.name.lower() in _PLACES)
    files = [file for folder in (path, *inner) for file in sorted(folder.iterdir())]
    files += sorted(path.glob("*/_annotations.coco.json"))
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
        path: of the file.
        parse: reads a file that is not large: `loads` takes what is no number too.

    Raises:
        AnnotationError: it cannot be read, is not JSON, or is large without being lists of rows.
    """
    try:
        return _parsed(path, path.stat().st_size, path.stat().st_mtime_ns, parse)
    except orjson.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}: not valid JSON ({error}); was it cut short? Copy it again, or move it away "
            f"if it has nothing to do with the pictures."
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from None


@lru_cache(maxsize=4)
def _parsed(path: Path, size: int, changed_ns: int, parse: Callable[[bytes], Any]) -> Any:
    """Kept while readers look in turn whether a file is theirs; `forget` lets go of it."""
    if size >= streaming.STREAMED:
        return streaming.load_large(path)
    return parse(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def forget() -> None:
    """Let go of the files that `load` has kept."""
    _parsed.cache_clear()


def rows_of(file: Path, parse: Callable[[Any], Any] = orjson.loads) -> Iterator[tuple[str, Any]]:
    """Where each row of a table stands, and the row; tables and JSON Lines are streamed.

    Understands CSV and TSV under a header (keys in lower case, None for an empty field), JSON
    Lines, a JSON list, and a JSON object that numbers its rows (`id` then holds the number) or
    keeps them under a name; nothing where a JSON file holds something else.

    Raises:
        AnnotationError: the file is absent or damaged.
    """
    suffix, number = file.suffix.lower(), 0
    if suffix == ".json":
        yield from (
            (f"{file}: entry {n}", row) for n, row in enumerate(_entries(load(file, parse)))
        )
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if suffix == ".jsonl":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield f"{file}:{number}", parse(line)
                return
            csv.field_size_limit(1 << 28)  # VLMEvalKit writes pictures into its tables
            head, _ = stream.readline(), stream.seek(0)
            table = csv.DictReader(stream, delimiter=max(",;\t", key=head.count))
            for row in table:
                where = f"{file}:{table.line_num}"
                if None in row:
                    raise AnnotationError(
                        f"{where}: more fields than the header names; put quotes around texts that "
                        f"hold the separator."
                    )
                yield where, {key.strip().lower(): value or None for key, value in row.items()}
    except orjson.JSONDecodeError as error:
        raise AnnotationError(f"{file}:{number}: not valid JSON ({error}); correct it.") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: not UTF-8 ({error.reason}); save it as UTF-8 or move it away."
        ) from None
    except csv.Error as error:
        raise AnnotationError(f"{file}:{table.line_num}: not CSV ({error}); correct it.") from None
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error.strerror}).") from None


def _entries(content: Any) -> Iterable[Any]:
    if isinstance(content, dict):
        for value in content.values():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return value
        return [{"id": key, **row} for key, row in content.items() if isinstance(row, dict)]
    return content if isinstance(content, list) else ()


def first(row: dict[str, Any], keys: Iterable[str]) -> Any:
    """The first of some fields that a row has, None without any."""
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def load_xml(path: Path) -> Xml.Element:
    """The root of an XML file, which may declare no entities: they can unfold into gigabytes.

    Raises:
        AnnotationError: it cannot be read, is no XML, too large, or declares a document type.
    """
    try:
        if path.stat().st_size > LARGEST_XML:
            raise AnnotationError(
                f"{path}: {path.stat().st_size} bytes, too large for annotations."
            )
        content = path.read_bytes()
        # Compared without the zero bytes of UTF-16, in which a declaration could hide.
        if re.search(rb"<!(DOCTYPE|ENTITY)", content.replace(b"\0", b""), re.IGNORECASE):
            raise AnnotationError(
                f"{path}: declares a document type, as files that unfold in memory do; remove the "
                f"lines `<!DOCTYPE ...>`."
            )
        return Xml.fromstring(content)
    except (Xml.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(
            f"{path}: not valid XML ({error}); was it cut short? Copy it again, or move it away."
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from None


def root_of(path: Path, file: Path) -> Path:
    """The set's folder: `path` if it is one, else the folder of the file, above `annotations`."""
    if path.is_dir():
        return absolute(path)
    folder = absolute(file.parent)
    return folder.parent if folder.name.lower() in _PLACES else folder


def split_in(file: Path) -> str | None:
    """The split that a word of a file's name, or its folder's, says."""
    words = [*re.split(r"[\W_]+", file.stem.lower()), file.parent.name.lower()]
    return next((SPLITS[w] for word in words if (w := word.rstrip("0123456789")) in SPLITS), None)


def split_named(word: object, where: str) -> str | None:
    """Our name of the split that a field names, None for none.

    Raises:
        AnnotationError: it names no split that is known.
    """
    if word is None or word == "":
        return None
    split = SPLITS.get(str(word).lower())
    if split is None:
        raise AnnotationError(
            f"{where}: unknown split '{word}'; write one of {', '.join(SPLITS)}, or leave it out."
        )
    return split
