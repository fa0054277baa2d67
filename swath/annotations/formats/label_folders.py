"""Label files: a text file of boxes for each picture, in a folder beside the pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import (
    SPLITS,
    absolute,
    few,
    files_below,
    is_picture,
    official_splits,
    pictures_below,
    read_text,
    subfolders,
)
from swath.annotations.notes import note
from swath.errors import AnnotationError


def first_fields(path: Path, folder: str) -> list[str]:
    """Fields of the first line in any label file of a set, none where there are no label files.

    Args:
        path: the set's folder.
        folder: name of the folders that hold label files.
    """
    for _, labels, _ in _pairs(path, folder):
        for file in _label_files(labels):
            for _, fields in lines_of(file):
                return fields
    return []


def labelled(root: Path, folder: str) -> Iterator[tuple[Path, Path | None, str | None]]:
    """Each picture with its label file, None where it has none, and its split where one is given.

    Understands `ROOT/images` beside `ROOT/<folder>`, both also in `ROOT/<split>`, and split folders
    inside both; lists like `ROOT/splits/test.txt` set the split too.

    Args:
        root: the set's folder, absolute.
        folder: name of the folders that hold label files.

    Raises:
        AnnotationError: a label file has no picture, or two pictures share one.
    """
    listed = official_splits(root)
    for images, labels, split in _pairs(root, folder):
        here, beside, inner, used = images, labels, None, 0
        taken: dict[str, str] = {}  # names of one folder at a time are held
        for picture in filter(is_picture, files_below(images)):
            if (parent := picture.parent) != here:
                here, taken, inside = parent, {}, parent.relative_to(images)
                beside = labels / inside
                inner = SPLITS.get(inside.parts[0].lower()) if inside.parts else None
            if (stem := picture.stem) in taken:
                raise AnnotationError(
                    f"{picture}: shares its labels with {taken[stem]}; "
                    f"remove or rename one of them."
                )
            taken[stem] = picture.name
            file = beside / f"{stem}.txt"
            there = stem != "classes" and file.is_file()
            used += there
            yield picture, file if there else None, split or inner or listed(picture)
        total = sum(1 for _ in _label_files(labels))
        if total > used:
            names = {one.relative_to(images).with_suffix("") for one in pictures_below(images)}
            alone = [str(file) for file in _label_files(labels)
                     if file.relative_to(labels).with_suffix("") not in names]  # fmt: skip
            raise AnnotationError(
                f"{labels}: {len(alone)} of {total} label files have no picture in {images}: "
                f"{few(alone)}; put the pictures there, or remove the files."
            )


def lines_of(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Fields of each line that is not empty, and where it stands, as file:line."""
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip():
            yield f"{file}:{number}", line.split()


def numbers(fields: list[str], where: str) -> list[float]:
    """The fields as numbers.

    Raises:
        AnnotationError: one is none, or not finite.
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise AnnotationError(
            f"{where}: expected numbers, got '{' '.join(fields)}'; correct the line."
        )
    return values


def _pairs(root: Path, folder: str) -> Iterator[tuple[Path, Path, str | None]]:
    """Folders of pictures, of their labels, and the split that both are.

    DOTA unpacks to `images/images` and `labelTxt-v1.5/DOTA-v1.5_train`, with upright boxes in
    folders of other names; the newest version of the labels counts. MMRotate cuts to `annfiles`.
    """
    root = absolute(root)
    if not root.is_dir():
        return
    inner = [path for path in subfolders(root) if path.name.lower() in SPLITS]
    for base in (root, *inner):
        images = base / "images"
        images = images / "images" if (images / "images").is_dir() else images
        found = [base / folder] if (base / folder).is_dir() else []
        if folder == "labelTxt" and not found and base.is_dir():
            found = [one for one in subfolders(base) if one.name.startswith(("annfiles", folder))]
            if len(found) > 1:
                *others, last = (path.name for path in found)
                note("two annotations", base, f"{few(others)} and {last}", "the last is read")
        if images.is_dir() and found:
            labels = found[-1]
            if folder == "labelTxt" and not any(labels.glob("*.txt")):
                inner = [path for path in subfolders(labels)
                         if not re.search("hbb|reclabel", path.name, re.I)]  # fmt: skip
                if len(inner) == 1 and not (images / inner[0].name).is_dir():
                    labels = inner[0]
            yield images, labels, None if base == root else SPLITS[base.name.lower()]


def _label_files(labels: Path) -> Iterator[Path]:
    # labelImg writes its list of classes among the labels.
    return (
        file
        for file in files_below(labels)
        if file.suffix == ".txt" and file.name != "classes.txt" and not file.name.startswith(".")
    )
