"""YOLO: class number and relative box a line, or relative corners of an oriented box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from swath.annotations.finding_pictures import shown
from swath.annotations.formats.label_folders import (
    first_fields,
    labelled,
    lines_of,
    without_pictures,
)
from swath.annotations.parsing import Outline, Quad, Row, corners_of, numbers_in, scaled
from swath.annotations.source import Source
from swath.annotations.tables import read_text
from swath.errors import AnnotationError

LARGEST_LIST = 1 << 20
"""Bytes of a YAML file of classes at most."""

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2


def recognises(path: Path) -> bool:
    """Whether a folder holds `labels` with lines of a class number and 4 or 8 coordinates."""
    lines = first_fields(path, "labels")
    return any(_fits(fields) and _class_number(fields[0]) is not None for _, fields in lines)


def near(path: Path) -> str:
    """What keeps label files in a folder from being YOLO's, "" where there are none."""
    for where, fields in first_fields(path, "labels"):
        try:
            _object(fields, None, where)
        except AnnotationError as error:
            return f"its labels look like YOLO's, but {error}"
    return without_pictures(path, "labels")


def rows(source: Source) -> Iterator[Row]:
    """A row a picture; one without a label file has no objects.

    Lines are `class x y width height` with the box's middle, or `class x1 y1 ... xn yn`, all as
    shares of the picture's width and height; of an outline of other than four corners the smallest
    rectangle around it is taken. Boxes that stick out are kept as they are. Classes are named by
    `data.yaml` or another YAML with `names`, `obj.names` or `classes.txt`; without either they are
    called "class 0" and so on, to be renamed in the recipe.
    """
    names = _class_names(source.root)
    unnamed = 0
    for picture, file, split in labelled(source, "labels"):
        outlines = []
        if file is not None:
            source.file = file
            for where, fields in lines_of(file):
                with source.row():
                    outlines.append(_object(fields, names, where))
                    unnamed += names is None
        in_pixels = partial(scaled, outlines) if outlines else ()
        yield Row(str(file or picture), (picture,), in_pixels, split=split)
    if unnamed:
        what = "its classes have numbers and no names, and questions would speak of a 'class 0'"
        how = "add classes.txt or data.yaml, or name them in annotations.classes"
        source.note("class without a name", what, "kept", unnamed, how, source.root)


def _object(fields: list[str], names: Sequence[str] | None, where: str) -> Outline:
    """Relative corners and class of one line."""
    if not _fits(fields):
        raise AnnotationError(
            f"{where}: expected a class number and 4 or 8 coordinates, got {len(fields)} fields; "
            f"is this YOLO text?"
        )
    number = _class_number(fields[0])
    if number is None or (names is not None and number >= len(names)):
        known = f", which names {len(names)}" if names is not None else ""
        raise AnnotationError(
            f"{where}: class number '{shown(fields[0])}' is not in the list of classes{known}; "
            f"correct the line, or add the class to classes.txt or data.yaml."
        )
    values = np.array(numbers_in(fields[1:], where))
    if abs(values).max() > 10:
        raise AnnotationError(
            f"{where}: coordinates far from 0 to 1; YOLO gives shares of the picture's width and "
            f"height: were pixels written instead?"
        )
    name = f"class {number}" if names is None else names[number]
    return Outline(_quad(values, where), name)


def _quad(values: Quad, where: str) -> Quad:
    if len(values) == 4:
        middle, size = values[:2], values[2:]
        return middle + _CORNERS * size
    return corners_of(values, where)


def _fits(fields: list[str]) -> bool:
    """Whether a line is as long as an upright box, an oriented one, or an outline."""
    return len(fields) == 5 or (len(fields) >= 7 and len(fields) % 2 == 1)


def _class_number(field: str) -> int | None:
    """A class as a whole number, also where an array was written out: 1.0000e+00."""
    try:
        number = float(field)
    except ValueError:
        return None
    return int(number) if number.is_integer() and 0 <= number < 1e6 else None


def _class_names(root: Path) -> Sequence[str] | None:
    """Classes in the order of their numbers, None where no list says them."""
    files = sorted(root.glob("*.y*ml"), key=lambda file: (file.stem != "data", file.name))
    for file in files:  # Ultralytics calls it after the set
        content = _yaml(file)
        names = content.get("names") if isinstance(content, dict) else None
        if names is None and file.stem != "data":
            continue
        if isinstance(names, dict):
            names = [names.get(number) for number in range(len(names))]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise AnnotationError(
                f"{file}: expected `names`, a list of classes or one of numbers from 0; add it."
            )
        return names
    texts = [*sorted(root.glob("*.names")), root / "classes.txt", root / "labels" / "classes.txt"]
    for file in texts:
        if file.is_file():
            return [line.strip() for line in read_text(file).rstrip().splitlines()]
    return None


def _yaml(file: Path) -> object:
    """What a YAML file holds, which may repeat nothing: repetitions unfold into gigabytes."""
    if file.stat().st_size > LARGEST_LIST:
        raise AnnotationError(f"{file}: more than {LARGEST_LIST >> 20} MB, too large for classes.")
    text = read_text(file)
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise AnnotationError(f"{file}: repeats '*{event.anchor}'; write it out.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{file}: not valid YAML ({shown(' '.join(str(error).split()))}); copy it again."
        ) from None
