"""Scores of named classes: accuracy, macro-F1, the confusion matrix, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Floats
from swath.errors import EvaluationError
from swath.evaluation.metrics.base import Measure, Measures, ratio_of, share, share_of
from swath.evaluation.metrics.statistics import calibration, calibration_error
from swath.evaluation.predictions import NOT_A_LABEL, Predictions, confidences_of, scenes_of
from swath.instructions.tasks.truths import LabelTruth, NameTruth


@dataclass(frozen=True)
class ClassScore:
    """One class among the others: how often its name was right, and found."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def measures(predictions: Predictions, labels: Sequence[str]) -> Measures:
    """Accuracy, macro-F1, the share outside the labels and, for closed answers, calibration.

    Args:
        labels: the label set; macro-F1 is the mean over all of it.

    Raises:
        EvaluationError: no prediction, or a true class outside the labels.
    """
    named = _named(predictions, [row.true(LabelTruth).label for row in predictions])
    accuracy = named["accuracy"]
    rows = _f1_rows(predictions, labels)
    measured = {
        "accuracy": accuracy,
        "macro_f1": ratio_of(rows, _macro_f1, accuracy.scenes),
        "outside_labels": named["outside_labels"],
    }
    sure = confidences_of(predictions)
    if sure is not None and accuracy.right is not None:
        rows = calibration(sure, accuracy.right)
        measured["ece"] = Measure(rows, calibration_error, accuracy.scenes)
    return measured


def identified(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Accuracy of object names, and the share outside the set's names."""
    return _named(predictions, [row.true(NameTruth).name for row in predictions])


def _named(predictions: Predictions, truths: Sequence[str]) -> Measures:
    scenes = scenes_of(predictions)
    pairs = zip(predictions, truths, strict=True)
    right = [prediction.label == truth for prediction, truth in pairs]
    outside = [prediction.problem == NOT_A_LABEL for prediction in predictions]
    return {
        "accuracy": share_of(right, scenes),
        "outside_labels": share_of(outside, scenes),
    }


def confusion(predictions: Predictions, labels: Sequence[str]) -> NDArray[np.int64]:
    """How often each class was answered with each: (labels, labels + 1), rows are the truth.

    The last column counts answers that were unreadable or outside the label set.

    Raises:
        EvaluationError: a true class is outside the labels.
    """
    table = np.zeros((len(labels), len(labels) + 1), dtype=np.int64)
    np.add.at(table, _places(predictions, labels), 1)
    return table


def per_class(predictions: Predictions, labels: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of each class of the label set, 0 where undefined."""
    table = confusion(predictions, labels)
    hits = np.diagonal(table).astype(np.float64)
    support = table.sum(axis=1)
    answered = table[:, :-1].sum(axis=0)
    precision = share(hits, answered).tolist()
    recall = share(hits, support).tolist()
    f1 = share(2 * hits, answered + support).tolist()
    rows = zip(labels, precision, recall, f1, support.tolist(), strict=True)
    return [ClassScore(*row) for row in rows]


def _f1_rows(predictions: Predictions, labels: Sequence[str]) -> Floats:
    """(n, 3 labels) by class: whether it was named and is true, was named, and is true."""
    true, answered = np.eye(len(labels) + 1)[:, :-1][list(_places(predictions, labels))]
    return np.concatenate([true * answered, answered, true], axis=1)


def _macro_f1(sums: Floats) -> Floats:
    right, answered, true = np.split(sums, 3, axis=-1)
    mean: Floats = share(2 * right, answered + true).mean(axis=-1)
    return mean


def _places(
    predictions: Predictions, labels: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place among the labels of the true class and of the one named, that of none behind them."""
    places = {label: place for place, label in enumerate(labels)}
    true = []
    for prediction in predictions:
        label = prediction.true(LabelTruth).label
        if label not in places:
            raise EvaluationError(
                f"{prediction.id}: its true class '{label}' is not among the {len(places)} labels; "
                "score with the label set the run was evaluated with."
            )
        true.append(places[label])
    answered = [places.get(str(prediction.label), len(labels)) for prediction in predictions]
    return np.array(true), np.array(answered)
