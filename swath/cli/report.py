"""`swath report`: one run as a page, or results side by side, paired by question."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import Json, command, difference_cell, emit, print_table, run_at, say, warn
from swath.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from swath.evaluation.report.record import Record


def report(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs or results, to compare.")],
    to: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
    json: Json = False,
) -> None:
    """Write report.html of a run: scores, failures, pictures, losses; or of runs side by side."""
    from swath.files import read_json

    if len(runs) > 1:
        _compare(runs, to, json)
        return
    experiment = run_at(runs[0])
    page = experiment.report(command(), to)
    warn(experiment.notes)
    if json:
        emit(read_json(page.with_suffix(".json")))
    else:
        say(str(page))


def _compare(folders: list[Path], to: Path | None, json: bool) -> None:
    """Print or write how the last of some results differs from the others."""
    from swath.annotations.contents import shown_otherwise
    from swath.annotations.finding_pictures import few
    from swath.evaluation.predictions import read_predictions
    from swath.evaluation.report.page import Report, write_report
    from swath.evaluation.report.record import Record, ReportRun
    from swath.evaluation.scoring import common, score
    from swath.files import read_json

    places = [_place(folder) for folder in folders]
    names = _names(places, folders)
    predictions = {}
    labels: dict[str, None] = {}
    for name, place in zip(names, places, strict=True):
        predictions[name] = list(read_predictions(place / "predictions.jsonl"))
        tasks = read_json(place / "scores.json")["tasks"]
        for section in tasks.values():
            labels |= dict.fromkeys(section.get("labels", ()))
    shared = common(predictions)
    left_out = {name: len(rows) - len(shared[name]) for name, rows in predictions.items()}
    notes = []
    if any(left_out.values()):
        counts = ", ".join(
            f"{count:,} of {len(predictions[name]):,} of {name}" for name, count in left_out.items()
        )
        notes = [f"The sets differ. Left out, because not all have them: {counts}."]
    sets = {
        name: place.parents[1] / "set" / "images.jsonl"
        for name, place in zip(names, places, strict=True)
    }
    pictures = {name: {row.id: row.image for row in rows} for name, rows in shared.items()}
    known = {name: file for name, file in sets.items() if file.is_file()}
    changes = shown_otherwise(known, pictures)
    if changes:
        notes.append(
            f"The pictures differ: {len(changes):,} questions of one id were asked of other "
            f"contents, so that not the models alone are compared: {few(changes)}."
        )
    runs = [ReportRun(name, rows, score(rows, list(labels))) for name, rows in shared.items()]
    if to is not None:
        notes += _missing_pictures(sets[names[-1]], pictures[names[-1]].values())
        title = f"{names[-1]} against {', '.join(names[:-1])}"
        write_report(to, Report(title, runs, list(labels), command=command(), notes=notes))
    record = Record.of(runs, list(labels))
    if json:
        emit({**record.to_row(), "left_out": left_out})
        return
    _print_comparison(record)
    say(*notes)
    if to is not None:
        say(str(to))


def _missing_pictures(images: Path, pictures: Collection[str]) -> list[str]:
    """What is to be said of pictures that a page cannot show, of results that are of no set.

    Args:
        images: `images.jsonl` of the run that the page shows, there or not.
        pictures: that its questions are about.

    Raises:
        AnnotationError: of a run's pictures, some are gone or are others now.
    """
    from swath.annotations.contents import refuse_changed
    from swath.annotations.finding_pictures import few
    from swath.files import stamp_of
    from swath.imagery.scene import files_of

    if images.is_file():
        unknown = refuse_changed(images, pictures)
        return [unknown] if unknown else []
    gone = sorted(path for path in set(pictures) if not all(map(stamp_of, files_of(path))))
    if not gone:
        return []
    return [
        f"{len(gone):,} of {len(set(pictures)):,} pictures are not where the answers name them, so "
        f"examples stand without theirs: {few(gone)}."
    ]


def _print_comparison(record: Record) -> None:
    """A metric a row, a run a column; then the last run minus each other."""
    from rich.table import Table

    *earlier, last = record.runs
    heads = [f"{last.name} − {run.name}" for run in earlier]
    table = Table("task", "metric", "n", *(run.name for run in record.runs), *heads)
    for task, scores in last.scores.items():
        for metric, score in scores.items():
            cells = []
            for run in record.runs:
                measured = metric in run.scores[task]
                cells.append(f"{run.scores[task][metric].value:.3f}" if measured else "")
            gaps = [difference_cell(gaps[task].get(metric)) for gaps in record.gaps.values()]
            table.add_row(task, metric, f"{score.n:,}", *cells, *gaps)
    print_table(table)


def _place(folder: Path) -> Path:
    """The folder of a result's `scores.json`: a run's tuned system, or one that holds it itself."""
    for place in (folder / "evaluation" / "tuned", folder):
        if (place / "scores.json").is_file():
            return place
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder; give evaluated runs or results.")
    within = [str(file.parent) for file in sorted(folder.glob("*/scores.json"))]
    if within:
        raise EvaluationError(
            f"{folder}: no result but a folder of such; give {' or '.join(within)}."
        )
    raise EvaluationError(f"{folder}: not evaluated yet; run `swath evaluate {folder}`.")


def _names(places: list[Path], folders: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for place, count in Counter(map(Path.resolve, places)).items():
        if count > 1:
            raise EvaluationError(f"{place}: given more than once; give each result once.")
    paths = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(map(str, paths))
