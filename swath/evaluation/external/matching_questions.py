"""Answers made elsewhere: rows of their files matched to a suite's questions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, few, is_picture
from swath.annotations.parsing import boxes_of
from swath.boxes import Boxes
from swath.dialect import DIALECTS, IN_PIXELS, recognised
from swath.errors import EvaluationError, RequestError
from swath.evaluation.external.answer_files import Given, words
from swath.evaluation.metrics.grounding import quads_of
from swath.evaluation.predicting import read, unanswered
from swath.evaluation.predictions import Prediction
from swath.evaluation.reading import Labels, Names, letters, read_count
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.items import Item, conversations
from swath.evaluation.suites.running import Asked
from swath.evaluation.suites.table import Suite
from swath.instructions.conversation import Conversation

MISSING = "missing"
FAILED = "failed"
SEVERAL_ANSWERS = "several answers"
AS_STATED = "as the answer file says"
GRID_PX = (100, 100)
"""Size given to pictures nobody has seen, so that a 0 to 100 grid counts their pixels."""


@dataclass(frozen=True)
class Matched:
    """Predictions of a suite's questions, and what was wrong with the file.

    Args:
        predictions: one a question, in the suite's order.
        by: how rows were matched: "id", "picture and question", "picture", or "order".
        missing: ids nobody answered; they count as wrong.
        extra: ids of answers to no question of the suite; nothing to score them against.
        repeated: ids answered more than once; wrong where the answers differ.
        no_number: ids whose answer is NaN or Infinity, as pandas writes a hole; unreadable.
        outside: ids whose boxes reach beyond the picture by more than 2 % of its side: was another
            notation meant? They count as they are read.
        dialect: notation in which boxes were read, "" where none were looked for.
    """

    predictions: list[Prediction]
    by: str
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    no_number: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    dialect: str = ""

    def notes(self) -> dict[str, Any]:
        """The counts and first ids, for the result's `suite.json`."""
        found = {"missing": self.missing, "extra": self.extra, "repeated": self.repeated}
        found |= {"not a number": self.no_number, "beyond the picture": self.outside}
        about = {"matched_by": self.by} | ({"dialect": self.dialect} if self.dialect else {})
        return about | {name: {"count": len(ids), "first": ids[:20]} for name, ids in found.items()}


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
        truth: dict[str, Any] = {"answer": words(one.truth), "kind": one.kind}
        if suite.task in ("classify", "identify"):
            truth = {"label" if suite.task == "classify" else "name": words(one.truth)}
        elif suite.task in ("caption", "region"):
            truth = {"captions": one.truth if isinstance(one.truth, list) else [one.truth]}
        elif suite.task == "count":
            count, problem = read_count(words(one.truth))
            if count is None or problem:
                raise RequestError(
                    f"answer {number + 1} ('{one.id}') states the count '{one.truth}'; write a "
                    f"whole number."
                )
            truth = {"count": count}
        elif suite.task in ("refer", "ground"):
            boxes = boxes_of(one.truth, GRID_PX, f"answer {number + 1}")
            truth = {"boxes": quads_of(boxes)}
        spoken = {"question": one.question, "phrase": one.question}
        items.append(Item(f"{number}", (one.image or f"{number}",), truth, spoken, None, GRID_PX))
    labels = sorted({item.truth["label"] for item in items if "label" in item.truth})
    names = sorted({item.truth["name"] for item in items if "name" in item.truth})
    asked = conversations(suite, items, "{question}", labels)
    rows = [replace(one, id=str(number)) for number, one in enumerate(given)]
    return Asked(suite, asked, labels, names, AS_STATED), rows


def match(asked: Asked, given: Sequence[Given], dialect: str | None = None) -> Matched:
    """Predictions of every question of a suite from the rows of an answer file.

    Args:
        asked: the suite's questions.
        given: the rows, in any order if they carry ids or pictures.
        dialect: notation of boxes; None recognises it by looking, where it can be only one.

    Raises:
        EvaluationError: rows cannot be told apart, or are in another order than the suite.
        RequestError: there is no such dialect, boxes may be of several, or they are in pixels of
            pictures that nobody has seen.
    """
    boxed = bool(SCORED.get(asked.suite.task).boxes)
    if boxed:
        dialect = dialect or recognised(one.text for one in given)
        if dialect in IN_PIXELS and asked.prompt == AS_STATED:
            raise RequestError(
                f"boxes in '{dialect}' are pixels, and the answer file says no picture's size; "
                f"give the suite's data with --data."
            )
    by, key_of, name_of = _key(asked, given)
    rows: dict[str, list[Given]] = defaultdict(list)
    for number, one in enumerate(given):
        rows[name_of(one, number)].append(one)
    labels, names = Labels(asked.labels), Names(asked.names)
    predictions, missing, repeated = list[Prediction](), list[str](), list[str]()
    no_number, outside = list[str](), list[str]()
    keys = [key_of(one, number) for number, one in enumerate(asked.conversations)]
    for conversation, key in zip(asked.conversations, keys, strict=True):
        every = rows.get(key, [])
        if len(every) > 1:
            repeated.append(conversation.id)
        some = [one for one in every if not one.failed]  # one that failed may be asked again
        if not some:
            missing.append(conversation.id)
            problem = FAILED if every else MISSING
            predictions.append(replace(unanswered(conversation), problem=problem))
        elif len({one.text for one in some}) > 1:
            said = " | ".join(dict.fromkeys(one.text for one in some))
            both = replace(unanswered(conversation), answer=said, problem=SEVERAL_ANSWERS)
            predictions.append(both)
        else:
            text = some[0].text
            boxes = _boxes(text, conversation, dialect) if dialect and boxed else None
            if some[0].no_number:
                no_number.append(conversation.id)
            if boxes is not None and _beyond(boxes, conversation.images[0].size_wh):
                outside.append(conversation.id)
            predictions.append(read(conversation, text, boxes, labels, names))
    extra = [key for key in rows if key not in set(keys)]
    found = (missing, extra, repeated, no_number, outside)
    return Matched(predictions, by, *found, dialect if boxed and dialect else "")


def _boxes(text: str, conversation: Conversation, dialect: str) -> Boxes | None:
    size = conversation.images[0].size_wh
    if size == UNMEASURED:
        raise EvaluationError(
            f"{conversation.id}: boxes are read on a picture whose size is not known; give the "
            f"pictures with --data."
        )
    boxes = DIALECTS.get(dialect).read(text, size)
    return boxes if len(boxes) else None


def _beyond(boxes: Boxes, size_wh: tuple[int, int]) -> bool:
    """Whether a box reaches beyond the picture by more than roundings and turns do."""
    least, most = boxes.quads.min(axis=(0, 1)) / size_wh, boxes.quads.max(axis=(0, 1)) / size_wh
    return bool((least < -0.02).any() or (most > 1.02).any())


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
        shared = names & keys.keys() - {""}
        if (
            max(keys.values()) == 1
            and 2 * len(shared) > min(len(names), len(keys))
            and not _of_others(asked, given, key_of, name_of)
        ):
            return by, key_of, name_of
    if len(given) == len(asked.conversations) and _running(asked, given):
        _same_order(asked, given)
        return "order", lambda _, number: str(number), lambda _, number: str(number)
    ours, theirs = [one.id for one in asked.conversations], [one.id or one.image for one in given]
    raise EvaluationError(
        f"{asked.suite.name}: {len(given)} answers cannot be matched to its {len(ours)} questions; "
        f"the suite's are called {few(ours)}, the file's {few(theirs)}. Are they of this suite and "
        f"split? Then name them by its ids, or write `image` and `question` beside each."
    )


def _of_others(asked: Asked, given: Sequence[Given], key_of: Named, name_of: NamedRow) -> bool:
    """Whether rows of the same names ask something else: numbers from 0 on fit any suite.

    Of names that are words, and of a picture that is asked one thing, wordings may differ.
    """
    ours = {
        key_of(one, n): (_asks(one.text("user")), _plain(_picture(one)))
        for n, one in enumerate(asked.conversations)
    }
    pictures = {picture for _, picture in ours.values()}
    numbered = all(name.isdecimal() for name in ours)
    alike = len({words for words, _ in ours.values()}) == 1
    told = other = 0
    for number, row in enumerate(given):
        if (name := name_of(row, number)) in ours:
            (words, picture), seen = ours[name], _plain(row.image)
            worded = numbered and not (alike and seen == picture)
            said = _asks(row.question) if worded else ""
            told += bool(said) or seen in pictures
            differs = bool(said and words) and not (said in words or words in said)
            other += differs or (seen in pictures and seen != picture)
    return 10 * other > told


def _running(asked: Asked, given: Sequence[Given]) -> bool:
    """Whether rows have no names, or only running numbers, and truths that tell their order."""
    names = [one.id for one in given]
    if not any(names):
        return True
    counted = any(names == [str(n + start) for n in range(len(names))] for start in (0, 1))
    counted = counted and bool({"label", "answer", "count"} & asked.conversations[0].truth.keys())
    return counted and all(isinstance(one.truth, str) for one in given)


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
