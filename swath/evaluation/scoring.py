"""Predictions to scores, `scores.json` and paired comparisons: every sample in the denominator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError, FormatError
from swath.evaluation.metrics import classification, ptb
from swath.evaluation.metrics.base import METRICS, Measure, Score
from swath.evaluation.metrics.statistics import RESAMPLES, Difference, difference, ends
from swath.evaluation.predictions import Prediction
from swath.evaluation.scored_tasks import SCORED, scored_task
from swath.files import read_json, write_json

Scores = dict[str, dict[str, Score]]
"""Scores by task and metric."""


def score(
    predictions: Sequence[Prediction],
    labels: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Every metric of every task among the predictions, with 95 % intervals over scenes.

    Args:
        predictions: of a run, every sample once.
        labels: the label set, needed where there are predictions of task "classify".
        resamples: of the bootstrap; 0 leaves the intervals out.
        seed: of the bootstrap.

    Raises:
        EvaluationError: no prediction, a task without metrics, an id that appears twice, or a
            truth that lacks what its task needs.
    """
    return {
        task: {
            name: scored(measure, chosen, resamples, seed)
            for name, measure in SCORED.get(task).measures(chosen, labels).items()
        }
        for task, chosen in by_task(predictions).items()
    }


def scored(
    measure: Measure, predictions: Sequence[Prediction], resamples: int, seed: int = 0
) -> Score:
    """The score of what was measured of some predictions."""
    lost = sum(one.unreadable for one in predictions)
    return Score(measure.value, len(measure.rows), lost, *ends(measure, resamples, seed))


def compare(
    one: Sequence[Prediction],
    two: Sequence[Prediction],
    labels: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """How much the second run is above the first: task to metric to paired difference.

    Predictions are paired by id; a metric that only one run has is left out.

    Raises:
        EvaluationError: the two did not answer the same questions.
    """
    first, second = by_task(one), by_task(two)
    differences: dict[str, dict[str, Difference]] = {}
    for task in first.keys() | second.keys():
        chosen = {prediction.id: prediction for prediction in second.get(task, [])}
        if chosen.keys() != {prediction.id for prediction in first.get(task, [])}:
            raise EvaluationError(
                f"the runs answered different '{task}' questions "
                f"({len(first.get(task, []))} and {len(chosen)}), so they cannot be paired; "
                "evaluate both on one test set."
            )
        measures = SCORED.get(task).measures
        before = measures(first[task], labels)
        after = measures([chosen[prediction.id] for prediction in first[task]], labels)
        differences[task] = {
            name: difference(before[name], after[name], resamples, seed)
            for name in before
            if name in after
        }
    return {task: differences[task] for task in SCORED if task in differences}


def common(runs: Mapping[str, Sequence[Prediction]]) -> dict[str, list[Prediction]]:
    """The answers of each run to the questions that all runs answered.

    Raises:
        EvaluationError: there is no such question, or one has another truth in another run.
    """
    first, *others = runs
    truths = {one.id: (one.task, one.truth) for one in runs[first]}
    shared = set(truths).intersection(*({one.id for one in runs[name]} for name in others))
    if not shared:
        raise EvaluationError(
            f"{' and '.join(runs)} have no question in common; compare results on one test set."
        )
    for name in others:
        for one in runs[name]:
            if one.id in shared and (one.task, one.truth) != truths[one.id]:
                raise EvaluationError(
                    f"{one.id}: has another truth in {name} than in {first}, so they cannot be "
                    "paired; evaluate both on one test set."
                )
    return {name: [one for one in some if one.id in shared] for name, some in runs.items()}


def by_task(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions by task, tasks in the order of `SCORED`.

    Raises:
        EvaluationError: no prediction, an id that appears twice, a task without metrics, or a
            truth that lacks what its task needs.
    """
    if not predictions:
        raise EvaluationError("there is no prediction to score; is the test split empty?")
    twice = [name for name, times in Counter(one.id for one in predictions).items() if times > 1]
    if twice:
        raise EvaluationError(f"{twice[0]}: predicted more than once; score one run at a time.")
    for one in predictions:
        scored_task(one).check_truth(one)
    groups = {task: [one for one in predictions if one.task == task] for task in SCORED}
    return {task: group for task, group in groups.items() if group}


def write_scores(
    path: Path | str,
    predictions: Sequence[Prediction],
    labels: Sequence[str] = (),
    scores: Mapping[str, Mapping[str, Score]] | None = None,
    resamples: int = RESAMPLES,
) -> None:
    """Write `scores.json`: scores, the rules they follow, problems, confusion and classes.

    Args:
        path: of the file.
        predictions: of the run.
        labels: the label set.
        scores: what `score` returned; computed if not given.
        resamples: of the bootstrap behind the scores.
    """
    scores = score(predictions, labels, resamples) if scores is None else scores
    tasks: dict[str, Any] = {}
    rows = rows_of(scores)
    for task, chosen in by_task(predictions).items():
        tasks[task] = {
            "n": len(chosen),
            "unreadable": sum(one.unreadable for one in chosen),
            "problems": dict(Counter(one.problem for one in chosen if one.problem)),
            "metrics": rows[task],
        }
        if SCORED.get(task).by_class:
            tasks[task] |= by_class(chosen, labels)
        kinds = SCORED.get(task).per_kind(chosen).items()
        if kinds:
            tasks[task]["per_kind"] = {kind: {"value": v, "n": n} for kind, (v, n) in kinds}
    used = {name for values in scores.values() for name in values}
    write_json(
        path,
        {
            "rules": {name: metric.rule for name, metric in METRICS.items() if name in used},
            "denominator": "every sample; an unreadable answer is wrong",
            "boxes": "pixels of the image; continuous area; IoU >= 0.5 is found; not clamped",
            "tokeniser": ptb.TOKENISER,
            "interval": f"95 % percentile bootstrap over scenes, {resamples} resamples; the exact "
            "one of as many scenes where a share is 0 or 1",
            "tasks": tasks,
        },
    )


def by_class(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    """Labels, confusion and scores of each class as JSON, of predictions of task "classify"."""
    return {
        "labels": list(labels),
        "confusion": classification.confusion(predictions, labels).tolist(),
        "per_class": [asdict(row) for row in classification.per_class(predictions, labels)],
    }


def rows_of(values: Mapping[str, Mapping[str, Score | Difference]]) -> dict[str, dict[str, Any]]:
    """Scores or differences by task, or by another name, as JSON objects."""
    return {
        one: {name: value.to_row() for name, value in some.items()} for one, some in values.items()
    }


def scores_from(rows: Mapping[str, Mapping[str, Any]]) -> Scores:
    """The scores that `rows_of` wrote."""
    return {
        one: {name: Score.from_row(row) for name, row in some.items()} for one, some in rows.items()
    }


def read_scores(path: Path | str) -> Scores:
    """The scores of a `scores.json`.

    Raises:
        FormatError: the file is damaged or of a newer format.
    """
    value = read_json(path)
    try:
        return scores_from({task: section["metrics"] for task, section in value["tasks"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: {error!r}; was it written by `swath evaluate`?") from None
