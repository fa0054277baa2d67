"""A run: stages one after another into a folder that can be continued, loaded and reported."""

from __future__ import annotations

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
from swath.tuning.memory import free_memory
from swath.tuning.run_folder import RunFolder, another_run, fingerprint, started
from swath.tuning.sampling import Groups
from swath.tuning.setup import Batches, Prepared, Score, conversations_of, stage_groups
from swath.tuning.stages import PartCount, count_parts, prepare, rest
from swath.tuning.tracking import trackers
from swath.tuning.trainer import Probe, Report, Watch

__all__ = ["Parts", "another_run", "fingerprint", "started", "tune"]

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
        free_memory()
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
    tuning = Prepared(built, recipe, groups, run.path / "evaluation" / "features")
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
    """Run one stage; where a GPU runs out of memory, again with smaller batches of the same rows.

    Raises:
        TuningError: not even one row fits.
    """
    stage = tuning.recipe.tuning.stages[number]
    batches = run.batches(stage.name) or tuning.batches(model, number)
    run.keep_start(number, model)
    random_state = torch.random.get_rng_state()
    note = ""
    while True:
        run.set_batches(stage.name, batches)
        try:
            _train(tuning, number, model, batches, run, observers, note)
        except torch.OutOfMemoryError as error:
            smaller = batches.smaller
            if smaller is None or processes.count() > 1:
                raise TuningError(
                    f"stage '{stage.name}': batches of {batches.rows} rows ran out of memory "
                    f"({str(error).split('. ')[0]}); set tuning.stages batch_size lower, "
                    f"checkpointing, models.quantize, or lower imagery.image_px."
                ) from None
            batches = smaller
        else:
            break
        note = (
            f"stage {stage.name}: out of memory; goes on with {batches.count} batches of "
            f"{batches.rows} rows a step, the same rows as before"
        )
        free_memory()
        run.go_back(number, model)
        torch.random.set_rng_state(random_state)
    run.end_stage(number, model, tuning.recipe.tuning.checkpoints_stay)


def _train(
    tuning: Prepared,
    number: int,
    model: Any,
    batches: Batches,
    run: RunFolder,
    observers: Observers,
    note: str,
) -> None:
    """Learn a stage from its last checkpoint, or its start, to its end.

    Args:
        note: what the first step's row tells as well.
    """
    recipe, record = tuning.recipe, run.record
    stage = recipe.tuning.stages[number]
    steps = tuning.steps(number, batches)
    if observers.parts and processes.first():
        observers.parts(stage, steps, count_parts(model, tuning.loaded))
    checkpoint = run.last_checkpoint(number)
    begun = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    run.forget_losses(stage.name, after=begun)
    configured = dict(vars(model.config))
    trainer = tuning.trainer(model, number, batches, run.stage_folder(number), steps)
    checks = tuning.checks(trainer, number, batches.rows, run.losses, observers.score)
    live = replace(tuning.loaded, model=model)
    probe = partial(observers.probe, live) if observers.probe else None
    tracked = recipe.tuning.track if processes.first() else []

    def report(row: dict[str, Any]) -> None:
        run.add_loss(row)
        if observers.report:
            observers.report(row)

    watch = Watch(stage.name, report, run.losses, probe, checks, bool(tracked), note=note)
    watch.trainer = trainer
    for callback in (watch, *trackers(tracked, run.path / "track" / stage.name)):
        trainer.add_callback(callback)
    begin = time.monotonic()
    try:
        if not checks.over:
            trainer.train(resume_from_checkpoint=checkpoint)
    finally:  # the trainer leaves the model's forward computing in its own precision
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        # It switches the cache off in the config, which would be saved with the model.
        for key in vars(model.config).keys() - configured.keys():
            delattr(model.config, key)
        vars(model.config).update(configured)
    seconds = round(watch.before + time.monotonic() - begin - watch.aside, 1)
    summary = {"name": stage.name, "steps": run.losses[-1]["step"], "seconds": seconds}
    earlier = [row for row in record["stages"] if row["name"] != stage.name]
    record["stages"] = [*earlier, summary | checks.restore(model)]
    record["warnings"] = run.warnings
    run.save()


def _prove(run: RunFolder, groups: Sequence[Groups]) -> None:
    """Compare a finished run with the answers of its live model, kept in case it is killed here."""
    answers = run.record["unproven"]
    conversations = conversations_of(groups, run.record["left_out"])
    questions = proof_questions(conversations, len(answers))
    run.record["proof"] = compare(run.path, questions, answers)
    del run.record["unproven"]
    run.save()
