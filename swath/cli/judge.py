"""`swath judge`: a language model's opinion of a run's free answers, apart from its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import Json, bars, emit, run_at, say

_ANSWERS = "predictions.jsonl"


def judge(
    run: Annotated[
        Path, typer.Argument(help="Folder of an evaluated run, or of a suite's result.")
    ],
    by: Annotated[str, typer.Option(help="The judge, as in http://host:8000/v1#model.")],
    key: Annotated[
        str, typer.Option(help="Environment variable that holds the judge's key.")
    ] = "OPENAI_API_KEY",
    json: Json = False,
) -> None:
    """Let a language model grade captions and answers, and compare base and tuned."""
    from swath.evaluation.judge import judge as ask
    from swath.evaluation.predictions import read_predictions
    from swath.recipe import Evaluation

    if (run / _ANSWERS).is_file():  # a suite's: its other systems lie in folders within
        places = [*(file.parent for file in sorted(run.glob(f"*/{_ANSWERS}"))), run]
        answers = {place.name: list(read_predictions(place / _ANSWERS)) for place in places}
        section = Evaluation()
        folder = run
    else:
        experiment = run_at(run)
        answers = {system.name: list(system.predictions) for system in experiment.runs()}
        section = experiment.recipe.evaluation
        folder = experiment.folder / "evaluation"
    # A run may be someone else's, and the variable that its recipe names another secret of yours.
    remote = section.remote.model_copy(update={"key": key})
    with bars() as progress:
        opinion = ask(by, answers, remote, folder, progress("judge"), section.resamples)
    if json:
        emit(opinion)
        return
    say(f"judge: {opinion['judge']}; an opinion, not a score")
    for name, tasks in opinion["grades"].items():
        for task, grade in tasks.items():
            mean = f"{grade['mean']:.2f} of 5" if "mean" in grade else "no grade"
            say(f"{name}, {task}: {mean} (n {grade['n']}, unreadable {grade['unreadable']})")
    names = list(answers)
    for task, pair in opinion["pairs"].items():
        say(
            f"{names[-1]} against {names[0]}, {task}: {pair['wins']} wins, {pair['ties']} ties, "
            f"{pair['losses']} losses; the swapped order gave the same in {pair['steady']} of "
            f"{pair['n']}"
        )
