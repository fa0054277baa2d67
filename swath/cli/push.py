"""`swath push`: a run or its set as a repository of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import Json, emit, run_at, say


def push(
    source: Annotated[Path, typer.Argument(help="A run, an exported folder, or a run's `set`.")],
    name: Annotated[str, typer.Argument(help="The repository, as owner/name.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also where swath did not write what is there.")
    ] = False,
    pictures: Annotated[bool, typer.Option(help="Send a set's pictures along.")] = True,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    json: Json = False,
) -> None:
    """Push a run, or the set it was tuned on, to the Hub; private unless told."""
    from dataclasses import asdict

    from swath.export.publishing import push as publish
    from swath.files import RUN_FILE

    prove_on = 0
    if (source / RUN_FILE).is_file():
        experiment = run_at(source)
        experiment.tuned_set()
        section = experiment.recipe.export
        dtype, prove_on = dtype or section.dtype, section.prove_on
    pushed = publish(source, name, public, overwrite, pictures, dtype, prove_on)
    if json:
        emit(asdict(pushed))
        return
    visible = "private" if pushed.private else "public"
    say(f"{pushed.address}: {pushed.files} files, {visible}, commit {pushed.commit[:8]}.")
    if pushed.kind == "model":
        say(f"Tune it further with models.base={name}.")
