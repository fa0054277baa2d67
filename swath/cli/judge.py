"""`swath judge`: a language model's opinion of a run's free answers, apart from its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import bars, emit, say

_ANSWERS = "predictions.jsonl"


def judge(
    run: Annotated[
        Path, typer.Argument(help="Folder of an evaluated run, or of a suite's result.")
    ],
    by: Annotated[str, typer.Option(help="The judge, as in http://host:8000/v1#model.")],
    json: Annotated[bool, typer.Option("--json", help="Machine-readable result.")] = False,
) -> None:
    """Let a language model grade captions and answers, and compare base and tuned."""
    from swath.evaluation.judge import judge as ask

    if (run / _ANSWERS).is_file():  # a suite's: its other sides lie in folders within
        from swath.evaluation.predictions import read_predictions
        from swath.recipe import Evaluation

        places = [*(one.parent for one in sorted(run.glob(f"*/{_ANSWERS}"))), run]
        runs = {one.name: list(read_predictions(one / _ANSWERS)) for one in places}
        section, folder = Evaluation(), run
    else:
        from swath.experiment import Experiment

        experiment = Experiment.of_run(run)
        runs = {one.name: list(one.predictions) for one in experiment.runs()}
        section, folder = experiment.recipe.evaluation, experiment.folder / "evaluation"
    with bars() as progress:
        found = ask(by, runs, section.remote, folder, progress("judge"), section.resamples)
    if json:
        return emit(found)
    say(f"judge: {found['judge']}; an opinion, not a score")
    for name, tasks in found["grades"].items():
        for task, one in tasks.items():
            mean = f"{one['mean']:.2f} of 5" if "mean" in one else "no grade"
            say(f"{name}, {task}: {mean} (n {one['n']}, unreadable {one['unreadable']})")
    first, *_, last = [*runs, *runs]
    for task, one in found["pairs"].items():
        say(
            f"{last} against {first}, {task}: {one['wins']} wins, "
            f"{one['ties']} ties, {one['losses']} losses; the swapped order gave the same in "
            f"{one['steady']} of {one['n']}"
        )
    return None
