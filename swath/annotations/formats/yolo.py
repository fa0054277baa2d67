"""YOLO: class number and relative box a line, or relative corners of an oriented box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from swath.annotations.finding_pictures import UNMEASURED, absolute, read_text, refuse_repeats
from swath.annotations.formats.label_folders import first_fields, labelled, lines_of, numbers
from swath.annotations.image import AnnotatedImage
from swath.annotations.parsing import image_of, objects
from swath.boxes import rectangle_around
from swath.errors import AnnotationError, ImageryError
from swath.imagery.opening import open_scene

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2


def recognises(path: Path) -> bool:
    """Whether a folder holds `labels` with lines of a class number and 4 or 8 coordinates."""
    fields = first_fields(path, "labels")
    return _fits(fields) and fields[0].isdecimal()


def read(path: Path) -> list[AnnotatedImage]:
    """One image a picture; one without a label file has no objects.

    Lines are `class x y width height` with the box's middle, or `class x1 y1 ... xn yn`, all as
    shares of the picture's width and height; of an outline of other than four corners the smallest
    rectangle around it is taken. Boxes that stick out are kept as they are. Classes are named by
    `data.yaml` or another YAML with `names`, `obj.names` or `classes.txt`; without either they are
    called "class 0" and so on, to be renamed in the recipe.

    Args:
        path: the folder, laid out as `labelled` says.

    Raises:
        AnnotationError: a line is not of this form or its class is not in the list, or a label
            file has no picture.
    """
    root = absolute(path)
    names = _class_names(root)
    images = []
    for picture, file, split in labelled(root, "labels"):
        rows = [_object(fields, names, where) for where, fields in lines_of(file)] if file else []
        size = UNMEASURED
        if rows:
            try:
                size = open_scene(picture).size_wh
            except ImageryError:  # said by whoever measures the images
                rows = []
        own = objects((quad * size, name) for quad, name in rows)
        images.append(image_of(picture, root, size_wh=size, split=split, **own))
    refuse_repeats(images, root)
    return images


def _object(
    fields: list[str], names: list[str] | None, where: str
) -> tuple[NDArray[np.float64], str]:
    """Relative corners and class of one line."""
    if not _fits(fields):
        raise AnnotationError(
            f"{where}: expected a class number and 4 or 8 coordinates, got {len(fields)} fields; "
            f"is this YOLO text?"
        )
    if not fields[0].isdecimal() or (names is not None and int(fields[0]) >= len(names)):
        known = f", which names {len(names)}" if names is not None else ""
        raise AnnotationError(
            f"{where}: class number '{fields[0]}' is not in the list of classes{known}; correct "
            f"the line, or add the class to classes.txt or data.yaml."
        )
    values = np.array(numbers(fields[1:], where))
    if abs(values).max() > 10:
        raise AnnotationError(
            f"{where}: coordinates far from 0 to 1; YOLO gives shares of the picture's width and "
            f"height: were pixels written instead?"
        )
    if len(values) == 4:
        quad = values[:2] + _CORNERS * values[2:]
    else:
        points = values.reshape(-1, 2)
        quad = points if len(points) == 4 else rectangle_around(points)
    name = names[int(fields[0])] if names is not None else f"class {int(fields[0])}"
    return quad, name


def _fits(fields: list[str]) -> bool:
    """Whether a line is as long as an upright box, an oriented one, or an outline."""
    return len(fields) == 5 or (len(fields) >= 7 and len(fields) % 2 == 1)


def _class_names(root: Path) -> list[str] | None:
    """Classes in the order of their numbers, None where no list says them."""
    listed = sorted(root.glob("*.y*ml"), key=lambda file: (file.stem != "data", file.name))
    for file in listed:  # Ultralytics calls it after the set
        try:
            content = yaml.safe_load(read_text(file))
        except yaml.YAMLError as error:
            raise AnnotationError(
                f"{file}: not valid YAML ({' '.join(str(error).split())}); copy it again."
            ) from None
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
    named = [*sorted(root.glob("*.names")), root / "classes.txt", root / "labels" / "classes.txt"]
    for file in (one for one in named if one.is_file()):
        return [line.strip() for line in read_text(file).rstrip().splitlines()]
    return None
