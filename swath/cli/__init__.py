"""The command line: a file a verb; the only place that prints, parses arguments and exits."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from safetensors import SafetensorError

from swath import __version__
from swath.cli.ablate import ablate
from swath.cli.ask import ask
from swath.cli.build import build, check
from swath.cli.chat import chat
from swath.cli.compare import compare
from swath.cli.console import complain, disk_words, is_of_the_disk, say
from swath.cli.convert import convert
from swath.cli.data import data, suites
from swath.cli.evaluate import evaluate
from swath.cli.export import export
from swath.cli.index import index
from swath.cli.judge import judge
from swath.cli.push import push
from swath.cli.quickstart import quickstart
from swath.cli.recipes import doctor, recipes, show
from swath.cli.report import report
from swath.cli.review import review
from swath.cli.scan import scan
from swath.cli.score import score
from swath.cli.serve import serve
from swath.cli.studio import studio
from swath.cli.tune import tune
from swath.errors import SwathError

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("PYTHONSAFEPATH", "1")  # processes import nothing of the folder one is in
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Turn imagery and its annotations into a vision-language model you own.",
)
for verb in (
    quickstart, recipes, show, check, build, tune, ablate, evaluate, report, score, suites, ask,
    scan, compare, index, export, push, review, convert, judge, doctor, serve, chat, studio,
):  # fmt: skip
    app.command()(verb)
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"swath {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which swath.")
    ] = False,
) -> None:
    """Turn imagery and its annotations into a vision-language model you own."""


def main() -> None:
    """Run the command line; an error of swath or of the disk becomes one line and an exit code."""
    try:
        app()
    except SwathError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        complain(disk_words(error))
        sys.exit(1)
    except (SafetensorError, RuntimeError) as error:  # which both say so of weights
        if not is_of_the_disk(error):
            raise
        complain(f"weights cannot be written ({error}); make room; the same command goes on.")
        sys.exit(1)
    except SystemExit as end:
        if end.code == 130:  # what typer makes of an interrupt
            typer.echo("\nswath: interrupted; the same command continues.", err=True)
        raise
