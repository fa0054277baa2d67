"""XML files of boxes, one a picture: Pascal VOC, DIOR, DIOR-RSVG, FAIR1M and roLabelImg."""

from __future__ import annotations

import math
import xml.etree.ElementTree as Xml
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, files_below, shown
from swath.annotations.image import AnnotatedImage
from swath.annotations.parsing import (
    OBJECT,
    Outline,
    Quad,
    Row,
    Size,
    corners_of,
    numbers_in,
    objects,
    upright,
)
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS, split_of_folders
from swath.annotations.tables import Refuse, load_xml, read_text, refuse
from swath.boxes import Boxes
from swath.errors import AnnotationError

_CORNERS = [
    f"robndbox/{axis}_{corner}"
    for corner in ("left_top", "right_top", "right_bottom", "left_bottom")
    for axis in "xy"
]
_TURNED = [f"robndbox/{key}" for key in ("cx", "cy", "w", "h", "angle")]
_UPRIGHT = [f"bndbox/{key}" for key in ("xmin", "ymin", "xmax", "ymax")]
_LOOKED_AT = 3  # files by which the format is told


@dataclass(frozen=True)
class Annotation:
    """What an XML file says of its picture.

    Args:
        name: of the picture's file.
        size_wh: of the picture, `UNMEASURED` where it is not said.
        outlines: its objects, None for one that is wrong.
        split: as the file says, None where it does not.
        faults: kind and words of what is wrong with it.
    """

    name: str
    size_wh: Size
    outlines: Sequence[Outline | None]
    split: str | None
    faults: Sequence[tuple[str, str]]


def recognises(path: Path) -> bool:
    """Whether a folder holds XML files of annotations, or a file is one."""
    return any(_holds(load_xml(file)) for file in xml_files(path)[:_LOOKED_AT])


def near(path: Path) -> str:
    """What keeps the first XML file from being one of boxes, "" where there is none."""
    for file in xml_files(path)[:1]:
        return f"{file} is XML of <{shown(load_xml(file).tag)}>, and boxes stand in <annotation>"
    return ""


def rows(source: Source) -> Iterator[Row]:
    """A row an XML file; pictures without one are left out.

    Boxes are `bndbox`, `robndbox` as DIOR (corners) or roLabelImg (middle, size and angle in
    radians, clockwise) writes it, or FAIR1M's `points`; of a picture with both an upright and an
    oriented file the oriented one counts. The split comes from lists like
    `ImageSets/Main/test.txt`, or folders `train`, `val` and `test`. Lists `train.txt`, `val.txt`
    and `test.txt` of numbers beside the XML files or in `split` are DIOR-RSVG's, which splits by
    expression: a picture whose expressions lie in two splits is given once for each, as
    `00001@test`, of one scene.
    """
    files = xml_files(source.path)
    oriented = [file for file in files if "oriented" in file.parent.name.lower()]
    if oriented and len(oriented) < len(files):
        what = "has upright and oriented boxes"
        source.note("two annotations", what, "the oriented are read", where=source.root)
    splits = expression_splits(source.root)
    number = 0
    for file in oriented or files:
        source.opens(file)
        if splits:
            annotation = parsed(file, source.refuse)  # to leave a file out would shift the numbers
            if annotation is not None:
                yield from _by_split(annotation, file, splits, number)
                number += len(annotation.outlines)
            continue
        with source.row():
            annotation = parsed(file, source.refuse)
            if annotation is not None:
                split = annotation.split or split_of_folders(file, source.root)
                yield _row(annotation, file, annotation.outlines, other_split=split)


def _by_split(
    annotation: Annotation, file: Path, splits: dict[int, str], number: int
) -> Iterator[Row]:
    """A row for each split that expressions of a picture lie in, the first of that number."""
    outlines: dict[str, list[Outline | None]] = defaultdict(list)
    for place, outline in enumerate(annotation.outlines, number):
        if place in splits:
            outlines[splits[place]].append(outline)
    for split, of_split in outlines.items():
        name = file.stem if len(outlines) == 1 else f"{file.stem}@{split}"
        yield _row(annotation, file, of_split, split=split, id=name, scene=file.stem)


def _row(
    annotation: Annotation, file: Path, outlines: Sequence[Outline | None], **fields: Any
) -> Row:
    return Row(
        str(file),
        (annotation.name,),
        [outline for outline in outlines if outline is not None],
        size_wh=annotation.size_wh,
        faults=annotation.faults,
        **fields,
    )


def annotated(files: Sequence[Path], find: Callable[[str], str]) -> Iterator[AnnotatedImage]:
    """The annotated image of each file, its picture where `find` says it is.

    Raises:
        AnnotationError: a file lacks what a box needs.
    """
    for file in files:
        annotation = parsed(file)
        if annotation is not None:
            outlines = [outline for outline in annotation.outlines if outline is not None]
            picture, size = find(annotation.name), annotation.size_wh
            yield AnnotatedImage(file.stem, picture, size, **objects(outlines))


def parsed(file: Path, refuse: Refuse = refuse) -> Annotation | None:
    """What a file says, None where it is XML of another kind.

    Raises:
        AnnotationError: it is damaged; or an object lacks what a box needs, and `refuse` raises it.
    """
    tree = load_xml(file)
    if not _holds(tree):
        return None
    name = tree.findtext("filename") or tree.findtext("source/filename") or file.stem
    outlines: list[Outline | None] = []
    faults = []
    for number, thing in enumerate([*tree.findall("object"), *tree.findall("objects/object")], 1):
        description = thing.find("description")
        if description is not None and not (description.text or "").strip():
            faults.append(("empty caption", f"object {number} has a description of no words"))
        try:
            corners = _corners(thing, f"{file}: object {number}")
            outlines.append(Outline(corners, _name(thing), _phrase(thing)))
        except AnnotationError as error:
            refuse(error)
            outlines.append(None)
    return Annotation(
        name.strip(),
        _size(tree, str(file)),
        outlines,
        SPLITS.get(tree.findtext("split", "").lower()),
        faults,
    )


def expression_splits(root: Path) -> dict[int, str]:
    """Split of each object's number over all XML files by path, {} where no list tells.

    Raises:
        AnnotationError: a number is in two lists.
    """
    splits: dict[int, str] = {}
    for split in ("train", "val", "test"):
        places = (folder / f"{split}.txt" for folder in (root, root / "split"))
        file = next((place for place in places if place.is_file()), None)
        words = read_text(file).split() if file else []
        if not all(word.isdecimal() and str(int(word)) == word for word in words):
            continue  # 00001 is a name
        for number in map(int, words):
            if splits.setdefault(number, split) != split:
                raise AnnotationError(f"{file}: {number} is in the {splits[number]} list too.")
    return splits


def xml_files(path: Path) -> list[Path]:
    """The file, or the XML files below a folder by path, as DIOR-RSVG numbers their objects."""
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".xml" else []
    return sorted(file for file in files_below(path, ".xml") if not file.name.endswith(".aux.xml"))


def _holds(tree: Xml.Element) -> bool:
    return tree.tag == "annotation"


def _name(thing: Xml.Element) -> str:
    name = thing.findtext("name") or thing.findtext("possibleresult/name") or ""
    return name.strip() or OBJECT


def _phrase(thing: Xml.Element) -> str | None:
    phrase = " ".join((thing.findtext("description") or "").split())
    return phrase if phrase and phrase.lower() != "none" else None  # FAIR1M writes "None" in each


def _size(tree: Xml.Element, where: str) -> Size:
    texts = [tree.findtext(f"size/{side}") or "0" for side in ("width", "height")]
    width, height = numbers_in(texts, where)
    return (int(width), int(height)) if width and height else UNMEASURED


def _corners(thing: Xml.Element, where: str) -> Quad:
    """Corners of an object."""
    if thing.find("robndbox/cx") is not None:
        x, y, width, height, angle = _numbers(thing, _TURNED, where)
        if abs(angle) > 2 * math.pi:
            raise AnnotationError(
                f"{where}: an angle of {angle:g}, where radians stand; divide degrees by 57.3."
            )
        return Boxes.from_rotated([x, y, width, height, math.degrees(angle)]).quads[0]
    if thing.find("robndbox") is not None:
        return corners_of(_numbers(thing, _CORNERS, where), where)
    points = [node.text or "" for node in thing.findall("points/point")]
    if points:
        numbers = numbers_in(",".join(points).split(","), where)
        closed = len(points) == 5 and numbers[:2] == numbers[-2:]
        return corners_of(numbers[:8] if closed else numbers, where)
    return upright(*_numbers(thing, _UPRIGHT, where))


def _numbers(thing: Xml.Element, keys: Sequence[str], where: str) -> list[float]:
    texts = [thing.findtext(key) for key in keys]
    if None in texts:
        raise AnnotationError(
            f"{where}: lacks {keys[texts.index(None)]}; is this Pascal VOC, DIOR or FAIR1M?"
        )
    return numbers_in([text or "" for text in texts], where)
