"""COCO files: boxes with categories, oriented where a polygon or a turn says more, and captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pydantic import Field

from swath.annotations.finding_pictures import UNMEASURED, few
from swath.annotations.parsing import FARTHEST, Entry, Flag, Id, Outline, Quad, Row, scaled, upright
from swath.annotations.source import Source
from swath.annotations.splits import split_in
from swath.annotations.tables import matching_files
from swath.boxes import Boxes, Size, rectangle_around
from swath.errors import AnnotationError
from swath.files import Json

SHARES = 1.05
"""All corners of a file below this are shares of width and height: no object is a pixel large."""

_LOOKED_AT = 20  # annotations by which the format is told


class Picture(Entry):
    """A picture of a file; the name is checked where it is looked for."""

    id: Id
    file_name: Any = None
    width: float | None = None
    height: float | None = None
    license: Id | None = None


class _Category(Entry):
    id: Id
    name: Id


class _Licence(Entry):
    id: Id = ""
    name: Id = ""


class _Attributes(Entry):
    rotation: float | None = None


class Annotation(Entry):
    """A box, outline or caption of a picture; `bbox` is x, y, width, height in pixels."""

    id: Id = "?"
    image_id: Id
    category_id: Id | None = None
    caption: str | None = None
    bbox: list[float] | None = Field(None, min_length=4, max_length=4)
    segmentation: Any = None
    area: float | None = None
    iscrowd: Flag | None = None
    attributes: _Attributes | None = None


@dataclass(frozen=True)
class Boxed:
    """What a file of boxes holds: pictures and classes by their ids, and the boxes."""

    pictures: Mapping[str, Picture]
    names: Mapping[str, str]
    annotations: Sequence[Annotation]


def recognises(path: Path) -> bool:
    """Whether a file is a COCO file of boxes or captions, or a folder holds one."""
    return bool(matching_files(path, _fits))


def near(path: Path) -> str:
    """What keeps a JSON file from being COCO's, "" where none looks like it."""
    needed = {"images", "annotations", "categories"}
    for file, content in matching_files(path, lambda content: isinstance(content, dict)):
        if len(needed & content.keys()) == 2:
            return f"{file} looks like COCO's, but has no '{min(needed - content.keys())}'"
    return ""


def rows(source: Source) -> Iterator[Row]:
    """A row an image, with an object an annotation; images without annotations are kept.

    A polygon under `segmentation` becomes the smallest oriented rectangle around it, one of four
    corners is kept; without any, `bbox` (x, y, width, height) is taken, turned clockwise about its
    middle by CVAT's `attributes.rotation`. Crowd annotations stand for no single object and are
    left out. Files of captions (`captions_train2017.json`) are added to the images of the others;
    beside `instances*` files further ones of boxes are not read. The split comes from the word
    train, val or test in the file's or its folder's name, else from lists like `splits/test.txt`.
    """
    captions = [pair for pair in matching_files(source.path, _fits) if _captioned(pair[1])]
    for file, content in (*box_files(source.path), *captions):
        source.opens(file)
        pictures = _pictures(content, source)
        is_captions = _captioned(content)
        annotations = _annotations(content, pictures, source)
        outlines: dict[str, list[Outline]] = {}
        crowded: set[str] = set()
        sentences: dict[str, list[str]] = defaultdict(list)
        if is_captions:
            for _, annotation in annotations:
                sentences[annotation.image_id].append((annotation.caption or "").strip())
        else:
            outlines, crowded = _outlines(annotations, _names(content, source), source)
        in_shares = _are_shares(outlines, source)
        entries = content.get("licenses")
        rows_of = source.entries(_Licence, entries if isinstance(entries, list) else (), "licenses")
        licences = {licence.id: licence.name for _, licence in rows_of}
        for picture in pictures.values():
            boxes = outlines.get(picture.id, ())
            yield Row(
                f"{file}: image {picture.id}",
                (picture.file_name,),
                partial(scaled, boxes) if in_shares else boxes,
                captions=sentences[picture.id],
                split=split_in(file),
                size_wh=_size(picture),
                licence=licences.get(picture.license or ""),
                joins=is_captions,
                partial=picture.id in crowded,
            )


def boxed(file: Path, content: Json) -> Boxed:
    """What a file of `box_files` holds, whole.

    Raises:
        AnnotationError: a row is wrong.
    """
    source = Source(file)
    names, pictures = _names(content, source), _pictures(content, source)
    annotations = []
    for where, annotation in _annotations(content, pictures, source):
        with source.row():
            if annotation.category_id not in names or annotation.bbox is None:
                raise AnnotationError(
                    f"{where}: expected a bbox of four numbers and a listed category; correct it."
                )
            annotations.append(annotation)
    source.settle((), strict=True)
    return Boxed(pictures, names, annotations)


def box_files(path: Path) -> list[tuple[Path, Any]]:
    """The files of boxes at a path, with what they hold."""
    boxed = [pair for pair in matching_files(path, _fits) if not _captioned(pair[1])]
    return [pair for pair in boxed if pair[0].name.startswith("instances")] or boxed


def _fits(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    lists = [content.get(key) for key in ("images", "annotations")]
    if not all(isinstance(entries, list) for entries in lists) or not content["images"]:
        return False
    fields = _first_fields(content)
    if "caption" in fields:
        return True
    boxed = not content["annotations"] or bool(fields & {"bbox", "segmentation"})
    return boxed and isinstance(content.get("categories"), list)


def _captioned(content: Json) -> bool:
    return "caption" in _first_fields(content)


def _first_fields(content: Json) -> set[str]:
    """Fields of the first annotations."""
    entries = content["annotations"][:_LOOKED_AT]
    return {field for entry in entries if isinstance(entry, dict) for field in entry}


def _pictures(content: Json, source: Source) -> dict[str, Picture]:
    """The pictures of a file by their ids.

    Raises:
        AnnotationError: two have the same.
    """
    pictures: dict[str, Picture] = {}
    for where, picture in source.entries(Picture, content["images"], "images"):
        if pictures.setdefault(picture.id, picture) is not picture:
            raise AnnotationError(
                f"{where}: two images of the id {picture.id}; give each image an id of its own."
            )
    return pictures


def _names(content: Json, source: Source) -> dict[str, str]:
    """Names of the categories of a file by their ids.

    Raises:
        AnnotationError: two of the same id are called otherwise.
    """
    names: dict[str, str] = {}
    for where, category in source.entries(_Category, content["categories"], "categories"):
        if names.setdefault(category.id, category.name) != category.name:
            raise AnnotationError(
                f"{where}: two categories have this id; give each an id of its own."
            )
    return names


def _annotations(
    content: Json, pictures: dict[str, Picture], source: Source
) -> Iterator[tuple[str, Annotation]]:
    """Where each annotation of a picture stands, and the annotation."""
    for where, annotation in source.entries(Annotation, content["annotations"], "annotations"):
        with source.row():
            if annotation.image_id not in pictures:
                raise AnnotationError(
                    f"{where}: points to image {annotation.image_id}, which is not listed; remove "
                    f"it or list its image."
                )
            yield where, annotation


def _outlines(
    annotations: Iterator[tuple[str, Annotation]], names: dict[str, str], source: Source
) -> tuple[dict[str, list[Outline]], set[str]]:
    """Objects by the ids of their pictures, and the ids of pictures with crowds."""
    outlines: dict[str, list[Outline]] = defaultdict(list)
    crowds: list[str] = []
    empty = 0
    for where, annotation in annotations:
        with source.row():
            name = names.get(annotation.category_id or "")
            if name is None:
                raise AnnotationError(
                    f"{where}: points to category {annotation.category_id}, known are "
                    f"{few([*names], 10)}; add the category."
                )
            if annotation.iscrowd:
                crowds.append(annotation.image_id)
                continue
            corners = _around(annotation.segmentation)
            if corners is None:
                corners = _turned(annotation, where)
                empty += isinstance(annotation.segmentation, list) and annotation.segmentation != []
            outlines[annotation.image_id].append(Outline(corners, name))
    source.count("crowd", len(crowds), "annotations are of crowds")
    bbox_taken = "the bbox beside them is taken"
    source.count("empty outline", empty, "outlines enclose nothing", bbox_taken)
    return outlines, set(crowds)


def _around(segmentation: Any) -> Quad | None:
    """Corners around an outline of one or several parts, None where they enclose nothing."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    points = []
    for part in parts:
        try:
            numbers = np.asarray(part, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            return None
        if len(numbers) >= 6 and len(numbers) % 2 == 0 and (np.abs(numbers) < FARTHEST).all():
            points.append(numbers.reshape(-1, 2))
    if not points:
        return None
    if len(points) == 1 and len(points[0]) == 4:  # four corners are kept, as DOTA's are
        outline = shapely.Polygon(points[0])
        if outline.is_valid and outline.area > 0:
            return points[0]
    rectangle = rectangle_around(np.concatenate(points))
    return rectangle if Boxes(rectangle[None]).areas[0] > 0 else None


def _turned(annotation: Annotation, where: str) -> Quad:
    """Corners of a `bbox`, turned where the annotation says so."""
    if annotation.bbox is None:
        raise AnnotationError(
            f"{where}: expected bbox as four numbers x, y, width, height; correct it."
        )
    x, y, width, height = annotation.bbox
    if width <= 0 or height <= 0:
        raise AnnotationError(
            f"{where}: a box without area; bbox is x, y, width, height, both above 0: were corners "
            f"written instead? Correct or remove it."
        )
    angle = annotation.attributes.rotation if annotation.attributes else None
    if angle:
        middle = (x + width / 2, y + height / 2)
        return Boxes.from_rotated([*middle, width, height, angle]).quads[0]
    return upright(x, y, x + width, y + height)


def _are_shares(outlines: dict[str, list[Outline]], source: Source) -> bool:
    """Whether all boxes of a file are written as shares of width and height."""
    boxes = [outline for of_picture in outlines.values() for outline in of_picture]
    corners = np.array([outline.corners for outline in boxes])
    if not boxes or corners.max() > SHARES or corners.min() < 0:
        return False
    what = f"all {len(boxes)} boxes lie within 0 to 1"
    source.note("shares", what, "read as shares of width and height", len(boxes))
    return True


def _size(picture: Picture) -> Size:
    if not picture.width or not picture.height:
        return UNMEASURED
    return int(picture.width), int(picture.height)
