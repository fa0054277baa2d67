"""Layouts of benchmarks made of questions: RSVQA, RSIVQA, and rows with a picture each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED
from swath.annotations.formats.rsivqa import lines
from swath.annotations.formats.rsvqa import joined
from swath.annotations.parsing import boxes_of, size_of
from swath.annotations.splits import split_named
from swath.annotations.tables import first, rows_of
from swath.boxes import Boxes
from swath.errors import AnnotationError
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.items import LAYOUTS, Item, Pictures, stated_truth
from swath.evaluation.suites.table import Suite
from swath.instructions.tasks.base import Fact
from swath.instructions.tasks.truths import AnswerTruth

_ID = ("question_id", "id", "qid", "index")
_IMAGE = ("images", "image", "image_id", "img", "filename", "file_name", "video")
_SAID: tuple[str, ...] = (
    *("ground_truth", "answer", "label", "labels", "caption", "captions"),
    *("count", "counts", "annotation"),
)
_BOX = ("boxes", "box", "bbox", "gt_bbox")
_KIND = ("type", "kind", "question_type", "category")


def rsvqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSVQA: `<options.file>_{questions,answers,images}.json`, entries told apart by their id.

    Inactive entries are stubs. `options.kinds` keeps some types of question. An image is
    `<id>.tif`.
    """
    name = f"{suite.options['file']}_questions.json"
    file = next(iter(sorted(folder.rglob(name))), folder / name)
    find, kinds = Pictures(folder), suite.options.get("kinds")
    for asked, answer in joined(file):
        if not kinds or asked.type in kinds:
            fact = Fact(AnswerTruth(answer, asked.type), {"question": asked.question})
            yield Item(asked.id, (find(f"{asked.img_id}.tif"),), fact)


def rsivqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSIVQA: lines `picture:question?answer` in text files, parted at the first : and last ?."""
    find = Pictures(folder)
    for file in sorted(folder.rglob("*.txt")) if folder.is_dir() else [folder]:
        if file.parent.name == "splits" or file.name.lower() == "readme.txt":
            continue
        for where, picture, one in lines(file):
            # Some lines have no answer, which nothing can be scored against.
            if one.answer:
                truth = AnswerTruth(one.answer, _kind_of(one.question))
                fact = Fact(truth, {"question": one.question})
                yield Item(f"{file.stem}:{where.rpartition(':')[2]}", (find(picture),), fact)


def _kind_of(question: str) -> str:
    words = question.lower()
    kinds = {"theme": "theme", "how many": "count", "where": "location", "location": "location"}
    kinds |= dict.fromkeys(("does", "is there", "are there", "is this", "contain"), "presence")
    return next((kind for start, kind in kinds.items() if start in words), "other")


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
    find, found = Pictures(folder), list[Item]()
    for where, row in _listed(folder, suite):
        picture = first(row, _IMAGE)
        names = picture if isinstance(picture, list) else [picture]
        more = {"identify": ("name",), "refer": _BOX, "ground": _BOX}.get(suite.task, ())
        said = first(row, (*_SAID, *more))
        if said is None or not all(isinstance(name, str) for name in names):
            raise AnnotationError(
                f"{where}: expected a picture under one of {', '.join(_IMAGE)} and the truth under "
                f"one of {', '.join((*_SAID, *more))}; got {', '.join(row)}."
            )
        side = suite.options.get("sizes", {}).get(row.get("dataset"), suite.options.get("size_px"))
        paths, size = tuple(map(find, names)), (side, side) if side else UNMEASURED
        claimed = size
        if side and Path(paths[0]).is_file():
            size = size_of(Path(paths[0]), where)
        given = str(first(row, ("question", "phrase", "expression", "text")) or "")
        fact = _fact(suite.task, row, said, given, size, where)
        boxes = fact.truth.get("boxes") or fact.box or Boxes.empty()
        if boxes.quads.max(initial=0) > 1.05 * max(size) and side:
            size = claimed
            fact = _fact(suite.task, row, said, given, size, where)
        number = str(first(row, _ID) if first(row, _ID) is not None else len(found))
        found.append(Item(number, paths, fact, size))
    twice = Counter(item.id for item in found)
    return [
        replace(item, id=f"{Path(item.images[0]).name}/{item.id}") if twice[item.id] > 1 else item
        for item in found
    ]


def _listed(folder: Path, suite: Suite) -> Iterator[tuple[str, dict[str, Any]]]:
    name = suite.options.get("file", "*")
    suffixes = (".json", ".jsonl", ".csv", ".tsv")
    files = sorted(folder.rglob(name)) if folder.is_dir() else [folder]
    files = [file for file in files if file.suffix.lower() in suffixes]
    if not files:
        raise AnnotationError(f"{folder}: holds no '{name}'; {suite.title} comes with it.")
    only, without = suite.options.get("only", {}), suite.options.get("without", {})
    for file in files:
        for number, (_, given) in enumerate(rows_of(file), 1):
            if not isinstance(given, dict):
                raise AnnotationError(f"{file}: expected rows, each an object; correct the file.")
            row, where = {str(key).lower(): v for key, v in given.items()}, f"{file}: row {number}"
            split = split_named(row.get("split"), where) if suite.split else None
            if (
                (split or suite.split) == suite.split
                and all(row.get(key) in values for key, values in only.items())
                and not any(row.get(key) in values for key, values in without.items())
            ):
                yield where, row


def _fact(
    task: str, row: dict[str, Any], said: Any, question: str, size: tuple[int, int], where: str
) -> Fact[Any]:
    """What a row asks, with its truth and the boxes that its question is about."""
    boxed = SCORED.get(task).boxes == "alone"
    value = first(row, (*_BOX, *_SAID)) if boxed else said
    truth = stated_truth(task, value, size, where, str(first(row, _KIND) or ""))
    box = None
    if task in ("region", "identify"):
        box = boxes_of(first(row, (*_BOX, "question")), size, where)
    return Fact(truth, {"question": question, "phrase": question}, box)


for _layout in (rsvqa, rsivqa, rows):
    LAYOUTS.add(_layout.__name__, _layout)
