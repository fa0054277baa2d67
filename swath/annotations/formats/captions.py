"""Caption files: Karpathy's JSON of sentences, and the plain list of images with captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import (
    SPLITS,
    PictureFinder,
    is_clip,
    official_splits,
    refuse_repeats,
)
from swath.annotations.formats.masks import CHANGE, CHANGE_ASKED
from swath.annotations.formats.rsivqa import questions_of
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.notes import using
from swath.annotations.parsing import image_of
from swath.annotations.tables import first as first_of
from swath.annotations.tables import matching_files, root_of, split_in, split_named
from swath.errors import AnnotationError

_NAME = ("image", "filename", "img", "imged_id")
_CAPERA = "English_caption"


def recognises(path: Path) -> bool:
    """Whether a file is a caption file, or a folder holds one."""
    return bool(matching_files(path, _fits))


def read(path: Path) -> list[AnnotatedImage]:
    """One image an entry, with its captions, and its scene class and split where given.

    Understands `{"images": [{"filename", "split", "sentences": [{"raw"}, ...]}, ...]}` (UCM,
    Sydney, RSICD, RSITMD; a sentence without "raw" is joined from its "tokens"), `{class:
    [{"filename", "raw", "raw_1", ...}]}` (NWPU), `{"ERA_caption": [{"video_id", "annotation":
    {"English_caption"}}]}` (CapERA) and lists of `{"image" or "filename", "scene", "split",
    "captions"}`, where one string under `caption` holds sentences parted by two spaces. Rows with
    `changeflag` (LEVIR-CC) are of the pictures `<split>/A/<name>` and `<split>/B/<name>`, and the
    flag answers whether anything has changed. Captions are kept as they are, questions are read
    as `questions_of` says.

    Raises:
        AnnotationError: a picture is missing, named twice or outside the folder, or an entry
            is not of this form.
    """
    images = list(stream(path))
    refuse_repeats(images, path)
    return images


def stream(path: Path) -> Iterator[AnnotatedImage]:
    """The same, one at a time; a large file is read row by row.

    Raises:
        AnnotationError: see `read`; an image that comes up again is given again.
    """
    for file, content in matching_files(path, _fits):
        using(file)
        root = root_of(path, file)
        finder, listed, named = PictureFinder(root, file), official_splits(root), split_in(file)
        rows, start = caption_rows(content), f"{file}: entry "
        for number, row in enumerate(rows):
            where = f"{start}{number}"
            if not isinstance(row, dict):
                raise AnnotationError(f"{where}: expected an object, got {type(row).__name__}.")
            names = names_of(row)
            pictures = [finder.find(name) for name in names]
            if None not in pictures and len({*pictures}) < len(names):
                finder.lose(names[-1])  # the other date's picture bears its name
                continue
            if None in pictures:
                continue
            first = pictures[0]
            assert first is not None
            flag = row.get("changeflag")
            asked = Question(CHANGE_ASKED, "yes" if flag else "no", CHANGE)
            yield image_of(
                first,
                root,
                label=_label(row, where) or _event(first),
                captions=captions_of(row, where),
                split=split_named(row.get("split") or row.get("filepath"), where)
                or listed(first)
                or named,
                frames=tuple(map(str, pictures)) if len(pictures) > 1 else (),
                questions=(*questions_of(row, where), *([] if flag is None else [asked])),
            )
        finder.refuse_missing(len(rows))


def names_of(row: dict[str, Any]) -> list[Any]:
    """The pictures, or the clip, of a row of `caption_rows`."""
    name = first_of(row, _NAME)
    if "changeflag" not in row:
        return [name]
    inner = row.get("filepath") or row.get("split") or "."
    return [f"{inner}/{side}/{name}" for side in "AB"]


def caption_rows(content: Any) -> Any:
    """Rows of a caption file, whatever they stand under; NWPU's with their class as `scene`."""
    if not isinstance(content, dict):
        return content
    if "ERA_caption" in content:
        return [
            {"image": row.get("video_id"), "caption": (row.get("annotation") or {}).get(_CAPERA)}
            for row in content["ERA_caption"]
        ]
    if "images" in content:
        return content["images"]
    return [
        {"scene": name, **row} if isinstance(row, dict) else row
        for name, rows in content.items()
        for row in (rows if isinstance(rows, list) else [rows])
    ]


def _fits(content: Any) -> bool:
    if isinstance(content, dict) and not {"ERA_caption", "images"} & content.keys():
        rows = next(iter(content.values()), None)
        row = rows[0] if isinstance(rows, list) and rows else None
        return isinstance(row, dict) and {"filename", "raw"} <= row.keys()
    if isinstance(content, dict) and "ERA_caption" in content:
        return bool(content["ERA_caption"])
    rows = content["images"] if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return False
    keys = {"sentences"} if isinstance(content, dict) else {"captions"}
    return "imged_id" in rows[0] or bool(rows[0].keys() & keys and rows[0].keys() & {*_NAME})


def _label(row: dict[str, Any], where: str) -> str | None:
    label = next((row[key] for key in ("scene", "label", "class") if row.get(key)), None)
    if label is not None and not isinstance(label, str):
        raise AnnotationError(f"{where}: expected the scene class as text, got {label!r}.")
    return label


def _event(path: Path) -> str | None:
    """Event of a clip of ERA, which lies as `Videos/Test/Fire/1.mp4`."""
    inside = is_clip(path) and path.parent.parent.name.lower() in SPLITS
    return path.parent.name if inside else None


def captions_of(row: dict[str, Any], where: str) -> tuple[str, ...]:
    """The sentences of a row.

    Raises:
        AnnotationError: there are none, or one is no text.
    """
    given = row.get("sentences", row.get("captions"))
    if given is None and isinstance(said := row.get("caption"), str | list):
        parts = said.split("  ") if isinstance(said, str) else said
        given = [one.strip() for one in parts if isinstance(one, str) and one.strip()]
    if given is None:
        given = [text for key, text in row.items() if re.fullmatch(r"raw(_\d+)?", key)] or None
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
