"""DOTA text: four corners, class and difficulty of an oriented object a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import image_id
from swath.annotations.formats.label_folders import (
    first_fields,
    labelled,
    lines_of,
    without_pictures,
)
from swath.annotations.parsing import Outline, Row, numbers_in
from swath.annotations.source import Source
from swath.annotations.tables import Refuse, refuse
from swath.errors import AnnotationError

FOLDER = "labelTxt"
"""Where DOTA keeps its label files."""

_HEADERS = ("imagesource:", "gsd:", "acquisition")
_COARSEST_M = 10_000.0


def recognises(path: Path) -> bool:
    """Whether a folder holds `labelTxt`, that of a set or of its splits, with label files in it."""
    return next(first_fields(path, FOLDER), None) is not None


def near(path: Path) -> str:
    """What keeps a folder with `labelTxt` in it from being DOTA's, "" where there is none."""
    return without_pictures(path, FOLDER)


def rows(source: Source) -> Iterator[Row]:
    """A row a picture; one without a label file has no objects.

    Lines are `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` in pixels, after header lines on source and
    resolution in metres, which may be missing or `null`. Difficult objects are kept like the
    others, corners that lie outside the picture too: `lint` finds them.
    """
    hard = 0
    for picture, file, split in labelled(source, FOLDER):
        outlines = []
        headers: dict[str, str] = {}
        if file is not None:
            source.file = file
            for outline, difficult in _objects(file, source.refuse, headers):
                outlines.append(outline)
                hard += difficult
        yield Row(
            str(file or picture),
            (picture,),
            outlines,
            split=split,
            gsd_m=_metres(headers.get("gsd", "")),
            sensor=headers.get("imagesource", "").replace("null", ""),
        )
    words = "objects are marked difficult"
    source.count("difficult", hard, words, "kept like the others", source.root)


def difficult(path: Path) -> dict[str, list[bool]]:
    """Whether each object of a set is marked difficult, by the image's id, in the order of `rows`.

    Raises:
        AnnotationError: a line is wrong.
    """
    source = Source(path)
    return {
        image_id(picture, source.root): [hard for _, hard in _objects(file)] if file else []
        for picture, file, _ in labelled(source, FOLDER)
    }


def _objects(
    file: Path,
    refuse: Refuse = refuse,
    headers: dict[str, str] | None = None,
) -> Iterator[tuple[Outline, bool]]:
    """Each object in a label file, and whether it is marked difficult; headers are entered."""
    for where, fields in lines_of(file):
        if fields[0].lower().startswith(_HEADERS):
            name, _, value = " ".join(fields).partition(":")
            if headers is not None:
                headers[name.lower()] = value.strip()
            continue
        try:
            if len(fields) not in (9, 10):
                raise AnnotationError(
                    f"{where}: expected 8 coordinates, a class and a difficulty, got "
                    f"{len(fields)} fields; is this DOTA text?"
                )
            corners = numbers_in(fields[:8], where)
        except AnnotationError as error:
            refuse(error)
        else:
            yield Outline(corners, sys.intern(fields[8])), fields[9:] not in ([], ["0"])


def _metres(gsd: str) -> float | None:
    """A resolution in metres, None where it is none."""
    try:
        metres = float(gsd)
    except ValueError:
        return None
    return metres if 0 < metres < _COARSEST_M else None
