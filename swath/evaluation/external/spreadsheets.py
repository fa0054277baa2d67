"""Rows of a spreadsheet (.xlsx), which VLMEvalKit writes its answers to."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Xml
import zipfile
from pathlib import Path

from swath.errors import RequestError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LARGEST = 2 * 1024**3
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def sheet_rows(path: Path) -> list[dict[str, str | None]]:
    """Rows of the first sheet under its first row, whose names come in lower case.

    Raises:
        RequestError: it is damaged, or no spreadsheet of this kind.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = {name: file.getinfo(name) for name in file.namelist()}
            sheets = sorted(
                (name for name in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)),
                key=lambda name: (len(name), name),
            )
            shared = "xl/sharedStrings.xml"
            texts = [_words(one) for one in _root(file, shared)] if shared in names else []
            cells = [_cells(row, texts) for row in _root(file, sheets[0]).iter(f"{_MAIN}row")]
    except (OSError, zipfile.BadZipFile, Xml.ParseError, IndexError, KeyError, ValueError) as error:
        raise RequestError(
            f"{path}: cannot be read as a spreadsheet ({error}); save it as TSV or JSON from where "
            f"it was made."
        ) from None
    head = {place: str(name).strip().lower() for place, name in (cells or [{}])[0].items() if name}
    rows = [{name: row.get(place) for place, name in head.items()} for row in cells[1:]]
    return [row for row in rows if any(row.values())]


def _root(file: zipfile.ZipFile, name: str) -> Xml.Element:
    if file.getinfo(name).file_size > _LARGEST:
        raise ValueError(f"{name} is larger than {_LARGEST} bytes")
    content = file.read(name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{name} declares a document type")
    return Xml.fromstring(content)


def _cells(row: Xml.Element, texts: list[str]) -> dict[str, str | None]:
    """Column letters to what stands there."""
    found: dict[str, str | None] = {}
    for place, cell in enumerate(row):
        column = re.sub(r"\d", "", cell.get("r", "")) or str(place)
        value = cell.findtext(f"{_MAIN}v")
        kind = cell.get("t")
        if kind == "s" and value is not None:
            value = texts[int(value)]
        elif kind == "inlineStr":
            value = _words(cell)
        found[column] = value
    return found


def _words(cell: Xml.Element) -> str:
    """A cell's text, readings of its signs left out."""
    runs = [one for part in cell if part.tag != f"{_MAIN}rPh" for one in part.iter(f"{_MAIN}t")]
    found = runs or list(cell.iter(f"{_MAIN}t"))
    return _ESCAPED.sub(
        lambda sign: chr(int(sign[1], 16)), "".join(one.text or "" for one in found)
    )
