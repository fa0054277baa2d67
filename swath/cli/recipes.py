"""`swath recipes`, `show` and `doctor`: what there is, and what this machine offers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath import __version__
from swath.cli.console import (
    RUNS,
    Home,
    Json,
    Overrides,
    Tiny,
    bars,
    claimed,
    emit,
    run_at,
    say,
    score_table,
    scores_of,
)

if TYPE_CHECKING:
    from swath.instructions.builder import InstructionSet


def recipes(json: Json = False) -> None:
    """List the recipes that come with swath."""
    from swath.recipes import load_recipe, shipped_recipes

    rows = {name: load_recipe(name).about.strip() for name in shipped_recipes()}
    if json:
        emit({"recipes": rows})
        return
    for name, about in rows.items():
        say(f"{name:18} {about}")


def show(
    what: Annotated[str, typer.Argument(help="A recipe, a run, or `keys` for all recipe keys.")],
    overrides: Overrides = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw training rows as the model reads them to this PNG.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write rows of all tasks to this page, to look through.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Most rows on that page.")] = 60,
    dialect: Annotated[str, typer.Option(help="Notation of the boxes on it.")] = "geochat",
    home: Home = RUNS,
    tiny: Tiny = False,
    json: Json = False,
) -> None:
    """Show a recipe as resolved, what a run learnt, or rows as the model reads them."""
    from swath.recipes import dump, load_recipe

    if what == "keys":
        _print_keys()
        return
    if html is not None:
        _write_page(_set_of(what, overrides or [], home, tiny), html, rows, dialect)
        return
    if (Path(what) / "run.json").is_file():
        experiment = run_at(what)
        if sheet is None:
            emit(scores_of(experiment)) if json else score_table(experiment)
            return
        _refuse_picture(sheet)
    else:
        recipe = load_recipe(what, overrides or [], tiny)
        if sheet is None:
            emit(recipe.model_dump(mode="json")) if json else say(dump(recipe).strip())
            return
        _refuse_picture(sheet)
        from swath.experiment import Experiment

        experiment = Experiment(recipe, claimed(home / recipe.name))
    from swath.models.contact_sheet import contact_sheet

    with bars() as progress:
        built = experiment.set(progress("build"))
    contact_sheet(built.split("train"), experiment.recipe, sheet)
    say(f"{sheet}: training rows with their boxes as read back from the model's own text.")


def _set_of(what: str, overrides: list[str], home: Path, tiny: bool) -> InstructionSet:
    """The set that a folder holds, or that a recipe makes."""
    from swath.building import Building
    from swath.instructions.builder import read_set
    from swath.recipes import load_recipe

    for folder in (Path(what), Path(what) / "set"):
        if (folder / "card.json").is_file():
            return read_set(folder)
    recipe = load_recipe(what, overrides, tiny)
    with bars() as progress:
        return Building(recipe, claimed(home / recipe.name)).set(progress("build"))


def _write_page(built: InstructionSet, page: Path, rows: int, dialect: str) -> None:
    from swath.export.preview import write_preview

    count = write_preview(built, page, dialect, rows)
    say(f"{page}: {count} of {len(built.conversations)} rows, boxes as {dialect} writes them.")


def _refuse_picture(sheet: Path) -> None:
    """Leave alone a picture that is no contact sheet."""
    from swath.files import refuse_foreign_file
    from swath.models.contact_sheet import SIGN

    refuse_foreign_file(sheet, SIGN.encode())


def _print_keys() -> None:
    from swath.recipes import describe

    say("# Recipe keys", "", "Written by `swath show keys`.", "")
    say("| key | default | meaning |", "|---|---|---|")
    for key, default, text in describe():
        say(f"| `{key}` | `{default}` | {text} |")


def doctor() -> None:
    """Say what this machine offers."""
    from importlib.metadata import version

    import torch

    from swath.models.loaded import EMBEDDED
    from swath.tuning.trainer import computes_bf16

    say(f"swath {__version__}, Python {sys.version.split()[0]}")
    say(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft")))
    say(f"CPU threads: {torch.get_num_threads()}; bf16: {'yes' if computes_bf16() else 'no'}")
    say(f"CUDA: {torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}")
    say(f"swath-nano: {'there' if (EMBEDDED / 'config.json').is_file() else 'missing'}")
