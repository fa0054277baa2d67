"""What a folder that somebody sent could do by being written to or looked at."""

from __future__ import annotations

from pathlib import Path

from swath.errors import RequestError

_OF_SEVERAL = bytes.fromhex("d9d505f920a163d7")
"""Ends a journal of SQLite whose transaction was one of several files; ours never are."""


def refuse_link(path: Path, folders: int = 0) -> None:
    """Write to no file elsewhere, to which a link in the folder leads.

    Args:
        path: of a file that is about to be written or cut short.
        folders: so many of the folders above may be no links either.

    Raises:
        RequestError: there is one.
    """
    for place in (path, *path.parents[:folders]):
        if place.is_symlink():
            raise RequestError(f"{place}: a link, and nothing is written through it; take it away.")


def disarmed(database: Path) -> Path:
    """A database, once a journal is taken away that would have SQLite delete another file."""
    journal = Path(f"{database.resolve()}-journal")
    if journal.is_file():
        with journal.open("rb") as stream:
            stream.seek(max(journal.stat().st_size - len(_OF_SEVERAL), 0))
            end = stream.read()
        if end == _OF_SEVERAL:
            journal.unlink()
    return database
