"""`swath quickstart`: the whole way in one command, from drawn scenes or from your own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.build import print_set
from swath.cli.console import RUNS, Fresh, Home, Overrides, Tiny, claimed, command, say, score_table
from swath.cli.evaluate import evaluate_systems
from swath.cli.tune import tune_experiment
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.evaluation.predictions import Prediction
    from swath.experiment import Experiment
    from swath.recipe import Recipe


def quickstart(
    folder: Annotated[
        Path | None, typer.Argument(help="Your class folders, caption JSON or COCO file.")
    ] = None,
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="Walk through this recipe instead.")] = None,
    tiny: Tiny = False,
    home: Home = RUNS,
    fresh: Fresh = False,
) -> None:
    """Build, tune, evaluate and ask, from drawn scenes or from your own folder."""
    from swath.experiment import Experiment
    from swath.files import write_text
    from swath.recipes import dump, load_recipe

    changes = list(overrides or [])
    if folder is not None and "=" in str(folder) and not folder.exists():
        changes.insert(0, str(folder))
        folder = None
    resolved: Recipe
    if folder is None:
        resolved = load_recipe(recipe or "quickstart", changes, tiny)
    else:
        keys = _keys_of(folder, with_name=recipe is None)
        resolved = load_recipe(recipe or "quickstart-own", [*keys, *changes], tiny)
    file = home / f"{resolved.name}.yaml"
    text = dump(resolved)
    if file.is_file() and file.read_text(encoding="utf-8") != text and not fresh:
        raise RequestError(
            f"{file} is there and says otherwise; go on with `swath tune {file}`, "
            f"or write it anew with --fresh."
        )
    experiment = Experiment(resolved, claimed(home / resolved.name))
    if fresh:
        experiment.forget()
    say(text.strip(), "")
    print_set(experiment)
    experiment.questions(experiment.set())  # an empty test split is known before tuning
    write_text(file, text)
    say(f"This recipe is in {file}; edit it and run `swath tune {file}` to go on from here.", "")
    tune_experiment(experiment, fresh=False)
    evaluate_systems(experiment)
    path = experiment.report(command())
    score_table(experiment)
    _print_answers(experiment)
    question = experiment.runs()[-1].predictions[0].question
    say("", f"Report: {path}", f"Model:  {experiment.folder}")
    say(f'Ask it: swath ask {experiment.folder} PICTURE "{question}"')


def _keys_of(folder: Path, with_name: bool) -> list[str]:
    """Recipe keys that name a folder of one's own."""
    from swath.annotations.readers import recognise

    reader = recognise(folder)
    say(f"{folder}: recognised as {reader.name} ({reader.says}).")
    # Quoted, because an override is YAML and a folder may be called 2024.
    source = json.dumps(str(folder.absolute()))
    name = json.dumps(folder.absolute().name)
    keys = [f"annotations.source={source}"]
    return [f"name={name}", *keys] if with_name else keys


def _print_answers(experiment: Experiment) -> None:
    """One answer of each task, beside its truth where that is words."""
    from swath.evaluation.scored_tasks import SCORED

    first_of_task: dict[str, Prediction] = {}
    for prediction in experiment.runs()[-1].predictions:
        first_of_task.setdefault(prediction.task, prediction)
    for task, prediction in first_of_task.items():
        say("", prediction.image, f"  {prediction.question}", f"  tuned: {prediction.answer}")
        row = SCORED.get(task)
        if row.boxes != "alone":
            say(f"  truth: {row.texts(prediction.truth)[0]}")
