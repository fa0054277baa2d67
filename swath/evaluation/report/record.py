"""Everything a report says, computed once: its page draws it, and `report.json` is it as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import METRICS, Metric, Score
from swath.evaluation.metrics.certainty import Certainty, certainty
from swath.evaluation.metrics.statistics import RESAMPLES, Difference
from swath.evaluation.predictions import Grouped, Predictions
from swath.evaluation.report import suite_page
from swath.evaluation.report.gallery import Judged
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.scoring import Scores, by_class, by_task, compare, rows_of, score
from swath.evaluation.slices import GsdOf, Slices, slices
from swath.evaluation.suites.running import Result
from swath.files import Json, write_json

RIGHT, WRONG, SAID = "right", "wrong", "said"
FORMAT = 1


@dataclass(frozen=True)
class ReportRun:
    """A system in the report: the base model, or a run.

    Args:
        name: as tables head it.
        predictions: on the test set, which all runs share.
        scores: what `score` gave for them.
        losses: rows of `step`, `loss` and `stage`; empty for a base model.
        seconds: how long tuning took; None where there was none.
        validation: closed answers on the validation split, by which thresholds are chosen.
    """

    name: str
    predictions: Predictions
    scores: Mapping[str, Mapping[str, Score]]
    losses: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    seconds: float | None = None
    validation: Predictions = ()

    @cached_property
    def tasks(self) -> Grouped:
        """The predictions by task."""
        return by_task(self.predictions)

    @cached_property
    def judged(self) -> dict[str, list[Judged]]:
        """How good each answer is, by task."""
        return {task: Judged.each(predictions) for task, predictions in self.tasks.items()}

    @cached_property
    def failed(self) -> dict[str, bool]:
        """Whether each answer failed, by its id."""
        return {
            answer.prediction.id: answer.failed
            for answers in self.judged.values()
            for answer in answers
        }

    def outcomes(self, task: str) -> dict[str, int]:
        """How many answers were right, were wrong, and could not be read, by the reason.

        Sentences are neither: those that can be read are said.
        """
        readable = (SAID,) if SCORED.get(task).by_degree else (RIGHT, WRONG)
        counts = dict.fromkeys(readable, 0)
        for answer in self.judged.get(task, []):
            prediction = answer.prediction
            if prediction.unreadable:
                outcome = str(prediction.problem)
            elif SCORED.get(task).by_degree:
                outcome = SAID
            else:
                outcome = WRONG if answer.failed else RIGHT
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts


@dataclass(frozen=True)
class Record:
    """What is found of some runs, the last of which a report is about.

    Args:
        runs: all on the same questions.
        floors: scores of what was answered without looking, by name.
        gaps: the last run minus each other, by its name.
        slices: run to task to slices.
        certain: run to task to certainty, of tasks answered closed.
    """

    runs: Sequence[ReportRun]
    labels: Sequence[str]
    floors: dict[str, Scores]
    gaps: dict[str, dict[str, dict[str, Difference]]]
    slices: dict[str, dict[str, Slices]]
    certain: dict[str, dict[str, Certainty]]

    @classmethod
    def of(
        cls,
        runs: Sequence[ReportRun],
        labels: Sequence[str] = (),
        baselines: Mapping[str, Predictions] | None = None,
        gsd_of: GsdOf | None = None,
        resamples: int = RESAMPLES,
    ) -> Record:
        """The record of some runs.

        Raises:
            EvaluationError: there is no run, two share a name, or their questions differ.
        """
        if not runs:
            raise EvaluationError("a report needs at least one run; evaluate one first.")
        if len({run.name for run in runs}) < len(runs):
            raise EvaluationError("two runs of the report share a name; rename one.")
        *earlier, last = runs
        floors = {
            name: score(predictions, labels, resamples)
            for name, predictions in (baselines or {}).items()
            if predictions
        }
        gaps = {
            run.name: compare(run.predictions, last.predictions, labels, resamples)
            for run in earlier
        }
        sliced: dict[str, dict[str, Slices]] = {}
        certain: dict[str, dict[str, Certainty]] = {}
        for run in runs:
            sliced[run.name] = {}
            certain[run.name] = {}
            for task, predictions in run.tasks.items():
                parts = slices(predictions, labels, gsd_of, resamples)
                if parts:
                    sliced[run.name][task] = parts
                confidence = certainty(predictions, labels, run.validation)
                if confidence is not None:
                    certain[run.name][task] = confidence
        return cls(runs, labels, floors, gaps, sliced, certain)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that some run has a score of."""
        used = {name for run in self.runs for scores in run.scores.values() for name in scores}
        return {name: metric for name, metric in METRICS.items() if name in used}

    def to_row(self) -> Json:
        """The record as a JSON object."""
        return {
            "metrics": {name: metric.rule for name, metric in self.metrics.items()},
            "runs": {run.name: self._run(run) for run in self.runs},
            "baselines": {name: rows_of(scores) for name, scores in self.floors.items()},
            "about": self.runs[-1].name,
            "differences": {name: rows_of(gaps) for name, gaps in self.gaps.items()},
        }

    def _run(self, run: ReportRun) -> Json:
        rows: Json = {}
        for task, values in rows_of(run.scores).items():
            rows[task] = {
                "n": len(run.tasks[task]),
                "outcomes": run.outcomes(task),
                "scores": values,
            }
            if task in self.slices[run.name]:
                parts = rows_of(self.slices[run.name][task])
                rows[task]["slices"] = {"metric": SCORED.get(task).slice_metric, **parts}
            if SCORED.get(task).by_class and self.labels:
                rows[task] |= by_class(run.tasks[task], self.labels)
            if task in self.certain[run.name]:
                rows[task]["certainty"] = self.certain[run.name][task].to_row()
        return {"tasks": rows, "seconds_of_tuning": run.seconds}


def write_record(
    path: Path, record: Record, about: Mapping[str, Any], suites: Sequence[Result] = ()
) -> None:
    """Write `report.json`: what it is about, the record, and the suites beside published rows."""
    rows = {result.suite.name: suite_page.row(result) for result in suites}
    write_json(path, {"format": FORMAT, **about, **record.to_row(), "suites": rows})
