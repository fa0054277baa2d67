"""Calibration: how often answers of a confidence were right, on a run's validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from swath.boxes import Boxes, Flags, Floats
from swath.evaluation.metrics import matching
from swath.evaluation.metrics.certainty import confidence_and_right
from swath.evaluation.metrics.grounding import THRESHOLD
from swath.evaluation.metrics.statistics import calibration, calibration_error
from swath.evaluation.predictions import Prediction, read_predictions
from swath.files import read_json
from swath.instructions.tasks.truths import BoxesTruth

ANSWERS = Path("evaluation") / "tuned" / "validation.jsonl"
"""Where `swath evaluate` leaves a run's answers to its validation questions."""

LEAST = 30
"""Validation answers, or boxes in them, with which a calibration is made; fewer say too little."""

_SMALLEST = 1e-6  # share that counts as neither 0 nor 1
_STEEPNESS = (0.05, 20.0)  # a surer answer stays the surer one

Judged = tuple[Floats, Flags, tuple[str, ...]]
"""Of answers or boxes: how sure the model was, whether it was right, and their scenes."""


@dataclass(frozen=True)
class Calibration:
    """From the model's own confidence to how often answers of that confidence were right.

    Args:
        steepness: what log-odds are multiplied by.
        offset: what is added then.
        answers: that this was learned on; 0 leaves every confidence as it is.
        kind: what these are, "answers" or "boxes".
        error: expected calibration error of the model's own confidence in them.
        error_held_out: the same of the calibrated one, each half of the scenes judged by what was
            learned on the other; None where there is one scene.
        lack: why nothing was learned, "" where something was.
    """

    steepness: float = 1.0
    offset: float = 0.0
    answers: int = 0
    kind: str = "answers"
    error: float = 0.0
    error_held_out: float | None = None
    lack: str = ""

    def __call__(self, shares: ArrayLike) -> Floats:
        """Shares of any shape, calibrated; in the same order of size."""
        values = np.asarray(shares, dtype=np.float64)
        if not self.answers:
            return values
        odds = logit(np.clip(values, _SMALLEST, 1 - _SMALLEST))
        calibrated: Floats = expit(self.steepness * odds + self.offset)
        return calibrated

    @property
    def words(self) -> str:
        """What the confidence is."""
        if not self.answers:
            reason = f": {self.lack}" if self.lack else ""
            return f"confidence as the model gives it, not calibrated{reason}"
        words = f"confidence calibrated on {self.answers:,} validation {self.kind}"
        if self.error_held_out is None:
            return words
        return f"{words}: error {self.error:.2f} before, {self.error_held_out:.2f} after"

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds it."""
        row: dict[str, Any] = {"confidence": self.words}
        if not self.answers:
            return row
        return row | {"calibration": asdict(self)}

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
        learned = cls(round(steepness, 4), round(offset, 4), len(right))
        return replace(learned, error=_error(shares, right))

    @classmethod
    def of_run(cls, folder: Path | str, task: str = "classify") -> Calibration:
        """By a run's validation answers to a task, or without, and then it says why.

        Args:
            folder: of a run; of any other model nothing is known.
            task: a closed one, or "ground", whose boxes are judged.

        Raises:
            FormatError: the file of answers is damaged.
        """
        folder = Path(folder)
        card = folder / "set" / "card.json"
        if not card.is_file():
            return cls(lack="only a run's own folder holds validation answers")
        told: dict[str, Any] = read_json(card)
        file = folder / ANSWERS
        if not file.is_file():
            if told["conversations"].get("val", {}).get(task):
                return cls(lack=f"`swath evaluate {folder}` asks the validation split")
            return cls(lack=f"the run's set has no validation split with task '{task}'")
        answers = [answer for answer in read_predictions(file) if answer.task == task]
        return calibrated_on(answers, told["labels"])


UNCALIBRATED = Calibration()


def calibrated_on(answers: Sequence[Prediction], labels: Sequence[str]) -> Calibration:
    """By answers to one task; by none where they are fewer than `LEAST`, or say no confidence."""
    boxed = any(answer.task == "ground" for answer in answers)
    judged = judged_boxes(answers) if boxed else _judged_answers(answers, labels)
    kind = "boxes" if boxed else "answers"
    if judged is None or len(judged[0]) < LEAST:
        count = 0 if judged is None else len(judged[0])
        lack = f"the validation split gave {count} {kind} with a confidence, of {LEAST} needed"
        return Calibration(lack=lack)
    shares, right, scenes = judged
    learned = Calibration.of_answers(shares, right)
    return replace(learned, kind=kind, error_held_out=_error_held_out(shares, right, scenes))


def judged_boxes(answers: Sequence[Prediction]) -> Judged:
    """The boxes of answers that say how sure they are, and which of them find an object.

    From the surest on, each takes the object that it overlaps most and none has taken: right if
    by an IoU of 0.5 or more, as COCO matches detections.
    """
    shares: list[float] = []
    right: list[bool] = []
    scenes: list[str] = []
    for answer in answers:
        sure = answer.box_confidence or []
        boxes = Boxes.from_rows(answer.boxes or [])
        overlaps = matching.overlaps(boxes, answer.true(BoxesTruth).boxes)
        hits = np.zeros(len(sure), dtype=bool)
        for row in np.argsort(-np.array(sure), kind="stable").tolist():
            best = overlaps[row].argmax() if overlaps.shape[1] else 0
            if overlaps[row].max(initial=0) >= THRESHOLD - matching.ROUNDING:
                hits[row] = True
                overlaps[:, best] = 0
        shares += sure
        right += hits.tolist()
        scenes += [answer.scene] * len(sure)
    return np.array(shares), np.array(right, dtype=bool), tuple(scenes)


def _judged_answers(answers: Sequence[Prediction], labels: Sequence[str]) -> Judged | None:
    pair = confidence_and_right(answers, labels) if answers else None
    return None if pair is None else (*pair, tuple(answer.scene for answer in answers))


def _error(shares: Floats, right: Flags) -> float:
    return round(float(calibration_error(calibration(shares, right).sum(axis=0))), 4)


def _error_held_out(shares: Floats, right: Flags, scenes: Sequence[str]) -> float | None:
    """The error of halves of the scenes, each calibrated by the other."""
    names = sorted(set(scenes))
    odd = np.array([names.index(scene) % 2 for scene in scenes], dtype=bool)
    calibrated = np.zeros(len(shares))
    for half in (odd, ~odd):
        if not half.any():
            return None
        calibrated[half] = Calibration.of_answers(shares[~half], right[~half])(shares[half])
    return _error(calibrated, right)
