"""Scores by slice: the same answers by object size, ground resolution, type of question, count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import sqrt

from swath.boxes import Boxes
from swath.errors import SwathError
from swath.evaluation.metrics.base import Score
from swath.evaluation.metrics.statistics import RESAMPLES
from swath.evaluation.predictions import Grouped, Prediction, Predictions
from swath.evaluation.scored_tasks import scored_task
from swath.evaluation.scoring import scored
from swath.imagery.opening import open_scene
from swath.instructions.tasks.truths import AnswerTruth, CountTruth

GsdOf = Callable[[str], float | None]
Slices = dict[str, dict[str, Score]]
"""Scores by kind of slice, as "object size", and slice, as "small (below 32 px)"."""

_SIDES = ((32.0, "small (below 32 px)"), (96.0, "medium (32 to 96 px)"), (0.0, "large (96 px on)"))
_GSDS = ((0.3, "below 0.3 m"), (1.0, "0.3 to 1 m"), (5.0, "1 to 5 m"), (0.0, "5 m on"))
_COUNTS = ((1.0, "0"), (6.0, "1 to 5"), (21.0, "6 to 20"), (0.0, "21 on"))


def slices(
    predictions: Predictions,
    labels: Sequence[str] = (),
    gsd_of: GsdOf | None = None,
    resamples: int = RESAMPLES,
) -> Slices:
    """The task's metric of each slice, for every way of slicing that gives more than one.

    Args:
        gsd_of: metres of ground a pixel of a picture, None where nobody knows.

    Source: object sizes as in COCO, by the root of the mean area of the boxes in question.
    """
    metres = cache(gsd_of or (lambda path: None))

    def gsd(prediction: Prediction) -> str | None:
        value = metres(prediction.image)
        return None if value is None else _step_of(value, _GSDS)

    row = scored_task(predictions[0])
    ways: dict[str, Callable[[Prediction], str | None]] = {
        "type of question": _kind,
        "object size": _size,
        "true count": _count,
        "ground resolution": gsd,
    }
    sliced: Slices = {}
    for way, part_of in ways.items():
        groups: Grouped = {}
        for prediction in predictions:
            part = part_of(prediction)
            if part is not None:
                groups.setdefault(part, []).append(prediction)
        if len(groups) < 2:
            continue
        sliced[way] = {}
        for part in sorted(groups, key=_order):
            measure = row.measures(groups[part], labels)[row.slice_metric]
            sliced[way][part] = scored(measure, groups[part], resamples)
    return sliced


def gsd_of(path: str) -> float | None:
    """Metres of ground a pixel of a picture; None where it does not say, or is gone."""
    try:
        return open_scene(path).gsd_m
    except SwathError:
        return None


def _kind(prediction: Prediction) -> str | None:
    truth = prediction.truth
    return truth.kind or "other" if isinstance(truth, AnswerTruth) else None


def _size(prediction: Prediction) -> str | None:
    boxes = prediction.truth.get("boxes") or Boxes.from_rows(prediction.asked or [])
    return _step_of(sqrt(float(boxes.areas.mean())), _SIDES) if len(boxes) else None


def _count(prediction: Prediction) -> str | None:
    truth = prediction.truth
    return _step_of(truth.count, _COUNTS) if isinstance(truth, CountTruth) else None


def _step_of(value: float, steps: Sequence[tuple[float, str]]) -> str:
    """The first step whose end lies above a value, or the last."""
    for end, name in steps[:-1]:
        if value < end:
            return name
    return steps[-1][1]


def _order(part: str) -> tuple[int, str]:
    names = [name for steps in (_SIDES, _GSDS, _COUNTS) for _, name in steps]
    return (names.index(part) if part in names else 0), part
