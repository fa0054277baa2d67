"""RSIVQA's text, alone or beside other formats: a line `picture:question?answer` a question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import absolute, is_picture, shown, subfolders
from swath.annotations.image import Question
from swath.annotations.parsing import Row
from swath.annotations.source import Source
from swath.annotations.tables import Refuse, beginning, lines_of, refuse
from swath.errors import AnnotationError

_MOST = 20  # texts in a folder below the set's; more are labels, a file a picture

_LINE = re.compile(r"(?P<picture>[^:]+):(?P<question>.*\?)(?P<answer>[^?]*)")


def recognises(path: Path) -> bool:
    """Whether a file holds RSIVQA's text, or a folder a text file of it and pictures."""
    return bool(_asking(Source(path)))


def rows(source: Source, beside: bool = False) -> Iterator[Row]:
    """A row a question.

    A line's first colon and its last question mark divide it. A picture is named by its path below
    the set's folder or by its name, suffix or not; of several of a name that below the text's own
    folder is meant.

    Args:
        beside: whether the questions are added to what another format says of the pictures.
    """
    for file in _asking(source):
        source.opens(file)
        for where, picture, question in lines(file, source.refuse):
            yield Row(where, (picture,), questions=(question,), joins=True, beside=beside)


def lines(file: Path, refuse: Refuse = refuse) -> Iterator[tuple[str, str, Question]]:
    """Where each line of RSIVQA's text stands, the picture it names and what it asks.

    Raises:
        AnnotationError: a line is not of this form, and `refuse` raises it.
    """
    for where, line in lines_of(file):
        parts = _LINE.fullmatch(line)
        if parts is None:
            reason = f"expected picture:question?answer, got '{shown(line)}'; correct it."
            refuse(AnnotationError(f"{where}: {reason}"))
            continue
        picture, question, answer = (part.strip() for part in parts.groups())
        yield where, picture.replace("\\", "/"), Question(question, answer)


def texts(path: Path) -> list[Path]:
    """Text files at a place whose first line asks about what its name says is a picture."""
    return [file for file, picture in _first_lines(path) if is_picture(Path(picture))]


def _asking(source: Source) -> list[Path]:
    """The same, also where the first line's picture lacks its suffix."""
    return [
        file
        for file, picture in _first_lines(source.path)
        if is_picture(Path(picture)) or source.finder.known(picture, file)
    ]


def _first_lines(path: Path) -> Iterator[tuple[Path, str]]:
    """Texts that begin with a line of this form, and the picture it names."""
    for file in _text_files(path):
        lines = (line.strip() for line in beginning(file).splitlines())
        if parts := _LINE.fullmatch(next(filter(None, lines), "")):
            yield absolute(file), parts["picture"].strip()


def _text_files(path: Path) -> Iterator[Path]:
    """The file, or the texts in a folder and in those in it."""
    if not path.is_dir():
        yield from [path] if path.suffix.lower() == ".txt" else []
        return
    for folder in (path, *subfolders(path)):
        files = sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))
        if folder == path or len(files) <= _MOST:
            yield from files
