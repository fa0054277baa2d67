"""Tables of named rows (readers, tasks, suites, model families) that plugins may add to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from swath.errors import RequestError

Row = TypeVar("Row")


class Registry(Generic[Row]):
    """Rows by name, in the order they were added.

    Args:
        noun: what a row is, as an error names it: "reader", "task".
        group: entry point group; each entry is a function called with this registry once,
            at the first look-up.
        rows: swath's own.
    """

    def __init__(
        self, noun: str, group: str | None = None, rows: Mapping[str, Row] | None = None
    ) -> None:
        self.noun = noun
        self._group = group
        self._rows: dict[str, Row] = dict(rows or {})
        self._plugged = group is None

    def add(self, name: str, row: Row) -> Row:
        """Add a row under a name that is not taken."""
        if name in self._rows:
            raise RequestError(f"{self.noun} '{name}' is already there; choose another name.")
        self._rows[name] = row
        return row

    def get(self, name: str) -> Row:
        """The row of that name.

        Raises:
            RequestError: there is none; the nearest names are offered.
        """
        self._plug()
        if name not in self._rows:
            raise RequestError(f"unknown {self.noun} '{name}'{did_you_mean(name, self._rows)}")
        return self._rows[name]

    def __contains__(self, name: str) -> bool:
        self._plug()
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        self._plug()
        return iter(self._rows)

    def items(self) -> Iterator[tuple[str, Row]]:
        """Names and rows, in order."""
        self._plug()
        return iter(self._rows.items())

    def _plug(self) -> None:
        if self._plugged or self._group is None:
            return
        self._plugged = True
        for entry in entry_points(group=self._group):
            entry.load()(self)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown word: its nearest neighbour, or all that is known."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(known)}." if known else "; none is known."
