"""A scan beside its model alone: tiles a second from a file, and of tiles held in memory.

    python benchmarks/scenes_throughput.py [MODEL] [--tile-px PX ...] [--groups N] [--out JSON]

A drawn scene is written as a deflated GeoTIFF of 512 px blocks. `swath scan` asks MODEL about its
tiles, which it reads, sizes and skips while the model answers; then the model is asked the same in
the same groups, all tiles being in memory. Each is done three times in turn, and the medians are
told, in seconds and in processor seconds of all threads. What reading alone takes is told as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import finish, machine

import swath
from swath.files import FORMAT
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.scan import GROUP, run_scan, scan_model
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import ScanSettings
from swath.inference.scenes.tile_plan import TilePlan
from swath.inference.scenes.tile_reading import TileReader
from swath.models.encoding import batches

SHIPS = "[refer] every <p>ship</p>"
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="swath-nano")
    parser.add_argument("--tile-px", type=int, nargs="*", default=[96, 512])
    parser.add_argument("--groups", type=int, default=8, help=f"of {GROUP} tiles")
    parser.add_argument("--question", default=SHIPS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    assistant = swath.load(args.model)
    result: dict[str, Any] = {"model": args.model, "machine": machine(), "format": FORMAT}
    for tile_px in args.tile_px:
        with tempfile.TemporaryDirectory() as folder:
            result[f"tiles of {tile_px} px"] = measured(assistant, args, tile_px, Path(folder))
    finish(result, args.out)


def measured(assistant: Any, args: Any, tile_px: int, folder: Path) -> dict[str, Any]:
    across, down = 2 * args.groups, GROUP // 2  # tiles
    place = lay_out((across * tile_px, down * tile_px), 5)
    path = str(write_geotiff(place, folder / "scene.tif"))
    asks = scan_questions([args.question], Tuning.of_run(args.model))
    settings = ScanSettings(overlap=0, tile_px=tile_px)
    plan = TilePlan("", (0, 0, *place.size_wh), tile_px, 0)
    store = assistant.engine.store

    def fresh() -> Any:
        assistant.engine.store = store
        store._held.clear()
        return scan_model(args.model, assistant.engine, asks)

    def reader(model: Any) -> TileReader:
        return TileReader(open_scene(path), path, model.rendering, model.store)

    warm = fresh()
    warm.asker.answers([reader(warm).read(plan, number) for number in range(GROUP)])
    times: dict[str, list[tuple[float, float]]] = {"scan": [], "model": [], "reading": []}
    for _ in range(REPEATS):
        model = fresh()
        times["scan"].append(timed(lambda m=model: run_scan(m, [path], settings)))
        model = fresh()
        model.store._capacity = len(plan)
        read = reader(model)
        tiles: list[Any] = []
        times["reading"].append(
            timed(lambda r=read, t=tiles: t.extend(r.read(plan, n) for n in range(len(plan))))
        )
        groups = list(batches(tiles, GROUP))
        times["model"].append(timed(lambda m=model, g=groups: [m.asker.answers(x) for x in g]))
    wall = {name: statistics.median(row[0] for row in rows) for name, rows in times.items()}
    cpu = {name: statistics.median(row[1] for row in rows) for name, rows in times.items()}
    return {
        "tiles": len(plan),
        "seconds": {name: round(value, 3) for name, value in wall.items()},
        "processor_seconds": {name: round(value, 3) for name, value in cpu.items()},
        "tiles_a_second": {name: round(len(plan) / value, 1) for name, value in wall.items()},
        "share_of_model": round(wall["model"] / wall["scan"], 3),
        "share_by_processor": round(cpu["model"] / cpu["scan"], 3),
    }


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of the processor in all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
