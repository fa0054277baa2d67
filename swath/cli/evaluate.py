"""`swath evaluate`: base and tuned model, or others, asked the test questions or benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import (
    Json,
    bars,
    claimed_for_results,
    emit,
    run_at,
    score_table,
    scores_of,
    warn,
)
from swath.cli.score import Data, Every, show_results
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.experiment import Experiment


def evaluate(
    run: Annotated[
        str, typer.Argument(help="A run's folder; with --suite also a model's or an address.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="evaluation keys, as in evaluation.views=8.")
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", help="Suites, groups or a YAML row: aid,rsicd or aid=FOLDER."),
    ] = None,
    data: Data = None,
    prompt: Annotated[
        str, typer.Option(help="Another prompt of the suite, or `own`: the model's own.")
    ] = "",
    limit: Annotated[int | None, typer.Option(help="Ask so many of a suite, evenly.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the suites' results.")] = None,
    all_published: Every = False,
    shard: Annotated[
        str | None, typer.Option(help="Only a part, as 1/3; evaluate without it when all are done.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask base and tuned model, or others, the test questions or benchmarks; score the answers."""
    if not suite:
        experiment = run_at(run, overrides or [])
        evaluate_systems(experiment, shard)
        if not shard:
            emit(scores_of(experiment)) if json else score_table(experiment)
        return
    from swath.evaluation.suites import systems_asked
    from swath.evaluation.suites.table import chosen, data_of

    suites = [(row, data_of(row, folder, data)) for row, folder in chosen(suite)]
    recipe, examples = _asked_with(run, overrides or [], out)
    own = Path(run) / "evaluation" / "suites"
    folder = claimed_for_results(out, "*/suite.json") if out else own
    with bars() as progress:
        results = systems_asked.evaluate(
            run, recipe, suites, folder, progress, prompt, limit, shard, examples
        )
    if not shard:
        show_results(results, all_published, json)


def evaluate_systems(experiment: Experiment, shard: str | None = None) -> None:
    """Ask every system of an experiment, with a bar each."""
    with bars() as progress:
        for system in experiment.systems:
            experiment.evaluate(system, progress(f"evaluate {system}"), shard)
    warn(experiment.notes)


def _asked_with(model: str, overrides: list[str], out: Path | None) -> tuple[Any, Any]:
    """The recipe a model is asked by, and training rows where it is shown examples."""
    from swath.evaluation.suites.systems_asked import is_run
    from swath.recipes import overridden

    if not is_run(model):
        if out is None:
            raise RequestError(f"{model}: no run, so say where the results shall go, with --out.")
        return overridden({"name": "suites"}, overrides, "evaluate"), ()
    experiment = run_at(model, overrides)
    for system in experiment.systems:
        experiment.refuse_unnamed(system)
    if any(name.startswith("few-shot") for name in experiment.systems):
        return experiment.recipe, experiment.tuned_set().split("train")
    return experiment.recipe, ()
