"""What is scored without looking: answers from the training truths alone, as predictions.

A model that does not beat these has learned the habits of the data set, not to see.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.annotations.finding_pictures import UNMEASURED
from swath.boxes import Boxes
from swath.errors import EvaluationError
from swath.evaluation.predicting import unanswered
from swath.evaluation.predictions import DECIMALS, Prediction
from swath.evaluation.scored_tasks import SCORED
from swath.instructions.conversation import Conversation


def blind(
    train: Sequence[Conversation], test: Sequence[Conversation]
) -> dict[str, list[Prediction]]:
    """Every baseline that has both training and test conversations.

    Boxes are guessed as shares of a picture, so only where the size of every picture is known.
    """
    captioned = ("caption", "region", "describe")
    boxed: tuple[str, ...] = ("refer", "ground")
    asked = [one for one in (*train, *test) if one.task in boxed]
    if any(image.size_wh == UNMEASURED for one in asked for image in one.images):
        boxed = ()
    table: dict[str, tuple[Callable[..., list[Prediction]], Sequence[str]]] = {
        "majority class": (commonest_label, ["classify"]),
        "commonest name": (commonest_label, ["identify"]),
        "commonest answer": (commonest_answer, ["question"]),
        "mean box": (mean_box, boxed),
        "centre box": (centre_box, boxed),
        "median count": (median_count, ["count"]),
        "commonest classes": (commonest_classes, ["classes"]),
        "median damage": (median_damage, ["damage"]),
        "commonest caption": (commonest_caption, captioned),
    }
    predictions = {
        name: [
            prediction
            for task in tasks
            if _of(train, task) and _of(test, task)
            for prediction in make(train, test, task=task)
        ]
        for name, (make, tasks) in table.items()
    }
    return {name: some for name, some in predictions.items() if some}


def commonest_label(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "classify"
) -> list[Prediction]:
    """The commonest training class or object for every question; a tie goes to the first met."""
    label = _commonest([one.truth[SCORED.get(task).truth] for one in _training(train, task)])
    return [_answered(one, label, label=label) for one in _of(test, task)]


def commonest_answer(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "question"
) -> list[Prediction]:
    """The commonest training answer to the question's kind; of all, to a kind never met."""
    by_kind: dict[str | None, list[str]] = {None: []}
    for one in _training(train, task):
        for kind in (None, one.truth.get("kind") or ""):
            by_kind.setdefault(kind, []).append(str(one.truth["answer"]))
    answers = {kind: _commonest(texts) for kind, texts in by_kind.items()}
    return [
        _answered(one, answers.get(one.truth.get("kind") or "", answers[None]))
        for one in _of(test, task)
    ]


def median_count(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "count"
) -> list[Prediction]:
    """The median training count for every question, the lower one of two: least mean error."""
    count = int(median_low([one.truth["count"] for one in _training(train, task)]))
    return [_answered(one, str(count), count=count) for one in _of(test, task)]


def commonest_classes(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "classes"
) -> list[Prediction]:
    """The commonest set of training classes for every test image."""
    said = _commonest(["; ".join(sorted(one.truth["labels"])) for one in _training(train, task)])
    return [_answered(one, said) for one in _of(test, task)]


def median_damage(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "damage"
) -> list[Prediction]:
    """The median of each training count of buildings, as JSON, for every test pair."""
    counts = [one.truth["counts"] for one in _training(train, task)]
    said = {name: int(median_low([some[name] for some in counts])) for name in counts[0]}
    return [_answered(one, json.dumps(said)) for one in _of(test, task)]


def mean_box(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "refer"
) -> list[Prediction]:
    """The mean horizontal training box, as shares of width and height, for every expression."""
    return _boxed(_relative(train, task).mean(axis=0), _of(test, task))


def centre_box(
    train: Sequence[Conversation], test: Sequence[Conversation], task: str = "refer"
) -> list[Prediction]:
    """A box of the mean training width and height in the middle of every image."""
    boxes = _relative(train, task)
    half = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0) / 2
    return _boxed(np.concatenate([0.5 - half, 0.5 + half]), _of(test, task))


def commonest_caption(
    train: Sequence[Conversation],
    test: Sequence[Conversation],
    classes: Mapping[str, str | None] | None = None,
    task: str = "caption",
) -> list[Prediction]:
    """The commonest training caption of the class an image was given, for every test image.

    Args:
        train: conversations; those of the task count, by the `label` of their truth.
        test: conversations; those of the task are answered.
        classes: the class of each image path, as a classifier predicted it. An image without one,
            or with one that no training caption has, gets the commonest caption of all.
        task: "caption", or another whose truth holds captions.
    """
    by_class: dict[str | None, list[str]] = {None: []}
    for one in _training(train, task):
        by_class[None] += one.truth["captions"]
        if one.truth.get("label"):
            by_class.setdefault(one.truth["label"], []).extend(one.truth["captions"])
    captions = {label: _commonest(texts) for label, texts in by_class.items()}
    classes = classes or {}
    return [
        _answered(one, captions.get(classes.get(one.images[0].path), captions[None]))
        for one in _of(test, task)
    ]


def _of(conversations: Sequence[Conversation], task: str) -> list[Conversation]:
    return [one for one in conversations if one.task == task]


def _training(conversations: Sequence[Conversation], task: str) -> list[Conversation]:
    chosen = _of(conversations, task)
    if not chosen:
        raise EvaluationError(
            f"no training conversation is of task '{task}', so this baseline has nothing to "
            "repeat; leave it out."
        )
    for one in chosen:
        unanswered(one)  # says what its truth lacks
    return chosen


def _commonest(texts: Sequence[str]) -> str:
    return Counter(texts).most_common(1)[0][0]


def _relative(train: Sequence[Conversation], task: str) -> NDArray[np.float64]:
    """(n, 4) horizontal training boxes x1, y1, x2, y2 as shares of width and height.

    Of "refer" the first box, which is the one meant; else all.
    """
    rows = []
    for one in _training(train, task):
        boxes = Boxes.from_rows(one.truth["boxes"][:1] if task == "refer" else one.truth["boxes"])
        rows.append(boxes.hbb / np.tile(one.images[0].size_wh, 2))
    return np.concatenate(rows)


def _boxed(share: NDArray[np.float64], test: Sequence[Conversation]) -> list[Prediction]:
    predictions = []
    for one in test:
        box = Boxes.from_hbb([share * np.tile(one.images[0].size_wh, 2)])
        predictions.append(replace(unanswered(one), boxes=box.to_rows(DECIMALS), problem=None))
    return predictions


def _answered(conversation: Conversation, answer: str, **read: Any) -> Prediction:
    return replace(unanswered(conversation), answer=answer, problem=None, **read)
