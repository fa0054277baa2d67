"""Scores of counts: how far off they are, how much they explain, and the share exactly right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swath.boxes import Floats
from swath.evaluation.metrics.base import Measure, Measures, mean_of, share_of
from swath.evaluation.predictions import Predictions, scenes_of
from swath.instructions.tasks.truths import CountTruth


def measures(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Mean, root mean square and relative error, R², and the share of exact counts.

    An unreadable answer counts as 0 in the errors, or as 1 where 0 is true, so a model cannot win
    by staying silent, and is never exact.
    """
    scenes = scenes_of(predictions)
    truth = _true_counts(predictions)
    counts = [prediction.count for prediction in predictions]
    errors = np.array([count_error(count, true) for count, true in zip(counts, truth, strict=True)])
    sums = np.stack([errors**2, truth, truth**2, np.ones(len(truth))], axis=1)  # (n, 4)
    measured = {
        "mae": mean_of(np.abs(errors), scenes),
        "exact": share_of(truth == counts, scenes),
        "rmse": Measure(sums, lambda total: np.sqrt(total[..., 0] / total[..., 3]), scenes),
        "r2": Measure(sums, _explained, scenes),
    }
    present = np.flatnonzero(truth)
    if len(present):
        shares = np.abs(errors[present]) / truth[present]
        measured["mape"] = mean_of(shares, [scenes[place] for place in present])
    return measured


def count_error(count: int | None, truth: float) -> float:
    """Count less truth; None, an unreadable count, is 0, or 1 where 0 is true."""
    if count is None:
        count = 1 if truth == 0 else 0
    return count - truth


def vleo(predictions: Predictions) -> Measures:
    """Errors as vleo-bench has them, refusals as 0 and, `_answered`, without them; and refusals.

    R2 is the squared correlation, and the relative error divides by 2e-16 where the truth is 0.
    """
    answered = [prediction for prediction in predictions if prediction.count is not None]
    silent = [prediction.count is None for prediction in predictions]
    measured = {"refused": share_of(silent, scenes_of(predictions))}
    measured |= _vleo_errors(predictions)
    if answered:
        for name, measure in _vleo_errors(answered).items():
            measured[f"{name}_answered"] = measure
    return measured


def _vleo_errors(predictions: Predictions) -> Measures:
    scenes = scenes_of(predictions)
    truth = _true_counts(predictions)
    counts = np.array([prediction.count or 0 for prediction in predictions], dtype=np.float64)
    off = np.abs(counts - truth)
    return {
        "mae": mean_of(off, scenes),
        "mape": mean_of(off / np.maximum(truth, np.finfo(np.float64).eps), scenes),
        "r2_pearson": Measure(_products(truth, counts), _correlated, scenes),
    }


def _true_counts(predictions: Predictions) -> Floats:
    counts = [prediction.true(CountTruth).count for prediction in predictions]
    return np.array(counts, dtype=np.float64)


def _products(x: Floats, y: Floats) -> Floats:
    x = x - x.mean()  # so that their squares stay small
    y = y - y.mean()
    return np.stack([x, y, x**2, y**2, x * y, np.ones_like(x)], axis=1)


def _correlated(sums: Floats) -> Floats:
    """Squared correlation; 0 where one side is constant."""
    x, y, x_squares, y_squares, products, n = np.moveaxis(sums, -1, 0)
    spread = (x_squares - x**2 / n) * (y_squares - y**2 / n)
    flat = spread <= 1e-12 * x_squares * y_squares
    return np.where(flat, 0.0, (products - x * y / n) ** 2 / np.where(flat, 1.0, spread))


def _explained(sums: Floats) -> Floats:
    """1 - squared errors / squared deviations of the truth; 0 where all truths are alike."""
    squared, total, squares, n = np.moveaxis(sums, -1, 0)
    spread = squares - total**2 / n
    alike = spread <= 1e-9 * squares
    return np.where(alike, 0.0, 1 - squared / np.where(alike, 1.0, spread))
