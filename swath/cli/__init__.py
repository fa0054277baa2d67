"""The command line: one function a verb; the only place that prints, parses arguments and exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath import __version__
from swath.cli.ask import ask
from swath.cli.console import (
    Json,
    bars,
    command,
    emit,
    findings_of,
    plan_of,
    say,
    scores_of,
    table,
    tuned,
)
from swath.cli.convert import convert
from swath.cli.data import data
from swath.cli.judge import judge
from swath.cli.review import review
from swath.cli.score import evaluate, evaluate_sides, report, score, suites
from swath.errors import AnnotationError, RequestError, SwathError

if TYPE_CHECKING:
    from swath.building import Building
    from swath.experiment import Experiment

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Turn imagery and its annotations into a vision-language model you own.",
)

RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Recipe keys, as in tuning.stages.0.epochs=3.")
]
Home = Annotated[Path, typer.Option(help="Folder that holds the experiments.")]
Fresh = Annotated[bool, typer.Option(help="Forget an earlier run of this name.")]
Tiny = Annotated[
    bool,
    typer.Option("--tiny", help="The same architecture, small and random, on drawn scenes."),
]
RUNS = Path("runs")


def _version(asked: bool) -> None:
    if asked:
        say(f"swath {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which swath.")
    ] = False,
) -> None:
    """Turn imagery and its annotations into a vision-language model you own."""


@app.command()
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

    if folder is not None and "=" in str(folder) and not folder.exists():
        overrides, folder = [str(folder), *(overrides or [])], None
    if folder is None:
        chosen = load_recipe(recipe or "quickstart", overrides or [], tiny)
    else:
        from json import dumps

        from swath.annotations.readers import recognise

        reader = recognise(folder)
        say(f"{folder}: recognised as {reader.name} ({reader.says}).")
        # Quoted, because an override is YAML and a folder may be called 2024.
        name, source = (dumps(str(one)) for one in (folder.absolute().name, folder.absolute()))
        own = [f"name={name}", f"annotations.source={source}"]
        own = own[1:] if recipe else own
        chosen = load_recipe(recipe or "quickstart-own", [*own, *(overrides or [])], tiny)
    experiment = Experiment(chosen, home / chosen.name)
    file = home / f"{chosen.name}.yaml"
    text = dump(chosen)
    if file.is_file() and file.read_text(encoding="utf-8") != text and not fresh:
        raise RequestError(
            f"{file} is there and says otherwise; go on with `swath tune {file}`, "
            f"or write it anew with --fresh."
        )
    if fresh:
        experiment.forget()
    say(text.strip(), "")
    _build(experiment)
    experiment.questions(experiment.set())  # an empty test split is known before tuning
    write_text(file, text)
    say(f"This recipe is in {file}; edit it and run `swath tune {file}` to go on from here.", "")
    _tune(experiment, fresh=False)
    evaluate_sides(experiment)
    path = experiment.report(command())
    table(experiment)
    _few_answers(experiment)
    say("", f"Report: {path}", f"Model:  {experiment.folder}")
    say(f'Ask it: swath ask {experiment.folder} PICTURE "{_first_question(experiment)}"')


@app.command()
def recipes(json: Json = False) -> None:
    """List the recipes that come with swath."""
    from swath.recipes import load_recipe, shipped_recipes

    rows = {name: load_recipe(name).about.strip() for name in shipped_recipes()}
    if json:
        return emit({"recipes": rows})
    for name, about in rows.items():
        say(f"{name:18} {about}")
    return None


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="A recipe, a run, or `keys` for all recipe keys.")],
    overrides: Overrides = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw training rows as the model reads them to this PNG.")
    ] = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    json: Json = False,
) -> None:
    """Show a recipe as resolved, what a run learnt, or rows as the model reads them."""
    from swath.experiment import Experiment
    from swath.recipes import describe, dump, load_recipe

    if what == "keys":
        say("# Recipe keys", "", "Written by `swath show keys`.", "")
        say("| key | default | meaning |", "|---|---|---|")
        return say(*(f"| `{key}` | `{default}` | {text} |" for key, default, text in describe()))
    if (Path(what) / "run.json").is_file():
        experiment = Experiment.of_run(what)
        if sheet is None:
            scores = scores_of(experiment)
            return emit(scores) if json else table(experiment)
    else:
        recipe = load_recipe(what, overrides or [], tiny)
        if sheet is None:
            return emit(recipe.model_dump(mode="json")) if json else say(dump(recipe).strip())
        experiment = Experiment(recipe, home / recipe.name)
    from swath.models.contact_sheet import contact_sheet

    with bars() as progress:
        built = experiment.set(progress("build"))
    contact_sheet(built.split("train"), experiment.recipe, sheet)
    return say(f"{sheet}: training rows with their boxes as read back from the model's own text.")


@app.command()
def check(
    recipe: RecipeName,
    overrides: Overrides = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    json: Json = False,
) -> None:
    """Check recipe and data for bad rows and leaks, then plan: time, memory, disk."""
    from dataclasses import asdict

    experiment = _experiment(recipe, overrides, home, tiny)
    with bars() as progress:
        found = experiment.check(progress("check"))
    if not json:
        findings_of(found)
    refused = planned = None
    try:
        with bars() as progress:
            planned = experiment.plan(progress("build"))
    except AnnotationError as error:  # told after what was found
        refused = error
    if json:
        rows = [asdict(one) for one in found.findings]
        plan = asdict(planned) if planned else None
        emit({"images": found.images, "findings": rows, "plan": plan})
    elif planned:
        plan_of(planned)
    if refused:
        typer.echo(f"swath: {refused}", err=True)
        raise typer.Exit(1)


@app.command()
def build(
    recipe: RecipeName, overrides: Overrides = None, home: Home = RUNS, tiny: Tiny = False
) -> None:
    """Turn images and annotations into conversations."""
    from swath.building import Building
    from swath.recipes import load_recipe

    resolved = load_recipe(recipe, overrides or [], tiny)
    _build(Building(resolved, home / resolved.name))


@app.command()
def tune(
    recipe: RecipeName,
    overrides: Overrides = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    fresh: Fresh = False,
) -> None:
    """Tune the recipe's model; an interrupted run continues."""
    _tune(_experiment(recipe, overrides, home, tiny), fresh)


for _verb in (evaluate, report, score, suites, ask):
    app.command()(_verb)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
) -> None:
    """Write a run as one merged Hugging Face folder, proven in a fresh process."""
    from swath.experiment import Experiment
    from swath.export.huggingface import export as write

    experiment = Experiment.of_run(run)
    experiment.tuned_set()
    section = experiment.recipe.export
    proven = write(run, to, dtype or section.dtype, section.prove_on)
    say(f"{to}: written; a fresh process gave the same {proven} answers.")


app.command()(review)
app.command()(convert)
app.add_typer(data, name="data")
app.command()(judge)


@app.command()
def doctor() -> None:
    """Say what this machine offers."""
    from importlib.metadata import version

    import torch

    from swath.models.loading import EMBEDDED
    from swath.tuning.trainer import computes_bf16

    say(f"swath {__version__}, Python {sys.version.split()[0]}")
    say(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft")))
    say(f"CPU threads: {torch.get_num_threads()}; bf16: {'yes' if computes_bf16() else 'no'}")
    say(f"CUDA: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}")
    say(f"swath-nano: {'there' if (EMBEDDED / 'config.json').is_file() else 'missing'}")


def main() -> None:
    """Run the command line; an error of swath's own becomes one line and an exit code."""
    try:
        app()
    except SwathError as error:
        typer.echo(f"swath: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == 130:  # what typer makes of an interrupt
            typer.echo("\nswath: interrupted; the same command continues.", err=True)
        raise


def _experiment(recipe: str, overrides: list[str] | None, home: Path, tiny: bool) -> Experiment:
    from swath.recipes import load_recipe

    resolved = load_recipe(
        recipe, overrides or [], tiny
    )  # a typo is answered before torch is loaded
    from swath.experiment import Experiment

    return Experiment(resolved, home / resolved.name)


def _build(experiment: Building) -> None:
    with bars() as progress:
        built = experiment.build(progress("build"))
    counts = built.card["conversations"]
    for split, tasks in counts.items():
        asked = ", ".join(f"{n} {task}" for task, n in tasks.items())
        say(f"{split}: {built.card['images'][split]} images, {asked}")


def _tune(experiment: Experiment, fresh: bool) -> None:
    with bars() as progress:
        steps: dict[str, Callable[..., None]] = {}

        def announce(stage: Any, total: int, parts: list[Any]) -> None:
            typer.echo(f"stage {stage.name}: {total} steps", err=True)
            for part in parts:
                typer.echo(f"  {part.part:<12}{part.trained:>16,} of {part.total:>16,}", err=True)
            steps[stage.name] = progress(f"tune {stage.name}")

        def step(row: dict[str, Any]) -> None:
            steps[row["stage"]](row["step"], row["steps"], f"loss {row['loss']:.3f}")
            if "warning" in row:
                typer.echo(f"warning: {row['warning']}", err=True)

        experiment.tune(step, announce, progress("build"), fresh)
    for line in tuned(experiment):
        say(line)


def _few_answers(experiment: Experiment) -> None:
    from swath.evaluation.scored_tasks import SCORED

    answered: dict[str, Any] = {}
    for one in experiment.runs()[-1].predictions:
        answered.setdefault(one.task, one)
    truths = {task: row.truth for task, row in SCORED.items() if row.boxes != "alone"}
    for one in answered.values():
        truth = one.truth.get(truths.get(one.task, ""))
        say("", f"{one.image}", f"  {one.question}", f"  tuned: {one.answer}")
        if truth is not None:
            say(f"  truth: {truth[0] if isinstance(truth, list) else truth}")


def _first_question(experiment: Experiment) -> str:
    return str(experiment.runs()[-1].predictions[0].question)
