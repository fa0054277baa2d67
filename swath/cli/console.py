"""What the verbs share: arguments, the experiment they name, lines, JSON, bars and tables."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from swath.evaluation.metrics.base import Score
    from swath.evaluation.metrics.statistics import Difference
    from swath.experiment import Experiment
    from swath.recipe import Recipe

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
Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on standard output.")]
RUNS = Path("runs")
_warned: set[str] = set()

Advance = Callable[..., None]
"""Called with (done, all) and a note that stands behind the bar."""

# By these a folder is known that an older swath began to fill.
_MANIFESTS = ("run.json", "*/card.json", "*.jsonl", "*/*.jsonl")


def experiment_of(recipe: str, overrides: list[str] | None, home: Path, tiny: bool) -> Experiment:
    """The experiment of a recipe, in its folder below `home`."""
    from swath.recipes import load_recipe

    resolved = load_recipe(recipe, overrides or [], tiny)
    refuse_unnamed_writer(resolved, overrides or [])
    from swath.experiment import Experiment  # a typo is answered before torch is loaded

    return Experiment(resolved, claimed(home / resolved.name))


def run_at(folder: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a run, which is looked for before torch is loaded."""
    from swath.files import refuse_no_run

    refuse_no_run(Path(folder))
    from swath.experiment import Experiment

    return Experiment.of_run(folder, overrides)


def refuse_absent(pictures: Iterable[str]) -> None:
    """Nothing, where pictures are addresses or there; looked for before torch is loaded.

    Raises:
        RequestError: a file is not there.
    """
    from swath.errors import RequestError
    from swath.imagery.scene import files_of

    for picture in pictures:
        if not all(Path(file).expanduser().exists() for file in files_of(picture)):
            raise RequestError(f"{picture}: no such file; check the path.")


def refuse_unnamed_writer(recipe: Recipe, overrides: Sequence[str]) -> None:
    """Send no key to a writer elsewhere that only the recipe names: it may be someone else's.

    Raises:
        RequestError: the environment holds the key that the recipe says to send there.
    """
    from urllib.parse import urlsplit

    from swath.errors import RequestError

    writer = recipe.instructions.writer
    if writer is None or not os.environ.get(writer.key):
        return
    if urlsplit(writer.endpoint).hostname in ("127.0.0.1", "localhost", "::1"):
        return
    if not any(writer.endpoint in text for text in overrides):
        raise RequestError(
            f"the recipe, not you, says to send {writer.key} to {writer.endpoint}; if you want "
            f"that, name the address: instructions.writer.endpoint={writer.endpoint}"
        )


def claimed(folder: Path) -> Path:
    """A folder for a run, because it is new or holds one.

    Raises:
        RequestError: it holds something else, whether swath wrote that or not.
    """
    from swath.files import claim
    from swath.folder_kinds import refuse_no_runs_folder

    refuse_no_runs_folder(folder)
    claim(folder, *_MANIFESTS)
    return folder


def claimed_for_results(folder: Path, *manifests: str) -> Path:
    """A folder for results, as `claimed`; a run's own folder is none.

    Raises:
        RequestError: it is a run, or holds something that swath did not write.
    """
    from swath.files import claim

    refuse_run(folder)
    claim(folder, *manifests)
    return folder


def refuse_run(folder: Path) -> None:
    """Keep results out of a run's own folder.

    Raises:
        RequestError: it is a run.
    """
    from swath.errors import RequestError
    from swath.files import RUN_FILE, is_ours

    if is_ours(folder / RUN_FILE):
        raise RequestError(f"{folder} is a run; choose a folder of their own for these results.")


def command() -> str:
    """The command line that is running."""
    return shlex.join(["swath", *sys.argv[1:]])


def harmless(text: str) -> str:
    """Words without signs that steer a terminal or turn its writing round, whoever wrote them."""
    return _STEERING.sub("", text)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def say(*lines: str) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(harmless(line))


def complain(words: str) -> None:
    """Print an error as one line."""
    typer.echo(f"swath: {harmless(words)}", err=True)


def warn(notes: Iterable[str]) -> None:
    """Print what is to be known beside a result, a line each, once however many verbs say it."""
    for note in notes:
        if note not in _warned:
            typer.echo(f"warning: {harmless(note)}", err=True)
            _warned.add(note)


def emit(value: dict[str, Any]) -> None:
    """Print JSON."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def print_table(table: Any) -> None:
    """Print a table of `rich`, as wide as it needs where no terminal bounds it."""
    from rich.console import Console

    heads = [harmless(str(column.header)) for column in table.columns]
    printed = type(table)(*heads, title=harmless(str(table.title or "")) or None)
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        printed.add_row(*(harmless(str(cell)) for cell in cells))
    width = None if sys.stdout.isatty() else 240
    Console(markup=False, width=width).print(printed)


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

    columns = (
        rich.TextColumn("{task.description:14}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}"),
    )
    with rich.Progress(*columns, console=console) as display:

        def start(name: str) -> Advance:
            task = display.add_task(name, total=None, note="", visible=False)

            def advance(done: int, total: int, note: str = "") -> None:
                display.update(task, completed=done, total=total, note=note, visible=True)

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
    """Scores of an experiment's systems, as JSON holds them."""
    from swath.evaluation.scoring import rows_of

    return {run.name: rows_of(run.scores) for run in experiment.runs()}


def score_table(experiment: Experiment) -> None:
    """Print scores of an experiment's systems side by side, and how sure the last one is."""
    from rich.table import Table

    from swath.evaluation.metrics.certainty import certainty, words

    runs = experiment.runs()
    last = runs[-1]
    table = Table("task", "metric", *(run.name for run in runs), "n", title=experiment.recipe.name)
    for task, scores in last.scores.items():
        for metric, score in scores.items():
            cells = [score_cell(run.scores.get(task, {}).get(metric)) for run in runs]
            table.add_row(task, metric, *cells, str(score.n))
    print_table(table)
    labels = experiment.tuned_set().labels
    for task, predictions in last.tasks.items():
        sure = certainty(predictions, labels, last.validation)
        if sure is None:
            continue
        for aim in sure.aims:
            say(f"{last.name}, {task}, thresholds of {sure.chosen_on}: {words(aim)}")


def score_cell(score: Score | None) -> str:
    """A score with its interval, as tables hold it."""
    if score is None or score.value is None:
        return "undefined"
    if score.low is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def difference_cell(gap: Difference | None) -> str:
    """A paired difference with its interval and how probable it were without one."""
    if gap is None:
        return ""
    p = f"p {gap.p:.2g}" if gap.p >= 0.001 else "p < 0.001"
    exact = f", McNemar {gap.p_mcnemar:.2g}" if gap.p_mcnemar is not None else ""
    return f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}), {p}{exact}"


_ADVICE = {
    errno.ENOSPC: "make room; the same command continues",
    errno.EDQUOT: "make room in your quota; the same command continues",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a place that you may read and write",
    errno.EPERM: "choose a place that you may read and write",
    errno.ENOTDIR: "a file stands where a folder belongs; move it or choose another place",
    errno.EEXIST: "a file stands where a folder belongs; move it or choose another place",
    errno.EISDIR: "a folder stands where a file belongs; move it or choose another name",
    errno.ENOENT: "check the name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def is_of_the_disk(error: Exception) -> bool:
    """Whether a library that writes weights says that the disk takes no more."""
    words = str(error)
    return any(sign in words for sign in _WRITING_FAILED)


# Of safetensors, of PyTorch's zip writer (its reader has other words), and of a small file of it.
_WRITING_FAILED = ("while serializing", "unexpected pos", "StreamWriter", "iostream error")


def disk_words(error: OSError) -> str:
    """What the system refused, where, and what to do about it."""
    from swath.files import target_of

    if error.errno is None:  # not of the system but of a library, which says more
        return " ".join(str(error).split())[:400]
    place = f"{target_of(str(error.filename))}: " if error.filename is not None else ""
    advice = _ADVICE.get(error.errno, "the same command can be run again")
    return f"{place}{error.strerror or error}; {advice}."
