"""`swath export`: a run as one merged Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import run_at, say


def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
) -> None:
    """Write a run as one merged Hugging Face folder, proven in a fresh process."""
    from swath.files import MANIFEST, refuse_foreign

    refuse_foreign(to, MANIFEST)
    experiment = run_at(run)
    from swath.export.huggingface import export as write

    experiment.tuned_set()
    section = experiment.recipe.export
    answers = write(run, to, dtype or section.dtype, section.prove_on)
    say(f"{to}: written; a fresh process gave the same {answers} answers.")
