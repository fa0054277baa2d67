"""`State`: what a server must not forget, in one SQLite file.

Files, jobs, their events, batches and their answers.

Each change is one transaction on disk before anybody is told of it, so a server that is killed
knows at its next start what it had said, no more and no less.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import orjson

from swath.errors import FormatError
from swath.files import FORMAT
from swath.sent_folders import disarmed
from swath.serving.protocol import Row

_TABLES = """
CREATE TABLE IF NOT EXISTS things (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, row TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS things_of_a_kind ON things (kind, number);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, job TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL,
    UNIQUE (job, key));
CREATE TABLE IF NOT EXISTS answers (
    batch TEXT NOT NULL, line INTEGER NOT NULL, failed INTEGER NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (batch, line)) WITHOUT ROWID;
"""


class State:
    """A server's memory, used from several threads.

    Args:
        path: of the SQLite file; made if it is absent.

    Raises:
        FormatError: it is damaged, or a newer swath wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        try:
            self._connection = sqlite3.connect(
                disarmed(path), isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            number = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if number > FORMAT:
                raise FormatError(f"{path}: format {number}; a newer swath wrote it, update yours.")
            self._connection.executescript(f"{_TABLES} PRAGMA user_version = {FORMAT};")
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{path}: cannot be read ({error}); is it a server's?") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that happen together or not at all."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def add(self, kind: str, row: Row) -> Row:
        """Keep a thing, as in `add("file", {"id": "file-1", ...})`."""
        with self.transaction() as connection:
            sql = "INSERT INTO things (kind, id, row) VALUES (?, ?, ?)"
            connection.execute(sql, (kind, row["id"], _text(row)))
        return row

    def get(self, kind: str, name: str) -> Row | None:
        """A thing by its id; None where there is none."""
        rows = self._rows("SELECT row FROM things WHERE kind = ? AND id = ?", kind, name)
        return rows[0] if rows else None

    def all(self, kind: str) -> list[Row]:
        """Things of a kind, oldest first."""
        return self._rows("SELECT row FROM things WHERE kind = ? ORDER BY number", kind)

    def change(self, kind: str, name: str, **fields: Any) -> Row:
        """A thing with some of its fields replaced.

        Raises:
            KeyError: there is no such thing.
        """
        with self.transaction() as connection:
            row = self.get(kind, name)
            if row is None:
                raise KeyError(name)
            row |= fields
            connection.execute("UPDATE things SET row = ? WHERE id = ?", (_text(row), name))
            return row

    def remove(self, name: str) -> None:
        """Forget a thing."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM things WHERE id = ?", (name,))

    def tell(self, job: str, key: str, row: Row) -> None:
        """Keep an event of a job, once for each key."""
        with self.transaction() as connection:
            sql = "INSERT OR IGNORE INTO events (job, key, row) VALUES (?, ?, ?)"
            connection.execute(sql, (job, key, _text(row)))

    def events(self, job: str) -> list[Row]:
        """A job's events, oldest first."""
        return self._rows("SELECT row FROM events WHERE job = ? ORDER BY number", job)

    def answer(self, batch: str, line: int, row: Row, failed: bool) -> None:
        """Keep what came of a batch's line, once."""
        with self.transaction() as connection:
            sql = "INSERT OR IGNORE INTO answers (batch, line, failed, row) VALUES (?, ?, ?, ?)"
            connection.execute(sql, (batch, line, int(failed), _text(row)))

    def answers(self, batch: str, failed: bool) -> Iterator[Row]:
        """What came of a batch's lines, in their order; not all held at once."""
        sql = """SELECT line, row FROM answers
            WHERE batch = ? AND failed = ? AND line > ? ORDER BY line LIMIT 100"""
        last = -1
        while page := self._select(sql, batch, int(failed), last):
            yield from (orjson.loads(text) for _, text in page)
            last = page[-1][0]

    def answered(self, batch: str) -> set[int]:
        """Lines of a batch that are answered, or failed."""
        return {line for (line,) in self._select("SELECT line FROM answers WHERE batch = ?", batch)}

    def count(self, batch: str) -> tuple[int, int]:
        """How many lines of a batch are answered, and how many failed."""
        sql = "SELECT count(*), sum(failed) FROM answers WHERE batch = ?"
        ((count, failed),) = self._select(sql, batch)
        return count - (failed or 0), failed or 0

    def forget_answers(self, batch: str) -> None:
        """Drop a batch's answers, once they stand in its files."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM answers WHERE batch = ?", (batch,))

    def _select(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _rows(self, sql: str, *values: Any) -> list[Row]:
        return [orjson.loads(text) for (text,) in self._select(sql, *values)]


def _text(row: Row) -> str:
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).decode()
