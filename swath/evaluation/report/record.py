"""Everything a report says, computed once: its page draws it, and `report.json` is it as a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.certainty import Certainty, certainty
from swath.evaluation.metrics.statistics import RESAMPLES, Difference
from swath.evaluation.predictions import Prediction
from swath.evaluation.report import gallery
from swath.evaluation.report import suite_page as page
from swath.evaluation.scoring import Scores, by_class, by_task, compare, rows_of, score
from swath.evaluation.slices import METRIC, GsdOf, Slices, slices
from swath.evaluation.suites.running import Result
from swath.files import write_json

RIGHT, WRONG, SAID = "right", "wrong", "said"
BY_DEGREE = ("caption", "region", "describe")
"""Tasks whose answers are scored by how near they come, not as right or wrong."""

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
    predictions: Sequence[Prediction]
    scores: Mapping[str, Mapping[str, Score]]
    losses: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    seconds: float | None = None
    validation: Sequence[Prediction] = ()

    @cached_property
    def tasks(self) -> dict[str, list[Prediction]]:
        """The predictions by task."""
        return by_task(self.predictions)

    @cached_property
    def failed(self) -> dict[str, bool]:
        """Whether each answer failed, by its id."""
        return {
            one.id: gallery.failed(one, good)
            for some in self.tasks.values()
            for one, good in zip(some, gallery.goodness(some), strict=True)
        }

    def outcomes(self, task: str) -> dict[str, int]:
        """How many answers were right, were wrong, and could not be read, by the reason.

        Sentences are neither: those that can be read are said.
        """
        some = self.tasks.get(task, [])
        if task in BY_DEGREE:
            said = Counter(str(one.problem) if one.unreadable else SAID for one in some)
            return {SAID: said.pop(SAID, 0), **said}
        counted = Counter(
            str(one.problem) if one.unreadable else WRONG if self.failed[one.id] else RIGHT
            for one in some
        )
        return {RIGHT: counted.pop(RIGHT, 0), WRONG: counted.pop(WRONG, 0), **counted}


@dataclass(frozen=True)
class Record:
    """What is found of some runs, the last of which a report is about.

    Args:
        runs: all on the same questions.
        labels: the label set.
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
        baselines: Mapping[str, Sequence[Prediction]] | None = None,
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
        *others, last = runs
        floors = {
            n: score(some, labels, resamples) for n, some in (baselines or {}).items() if some
        }
        gaps = {
            one.name: compare(one.predictions, last.predictions, labels, resamples)
            for one in others
        }

        def each(of: Callable[[ReportRun, list[Prediction]], Any]) -> dict[str, dict[str, Any]]:
            """By run and task what is found of a task's predictions, where there is anything."""
            return {
                run.name: {task: one for task, some in run.tasks.items() if (one := of(run, some))}
                for run in runs
            }

        return cls(
            runs, labels, floors, gaps,
            each(lambda _, some: slices(some, labels, gsd_of, resamples)),
            each(lambda run, some: certainty(some, labels, run.validation)),
        )  # fmt: skip

    def to_row(self) -> dict[str, Any]:
        """The record as a JSON object."""
        used = {name for run in self.runs for values in run.scores.values() for name in values}
        return {
            "metrics": {name: METRICS[name].rule for name in METRICS if name in used},
            "runs": {run.name: self._run(run) for run in self.runs},
            "baselines": {name: rows_of(scores) for name, scores in self.floors.items()},
            "about": self.runs[-1].name,
            "differences": {name: rows_of(gaps) for name, gaps in self.gaps.items()},
        }

    def _run(self, run: ReportRun) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for task, values in rows_of(run.scores).items():
            rows[task] = {
                "n": len(run.tasks[task]),
                "outcomes": run.outcomes(task),
                "scores": values,
            }
            if parts := self.slices[run.name].get(task):
                rows[task]["slices"] = {"metric": METRIC[task], **rows_of(parts)}
            if sure := self.certain[run.name].get(task):
                rows[task]["certainty"] = sure.to_row()
        if "classify" in rows and self.labels:
            rows["classify"] |= by_class(run.tasks["classify"], self.labels)
        return {"tasks": rows, "seconds_of_tuning": run.seconds}


def write_record(
    path: Path, record: Record, about: Mapping[str, Any], suites: Sequence[Result] = ()
) -> None:
    """Write `report.json`: what it is about, the record, and the suites beside published rows."""
    rows = {one.suite.name: page.row(one) for one in suites}
    write_json(path, {"format": FORMAT, **about, **record.to_row(), "suites": rows})
