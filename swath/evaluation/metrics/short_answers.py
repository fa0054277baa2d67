"""Scores of free questions with short answers: exact, lenient, and the mean over their kinds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from swath.boxes import Floats
from swath.evaluation.metrics.base import Measures, mean_of, ratio_of, share, share_of
from swath.evaluation.predictions import Prediction, Predictions, scenes_of
from swath.evaluation.reading import numbers_as_digits, read_count
from swath.instructions.tasks.truths import AnswerTruth

_ARTICLES = {"a", "an", "the"}


def measures(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """The share answered exactly, leniently and, of several kinds, the mean of their shares.

    Args:
        predictions: of task "question"; the truth's `kind` may be empty.

    Source: overall and average accuracy as in RSVQA (arXiv:2003.07333).
    """
    measured = shares(predictions, [exact(prediction) for prediction in predictions])
    forgiven = [lenient(prediction) for prediction in predictions]
    return measured | {"lenient_answer": share_of(forgiven, scenes_of(predictions))}


def shares(predictions: Predictions, right: Sequence[bool] | Sequence[float]) -> Measures:
    """The share that is right, and of several kinds the mean of their shares.

    Args:
        right: of each; or how much of it, 0 to 1.
    """
    scenes = scenes_of(predictions)
    if all(isinstance(share, bool) for share in right):
        measured = {"exact_answer": share_of(right, scenes)}
    else:
        measured = {"exact_answer": mean_of(right, scenes)}
    kinds = kinds_of(predictions)
    if len(kinds) > 1:
        rows = np.zeros((len(predictions), 2 * len(kinds)))  # right of each kind, asked of each
        for row, prediction, share in zip(rows, predictions, right, strict=True):
            place = kinds.index(_kind(prediction))
            row[place] = share
            row[len(kinds) + place] = 1
        measured["average_answer"] = ratio_of(rows, _average, scenes)
    return measured


def exact(prediction: Prediction) -> bool:
    """Whether answer and truth are the same words, both `normalised`."""
    truth = normalised(prediction.true(AnswerTruth).answer)
    return normalised(prediction.answer) == truth and not prediction.unreadable


def lenient(prediction: Prediction) -> bool:
    """Whether an answer is exact, or begins with the true yes or no, or names the true number."""
    truth = normalised(prediction.true(AnswerTruth).answer)
    if truth in ("yes", "no"):
        return normalised(prediction.answer).split(" ")[0] == truth
    if truth.isdecimal():
        return read_count(prediction.answer)[0] == int(truth)
    return exact(prediction)


def normalised(words: str) -> str:
    """An answer as it is compared: "The Two Ships." and "2 ships" are the same.

    Lower case; numbers in words as digits, thousands separators dropped; then every sign that is
    neither letter nor digit, save a number's point and minus, is a space; articles are dropped
    where other words are left: "A" may be a choice.
    """
    text = numbers_as_digits(unicodedata.normalize("NFKC", words).casefold())
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|(?<=\S)-|-(?!\d)|[^\w.-]|_", " ", text)
    words_left = [word for word in text.split() if word not in _ARTICLES]
    return " ".join(words_left or text.split())


def kinds_of(predictions: Predictions) -> list[str]:
    """The kinds of question among the predictions, sorted."""
    return sorted({_kind(prediction) for prediction in predictions})


def per_kind(predictions: Predictions) -> dict[str, tuple[float, int]]:
    """Share answered exactly and number of questions, by kind."""
    rows: dict[str, list[bool]] = {kind: [] for kind in kinds_of(predictions)}
    for prediction in predictions:
        rows[_kind(prediction)].append(exact(prediction))
    return {kind: (sum(right) / len(right), len(right)) for kind, right in rows.items()}


def _kind(prediction: Prediction) -> str:
    return prediction.true(AnswerTruth).kind or "other"


def _average(sums: Floats) -> Floats:
    """Mean share of right answers over the kinds that were asked."""
    right, questions = np.split(sums, 2, axis=-1)
    mean: Floats = share(right, questions).sum(axis=-1) / (questions > 0).sum(axis=-1)
    return mean
