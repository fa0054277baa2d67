"""Readers: one row a format; `read` turns a folder or file of any of them into images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Literal

from swath.annotations.finding_pictures import few, measured, pictures_below
from swath.annotations.finding_pictures import unreadable as refusal
from swath.annotations.findings import Finding
from swath.annotations.formats import (
    captions,
    coco,
    dota,
    folders,
    grounded,
    llava,
    masks,
    rsivqa,
    rsvqa,
    table,
    vectors,
    voc,
    xbd,
    yolo,
)
from swath.annotations.image import AnnotatedImage, Images
from swath.annotations.licences import ABOUT
from swath.annotations.parsing import Row
from swath.annotations.source import Source
from swath.annotations.tables import TABLES, forget, table_files
from swath.errors import AnnotationError
from swath.registry import Registry


@dataclass(frozen=True)
class Reader:
    """One format of annotations.

    Args:
        name: what a recipe calls it.
        recognises: whether a folder or file is of this format.
        rows: what each row of the format says of its picture.
        says: what the format looks like, for the error when none fits.
        partial: whether boxes may leave out objects of their classes.
        near: what keeps a folder or file that looks like the format from being it; "" where
            nothing looks like it.
    """

    name: str
    recognises: Callable[[Path], bool]
    rows: Callable[[Source], Iterator[Row]]
    says: str
    partial: bool = False
    near: Callable[[Path], str] = lambda path: ""


@dataclass(frozen=True)
class Reading:
    """What a folder or file holds.

    Args:
        images: each with its size in pixels.
        findings: what was left out, chosen or not understood.
    """

    images: list[AnnotatedImage]
    findings: list[Finding] = field(default_factory=list)


def _of(module: ModuleType, says: str, partial: bool = False) -> Reader:
    """The reader that a module is."""
    name = module.__name__.rpartition(".")[2]
    near = getattr(module, "near", Reader.near)
    return Reader(name, module.recognises, module.rows, says, partial, near)


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
        "LLaVA JSON (image, conversations), or JSON Lines of OpenAI's and Mistral's messages, "
        "or the Hub's Parquet of either",
        partial=True,
    ),
    _of(captions, "a caption JSON with its pictures beside it or in images/"),
    _of(coco, "a COCO JSON of boxes, also in annotations/ or as <split>/_annotations.coco.json"),
    _of(voc, "an XML file of boxes a picture: Pascal VOC, DIOR, DIOR-RSVG or FAIR1M"),
    _of(
        yolo,
        "images/ beside labels/ with a YOLO text file a picture, also in train/, val/ and test/",
    ),
    _of(
        dota,
        "images/ beside labelTxt/ with a DOTA text file a picture, also in train/, val/ and test/",
    ),
    _of(masks, "A/, B/ and label/ with change masks, or images/ beside masks/ of classes"),
    _of(vectors, "a GeoJSON, GeoPackage or Shapefile beside the rasters it lies on"),
    _of(
        table, "a CSV, JSON or JSONL table of image, video or frames with caption, question or box"
    ),
    _of(
        folders,
        "one folder of pictures or clips a class, also below images/ or train/, val/ and test/",
    ),
    Reader(
        "classes",
        table.recognises_classes,
        table.rows,
        "a CSV, JSON or JSONL table of image and label",
    ),
    _of(rsivqa, "a text file of lines `picture:question?answer` with its pictures beside it"),
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
    near = [reason for _, reader in READERS.items() if (reason := reader.near(path))]
    raise AnnotationError(
        f"{path}: found {_found(path)}, which is none of the formats swath reads: "
        f"{', '.join(name for name, _ in READERS.items())}; docs/formats shows what each looks "
        f"like. {'; '.join(near) or 'Most simply put each class in a folder of its name'}."
    )


def read(
    path: Path | str,
    format: str = "auto",
    unreadable: Literal["refuse", "drop"] = "refuse",
    frames: int = 8,
    pictures: Path | None = None,
) -> list[AnnotatedImage]:
    """The annotated images of a folder or file, all of them.

    Questions in RSIVQA's text beside any format are added to its images.

    Args:
        path: a folder, or the annotation file itself.
        unreadable: whether a picture that cannot be opened is refused or left out; a damaged
            one whose header is sound is found by `lint`.
        frames: how many are taken of a clip, evenly spaced.
        pictures: folder that pictures held in the rows (data URLs) are written to.

    Raises:
        AnnotationError: the format is not recognised, a row is wrong or a picture is missing.
        RequestError: there is no reader of that name.
    """
    images = unmeasured(Source(Path(path), pictures), format)
    sized, findings = measured(images, frames)
    if findings and unreadable == "refuse":
        raise refusal(findings, len(images))
    return sized


def read_sound(
    path: Path | str,
    format: str = "auto",
    frames: int = 8,
    pictures: Path | None = None,
    class_field: str = "",
) -> Reading:
    """What `read` gives, but for wrong rows and lost pictures, which are left out and named.

    Args:
        class_field: property of features that holds their class, "" to look for it.

    Raises:
        AnnotationError: the format is not recognised, or nothing of the annotations is sound.
        RequestError: there is no reader of that name.
    """
    source = Source(Path(path), pictures, class_field)
    images = unmeasured(source, format, strict=False)
    sized, findings = measured(images, frames)
    return Reading(sized, [*source.findings, *findings])


def unmeasured(source: Source, format: str, strict: bool = True) -> list[AnnotatedImage]:
    """The images of a source, no picture of which is opened; its findings say what was left out.

    Raises:
        AnnotationError: see `read`, or, where it is not `strict`, `read_sound`.
        RequestError: there is no reader of that name.
    """
    path = source.path
    reader = recognise(path) if format == "auto" else READERS.get(format)
    if not path.exists():
        raise AnnotationError(f"{path}: no such folder or file; check the path.")
    rows = reader.rows(source)
    if path.is_dir() and reader.rows is not rsivqa.rows:
        rows = chain(rows, rsivqa.rows(source, beside=True))
    images = source.images(rows)
    forget()
    source.settle(images, strict)
    if not images:
        raise AnnotationError(
            f"{path}: holds no images that the reader '{reader.name}' understands, which expects "
            f"{reader.says}; found {_found(path)}."
        )
    if path.is_dir():
        files = table_files(path, (*TABLES, *vectors.SUFFIXES))
        texts = [Path(image.path).with_suffix(".txt") for image in images]
        files += filter(Path.is_file, texts)
        source.note_unread([file for file in files if file.name not in ABOUT], reader.name)
        source.note_bare(images)
    return images if reader.partial else source.with_lists(images)


def check_classes(images: Images) -> None:
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
