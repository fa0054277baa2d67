"""Peak memory of a scan by the size of its scene: boxes, and a map of classes.

    python benchmarks/scenes_memory.py [--sides PX ...] [--spacing PX] [--out JSON]

Each scene is a sparse GeoTIFF of three bands of 16 bits in blocks of 512 px, most of them never
written, so that one of 50,000 px takes no room on disk. The model is a formula that costs nothing
and knows no scene: an object stands at every crossing of a grid of `--spacing` px, and a class is
a cell's place; tiles are read, stretched and sized as for a model in this process. Every scan runs
in a process of its own, writes all of its files, and tells the most memory it ever held (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from measured import finish, machine
from rasterio.windows import Window

from swath.boxes import Boxes
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import parts_of
from swath.inference.scan import GROUP, ScanModel, run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import ScanSettings
from swath.inference.scenes.tile_asking import TileAsker
from swath.inference.scenes.tile_plan import TunedOn
from swath.inference.scenes.tile_reading import TileStore
from swath.models.engine import Answer
from swath.models.pixels import PixelStore

TILE_PX, SHARED = 512, 0.125
CELL_PX = 256
"""Tiles of the map of classes: 38,416 cells of a scene of 50,000 px."""

LENGTH_PX, WIDTH_PX = 44.0, 16.0
CLASSES = {"land": "dry land", "water": "water"}
KINDS = ("boxes", "classes")


class Formula:
    """Answers by where a tile lies."""

    def __init__(self, spacing_px: int) -> None:
        self.spacing_px = spacing_px

    def answer(self, questions: Any, *how: Any, **more: Any) -> list[Answer]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Any) -> Answer:
        x, y, width, height = map(int, parts_of(question.images[0].path)[2].split(","))
        columns, rows = self._crossings(x, width), self._crossings(y, height)
        middles = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        if not len(middles):
            return Answer("none")
        turned = np.column_stack(
            [middles, np.full((len(middles), 2), (LENGTH_PX, WIDTH_PX)), middles.sum(axis=1) % 180]
        )
        boxes = Boxes.from_rotated(turned).shifted((-x, -y))
        return Answer("boxes", boxes, confidence=(0.9,) * len(boxes))

    def _crossings(self, start: int, length: int) -> Any:
        """Of objects that lie whole within."""
        first = -(-(start + LENGTH_PX / 2) // self.spacing_px)
        last = (start + length - LENGTH_PX / 2) // self.spacing_px
        return np.arange(first, last + 1) * self.spacing_px

    def score(self, questions: Any, candidates: Any, progress: Any = None) -> list[Any]:
        places = [parts_of(question.images[0].path)[2].split(",") for question in questions]
        return [np.log([0.7, 0.3] if int(x) // 512 % 2 else [0.4, 0.6]) for x, *_ in places]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="*", default=[5_000, 16_000, 50_000])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--spacing", type=int, default=250, help="px between two objects")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.one:
        kind, side, folder = args.one
        print(json.dumps(measured(kind, int(side), args.spacing, Path(folder))))
        return
    result: dict[str, Any] = {"machine": machine(), "spacing_px": args.spacing}
    for kind in args.kinds:
        rows = {str(side): alone(kind, side, args.spacing) for side in args.sides}
        peaks = [row["peak_mb"] for row in rows.values()]
        result[kind] = rows | {"largest_over_smallest": round(max(peaks) / min(peaks), 3)}
    finish(result, args.out)


def alone(kind: str, side: int, spacing_px: int) -> dict[str, Any]:
    """One scan in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [__file__, "--spacing", str(spacing_px), "--one", kind, str(side), folder]
        done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout)
    print(kind, side, row, file=sys.stderr)
    return row


def measured(kind: str, side: int, spacing_px: int, folder: Path) -> dict[str, Any]:
    path = sparse_scene(folder / "scene.tif", side)
    tuning = Tuning(tasks=frozenset({"ground", "classify"}), choices=CLASSES)
    asks = ["[refer] every <p>ship</p>"] if kind == "boxes" else []
    questions = scan_questions(asks, tuning, classify=kind == "classes")
    store = TileStore(PixelStore(TILE_PX, TILE_PX), GROUP)
    asker = TileAsker(Formula(spacing_px), questions)
    model = ScanModel("formula", "of a benchmark", TunedOn(TILE_PX), PLAIN, asker, store)
    settings = ScanSettings(overlap=SHARED)
    if kind == "classes":
        settings = ScanSettings(tile_px=CELL_PX)
    begun = time.perf_counter()
    scan = run_scan(model, [str(path)], settings, folder / "found")
    asked = time.perf_counter()
    asked_mb = peak_mb()
    write_scan(scan, folder / "found")
    row: dict[str, Any] = {"tiles": scan.scenes[0].tally.asked, "complete": scan.complete}
    if kind == "boxes":
        row["objects"] = scan.results[0].count
    row |= {"asked_mb": asked_mb, "peak_mb": peak_mb()}
    return row | {"seconds": round(time.perf_counter() - begun), "asking": round(asked - begun)}


def sparse_scene(path: Path, side: int) -> Path:
    """A scene of which eight blocks on its diagonal are written."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint16"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True}
    profile |= {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_300_000)}
    rng = np.random.default_rng(0)
    with rasterio.open(path, "w", bigtiff="yes", compress="deflate", **profile) as file:
        for place in range(0, side - 512, (side - 512) // 8):
            start = place // 512 * 512
            values = rng.integers(300, 6_000, (3, 512, 512), dtype=np.uint16)
            file.write(values, window=Window(start, start, 512, 512))
    return path


def peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
