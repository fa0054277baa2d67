"""XML files of boxes, one a picture: Pascal VOC, DIOR, DIOR-RSVG and FAIR1M."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.annotations.finding_pictures import (
    SPLITS,
    UNMEASURED,
    PictureFinder,
    absolute,
    files_below,
    image_id,
    official_splits,
    read_text,
    refuse_repeats,
)
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note
from swath.annotations.parsing import OBJECT, objects, some_objects
from swath.annotations.tables import load_xml
from swath.boxes import Boxes, rectangle_around
from swath.errors import AnnotationError

Find = Callable[[str, Path], Path | str | None]

_CORNERS = [
    f"robndbox/{axis}_{corner}"
    for corner in ("left_top", "right_top", "right_bottom", "left_bottom")
    for axis in "xy"
]


def recognises(path: Path) -> bool:
    """Whether a folder holds XML files of annotations, or a file is one."""
    return any(_holds(load_xml(file)) for file in xml_files(path)[:3])


def read(path: Path) -> list[AnnotatedImage]:
    """One image an XML file; pictures without one are left out.

    Boxes are `bndbox`, DIOR's oriented `robndbox` or FAIR1M's `points`, as the file writes them;
    of a picture with both an upright and an oriented file the oriented one counts. The split comes
    from lists like `ImageSets/Main/test.txt`, or folders `train`, `val` and `test`. Lists
    `train.txt`, `val.txt` and `test.txt` of numbers beside the XML files or in `split` are
    DIOR-RSVG's, which splits by expression: a picture whose expressions lie in two splits is given
    once for each, as `00001@test`, of one scene.

    Raises:
        AnnotationError: a file is damaged, or its picture is missing.
    """
    files = xml_files(path)
    root = absolute(path if path.is_dir() else path.parent)
    finder, listed = PictureFinder(root, files[0]), official_splits(root)
    splits = expression_splits(root)
    oriented = [file for file in files if "oriented" in file.parent.name.lower()]
    if oriented and len(oriented) < len(files):
        note("two annotations", root, "has upright and oriented boxes", "the oriented are read")
    images: list[AnnotatedImage] = []
    number = 0
    for tree, image in annotated(oriented or files, finder.find):
        picture = Path(image.path)
        if splits:
            numbers = range(number, number + len(image.boxes))
            if image.path:
                images += _by_split(image, [splits.get(one) for one in numbers])
            number += len(image.boxes)
        elif image.path:
            split = listed(picture) or SPLITS.get(tree.findtext("split", "").lower())
            if split is None:  # FAIR1M's train/part1/images and validation/images
                inside = (part.lower() for part in picture.relative_to(root).parts[:-1])
                split = next((SPLITS[part] for part in inside if part in SPLITS), None)
            images.append(
                replace(image, id=image_id(picture, root), scene=image_id(picture, root),
                        source=root.name, split=split)
            )  # fmt: skip
    finder.refuse_missing(len(files))
    refuse_repeats(images, root)
    bare = len({*map(str, finder.pictures)} - {image.path for image in images})
    if bare and path.is_dir():
        note("not annotated", root, f"{bare} pictures have no XML file", "they are left out")
    return [replace(image, source=root.name) for image in images]


def annotated(files: list[Path], find: Find) -> Iterator[tuple[Xml.Element, AnnotatedImage]]:
    """The root of each file and its annotated image, whose path is what `find` gives, or "".

    Raises:
        AnnotationError: a file lacks what a box needs.
    """
    for file in files:
        tree = load_xml(file)
        if not _holds(tree):
            continue
        named = tree.findtext("filename") or tree.findtext("source/filename") or file.stem
        found = [*tree.findall("object"), *tree.findall("objects/object")]
        try:
            rows = [(_quad(one), _name(one), _phrase(one)) for one in found]
            size = [int(float(tree.findtext(f"size/{key}") or 0)) for key in ("width", "height")]
            blank = [place for place, one in enumerate(found, 1)
                     if (said := one.find("description")) is not None
                     and not (said.text or "").strip()]  # fmt: skip
        except ValueError as error:
            raise AnnotationError(
                f"{file}: not Pascal VOC, DIOR or FAIR1M ({error}); copy it again."
            ) from None
        yield (
            tree,
            AnnotatedImage(
                id=file.stem,
                path=str(find(named.strip(), file) or ""),
                size_wh=(size[0], size[1]) if all(size) else UNMEASURED,
                **objects(rows),
                faults=tuple(
                    ("empty caption", f"object {place} has a description of no words")
                    for place in blank
                ),
            ),
        )  # fmt: skip


def expression_splits(root: Path) -> dict[int, str]:
    """Split of each object's number over all XML files by path, {} where no list tells.

    Raises:
        AnnotationError: a number is in two lists.
    """
    found: dict[int, str] = {}
    for split in ("train", "val", "test"):
        places = (folder / f"{split}.txt" for folder in (root, root / "split"))
        file = next((one for one in places if one.is_file()), None)
        words = read_text(file).split() if file else []
        if all(word.isdecimal() and str(int(word)) == word for word in words):  # 00001 is a name
            for number in map(int, words):
                if found.setdefault(number, split) != split:
                    raise AnnotationError(f"{file}: {number} is in the {found[number]} list too.")
    return found


def xml_files(path: Path) -> list[Path]:
    """The file, or the XML files below a folder by path, as DIOR-RSVG numbers their objects."""
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".xml" else []
    inside = files_below(path, ".xml")
    return sorted(file for file in inside if not file.name.endswith(".aux.xml"))


def _by_split(image: AnnotatedImage, splits: list[str | None]) -> Iterator[AnnotatedImage]:
    places: dict[str | None, list[int]] = defaultdict(list)
    for place, split in enumerate(splits):
        places[split].append(place)
    places.pop(None, None)
    for split, rows in places.items():
        own = image.id if len(places) == 1 else f"{image.id}@{split}"
        yield some_objects(image, rows, id=own, split=split)


def _holds(tree: Xml.Element) -> bool:
    return tree.tag == "annotation"


def _name(one: Xml.Element) -> str:
    name = one.findtext("name") or one.findtext("possibleresult/name") or ""
    return name.strip() or OBJECT


def _phrase(one: Xml.Element) -> str | None:
    said = " ".join((one.findtext("description") or "").split())
    return said if said and said.lower() != "none" else None  # FAIR1M writes "None" in each


def _quad(one: Xml.Element) -> NDArray[np.float64]:
    """Corners of an object."""
    if one.find("robndbox") is not None:
        return np.array([_number(one, key) for key in _CORNERS]).reshape(4, 2)
    if points := [node.text or "" for node in one.findall("points/point")]:
        corners = np.array([[float(word) for word in text.split(",")] for text in points])
        return corners[:4] if len(corners) in (4, 5) else rectangle_around(corners)
    x1, y1, x2, y2 = (_number(one, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
    return Boxes.from_hbb([x1, y1, x2, y2]).quads[0]


def _number(one: Xml.Element, key: str) -> float:
    text = one.findtext(key)
    if text is None:
        raise ValueError(f"an object lacks {key}")
    return float(text)
