"""Folders that swath fills with something else than a run, in which no run begins."""

from __future__ import annotations

from pathlib import Path

from swath.errors import RequestError

_NOT_OF_A_RUN = {
    "card.json": "an instruction set",
    "index.json": "an index of documents",
    "tiles*.jsonl": "a scan",
    "*/suite.json": "results of suites",
    "server.lock": "a server's files",
}
"""Files that tell such folders, none of which stands in a run's own."""


def refuse_no_runs_folder(folder: Path) -> None:
    """Keep a run out of a folder that swath filled with something else.

    Raises:
        RequestError: it holds that.
    """
    for sign, contents in _NOT_OF_A_RUN.items():
        if any(folder.glob(sign)):
            raise RequestError(
                f"{folder} holds {contents} and no run; nothing in it is touched. Give the run "
                f"another name, with name=..., or another --home."
            )
