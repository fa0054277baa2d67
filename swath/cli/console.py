"""What people and programs see: lines, JSON, progress bars and the score table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from swath.building import Checked
    from swath.experiment import Experiment
    from swath.tuning.plan import Plan

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on standard output.")]
Advance = Callable[..., None]
"""Called with (done, all) and a note that stands behind the bar."""


def say(*lines: str) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(line)


def emit(value: dict[str, Any]) -> None:
    """Print JSON."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def command() -> str:
    """The command line that is running."""
    return shlex.join(["swath", *sys.argv[1:]])


@contextmanager
def bars() -> Iterator[Callable[[str], Advance]]:
    """Progress on standard error: `progress("name")` gives a function of (done, all, note).

    Bars in a terminal; elsewhere, such as in a log, a line every tenth.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines
        return
    from rich import progress as rich

    name, note = rich.TextColumn("{task.description:14}"), rich.TextColumn("{task.fields[note]}")
    counts = (rich.BarColumn(), rich.MofNCompleteColumn())
    times = (rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    with rich.Progress(name, *counts, *times, note, console=console) as shown:

        def start(name: str) -> Advance:
            task = shown.add_task(name, total=None, note="", visible=False)

            def advance(done: int, total: int, note: str = "") -> None:
                shown.update(task, completed=done, total=total, note=note, visible=True)

            return advance

        yield start


def _lines(name: str) -> Advance:
    last = -1

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last
        tenth = 10 * done // max(1, total)
        if tenth != last:
            last = tenth
            typer.echo(f"{name}: {done} of {total}{', ' + note if note else ''}", err=True)

    return advance


def scores_of(experiment: Experiment) -> dict[str, Any]:
    """Scores of base and tuned, as JSON holds them."""
    from swath.evaluation.scoring import rows_of

    return {run.name: rows_of(run.scores) for run in experiment.runs()}


def show(rows: Any) -> None:
    """Print a table of `rich`, as wide as it needs where no terminal bounds it."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 240
    Console(markup=False, width=width).print(rows)


def table(experiment: Experiment) -> None:
    """Print scores of base and tuned side by side."""
    from rich.table import Table

    from swath.evaluation.metrics.certainty import certainty, words

    runs = experiment.runs()
    shown = Table("task", "metric", *(run.name for run in runs), "n", title=experiment.recipe.name)
    for task, metrics in runs[-1].scores.items():
        for name, last in metrics.items():
            cells = [_cell(run.scores.get(task, {}).get(name)) for run in runs]
            shown.add_row(task, name, *cells, str(last.n))
    show(shown)
    labels, last_run = experiment.tuned_set().labels, runs[-1]
    for task, some in last_run.tasks.items():
        sure = certainty(some, labels, last_run.validation)
        if sure is None:
            continue
        for aim in sure.aims:
            say(f"{last_run.name}, {task}, thresholds of {sure.chosen_on}: {words(aim)}")


def _cell(score: Any) -> str:
    if score is None or score.value is None:
        return "undefined"
    if score.low is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def findings_of(found: Checked) -> None:
    """Print how many images there are and what lint says of them, a few of each kind."""
    say(f"images: {', '.join(f'{n} {split}' for split, n in found.images.items())}")
    kinds: dict[str, list[Any]] = {}
    for finding in found.findings:
        kinds.setdefault(finding.kind, []).append(finding)
    for kind, some in kinds.items():
        rows = sum(one.count for one in some)
        say(f"{kind}: {len(some)} ({rows} row{'s' * (rows != 1)}; {some[0].effect})")
        say(*(f"  {one.where}: {one.what}; {one.action}" for one in some[:5]))
        if len(some) > 5:
            say(f"  ... and {len(some) - 5} more (--json lists all)")
    if not found.findings:
        say("nothing to complain about")


def tuned(experiment: Experiment) -> list[str]:
    """What a finished run has to say of itself: its loss, what was left out, and the proof."""
    from swath.files import read_json
    from swath.models.loading import RUN_FILE
    from swath.tuning.run import read_losses

    run, lines = read_json(experiment.folder / RUN_FILE), []
    texts = [row["text"] for row in read_losses(experiment.folder) if "text" in row]
    if texts:
        few = texts[-10:]
        last = sum(few) / len(few)
        lines.append(f"loss {texts[0]:.3f} to {last:.3f} ({last / texts[0]:.0%} of its start)")
    if left := run.get("left_out"):
        lines.append(f"left out, too long or not in the picture: {len(left)} rows, first {left[0]}")
    if proof := run.get("proof"):
        lines.append(
            f"read back from disk it gives {proof['same']} of {proof['questions']} of its answers"
        )
        if "id" in proof:
            lines.append(
                f"warning: on {proof['id']} it says '{proof['read_back']}' and the tuned model "
                f"'{proof['tuned']}'"
            )
    return lines


def plan_of(planned: Plan) -> None:
    """Print what tuning would train, and its time, memory and disk on this machine."""
    for stage in planned.stages:
        what = ", ".join(f"{p.part} {p.trained:,}" for p in stage.parts if p.trained)
        minutes = stage.seconds / 60
        say(f"stage {stage.name}: {stage.steps} steps, about {minutes:.1f} minutes; trains {what}")
    say(f"memory {planned.memory_mb:,.0f} MB, a checkpoint {planned.disk_mb:,.0f} MB")
