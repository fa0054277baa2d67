"""Readers: one row a format; `read` turns a folder or file of any of them into images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.annotations import captions, coco, dota, folders, questions, rows, yolo
from swath.annotations.image import AnnotatedImage
from swath.annotations.pictures import Unreadable, few, measured, pictures_below
from swath.errors import AnnotationError
from swath.registry import Registry


@dataclass(frozen=True)
class Reader:
    """One format of annotations.

    Args:
        name: what a recipe calls it.
        recognises: whether a folder or file is of this format.
        read: the images in it, sizes left `UNMEASURED` or as the annotations claim.
        says: what the format looks like, for the error when none fits.
    """

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], list[AnnotatedImage]]
    says: str


READERS: Registry[Reader] = Registry("reader", "swath.readers")
"""Formats in the order they are tried: the first that fits says most about the pictures."""

for _row in (
    Reader(
        "captions",
        captions.recognises,
        captions.read,
        "a caption JSON with its pictures beside it or in images/",
    ),
    Reader(
        "coco",
        coco.recognises,
        coco.read,
        "a COCO JSON of boxes, also in annotations/ or as <split>/_annotations.coco.json",
    ),
    Reader(
        "yolo",
        yolo.recognises,
        yolo.read,
        "images/ beside labels/ with a YOLO text file a picture, also in train/, val/ and test/",
    ),
    Reader(
        "dota",
        dota.recognises,
        dota.read,
        "images/ beside labelTxt/ with a DOTA text file a picture, also in train/, val/ and test/",
    ),
    Reader(
        "rows",
        rows.recognises,
        rows.read,
        "a CSV, JSON or JSONL table of image, video or frames with caption, question and answer",
    ),
    Reader(
        "folders",
        folders.recognises,
        folders.read,
        "one folder of pictures a class, also below images/ or train/, val/ and test/",
    ),
    Reader(
        "questions",
        questions.recognises,
        questions.read,
        "a text file of lines `picture:question?answer` with its pictures beside it",
    ),
):
    READERS.add(_row.name, _row)


def recognise(path: Path | str) -> Reader:
    """The first reader that knows the format of a folder or file.

    Raises:
        AnnotationError: there is nothing at `path`, it holds no pictures, or no reader knows it.
    """
    path = Path(path)
    if not path.exists():
        raise AnnotationError(f"{path}: no such folder or file; check the path.")
    for _, reader in READERS.items():
        if reader.recognises(path):
            return reader
    if path.is_dir() and not pictures_below(path):
        raise AnnotationError(
            f"{path}: holds no images, found {_found(path)}; is it the folder you meant?"
        )
    formats = "; ".join(f"{name}: {reader.says}" for name, reader in READERS.items())
    raise AnnotationError(f"{path}: expected one of ({formats}), found {_found(path)}.")


def read(
    path: Path | str,
    format: str = "auto",
    unreadable: Unreadable = "refuse",
    frames: int = 8,
) -> list[AnnotatedImage]:
    """The annotated images of a folder or file, each with its size in pixels.

    Questions in RSIVQA's text beside any format are added to its images.

    Args:
        path: a folder, or the annotation file itself.
        format: a reader's name, or "auto" to recognise it.
        unreadable: whether a picture that cannot be opened is refused or left out; a damaged
            one whose header is sound is found by `lint`.
        frames: how many are taken of a clip, evenly spaced.

    Raises:
        AnnotationError: the format is not recognised, or the annotations are wrong.
        RequestError: there is no reader of that name.
    """
    path = Path(path)
    if format == "auto":
        reader = recognise(path)
    else:
        reader = READERS.get(format)
        if not path.exists():
            raise AnnotationError(f"{path}: no such folder or file; check the path.")
    images = reader.read(path)
    if not images:
        raise AnnotationError(
            f"{path}: holds no images that the reader '{reader.name}' understands, which expects "
            f"{reader.says}; found {_found(path)}."
        )
    if path.is_dir():
        images = questions.with_questions(images, path)
    return measured(images, unreadable, frames)


def check_classes(images: Sequence[AnnotatedImage]) -> None:
    """Check that there is something to tell apart.

    Raises:
        AnnotationError: the images have no scene class, or all the same one.
    """
    labels = {image.label for image in images if image.label is not None}
    if not labels:
        raise AnnotationError(
            f"none of {len(images)} images has a scene class; "
            f"put each class's pictures in a folder of its name."
        )
    if len(labels) == 1:
        raise AnnotationError(
            f"one class only ('{labels.pop()}'): there is nothing to tell apart; classification "
            f"needs at least two, each in a folder of its name."
        )


def _found(path: Path) -> str:
    """What a path holds, in words."""
    if path.is_file():
        return f"a file '{path.name}'"
    entries = sorted(path.iterdir())
    if not entries:
        return "an empty folder"
    files = Counter(entry.suffix.lower() or entry.name for entry in entries if entry.is_file())
    inner = [f"{entry.name}/" for entry in entries if entry.is_dir()]
    parts = [f"{count} {suffix}" for suffix, count in files.most_common(3)]
    listed = few([*inner[:4], *parts], 6)
    return f"{listed}: {len(pictures_below(path))} images in all"
