"""The queue of scans: a worker for each, watched through its journal; its results become files."""

from __future__ import annotations

import shutil
from pathlib import Path

from swath.inference.scenes.scan_journal import JOURNALS
from swath.inference.scenes.scan_outputs import RECORD
from swath.serving.jobs.job_queue import JobQueue, read_row
from swath.serving.jobs.office import Office
from swath.serving.jobs.uploads import SCAN, copy, new_row, place, remove
from swath.serving.protocol import Row, now, without_places
from swath.serving.scans.scan_jobs import ENDED, KIND, folder_of
from swath.serving.scans.scan_progress import ScanProgress

_RESULT = "result"


class ScanQueue(JobQueue):
    """Works off the scans of an office until it is closed.

    Args:
        office: whose scans.
    """

    def __init__(self, office: Office) -> None:
        super().__init__(office, KIND)
        self._progress: dict[str, ScanProgress] = {}

    def restore(self) -> None:
        """Finish what a server that was killed had begun to end."""
        for scan in self._office.state.all(KIND):
            if scan["status"] in ENDED:
                self._end(scan)
            if scan["status"] == "succeeded":
                shutil.rmtree(folder_of(self._office, scan["id"]), ignore_errors=True)

    def look(self) -> None:
        """Bring every scan as far as it is."""
        scans = self._office.state.all(KIND)
        running = sum(scan["status"] == "running" for scan in scans)
        for scan in scans:
            if scan["status"] == "queued" and running < self._at_once:
                running += 1
                self._begin(scan)
            elif scan["status"] == "running":
                self._watch(scan)
            elif scan["id"] in self._workers:
                self._end(scan)

    def _begin(self, scan: Row) -> None:
        self._end(scan)  # of a scan that was cancelled and resumed at once
        for name in scan["result_files"].values():
            remove(self._office, name)
        (self._result(scan) / RECORD).unlink(missing_ok=True)  # it tells of the time before
        fields = {"status": "running", "started_at": now(), "result_files": {}, "results": []}
        with self._office.state.transaction():
            current = self._office.state.get(KIND, scan["id"])
            if current is None or current["status"] != "queued":
                return
            self._office.state.change(KIND, scan["id"], **fields)
        self._start(scan)

    def _start(self, scan: Row) -> None:
        folder = folder_of(self._office, scan["id"])
        self._worker(scan).start(scan["arguments"], folder / "printed.json", folder)

    def _watch(self, scan: Row) -> None:
        """Note how far it is; where the worker has ended, take its results, or find out why."""
        alive = self._worker(scan).alive  # before its files are read: what it wrote last is in them
        progress = self._progress.setdefault(scan["id"], ScanProgress(self._result(scan)))
        tiles = progress.read()
        if tiles != scan["tiles"]:
            scan = self._office.state.change(KIND, scan["id"], tiles=tiles, starts=0)
        if alive:
            return
        record = read_row(self._result(scan) / RECORD)
        if record:
            self._finish(scan, record)
        elif self._goes_on(scan):
            self._start(scan)

    def _finish(self, scan: Row, record: Row) -> None:
        """Make files of a scan's results: all of them, or none."""
        folder = self._result(scan)
        journals = set(folder.glob(JOURNALS))
        paths = [path for path in sorted(folder.iterdir()) if path not in journals]
        paths = [path for path in paths if path.is_file() and not path.name.startswith(".")]
        files = [self._file(scan, number, path) for number, path in enumerate(paths)]
        results = [result for scene in record["scenes"] for result in scene["results"]]
        state = "succeeded" if record["complete"] else "incomplete"
        fields = {"complete": record["complete"], "results": results}
        fields["result_files"] = {file["filename"]: file["id"] for file in files}
        with self._office.state.transaction():
            if not self._settle(scan, state, **fields):
                return
            for file in files:
                self._office.state.add("file", file)
        if record["complete"]:
            shutil.rmtree(folder_of(self._office, scan["id"]))

    def _file(self, scan: Row, number: int, path: Path) -> Row:
        """A result in the place of a file of the server's; its row is still to be kept."""
        name = f"file-{scan['id'].removeprefix(f'{KIND}-')}-{number}"
        target = place(self._office, name)
        target.unlink(missing_ok=True)  # of a server that was killed here
        copy(path, target)
        row = new_row(name, path.name, f"{SCAN}_output", "scan_result", "swath")
        return row | {"bytes": path.stat().st_size}

    def _fail(self, job: Row, words: str) -> None:
        words = without_places(words)
        self._settle(job, "failed", error={"code": "scan_failed", "message": words, "param": None})

    def _settle(self, scan: Row, status: str, **fields: object) -> bool:
        """Whether it ends so; one that was cancelled meanwhile has ended already."""
        state = self._office.state
        with state.transaction():
            current = state.get(KIND, scan["id"])
            if current is None or current["status"] != "running":
                return False
            state.change(KIND, scan["id"], status=status, finished_at=now(), **fields)
        self._workers.pop(scan["id"], None)
        self._progress.pop(scan["id"], None)
        return True

    def _result(self, scan: Row) -> Path:
        return folder_of(self._office, scan["id"]) / _RESULT
