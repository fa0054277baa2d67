"""Calibration: how often answers of a confidence were right, on a run's validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from swath.boxes import Flags, Floats
from swath.evaluation.metrics.certainty import confidence_and_right
from swath.evaluation.predictions import Prediction, read_predictions
from swath.files import read_json

ANSWERS = Path("evaluation") / "tuned" / "validation.jsonl"
"""Where `swath evaluate` leaves a run's closed answers to its validation questions."""

LEAST = 30
"""Validation answers with which a calibration is made; fewer say too little."""

_SMALLEST = 1e-6  # share that counts as neither 0 nor 1
_STEEPNESS = (0.05, 20.0)  # a surer answer stays the surer one


@dataclass(frozen=True)
class Calibration:
    """From the model's own share of a chosen answer to how often such answers were right.

    Args:
        steepness: what log-odds are multiplied by.
        offset: what is added then.
        answers: that this was learned on.
    """

    steepness: float
    offset: float
    answers: int

    def __call__(self, shares: ArrayLike) -> Floats:
        """Shares of any shape, calibrated; in the same order of size."""
        odds = logit(np.clip(np.asarray(shares, dtype=np.float64), _SMALLEST, 1 - _SMALLEST))
        calibrated: Floats = expit(self.steepness * odds + self.offset)
        return calibrated

    @classmethod
    def of_answers(cls, shares: Floats, right: Flags) -> Calibration:
        """The one under which the answers' rightness is likeliest.

        Source: Platt (1999), with his targets, which keep a set of right answers alone from
        making every later one certain.
        """
        odds = logit(np.clip(shares, _SMALLEST, 1 - _SMALLEST))
        count = int(right.sum())
        targets = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))

        def loss(values: Floats) -> float:
            scores = values[0] * odds + values[1]
            likelihood = targets * log_expit(scores) + (1 - targets) * log_expit(-scores)
            return float(-likelihood.mean())

        best = minimize(loss, (1.0, 0.0), bounds=(_STEEPNESS, (None, None)), method="L-BFGS-B")
        steepness, offset = best.x.tolist()
        return cls(round(steepness, 4), round(offset, 4), len(right))

    @classmethod
    def of_run(cls, folder: Path | str, task: str = "classify") -> Calibration | None:
        """By a run's closed validation answers to a task; None where it has fewer than `LEAST`.

        Raises:
            FormatError: the file of answers is damaged.
        """
        file = Path(folder) / ANSWERS
        if not file.is_file():
            return None
        answers = [answer for answer in read_predictions(file) if answer.task == task]
        return calibrated_on(answers, read_json(Path(folder) / "set" / "card.json")["labels"])


def calibrated_on(answers: Sequence[Prediction], labels: Sequence[str]) -> Calibration | None:
    """By answers to one task; None where they are fewer than `LEAST`, or have no confidence."""
    pair = confidence_and_right(answers, labels) if len(answers) >= LEAST else None
    return None if pair is None else Calibration.of_answers(*pair)
