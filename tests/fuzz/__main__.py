"""`python -m tests.fuzz --cases N`: changed files, of which only results and our errors may come.

Each case has five seconds of the processor and two gigabytes. What fails is named by its case,
which `--first N --cases 1` repeats, and its input is kept in the folder of `--keep`.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from swath.errors import SwathError
from tests.fuzz.mutating import mutated
from tests.fuzz.seeds import Target, targets

SECONDS = 5
ROOM = 2 << 30
PICTURES = {".png", ".jpg", ".tif"}
LONGEST_MESSAGE = 2000
MEMORY = Path("/dev/shm")  # files there are written at once


class TooSlow(BaseException):
    """A case took longer than it may."""


def main() -> int:
    """Run cases; the exit code says whether any failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after")
    parser.add_argument("--keep", type=Path, help="folder of inputs that fail")
    parser.add_argument("--only", default="", help="targets whose names begin so")
    wishes = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, too_slow)
    failures: dict[str, int] = {}
    done = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
        goals = [goal for goal in targets(Path(home)) if goal.name.startswith(wishes.only)]
        for goal in goals:
            goal.read(goal.folder)  # each is sound before it is changed, and all is imported
        bound_memory()
        begin = time.monotonic()
        for case in range(wishes.first, wishes.first + wishes.cases):
            if time.monotonic() - begin > wishes.seconds:
                break
            failure = run_case(case, goals, wishes.keep)
            done += 1
            if failure and failure not in failures:
                print(f"case {case}: {failure}", flush=True)
            if failure:
                failures[failure] = failures.get(failure, 0) + 1
        seconds = time.monotonic() - begin
    print(
        f"{done} cases in {seconds:.0f} s, {sum(failures.values())} failed in {len(failures)} ways"
    )
    return 1 if failures else 0


def bound_memory() -> None:
    """No more room than what the program takes now and a little."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def too_slow(*arguments: object) -> None:
    """What the alarm calls."""
    raise TooSlow


def run_case(case: int, goals: list[Target], keep: Path | None) -> str:
    """Change a file of a target and read it; return what failed, "" if nothing did."""
    rng = random.Random(case)
    target = rng.choice(goals)
    with changed(target, rng) as file:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            target.read(target.folder)
            return ""
        except SwathError as error:
            if len(str(error)) <= LONGEST_MESSAGE:
                return ""
            failure = f"{target.name}: a message of {len(str(error))} signs"
        except (Exception, TooSlow) as error:
            failure = f"{target.name}: {place_of(error)}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, keep / f"{case}-{file.name}")
        return failure


@contextlib.contextmanager
def changed(target: Target, rng: random.Random) -> Iterator[Path]:
    """One of the target's files, changed meanwhile; what the reading adds or changes is undone."""
    pictures = [path for path in target.files if path.suffix in PICTURES]
    texts = [path for path in target.files if path.suffix not in PICTURES]
    file = rng.choice(pictures if pictures and rng.random() < 0.1 else texts or pictures)
    file.write_bytes(mutated(target.contents[file], file.suffix, rng))
    stamps = stamps_below(target.folder)
    try:
        yield file
    finally:
        file.write_bytes(target.contents[file])
        after = stamps_below(target.folder)
        for path in (stamps.keys() | after.keys()) - {file}:
            if path not in target.contents:
                path.unlink()
            elif stamps.get(path) != after.get(path):
                path.write_bytes(target.contents[path])


def stamps_below(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size of each file below a folder, and when it was last changed."""
    stamps = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            status = path.stat()
            stamps[path] = (status.st_size, status.st_mtime_ns)
    return stamps


def place_of(error: BaseException) -> str:
    """Where in swath an error arose, and which it is."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/swath/" in frame.filename]
    where = f"{ours[-1].filename.rpartition('/swath/')[2]}:{ours[-1].lineno}" if ours else "?"
    return f"{where} {type(error).__name__}: {str(error)[:150]!r}"


if __name__ == "__main__":
    sys.exit(main())
