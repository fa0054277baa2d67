"""Boxes of tiles to objects: time and memory of many, and of 2,000 beside supervision's NMS.

    python benchmarks/scenes_merging.py [--boxes N] [--peer PYTHON] [--out JSON]

Objects lie at random in a scene of 512 px tiles that share 128 px; each tile whose ground holds an
object's middle shows it, a pixel off. `merge` makes them objects again. PYTHON is of an
environment of its own with `supervision` (0.31.2), whose `oriented_box_non_max_suppression` is
asked about 2,000 boxes, and is to keep the same ones as our own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import finish, machine

from swath.boxes import Boxes
from swath.imagery.tiling import starts
from swath.inference.scenes.merging import TileBoxes, merge, suppressed_by

TILE_PX, SHARED_PX = 512, 128
ROOM_PX = 130
"""Side of a square that holds one object on average."""

PEER_BOXES = 2_000
REPEATS = 3

_PEER = """
import json, sys, time
import numpy as np
import supervision
from supervision.detection.utils.iou_and_nms import oriented_box_non_max_suppression
held = np.load(sys.argv[1])
quads, scores = held["quads"], held["scores"]
low, high = quads.min(axis=1), quads.max(axis=1)
rows = np.column_stack([low, high, scores, np.zeros(len(scores))])
seconds = []
for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    kept = oriented_box_non_max_suppression(rows, quads, 0.5)
    seconds.append(time.perf_counter() - begun)
print(json.dumps({"kept": np.flatnonzero(kept).tolist(), "seconds": min(seconds),
                  "version": supervision.__version__}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=100_000)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "merge": merged(args.boxes)}
    if args.peer is not None:
        result["suppression"] = beside(args.peer)
    finish(result, args.out)


def sightings(count: int) -> tuple[TileBoxes, int]:
    """About so many boxes as tiles show them, and how many objects they are of."""
    rng = np.random.default_rng(0)
    sightings_each = (TILE_PX / (TILE_PX - SHARED_PX)) ** 2  # on average
    side = int(np.sqrt(count / sightings_each) * ROOM_PX)
    columns = side // ROOM_PX
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(columns)), axis=-1).reshape(-1, 2)
    middles = (places + rng.uniform(0.3, 0.7, places.shape)) * ROOM_PX
    rows = np.column_stack(
        [middles, rng.uniform(30, 50, len(middles)), rng.uniform(10, 18, len(middles)),
         rng.uniform(0, 180, len(middles))]
    )  # fmt: skip
    begins = np.array(starts(side, TILE_PX, SHARED_PX))
    objects, tiles = [], []
    for number, (x, y) in enumerate(middles):
        inside_x = begins[(begins <= x) & (x < begins + TILE_PX)]
        inside_y = begins[(begins <= y) & (y < begins + TILE_PX)]
        for left in inside_x:
            for top in inside_y:
                objects.append(number)
                tiles.append((left, top, left + TILE_PX, top + TILE_PX))
    shaken = rows[objects] + rng.normal(0, 1, (len(objects), 5)) * (1, 1, 1, 1, 2)
    corners = np.array(tiles, dtype=np.float64)
    boxes = TileBoxes(
        boxes=Boxes.from_rotated(shaken),
        labels=np.zeros(len(objects), dtype=np.int64),
        confidence=rng.uniform(0.3, 1, len(objects)),
        tiles=corners,
        tile_ids=np.unique(corners, axis=0, return_inverse=True)[1].ravel(),
        frame=(0, 0, side, side),
    )
    return boxes, len(middles)


def merged(count: int) -> dict[str, Any]:
    """Time of merging so many boxes, and how much memory it took at most beyond them."""
    boxes, objects = sightings(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    found = merge(boxes)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "boxes": len(boxes),
        "objects": objects,
        "merged": len(found),
        "seconds": round(seconds, 2),
        "peak_mb": round((peak - before) / 1024, 1),
    }


def beside(python: Path) -> dict[str, Any]:
    """Greedy suppression of 2,000 crowded boxes at IoU 0.5, ours and supervision's."""
    rng = np.random.default_rng(1)
    values = (rng.uniform(0, 900, (PEER_BOXES, 2)), rng.uniform(20, 60, (PEER_BOXES, 2)))
    quads = Boxes.from_rotated(np.column_stack([*values, rng.uniform(0, 180, PEER_BOXES)])).quads
    scores = rng.permutation(PEER_BOXES) / PEER_BOXES
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "boxes.npz"
        np.savez(file, quads=quads, scores=scores)
        command = [python, "-c", _PEER, file, str(REPEATS)]
        peer = json.loads(
            subprocess.run(command, capture_output=True, check=True, text=True).stdout
        )
    zeros = np.zeros(PEER_BOXES, dtype=np.int64)
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        owner = suppressed_by(Boxes(quads), zeros, zeros, np.argsort(-scores), same_in_tile=0.5)
        seconds.append(time.perf_counter() - begun)
    ours = np.flatnonzero(owner == np.arange(PEER_BOXES)).tolist()
    return {
        "boxes": PEER_BOXES,
        "supervision": peer["version"],
        "kept": len(ours),
        "differ": len(set(ours) ^ set(peer["kept"])),
        "seconds": round(min(seconds), 4),
        "supervision_seconds": round(peer["seconds"], 4),
        "ratio": round(peer["seconds"] / min(seconds), 1),
    }


if __name__ == "__main__":
    main()
