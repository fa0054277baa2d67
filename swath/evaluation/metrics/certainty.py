"""How far a model's confidence can be trusted, and what `unsure` below a threshold would buy.

The threshold is chosen on validation answers and applied to the test. Without a validation split
the test's scenes are dealt into two halves, each judged by the threshold chosen on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from swath.boxes import Flags, Floats
from swath.evaluation.metrics.statistics import Coverage, coverage
from swath.evaluation.predictions import Predictions, confidences_of, scenes_of
from swath.evaluation.scored_tasks import scored_task
from swath.files import Json

AIMS = (0.8, 0.9, 0.95, 0.99)
"""Accuracies that thresholds are chosen for."""

BINS = 15
Pair = tuple[Floats, Flags]


@dataclass(frozen=True)
class Aim:
    """What comes of answering `unsure` below a threshold.

    Args:
        aim: accuracy that the threshold was chosen for.
        thresholds: one, or one a half; None where no threshold reached the aim.
        coverage: share of the test's questions that are answered.
        accuracy: share of those that are right; None where none is answered.
        given: how many are answered.
        n: test questions.
    """

    aim: float
    thresholds: tuple[float | None, ...]
    coverage: float
    accuracy: float | None
    given: int
    n: int


@dataclass(frozen=True, eq=False)
class Certainty:
    """Confidence against rightness, of the closed answers of a task.

    Args:
        bins: low, high, n, mean confidence and accuracy of each bin (low, high] that holds answers.
        curve: accuracy of the surest answers at each coverage.
        aims: of `AIMS`, those that the answers as a whole do not reach anyway.
        chosen_on: "validation" or "halves of the test".
        chosen_n: answers that thresholds were chosen on.
    """

    bins: tuple[tuple[float, float, int, float, float], ...]
    curve: Coverage
    aims: tuple[Aim, ...]
    chosen_on: str
    chosen_n: int

    def to_row(self) -> Json:
        """The certainty as a JSON object, the curve at 21 coverages."""
        answered = self.curve.coverage.tolist()
        right = self.curve.accuracy.tolist()
        places = np.searchsorted(answered, np.linspace(0, 1, 21)[1:]).clip(max=len(answered) - 1)
        curve = []
        for place in np.unique(places).tolist():
            curve.append({"coverage": answered[place], "accuracy": right[place]})
        names = ("low", "high", "n", "confidence", "accuracy")
        return {
            "bins": [dict(zip(names, row, strict=True)) for row in self.bins],
            "curve": curve,
            "unsure": [asdict(aim) for aim in self.aims],
            "chosen_on": self.chosen_on,
            "chosen_n": self.chosen_n,
        }


def certainty(
    predictions: Predictions,
    labels: Sequence[str] = (),
    validation: Predictions = (),
) -> Certainty | None:
    """The certainty of one task's answers; None unless all have a confidence.

    Args:
        validation: answers of the same model to validation questions, of any task.
    """
    pair = confidence_and_right(predictions, labels)
    if pair is None:
        return None
    sure, right = pair
    task = predictions[0].task
    of_task = [prediction for prediction in validation if prediction.task == task]
    validated = confidence_and_right(of_task, labels) if of_task else None
    parts: list[tuple[Pair, Flags]] = []  # thresholds of a pair judge these answers
    if validated is not None:
        chosen_on, chosen_n = "validation", len(of_task)
        parts = [(validated, np.ones(len(sure), dtype=bool))]
    else:
        chosen_on, chosen_n = "halves of the test", len(sure)
        scenes = sorted(set(scenes_of(predictions)))
        in_odd = {scene: place % 2 for place, scene in enumerate(scenes)}
        odd = np.array([in_odd[scene] for scene in scenes_of(predictions)], dtype=bool)
        if odd.any() and not odd.all():
            for half in (odd, ~odd):
                parts.append(((sure[~half], right[~half]), half))
    reached = right.mean()
    aims = [_aim(aim, parts, sure, right) for aim in AIMS if parts and reached < aim]
    curve = coverage(sure, right)
    return Certainty(_bins(sure, right), curve, tuple(aims), chosen_on, chosen_n)


def threshold(held: Predictions, labels: Sequence[str], aim: float) -> float | None:
    """The lowest confidence from which on one task's answers are right so often; None if none is.

    Args:
        held: validation answers, at least one.
        aim: accuracy, 0 to 1.
    """
    pair = confidence_and_right(held, labels)
    return None if pair is None else coverage(*pair).threshold(aim)


def words(aim: Aim) -> str:
    """ "answer `unsure` below p = 0.62: accuracy 97.1 % at coverage 83.0 %"."""
    if aim.accuracy is None:
        return f"for {100 * aim.aim:g} % accuracy: no threshold reaches it"
    ends = " or ".join("never sure" if p is None else f"{p:.2f}" for p in aim.thresholds)
    return (
        f"for {100 * aim.aim:g} % accuracy, `unsure` below p = {ends}: accuracy "
        f"{100 * aim.accuracy:.1f} % at coverage {100 * aim.coverage:.1f} % "
        f"({aim.given:,} of {aim.n:,})"
    )


def confidence_and_right(predictions: Predictions, labels: Sequence[str]) -> Pair | None:
    """Confidence and rightness of each; None if one has no confidence or none is right or wrong."""
    sure = confidences_of(predictions)
    if sure is None:
        return None
    row = scored_task(predictions[0])
    right = row.measures(predictions, labels)[row.headline].right
    return None if right is None else (np.array(sure), right)


def _aim(
    aim: float,
    parts: Sequence[tuple[Pair, Flags]],
    sure: Floats,
    right: Flags,
) -> Aim:
    answered = np.zeros(len(sure), dtype=bool)
    thresholds = []
    for pair, judged in parts:
        threshold = coverage(*pair).threshold(aim)
        thresholds.append(threshold)
        if threshold is not None:
            answered |= judged & (sure >= threshold)
    count = int(answered.sum())
    accuracy = float(right[answered].mean()) if count else None
    return Aim(aim, tuple(thresholds), count / len(sure), accuracy, count, len(sure))


def _bins(sure: Floats, right: Flags) -> tuple[tuple[float, float, int, float, float], ...]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(place):
        inside = place == number
        low, high = edges[number : number + 2].tolist()
        means = (float(sure[inside].mean()), float(right[inside].mean()))
        bins.append((low, high, int(inside.sum()), *means))
    return tuple(bins)
