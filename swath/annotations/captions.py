"""Caption files: Karpathy's JSON of sentences, and the plain list of images with captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swath.annotations.image import AnnotatedImage
from swath.annotations.listings import matching_files, root_of, split_named
from swath.annotations.pictures import (
    UNMEASURED,
    PictureFinder,
    image_id,
    official_splits,
    refuse_repeats,
)
from swath.annotations.questions import questions_of
from swath.errors import AnnotationError


def recognises(path: Path) -> bool:
    """Whether a file is a caption file, or a folder holds one."""
    return bool(matching_files(path, _fits))


def read(path: Path) -> list[AnnotatedImage]:
    """One image an entry, with its captions, and its scene class and split where given.

    Understands `{"images": [{"filename", "split", "sentences": [{"raw"}, ...]}, ...]}` (UCM,
    Sydney, RSICD; a sentence without "raw" is joined from its "tokens") and
    `[{"image" or "filename", "scene", "split", "captions"}, ...]`. Captions are kept as they are,
    questions are read as `questions_of` says.

    Args:
        path: the JSON file, or the folder holding one or several.

    Raises:
        AnnotationError: a picture is missing, named twice or outside the folder, or an entry
            is not of this form.
    """
    images: list[AnnotatedImage] = []
    for file, content in matching_files(path, _fits):
        root = root_of(path, file)
        finder, listed = PictureFinder(root, file), official_splits(root)
        rows = content["images"] if isinstance(content, dict) else content
        for number, row in enumerate(rows):
            where = f"{file}: entry {number}"
            if not isinstance(row, dict):
                raise AnnotationError(f"{where}: expected an object, got {type(row).__name__}.")
            picture = finder.find(row.get("image") or row.get("filename"))
            if picture is None:
                continue
            images.append(
                AnnotatedImage(
                    id=image_id(picture, root),
                    path=str(picture),
                    size_wh=UNMEASURED,
                    label=_label(row, where),
                    captions=_captions(row, where),
                    split=split_named(row.get("split"), where) or listed(picture),
                    source=root.name,
                    questions=questions_of(row, where),
                )
            )
        finder.refuse_missing(len(rows))
    refuse_repeats(images, path)
    return images


def _fits(content: Any) -> bool:
    if isinstance(content, dict):
        rows, key = content.get("images"), "sentences"
    else:
        rows, key = content, "captions"
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return False
    return key in rows[0] and bool(rows[0].keys() & {"image", "filename"})


def _label(row: dict[str, Any], where: str) -> str | None:
    label = next((row[key] for key in ("scene", "label", "class") if row.get(key)), None)
    if label is not None and not isinstance(label, str):
        raise AnnotationError(f"{where}: expected the scene class as text, got {label!r}.")
    return label


def _captions(row: dict[str, Any], where: str) -> tuple[str, ...]:
    given = row.get("sentences", row.get("captions"))
    if not isinstance(given, list):
        raise AnnotationError(
            f"{where}: expected a list of captions under 'sentences' or 'captions', got {given!r}."
        )
    captions = []
    for item in given:
        if isinstance(item, dict):
            item = item.get("raw") or " ".join(map(str, item.get("tokens", [])))
        if not isinstance(item, str):
            raise AnnotationError(f"{where}: expected a caption as text, got {item!r}.")
        captions.append(item)
    return tuple(captions)
