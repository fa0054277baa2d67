"""Layouts of benchmarks made of questions: RSVQA, RSIVQA, and rows with a picture each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from swath.annotations.listings import load
from swath.annotations.pictures import UNMEASURED
from swath.boxes import Boxes
from swath.errors import AnnotationError
from swath.evaluation.suites.items import LAYOUTS, Item, Pictures
from swath.evaluation.suites.pictures import quads_of, table
from swath.evaluation.suites.table import Suite
from swath.instructions.dialect import read_geochat

_ID = ("question_id", "id", "qid", "index")
_IMAGE = ("images", "image", "image_id", "img", "filename", "file_name", "video")
_SAID = ("ground_truth", "answer", "label", "caption", "captions", "count", "annotation")
_KIND = ("type", "kind", "question_type", "category")
_LINE = re.compile(r"(?P<picture>[^:]+):(?P<question>.*\?)(?P<answer>[^?]*)")


def rsvqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSVQA: `<options.file>_{questions,answers,images}.json`, entries told apart by their id.

    Inactive entries are stubs. `options.kinds` keeps some types of question. An image is
    `<id>.tif`.
    """
    prefix = suite.options["file"]
    files = {
        kind: next(iter(sorted(folder.rglob(f"{prefix}_{kind}.json"))), folder / f"{prefix}_{kind}")
        for kind in ("questions", "answers")
    }
    asked = load(files["questions"])["questions"]
    answers = {one["id"]: one for one in load(files["answers"])["answers"] if one.get("active")}
    find, kinds = Pictures(folder), suite.options.get("kinds")
    for one in asked:
        if not one.get("active") or (kinds and one["type"] not in kinds):
            continue
        answer = next((answers[key] for key in one["answers_ids"] if key in answers), None)
        if answer is None:
            raise AnnotationError(
                f"{files['answers']}: question {one['id']} has no active answer; copy it again."
            )
        truth = {"answer": str(answer["answer"]), "kind": one["type"]}
        yield Item(str(one["id"]), (find(f"{one['img_id']}.tif"),), truth,
                   {"question": one["question"]})  # fmt: skip


def rsivqa(folder: Path, suite: Suite) -> Iterator[Item]:
    """RSIVQA: lines `picture:question?answer` in text files, parted at the first : and last ?."""
    find = Pictures(folder)
    for file in sorted(folder.rglob("*.txt")) if folder.is_dir() else [folder]:
        if file.parent.name == "splits" or file.name.lower() == "readme.txt":
            continue
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            parts = _LINE.fullmatch(line.strip())
            if parts is None and line.strip():
                raise AnnotationError(
                    f"{file}:{number}: expected picture:question?answer, got '{line[:60]}'."
                )
            if parts:
                picture, question, answer = (part.strip() for part in parts.groups())
                # Some lines have no answer, which nothing can be scored against.
                if answer:
                    truth = {"answer": answer, "kind": _kind_of(question)}
                    yield Item(f"{file.stem}:{number}", (find(picture),), truth,
                               {"question": question})  # fmt: skip


def _kind_of(question: str) -> str:
    words = question.lower()
    kinds = {"theme": "theme", "how many": "count", "where": "location", "location": "location"}
    kinds |= dict.fromkeys(("does", "is there", "are there", "is this", "contain"), "presence")
    return next((kind for start, kind in kinds.items() if start in words), "other")


def rows(folder: Path, suite: Suite) -> list[Item]:
    """Rows of a picture, a question and its truth, in JSON, JSON Lines, CSV or TSV.

    Options: `file` of the rows; `only` and `without`, {field: [values]} to keep or leave out;
    `size_px`, or {dataset: size} in `sizes`, the side of the square pictures that boxes are for.
    Boxes are corners or polygons in pixels, or `{<x1><y1><x2><y2>}` text on a 0 to 100 grid.

    Raises:
        AnnotationError: a row lacks what the suite's task needs.
    """
    find, found = Pictures(folder), list[Item]()
    for where, row in _listed(folder, suite):
        picture = first(row, _IMAGE)
        names = picture if isinstance(picture, list) else [picture]
        said = first(row, _SAID)
        if said is None or not all(isinstance(name, str) for name in names):
            raise AnnotationError(
                f"{where}: expected a picture under one of {', '.join(_IMAGE)} and the truth under "
                f"one of {', '.join(_SAID)}; got {', '.join(row)}."
            )
        side = suite.options.get("sizes", {}).get(row.get("dataset"), suite.options.get("size_px"))
        size = (side, side) if side else UNMEASURED
        given = str(first(row, ("question", "phrase", "expression", "text")) or "")
        truth, asked = _truth(suite.task, row, said, size, where)
        number = str(first(row, _ID) if first(row, _ID) is not None else len(found))
        words = {"question": given, "phrase": given}
        found.append(Item(number, tuple(map(find, names)), truth, words, asked, size))
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
        for number, row in enumerate(rows_of(file), 1):
            row = {key.lower(): value for key, value in row.items()}
            if all(row.get(key) in values for key, values in only.items()) and not any(
                row.get(key) in values for key, values in without.items()
            ):
                yield f"{file}: row {number}", row


def rows_of(file: Path) -> Iterable[dict[str, Any]]:
    """Objects of a JSON list or mapping, of JSON Lines, or of a table.

    Raises:
        AnnotationError: the file is damaged, or holds something else.
    """
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return table(file)
    if suffix == ".jsonl":
        lines = [line for line in file.read_bytes().splitlines() if line.strip()]
        try:
            content: Any = [orjson.loads(line) for line in lines]
        except orjson.JSONDecodeError as error:
            raise AnnotationError(f"{file}: not JSON Lines ({error}); copy it again.") from None
    else:
        content = load(file)
    if isinstance(content, dict):
        # FloodNet numbers its rows; others keep them under a name.
        inner = [value for value in content.values() if isinstance(value, list)]
        content = inner[0] if inner else [{"id": key, **row} for key, row in content.items()
                                          if isinstance(row, dict)]  # fmt: skip
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise AnnotationError(f"{file}: expected rows, each an object; correct the file.")
    return content


def first(row: dict[str, Any], keys: Iterable[str]) -> Any:
    """The first of some fields that a row has, None without any."""
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def _truth(
    task: str, row: dict[str, Any], said: Any, size: tuple[int, int], where: str
) -> tuple[dict[str, Any], Boxes | None]:
    if task in ("refer", "ground"):
        value = first(row, ("boxes", "box", "bbox", "gt_bbox")) or said
        return {"boxes": quads_of(boxes_of(value, size, where))}, None
    if task == "region":
        value = first(row, ("boxes", "box", "bbox", "question"))
        return {"captions": said if isinstance(said, list) else [said]}, boxes_of(
            value, size, where
        )
    if task == "caption":
        return {"captions": said if isinstance(said, list) else [said]}, None
    if task == "classify":
        return {"label": str(said)}, None
    if task == "count":
        return {"count": int(said)}, None
    return {"answer": str(said), "kind": str(first(row, _KIND) or "")}, None


def boxes_of(value: Any, size_wh: tuple[int, int], where: str) -> Boxes:
    """Boxes of corners, polygons, or text on a 0 to 100 grid.

    Raises:
        AnnotationError: there is none, or a text's grid is of a picture of unknown size.
    """
    if isinstance(value, str):
        text = re.sub(r"\[\s*([-\d.]+)\s*,\s*([-\d.]+)\s*,\s*([-\d.]+)\s*,\s*([-\d.]+)"
                      r"(?:\s*,\s*([-\d.]+))?\s*\]", _as_geochat, value)  # fmt: skip
        boxes = read_geochat(text, size_wh)
        if size_wh != UNMEASURED and len(boxes):
            return boxes
    elif isinstance(value, list) and value:
        array = np.asarray(value, dtype=np.float64)
        if array.shape[-1:] == (4,):
            return Boxes.from_hbb(array)
        if array.size % 8 == 0:
            return Boxes(array.reshape(-1, 4, 2))
    raise AnnotationError(
        f"{where}: expected boxes as corners, polygons or {{<x1><y1><x2><y2>}} on a picture whose "
        f"size the suite's options say, got '{str(value)[:60]}'."
    )


def _as_geochat(match: re.Match[str]) -> str:
    x1, y1, x2, y2, angle = match.groups()
    return f"{{<{x1}><{y1}><{x2}><{y2}>|<{angle or 0}>}}"


for _layout in (rsvqa, rsivqa, rows):
    LAYOUTS.add(_layout.__name__, _layout)
