"""Workers: a process for each piece of work, which outlives whoever started it and is found again.

A worker is a verb of `swath` in a session of its own, writing to the log of its folder. While it
lives it holds a lock there, which the system opens when it ends, however it ends. So whether it
works, and how it failed, is read from files alone.
"""

from __future__ import annotations

import os
import runpy
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from swath.files import Json, read_json, write_json
from swath.sent_folders import disarmed, refuse_link

LOCK, LOG, PROCESS = "worker.lock", "log.txt", "worker.json"

_START = "$ swath "  # begins the log of each start
_ERROR = "swath: "  # begins the line by which a verb says why it failed
_GRACE_S = 5.0
_TAIL = 1 << 16  # bytes


class Worker:
    """The worker of a folder.

    Args:
        folder: that holds its log and lock; made if it is absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, arguments: Sequence[str], output: Path | None = None, within: Path | None = None
    ) -> None:
        """Start a verb, as in `["tune", "recipe.yaml", "--home", "runs"]`, unless one works here.

        Args:
            arguments: of `swath`.
            output: file for what it prints, such as JSON; nothing: the log.
            within: folder in which it works, absolute; nothing: where we do.
        """
        if self.alive:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_link(self.folder / LOG)
        if output:
            refuse_link(output, folders=1)
        places = [str(self.folder), str(within or ".")]
        runner = [sys.executable, "-P", "-m", "swath.serving.jobs.worker", *places]
        with (self.folder / LOG).open("ab", buffering=0) as log:
            log.write(f"{_START}{shlex.join(arguments)}\n".encode())
            stdout = output.open("wb") if output else log
            self._process = subprocess.Popen(
                [*runner, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                start_new_session=True,
            )
            stdout.close()

    @property
    def alive(self) -> bool:
        """Whether it works, whoever started it."""
        if self._process is not None and self._process.poll() is None:
            return True
        return (self.folder / LOCK).is_file() and _locked(self.folder / LOCK)

    def stop(self) -> None:
        """End it and all that it started."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + _GRACE_S
        while self.alive:
            if time.monotonic() > until:
                self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            time.sleep(0.02)

    @property
    def error(self) -> str | None:
        """Why the last verb failed, in its own words; None where it did not say."""
        lines = self.last_words
        if lines and lines[-1].startswith(_ERROR):
            return lines[-1].removeprefix(_ERROR)
        return None

    @property
    def last_words(self) -> list[str]:
        """The end of the log since the last start."""
        if not (self.folder / LOG).is_file():
            return []
        with (self.folder / LOG).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
            lines = stream.read().decode("utf-8", "replace").splitlines()
        starts = [place for place, line in enumerate(lines) if line.startswith(_START)]
        return [line for line in lines[starts[-1] + 1 if starts else 0 :] if line.strip()]

    def _signal(self, number: int) -> None:
        """Signal the group of the process that holds the lock, or of the one just started."""
        process = self._process.pid if self._process and self._process.poll() is None else None
        if process is None and self.alive and (self.folder / PROCESS).is_file():
            row = read_json(self.folder / PROCESS)
            in_file: Any = row.get("process")
            # To the system 0 and below are groups, and 1 is all that this user runs.
            is_process = isinstance(in_file, int) and in_file > 1
            if is_process and row.get("started") == _started(in_file):
                process = in_file  # else it is another's by now
        if process is None:
            return
        try:
            if hasattr(os, "killpg"):
                os.killpg(process, number)
            else:
                os.kill(process, number)
        except ProcessLookupError:
            pass


def _locked(path: Path) -> bool:
    connection = sqlite3.connect(disarmed(path), timeout=0)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:  # what is no lock at all is held by nobody
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    finally:
        connection.close()
    return False


def _started(process: int) -> str:
    """When a process began, in the system's own words; "" where it does not say or is gone."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _work(folder: Path, within: Path, arguments: Sequence[str]) -> None:
    """Be the worker of a folder."""
    # Whoever looks whether the lock is free holds it for a moment.
    connection = sqlite3.connect(disarmed(folder / LOCK), timeout=_GRACE_S)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        sys.exit("another worker of this folder is at it")
    write_json(folder / PROCESS, {"process": os.getpid(), "started": _started(os.getpid())})
    os.chdir(within)  # after `sys.path` is made, so that no module is looked for there
    sys.argv = ["swath", *arguments]
    runpy.run_module("swath", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])


class Followed:
    """A JSONL file, there or to come, of another process: each row is read once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None
        self._place = 0

    def read(self) -> tuple[list[Json], bool]:
        """Rows that were not read yet, and whether a new file has taken the place of the old."""
        if not self._path.is_file():
            return [], False
        with self._path.open("rb") as stream:
            number = os.fstat(stream.fileno()).st_ino
            is_new = self._number not in (None, number)
            self._number, self._place = number, 0 if is_new else self._place
            stream.seek(self._place)
            rows = []
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._place += len(line)
                rows.append(orjson.loads(line))
        return rows, is_new
