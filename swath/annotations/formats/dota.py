"""DOTA text: four corners, class and difficulty of an oriented object a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from swath.annotations.finding_pictures import absolute, image_id
from swath.annotations.formats.label_folders import first_fields, labelled, lines_of, numbers
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note
from swath.annotations.parsing import image_of
from swath.boxes import Boxes
from swath.errors import AnnotationError

FOLDER = "labelTxt"
"""Where DOTA keeps its label files."""

_HEADERS = ("imagesource:", "gsd:", "acquisition")


def recognises(path: Path) -> bool:
    """Whether a folder holds `labelTxt`, that of a set or of its splits, with label files in it."""
    return bool(first_fields(path, FOLDER))


def read(path: Path) -> list[AnnotatedImage]:
    """All images that `stream` gives.

    Raises:
        AnnotationError: see `stream`.
    """
    return list(stream(path))


def stream(path: Path) -> Iterator[AnnotatedImage]:
    """One image a picture; one without a label file has no objects.

    Lines are `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` in pixels, after header lines on source
    and resolution that may be missing. Difficult objects are kept like the others, corners that
    lie outside the picture too: `lint` finds them.

    Args:
        path: the folder, laid out as `labelled` says.

    Raises:
        AnnotationError: a line is not of this form, or a label file has no picture.
    """
    root, hard = absolute(path), 0
    for picture, file, split in labelled(root, FOLDER):
        quads, names = list[float](), []
        for corners, name, difficult in _objects(file):
            quads += corners
            names.append(name)
            hard += difficult
        boxes = Boxes(np.array(quads).reshape(-1, 4, 2))
        yield image_of(picture, root, boxes=boxes, names=tuple(names), split=split)
    if hard:
        what = f"{hard} objects are marked difficult"
        note("difficult", root, what, "kept like the others", hard)


def difficult(path: Path) -> dict[str, list[bool]]:
    """Whether each object of an image that `stream` gives is marked difficult, by the image's id.

    Raises:
        AnnotationError: see `stream`.
    """
    root = absolute(path)
    return {
        image_id(picture, root): [hard for _, _, hard in _objects(file)]
        for picture, file, _ in labelled(root, FOLDER)
    }


def _objects(file: Path | None) -> Iterator[tuple[list[float], str, bool]]:
    """Corners, class and difficulty of each object in a label file."""
    for where, fields in lines_of(file) if file else ():
        if fields[0].lower().startswith(_HEADERS):
            continue
        if len(fields) not in (9, 10):
            raise AnnotationError(
                f"{where}: expected 8 coordinates, a class and a difficulty, got {len(fields)} "
                f"fields; is this DOTA text?"
            )
        yield numbers(fields[:8], where), sys.intern(fields[8]), fields[9:] not in ([], ["0"])
