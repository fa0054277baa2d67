"""`swath studio`: one page for data, tuning, comparing and talking, on this machine alone."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from swath.cli.console import RUNS, Home, say
from swath.cli.serve import listening, run
from swath.errors import RequestError

HOST = "127.0.0.1"


def studio(
    home: Home = RUNS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Of the page; nothing: the browser's.")
    ] = None,
) -> None:
    """Open a page on this machine: feed, tune, compare and ask a model."""
    serve_page(home, port, language)


def serve_page(home: Path, port: int, language: str | None = None, first: str = "") -> None:
    """Serve the studio until interrupted.

    Args:
        home: folder of the experiments.
        port: 0 takes a free one.
        language: of the page; None: the browser's.
        first: the experiment whose set is shown first.
    """
    try:
        from swath.serving.studio.application import studio as create_app
    except ModuleNotFoundError as error:
        raise RequestError(
            f"the studio needs {error.name}; install it with: pip install 'swath[studio]'"
        ) from None
    with listening(HOST, port) as door:
        port = door.getsockname()[1]
        secret = secrets.token_urlsafe(16)
        app = create_app(home, port, secret, language, first)
        say(
            f"Studio at http://{HOST}:{port}/?secret={secret} (Ctrl-C ends; what it began goes on)."
        )
        run(app, door)
