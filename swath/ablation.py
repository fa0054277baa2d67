"""An ablation: one recipe in several cells, each a run of its own, and one table of them all.

runs/<recipe>-ablation/<cell>/        an experiment's folder, a cell
runs/<recipe>-ablation/ablation.json  scores, intervals, differences to the first cell
runs/<recipe>-ablation/ablation.svg   the headline metrics as a picture
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.statistics import Difference
from swath.evaluation.predictions import Prediction, read_predictions
from swath.evaluation.report.charts import Series, as_file, intervals, stacked
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.scoring import Scores, common, compare, read_scores, rows_of
from swath.experiment import Experiment
from swath.files import RUN_FILE, read_json, read_record, replacing_folder, write_json, write_text
from swath.grid import Cell, Grid
from swath.recipe import Recipe
from swath.recipes import dump
from swath.tuning.stages import check_rates

TABLE, PICTURE = "ablation.json", "ablation.svg"
REMEMBERED = ("writer.jsonl", "looks.sqlite")
"""What a build asked or decoded; a cell that builds a set of its own starts from the first's."""

Differences = dict[str, dict[str, Difference]]


@dataclass(frozen=True)
class Row:
    """What came of a cell.

    Args:
        cell: that was tuned and evaluated.
        scores: on its test questions.
        differences: to the first cell, on the questions that both were asked.
        questions: how many these are.
        seconds: of tuning.
        note: why nothing could be compared; "" where it could.
    """

    cell: Cell
    scores: Scores
    differences: Differences
    questions: int
    seconds: float
    note: str = ""

    def to_row(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "name": self.cell.name,
            "folder": str(self.cell.folder),
            "seconds_of_tuning": self.seconds,
            "scores": rows_of(self.scores),
            "differences": rows_of(self.differences),
            "compared_questions": self.questions,
            "note": self.note,
        }


def experiment_of(grid: Grid, cell: Cell) -> Experiment:
    """The experiment of a cell, its set copied from an earlier cell's where it is the same."""
    card = cell.folder / "set" / "card.json"
    for earlier in grid.cells[: grid.cells.index(cell)]:
        if not (earlier.folder / "set" / "card.json").is_file():
            continue
        cell.folder.mkdir(parents=True, exist_ok=True)
        for name in REMEMBERED:
            if (earlier.folder / name).is_file() and not (cell.folder / name).exists():
                shutil.copyfile(earlier.folder / name, cell.folder / name)
        if not card.is_file() and _set_of(earlier.recipe) == _set_of(cell.recipe):
            with replacing_folder(cell.folder / "set", card.name) as temporary:
                shutil.copytree(earlier.folder / "set", temporary, dirs_exist_ok=True)
    return Experiment(cell.recipe, cell.folder)


def finished(cell: Cell) -> bool:
    """Whether a cell is tuned and evaluated as its recipe says."""
    files = [cell.folder / RUN_FILE, cell.folder / "recipe.yaml", _answers(cell) / "scores.json"]
    if not all(file.is_file() for file in files):
        return False
    same = files[1].read_text(encoding="utf-8") == dump(cell.recipe)
    return same and bool(read_json(files[0])["finished"])


def check(grid: Grid) -> None:
    """Refuse what a cell's stages would refuse only once they come to it.

    Raises:
        TuningError: a rate is of a part that does not learn.
    """
    for cell in grid.cells:
        for stage in cell.recipe.tuning.stages:
            check_rates(stage)


def results(grid: Grid) -> list[Row]:
    """The rows of the cells that are finished, in the grid's order.

    Raises:
        EvaluationError: the first is not, and the others are compared with it.
    """
    first = grid.cells[0]
    if not finished(first):
        raise EvaluationError(
            f"{first.folder}: the first cell is not finished, and the others are compared with it."
        )
    rows = []
    for cell in grid.cells:
        if finished(cell):
            rows.append(_row(first, cell))
    return rows


def write_results(grid: Grid, rows: Sequence[Row], failed: Mapping[str, str]) -> dict[str, Any]:
    """Write the table as JSON and its headline metrics as a picture.

    Args:
        failed: cell to what went wrong.

    Returns:
        What the JSON file holds.
    """
    table = {
        "format": 1,
        "first": grid.cells[0].name,
        "interval": "95 % bootstrap over scenes; differences are paired by question",
        "cells": [row.to_row() for row in rows],
        "failed": dict(failed),
    }
    write_json(grid.folder / TABLE, table)
    write_text(grid.folder / PICTURE, picture(rows))
    return table


def picture(rows: Sequence[Row]) -> str:
    """Each task's headline metric, a dot with its interval a cell, as an SVG file's text."""
    charts = []
    for task, name in headlines(rows):
        systems = []
        for row in rows:
            if name in row.scores.get(task, {}):
                style = "soft" if row is rows[0] else "tuned"
                systems.append((Series(row.cell.name, style), row.scores[task][name]))
        charts.append((f"{task}: {METRICS[name].title}", intervals(METRICS[name], systems)))
    return as_file(stacked(charts))


def headlines(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Task and headline metric of every task that some cell was asked."""
    asked = {task for row in rows for task in row.scores}
    return [(task, SCORED.get(task).headline) for task in SCORED if task in asked]


def cell_score(row: Row, task: str, name: str) -> tuple[Score | None, Difference | None]:
    """A cell's score by one metric, and its difference to the first cell."""
    return row.scores.get(task, {}).get(name), row.differences.get(task, {}).get(name)


def _row(first: Cell, cell: Cell) -> Row:
    answers = _answers(cell)
    stages = read_record(cell.folder)["stages"]
    seconds = sum(stage["seconds"] for stage in stages)
    scores = read_scores(answers / "scores.json")
    if cell is first:
        return Row(cell, scores, {}, 0, seconds)
    predictions = {"first": _predictions(first), "cell": _predictions(cell)}
    labels: dict[str, None] = {}
    for folder in (_answers(first), answers):
        for section in read_json(folder / "scores.json")["tasks"].values():
            labels |= dict.fromkeys(section.get("labels", ()))
    try:
        shared = common(predictions)
    except EvaluationError as error:
        return Row(cell, scores, {}, 0, seconds, str(error))
    section = cell.recipe.evaluation
    differences = compare(
        shared["first"], shared["cell"], list(labels), section.resamples, cell.recipe.seed
    )
    return Row(cell, scores, differences, len(shared["cell"]), seconds)


def _answers(cell: Cell) -> Path:
    return cell.folder / "evaluation" / "tuned"


def _predictions(cell: Cell) -> list[Prediction]:
    return list(read_predictions(_answers(cell) / "predictions.jsonl"))


def _set_of(recipe: Recipe) -> tuple[Any, ...]:
    """What a set is built from."""
    rendering, frames = recipe.imagery.rendering, recipe.imagery.frames
    return recipe.annotations, recipe.instructions, recipe.seed, rendering, frames
