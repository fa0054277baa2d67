"""Scans that are killed at random moments, and scans by several workers, beside the undisturbed.

    python benchmarks/scenes_kills.py [--kills 30] [--run RUN] [--size PX] [--out JSON]

A drawn scene is scanned for boxes, and its classes are mapped. Each scan runs in a process of its
own, which is ended by SIGKILL after a random part of the time that an undisturbed one takes,
reading, asking and writing; the same call goes on, is killed again, until one in three is let
through, and every file but the journal must hold the bytes of the undisturbed scan. Then shards
run side by side in any order, and batches of other sizes; the same bytes again. An oracle is asked,
or RUN, a run of recipe `scenes`, for boxes.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import finish, machine
from scene_oracle import CLASSES, Oracle, oracle_model

import swath
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.scan import ScanModel, run_scan, scan_model
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import ScanSettings

SHIPS = "[refer] every <p>ship</p>"
FORK = multiprocessing.get_context("fork")  # what is imported is not imported again
KINDS = {"boxes": ((SHIPS,), {}, 0.5), "classes": ((), {"classify": True}, 0.0)}


class SlowOracle(Oracle):
    """Takes a moment for each call, as a model does, so that kills fall into asking too."""

    def answer(self, questions: Any, *how: Any, **more: Any) -> Any:
        time.sleep(0.05)
        return super().answer(questions, *how, **more)

    def score(self, questions: Any, candidates: Any, progress: Any = None) -> Any:
        time.sleep(0.05)
        return super().score(questions, candidates, progress)


class Scans:
    """Scans of one scene for one kind of result, each in a process of its own."""

    def __init__(self, kind: str, scene: str, model: Callable[[int | None], ScanModel]) -> None:
        self._scene, self._model = scene, model
        self._settings = ScanSettings(overlap=KINDS[kind][2])

    def start(self, to: Path, shard: str | None = None, batch: int | None = None) -> Any:
        process = FORK.Process(target=self._scan, args=(to, shard, batch))
        process.start()
        return process

    def whole(self, to: Path, batch: int | None = None) -> float:
        """Scan to the end; seconds."""
        begun = time.monotonic()
        process = self.start(to, batch=batch)
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - begun

    def _scan(self, to: Path, shard: str | None, batch: int | None) -> None:
        scan = run_scan(self._model(batch), [self._scene], self._settings, to, shard)
        if shard is None:
            write_scan(scan, to)


def digests(folder: Path) -> dict[str, str]:
    """Of every file but the journals."""
    files = [file for file in sorted(folder.rglob("*")) if not file.name.startswith("tiles")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def measured(scans: Scans, folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kills and workers for one kind of result."""
    seconds = scans.whole(folder / "whole")
    truth = digests(folder / "whole")
    moments: list[float] = []
    differ = 0
    finished = 0
    while len(moments) < kills:
        to = folder / f"killed-{finished}"
        for _ in range(min(rng.randint(1, 3), kills - len(moments))):
            process = scans.start(to)
            moment = rng.uniform(0, seconds)
            process.join(moment)
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                moments.append(round(moment, 2))
        scans.whole(to)
        differ += digests(to) != truth
        finished += 1
        shutil.rmtree(to)
    workers: dict[str, bool] = {}
    for count in (2, 3, 5):
        to = folder / f"shards-{count}"
        shards = [f"{number}/{count}" for number in range(1, count + 1)]
        rng.shuffle(shards)
        for process in [scans.start(to, shard) for shard in shards]:
            process.join()
        scans.whole(to)
        workers[str(count)] = digests(to) == truth
    batches: dict[str, bool] = {}
    for batch in (1, 5, 64):
        scans.whole(folder / f"batch-{batch}", batch)
        batches[str(batch)] = digests(folder / f"batch-{batch}") == truth
    return {
        "files": sorted(truth),
        "undisturbed_seconds": round(seconds, 2),
        "kills": len(moments),
        "at_seconds": sorted(moments),
        "scans_finished_after_kills": finished,
        "that_differ": differ,
        "same_bytes_by_workers": workers,
        "same_bytes_by_batch_size": batches,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--size", type=int, default=700)
    parser.add_argument("--run", help="of recipe `scenes`, asked for boxes instead of the oracle")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    place = lay_out((args.size, args.size), 3)
    result: dict[str, Any] = {"model": args.run or "oracle", "machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        scene = str(write_geotiff(place, Path(folder) / "port.tif"))
        for kind in ["boxes"] if args.run else KINDS:
            questions, how, _ = KINDS[kind]

            def model(batch: int | None, questions: Any = questions, how: Any = how) -> ScanModel:
                if args.run:
                    assistant = swath.load(args.run)
                    assistant.engine.batch_size = batch or assistant.engine.batch_size
                    asks = scan_questions(questions, Tuning.of_run(args.run))
                    return scan_model(args.run, assistant.engine, asks)
                oracle = oracle_model(place, *questions, tuning=CLASSES, **how)
                object.__setattr__(oracle.asker, "engine", SlowOracle(place))
                return oracle

            to = Path(folder) / kind
            result[kind] = measured(Scans(kind, scene, model), to, args.kills, random.Random(0))
    finish(result, args.out)


if __name__ == "__main__":
    main()
