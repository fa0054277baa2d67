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
from swath.boxes import Boxes, Floats
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
    answers = _commonest_by(_truths(train, "kind"), [[text] for text in _truths(train, "answer")])
    return _by_group(test, _truths(test, "kind"), answers)


def median_count(train: Rows, test: Rows) -> list[Prediction]:
    """The median training count for every question, the lower one of two: least mean error."""
    count = int(median_low(_truths(train, "count")))
    return [_answered(row, str(count), count=count) for row in test]


def commonest_classes(train: Rows, test: Rows) -> list[Prediction]:
    """The commonest set of training classes for every test image."""
    labels = _commonest(["; ".join(sorted(labels)) for labels in _truths(train, "labels")])
    return [_answered(row, labels) for row in test]


def median_damage(train: Rows, test: Rows) -> list[Prediction]:
    """The median of each training count of buildings, as JSON, for every test pair."""
    counts = _truths(train, "counts")
    medians = {}
    for degree in counts[0]:
        medians[degree] = int(median_low([row[degree] for row in counts]))
    return [_answered(row, json.dumps(medians)) for row in test]


def mean_box(train: Rows, test: Rows) -> list[Prediction]:
    """The mean horizontal training box, as shares of width and height, for every expression.

    Nothing where the size of a picture is not known; `centre_box` likewise.
    """
    return _boxed(lambda shares: shares.mean(axis=0), train, test)


def centre_box(train: Rows, test: Rows) -> list[Prediction]:
    """A box of the mean training width and height in the middle of every image."""

    def centred(shares: Floats) -> Floats:
        half = (shares[:, 2:] - shares[:, :2]).mean(axis=0) / 2
        return np.concatenate([0.5 - half, 0.5 + half])

    return _boxed(centred, train, test)


def commonest_caption(
    train: Rows, test: Rows, classes: Mapping[str, str | None] | None = None
) -> list[Prediction]:
    """The commonest training caption of the class an image was given, for every test image.

    Args:
        train: rows whose truth holds captions, and the `label` that is their class.
        classes: the class of each image path, as a classifier predicted it. An image without one,
            or with one that no training caption has, gets the commonest caption of all.
    """
    captions = _commonest_by(_truths(train, "label"), _truths(train, "captions"))
    classes = classes or {}
    return _by_group(test, [classes.get(row.images[0].path) for row in test], captions)


def _truths(rows: Rows, field: str) -> list[Any]:
    return [row.truth.get(field) for row in rows]


def _commonest(texts: Sequence[str]) -> str:
    return Counter(texts).most_common(1)[0][0]


def _commonest_by(
    groups: Sequence[str | None], texts: Sequence[Sequence[str]]
) -> dict[str | None, str]:
    """The commonest text of each group, and of all under None."""
    by_group: dict[str | None, list[str]] = defaultdict(list)
    for group, of_row in zip(groups, texts, strict=True):
        by_group[None] += of_row
        if group:
            by_group[group] += of_row
    return {group: _commonest(members) for group, members in by_group.items()}


def _by_group(
    test: Rows, groups: Sequence[str | None], answers: Mapping[str | None, str]
) -> list[Prediction]:
    """Each row with the answer of its group; of one never met, with that of all."""
    pairs = zip(test, groups, strict=True)
    return [_answered(row, answers.get(group, answers[None])) for row, group in pairs]


def _boxed(guess: Callable[[Floats], Floats], train: Rows, test: Rows) -> list[Prediction]:
    """One box for all test rows: x1, y1, x2, y2 as shares, guessed of (n, 4) training ones."""
    if any(row.images[0].size_wh == UNMEASURED for row in (*train, *test)):
        return []
    shares = [row.truth.get("boxes").hbb / _corners(row) for row in train]
    share = guess(np.concatenate(shares))
    predictions = []
    for row in test:
        box = Boxes.from_hbb([share * _corners(row)])
        predictions.append(replace(unanswered(row), boxes=box.to_rows(DECIMALS), problem=None))
    return predictions


def _corners(row: Conversation) -> NDArray[np.int64]:
    """Width and height of a row's picture, of two corners."""
    return np.tile(row.images[0].size_wh, 2)


def _answered(conversation: Conversation, answer: str, **read: Any) -> Prediction:
    return replace(unanswered(conversation), answer=answer, problem=None, **read)
