"""Caption files: Karpathy's JSON of sentences, and the plain list of images with captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import is_clip, shown
from swath.annotations.formats.masks import CHANGE, CHANGE_ASKED
from swath.annotations.formats.table import Asking, label_of, questions_of
from swath.annotations.image import Question
from swath.annotations.parsing import Row, checked
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS, split_in, split_named
from swath.annotations.tables import first, matching_files
from swath.errors import AnnotationError
from swath.files import Json

_NAME = ("image", "filename", "img", "imged_id")
_CAPERA = "ERA_caption"


def recognises(path: Path) -> bool:
    """Whether a file is a caption file, or a folder holds one."""
    return bool(matching_files(path, _fits))


def rows(source: Source) -> Iterator[Row]:
    """A row an image, with its captions, and its scene class and split where given.

    Understands `{"images": [{"filename", "split", "sentences": [{"raw"}, ...]}, ...]}` (UCM,
    Sydney, RSICD, RSITMD; a sentence without "raw" is joined from its "tokens"), `{class:
    [{"filename", "raw", "raw_1", ...}]}` (NWPU), `{"ERA_caption": [{"video_id", "annotation":
    {"English_caption"}}]}` (CapERA) and lists of `{"image" or "filename", "scene", "split",
    "captions"}`, where one string under `caption` holds sentences parted by two spaces. Rows with
    `changeflag` (LEVIR-CC) are of the pictures `<split>/A/<name>` and `<split>/B/<name>`, and the
    flag answers whether anything has changed. Captions are kept as they are, questions are read
    as `questions_of` says.
    """
    for file, content in matching_files(source.path, _fits):
        source.opens(file)
        for number, entry in enumerate(caption_rows(content)):
            with source.row():
                yield _row(entry, f"{file}: entry {number}", split_in(file))


def _row(entry: Any, where: str, other_split: str | None) -> Row:
    asked = checked(Asking, entry, where)
    questions = questions_of([asked, *asked.questions], where)
    if "changeflag" in entry:
        answer = "yes" if entry["changeflag"] else "no"
        questions = (*questions, Question(CHANGE_ASKED, answer, CHANGE))
    label = label_of(first(entry, ("scene", "label", "class")), where)
    return Row(
        where,
        names_of(entry),
        label=label or _event,
        captions=captions_of(entry, where),
        questions=questions,
        split=split_named(entry.get("split") or entry.get("filepath"), where),
        other_split=other_split,
    )


def names_of(entry: Json) -> list[Any]:
    """The pictures, or the clip, of an entry of `caption_rows`."""
    name = first(entry, _NAME)
    if "changeflag" not in entry:
        return [name]
    folder = entry.get("filepath") or entry.get("split") or "."
    return [f"{folder}/{side}/{name}" for side in "AB"]


def caption_rows(content: Any) -> Any:
    """Rows of a caption file, whatever they stand under; NWPU's with their class as `scene`."""
    if not isinstance(content, dict):
        return content
    if _CAPERA in content:
        return (_capera(entry) for entry in content[_CAPERA])
    if "images" in content:
        return content["images"]
    return _by_class(content)


def _capera(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    annotation = entry.get("annotation")
    caption = annotation.get("English_caption") if isinstance(annotation, dict) else None
    return {"image": entry.get("video_id"), "caption": caption}


def _by_class(content: Json) -> Iterator[Any]:
    for name, entries in content.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            yield {"scene": name, **entry} if isinstance(entry, dict) else entry


def _fits(content: Any) -> bool:
    is_object = isinstance(content, dict)
    if is_object and _CAPERA in content:
        return bool(content[_CAPERA]) and isinstance(content[_CAPERA], list)
    if is_object and "images" not in content:
        entries = next(iter(content.values()), None)
        entry = entries[0] if isinstance(entries, list) and entries else None
        return isinstance(entry, dict) and {"filename", "raw"} <= entry.keys()
    entries = content["images"] if is_object else content
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return False
    fields = entries[0].keys()
    words = "sentences" if is_object else "captions"
    return "imged_id" in fields or (words in fields and not fields.isdisjoint(_NAME))


def _event(path: Path) -> str | None:
    """Event of a clip of ERA, which lies as `Videos/Test/Fire/1.mp4`."""
    inside = is_clip(path) and path.parent.parent.name.lower() in SPLITS
    return path.parent.name if inside else None


def captions_of(entry: Json, where: str) -> tuple[str, ...]:
    """The sentences of an entry.

    Raises:
        AnnotationError: there are none, or one is no text.
    """
    sentences = entry.get("sentences", entry.get("captions"))
    if sentences is None:
        sentences = _parted(entry.get("caption"))
    if sentences is None:
        keys = [key for key in entry if re.fullmatch(r"raw(_\d+)?", key)]
        sentences = [entry[key] for key in keys] or None
    if not isinstance(sentences, list):
        raise AnnotationError(
            f"{where}: expected a list of captions under 'sentences' or 'captions', got "
            f"{shown(sentences)}."
        )
    return tuple(_words(sentence, where) for sentence in sentences)


def _parted(caption: Any) -> list[str] | None:
    """Sentences of one string parted by two spaces, or of a list; None where there is neither."""
    parts = caption.split("  ") if isinstance(caption, str) else caption
    if not isinstance(parts, list):
        return None
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()]


def _words(sentence: Any, where: str) -> str:
    if isinstance(sentence, dict):
        tokens = sentence.get("tokens")
        words = " ".join(map(str, tokens)) if isinstance(tokens, list) else ""
        sentence = sentence.get("raw") or words
    if not isinstance(sentence, str):
        raise AnnotationError(f"{where}: expected a caption as text, got {shown(sentence)}.")
    return sentence
