"""`swath evaluate`, `score`, `suites` and `report`: how good a model is, and beside whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import Json, bars, command, emit, say, scores_of, show, table
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.evaluation.metrics.base import Score
    from swath.evaluation.metrics.statistics import Difference
    from swath.evaluation.predictions import Prediction
    from swath.evaluation.suites.running import Asked, Result
    from swath.experiment import Experiment

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
        return _suites(
            run, overrides or [], suite, data, prompt, limit, out, all_published, shard, json
        )
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
    shard: str | None,
    json: bool,
) -> None:
    from swath.evaluation.suites import systems_asked as asking
    from swath.evaluation.suites.table import chosen, data_of
    from swath.experiment import Experiment

    wanted = [(one, data_of(one, given, data)) for one, given in chosen(names)]
    train: Any = ()
    if asking.is_run(model):
        experiment = Experiment.of_run(model, overrides)
        recipe = experiment.recipe
        if any(name.startswith("few-shot") for name in experiment.sides):
            train = experiment.tuned_set().split("train")
    elif out is None:
        raise RequestError(f"{model}: no run, so say where the results shall go, with --out.")
    else:
        from swath.recipes import overridden

        recipe = overridden({"name": "suites"}, overrides, "evaluate")
    folder = out or Path(model) / "evaluation" / "suites"
    with bars() as progress:
        results = asking.evaluate(
            model, recipe, wanted, folder, progress, prompt, limit, shard, train
        )
    if not shard:
        _show(results, every, json)


def score(
    answers: Annotated[
        Path, typer.Argument(help="A file of answers made elsewhere, or of detections.")
    ],
    suite: Annotated[str, typer.Option(help="The suite they answer.")],
    data: Data = None,
    dialect: Annotated[
        str | None, typer.Option(help="Notation of boxes; recognised where it can be only one.")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="A CLIP checkpoint's folder, for CLIPScore of captions.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the result.")] = None,
    all_published: Every = False,
    json: Json = False,
) -> None:
    """Score answers made elsewhere: GeoChat's, EarthDial's, batch output, VLMEvalKit's, swath's."""
    from swath.evaluation.external.answer_files import read_answers
    from swath.evaluation.external.detections import read_detections, score_detections
    from swath.evaluation.external.matching_questions import from_file, match
    from swath.evaluation.suites.running import ask
    from swath.evaluation.suites.table import chosen, data_of

    picked = chosen([suite])
    if len(picked) > 1:
        raise RequestError(f"--suite {suite}: a file answers one suite; name that one.")
    row, place = picked[0]
    if found := read_detections(answers):
        kind, rows = found
        folder = data_of(row, place, data)
        detected = score_detections(row, folder, kind, rows)
        asked, predictions, more = detected.asked, detected.predictions, detected.scores
        notes = {"answers": str(answers), "kind": kind, "truth": str(folder), **detected.notes}
        if dialect or clip:
            raise RequestError(f"{answers}: {kind} need no --dialect or --clip; leave them out.")
        _finished(asked, predictions, notes, more, out, all_published, json)
        return
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
    predictions = matched.predictions
    if clip:
        from swath.evaluation.metrics.clipscore import with_clip

        predictions, notes = with_clip(predictions, clip), notes | {"clip": str(clip)}
    _finished(asked, predictions, notes, {}, out, all_published, json)


def _finished(
    asked: Asked,
    predictions: list[Prediction],
    notes: dict[str, Any],
    more: dict[str, Score],
    out: Path | None,
    every: bool,
    json: bool,
) -> None:
    """Show a result, and write it where it shall go."""
    from swath.evaluation.scoring import score as scored
    from swath.evaluation.suites.running import Result, write_result

    if out:
        result = write_result(out, asked, predictions, notes, more=more)
    else:
        values = scored(predictions, asked.labels)
        values[asked.suite.task] |= more
        result = Result(asked.suite, predictions, values, asked.labels, notes)
    _show([result], every, json)


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
        from swath.cli.compare import compare

        return compare(runs, to, json)
    written = Experiment.of_run(runs[0]).report(command(), to)
    if not json:
        return say(str(written))
    from swath.files import read_json

    return emit(read_json(written.with_suffix(".json")))


def _show(results: list[Result], every: bool, json: bool) -> None:
    from swath.evaluation.report.suite_page import row as row_of

    if json:
        return emit({one.suite.name: row_of(one, every) for one in results})
    from rich.table import Table

    from swath.evaluation.metrics.base import METRICS
    from swath.evaluation.metrics.short_answers import per_kind

    for one in results:
        row, task = row_of(one, every), one.suite.task
        values = {name: METRICS[name].scale * score.value for name, score in
                  one.scores[task].items()}  # fmt: skip
        kinds = per_kind(one.predictions) if task == "question" else {}
        values |= {kind: 100 * share for kind, (share, _) in kinds.items() if len(kinds) > 1}
        keys = sorted(values, key=lambda name: name != one.suite.metric)
        keys = [*keys, *dict.fromkeys(key for other in row["published"] for key in
                                       other["values"] if key not in values)]  # fmt: skip
        shown = Table("system", *keys, "source", title=f"{one.suite.title} ({task})")
        last = next(iter(one.scores[task].values()))
        own = f"{len(one.predictions):,} questions, {last.unreadable:,} unreadable"
        systems = {f"{name} (of these answers)": some for name, some in one.floors.items()}
        for name, some in (systems | one.others).items():
            shown.add_row(name, *(_value(key, some) for key in keys), "")
        shown.add_row(
            one.name, *(f"{values[key]:.2f}" if key in values else "" for key in keys), own
        )
        for name, gap in one.gaps.items():
            cells = (_gap(key, gap) for key in keys)
            shown.add_row(f"{one.name} - {name}", *cells, "paired difference")
        for other in row["published"]:
            cells = (f"{other['values'][key]:g}" if key in other["values"] else "" for key in keys)
            about = (other["source"], other.get("note", ""), other["protocol"] if every else "")
            shown.add_row(other["system"], *cells, "; ".join(filter(None, about)))
        show(shown)
        for mode, some in row["modes"].items():
            say(f"by {mode}: " + ", ".join(f"{name} {value:.4g}" for name, value in some.items()))
        for name, note in one.notes.items():
            if isinstance(note, dict) and note.get("count"):
                much = f"{note['count']} {note.get('of', 'answers')}"
                say(f"{name}: {much}, first {', '.join(note['first'][:3])}")
        for name, why in one.notes.get("not asked", {}).items():
            say(f"{name}: not asked, {why}")
        if by := one.notes.get("matched_by"):
            read = f"boxes as {form}; " if (form := one.notes.get("dialect")) else ""
            say(f"{one.notes['kind']}, matched by {by}; {read}truth: {one.notes['truth']}")
    return None


def _value(key: str, scores: dict[str, Score]) -> str:
    from swath.evaluation.metrics.base import METRICS

    return f"{METRICS[key].scale * scores[key].value:.2f}" if key in scores else ""


def _gap(key: str, gaps: dict[str, Difference]) -> str:
    from swath.evaluation.metrics.base import METRICS

    if key not in gaps:
        return ""
    gap, scale = gaps[key], METRICS[key].scale
    exact = f", McNemar {gap.p_mcnemar:.2g}" if gap.p_mcnemar is not None else ""
    return f"{scale * gap.value:+.2f} ({scale * gap.low:+.2f} to {scale * gap.high:+.2f}{exact})"
