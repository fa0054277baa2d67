"""What is scored without looking: answers from the training truths alone, as predictions.

A model that does not beat these has learned the habits of the data set, not to see. Each takes
training and test conversations, of which those of its task count.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
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

Rows = Sequence[Conversation]


def blind(train: Rows, test: Rows) -> dict[str, list[Prediction]]:
    """Every baseline of a task that has both training and test conversations.

    Boxes are guessed as shares of a picture, so only where the size of every picture is known.
    """
    predictions: dict[str, list[Prediction]] = defaultdict(list)
    for name, (tasks, guess) in _BASELINES.items():
        for task in tasks:
            known, asked = _of(train, task), _of(test, task)
            sizes = {image.size_wh for row in (*known, *asked) for image in row.images}
            if not known or not asked or (name.endswith(" box") and UNMEASURED in sizes):
                continue
            predictions[name] += guess(known, asked, task=task)
    return dict(predictions)


def commonest_label(train: Rows, test: Rows, task: str = "classify") -> list[Prediction]:
    """The commonest training class or object for every question; a tie goes to the first met."""
    label = _commonest([row.truth[SCORED.get(task).truth] for row in _training(train, task)])
    return [_answered(row, label, label=label) for row in _of(test, task)]


def commonest_answer(train: Rows, test: Rows, task: str = "question") -> list[Prediction]:
    """The commonest training answer to the question's kind; of all, to a kind never met."""
    rows = _training(train, task)
    answers = _commonest_by([(row.truth.get("kind"), [row.truth["answer"]]) for row in rows])
    return [
        _answered(row, answers.get(row.truth.get("kind"), answers[None])) for row in _of(test, task)
    ]


def median_count(train: Rows, test: Rows, task: str = "count") -> list[Prediction]:
    """The median training count for every question, the lower one of two: least mean error."""
    count = int(median_low([row.truth["count"] for row in _training(train, task)]))
    return [_answered(row, str(count), count=count) for row in _of(test, task)]


def commonest_classes(train: Rows, test: Rows, task: str = "classes") -> list[Prediction]:
    """The commonest set of training classes for every test image."""
    sets = ["; ".join(sorted(row.truth["labels"])) for row in _training(train, task)]
    return [_answered(row, _commonest(sets)) for row in _of(test, task)]


def median_damage(train: Rows, test: Rows, task: str = "damage") -> list[Prediction]:
    """The median of each training count of buildings, as JSON, for every test pair."""
    counts = [row.truth["counts"] for row in _training(train, task)]
    medians = {degree: int(median_low([row[degree] for row in counts])) for degree in counts[0]}
    return [_answered(row, json.dumps(medians)) for row in _of(test, task)]


def mean_box(train: Rows, test: Rows, task: str = "refer") -> list[Prediction]:
    """The mean horizontal training box, as shares of width and height, for every expression."""
    return _boxed(_relative(train, task).mean(axis=0), _of(test, task))


def centre_box(train: Rows, test: Rows, task: str = "refer") -> list[Prediction]:
    """A box of the mean training width and height in the middle of every image."""
    boxes = _relative(train, task)
    half = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0) / 2
    return _boxed(np.concatenate([0.5 - half, 0.5 + half]), _of(test, task))


def commonest_caption(
    train: Rows,
    test: Rows,
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
    rows = _training(train, task)
    captions = _commonest_by([(row.truth.get("label"), row.truth["captions"]) for row in rows])
    classes = classes or {}
    return [
        _answered(row, captions.get(classes.get(row.images[0].path), captions[None]))
        for row in _of(test, task)
    ]


_BASELINES: dict[str, tuple[tuple[str, ...], Callable[..., list[Prediction]]]] = {
    "majority class": (("classify",), commonest_label),
    "commonest name": (("identify",), commonest_label),
    "commonest answer": (("question",), commonest_answer),
    "mean box": (("refer", "ground"), mean_box),
    "centre box": (("refer", "ground"), centre_box),
    "median count": (("count",), median_count),
    "commonest classes": (("classes",), commonest_classes),
    "median damage": (("damage",), median_damage),
    "commonest caption": (("caption", "region", "describe"), commonest_caption),
}


def _of(conversations: Rows, task: str) -> list[Conversation]:
    return [conversation for conversation in conversations if conversation.task == task]


def _training(conversations: Rows, task: str) -> list[Conversation]:
    rows = _of(conversations, task)
    if not rows:
        raise EvaluationError(
            f"no training conversation is of task '{task}', so this baseline has nothing to "
            "repeat; leave it out."
        )
    for row in rows:
        unanswered(row)  # says what its truth lacks
    return rows


def _commonest(texts: Sequence[str]) -> str:
    return Counter(texts).most_common(1)[0][0]


def _commonest_by(rows: Sequence[tuple[str | None, Sequence[str]]]) -> dict[str | None, str]:
    """The commonest text of each group, and of all under None."""
    groups: dict[str | None, list[str]] = defaultdict(list)
    for group, texts in rows:
        groups[None] += texts
        if group:
            groups[group] += texts
    return {group: _commonest(texts) for group, texts in groups.items()}


def _relative(train: Rows, task: str) -> NDArray[np.float64]:
    """(n, 4) horizontal training boxes x1, y1, x2, y2 as shares of width and height.

    Of "refer" the first box, which is the one meant; else all.
    """
    shares = []
    for row in _training(train, task):
        boxes = Boxes.from_rows(row.truth["boxes"])
        size = np.tile(row.images[0].size_wh, 2)
        shares.append((boxes[:1] if task == "refer" else boxes).hbb / size)
    return np.concatenate(shares)


def _boxed(share: NDArray[np.float64], test: Rows) -> list[Prediction]:
    predictions = []
    for row in test:
        box = Boxes.from_hbb([share * np.tile(row.images[0].size_wh, 2)])
        blank = unanswered(row)
        predictions.append(replace(blank, boxes=box.to_rows(DECIMALS), problem=None))
    return predictions


def _answered(conversation: Conversation, answer: str, **read: Any) -> Prediction:
    return replace(unanswered(conversation), answer=answer, problem=None, **read)
