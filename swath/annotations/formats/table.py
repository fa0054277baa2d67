"""Rows: tables of pictures, clips or sequences with captions and questions, many rows a picture."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, PictureFinder, official_splits
from swath.annotations.formats.rsivqa import questions_of
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note, using
from swath.annotations.parsing import OBJECT, boxes_of, class_of, image_of, put, size_of
from swath.annotations.tables import (
    first,
    root_of,
    rows_of,
    split_in,
    split_named,
    table_files,
)
from swath.boxes import Boxes
from swath.errors import AnnotationError

_PICTURE = ("image", "img", "filename", "file_name", "image_path", "images", "image_id", "video")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX = ("boxes", "bbox", "box", "gt_bbox", "polygons", "polygon", "geometry")
_PHRASE = ("phrase", "expression", "referring_sentence", "description")
_CLASS = ("scene", "class_name", "classname", "label", "class")
_NAME = ("obj_cls", "name", "class", "category", "label")
_SAYS = {"caption", "captions", "question", "questions", "prompt", "video", "frames", "phrase"}
_SAYS |= {"ground_truth", "description", "xmin", *_BOX}
_ASKS = {"question", "questions", "prompt", "video", "frames"}
_ANSWERS = {"answer", "ground_truth", "label", "questions"}


def recognises(path: Path) -> bool:
    """Whether a file is a table of such rows, or a folder holds one."""
    return bool(_tables(path))


def recognises_classes(path: Path) -> bool:
    """Whether a file is a table of pictures and scene classes alone, or a folder holds one."""
    return bool(_tables(path, {*_CLASS}))


def read(path: Path) -> list[AnnotatedImage]:
    """One image for all rows about it, one sequence for a clip or a list of frames.

    A row is an object of a JSON list or of JSON Lines, or a line of CSV or TSV under a header. It
    names a picture (`image`, `img`, `filename`, `file_name`, `image_path`, `image_id`), a clip
    (`video`) or the pictures of a sequence (`frames` or `images`, in order of time) and gives any
    of `caption`, `captions`, `question` with `answer` and `kind`, `label` (scene class or event)
    and `split`, or an object: `xmin` to `ymax`, `bbox`, `polygon` or `geometry` as WKT, in pixels,
    with `label` its class and `phrase` what singles it out. RemoteGLM's `img`, `prompt` and
    `label` are a picture, a question and its answer; FloodNet's and GeoChat-Bench's `ground_truth`
    is the answer, or the box of the phrase, or the phrase of the box, that the question is.

    Args:
        path: the table, or the folder holding one or several, also in `annotations`.

    Raises:
        AnnotationError: a row is not of this form, names what is not there, or contradicts another.
    """
    images: dict[str, AnnotatedImage] = {}
    for where, image in _images(path):
        put(images, image, where)
    return list(images.values())


def stream(path: Path) -> Iterator[AnnotatedImage]:
    """The same, holding one image at a time: rows about an image must follow one another.

    An image that comes up again later is given again. A JSON list is held whole, JSON Lines, CSV
    and TSV are not.

    Raises:
        AnnotationError: see `read`.
    """
    held: dict[str, AnnotatedImage] = {}
    for where, image in _images(path):
        if held and image.id not in held:
            yield from held.values()
            held = {}
        put(held, image, where)
    yield from held.values()


def _images(path: Path) -> Iterator[tuple[str, AnnotatedImage]]:
    """What each row says, and where it stands."""
    for file in _tables(path) or _tables(path, {*_CLASS}):
        using(file)
        root = root_of(path, file)
        finder, listed = PictureFinder(root, file), official_splits(root)
        total, bare, split = 0, 0, split_in(Path(file.name))
        before, found = list[Any](), list[Path]()
        for where, given in rows_of(file):
            if not isinstance(given, dict):
                raise AnnotationError(f"{where}: expected an object, got {given!r}; correct it.")
            row = {str(key).lower(): value for key, value in given.items()}
            several = row.get("frames") or row.get("images")
            names = several or [first(row, _PICTURE)]
            if not isinstance(names, list):
                raise AnnotationError(f"{where}: expected a list under 'frames'; correct it.")
            total += len(names)
            if names != before or not found:  # many rows in turn are about one picture
                found = [picture for name in names if (picture := finder.find(name)) is not None]
                if len(found) < len(names):
                    found = []
                    continue
                before = names
            boxes, phrase, row = _object(row, found[0], where)
            name = first(row, _NAME) if len(boxes) else None
            image = image_of(
                found[0],
                root,
                id=str(row["id"]) if several and row.get("id") else "",
                label=None if len(boxes) else _label(row, where),
                captions=_captions(row, where),
                boxes=boxes,
                names=(str(name or (class_of(phrase) if phrase else OBJECT)),) * len(boxes),
                # A phrase that several boxes answer singles out none of them.
                phrases=(phrase if len(boxes) == 1 else None,) * len(boxes),
                split=split_named(row.get("split"), where) or listed(found[0]) or split,
                frames=tuple(map(str, found)) if len(found) > 1 else (),
                questions=questions_of(row, where),
            )
            bare += not (image.label or image.captions or len(boxes) or image.questions)
            yield where, image
        if bare:
            what = f"{bare} rows say nothing of their picture that is understood"
            note("row without content", file, what, "the picture is kept", bare)
        finder.refuse_missing(total)


def _tables(path: Path, says: Set[str] = _SAYS) -> list[Path]:
    """Files at a place whose first row names a picture and says something of it."""
    told = {file: _says(file, says) for file in table_files(path)}
    # A test file may keep its answers back: it is left out beside others, alone it is refused.
    return [file for file in told if told[file] - _ASKS] or [file for file in told if told[file]]


def _says(file: Path, says: Set[str]) -> set[str]:
    """What the first row of a table says of a picture; a question with its answer is "answer"."""
    _, row = next(rows_of(file), ("", {}))
    keys = {str(key).lower() for key in row} if isinstance(row, dict) else set()
    if not keys & {*_PICTURE, "frames"}:
        return set()
    return keys & says | ({"answer"} if keys & says & _ASKS and keys & _ANSWERS else set())


def _object(
    row: dict[str, Any], picture: Path, where: str
) -> tuple[Boxes, str | None, dict[str, Any]]:
    """Boxes of a row, the phrase about them, and the row without what was used for them."""
    truth, asked = row.get("ground_truth"), row.get("question")
    phrase = first(row, _PHRASE)
    if all(row.get(key) not in (None, "") for key in _CORNERS) and not row.get("geometry"):
        try:
            value: Any = [float(row[key]) for key in _CORNERS]
        except (TypeError, ValueError):
            raise AnnotationError(f"{where}: expected numbers from xmin to ymax.") from None
    elif (value := first(row, _BOX)) is not None:
        pass
    elif isinstance(truth, list) or _is_box(truth):
        value, phrase, row = truth, asked, {**row, "question": None, "ground_truth": None}
    elif _is_box(asked):
        value, phrase, row = asked, truth, {**row, "question": None, "ground_truth": None}
    else:
        if phrase and "description" in row:
            row = {**row, "captions": row.get("captions") or phrase}
        return Boxes.empty(), None, row
    size = UNMEASURED
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        size = size_of(picture, where)
    phrase = str(phrase).strip() or None if phrase is not None else None
    return boxes_of(value, size, where), phrase, row


def _is_box(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{<")


def _label(row: dict[str, Any], where: str) -> str | None:
    label = first(row, [key for key in _CLASS if key != "label" or "prompt" not in row])
    if label is not None and not isinstance(label, str):
        raise AnnotationError(f"{where}: expected the class as text, got {label!r}; correct it.")
    return label


def _captions(row: dict[str, Any], where: str) -> tuple[str, ...]:
    given = row.get("captions") or row.get("caption") or []
    captions = [given] if isinstance(given, str) else given
    if not isinstance(captions, list) or not all(isinstance(one, str) for one in captions):
        raise AnnotationError(f"{where}: expected captions as text, got {given!r}; correct it.")
    return tuple(captions)
