"""Evaluated answers of a run's systems, question by question, the failures first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal

from swath.errors import RequestError
from swath.evaluation.predictions import read_predictions
from swath.evaluation.report.gallery import Judged, failures
from swath.evaluation.scoring import by_task
from swath.evaluation.systems import system_named, systems_of
from swath.recipes import load_recipe

Show = Literal["failed", "worse", "better", "all"]
"""Answers of the last system: those that failed, those that an earlier one had right, those that
it alone has right, or all."""

Row = dict[str, Judged]
"""The answers to one question by the system that gave them, the last one last."""


@dataclass
class FailureDesk:
    """The evaluations of a folder of experiments.

    Args:
        home: the folder.
    """

    home: Path
    _read: dict[Path, tuple[int, dict[str, list[Judged]]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def names(self) -> list[str]:
        """Experiments that were evaluated, the latest first."""
        files = self.home.glob("*/evaluation/*/predictions.jsonl")
        folders = {file.parents[2] for file in sorted(files, key=_changed_ns)}
        return [folder.name for folder in sorted(folders, key=_changed_ns, reverse=True)]

    def systems(self, name: str) -> dict[str, Path]:
        """Files of the answers of each system that was evaluated, base first and tuned last.

        Raises:
            RequestError: none was.
        """
        folder = self.home / name
        recipe = folder / "recipe.yaml"
        files = {}
        for system in systems_of(load_recipe(recipe)) if recipe.is_file() else ():
            file = folder / "evaluation" / system_named(system).folder / "predictions.jsonl"
            if file.is_file():
                files[system_named(system).title] = file
        if not files:
            raise RequestError(
                f"{folder}: not evaluated yet; `swath evaluate {folder}` asks the test questions."
            )
        return files

    def tasks(self, name: str) -> list[str]:
        """Tasks that were asked."""
        return list(self._judged(list(self.systems(name).values())[-1]))

    def rows(self, name: str, task: str, show: Show) -> list[Row]:
        """Questions of a task with the answers of every system: failures first, the worst first.

        Raises:
            RequestError: the run was not evaluated.
        """
        systems = self.systems(name)
        answers = {}
        for system, file in systems.items():
            judged = self._judged(file).get(task, [])
            answers[system] = {answer.prediction.id: answer for answer in judged}
        *earlier, last = answers
        rows = []
        for answer in _in_order(list(answers[last].values())):
            question = answer.prediction.id
            before = {
                name: answers[name][question] for name in earlier if question in answers[name]
            }
            if _is_shown(answer, before, show):
                rows.append({**before, last: answer})
        return rows

    def _judged(self, file: Path) -> dict[str, list[Judged]]:
        """The answers of a file by task, judged; read again where it has changed."""
        changed_ns = _changed_ns(file)
        with self._lock:
            if self._read.get(file, (0, {}))[0] != changed_ns:
                tasks = by_task(list(read_predictions(file)))
                judged = {task: Judged.each(answers) for task, answers in tasks.items()}
                self._read[file] = (changed_ns, judged)
            return self._read[file][1]


def _in_order(answers: list[Judged]) -> list[Judged]:
    """Failures, the worst first, then what is right."""
    right = [answer for answer in answers if not answer.failed]
    return [*failures(answers), *right]


def _is_shown(answer: Judged, before: Row, show: Show) -> bool:
    if show == "all":
        return True
    if show == "failed":
        return answer.failed
    if show == "worse":
        return answer.failed and any(not earlier.failed for earlier in before.values())
    return not answer.failed and all(earlier.failed for earlier in before.values())


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns
