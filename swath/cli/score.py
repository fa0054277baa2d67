"""`swath evaluate`, `score`, `suites` and `report`: how good a model is, and beside whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import bars, command, emit, say, scores_of, table
from swath.errors import EvaluationError, RequestError

if TYPE_CHECKING:
    from swath.evaluation.suites.running import Result
    from swath.experiment import Experiment

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on standard output.")]
Chosen = Annotated[
    list[str] | None,
    typer.Option("--suite", help="Suites, groups or a YAML row: aid,rsicd or aid=FOLDER."),
]
Data = Annotated[Path | None, typer.Option(help="Holds a folder a suite; SWATH_SUITES by default.")]
Every = Annotated[bool, typer.Option(help="Published numbers of any protocol.")]


def evaluate(
    run: Annotated[
        str, typer.Argument(help="A run's folder; with --suite also a model's or an address.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="evaluation keys, as in evaluation.views=8.")
    ] = None,
    suite: Chosen = None,
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
    if suite:
        return _suites(run, overrides or [], suite, data, prompt, limit, out, all_published, json)
    from swath.experiment import Experiment

    experiment = Experiment.of_run(run, overrides or [])
    evaluate_sides(experiment, shard)
    if shard:
        return None
    return emit(scores_of(experiment)) if json else table(experiment)


def evaluate_sides(experiment: Experiment, shard: str | None = None) -> None:
    """Ask every side of an experiment, with a bar each."""
    with bars() as progress:
        for side in experiment.sides:
            experiment.evaluate(side, progress(f"evaluate {side}"), shard)


def _suites(
    model: str,
    overrides: list[str],
    names: list[str],
    data: Path | None,
    prompt: str,
    limit: int | None,
    out: Path | None,
    every: bool,
    json: bool,
) -> None:
    from swath.evaluation.sides import engine, side
    from swath.evaluation.suites.running import answer, ask, write_result
    from swath.evaluation.suites.table import chosen, data_of
    from swath.experiment import Experiment
    from swath.models.loading import RUN_FILE

    wanted = [(one, data_of(one, given, data)) for one, given in chosen(names)]
    is_run = (Path(model) / RUN_FILE).is_file()
    if not is_run and out is None:
        raise RequestError(f"{model}: no run, so say where the results shall go, with --out.")
    if is_run:
        recipe = Experiment.of_run(model, overrides).recipe
    else:
        from swath.recipes import overridden

        recipe = overridden({"name": "suites"}, overrides, "evaluate")
    folder = out or Path(model) / "evaluation" / "suites"
    phrasing, results = recipe.instructions.phrasing, []
    with bars() as progress:
        for one, place in wanted:
            asked = ask(one, place, prompt, phrasing, limit, frames=recipe.imagery.frames)
            replies = folder / one.name / "replies.jsonl"
            if is_run:
                answering = engine(side("tuned"), recipe, Path(model), replies)
            else:
                answering = _engine(model, recipe, replies)
            answers = answer(answering, asked, recipe, progress(one.name))
            notes = {"model": model, "data": str(place), "limit": limit}
            section = recipe.evaluation
            results.append(
                write_result(
                    folder / one.name, asked, answers, notes, section.resamples, recipe.seed
                )
            )
    _show(results, every, json)


def _engine(model: str, recipe: Any, replies: Path) -> Any:
    from swath.endpoint import is_address
    from swath.files import Journal
    from swath.models.engine import LocalEngine
    from swath.models.loading import load
    from swath.models.remote import RemoteEngine
    from swath.models.replies import KIND, RememberingEngine

    replies.parent.mkdir(parents=True, exist_ok=True)
    if is_address(model):
        return RemoteEngine(model, recipe.evaluation.remote, replies)
    section = recipe.evaluation
    local = LocalEngine(load(model), section.batch_size, section.views, recipe.tuning.threads)
    return RememberingEngine(local, Journal(replies, KIND))


def score(
    answers: Annotated[Path, typer.Argument(help="A file of answers made elsewhere.")],
    suite: Annotated[str, typer.Option(help="The suite they answer.")],
    data: Data = None,
    dialect: Annotated[str, typer.Option(help="Notation of boxes in the answers.")] = "geochat",
    out: Annotated[Path | None, typer.Option(help="Folder of the result.")] = None,
    all_published: Every = False,
    json: Json = False,
) -> None:
    """Score answers made elsewhere: GeoChat's, EarthDial's, batch output, VLMEvalKit's, swath's."""
    from swath.evaluation.answers import from_file, match, read_answers
    from swath.evaluation.score import score as scored
    from swath.evaluation.suites.running import Result, ask, write_result
    from swath.evaluation.suites.table import chosen, data_of

    picked = chosen([suite])
    if len(picked) > 1:
        raise RequestError(f"--suite {suite}: a file answers one suite; name that one.")
    row, place = picked[0]
    kind, given = read_answers(answers)
    try:
        folder = data_of(row, place, data)
    except RequestError:
        if place or data or any(one.truth is None for one in given):
            raise
        (asked, given), notes = from_file(row, given), {"truth": "as the answer file states it"}
    else:
        asked, notes = ask(row, folder, look=False), {"truth": str(folder)}
    matched = match(asked, given, dialect)
    notes |= {"answers": str(answers), "kind": kind, **matched.notes()}
    if out:
        result = write_result(out, asked, matched.predictions, notes)
    else:
        values = scored(matched.predictions, asked.labels)
        result = Result(row, matched.predictions, values, asked.labels, notes)
    _show([result], all_published, json)


def suites(json: Json = False) -> None:
    """List the benchmarks that swath runs."""
    from swath.evaluation.suites.table import groups, shipped

    if json:
        rows = {name: one.model_dump(mode="json") for name, one in shipped().items()}
        return emit({"suites": rows, "groups": groups()})
    for one in shipped().values():
        count = f"{one.n:,}" if one.n else ""
        say(f"{one.name:20} {one.task:9} {count:>7}  {one.status:13} {one.title}")
    for name, some in groups().items():
        say("", f"{name}: {', '.join(some)}")
    return None


def report(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs or results, to compare.")],
    to: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
    json: Json = False,
) -> None:
    """Write report.html of a run: scores, failures, pictures, losses; or of runs side by side."""
    from swath.experiment import Experiment

    if len(runs) > 1:
        return _compare(runs, to, json)
    experiment = Experiment.of_run(runs[0])
    if not json:
        return say(str(experiment.report(command(), to)))
    from swath.evaluation.suites.running import read_results

    found = read_results(experiment.folder / "evaluation" / "suites")
    suites = {one.suite.name: _row(one, False) for one in found}
    return emit({"scores": scores_of(experiment), "suites": suites})


def _compare(folders: list[Path], to: Path | None, json: bool) -> None:
    """The last of some results against the first, paired by question."""
    from swath.evaluation.predictions import read_predictions
    from swath.evaluation.report import ReportRun, write_report
    from swath.evaluation.score import compare, read_scores
    from swath.files import read_json

    results, labels = [], list[str]()
    for folder in folders:
        places = (folder / "evaluation" / "tuned", folder)
        place = next((one for one in places if (one / "scores.json").is_file()), None)
        if place is None:
            raise EvaluationError(f"{folder}: not evaluated yet; run `swath evaluate {folder}`.")
        predictions = list(read_predictions(place / "predictions.jsonl"))
        results.append(ReportRun(str(folder), predictions, read_scores(place / "scores.json")))
        labels = read_json(place / "scores.json")["tasks"].get("classify", {}).get("labels", labels)
    first, last = results[0], results[-1]
    gaps = compare(first.predictions, last.predictions, labels)
    if to is not None:
        write_report(to, f"{last.name} against {first.name}", results, labels, command=command())
    if json:
        return emit(
            {"from": first.name, "to": last.name}
            | {
                task: {name: gap.to_row() for name, gap in some.items()}
                for task, some in gaps.items()
            }
        )
    from rich.console import Console
    from rich.table import Table

    shown = Table("task", "metric", *(one.name for one in results), "difference", "p")
    for task, metrics in gaps.items():
        for name, gap in metrics.items():
            cells = [f"{one.scores[task][name].value:.3f}" for one in results]
            difference = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
            exact = f", McNemar {gap.p_mcnemar:.3g}" if gap.p_mcnemar is not None else ""
            shown.add_row(task, name, *cells, difference, f"{gap.p:.3g}{exact}")
    Console().print(shown)
    return say(str(to)) if to else None


def _row(result: Result, every: bool) -> dict[str, Any]:
    from swath.evaluation.suites.published import published

    suite = result.suite
    return {
        "task": suite.task,
        "protocol": suite.protocol,
        "modes": result.modes,
        "scores": {name: one.to_row() for name, one in result.scores[suite.task].items()},
        "notes": result.notes,
        "published": [row.to_row() for row in published(suite, every)],
    }


def _show(results: list[Result], every: bool, json: bool) -> None:
    if json:
        return emit({one.suite.name: _row(one, every) for one in results})
    from rich.console import Console
    from rich.table import Table

    from swath.evaluation.metrics import METRICS
    from swath.evaluation.questions import per_kind

    for one in results:
        row, task = _row(one, every), one.suite.task
        values = {name: METRICS[name].scale * score.value for name, score in
                  one.scores[task].items()}  # fmt: skip
        kinds = per_kind(one.predictions) if task == "question" else {}
        values |= {kind: 100 * share for kind, (share, _) in kinds.items() if len(kinds) > 1}
        keys = [*values, *dict.fromkeys(key for other in row["published"] for key in
                                       other["values"] if key not in values)]  # fmt: skip
        shown = Table("system", *keys, "source", title=f"{one.suite.title} ({task})")
        last = next(iter(one.scores[task].values()))
        own = f"{len(one.predictions):,} questions, {last.unreadable:,} unreadable"
        shown.add_row("this", *(f"{values[key]:.2f}" if key in values else "" for key in keys), own)
        for other in row["published"]:
            cells = (f"{other['values'][key]:g}" if key in other["values"] else "" for key in keys)
            about = (other["source"], other.get("note", ""), other["protocol"] if every else "")
            shown.add_row(other["system"], *cells, "; ".join(filter(None, about)))
        Console().print(shown)
        for mode, some in row["modes"].items():
            say(f"by {mode}: " + ", ".join(f"{name} {value:.4g}" for name, value in some.items()))
        for name, note in one.notes.items():
            if isinstance(note, dict) and note.get("count"):
                say(f"{name}: {note['count']} answers, first {', '.join(note['first'][:3])}")
        if by := one.notes.get("matched_by"):
            say(f"{one.notes['kind']}, matched by {by}; truth: {one.notes['truth']}")
    return None
