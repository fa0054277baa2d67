"""`JobQueue`: what works jobs off, each in a worker of its own, and finds them after a kill.

What is to be done follows from the state and the files alone, so a server that was killed goes on
where it was: workers that live are watched, those that died are started again.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from threading import Event, Thread

from swath.errors import FormatError
from swath.files import read_json
from swath.serving.jobs.office import Office
from swath.serving.jobs.worker import Worker
from swath.serving.protocol import Row, without_places

TICK_S = 0.5
MOST_STARTS = 10
"""Starts of a worker that died without a word, and without having come further than before."""


class JobQueue(Thread, ABC):
    """Works off the jobs of a kind until it is closed.

    Args:
        office: whose jobs.
        kind: under which the state keeps them, as in "job".
        at_once: how many are under way at the same time.
    """

    def __init__(self, office: Office, kind: str, at_once: int = 1) -> None:
        super().__init__(name=f"{kind} queue", daemon=True)
        self._office, self._kind, self._at_once = office, kind, at_once
        self._workers: dict[str, Worker] = {}
        self._ending = Event()

    @abstractmethod
    def look(self) -> None:
        """Bring every job as far as it is."""

    @abstractmethod
    def _fail(self, job: Row, words: str) -> None:
        """Enter that a job has failed, and why."""

    def run(self) -> None:
        """Look at every job again and again."""
        while not self._ending.is_set():
            try:
                self.look()
                self._office.troubles.pop(self._kind, None)
            except (OSError, sqlite3.Error) as error:  # such as a full disk: it may have room later
                self._office.troubles[self._kind] = without_places(str(error))
            self._office.changed.wait(TICK_S)
            self._office.changed.clear()

    def close(self) -> None:
        """End the queue; workers go on, and the next server finds them."""
        self._ending.set()
        self._office.changed.set()
        self.join()

    def _worker(self, job: Row) -> Worker:
        return self._workers.setdefault(job["id"], Worker(self._office.jobs / job["id"]))

    def _end(self, job: Row) -> None:
        worker = self._worker(job)
        if worker.alive:
            worker.stop()
        self._workers.pop(job["id"], None)

    def _goes_on(self, job: Row) -> bool:
        """Whether the worker of a job, which has ended early, is to be started again.

        The job has failed where the worker says why, or has died too often.
        """
        worker = self._worker(job)
        if worker.error is not None:
            self._fail(job, worker.error)
        elif job["starts"] >= MOST_STARTS:
            words = " ".join(worker.last_words[-1:]) or "it said nothing"
            self._fail(job, f"the worker died {MOST_STARTS} times without a step more: {words}")
        else:
            self._office.state.change(self._kind, job["id"], starts=job["starts"] + 1)
            return True
        return False


def read_row(path: Path) -> Row:
    """A JSON object that a worker wrote; {} where it is not whole yet."""
    try:
        return read_json(path)
    except FormatError:
        return {}
