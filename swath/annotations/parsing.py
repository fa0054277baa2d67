"""What annotation rows hold: boxes in any of their spellings, and what they make of a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import UNMEASURED, image_id
from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes, rectangle_around
from swath.dialect import BRACKETED, ORIENTED, from_grid, numbers
from swath.errors import AnnotationError, ImageryError
from swath.imagery.opening import open_scene

OBJECT = "object"
"""Class of a box whose source names none."""


def image_of(picture: Path, root: Path, **said: Any) -> AnnotatedImage:
    """A picture of the set in `root`, named by its path and not measured, and what is said of it.

    Args:
        picture: the file, in that folder.
        root: the set's folder.
        said: fields of the image, those that its path would give among them.
    """
    about = {"path": str(picture), "size_wh": UNMEASURED, "source": root.name, **said}
    return AnnotatedImage(id=about.pop("id", "") or image_id(picture, root), **about)


def objects(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """The fields of an image that objects fill: of each its corners, class and, if any, phrase."""
    quads, names, *phrases = [*zip(*rows, strict=True)] or ((), ())
    boxes = Boxes(np.array(quads)) if quads else Boxes.empty()
    return {"boxes": boxes, "names": names, "phrases": phrases[0] if phrases else ()}


def some_objects(image: AnnotatedImage, rows: Sequence[int], **said: Any) -> AnnotatedImage:
    """The image with the objects of some rows, and with what else is said of it now."""
    kept = [(image.boxes.quads[row], image.names[row], image.phrases[row]) for row in rows]
    return replace(image, **objects(kept) | said)


def size_of(picture: Path, where: str) -> tuple[int, int]:
    """Width and height of a picture that boxes are shares of.

    Raises:
        AnnotationError: it cannot be opened.
    """
    try:
        return open_scene(picture).size_wh
    except ImageryError as error:
        raise AnnotationError(f"{where}: {error}") from None


def boxes_of(value: Any, size_wh: tuple[int, int], where: str) -> Boxes:
    """Boxes of corners, polygons, WKT, or text on a 0 to 100 grid.

    Args:
        value: `[x1, y1, x2, y2]`, `[x1, y1, ... x4, y4]`, polygons of points, lists of any of
            these, or WKT, all in pixels; or text such as `{<x1><y1><x2><y2>|<angle>}` or
            `[x1, y1, x2, y2]`, on the grid.
        size_wh: of the picture; `UNMEASURED` where only pixels are understood.
        where: it stands, for the error.

    Raises:
        AnnotationError: there is none, or a text's grid is of a picture of unknown size.
    """
    try:
        if isinstance(value, str) and value.lstrip().upper().startswith(
            ("POLYGON", "MULTIPOLYGON")
        ):
            return Boxes(around(shapely.from_wkt(value))[None])
        if isinstance(value, str):
            found = numbers(ORIENTED, value)
            if not len(found):
                found = numbers(BRACKETED, value)
            if size_wh != UNMEASURED and len(found):
                return from_grid(found, size_wh)
        elif isinstance(value, list) and value:
            return Boxes(np.array([*_quads(value)]))
    except (TypeError, ValueError, shapely.errors.ShapelyError):
        pass
    raise AnnotationError(
        f"{where}: expected boxes as corners, polygons or {{<x1><y1><x2><y2>}} on a picture whose "
        f"size is known, got '{str(value)[:60]}'."
    )


def _quads(value: list[Any]) -> list[NDArray[np.float64]]:
    """Corners of a box, a polygon, or a list of them."""
    if not isinstance(value, list):
        raise ValueError("no list")
    if all(isinstance(one, int | float) for one in value):
        flat = np.asarray(value, dtype=np.float64)
        if len(flat) == 4:
            return [Boxes.from_hbb(flat).quads[0]]
        if len(flat) < 6 or len(flat) % 2:
            raise ValueError("neither corners nor points")
        points = flat.reshape(-1, 2)
        return [points if len(points) == 4 else rectangle_around(points)]
    if all(isinstance(one, list) and len(one) == 2 for one in value) and all(
        isinstance(number, int | float) for point in value for number in point
    ):
        return _quads([number for point in value for number in point])
    return [quad for one in value for quad in _quads(one)]


def around(shape: shapely.Geometry) -> NDArray[np.float64]:
    """(4, 2) corners of the smallest rectangle around a polygon.

    Raises:
        ValueError: it holds no point.
    """
    points = shapely.get_coordinates(shape)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("no points")
    return rectangle_around(points)


def class_of(phrase: str) -> str:
    """Class of an object of which only a phrase is known: the phrase if it is a word or two."""
    words = phrase.lower().strip(" .").split()
    bare = words[1:] if len(words) == 2 and words[0] in ("a", "an", "the", "one", "1") else words
    return " ".join(bare) if 0 < len(words) <= 2 else OBJECT


def sentence(text: str) -> str:
    """Words left over from marked up text, with one blank between two and none before a stop."""
    return re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split()))


def put(images: dict[str, AnnotatedImage], image: AnnotatedImage, where: str) -> None:
    """Add what a row says of an image to what others have said.

    Raises:
        AnnotationError: they contradict each other.
    """
    known = images.setdefault(image.id, image)
    if known is not image:
        images[image.id] = _joined(known, image, where)


def _joined(one: AnnotatedImage, other: AnnotatedImage, where: str) -> AnnotatedImage:
    for key in ("path", "label", "split", "frames"):
        first, second = getattr(one, key), getattr(other, key)
        if first and second and first != second:
            raise AnnotationError(
                f"{where}: {one.id} has {key} {second!r} here and {first!r} before; "
                f"correct one of them."
            )
    return replace(
        one,
        label=one.label or other.label,
        split=one.split or other.split,
        captions=tuple(dict.fromkeys((*one.captions, *other.captions))),
        questions=tuple(dict.fromkeys((*one.questions, *other.questions))),
        **objects(_told_apart(one, other)),
    )


def _told_apart(*images: AnnotatedImage) -> Iterable[tuple[Any, ...]]:
    """Corners, class and phrase of each object, once where two rows speak of one."""
    rows = (
        row for one in images for row in zip(one.boxes.quads, one.names, one.phrases, strict=True)
    )
    return {(quad.tobytes(), *words): (quad, *words) for quad, *words in rows}.values()
