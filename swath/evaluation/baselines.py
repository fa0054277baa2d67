"""What is scored without looking: answers from the training truths alone, as predictions.

A model that does not beat these has learned the habits of the data set, not to see.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.errors import EvaluationError
from swath.evaluation.predictions import Prediction
from swath.evaluation.runner import unanswered
from swath.instructions.conversation import Conversation


def blind(
    train: Sequence[Conversation], test: Sequence[Conversation]
) -> dict[str, list[Prediction]]:
    """Every baseline that needs no features and has both training and test conversations."""
    table: dict[str, dict[str, Callable[..., list[Prediction]]]] = {
        "majority class": {"classify": majority_class},
        "commonest name": {"identify": commonest_name},
        "commonest answer": {"question": commonest_answer},
        "mean box": {"refer": mean_box, "ground": partial(mean_box, task="ground")},
        "centre box": {"refer": centre_box, "ground": partial(centre_box, task="ground")},
        "median count": {"count": median_count},
        "commonest classes": {"classes": commonest_classes},
        "median damage": {"damage": median_damage},
        "commonest caption": {
            task: partial(commonest_caption, task=task)
            for task in ("caption", "region", "describe")
        },
    }
    predictions = {
        name: [
            prediction
            for task, make in tasks.items()
            if _of(train, task) and _of(test, task)
            for prediction in make(train, test)
        ]
        for name, tasks in table.items()
    }
    return {name: some for name, some in predictions.items() if some}


def majority_class(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Prediction]:
    """The commonest training class for every test image; a tie goes to the first met."""
    label = _commonest([one.truth["label"] for one in _training(train, "classify")])
    return [
        replace(unanswered(one), answer=label, label=label, problem=None)
        for one in _of(test, "classify")
    ]


def commonest_name(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Prediction]:
    """The commonest training object for every region; a tie goes to the first met."""
    name = _commonest([one.truth["name"] for one in _training(train, "identify")])
    return [
        replace(unanswered(one), answer=name, label=name, problem=None)
        for one in _of(test, "identify")
    ]


def commonest_answer(
    train: Sequence[Conversation], test: Sequence[Conversation]
) -> list[Prediction]:
    """The commonest training answer to the question's kind; of all, to a kind never met."""
    by_kind: dict[str | None, list[str]] = {None: []}
    for one in _training(train, "question"):
        for kind in (None, one.truth.get("kind") or ""):
            by_kind.setdefault(kind, []).append(str(one.truth["answer"]))
    answers = {kind: _commonest(texts) for kind, texts in by_kind.items()}
    return [
        _captioned(one, answers.get(one.truth.get("kind") or "", answers[None]))
        for one in _of(test, "question")
    ]


def median_count(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Prediction]:
    """The median training count for every question, the lower one of two: least mean error."""
    count = int(median_low([one.truth["count"] for one in _training(train, "count")]))
    return [
        replace(unanswered(one), answer=str(count), count=count, problem=None)
        for one in _of(test, "count")
    ]


def commonest_classes(
    train: Sequence[Conversation], test: Sequence[Conversation]
) -> list[Prediction]:
    """The commonest set of training classes for every test image."""
    said = _commonest(
        ["; ".join(sorted(one.truth["labels"])) for one in _training(train, "classes")]
    )
    return [_captioned(one, said) for one in _of(test, "classes")]


def median_damage(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Prediction]:
    """The median of each training count of buildings, as JSON, for every test pair."""
    counts = [one.truth["counts"] for one in _training(train, "damage")]
    said = {name: int(median_low([some[name] for some in counts])) for name in counts[0]}
    return [_captioned(one, json.dumps(said)) for one in _of(test, "damage")]


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
        _captioned(one, captions.get(classes.get(one.images[0].path), captions[None]))
        for one in _of(test, task)
    ]


def nearest_caption(
    train: Sequence[Conversation],
    test: Sequence[Conversation],
    train_features: NDArray[np.floating],
    test_features: NDArray[np.floating],
) -> list[Prediction]:
    """The first caption of the training image nearest by cosine, for every test image.

    Args:
        train: conversations of task "caption".
        test: conversations of task "caption".
        train_features: (train, d) a vector for each training conversation's image.
        test_features: (test, d) likewise for the test.

    Raises:
        EvaluationError: conversations of another task, or not one vector each.
    """
    for name, some, features in (("train", train, train_features), ("test", test, test_features)):
        if len(_of(some, "caption")) != len(some) or len(some) != len(features) or not len(some):
            raise EvaluationError(
                f"{name}: {len(some)} conversations, {len(_of(some, 'caption'))} of task "
                f"'caption', and {len(features)} vectors; give captions only, with a vector each."
            )
    nearest = np.argmax(_unit(test_features) @ _unit(train_features).T, axis=1)  # (test,)
    return [
        _captioned(one, train[row].truth["captions"][0])
        for one, row in zip(test, nearest, strict=True)
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
        quads = np.asarray(one.truth["boxes"], dtype=np.float64).reshape(-1, 4, 2)
        boxes = Boxes(quads[:1] if task == "refer" else quads)
        rows.append(boxes.hbb / np.tile(one.images[0].size_wh, 2))
    return np.concatenate(rows)


def _boxed(share: NDArray[np.float64], test: Sequence[Conversation]) -> list[Prediction]:
    predictions = []
    for one in test:
        box = Boxes.from_hbb([share * np.tile(one.images[0].size_wh, 2)])
        rows = np.round(box.quads.reshape(-1, 8), 3).tolist()
        predictions.append(replace(unanswered(one), boxes=rows, problem=None))
    return predictions


def _captioned(conversation: Conversation, caption: str) -> Prediction:
    return replace(unanswered(conversation), answer=caption, problem=None)


def _unit(features: NDArray[np.floating]) -> NDArray[np.float64]:
    vectors = np.asarray(features, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
