"""Scores of counts: mean absolute error, and the share that is exactly right."""

from __future__ import annotations

from collections.abc import Sequence

from swath.evaluation.metrics import Measure, mean_of, share_of
from swath.evaluation.predictions import Prediction


def measures(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """Mean absolute error and share of exact counts.

    An unreadable answer counts as 0 in the error, so a model cannot win by staying silent, and is
    never exact.

    Args:
        predictions: of task "count".
        labels: not used.
    """
    scenes = tuple(one.scene for one in predictions)
    errors = [abs(one.truth["count"] - (one.count or 0)) for one in predictions]
    return {
        "mae": mean_of(errors, scenes),
        "exact": share_of([one.count == one.truth["count"] for one in predictions], scenes),
    }
