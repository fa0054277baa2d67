"""Tables of pictures, clips or sequences with captions and questions, many rows a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, shown
from swath.annotations.image import Question
from swath.annotations.parsing import (
    OBJECT,
    Outline,
    Row,
    Size,
    boxes_of,
    class_of,
    numbers_in,
)
from swath.annotations.source import Source
from swath.annotations.splits import split_in, split_named
from swath.annotations.tables import first, rows_of, table_files
from swath.errors import AnnotationError

_PICTURE = ("image", "img", "filename", "file_name", "image_path", "images", "image_id", "video")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX = ("boxes", "bbox", "box", "gt_bbox", "polygons", "polygon", "geometry")
_PHRASE = ("phrase", "expression", "referring_sentence", "description")
_CLASS = ("scene", "class_name", "classname", "label", "class")
_NAME = ("obj_cls", "name", "class", "category", "label")
_SAYS = {"caption", "captions", "question", "questions", "prompt", "video", "frames", "phrase"}
_SAYS |= {"ground_truth", "description", "xmin", "text", *_BOX}
_ASKS = {"question", "questions", "prompt", "video", "frames"}
_ANSWERS = {"answer", "ground_truth", "label", "questions"}


def recognises(path: Path) -> bool:
    """Whether a file is a table of such rows, or a folder holds one."""
    return bool(_tables(path))


def recognises_classes(path: Path) -> bool:
    """Whether a file is a table of pictures and scene classes alone, or a folder holds one."""
    return bool(_tables(path, {*_CLASS}))


def rows(source: Source) -> Iterator[Row]:
    """A row for each of a table's, of which many may be about one picture.

    A row is an object of a JSON list or of JSON Lines, or a line of CSV or TSV under a header. It
    names a picture (`image`, `img`, `filename`, `file_name`, `image_path`, `image_id`), a clip
    (`video`) or the pictures of a sequence (`frames` or `images`, in order of time) and gives any
    of `caption`, `captions`, `question` with `answer` and `kind`, `label` (scene class or event)
    and `split`, or an object: `xmin` to `ymax`, `bbox`, `polygon` or `geometry` as WKT, in pixels,
    with `label` its class and `phrase` what singles it out. RemoteGLM's `img`, `prompt` and
    `label` are a picture, a question and its answer; FloodNet's and GeoChat-Bench's `ground_truth`
    is the answer, or the box of the phrase, or the phrase of the box, that the question is; `text`
    is a caption where no answer stands beside it (the Hub's `metadata.jsonl`).
    """
    for file in _tables(source.path) or _tables(source.path, {*_CLASS}):
        source.opens(file)
        split = split_in(file if file.parent != source.root else Path(file.name))
        bare = 0
        for where, entry in rows_of(file, refuse=source.refuse):
            with source.row():
                row = _row(entry, where, split)
                bare += not (row.label or row.captions or row.outlines or row.questions)
                yield row
        if bare:
            what = f"{bare} rows say nothing of their picture that is understood"
            source.note("row without content", what, "the picture is kept", bare)


def _row(entry: Any, where: str, other_split: str | None) -> Row:
    if not isinstance(entry, dict):
        raise AnnotationError(f"{where}: expected an object, got {shown(entry)}; correct it.")
    fields = {str(key).lower(): value for key, value in entry.items()}
    frames = fields.get("frames") or fields.get("images")
    names = frames or [first(fields, _PICTURE)]
    if not isinstance(names, list):
        raise AnnotationError(f"{where}: expected a list under 'frames'; correct it.")
    box, phrase, fields = _box(fields, where)
    classes = [key for key in _CLASS if key != "label" or "prompt" not in fields]
    return Row(
        where,
        names,
        () if box is None else _outlines(box, phrase, first(fields, _NAME), where),
        label=label_of(fields, classes, where) if box is None else None,
        captions=_captions(fields, where),
        questions=questions_of(fields, where),
        split=split_named(fields.get("split"), where),
        other_split=other_split,
        id=str(fields["id"]) if frames and fields.get("id") else "",
        joins=True,
    )


def _box(fields: dict[str, Any], where: str) -> tuple[Any, str | None, dict[str, Any]]:
    """Box of a row, the phrase about it, and the fields without what was used for them."""
    truth, question = fields.get("ground_truth"), fields.get("question")
    phrase = first(fields, _PHRASE)
    corners = [fields.get(key) for key in _CORNERS]
    without = fields | {"question": None, "ground_truth": None}
    if not any(number in (None, "") for number in corners) and not fields.get("geometry"):
        return numbers_in([str(number) for number in corners], where), phrase, fields
    box = first(fields, _BOX)
    if box is not None:
        return box, phrase, fields
    if isinstance(truth, list) or _is_box(truth):
        return truth, question, without
    if _is_box(question):
        return question, truth, without
    if phrase and "description" in fields:
        fields = fields | {"captions": fields.get("captions") or phrase}
    return None, None, fields


def _outlines(
    box: Any, phrase: Any, name: Any, where: str
) -> Sequence[Outline] | Callable[[Size], Sequence[Outline]]:
    """The objects of a row; of text on a grid what gives them, told the picture's size."""
    phrase = str(phrase).strip() or None if phrase is not None else None
    name = str(name or (class_of(phrase) if phrase else OBJECT))

    def within(size_wh: Size) -> list[Outline]:
        quads = boxes_of(box, size_wh, where).quads
        # A phrase that several boxes answer singles out none of them.
        return [Outline(quad, name, phrase if len(quads) == 1 else None) for quad in quads]

    on_grid = isinstance(box, str) and box.lstrip().startswith(("{", "["))
    return within if on_grid else within(UNMEASURED)


def _is_box(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{<")


def label_of(fields: dict[str, Any], keys: Iterable[str], where: str) -> str | None:
    """The scene class of a row, None where it names none.

    Raises:
        AnnotationError: it is no text.
    """
    label = first(fields, keys)
    if label is not None and not isinstance(label, str):
        raise AnnotationError(f"{where}: expected the class as text, got {shown(label)}.")
    return label


def _captions(fields: dict[str, Any], where: str) -> tuple[str, ...]:
    captions = fields.get("captions") or fields.get("caption") or []
    if not captions and not _asks(fields):
        captions = fields.get("text") or []
    if isinstance(captions, str):
        captions = [captions]
    if not isinstance(captions, list) or not all(isinstance(text, str) for text in captions):
        raise AnnotationError(f"{where}: expected captions as text, got {shown(captions)}.")
    return tuple(captions)


def _asks(fields: dict[str, Any]) -> bool:
    """Whether the `text` of a row is a question, and not a caption as in `metadata.jsonl`."""
    answered = first(fields, ("answer", "ground_truth", "question_id")) is not None
    return answered or str(fields.get("text")).rstrip().endswith("?")


def questions_of(row: dict[str, Any], where: str) -> tuple[Question, ...]:
    """The questions of a row: its `question` and `answer`, and those listed under `questions`.

    `prompt` stands for the question and then `label` for the answer too; GeoChat-Bench's `text` is
    a question and `ground_truth` an answer; `type` and `question_type` stand for `kind`.

    Raises:
        AnnotationError: a question has no answer, or an answer no question.
    """
    entries = row.get("questions") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AnnotationError(f"{where}: expected a list of objects under 'questions'; correct it.")
    questions = []
    for entry in [row, *entries]:
        question = entry.get("question") or (entry.get("text") if _asks(entry) else None)
        answer = entry.get("ground_truth") if entry.get("answer") is None else entry["answer"]
        if "prompt" in entry and question is None:
            question = entry["prompt"]
            answer = entry.get("label") if answer is None else answer
        asked, said = _words(question, where), _words(answer, where)
        if bool(asked) != bool(said):
            raise AnnotationError(
                f"{where}: {'a question without an answer' if asked else 'an answer alone'}; "
                f"write both 'question' and 'answer', or neither."
            )
        if asked:
            kind = first(entry, ("kind", "type", "question_type"))
            questions.append(Question(asked, said, _words(kind, where)))
    return tuple(questions)


def _words(value: object, where: str) -> str:
    """A value in words, "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise AnnotationError(f"{where}: expected words or a number, got {shown(value)}.")
    return str(value).strip()


def _tables(path: Path, says: Set[str] = _SAYS) -> list[Path]:
    """Files at a place whose first row names a picture and says something of it."""
    contents = {file: _contents(file, says) for file in table_files(path)}
    # A test file may keep its answers back: it is left out beside others, alone it is refused.
    answered = [file for file in contents if contents[file] - _ASKS]
    return answered or [file for file in contents if contents[file]]


def _contents(file: Path, says: Set[str]) -> set[str]:
    """What the first row of a table says of a picture; a question with its answer is "answer"."""
    errors: list[AnnotationError] = []
    _, row = next(rows_of(file, refuse=errors.append), ("", {}))
    if errors and not row:
        raise errors[0]
    fields = {str(key).lower() for key in row} if isinstance(row, dict) else set()
    if not fields & {*_PICTURE, "frames"}:
        return set()
    contents = fields & says
    if contents & _ASKS and fields & _ANSWERS:
        contents.add("answer")
    return contents
