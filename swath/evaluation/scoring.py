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
from swath.evaluation.predictions import Grouped, Predictions
from swath.evaluation.scored_tasks import SCORED, scored_task
from swath.files import Json, read_json, write_json

Scores = dict[str, dict[str, Score]]
"""Scores by task and metric."""


def score(
    predictions: Predictions,
    labels: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Every metric of every task among the predictions, with 95 % intervals over scenes.

    Args:
        predictions: of a run, every sample once.
        labels: the label set, needed where there are predictions of task "classify".
        resamples: of the bootstrap; 0 leaves the intervals out.

    Raises:
        EvaluationError: no prediction, a task without metrics, an id that appears twice, or a
            truth that lacks what its task needs.
    """
    scores: Scores = {}
    for task, group in by_task(predictions).items():
        measures = SCORED.get(task).measures(group, labels)
        scores[task] = {
            name: scored(measure, group, resamples, seed) for name, measure in measures.items()
        }
    return scores


def scored(measure: Measure, predictions: Predictions, resamples: int, seed: int = 0) -> Score:
    """The score of what was measured of some predictions."""
    unreadable = sum(prediction.unreadable for prediction in predictions)
    low, high = ends(measure, resamples, seed)
    return Score(measure.value, len(measure.rows), unreadable, low, high)


def compare(
    before: Predictions,
    after: Predictions,
    labels: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """How much the second run is above the first: task to metric to paired difference.

    Predictions are paired by id; a metric that only one run has is left out.

    Raises:
        EvaluationError: the two did not answer the same questions.
    """
    first = by_task(before)
    second = by_task(after)
    differences: dict[str, dict[str, Difference]] = {}
    for task in first.keys() | second.keys():
        questions = [prediction.id for prediction in first.get(task, [])]
        answers = {prediction.id: prediction for prediction in second.get(task, [])}
        if answers.keys() != set(questions):
            raise EvaluationError(
                f"the runs answered different '{task}' questions "
                f"({len(questions)} and {len(answers)}), so they cannot be paired; "
                "evaluate both on one test set."
            )
        measures = SCORED.get(task).measures
        earlier = measures(first[task], labels)
        later = measures([answers[question] for question in questions], labels)
        differences[task] = {
            name: difference(earlier[name], later[name], resamples, seed)
            for name in earlier
            if name in later
        }
    return {task: differences[task] for task in SCORED if task in differences}


def common(runs: Mapping[str, Predictions]) -> Grouped:
    """The answers of each run to the questions that all runs answered.

    Raises:
        EvaluationError: there is no such question, or one has another truth in another run.
    """
    first = next(iter(runs))
    truths = {prediction.id: (prediction.task, prediction.truth) for prediction in runs[first]}
    shared = set(truths)
    for predictions in runs.values():
        shared &= {prediction.id for prediction in predictions}
    if not shared:
        raise EvaluationError(
            f"{' and '.join(runs)} have no question in common; compare results on one test set."
        )
    answered: Grouped = {}
    for name, predictions in runs.items():
        answered[name] = [prediction for prediction in predictions if prediction.id in shared]
        for prediction in answered[name]:
            if (prediction.task, prediction.truth) != truths[prediction.id]:
                raise EvaluationError(
                    f"{prediction.id}: has another truth in {name} than in {first}, so they "
                    "cannot be paired; evaluate both on one test set."
                )
    return answered


def by_task(predictions: Predictions) -> Grouped:
    """Predictions by task, tasks in the order of `SCORED`.

    Raises:
        EvaluationError: no prediction, an id that appears twice, a task without metrics, or a
            truth that lacks what its task needs.
    """
    if not predictions:
        raise EvaluationError("there is no prediction to score; is the test split empty?")
    groups: Grouped = {task: [] for task in SCORED}
    ids = set()
    for prediction in predictions:
        if prediction.id in ids:
            raise EvaluationError(
                f"{prediction.id}: predicted more than once; score one run at a time."
            )
        ids.add(prediction.id)
        scored_task(prediction).check_truth(prediction)
        groups[prediction.task].append(prediction)
    return {task: group for task, group in groups.items() if group}


def write_scores(
    path: Path | str,
    predictions: Predictions,
    labels: Sequence[str] = (),
    scores: Mapping[str, Mapping[str, Score]] | None = None,
    resamples: int = RESAMPLES,
) -> None:
    """Write `scores.json`: scores, the rules they follow, problems, confusion and classes.

    Args:
        scores: what `score` returned; computed if not given.
        resamples: of the bootstrap behind the scores.
    """
    scores = score(predictions, labels, resamples) if scores is None else scores
    rows = rows_of(scores)
    tasks: Json = {}
    for task, group in by_task(predictions).items():
        problems = [prediction.problem for prediction in group if prediction.problem]
        section = {
            "n": len(group),
            "unreadable": sum(prediction.unreadable for prediction in group),
            "problems": dict(Counter(problems)),
            "metrics": rows[task],
        }
        if SCORED.get(task).by_class:
            section |= by_class(group, labels)
        kinds = {}
        for kind, (share, count) in SCORED.get(task).per_kind(group).items():
            kinds[kind] = {"value": share, "n": count}
        if kinds:
            section["per_kind"] = kinds
        tasks[task] = section
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


def by_class(predictions: Predictions, labels: Sequence[str]) -> Json:
    """Labels, confusion and scores of each class as JSON, of predictions of task "classify"."""
    return {
        "labels": list(labels),
        "confusion": classification.confusion(predictions, labels).tolist(),
        "per_class": [asdict(row) for row in classification.per_class(predictions, labels)],
    }


def rows_of(values: Mapping[str, Mapping[str, Score | Difference]]) -> dict[str, Json]:
    """Scores or differences by task, or by another name, as JSON objects."""
    rows = {}
    for group, metrics in values.items():
        rows[group] = {name: asdict(value) for name, value in metrics.items()}
    return rows


def scores_from(rows: Mapping[str, Mapping[str, Any]]) -> Scores:
    """The scores that `rows_of` wrote."""
    scores: Scores = {}
    for group, metrics in rows.items():
        scores[group] = {name: Score.from_row(row) for name, row in metrics.items()}
    return scores


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
