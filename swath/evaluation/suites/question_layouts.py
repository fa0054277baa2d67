"""Layouts of benchmarks made of questions: RSVQA, RSIVQA, and rows with a picture each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED
from swath.annotations.formats.rsivqa import lines
from swath.annotations.formats.rsvqa import joined
from swath.annotations.parsing import boxes_of, size_of
from swath.annotations.splits import split_named
from swath.annotations.tables import first, rows_of
from swath.boxes import Boxes, Size
from swath.errors import AnnotationError
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.items import LAYOUTS, Item, Pictures, stated_truth
from swath.evaluation.suites.table import Suite
from swath.files import Json
from swath.instructions.tasks.base import Fact
from swath.instructions.tasks.truths import AnswerTruth

_ID = ("question_id", "id", "qid", "index")
_IMAGE = ("images", "image", "image_id", "img", "filename", "file_name", "video")
_TRUTH: tuple[str, ...] = (
    "ground_truth", "answer", "label", "labels", "caption", "captions", "count", "counts",
    "annotation",
)  # fmt: skip
_KINDS_OF_RSIVQA = {
    "theme": "theme",
    "how many": "count",
    "where": "location",
    "location": "location",
    "does": "presence",
    "is there": "presence",
    "are there": "presence",
    "is this": "presence",
    "contain": "presence",
}
"""Kinds of question by words in it, the first that it has."""

_BOX = ("boxes", "box", "bbox", "gt_bbox")
_QUESTION = ("question", "phrase", "expression", "text")
_KIND = ("type", "kind", "question_type", "category")


def rsvqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSVQA: `<options.file>_{questions,answers,images}.json`, entries told apart by their id.

    Inactive entries are stubs. `options.kinds` keeps some types of question. An image is
    `<id>.tif`.
    """
    name = f"{suite.options['file']}_questions.json"
    file = next(iter(sorted(folder.rglob(name))), folder / name)
    find = Pictures(folder)
    kinds = suite.options.get("kinds")
    for row, answer in joined(file):
        if not kinds or row.type in kinds:
            fact = Fact(AnswerTruth(answer, row.type), {"question": row.question})
            yield Item(row.id, (find(f"{row.img_id}.tif"),), fact)


def rsivqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSIVQA: lines `picture:question?answer` in text files, parted at the first : and last ?."""
    find = Pictures(folder)
    for file in sorted(folder.rglob("*.txt")) if folder.is_dir() else [folder]:
        if file.parent.name == "splits" or file.name.lower() == "readme.txt":
            continue
        for where, picture, row in lines(file):
            # Some lines have no answer, which nothing can be scored against.
            if row.answer:
                truth = AnswerTruth(row.answer, _kind_of(row.question))
                fact = Fact(truth, {"question": row.question})
                yield Item(f"{file.stem}:{where.rpartition(':')[2]}", (find(picture),), fact)


def _kind_of(question: str) -> str:
    words = question.lower()
    for part, kind in _KINDS_OF_RSIVQA.items():
        if part in words:
            return kind
    return "other"


def rows(folder: Path, suite: Suite) -> list[Item]:
    """Rows of a picture, a question and its truth, in JSON, JSON Lines, CSV or TSV.

    Options: `file` of the rows; `only` and `without`, {field: [values]} to keep or leave out;
    `size_px`, or {dataset: size} in `sizes`, the side of the square pictures that boxes are for,
    where a picture is absent or its boxes reach beyond it.
    Rows that name another split than the suite's are left out. Boxes are corners or polygons in
    pixels, or `{<x1><y1><x2><y2>}` text on a 0 to 100 grid.

    Raises:
        AnnotationError: a row lacks what the suite's task needs.
    """
    find = Pictures(folder)
    more = {"identify": ("name",), "refer": _BOX, "ground": _BOX}.get(suite.task, ())
    truths = (*_TRUTH, *more)
    items: list[Item] = []
    for where, row in _listed(folder, suite):
        picture = first(row, _IMAGE)
        names = picture if isinstance(picture, list) else [picture]
        pictured = bool(names) and all(isinstance(name, str) for name in names)
        if first(row, truths) is None or not pictured:
            raise AnnotationError(
                f"{where}: expected a picture under one of {', '.join(_IMAGE)} and the truth under "
                f"one of {', '.join(truths)}; got {', '.join(row)}."
            )
        paths = tuple(map(find, names))
        name = first(row, _ID)
        fact, size = _measured_fact(suite, row, truths, Path(paths[0]), where)
        items.append(Item(str(len(items) if name is None else name), paths, fact, size))
    counts = Counter(item.id for item in items)
    for place, item in enumerate(items):
        if counts[item.id] > 1:
            items[place] = replace(item, id=f"{Path(item.images[0]).name}/{item.id}")
    return items


def _listed(folder: Path, suite: Suite) -> Iterator[tuple[str, Json]]:
    """The rows of the suite's split in its files, each with where it stands."""
    name = suite.options.get("file", "*")
    suffixes = (".json", ".jsonl", ".csv", ".tsv")
    files = sorted(folder.rglob(name)) if folder.is_dir() else [folder]
    files = [file for file in files if file.suffix.lower() in suffixes]
    if not files:
        raise AnnotationError(f"{folder}: holds no '{name}'; {suite.title} comes with it.")
    for file in files:
        for number, (_, content) in enumerate(rows_of(file), 1):
            if not isinstance(content, dict):
                raise AnnotationError(f"{file}: expected rows, each an object; correct the file.")
            where = f"{file}: row {number}"
            row = {str(key).lower(): value for key, value in content.items()}
            split = split_named(row.get("split"), where) if suite.split else None
            if split in (None, suite.split) and _admits(suite, row):
                yield where, row


def _admits(suite: Suite, row: Json) -> bool:
    """Whether `options.only` and `options.without` keep a row."""
    for key, values in suite.options.get("only", {}).items():
        if row.get(key) not in values:
            return False
    for key, values in suite.options.get("without", {}).items():
        if row.get(key) in values:
            return False
    return True


def _measured_fact(
    suite: Suite, row: Json, truths: Sequence[str], picture: Path, where: str
) -> tuple[Fact[Any], tuple[int, int]]:
    """What a row asks, and the size of the picture that its boxes are on.

    That of the picture where it is there, unless boxes reach beyond it: then the one the options
    claim.
    """
    side = suite.options.get("sizes", {}).get(row.get("dataset"), suite.options.get("size_px"))
    if not side:
        return _fact(suite.task, row, truths, UNMEASURED, where), UNMEASURED
    claimed = (side, side)
    size = size_of(picture, where) if picture.is_file() else claimed
    fact = _fact(suite.task, row, truths, size, where)
    boxes = fact.truth.get("boxes") or fact.box or Boxes.empty()
    if boxes.quads.max(initial=0) > 1.05 * max(size):
        return _fact(suite.task, row, truths, claimed, where), claimed
    return fact, size


def _fact(task: str, row: Json, truths: Sequence[str], size: Size, where: str) -> Fact[Any]:
    """What a row asks, with its truth and the boxes that its question is about."""
    if SCORED.get(task).boxes == "alone":
        truths = (*_BOX, *_TRUTH)
    kind = str(first(row, _KIND) or "")
    truth = stated_truth(task, first(row, truths), size, where, kind)
    question = str(first(row, _QUESTION) or "")
    box = None
    if task in ("region", "identify"):
        box = boxes_of(first(row, (*_BOX, "question")), size, where)
    return Fact(truth, {"question": question, "phrase": question}, box)


for _layout in (rsvqa, rsivqa, rows):
    LAYOUTS.add(_layout.__name__, _layout)
