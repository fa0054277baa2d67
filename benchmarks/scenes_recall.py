"""How many objects of a scene are found and counted, however its tiles cut them.

    python benchmarks/scenes_recall.py [--run RUN] [--sizes WxH ...] [--peer] [--out JSON]

Scenes of ships and storage tanks are drawn, half of them across the borders of tiles. A model is
asked about chips that show each object whole, and then about the scene's tiles, whose boxes `swath
scan` makes objects; RUN is a run of recipe `scenes`, and without one an oracle answers with what
a tile shows of each object, cut at its border. The same tiles' answers are also put together by
geoai's window rule (a window at the edge is dropped if less than half of it is left; kept boxes are
merged as ours are) and, with --peer, by supervision's `InferenceSlicer` at its best setting
(intersection over the smaller); run it with the Python of an environment that has both.

An object is found if a box of its class overlaps it by half (IoU); a found box is right if it is
the only one of its object.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from measured import finish, machine
from scene_oracle import oracle_model

import swath
from swath.boxes import Boxes, iou
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import CLASSES, Place, lay_out
from swath.imagery.tiling import Tile, starts
from swath.imagery.windows import tile_path
from swath.inference.scan import run_scan, scan_model
from swath.inference.scenes.merging import TileBoxes, merge
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import ScanSettings
from swath.inference.scenes.tile_asking import TileAsker
from swath.inference.scenes.tile_reading import TileRead
from swath.models.encoding import batches

ORACLE_PX, ORACLE_SHARED_PX = 512, 64
"""Tiles of geoai's defaults, and of supervision's examples."""

FOUND = 0.5

Windows = list[Tile]
Found = dict[str, tuple[Boxes, np.ndarray, list[Tile]]]
"""By class: boxes in the scene's pixels, confidence of each, and the tile that showed it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="of recipe `scenes`; nothing: the oracle")
    parser.add_argument("--sizes", nargs="*", default=["1000x1000", "1024x1024", "1100x700"])
    parser.add_argument("--peer", action="store_true", help="supervision's slicer as well")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = {"model": args.run or "oracle", "machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            width, _, height = size.partition("x")
            result[size] = measured((int(width), int(height)), Path(folder), args)
    finish(result, args.out)


def measured(size_wh: tuple[int, int], folder: Path, args: Any) -> dict[str, Any]:
    """Scores of every way to put tiles together, on one scene."""
    asks = [f"[refer] every <p>{name}</p>" for name in CLASSES]
    side_px, shared_px = ORACLE_PX, ORACLE_SHARED_PX
    if args.run:
        assistant = swath.load(args.run)
        tuning = Tuning.of_run(args.run)
        wording = tuning.phrasing.wordings["ground"][0]
        asks = [wording.format(phrase=name, name=name) for name in CLASSES]
        model = scan_model(args.run, assistant.engine, scan_questions(asks, tuning))
        side_px = model.tuned.side_px
        shared_px = int(np.ceil(min(model.tuned.object_share or 0.25, 0.5) * side_px))
    borders = [starts(length, side_px, shared_px)[1:] for length in size_wh]
    place = lay_out(size_wh, args.seed, borders_xy=(borders[0], borders[1]))
    path = str(write_geotiff(place, folder / f"{size_wh[0]}x{size_wh[1]}.tif"))
    if not args.run:
        model = oracle_model(place, *asks, side_px=side_px)
    asker, truth = model.asker, truth_of(place)
    settings = ScanSettings(overlap=shared_px / side_px)
    scan = run_scan(model, [path], settings)
    merged = {name: row.boxes for name, row in zip(CLASSES, scan.results, strict=True)}
    every = [Tile("", (x, y), (min(side_px, size_wh[0]), min(side_px, size_wh[1])))
             for y in starts(size_wh[1], side_px, shared_px)
             for x in starts(size_wh[0], side_px, shared_px)]  # fmt: skip
    rows = {
        "objects": {name: len(boxes) for name, boxes in truth.items()},
        "tiles": {"px": side_px, "shared_px": shared_px, "count": len(every)},
        "uncut chips": chips(asker, path, place, side_px),
        "swath": scores(merged, truth),
        "geoai's windows": geoai(asker, path, truth, size_wh, side_px, shared_px),
    }
    if args.peer:
        rows |= supervision(asker, path, truth, size_wh, side_px, shared_px)
    return rows


def truth_of(place: Place) -> dict[str, Boxes]:
    """Boxes of each class as far as the scene shows them: its border cuts some."""
    names = np.array(place.names)
    return {name: place.boxes[names == name] for name in CLASSES}


def answered(asker: TileAsker, path: str, windows: Sequence[Tile]) -> Found:
    """What each class's boxes are on some tiles, in the scene's pixels."""
    quads: dict[str, list[Any]] = {name: [] for name in CLASSES}
    sure: dict[str, list[float]] = {name: [] for name in CLASSES}
    tiles: dict[str, list[Tile]] = {name: [] for name in CLASSES}
    reads = [TileRead(n, tile, tile_path(path, tile)) for n, tile in enumerate(windows)]
    for group in batches(reads, 32):
        for number, rows in asker.answers(group).items():
            for name, row in zip(CLASSES, rows, strict=True):
                boxes = row.get("boxes", [])
                quads[name] += boxes
                sure[name] += row.get("sure", [0.5] * len(boxes))
                tiles[name] += [windows[number]] * len(boxes)
    return {
        name: (Boxes.from_rows(quads[name]), np.array(sure[name]), tiles[name]) for name in CLASSES
    }


def chips(asker: TileAsker, path: str, place: Place, side_px: int) -> dict[str, float]:
    """Recall where each object lies whole in a picture of its own, as near its middle as can be."""
    hits: list[bool] = []
    for name, boxes in truth_of(place).items():
        middles = boxes.quads.mean(axis=1)
        size_wh = np.minimum(side_px, place.size_wh)
        corners = np.clip((middles - size_wh / 2).round(), 0, place.size_wh - size_wh).astype(int)
        windows = [Tile("", (int(x), int(y)), tuple(size_wh.tolist())) for x, y in corners]
        for number, tile in enumerate(windows):
            found, _, _ = answered(asker, path, [tile])[name]
            hits.append(bool(len(found) and pairs(boxes[[number]], found).max() >= FOUND))
    return {"recall": round(float(np.mean(hits)), 4)}


def pairs(truth: Boxes, found: Boxes) -> np.ndarray:
    """IoU of each of some true boxes with each found one."""
    first, second = np.indices((len(truth), len(found))).reshape(2, -1)
    return iou(truth[first], found[second]).reshape(len(truth), len(found))


def scores(found: dict[str, Boxes], truth: dict[str, Boxes]) -> dict[str, Any]:
    """Recall and precision of all classes together, and how far the counts are off."""
    hits, boxes, objects, counts = 0, 0, 0, {}
    for name, true in truth.items():
        mine = found[name]
        boxes, objects = boxes + len(mine), objects + len(true)
        counts[name] = [len(mine), len(true)]
        tree = shapely.STRtree(shapely.polygons(mine.quads))
        first, second = tree.query(shapely.polygons(true.quads))
        overlap = iou(true[first], mine[second])
        taken: set[int] = set()
        for row in np.argsort(-overlap, kind="stable"):
            if overlap[row] >= FOUND and not {int(first[row]), -1 - int(second[row])} & taken:
                taken |= {int(first[row]), -1 - int(second[row])}
                hits += 1
    off = sum(abs(mine - true) for mine, true in counts.values())
    return {
        "recall": round(hits / objects, 4),
        "precision": round(hits / max(boxes, 1), 4),
        "counts_found_and_true": counts,
        "count_off": round(off / objects, 4),
    }


def geoai(
    asker: TileAsker, path: str, truth: Any, size_wh: Any, side_px: int, shared_px: int
) -> dict[str, Any]:
    """Windows as geoai cuts them (0.40, `vllm_geo.py`), their boxes merged as ours are."""
    windows = list(geoai_windows(size_wh, side_px, shared_px))
    shown = shapely.union_all([shapely.box(*t.origin_xy, *np.add(t.origin_xy, t.size_wh))
                               for t in windows])  # fmt: skip
    never = 1 - shown.area / (size_wh[0] * size_wh[1])
    merged = {}
    for name, (boxes, sure, tiles) in answered(asker, path, windows).items():
        corners = [(*t.origin_xy, *np.add(t.origin_xy, t.size_wh)) for t in tiles]
        numbers = np.array([windows.index(tile) for tile in tiles], dtype=np.int64)
        zeros = np.zeros(len(boxes), dtype=np.int64)
        edges = np.reshape(corners, (-1, 4)).astype(float)
        frame = (0, 0, *size_wh)
        merged[name] = merge(TileBoxes(boxes, zeros, sure, edges, numbers, frame)).boxes
    return {**scores(merged, truth), "never_looked_at": round(float(never), 4)}


def geoai_windows(size_wh: Any, side_px: int, shared_px: int) -> Iterator[Tile]:
    for y in range(0, size_wh[1], side_px - shared_px):
        for x in range(0, size_wh[0], side_px - shared_px):
            width, height = min(side_px, size_wh[0] - x), min(side_px, size_wh[1] - y)
            if width >= side_px / 2 and height >= side_px / 2:
                yield Tile("", (x, y), (width, height))


def supervision(
    asker: TileAsker, path: str, truth: Any, size_wh: Any, side_px: int, shared_px: int
) -> dict[str, Any]:
    """supervision's slicer with the same model, by its default and by its best setting."""
    import supervision as sv

    columns, rows = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    places = np.stack([columns, rows], axis=-1).astype(np.int32)  # a window says where it lies

    def callback(window: Any) -> Any:
        x, y = window[0, 0].tolist()
        tile = Tile("", (x, y), (window.shape[1], window.shape[0]))
        quads, sure, classes = [], [], []
        for number, (boxes, shares, _) in enumerate(answered(asker, path, [tile]).values()):
            quads += list(boxes.quads - (x, y))
            sure += shares.tolist()
            classes += [number] * len(boxes)
        if not quads:
            return sv.Detections.empty()
        corners = np.array(quads)
        return sv.Detections(
            xyxy=np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
            confidence=np.array(sure),
            class_id=np.array(classes),
            data={"xyxyxyxy": corners},
        )

    scored = {}
    settings: list[tuple[str, Callable[..., Any], Any]] = [
        ("supervision, default", sv.OverlapFilter.NON_MAX_SUPPRESSION, sv.OverlapMetric.IOU),
        ("supervision, IOS", sv.OverlapFilter.NON_MAX_SUPPRESSION, sv.OverlapMetric.IOS),
        ("supervision, IOS, merged", sv.OverlapFilter.NON_MAX_MERGE, sv.OverlapMetric.IOS),
    ]
    for name, rule, metric in settings:
        slicer = sv.InferenceSlicer(
            callback,
            slice_wh=(side_px, side_px),
            overlap_wh=(shared_px, shared_px),
            overlap_filter=rule,
            overlap_metric=metric,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detected = slicer(places)
        quads = detected.data.get("xyxyxyxy", np.zeros((0, 4, 2)))
        found = {label: Boxes(np.asarray(quads, dtype=np.float64)[detected.class_id == number])
                 for number, label in enumerate(CLASSES)}  # fmt: skip
        scored[name] = scores(found, truth)
    return scored


if __name__ == "__main__":
    main()
