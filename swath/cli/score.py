"""`swath score`: answers made elsewhere; and how results of suites are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import Json, claimed_for_results, emit, print_table, say
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.evaluation.metrics.base import Score
    from swath.evaluation.metrics.statistics import Difference
    from swath.evaluation.predictions import Prediction
    from swath.evaluation.suites.running import Asked, Result

Data = Annotated[Path | None, typer.Option(help="Holds a folder a suite; SWATH_SUITES by default.")]
Every = Annotated[bool, typer.Option(help="Published numbers of any protocol.")]


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
    from swath.evaluation.external.matching_questions import match
    from swath.evaluation.external.stated_truths import from_file
    from swath.evaluation.suites.running import ask
    from swath.evaluation.suites.table import chosen, data_of

    rows = chosen([suite])
    if len(rows) > 1:
        raise RequestError(f"--suite {suite}: a file answers one suite; name that one.")
    if out:
        claimed_for_results(out, "suite.json")
    row, place = rows[0]
    detections = read_detections(answers)
    if detections:
        kind, boxes = detections
        if dialect or clip:
            raise RequestError(f"{answers}: {kind} need no --dialect or --clip; leave them out.")
        folder = data_of(row, place, data)
        scored = score_detections(row, folder, kind, boxes)
        notes = {"answers": str(answers), "kind": kind, "truth": str(folder), **scored.notes}
        result = _result(scored.asked, scored.predictions, notes, scored.scores, out)
        show_results([result], all_published, json)
        return
    kind, replies = read_answers(answers)
    left_out: dict[str, Any] = {}
    try:
        folder = data_of(row, place, data)
    except RequestError:
        if place or data or any(reply.truth is None for reply in replies):
            raise
        given = replies
        asked, replies = from_file(row, given)
        kinds = {reply.kind for reply in given} - {reply.kind for reply in replies}
        count = len(given) - len(replies)
        left_out["of kinds the suite does not ask"] = {"count": count, "first": sorted(kinds)}
        truth = "as the answer file states it"
    else:
        asked = ask(row, folder, look=False)
        truth = str(folder)
    matched = match(asked, replies, dialect)
    predictions = matched.predictions
    notes = {"truth": truth, "answers": str(answers), "kind": kind, **left_out, **matched.notes()}
    if clip:
        from swath.evaluation.metrics.clipscore import with_clip

        predictions = with_clip(predictions, clip)
        notes["clip"] = str(clip)
    show_results([_result(asked, predictions, notes, {}, out)], all_published, json)


def _result(
    asked: Asked,
    predictions: list[Prediction],
    notes: dict[str, Any],
    more: dict[str, Score],
    out: Path | None,
) -> Result:
    """The scores of answers, written where they shall go."""
    from swath.evaluation.scoring import score as scored
    from swath.evaluation.suites.running import Result, write_result

    if out:
        return write_result(out, asked, predictions, notes, more=more)
    values = scored(predictions, asked.labels)
    values[asked.suite.task] |= more
    return Result(asked.suite, predictions, values, asked.labels, notes)


def show_results(results: list[Result], every: bool, json: bool) -> None:
    """Print suites' results beside what is published.

    Args:
        results: of suites.
        every: published numbers of any protocol.
        json: machine-readable.
    """
    from swath.evaluation.report.suite_page import row as row_of

    if json:
        emit({result.suite.name: row_of(result, every) for result in results})
        return
    for result in results:
        row = row_of(result, every)
        _print_scores(result, row, every)
        for mode, values in row["modes"].items():
            say(f"by {mode}: " + ", ".join(f"{key} {value:.4g}" for key, value in values.items()))
        for mode, reason in row["modes_not_run"].items():
            say(f"by {mode}: not run, {reason}")
        _print_notes(result.notes)


def _print_scores(result: Result, row: dict[str, Any], every: bool) -> None:
    """A system a row: without looking, others, the model, differences, published ones."""
    from rich.table import Table

    values = _values(result)
    keys = sorted(values, key=lambda name: name != result.suite.metric)  # the suite's own first
    for published in row["published"]:
        keys += [key for key in published["values"] if key not in keys]
    title = f"{result.suite.title} ({result.suite.task})"
    table = Table("system", *keys, "source", title=title)
    systems = {f"{name} (of these answers)": scores for name, scores in result.floors.items()}
    for name, scores in (systems | result.others).items():
        table.add_row(name, *(_value(key, scores) for key in keys), "")
    unreadable = next(iter(result.scores[result.suite.task].values())).unreadable
    source = f"{len(result.predictions):,} questions, {unreadable:,} unreadable"
    cells = [f"{values[key]:.2f}" if key in values else "" for key in keys]
    table.add_row(result.name, *cells, source)
    for name, gaps in result.gaps.items():
        cells = [_gap(key, gaps) for key in keys]
        table.add_row(f"{result.name} - {name}", *cells, "paired difference")
    for published in row["published"]:
        numbers = published["values"]
        cells = [f"{numbers[key]:g}" if key in numbers else "" for key in keys]
        about = [published["source"], published.get("note")]
        about += [published["protocol"]] if every else []
        table.add_row(published["system"], *cells, "; ".join(filter(None, about)))
    print_table(table)


def _values(result: Result) -> dict[str, float]:
    """The result's scores as tables print them, and of several kinds of question each."""
    from swath.evaluation.metrics.base import METRICS
    from swath.evaluation.scored_tasks import SCORED

    task = result.suite.task
    scores = result.scores[task]
    values = {name: METRICS[name].scale * score.value for name, score in scores.items()}
    kinds = SCORED.get(task).per_kind(result.predictions)
    if len(kinds) > 1:
        values |= {kind: 100 * share for kind, (share, _) in kinds.items()}
    return values


def _print_notes(notes: dict[str, Any]) -> None:
    """What was amiss with the answers, and how they were matched."""
    for name, note in notes.items():
        if isinstance(note, dict) and note.get("count"):
            examples = ", ".join(note["first"][:3])
            say(f"{name}: {note['count']} {note.get('of', 'answers')}, first {examples}")
    for name, reason in notes.get("not asked", {}).items():
        say(f"{name}: not asked, {reason}")
    if notes.get("matched_by"):
        boxes = f"boxes as {notes['dialect']}; " if notes.get("dialect") else ""
        say(f"{notes['kind']}, matched by {notes['matched_by']}; {boxes}truth: {notes['truth']}")


def _value(key: str, scores: dict[str, Score]) -> str:
    from swath.evaluation.metrics.base import METRICS

    return f"{METRICS[key].scale * scores[key].value:.2f}" if key in scores else ""


def _gap(key: str, gaps: dict[str, Difference]) -> str:
    from swath.evaluation.metrics.base import METRICS

    if key not in gaps:
        return ""
    gap = gaps[key]
    scale = METRICS[key].scale
    exact = f", McNemar {gap.p_mcnemar:.2g}" if gap.p_mcnemar is not None else ""
    return f"{scale * gap.value:+.2f} ({scale * gap.low:+.2f} to {scale * gap.high:+.2f}{exact})"
