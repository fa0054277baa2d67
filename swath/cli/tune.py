"""`swath tune`: the recipe's model, tuned; an interrupted run continues."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from swath.cli.console import (
    RUNS,
    Advance,
    Fresh,
    Home,
    Overrides,
    RecipeName,
    Tiny,
    bars,
    experiment_of,
    say,
    warn,
)

if TYPE_CHECKING:
    from swath.experiment import Experiment


def tune(
    recipe: RecipeName,
    overrides: Overrides = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    fresh: Fresh = False,
) -> None:
    """Tune the recipe's model; an interrupted run continues."""
    tune_experiment(experiment_of(recipe, overrides, home, tiny), fresh)


def tune_experiment(experiment: Experiment, fresh: bool, quiet: bool = False) -> None:
    """Tune with a bar a stage, and print what the run has to say of itself, unless `quiet`."""
    with bars() as progress:
        stages: dict[str, Advance] = {}

        def announce(stage: Any, total: int, parts: list[Any]) -> None:
            typer.echo(f"stage {stage.name}: {total} steps", err=True)
            for part in parts:
                typer.echo(f"  {part.part:<12}{part.trained:>16,} of {part.total:>16,}", err=True)
            stages[stage.name] = progress(f"tune {stage.name}")

        def step(row: dict[str, Any]) -> None:
            stages[row["stage"]](row["step"], row["steps"], f"loss {row['loss']:.3f}")
            for kind in ("note", "warning"):
                if kind in row:
                    typer.echo(f"{kind}: {row[kind]}", err=True)

        experiment.tune(step, announce, progress("build"), fresh)
    warn(experiment.notes)
    first = os.environ.get("RANK", "0") == "0"  # of processes that torchrun started
    if first and not quiet:
        _print_run(experiment)


def _print_run(experiment: Experiment) -> None:
    """A finished run's loss, what was left out, and the proof."""
    from swath.files import read_losses, read_record

    run = read_record(experiment.folder)
    losses = [row["text"] for row in read_losses(experiment.folder) if "text" in row]
    if losses:
        last = sum(losses[-10:]) / len(losses[-10:])
        say(f"loss {losses[0]:.3f} to {last:.3f} ({last / losses[0]:.0%} of its start)")
    left_out = run.get("left_out")
    if left_out:
        say(f"left out, too long or not in the picture: {len(left_out)} rows, first {left_out[0]}")
    proof = run.get("proof")
    if not proof:
        return
    say(f"read back from disk it gives {proof['same']} of {proof['questions']} of its answers")
    if "id" in proof:
        say(
            f"warning: on {proof['id']} it says '{proof['read_back']}' and the tuned model "
            f"'{proof['tuned']}'"
        )
