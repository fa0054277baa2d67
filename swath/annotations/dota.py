"""DOTA text: four corners, class and difficulty of an oriented object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from swath.annotations.image import AnnotatedImage
from swath.annotations.labelfiles import first_fields, labelled, lines_of, numbers
from swath.annotations.pictures import UNMEASURED, absolute, image_id
from swath.boxes import Boxes
from swath.errors import AnnotationError

FOLDER = "labelTxt"
"""Where DOTA keeps its label files."""

_HEADERS = ("imagesource:", "gsd:")


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
    root = absolute(path)
    for picture, file, split in labelled(root, FOLDER):
        quads, names = [], []
        for where, fields in lines_of(file) if file else ():
            if fields[0].lower().startswith(_HEADERS):
                continue
            if len(fields) not in (9, 10):
                raise AnnotationError(
                    f"{where}: expected 8 coordinates, a class and a difficulty, got "
                    f"{len(fields)} fields; is this DOTA text?"
                )
            quads.append(np.array(numbers(fields[:8], where)).reshape(4, 2))
            names.append(fields[8])
        yield AnnotatedImage(
            id=image_id(picture, root),
            path=str(picture),
            size_wh=UNMEASURED,
            boxes=Boxes(np.array(quads)) if quads else Boxes.empty(),
            names=tuple(names),
            split=split,
            source=root.name,
        )
