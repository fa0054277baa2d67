"""Label files: a text file of boxes for each picture, in a folder beside the pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from swath.annotations import tables
from swath.annotations.finding_pictures import (
    absolute,
    few,
    files_below,
    is_picture,
    pictures_below,
    subfolders,
)
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS
from swath.errors import AnnotationError

_LOOKED_AT = 20  # label files and lines in them by which a format is told

Pair = tuple[Path, Path, str | None]  # folders of pictures and of labels, and their split


def first_fields(path: Path, folder: str) -> Iterator[tuple[str, list[str]]]:
    """Where the first lines of a set's first label files stand, and their fields.

    Args:
        folder: name of the folders that hold label files.
    """
    if not path.is_dir():
        return
    for _, labels, _ in _pairs(absolute(path), folder):
        for file in islice(_label_files(labels), _LOOKED_AT):
            yield from islice(lines_of(file), _LOOKED_AT)


def without_pictures(path: Path, folder: str) -> str:
    """What keeps a folder of label files from being read, "" where there is none of that name."""
    labels = next(iter(sorted(path.glob(f"**/{folder}"))), None)
    if labels is None or (labels.parent / "images").is_dir():
        return ""
    return f"{labels} looks like a folder of label files, but there is no 'images' beside it"


def labelled(source: Source, folder: str) -> Iterator[tuple[Path, Path | None, str | None]]:
    """Each picture with its label file, None where it has none, and its split where one is given.

    Understands `ROOT/images` beside `ROOT/<folder>`, both also in `ROOT/<split>`, and split folders
    inside both.

    Args:
        folder: name of the folders that hold label files.

    Raises:
        AnnotationError: two pictures share a label file.
    """
    for images, labels, split in _pairs(source.root, folder, source):
        used = 0
        place, names = images, dict[str, str]()  # names of one folder at a time are held
        for picture in filter(is_picture, files_below(images)):
            if picture.parent != place:
                place, names = picture.parent, {}
            stem = picture.stem
            if stem in names:
                raise AnnotationError(
                    f"{picture}: shares its labels with {names[stem]}; "
                    f"remove or rename one of them."
                )
            names[stem] = picture.name
            inside = place.relative_to(images)
            file = labels / inside / f"{stem}.txt"
            there = stem != "classes" and file.is_file()
            used += there
            inner = SPLITS.get(inside.parts[0].lower()) if inside.parts else None
            yield picture, file if there else None, split or inner
        _refuse_lone_labels(images, labels, used, source)


def lines_of(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Fields of each line that is not empty, and where it stands, as file:line."""
    for where, line in tables.lines_of(file):
        yield where, line.split()


def _refuse_lone_labels(images: Path, labels: Path, used: int, source: Source) -> None:
    """Name the label files that no picture is beside."""
    total = sum(1 for _ in _label_files(labels))
    if total == used:
        return
    pictures = {path.relative_to(images).with_suffix("") for path in pictures_below(images)}
    alone = [
        str(file)
        for file in _label_files(labels)
        if file.relative_to(labels).with_suffix("") not in pictures
    ]
    if alone:
        source.opens(labels)
        source.refuse(
            AnnotationError(
                f"{labels}: {len(alone)} of {total} label files have no picture in {images}: "
                f"{few(alone)}; put the pictures there, or remove the files."
            )
        )


def _pairs(root: Path, folder: str, source: Source | None = None) -> Iterator[Pair]:
    """Folders of pictures, of their labels, and the split that both are.

    DOTA unpacks to `images/images` and `labelTxt-v1.5/DOTA-v1.5_train`, with upright boxes in
    folders of other names; the newest version of the labels counts. MMRotate cuts to `annfiles`.
    """
    bases = [root, *(path for path in subfolders(root) if path.name.lower() in SPLITS)]
    for base in bases:
        images = base / "images"
        if (images / "images").is_dir():
            images = images / "images"
        versions = [base / folder] if (base / folder).is_dir() else []
        if folder == "labelTxt" and not versions:
            starts = ("annfiles", folder)
            versions = [path for path in subfolders(base) if path.name.startswith(starts)]
        if not images.is_dir() or not versions:
            continue
        if len(versions) > 1 and source is not None:
            *older, newest = (path.name for path in versions)
            what = f"{few(older)} and {newest}"
            source.note("two annotations", what, "the last is read", where=base)
        split = None if base == root else SPLITS[base.name.lower()]
        yield images, _innermost(versions[-1], images), split


def _innermost(labels: Path, images: Path) -> Path:
    """Where the label files of a folder lie: in it, or in the one folder in it for them."""
    if not labels.name.startswith("labelTxt") or any(labels.glob("*.txt")):
        return labels
    inner = [
        path
        for path in subfolders(labels)
        if not re.search("hbb|reclabel", path.name, re.IGNORECASE)
    ]
    if len(inner) == 1 and not (images / inner[0].name).is_dir():
        return inner[0]
    return labels


def _label_files(labels: Path) -> Iterator[Path]:
    # labelImg writes its list of classes among the labels.
    return (
        file
        for file in files_below(labels)
        if file.suffix == ".txt" and file.name != "classes.txt" and not file.name.startswith(".")
    )
