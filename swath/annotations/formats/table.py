"""Tables of pictures, clips or sequences with captions and questions, many rows a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from swath.annotations.finding_pictures import UNMEASURED, few, shown
from swath.annotations.image import Question
from swath.annotations.parsing import (
    OBJECT,
    Entry,
    Id,
    Outline,
    Row,
    Size,
    boxes_of,
    checked,
    class_of,
)
from swath.annotations.source import Source
from swath.annotations.splits import split_in, split_named
from swath.annotations.tables import rows_of, table_files
from swath.errors import AnnotationError

_PICTURE = ("image", "img", "filename", "file_name", "image_path", "images", "image_id", "video")
_BOX = ("boxes", "bbox", "box", "gt_bbox", "polygons", "polygon", "geometry")
_PHRASE = ("phrase", "expression", "referring_sentence", "description")
_CLASS = ("scene", "class_name", "classname", "label", "class")
_NAME = ("obj_cls", "name", "class", "category", "label")
_SAYS = {"caption", "captions", "question", "questions", "prompt", "video", "frames", "phrase"}
_SAYS |= {"ground_truth", "description", "xmin", "text", *_BOX}
_ASKS = {"question", "questions", "prompt", "video", "frames"}
_ANSWERS = {"answer", "ground_truth", "label", "questions"}


def _in_words(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).strip() if isinstance(value, str | int | float) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _any_of(*names: str, default: Any = None) -> Any:
    return Field(default, validation_alias=AliasChoices(*names))


Words = Annotated[str, BeforeValidator(_in_words)]
"""Text; a number or a truth value in words."""

Texts = Annotated[list[str], BeforeValidator(_as_list)]
"""Texts; one stands for a list of one."""


class Asked(Entry):
    """A question and its answer, as sets write them; what is empty is absent."""

    question: Words | None = None
    text: Words | None = None
    prompt: Words | None = None
    answer: Words | None = None
    ground_truth: Any = None
    label: Any = None
    question_id: Any = None
    kind: Words = _any_of("kind", "type", "question_type", default="")

    @model_validator(mode="before")
    @classmethod
    def _full(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = ((str(key).lower(), field) for key, field in value.items())
        return {key: field for key, field in fields if field is not None and field != ""}

    def asks_by_text(self) -> bool:
        """Whether the text is a question, and not a caption as in `metadata.jsonl`."""
        with_it = (self.answer, self.ground_truth, self.question_id)
        return with_it != (None, None, None) or (self.text or "").endswith("?")

    def as_question(self, where: str) -> Question | None:
        """The question, None where there is none.

        Raises:
            AnnotationError: it has no answer, or the answer no question.
        """
        question = self.question or (self.text if self.asks_by_text() else None)
        answer: Any = self.answer if self.answer is not None else _in_words(self.ground_truth)
        if question is None and self.prompt is not None:
            question = self.prompt
            answer = answer if answer is not None else _in_words(self.label)
        if not question and not answer:
            return None
        if not question or not isinstance(answer, str) or not answer:
            raise AnnotationError(
                f"{where}: {'a question without an answer' if question else 'an answer alone'}; "
                f"write both 'question' and 'answer', in words, or neither."
            )
        return Question(question, answer, self.kind)


class Asking(Asked):
    """The same, and more of it in a list."""

    questions: tuple[Asked, ...] = ()


class _Fields(Asking):
    """All that is understood of a row."""

    id: Id = ""
    split: Any = None
    frames: list[Any] | None = _any_of("frames", "images")
    picture: Any = _any_of(*_PICTURE)
    xmin: float | None = None
    ymin: float | None = None
    xmax: float | None = None
    ymax: float | None = None
    box: Any = _any_of(*_BOX)
    phrase: Words | None = _any_of(*_PHRASE)
    description: Words | None = None
    scene: Any = _any_of(*_CLASS)
    name: Words | None = _any_of(*_NAME)
    captions: Texts | None = _any_of("captions", "caption")


def recognises(path: Path) -> bool:
    """Whether a file is a table of such rows, or a folder holds one."""
    return bool(_tables(path))


def recognises_classes(path: Path) -> bool:
    """Whether a file is a table of pictures and scene classes alone, or a folder holds one."""
    return bool(_tables(path, {*_CLASS}))


def near(path: Path) -> str:
    """What keeps the first table from being understood, "" where there is none."""
    for file in table_files(path):
        where, row = next(rows_of(file), ("", None))
        if isinstance(row, dict):
            return (
                f"{where} has {few([*map(str, row)], 9)}, which do not name a picture "
                f"({', '.join(_PICTURE)}) and say something of it ({', '.join(sorted(_SAYS))})"
            )
    return ""


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
        words = "rows say nothing of their picture that is understood"
        source.count("row without content", bare, words, "the picture is kept")


def _row(entry: Any, where: str, other_split: str | None) -> Row:
    fields = checked(_Fields, entry, where)
    box, phrase, asks = _box(fields)
    texts = fields.captions or []
    if not texts and box is None and fields.description:
        texts = [fields.description]
    if not texts and fields.text and not fields.asks_by_text():
        texts = [fields.text]
    of_scene = box is None and (fields.prompt is None or fields.scene != fields.label)
    questions = [*([fields] if asks else []), *fields.questions]
    return Row(
        where,
        fields.frames or (fields.picture,),
        () if box is None else _outlines(box, phrase, fields.name, where),
        label=label_of(fields.scene, where) if of_scene else None,
        captions=texts,
        questions=questions_of(questions, where),
        split=split_named(fields.split, where),
        other_split=other_split,
        id=fields.id if fields.frames else "",
        joins=True,
    )


def _box(fields: _Fields) -> tuple[Any, str | None, bool]:
    """Box of a row, the phrase about it, and whether the row's question is one of its own."""
    corners = [fields.xmin, fields.ymin, fields.xmax, fields.ymax]
    if None not in corners and not isinstance(fields.box, str):
        return corners, fields.phrase, True
    if fields.box is not None:
        return fields.box, fields.phrase, True
    if isinstance(fields.ground_truth, list) or _is_box(fields.ground_truth):
        return fields.ground_truth, fields.question, False
    if _is_box(fields.question):
        phrase = _in_words(fields.ground_truth)
        return fields.question, phrase if isinstance(phrase, str) else None, False
    return None, None, True


def _outlines(
    box: Any, phrase: str | None, name: str | None, where: str
) -> Sequence[Outline] | Callable[[Size], Sequence[Outline]]:
    """The objects of a row; of text on a grid what gives them, told the picture's size."""
    name = name or (class_of(phrase) if phrase else OBJECT)
    corners = box if isinstance(box, list) and len(box) == 4 else []
    in_numbers = all(isinstance(corner, int | float) for corner in corners)
    if in_numbers and any(np.less(corners[2:], corners[:2])):
        raise AnnotationError(
            f"{where}: expected a box as x1, y1, x2, y2, got '{shown(box)}'; were width and "
            f"height written, or the corners in another order? Correct it."
        )

    def within(size_wh: Size) -> list[Outline]:
        quads = boxes_of(box, size_wh, where).quads
        # A phrase that several boxes answer singles out none of them.
        return [Outline(quad, name, phrase if len(quads) == 1 else None) for quad in quads]

    on_grid = isinstance(box, str) and box.lstrip().startswith(("{", "["))
    return within if on_grid else within(UNMEASURED)


def _is_box(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{<")


def label_of(value: Any, where: str) -> str | None:
    """The scene class of a row, None where it names none.

    Raises:
        AnnotationError: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise AnnotationError(f"{where}: expected the class as text, got {shown(value)}.")
    return value or None


def questions_of(entries: Iterable[Asked], where: str) -> tuple[Question, ...]:
    """What a row asks.

    `prompt` stands for the question and then `label` for the answer too; GeoChat-Bench's `text` is
    a question and `ground_truth` an answer; `type` and `question_type` stand for `kind`.

    Raises:
        AnnotationError: a question has no answer, or an answer no question.
    """
    questions = (entry.as_question(where) for entry in entries)
    return tuple(question for question in questions if question is not None)


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
