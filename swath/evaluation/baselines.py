"""What is scored without looking: answers from the training truths alone, as predictions.

A model that does not beat these has learned the habits of the data set, not to see. Each takes
training rows, at least one, and test rows of one task.
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
from swath.evaluation.predictions import Prediction, unanswered
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import DECIMALS

Rows = Sequence[Conversation]
Guess = Callable[[Rows, Rows], list[Prediction]]


def commonest_label(train: Rows, test: Rows) -> list[Prediction]:
    """The commonest training class or object for every question; a tie goes to the first met."""
    label = _commonest([row.truth.get("label") or row.truth.get("name") for row in train])
    return [_answered(row, label, label=label) for row in test]


def commonest_answer(train: Rows, test: Rows) -> list[Prediction]:
    """The commonest training answer to the question's kind; of all, to a kind never met."""
    pairs = [(row.truth.get("kind"), [row.truth.get("answer")]) for row in train]
    answers = _commonest_by(pairs)
    return [_answered(row, answers.get(row.truth.get("kind"), answers[None])) for row in test]


def median_count(train: Rows, test: Rows) -> list[Prediction]:
    """The median training count for every question, the lower one of two: least mean error."""
    count = int(median_low([row.truth.get("count") for row in train]))
    return [_answered(row, str(count), count=count) for row in test]


def commonest_classes(train: Rows, test: Rows) -> list[Prediction]:
    """The commonest set of training classes for every test image."""
    labels = _commonest(["; ".join(sorted(row.truth.get("labels"))) for row in train])
    return [_answered(row, labels) for row in test]


def median_damage(train: Rows, test: Rows) -> list[Prediction]:
    """The median of each training count of buildings, as JSON, for every test pair."""
    counts = [row.truth.get("counts") for row in train]
    medians = {degree: int(median_low([row[degree] for row in counts])) for degree in counts[0]}
    return [_answered(row, json.dumps(medians)) for row in test]


def mean_box(train: Rows, test: Rows) -> list[Prediction]:
    """The mean horizontal training box, as shares of width and height, for every expression.

    Nothing where the size of a picture is not known; `centre_box` likewise.
    """
    return _boxed(lambda shares: shares.mean(axis=0), train, test)


def centre_box(train: Rows, test: Rows) -> list[Prediction]:
    """A box of the mean training width and height in the middle of every image."""

    def centred(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        half = (shares[:, 2:] - shares[:, :2]).mean(axis=0) / 2
        return np.concatenate([0.5 - half, 0.5 + half])

    return _boxed(centred, train, test)


def commonest_caption(
    train: Rows, test: Rows, classes: Mapping[str, str | None] | None = None
) -> list[Prediction]:
    """The commonest training caption of the class an image was given, for every test image.

    Args:
        train: rows whose truth holds captions, and the `label` that is their class.
        test: rows to be answered.
        classes: the class of each image path, as a classifier predicted it. An image without one,
            or with one that no training caption has, gets the commonest caption of all.
    """
    pairs = [(row.truth.get("label"), row.truth.get("captions")) for row in train]
    captions = _commonest_by(pairs)
    labels = [(classes or {}).get(row.images[0].path) for row in test]
    return [
        _answered(row, captions.get(label, captions[None]))
        for row, label in zip(test, labels, strict=True)
    ]


def _commonest(texts: Sequence[str]) -> str:
    return Counter(texts).most_common(1)[0][0]


def _commonest_by(pairs: Sequence[tuple[str | None, Sequence[str]]]) -> dict[str | None, str]:
    """The commonest text of each group, and of all under None."""
    groups: dict[str | None, list[str]] = defaultdict(list)
    for group, texts in pairs:
        groups[None] += texts
        if group:
            groups[group] += texts
    return {group: _commonest(texts) for group, texts in groups.items()}


def _boxed(
    guess: Callable[[NDArray[np.float64]], NDArray[np.float64]], train: Rows, test: Rows
) -> list[Prediction]:
    """One box for all test rows: x1, y1, x2, y2 as shares, guessed of (n, 4) training ones."""
    sizes = [np.tile(row.images[0].size_wh, 2) for row in (*train, *test)]  # of two corners
    if any((size == np.tile(UNMEASURED, 2)).all() for size in sizes):
        return []
    pairs = zip(train, sizes, strict=False)
    share = guess(np.concatenate([row.truth.get("boxes").hbb / size for row, size in pairs]))
    predictions = []
    for row, size in zip(test, sizes[len(train) :], strict=True):
        box = Boxes.from_hbb([share * size])
        predictions.append(replace(unanswered(row), boxes=box.to_rows(DECIMALS), problem=None))
    return predictions


def _answered(conversation: Conversation, answer: str, **read: Any) -> Prediction:
    return replace(unanswered(conversation), answer=answer, problem=None, **read)
