"""Rows of a spreadsheet (.xlsx), which VLMEvalKit writes its answers to."""

from __future__ import annotations

import zipfile
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.escape import unescape

from swath.errors import RequestError

LARGEST = 256 * 1024**2
"""Bytes of all parts of a spreadsheet once they are unpacked."""

_PROLOGUE = 64 * 1024  # bytes of a part in which a document type would be declared
MOST_ROWS = 1 << 20  # of a sheet


def sheet_rows(path: Path) -> list[dict[str, str | None]]:
    """Rows of the first sheet under its first row, whose names come in lower case.

    Raises:
        RequestError: it is damaged, too large once unpacked, or no spreadsheet of this kind.
    """
    try:
        _check_parts(path)
        workbook = load_workbook(path, read_only=True, data_only=True)
        first: Any = workbook.worksheets[0]
        first.reset_dimensions()  # the size that a file states may be too small, and hide rows
        sheet = first.iter_rows(values_only=True)
        names = [str(name or "").strip().lower() for name in next(sheet, ())]
        rows = []
        for number, values in enumerate(sheet):
            if number > MOST_ROWS:  # rows that are not there are made up to the next that is
                raise ValueError(f"a row beyond number {MOST_ROWS:,}")
            cells = zip_longest(names, values[: len(names)])
            row = {name: _text(value) for name, value in cells if name}
            if any(row.values()):
                rows.append(row)
    except (OSError, zipfile.BadZipFile, ParseError, LookupError, TypeError, ValueError) as error:
        raise RequestError(
            f"{path}: cannot be read as a spreadsheet ({error}); save it as TSV or JSON from where "
            f"it was made."
        ) from None
    return rows


def _check_parts(path: Path) -> None:
    """Refuse what would not fit into memory or declares entities, before it is parsed."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > LARGEST:
            raise ValueError(f"{size:,} bytes once unpacked, more than {LARGEST:,}")
        for part in parts:
            with archive.open(part) as stream:
                prologue = stream.read(_PROLOGUE).replace(b"\0", b"")  # UTF-16 has NULs between
            if b"<!DOCTYPE" in prologue:
                raise ValueError(f"{part.filename} declares a document type")


def _text(value: Any) -> str | None:
    """What a cell holds, in words; numbers without a needless point."""
    if value is None or isinstance(value, str):
        return value and unescape(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
