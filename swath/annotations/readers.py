"""Readers: one row a format; `read` turns a folder or file of any of them into images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from swath.annotations.finding_pictures import Unreadable, absolute, few, measured, pictures_below
from swath.annotations.formats import (
    captions,
    coco,
    dota,
    folders,
    grounded,
    llava,
    masks,
    rsvqa,
    vectors,
    voc,
    xbd,
    yolo,
)
from swath.annotations.formats import rsivqa as questions
from swath.annotations.formats import table as rows
from swath.annotations.image import AnnotatedImage, whole_lists
from swath.annotations.licences import ABOUT
from swath.annotations.notes import files_used, note
from swath.annotations.tables import TABLES, forget, table_files
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
        stream: the images one at a time, where the format can be read so.
        partial: whether boxes may leave out objects of their classes.
        unpacks: whether `read` takes, as `pictures`, a folder for pictures held in the rows.
    """

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[..., list[AnnotatedImage]]
    says: str
    partial: bool = False
    unpacks: bool = False
    stream: Callable[[Path], Iterator[AnnotatedImage]] | None = None


_MASKS = {"masks", "label", "labels", "targets", "segmentationclass", "segmentationobject"}
"""Folders of pictures that annotate others."""


def _of(module: ModuleType, says: str, **more: Any) -> Reader:
    """The reader that a module is."""
    name = module.__name__.rpartition(".")[2]
    return Reader(name, module.recognises, module.read, says, **more)


_ROWS = (
    _of(xbd, "<place>_pre_disaster.json and <place>_post_disaster.json and their pictures"),
    _of(rsvqa, "<name>_split_<split>_questions.json and _answers.json and pictures <id>.tif"),
    _of(
        grounded,
        "a JSON a picture: VRSBench's objects, or a GeoPixelD caption with polygons",
        partial=True,
    ),
    _of(
        llava,
        "LLaVA JSON (image, conversations), or JSON Lines of OpenAI's and Mistral's messages",
        partial=True,
        unpacks=True,
    ),
    _of(
        captions, "a caption JSON with its pictures beside it or in images/", stream=captions.stream
    ),
    _of(coco, "a COCO JSON of boxes, also in annotations/ or as <split>/_annotations.coco.json"),
    _of(voc, "an XML file of boxes a picture: Pascal VOC, DIOR, DIOR-RSVG or FAIR1M"),
    _of(
        yolo,
        "images/ beside labels/ with a YOLO text file a picture, also in train/, val/ and test/",
    ),
    _of(
        dota,
        "images/ beside labelTxt/ with a DOTA text file a picture, also in train/, val/ and test/",
        stream=dota.stream,
    ),
    _of(masks, "A/, B/ and label/ with change masks, or images/ beside masks/ of classes"),
    _of(vectors, "a GeoJSON, GeoPackage or Shapefile beside the rasters it lies on"),
    _of(
        rows,
        "a CSV, JSON or JSONL table of image, video or frames with caption, question or box",
        stream=rows.stream,
    ),
    _of(
        folders,
        "one folder of pictures or clips a class, also below images/ or train/, val/ and test/",
    ),
    Reader(
        "classes",
        rows.recognises_classes,
        rows.read,
        "a CSV, JSON or JSONL table of image and label",
    ),
    _of(questions, "a text file of lines `picture:question?answer` with its pictures beside it"),
)

READERS: Registry[Reader] = Registry("reader", "swath.readers", {row.name: row for row in _ROWS})
"""Formats in the order they are tried: the first that fits says most about the pictures."""


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
    raise AnnotationError(
        f"{path}: found {_found(path)}, which is none of the formats swath reads: "
        f"{', '.join(name for name, _ in READERS.items())}; docs/formats shows what each looks "
        f"like. Most simply put each class's pictures in a folder of its name."
    )


def read(
    path: Path | str,
    format: str = "auto",
    unreadable: Unreadable = "refuse",
    frames: int = 8,
    pictures: Path | None = None,
) -> list[AnnotatedImage]:
    """The annotated images of a folder or file, each with its size in pixels.

    Questions in RSIVQA's text beside any format are added to its images.

    Args:
        path: a folder, or the annotation file itself.
        format: a reader's name, or "auto" to recognise it.
        unreadable: whether a picture that cannot be opened is refused or left out; a damaged
            one whose header is sound is found by `lint`.
        frames: how many are taken of a clip, evenly spaced.
        pictures: folder that pictures held in the rows (data URLs) are written to.

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
    with files_used() as used:
        images = reader.read(path, pictures) if reader.unpacks else reader.read(path)
    forget()
    if not images:
        raise AnnotationError(
            f"{path}: holds no images that the reader '{reader.name}' understands, which expects "
            f"{reader.says}; found {_found(path)}."
        )
    if path.is_dir():
        tables = table_files(path, (*TABLES, *vectors.SUFFIXES))
        left = [one.name for one in tables if one.absolute() not in used and one.name not in ABOUT]
        if left:
            what = f"{few(left)}: '{reader.name}' does not read {'them' if len(left) > 1 else 'it'}"
            note("file not read", path, what, "left out; it may be a source of its own", len(left))
        if reader.name not in {"masks", "questions", "voc"}:  # which say it in words of their own
            _name_bare(path, images)
        images = questions.with_questions(images, path)
    images = measured(images, unreadable, frames)
    # Boxes with phrases are what those phrases are about, not all there is.
    phrased = any(phrase for image in images for phrase in image.phrases)
    return images if reader.partial or phrased else whole_lists(images)


def stream(path: Path | str, format: str = "auto") -> Iterator[AnnotatedImage]:
    """The images as they are read, sizes `UNMEASURED` or as claimed, without holding them.

    Formats that cannot be read piece by piece are held whole, as `read` does; questions beside
    the format and the check that each image has an id of its own are left out.

    Raises:
        AnnotationError: the format is not recognised, or the annotations are wrong.
        RequestError: there is no reader of that name.
    """
    reader = recognise(path) if format == "auto" else READERS.get(format)
    return (reader.stream or (lambda place: iter(reader.read(place))))(Path(path))


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


def _name_bare(path: Path, images: Sequence[AnnotatedImage]) -> None:
    """Note the pictures of a folder that no annotation is about."""
    shown = {frame for image in images for frame in image.frames or (image.path,)}
    below = (one for one in pictures_below(absolute(path)) if one.parent.name.lower() not in _MASKS)
    if bare := [one.name for one in below if str(one) not in shown]:
        what = f"no annotation is about {len(bare)} pictures: {few(bare)}"
        note("not annotated", path, what, "left out", len(bare))


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
