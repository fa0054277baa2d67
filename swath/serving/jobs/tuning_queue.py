"""The queue of tunings: starts a worker for each job, watches its files, serves what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from swath.errors import SwathError
from swath.files import LOSSES, RUN_FILE
from swath.serving.jobs.checkpoint_models import checkpoint_steps, take_checkpoints, tell_checkpoint
from swath.serving.jobs.job_queue import JobQueue, read_row
from swath.serving.jobs.job_shapes import event_row
from swath.serving.jobs.office import Office
from swath.serving.jobs.tuned_models import SERVED, serve
from swath.serving.jobs.tuning_jobs import ENDED, move
from swath.serving.jobs.worker import Followed
from swath.serving.protocol import Row, now, without_places

_RECENT = 20  # steps whose mean time says how long the others will take

_PLAN = "plan.json"


class TuningQueue(JobQueue):
    """Works off the tuning jobs of an office until it is closed.

    Args:
        office: whose jobs.
    """

    def __init__(self, office: Office) -> None:
        super().__init__(office, "job")
        self._losses: dict[str, Followed] = {}
        self._told: set[tuple[str, int]] = set()  # jobs and steps of checkpoints

    def restore(self) -> None:
        """Serve what jobs have made before, before anybody asks; end what should not run."""
        for job in self._office.state.all("job"):
            if job["status"] == "succeeded" and job["model_state"] == SERVED:
                try:
                    serve(self._office, job)
                except SwathError as error:
                    words = f"The model is not served: {without_places(str(error))}"
                    self._tell(job, f"not served/{now()}", words, "warn")
            elif job["status"] in ENDED:  # by a server that was killed before it ended the worker
                self._end(job)

    def look(self) -> None:
        """Bring every job as far as it is."""
        jobs = self._office.state.all("job")
        running = sum(job["status"] == "running" for job in jobs)
        for job in jobs:
            if job["status"] == "queued" and running < self._at_once:
                running += 1
                self._begin(job)
            elif job["status"] == "running":
                self._watch(job)
            elif job["status"] == "validating":
                self._plan(job)
            elif job["id"] in self._workers or job["status"] == "paused":
                self._end(job)

    def _begin(self, job: Row) -> None:
        move(self._office, job, "running", "Fine-tuning job started", started_at=now(), starts=0)
        self._start(job)

    def _start(self, job: Row) -> None:
        self._end(job)  # the worker of a plan, or of a job that was paused and resumed at once
        folder = self._office.jobs / job["id"]
        self._worker(job).start(["tune", str(folder / "recipe.yaml"), "--home", str(folder)])

    def _watch(self, job: Row) -> None:
        """Tell of new steps; where the worker has ended, find out why."""
        worker = self._worker(job)
        alive = worker.alive  # before its files are read: what it wrote last is in them
        job = self._tell_steps(job)
        for step in checkpoint_steps(self._office, job):
            if (job["id"], step) not in self._told:
                self._told.add((job["id"], step))
                tell_checkpoint(self._office, job, step)
        if alive:
            return
        run = read_row(self._run(job) / RUN_FILE)
        if run.get("finished") and "unproven" not in run:
            self._succeed(job, run)
        elif self._goes_on(job):
            self._start(job)

    def _succeed(self, job: Row, run: Row) -> None:
        name = job["tuned_name"]
        if job["model"] in self._office.served.models:
            take_checkpoints(self._office, job)
        try:
            serve(self._office, job)
        except SwathError as error:
            self._fail(job, str(error))
            return
        for number, row in enumerate(run.get("left_out", [])):
            self._tell(job, f"left out/{number}", f"Left out, too long: {row}", "warn")
        for number, words in enumerate(run.get("warnings", [])):
            self._tell(job, f"warning/{number}", words, "warn")
        tell_checkpoint(self._office, job, job["steps"])
        self._tell(job, "model", f"New fine-tuned model created: {name}")
        words = "The job has successfully completed"
        move(self._office, job, "succeeded", words, fine_tuned_model=name, ends_at=None)
        self._workers.pop(job["id"], None)

    def _fail(self, job: Row, words: str) -> None:
        words = without_places(words)
        error = {"code": "tuning_failed", "message": words, "param": None}
        move(self._office, job, "failed", words, error=error, fine_tuned_model=None, ends_at=None)
        self._workers.pop(job["id"], None)

    def _plan(self, job: Row) -> None:
        """Try a few steps, to say how long all would take, before the job is started."""
        worker, folder = self._worker(job), self._office.jobs / job["id"]
        if worker.alive:
            return
        plan = _plan_of(folder / _PLAN)
        if plan:
            seconds = sum(stage["seconds"] for stage in plan["stages"])
            move(self._office, job, "ready", "The job is validated", seconds=seconds, starts=0)
        elif self._goes_on(job):
            recipe = ["check", str(folder / "recipe.yaml"), "--home", str(folder), "--json"]
            worker.start(recipe, folder / _PLAN)

    def _run(self, job: Row) -> Path:
        return self._office.jobs / job["id"] / "run"

    def _tell(self, job: Row, key: str, words: str, level: str = "info") -> None:
        self._office.state.tell(job["id"], key, event_row(job["id"], words, level, None))

    def _tell_steps(self, job: Row) -> Row:
        """Make events of new steps' losses; steps that are computed again are told once."""
        rows = self._new_losses(job)
        if not rows:
            return job
        state = self._office.state
        with state.transaction():
            for row in rows:
                state.tell(job["id"], f"step/{row['stage']}/{row['step']}", _step_event(job, row))
            last = rows[-1]
            changes = _outlook(last, rows[-_RECENT:])
            if last["step"] > job["step"]:
                further = [row["tokens"] for row in rows if row["step"] > job["step"]]
                tokens = job["tokens"] + sum(further)
                changes |= {"step": last["step"], "tokens": tokens, "starts": 0}
            return state.change("job", job["id"], **changes)

    def _new_losses(self, job: Row) -> list[Row]:
        """Losses that were not read yet; all, where a worker that goes on began the file anew."""
        path = self._run(job) / LOSSES
        rows, _ = self._losses.setdefault(job["id"], Followed(path)).read()
        return [row for row in rows if "step" in row]


def _step_event(job: Row, row: Row) -> Row:
    loss = row.get("text", row.get("image"))
    data: Row = {"step": row["step"], "total_steps": row["steps"], "train_loss": loss}
    words = f"Step {row['step']}/{row['steps']}: training loss={loss:.4f}"
    if "val" in row:
        data["valid_loss"] = row["val"]
        words += f", validation loss={row['val']:.4f}"
    return event_row(job["id"], words, "info", data, "metrics")


def _outlook(last: Row, recent: list[Row]) -> dict[str, Any]:
    """How long a tuning takes in all, and when it ends, by its steps so far."""
    first = recent[0]
    each = last["seconds"] / last["step"]
    if last["step"] > first["step"]:
        each = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    remaining = (last["steps"] - last["step"]) * each
    return {"seconds": last["seconds"] + remaining, "ends_at": round(now() + remaining)}


def _plan_of(path: Path) -> Row | None:
    """The plan that `swath check --json` printed; None where it is not whole yet."""
    try:
        plan: Row | None = orjson.loads(path.read_bytes())["plan"]
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return plan
