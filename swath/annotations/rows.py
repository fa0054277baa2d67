"""Rows: tables of pictures, clips or sequences with captions and questions, many rows a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from swath.annotations.image import AnnotatedImage
from swath.annotations.listings import load, root_of, split_named
from swath.annotations.pictures import UNMEASURED, PictureFinder, image_id, official_splits
from swath.annotations.questions import questions_of
from swath.errors import AnnotationError

_PICTURE = ("image", "img", "filename", "file_name", "video")
_SAYS = {"caption", "captions", "question", "questions", "prompt", "video", "frames"}
_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv")


def recognises(path: Path) -> bool:
    """Whether a file is a table of such rows, or a folder holds one."""
    return bool(_tables(path))


def read(path: Path) -> list[AnnotatedImage]:
    """One image for all rows about it, one sequence for a clip or a list of frames.

    A row is an object of a JSON list or of JSON Lines, or a line of CSV or TSV under a header. It
    names a picture (`image`, `img`, `filename`, `file_name`), a clip (`video`) or the pictures of a
    sequence (`frames`, in order of time) and gives any of `caption`, `captions`, `question` with
    `answer` and `kind`, `label` (scene class or event) and `split`. RemoteGLM's `img`, `prompt`
    and `label` are a picture, a question and its answer.

    Args:
        path: the table, or the folder holding one or several, also in `annotations`.

    Raises:
        AnnotationError: a row is not of this form, names what is not there, or contradicts another.
    """
    images: dict[str, AnnotatedImage] = {}
    for file in _tables(path):
        root = root_of(path, file)
        finder, listed = PictureFinder(root, file), official_splits(root)
        total = 0
        for where, row in _rows(file):
            if not isinstance(row, dict):
                raise AnnotationError(f"{where}: expected an object, got {row!r}; correct it.")
            several = row.get("frames")
            names = several or [next((row[key] for key in _PICTURE if row.get(key)), None)]
            if not isinstance(names, list):
                raise AnnotationError(f"{where}: expected a list under 'frames'; correct it.")
            total += len(names)
            found = [picture for name in names if (picture := finder.find(name)) is not None]
            if len(found) < len(names):
                continue
            own_id = str(row["id"]) if several and row.get("id") else image_id(found[0], root)
            image = AnnotatedImage(
                id=own_id,
                path=str(found[0]),
                size_wh=UNMEASURED,
                label=_label(row, where),
                captions=_captions(row, where),
                split=split_named(row.get("split"), where) or listed(found[0]),
                source=root.name,
                frames=tuple(map(str, found)) if several else (),
                questions=questions_of(row, where),
            )
            images[image.id] = (
                _joined(images[image.id], image, where) if image.id in images else image
            )
        finder.refuse_missing(total)
    return list(images.values())


def _tables(path: Path) -> list[Path]:
    """Files at a place whose first row is one of ours."""
    if path.is_dir():
        files = [file for place in ("*", "annotations/*") for file in sorted(path.glob(place))]
    else:
        files = [path]
    return [
        file
        for file in files
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and _fits(file)
    ]


def _fits(file: Path) -> bool:
    _, row = next(_rows(file), ("", {}))
    return isinstance(row, dict) and bool(row.keys() & {*_PICTURE, "frames"} and row.keys() & _SAYS)


def _rows(file: Path) -> Iterator[tuple[str, Any]]:
    """Where each row stands, and the row; nothing where a JSON file holds no list."""
    if file.suffix.lower() == ".json":
        content = load(file)
        for number, row in enumerate(content if isinstance(content, list) else ()):
            yield f"{file}: entry {number}", row
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if file.suffix.lower() == ".jsonl":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield f"{file}:{number}", orjson.loads(line)
                return
            table = csv.DictReader(stream, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
            for row in table:
                where = f"{file}:{table.line_num}"
                if None in row:
                    raise AnnotationError(
                        f"{where}: more fields than the header names; put quotes around texts that "
                        f"hold the separator."
                    )
                yield where, {key.strip().lower(): value or None for key, value in row.items()}
    except orjson.JSONDecodeError as error:
        raise AnnotationError(f"{file}:{number}: not valid JSON ({error}); correct it.") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: not UTF-8 ({error.reason}); save it as UTF-8 or move it away."
        ) from None
    except csv.Error as error:
        raise AnnotationError(f"{file}:{table.line_num}: not CSV ({error}); correct it.") from None


def _label(row: dict[str, Any], where: str) -> str | None:
    keys = ("scene", "class") if "prompt" in row else ("scene", "label", "class")
    label = next((row[key] for key in keys if row.get(key)), None)
    if label is not None and not isinstance(label, str):
        raise AnnotationError(f"{where}: expected the class as text, got {label!r}; correct it.")
    return label


def _captions(row: dict[str, Any], where: str) -> tuple[str, ...]:
    given = row.get("captions") or row.get("caption") or []
    captions = [given] if isinstance(given, str) else given
    if not isinstance(captions, list) or not all(isinstance(one, str) for one in captions):
        raise AnnotationError(f"{where}: expected captions as text, got {given!r}; correct it.")
    return tuple(captions)


def _joined(one: AnnotatedImage, other: AnnotatedImage, where: str) -> AnnotatedImage:
    """What two rows say of one image."""
    for key in ("path", "label", "split", "frames"):
        first, second = getattr(one, key), getattr(other, key)
        if first and second and first != second:
            raise AnnotationError(
                f"{where}: {one.id} has {key} {second!r} here and {first!r} before; "
                f"correct one of them."
            )
    return replace(
        one,
        label=one.label or other.label,
        split=one.split or other.split,
        captions=tuple(dict.fromkeys((*one.captions, *other.captions))),
        questions=tuple(dict.fromkeys((*one.questions, *other.questions))),
    )
