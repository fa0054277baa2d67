"""Scans and comparisons as the page sees them: a folder of each, filled by a verb's own process."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from swath.errors import RequestError
from swath.files import MARK, claim, read_json, safe_name, write_json
from swath.serving.jobs.worker import Worker

COMMAND = "studio.json"
"""In a folder of work: the arguments by which the page began it, to continue and to show."""

_WRITES = ("--home", "--to", "--out", "--to-review")  # options that say where results go

UPLOADS = "uploads"


@dataclass
class Workers:
    """The worker of each folder, the same one for everybody who asks."""

    _workers: dict[Path, Worker] = field(default_factory=dict)
    _begun: set[tuple[str, ...]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def of(self, folder: Path) -> Worker:
        """The worker of a folder."""
        with self._lock:
            return self._workers.setdefault(folder, Worker(folder))

    def start(self, folder: Path, arguments: Sequence[str], output: Path | None = None) -> None:
        """Begin a verb in a folder.

        Raises:
            RequestError: a process is at work there.
        """
        self.refuse_busy(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._begun.add((str(folder), *arguments))
        self.of(folder).start(arguments, output)

    def resume(self, folder: Path, arguments: Sequence[str]) -> None:
        """Begin a verb once more by arguments that a file in its folder holds.

        Raises:
            RequestError: a process is at work there; or nobody gave this page the arguments, so the
                folder may be someone else's, and they name an address, to which keys would be sent,
                begin anew, or lead out of the folder's own home.
        """
        asked_here = (str(folder), *arguments) in self._begun
        if not asked_here and _leads_out(folder, arguments):
            raise RequestError(
                f"{folder}: {COMMAND} in it, not you, names an address or another folder, or "
                f"begins anew; if you know it, go on by the command: "
                f"{command_line(arguments[0], arguments[1:])}"
            )
        self.start(folder, arguments)

    def refuse_busy(self, folder: Path) -> None:
        """Leave a folder alone that a process fills.

        Raises:
            RequestError: one does.
        """
        if self.of(folder).alive:
            raise RequestError(f"{folder}: a process is at work here already; wait, or stop it.")


def _leads_out(folder: Path, arguments: Sequence[str]) -> bool:
    """Whether arguments that came with a folder reach for more than that folder's home."""
    home = folder.parent.resolve()
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if "://" in argument or option == "--fresh":
            return True
        if option in _WRITES:
            target = value or next(iter(arguments[place + 1 :]), "")
            if not Path(target).resolve().is_relative_to(home):
                return True
    return False


@dataclass
class WorkDesk:
    """The work of one verb.

    Args:
        home: folder of its folders.
        verb: as "scan".
    """

    home: Path
    verb: str
    _workers: Workers = field(default_factory=Workers)

    def names(self) -> list[str]:
        """What was begun, the last first."""
        marks = sorted(self.home.glob(f"*/{MARK}"), key=_changed_ns, reverse=True)
        return [mark.parent.name for mark in marks]

    def new_folder(self, source: str) -> Path:
        """A free folder, called as what is worked on."""
        stem = safe_name(Path(source).stem)
        numbers = iter(range(2, 10_000))
        name = stem
        while (self.home / name).exists():
            name = f"{stem}-{next(numbers)}"
        return self.home / name

    def begin(self, folder: Path, arguments: Sequence[str]) -> str:
        """Begin work in a new folder; the command."""
        claim(folder)
        write_json(folder / COMMAND, {"arguments": list(arguments)})
        self._workers.start(folder, [self.verb, *arguments])
        return command_line(self.verb, arguments)

    def resume(self, name: str) -> str:
        """Begin what was begun once more; a verb goes on where it stopped. The command.

        Raises:
            RequestError: the page did not begin it, or it is at work.
        """
        file = self.home / name / COMMAND
        if not file.is_file():
            raise RequestError(f"{file.parent}: was begun by a command; go on by the same one.")
        arguments = [str(argument) for argument in read_json(file)["arguments"]]
        self._workers.resume(file.parent, [self.verb, *arguments])
        return command_line(self.verb, arguments)

    def worker(self, name: str) -> Worker:
        """The process that works in a folder, or did."""
        return self._workers.of(self.home / name)

    def state(self, name: str, result: Path) -> str:
        """How work stands: "working", "failed", "finished" where its result is there, "stopped"."""
        worker = self.worker(name)
        if worker.alive:
            return "working"
        if worker.error is not None:
            return "failed"
        return "finished" if result.is_file() else "stopped"

    def kept(self, uploads: Sequence[str]) -> str:
        """Uploaded files in places of their own, since work goes on when the page has ended.

        Returns:
            Their paths, one a line.
        """
        return "\n".join(self._kept(upload) for upload in uploads)

    def _kept(self, upload: str) -> str:
        folder = self.home / UPLOADS
        folder.mkdir(parents=True, exist_ok=True)
        name = safe_name(Path(upload).name)
        path, number = folder / name, 2
        while path.exists():
            path = folder / f"{number}-{name}"
            number += 1
        shutil.copyfile(upload, path)
        return str(path)


def command_line(verb: str, arguments: Sequence[str]) -> str:
    """A command as a person types it."""
    return shlex.join(["swath", verb, *arguments])


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns
