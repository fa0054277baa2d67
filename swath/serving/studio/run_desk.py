"""Runs as the page sees them: started as processes of their own, watched through their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from swath.errors import RequestError
from swath.files import MARK, RUN_FILE, claim, read_json, write_json
from swath.recipes import load_recipe
from swath.serving.jobs.worker import LOG, Worker
from swath.serving.studio.loss_file import LossFile
from swath.serving.studio.page_words import Words
from swath.serving.studio.work_desk import COMMAND, Workers
from swath.tuning.samples import SAMPLES, read_samples

CHECK, PLAN, EVALUATE = "check", "check.json", "evaluation"


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Args:
        state: "new", "preparing", "working", "stopped", "failed" or "finished".
        words: that say it.
    """

    state: str
    words: str

    @property
    def at_work(self) -> bool:
        """Whether its process lives."""
        return self.state in ("preparing", "working")


@dataclass
class RunDesk:
    """The runs of a folder of experiments.

    Args:
        home: the folder.
    """

    home: Path
    _workers: Workers = field(default_factory=Workers)
    _losses: dict[Path, LossFile] = field(default_factory=dict)
    _samples: dict[Path, tuple[int, list[dict[str, Any]]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def names(self) -> list[str]:
        """Experiments of the folder, the one that was last at work first."""
        folders = [path.parent for path in self.home.glob(f"*/{MARK}")]
        folders.sort(key=_last_at_work, reverse=True)
        return [folder.name for folder in folders]

    def worker(self, folder: Path) -> Worker:
        """The worker of a folder, the same one for everybody who asks."""
        return self._workers.of(folder)

    def losses(self, name: str) -> LossFile:
        """The losses of a run, read as far as they are written."""
        with self._lock:
            losses = self._losses.setdefault(self.home / name, LossFile(self.home / name))
            losses.read()
        return losses

    def check(self, name: str, arguments: Sequence[str]) -> None:
        """Begin `swath check` of an experiment.

        Raises:
            RequestError: its folder holds something else, or a check is under way.
        """
        folder = self._claimed(name) / CHECK
        self._workers.start(folder, ["check", *arguments, "--json"], folder / PLAN)

    def build(self, name: str, arguments: Sequence[str]) -> None:
        """Begin `swath build` of an experiment.

        Raises:
            RequestError: its folder holds something else, or it is at work.
        """
        self._begin("build", name, arguments)

    def tune(self, name: str, arguments: Sequence[str]) -> None:
        """Begin `swath tune` of an experiment, or go on with it.

        Raises:
            RequestError: its folder holds something else, or it is at work.
        """
        self._begin("tune", name, arguments)
        write_json(self.home / name / COMMAND, {"arguments": list(arguments)})

    def evaluate(self, name: str, arguments: Sequence[str]) -> None:
        """Begin `swath evaluate` of a run.

        Raises:
            RequestError: it is evaluated already.
        """
        self._workers.start(self.home / name / EVALUATE, ["evaluate", *arguments])

    def evaluation(self, name: str) -> Worker:
        """The process that evaluates a run, or did."""
        return self.worker(self.home / name / EVALUATE)

    def resume(self, name: str) -> None:
        """Go on with a run by the command that began it.

        Raises:
            RequestError: the page did not begin it, it is at work, or the command names an
                address and was begun by another page.
        """
        self._workers.resume(self.home / name, ["tune", *self.arguments(name)])

    def arguments(self, name: str) -> list[str]:
        """Arguments of `swath tune` by which a run goes on.

        Raises:
            RequestError: there is nothing to go on with.
        """
        folder = self.home / name
        if (folder / COMMAND).is_file():
            return [str(argument) for argument in read_json(folder / COMMAND)["arguments"]]
        recipe = folder / "recipe.yaml"
        if not recipe.is_file():
            raise RequestError(f"{folder}: no tuning has begun here.")
        return [str(recipe), "--home", str(self.home)]

    def stop(self, name: str) -> None:
        """End a run's process; what it did until its last checkpoint stays."""
        self.worker(self.home / name).stop()

    def status(self, name: str, words: Words) -> Status:
        """How a run stands, from its files alone."""
        folder = self.home / name
        worker = self.worker(folder)
        losses = self.losses(name)
        if worker.alive:
            if not losses.steps:
                return Status("preparing", words("run.preparing", last=_last_line(worker)))
            return Status("working", words("run.working", **_place(folder, losses, words)))
        if _is_finished(folder):
            return Status("finished", words("run.finished", steps=losses.steps))
        if worker.error:
            return Status("failed", words("run.failed", reason=worker.error))
        if losses.steps:
            return Status("stopped", words("run.stopped", step=losses.steps))
        return Status("new", words("run.new"))

    def samples(self, name: str) -> list[dict[str, Any]]:
        """What a run answered while it learnt, the first step first."""
        file = self.home / name / SAMPLES
        size = file.stat().st_size if file.is_file() else 0
        with self._lock:
            known_size, rows = self._samples.get(file, (0, []))
            if size != known_size:
                rows = read_samples(file.parent)
                self._samples[file] = (size, rows)
        return rows

    def plan(self, name: str) -> tuple[bool, dict[str, Any] | None, str | None]:
        """Whether a check is under way, what the last one found, and why it failed."""
        folder = self.home / name / CHECK
        worker = self.worker(folder)
        if worker.alive:
            return True, None, None
        return False, _printed(folder / PLAN), worker.error

    def _claimed(self, name: str) -> Path:
        folder = self.home / name
        claim(folder, RUN_FILE, "*/card.json", "*.jsonl")
        return folder

    def _begin(self, verb: str, name: str, arguments: Sequence[str]) -> None:
        folder = self._claimed(name)
        self._workers.refuse_busy(folder / CHECK)
        self._workers.start(folder, [verb, *arguments])


def duration(seconds: float, words: Words) -> str:
    """A time in minutes, or hours where it is long."""
    if seconds < 5400:
        return words("run.minutes", number=f"{seconds / 60:.1f}")
    return words("run.hours", number=f"{seconds / 3600:.1f}")


def _last_at_work(folder: Path) -> float:
    files = [folder / name for name in (LOG, RUN_FILE, MARK)]
    return max(file.stat().st_mtime for file in files if file.is_file())


def _last_line(worker: Worker) -> str:
    lines = worker.last_words
    return lines[-1] if lines else ""


def _is_finished(folder: Path) -> bool:
    file = folder / RUN_FILE
    return file.is_file() and bool(read_json(file).get("finished"))


def _place(folder: Path, losses: LossFile, words: Words) -> dict[str, object]:
    """Where in its stages a run is, and how long this one still takes."""
    seconds = losses.seconds_left
    recipe = folder / "recipe.yaml"
    stages = len(load_recipe(recipe).tuning.stages) if recipe.is_file() else losses.stages
    return {
        "stage": losses.last["stage"],
        "number": losses.stages,
        "stages": stages,
        "step": losses.last["step"],
        "steps": losses.last["steps"],
        "left": "?" if seconds is None else duration(seconds, words),
    }


def _printed(file: Path) -> dict[str, Any] | None:
    """The JSON that a verb printed; None where it printed none, or not all of it."""
    try:
        value = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None
