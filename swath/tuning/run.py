"""A run: stages one after another into a folder that can be continued, loaded and reported."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from swath.errors import TuningError
from swath.instructions.builder import InstructionSet
from swath.models.proof import answers_of, compare, proof_questions
from swath.recipe import Recipe, Stage
from swath.tuning import processes
from swath.tuning.run_folder import (
    LOSSES,
    RunFolder,
    another_run,
    fingerprint,
    read_losses,
    started,
)
from swath.tuning.sampling import Groups
from swath.tuning.setup import Prepared, Score, conversations_of, stage_groups
from swath.tuning.stages import PartCount, count_parts, prepare, rest
from swath.tuning.tracking import trackers
from swath.tuning.trainer import Probe, Report, Watch

__all__ = ["LOSSES", "Parts", "another_run", "fingerprint", "read_losses", "started", "tune"]

Parts = Callable[[Stage, int, list[PartCount]], None]
"""Called before each stage with its number of steps and what it trains."""


@dataclass(frozen=True)
class Observers:
    """Who is told of a run, and what it may stop by; see `tune`."""

    report: Report | None = None
    parts: Parts | None = None
    probe: Probe | None = None
    score: Score | None = None


def tune(
    built: InstructionSet,
    recipe: Recipe,
    folder: Path | str,
    report: Report | None = None,
    parts: Parts | None = None,
    probe: Probe | None = None,
    score: Score | None = None,
) -> Path:
    """Tune the recipe's model on the training split; return the run folder.

    A run that was interrupted continues from its last checkpoint, exactly as if it had not been.
    What `probe` does with the live model changes neither the run nor the seconds it records.
    `score` is what `tuning.stop` goes by. Started by `torchrun`, each process learns from its
    share of every step's rows, and the first one alone writes.

    Raises:
        TuningError: there is nothing to train on, to validate on or to stop by, the folder holds
            a run of another recipe or other data, or the loss is no longer a number.
    """
    processes.join()
    groups = stage_groups(built, recipe)
    if recipe.tuning.stop and score is None:
        raise TuningError("tuning.stop goes by a score, and none is given; use `swath tune`.")
    run = RunFolder.open(Path(folder), recipe, fingerprint(built, recipe))
    if not run.record["finished"]:
        _learn(built, recipe, groups, run, Observers(report, parts, probe, score))
        # The tuned model goes before the proof reads it back: two would not fit where one does.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if processes.first() and "unproven" in run.record:
        _prove(run, groups)
    processes.wait()
    return run.path


def _learn(
    built: InstructionSet,
    recipe: Recipe,
    groups: Sequence[Groups],
    run: RunFolder,
    observers: Observers,
) -> None:
    """Run the stages that are not done, keep answers to prove the run by, and write the model."""
    tuning = Prepared(built, recipe, groups)
    loaded = tuning.loaded
    run.check_base(loaded)
    run.record["left_out"] = tuning.left_out
    model = loaded.model
    for number, stage in enumerate(recipe.tuning.stages):
        torch.manual_seed(recipe.seed + number)
        model = prepare(model, loaded, stage)
        if run.stage_file(number).is_file():
            run.restore_stage(number, model)
        else:
            _run_stage(tuning, number, model, run, observers)
    rest(model)
    questions = proof_questions(tuning.conversations, recipe.tuning.prove)
    if questions and processes.first():
        live = replace(loaded, model=model.eval())
        run.record["unproven"] = answers_of(live, questions)
    run.finish(model, loaded, recipe)


def _run_stage(
    tuning: Prepared, number: int, model: Any, run: RunFolder, observers: Observers
) -> None:
    recipe, record = tuning.recipe, run.record
    stage = recipe.tuning.stages[number]
    size = record["batch_sizes"].get(stage.name) or tuning.batch_size(model, number)
    record["batch_sizes"][stage.name] = size
    run.save()
    steps = tuning.steps(number, size)
    if observers.parts and processes.first():
        observers.parts(stage, steps, count_parts(model, tuning.loaded))
    checkpoint = run.last_checkpoint(number)
    begun = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    run.forget_losses(stage.name, after=begun)
    folder = run.stage_folder(number)
    trainer = tuning.trainer(model, number, size, folder, steps)
    checks = tuning.checks(trainer, number, size, run.losses, observers.score)
    live = replace(tuning.loaded, model=model)
    probe = partial(observers.probe, live) if observers.probe else None
    tracked = recipe.tuning.track if processes.first() else []

    def report(row: dict[str, Any]) -> None:
        run.add_loss(row)
        if observers.report:
            observers.report(row)

    watch = Watch(stage.name, report, run.losses, probe, checks, bool(tracked))
    watch.trainer = trainer
    for callback in (watch, *trackers(tracked, run.path / "track" / stage.name)):
        trainer.add_callback(callback)
    begin = time.monotonic()
    if not checks.over:
        trainer.train(resume_from_checkpoint=checkpoint)
    # The trainer leaves the model's forward computing in its own precision.
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    seconds = round(watch.before + time.monotonic() - begin - watch.aside, 1)
    summary = {"name": stage.name, "steps": run.losses[-1]["step"], "seconds": seconds}
    earlier = [row for row in record["stages"] if row["name"] != stage.name]
    record["stages"] = [*earlier, summary | checks.restore(model)]
    record["warnings"] = [row["warning"] for row in run.losses if "warning" in row]
    run.save()
    run.end_stage(number, model, recipe.tuning.checkpoints_stay)


def _prove(run: RunFolder, groups: Sequence[Groups]) -> None:
    """Compare a finished run with the answers of its live model, kept in case it is killed here."""
    answers = run.record["unproven"]
    conversations = conversations_of(groups, run.record["left_out"])
    questions = proof_questions(conversations, len(answers))
    run.record["proof"] = compare(run.path, questions, answers)
    del run.record["unproven"]
    run.save()
