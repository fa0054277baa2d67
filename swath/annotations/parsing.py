"""`Row`: what a format says of a picture, in plain values; and boxes in any of their spellings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from swath.annotations.finding_pictures import UNMEASURED, shown
from swath.annotations.image import AnnotatedImage, Dialogue, Question
from swath.boxes import Boxes, Floats, rectangle_around
from swath.dialect import BRACKETED, ORIENTED, from_grid, numbers
from swath.errors import AnnotationError, ImageryError
from swath.files import Json
from swath.imagery.opening import open_scene

OBJECT = "object"
"""Class of a box whose source names none."""

Size = tuple[int, int]
Quad = NDArray[np.float64]  # (4, 2)


class Outline(NamedTuple):
    """An object of a picture.

    Args:
        corners: (4, 2) pixels, also as eight numbers in a row.
        name: its class.
        phrase: what singles it out, None where nothing does.
    """

    corners: ArrayLike
    name: str = OBJECT
    phrase: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What a place in an annotation file says of a picture, a clip, or several in order of time.

    Args:
        where: file and row, for errors.
        pictures: names as the file writes them; a path for a picture that the format found.
        outlines: objects, in pixels of the first picture; or what gives them, told its size.
        label: scene class; or what tells it from the picture's path.
        captions: sentences on the whole picture.
        questions: what is asked about it.
        split: as the row or its folder says, which counts before any list.
        other_split: as the file's name says, which counts where no list does.
        id: of the image; "" for the path of its picture in the set.
        scene: that it is of; "" for its own.
        size_wh: for which its boxes are said to be.
        licence: of the picture.
        dialogues: conversations about it, word for word.
        faults: kind and words of what is wrong with it, for lint.
        joins: whether other rows may speak of the same picture.
        beside: whether it only adds to what other rows say.
        partial: whether its outlines leave out objects that are there.
        gsd_m: metres of ground a pixel measures.
        sensor: what took the picture.
    """

    where: str
    pictures: Sequence[Any]
    outlines: Sequence[Outline] | Callable[[Size], Sequence[Outline]] = ()
    label: str | Callable[[Path], str | None] | None = None
    captions: Iterable[str] = ()
    questions: Iterable[Question] = ()
    split: str | None = None
    other_split: str | None = None
    id: str = ""
    scene: str = ""
    size_wh: Size = UNMEASURED
    licence: str | None = None
    faults: Sequence[tuple[str, str]] = ()
    dialogues: Sequence[Dialogue] = ()
    joins: bool = False
    beside: bool = False
    partial: bool = False
    gsd_m: float | None = None
    sensor: str = ""


def objects(outlines: Sequence[Outline]) -> Json:
    """The fields of an image that objects fill.

    Raises:
        ShapeError: a corner is not finite.
    """
    if not outlines:
        return {}
    corners, names, phrases = zip(*outlines, strict=True)
    return {"boxes": Boxes.from_rows(corners), "names": names, "phrases": phrases}


def scaled(outlines: Sequence[Outline], size_wh: Size) -> list[Outline]:
    """Objects in pixels, from shares of a picture's width and height."""
    return [outline._replace(corners=np.asarray(outline.corners) * size_wh) for outline in outlines]


def outlines_of(image: AnnotatedImage) -> list[Outline]:
    """The objects of an image; `objects` is the inverse."""
    return [*map(Outline, image.boxes.quads, image.names, image.phrases)]


def some_objects(image: AnnotatedImage, rows: Sequence[int], **fields: Any) -> AnnotatedImage:
    """The image with the objects of some rows, and with other fields as they are given."""
    outlines = outlines_of(image)
    chosen = objects([outlines[row] for row in rows])
    none: Json = {"boxes": Boxes.empty(), "names": (), "phrases": ()}
    return replace(image, **none | chosen | fields)


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_flag(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


FARTHEST = 1e9
"""Below it is the size of each number of a place; GEOS fails on some of those beyond."""

Id = Annotated[str, BeforeValidator(_as_text)]
"""Number or text: 7 and "7" are one."""

Flag = Annotated[bool, BeforeValidator(_as_flag)]
"""Yes or no; the texts "0" and "false" are no."""


class Entry(BaseModel):
    """A row from outside, checked where it enters; fields that it does not name are let be."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


SomeEntry = TypeVar("SomeEntry", bound=Entry)


def checked(kind: type[SomeEntry], value: Any, where: str) -> SomeEntry:
    """A row of a kind.

    Raises:
        AnnotationError: a field is missing or of another type.
    """
    if not isinstance(value, dict):
        raise AnnotationError(f"{where} is no object but '{shown(value)}'; is the file whole?")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise AnnotationError(
            f"{where}: {field + ': ' if field else ''}{first['msg'][0].lower()}{first['msg'][1:]}, "
            f"got '{shown(first['input'])}'; correct it."
        ) from None


def upright(x1: float, y1: float, x2: float, y2: float) -> Quad:
    """Corners of a horizontal box."""
    return Boxes.from_hbb([x1, y1, x2, y2]).quads[0]


def corners_of(points: Sequence[float] | Floats, where: str) -> Quad:
    """Corners of the smallest rectangle around an outline; four points stay as they are.

    Args:
        points: x and y in turns.

    Raises:
        AnnotationError: they are fewer than three, or one is not finite.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.size < 6 or values.size % 2 or not (np.abs(values) < FARTHEST).all():
        raise AnnotationError(
            f"{where}: expected an outline of three points or more, got "
            f"'{shown(values.ravel().tolist())}'."
        )
    pairs = values.reshape(-1, 2)
    return pairs if len(pairs) == 4 else rectangle_around(pairs)


def size_of(picture: Path, where: str) -> Size:
    """Width and height of a picture that boxes are shares of.

    Raises:
        AnnotationError: it cannot be opened.
    """
    try:
        return open_scene(picture).size_wh
    except ImageryError as error:
        raise AnnotationError(f"{where}: {error}") from None


def boxes_of(value: Any, size_wh: Size, where: str) -> Boxes:
    """Boxes of corners, polygons, WKT, or text on a 0 to 100 grid.

    Args:
        value: `[x1, y1, x2, y2]`, `[x1, y1, ... x4, y4]`, polygons of points, lists of any of
            these, or WKT, all in pixels; or text such as `{<x1><y1><x2><y2>|<angle>}` or
            `[x1, y1, x2, y2]`, on the grid.
        size_wh: of the picture; `UNMEASURED` where only pixels are understood.

    Raises:
        AnnotationError: there is none, or a text's grid is of a picture of unknown size.
    """
    if isinstance(value, str):
        if value.lstrip().upper().startswith(("POLYGON", "MULTIPOLYGON")):
            return Boxes(corners_of_wkt(value, where)[None])
        rows = numbers(ORIENTED, value)
        if not len(rows):
            rows = numbers(BRACKETED, value)
        if size_wh != UNMEASURED and len(rows):
            return from_grid(rows, size_wh)
    elif isinstance(value, list) and value:
        try:
            return Boxes(np.array([*_quads(value)]))
        except (TypeError, ValueError, RecursionError, AnnotationError):
            pass
    raise AnnotationError(
        f"{where}: expected boxes as corners, polygons or {{<x1><y1><x2><y2>}} on a picture whose "
        f"size is known, got '{shown(value)}'."
    )


def _quads(value: list[Any]) -> list[Quad]:
    """Corners of a box, a polygon, or a list of them."""
    if not isinstance(value, list):
        raise ValueError("no list")
    if all(isinstance(number, int | float) for number in value):
        if len(value) == 4:
            return [upright(*value)]
        return [corners_of(value, "")]
    points = all(isinstance(point, list) and len(point) == 2 for point in value)
    if points and all(isinstance(number, int | float) for point in value for number in point):
        return _quads([number for point in value for number in point])
    return [quad for part in value for quad in _quads(part)]


def corners_of_wkt(text: object, where: str) -> Quad:
    """(4, 2) corners of the smallest rectangle around a polygon in WKT.

    Raises:
        AnnotationError: it is none, or holds no point.
    """
    try:
        points = shapely.get_coordinates(shapely.from_wkt(text))
    except (TypeError, shapely.errors.ShapelyError) as error:
        raise AnnotationError(
            f"{where}: expected a polygon as WKT ({shown(str(error))})."
        ) from None
    if len(points) < 3 or not (np.abs(points) < FARTHEST).all():
        raise AnnotationError(f"{where}: a polygon without points, '{shown(text)}'.")
    return rectangle_around(points)


def numbers_in(fields: Sequence[str], where: str) -> list[float]:
    """The fields as numbers.

    Raises:
        AnnotationError: one is none, or not finite.
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = [math.nan]
    if not all(abs(value) < FARTHEST for value in values):
        raise AnnotationError(
            f"{where}: expected numbers, got '{shown(' '.join(fields))}'; correct the line."
        )
    return values


def class_of(phrase: str) -> str:
    """Class of an object of which only a phrase is known: the phrase if it is a word or two."""
    words = phrase.lower().strip(" .").split()
    if len(words) == 2 and words[0] in ("a", "an", "the", "one", "1"):
        return words[1]
    return " ".join(words) if 0 < len(words) <= 2 else OBJECT


def sentence(text: str) -> str:
    """Words left over from marked up text, with one blank between two and none before a stop."""
    return re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split()))
