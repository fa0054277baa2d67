"""Answers made elsewhere: their files recognised, their rows matched to a suite's questions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swath.annotations.listings import first, rows_of
from swath.annotations.pictures import UNMEASURED, few, is_picture
from swath.annotations.values import boxes_of
from swath.boxes import Boxes
from swath.errors import EvaluationError, RequestError
from swath.evaluation.predictions import Prediction
from swath.evaluation.reading import Labels, Names, letters
from swath.evaluation.runner import read, unanswered
from swath.evaluation.suites.items import Item, conversations
from swath.evaluation.suites.pictures import quads_of
from swath.evaluation.suites.running import Asked
from swath.evaluation.suites.table import Suite
from swath.instructions.conversation import Conversation
from swath.instructions.dialect import DIALECTS

MISSING = "missing"
FAILED = "failed"
SEVERAL_ANSWERS = "several answers"
GRID_PX = (100, 100)
"""Size given to pictures nobody has seen, so that a 0 to 100 grid counts their pixels."""

_ID = ("custom_id", "question_id", "qid", "id", "index")
_IMAGE = ("image_id", "image", "image_path", "img", "filename")
_TEXT = ("prediction", "pred", "response", "model_answer", "output", "answer", "text")
_TRUTH = ("ground_truth", "annotation", "gt_bbox", "gt", "label", "truth")
_KIND = ("type", "task_type", "category", "kind")


@dataclass(frozen=True)
class Given:
    """One row of an answer file.

    Args:
        text: the answer; empty where the request failed.
        id: as the file numbers it, "" without.
        image: the picture's name, "" without.
        question: the words asked, "" without.
        truth: what the file says is right, None where it says nothing.
        kind: of the question.
        failed: why there is no answer.
    """

    text: str
    id: str = ""
    image: str = ""
    question: str = ""
    truth: Any = None
    kind: str = ""
    failed: str = ""


@dataclass(frozen=True)
class Matched:
    """Predictions of a suite's questions, and what was wrong with the file.

    Args:
        predictions: one a question, in the suite's order.
        by: how rows were matched: "id", "picture and question", "picture", or "order".
        missing: ids nobody answered; they count as wrong.
        extra: ids of answers to no question of the suite; nothing to score them against.
        repeated: ids answered more than once; wrong where the answers differ.
    """

    predictions: list[Prediction]
    by: str
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def notes(self) -> dict[str, Any]:
        """The counts and first ids, for the result's `suite.json`."""
        found = {"missing": self.missing, "extra": self.extra, "repeated": self.repeated}
        return {"matched_by": self.by} | {
            name: {"count": len(ids), "first": ids[:20]} for name, ids in found.items()
        }


def read_answers(path: Path) -> tuple[str, list[Given]]:
    """The kind of an answer file, recognised by looking, and its rows.

    Knows `predictions.jsonl` of swath, batch output of Mistral and OpenAI, the answer files of
    GeoChat and EarthDial, and tables of VLMEvalKit; other rows by the names of their fields.

    Raises:
        RequestError: the file is absent, a spreadsheet, or holds no answers.
    """
    if not path.is_file():
        raise RequestError(f"{path}: no such file; name the file of answers.")
    if path.suffix.lower() in (".xlsx", ".xls"):
        raise RequestError(
            f"{path}: a spreadsheet; save it as TSV or JSON first, from where it was made."
        )
    rows = [row for _, row in rows_of(path) if isinstance(row, dict)]
    if rows and rows[0].get("kind") == "predictions" and "format" in rows[0]:
        given = [
            Given(row["answer"], row["id"], row["image"], row["question"], _known(row), row["task"])
            for row in rows[1:]
        ]
        return "swath predictions", given
    rows = [{str(key).lower(): value for key, value in row.items()} for row in rows]
    if not any(key in row for row in rows for key in _TEXT):
        fields = ", ".join(rows[0]) if rows else "no row"
        raise RequestError(
            f"{path}: found {fields}; expected rows with an answer under one of {', '.join(_TEXT)}."
        )
    if "custom_id" in rows[0]:
        return "batch output", [_batched(row) for row in rows]
    names = [name for name in _TEXT if any(row.get(name) is not None for row in rows)]
    texts = names[:1]
    # VLMEvalKit and others keep the truth under `answer` where the model's words stand elsewhere.
    truths = (*_TRUTH, *(name for name in ("answer",) if texts != ["answer"]))
    kind = (
        "VLMEvalKit table" if texts == ["prediction"] and "index" in rows[0]
        else "GeoChat answers" if "question_id" in rows[0]
        else "EarthDial answers" if {"annotation", "gt_bbox", "caption0"} & rows[0].keys()
        else "rows"
    )  # fmt: skip
    return kind, [
        Given(
            text=_words(first(row, texts)),
            id=_words(first(row, _ID)),
            image=_words(first(row, _IMAGE)) if kind != "VLMEvalKit table" else "",
            question=_words(first(row, ("question", "prompt"))),
            truth=_truth_of(row, truths),
            kind=_words(first(row, _KIND)),
        )
        for row in rows
    ]


def _batched(row: dict[str, Any]) -> Given:
    """A row of batch output; a request that failed has no answer."""
    response = row.get("response") or {}
    status, body = response.get("status_code", 200), response.get("body") or {}
    choices = body.get("choices") or []
    content = (choices[0].get("message") or {}).get("content") if choices else None
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    failed = "" if status == 200 and choices else f"status {status}: {row.get('error')}"
    return Given(content or "", str(row["custom_id"]), failed=failed)


def _truth_of(row: dict[str, Any], keys: Sequence[str]) -> Any:
    captions = [str(row[key]) for key in sorted(row) if key.startswith("caption") and row[key]]
    return captions or first(row, keys)


def _known(row: dict[str, Any]) -> Any:
    values = [row["truth"].get(key) for key in ("label", "captions", "boxes", "count", "answer")]
    return next((value for value in values if value is not None), row["truth"].get("name"))


def _words(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def from_file(suite: Suite, given: Sequence[Given]) -> tuple[Asked, list[Given]]:
    """Questions as an answer file itself tells them, and its rows numbered alike.

    Boxes are on a grid of 0 to 100 both ways. Nothing can be missing then.

    Raises:
        RequestError: a row has no truth.
    """
    items = []
    for number, one in enumerate(given):
        if one.truth is None:
            raise RequestError(
                f"answer {number + 1} ('{one.id}') states no truth; say where the data of "
                f"{suite.name} is with --data."
            )
        truth: dict[str, Any] = {"answer": _words(one.truth), "kind": one.kind}
        if suite.task in ("classify", "identify"):
            truth = {"label" if suite.task == "classify" else "name": _words(one.truth)}
        elif suite.task in ("caption", "region"):
            truth = {"captions": one.truth if isinstance(one.truth, list) else [one.truth]}
        elif suite.task == "count":
            truth = {"count": int(one.truth)}
        elif suite.task in ("refer", "ground"):
            boxes = boxes_of(one.truth, GRID_PX, f"answer {number + 1}")
            truth = {"boxes": quads_of(boxes)}
        words = {"question": one.question, "phrase": one.question}
        items.append(Item(f"{number}", (one.image or f"{number}",), truth, words, None, GRID_PX))
    labels = sorted({item.truth["label"] for item in items if "label" in item.truth})
    names = sorted({item.truth["name"] for item in items if "name" in item.truth})
    asked = conversations(suite, items, "{question}", labels)
    rows = [replace(one, id=str(number)) for number, one in enumerate(given)]
    return Asked(suite, asked, labels, names, "as the answer file says"), rows


def match(asked: Asked, given: Sequence[Given], dialect: str = "geochat") -> Matched:
    """Predictions of every question of a suite from the rows of an answer file.

    Args:
        asked: the suite's questions.
        given: the rows, in any order if they carry ids or pictures.
        dialect: notation of boxes; `[[x1, y1, x2, y2, angle]]` on the same grid is read too.

    Raises:
        EvaluationError: rows cannot be told apart, or are in another order than the suite.
        RequestError: there is no such dialect.
    """
    by, key_of, name_of = _key(asked, given)
    rows: dict[str, list[Given]] = defaultdict(list)
    for number, one in enumerate(given):
        rows[name_of(one, number)].append(one)
    labels, names = Labels(asked.labels), Names(asked.names)
    predictions, missing, repeated = [], [], []
    keys = [key_of(one, number) for number, one in enumerate(asked.conversations)]
    for conversation, key in zip(asked.conversations, keys, strict=True):
        some = rows.get(key, [])
        if len(some) > 1:
            repeated.append(conversation.id)
        if not some or all(one.failed for one in some):
            missing.append(conversation.id)
            problem = FAILED if some else MISSING
            predictions.append(replace(unanswered(conversation), problem=problem))
        elif len({one.text for one in some}) > 1:
            both = replace(unanswered(conversation), answer=some[0].text, problem=SEVERAL_ANSWERS)
            predictions.append(both)
        else:
            text = some[0].text
            boxes = _boxes(text, conversation, dialect)
            predictions.append(read(conversation, text, boxes, labels, names))
    extra = [key for key in rows if key not in set(keys)]
    return Matched(predictions, by, missing, extra, repeated)


def _boxes(text: str, conversation: Conversation, dialect: str) -> Boxes | None:
    if conversation.task not in ("refer", "ground", "describe"):
        return None
    size = conversation.images[0].size_wh
    if size == UNMEASURED:
        raise EvaluationError(
            f"{conversation.id}: boxes are read on a picture whose size is not known; give the "
            f"pictures with --data."
        )
    boxes = DIALECTS.get(dialect).read(text, size)
    if not len(boxes) and "[" in text:
        try:
            boxes = boxes_of(text, size, conversation.id)
        except RequestError:
            return None
    return boxes if len(boxes) else None


Named = Callable[[Conversation, int], str]
NamedRow = Callable[[Given, int], str]


def _key(asked: Asked, given: Sequence[Given]) -> tuple[str, Named, NamedRow]:
    """How rows and questions are matched: by the first name that most rows share with the suite."""
    ways: list[tuple[str, Named, NamedRow]] = [
        ("id", lambda one, _: _plain(one.id), lambda row, _: _plain(row.id)),
        (
            "picture and question",
            lambda one, _: _plain(_picture(one)) + "?" + _asks(one.text("user")),
            lambda row, _: _plain(row.image) + "?" + _asks(row.question),
        ),
        ("picture", lambda one, _: _plain(_picture(one)), lambda row, _: _plain(row.image)),
        ("picture", lambda one, _: _plain(_picture(one)), lambda row, _: _plain(row.id)),
    ]
    for by, key_of, name_of in ways:
        keys = Counter(key_of(one, number) for number, one in enumerate(asked.conversations))
        names = {name_of(one, number) for number, one in enumerate(given)}
        if max(keys.values()) == 1 and 2 * len(names & keys.keys()) > min(len(names), len(keys)):
            return by, key_of, name_of
    if len(given) == len(asked.conversations) and not any(one.id for one in given):
        _same_order(asked, given)
        return "order", lambda _, number: str(number), lambda _, number: str(number)
    ours, theirs = [one.id for one in asked.conversations], [one.id or one.image for one in given]
    raise EvaluationError(
        f"{asked.suite.name}: {len(given)} answers cannot be matched to its {len(ours)} questions; "
        f"the suite's are called {few(ours)}, the file's {few(theirs)}. Are they of this suite and "
        f"split?"
    )


def _same_order(asked: Asked, given: Sequence[Given]) -> None:
    """Check that rows without any name stand in the suite's order, by the truths they state."""
    for number, (one, row) in enumerate(zip(asked.conversations, given, strict=True)):
        truth = next(
            (one.truth[key] for key in ("label", "answer", "count") if key in one.truth), ""
        )
        if isinstance(row.truth, str) and truth and letters(row.truth) != letters(str(truth)):
            raise EvaluationError(
                f"{asked.suite.name}: answer {number + 1} states the truth '{row.truth}', the "
                f"suite's question {number + 1} '{truth}': the file is in another order. Score it "
                f"by the truths it states, without --data."
            )


def _picture(one: Conversation) -> str:
    return Path(one.images[0].path).name


def _plain(name: str) -> str:
    """A name without case and a picture's suffix, from which folders are left off."""
    path = Path(name.replace("\\", "/"))
    return (path.stem if is_picture(path) else path.name if "/" in name else name).lower().strip()


def _asks(words: str) -> str:
    """The question's letters, an instruction after its first line left off."""
    return letters(words.strip().splitlines()[0]) if words.strip() else ""
