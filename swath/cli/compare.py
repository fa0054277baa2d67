"""`swath report A B`: results side by side, the last against each other, paired by question."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli.console import command, emit, say, show
from swath.errors import EvaluationError

if TYPE_CHECKING:
    from swath.evaluation.metrics.statistics import Difference


def compare(folders: list[Path], to: Path | None, json: bool) -> None:
    """Print or write how the last of some results differs from the others."""
    from swath.evaluation.predictions import read_predictions
    from swath.evaluation.report.page import Report, write_report
    from swath.evaluation.report.record import Record, ReportRun
    from swath.evaluation.scoring import common, score
    from swath.files import read_json

    places, labels = [_place(folder) for folder in folders], dict[str, None]()
    names = _names(places, folders)
    given = {
        name: list(read_predictions(place / "predictions.jsonl"))
        for name, place in zip(names, places, strict=True)
    }
    for place in places:
        tasks = read_json(place / "scores.json")["tasks"]
        labels |= dict.fromkeys(tasks.get("classify", {}).get("labels", ()))
    shared = common(given)
    left = {name: len(some) - len(shared[name]) for name, some in given.items()}
    runs = [ReportRun(name, some, score(some, list(labels))) for name, some in shared.items()]
    notes = []
    if any(left.values()):
        said = ", ".join(
            f"{count:,} of {len(given[name]):,} of {name}" for name, count in left.items()
        )
        notes = [f"The sets differ. Left out, because not all have them: {said}."]
    if to is not None:
        title = f"{names[-1]} against {', '.join(names[:-1])}"
        report = Report(title, runs, list(labels), command=command(), notes=notes)
        write_report(to, report)
    record = Record.of(runs, list(labels))
    if json:
        return emit({**record.to_row(), "left_out": left})
    from rich.table import Table

    heads = [f"{names[-1]} − {name}" for name in record.gaps]
    shown = Table("task", "metric", "n", *names, *heads)
    for task, values in runs[-1].scores.items():
        for name, last in values.items():
            cells = [f"{run.scores[task][name].value:.3f}" if name in run.scores[task] else ""
                     for run in runs]  # fmt: skip
            cells += [_gap(some[task].get(name)) for some in record.gaps.values()]
            shown.add_row(task, name, f"{last.n:,}", *cells)
    show(shown)
    return say(*notes, *([str(to)] if to else []))


def _gap(gap: Difference | None) -> str:
    if gap is None:
        return ""
    p = f"p {gap.p:.2g}" if gap.p >= 0.001 else "p < 0.001"
    exact = f", McNemar {gap.p_mcnemar:.2g}" if gap.p_mcnemar is not None else ""
    return f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}), {p}{exact}"


def _place(folder: Path) -> Path:
    """The folder of a result's `scores.json`: a run's tuned side, or one that holds it itself."""
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
    twice = [place for place, count in Counter(map(Path.resolve, places)).items() if count > 1]
    if twice:
        raise EvaluationError(f"{twice[0]}: given more than once; give each result once.")
    paths = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(map(str, paths))
