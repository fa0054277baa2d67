"""Where results lie: layers of each raster are read back, and their middles brought home.

    python benchmarks/scenes_places.py FOLDER [--out JSON]

Small boxes in the middle of the tiles of each raster below FOLDER that says where it lies are
written as `swath scan` writes them. GeoPackage and GeoJSON are read by pyogrio and taken back to
pixels by rasterio and pyproj alone; the largest distance from the tiles' middles is told, in
pixels. A raster that cannot be opened is listed with its error, and boxes beyond the planet, which
GeoJSON cannot hold, are counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import rasterio
import shapely
from measured import finish
from pyproj import CRS, Transformer
from rasterio.transform import GCPTransformer, RPCTransformer

from swath.boxes import Boxes
from swath.errors import SwathError
from swath.imagery.rendering import PLAIN
from swath.inference.scan import Scan, ScanModel
from swath.inference.scenes.layers import SUFFIXES, write_layer
from swath.inference.scenes.scan_outputs import objects_layer
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_results import found_objects
from swath.inference.scenes.scan_scene import ScanSettings, opened_scene
from swath.inference.scenes.tile_asking import TileAsker
from swath.inference.scenes.tile_plan import SMALLEST_PX, TilePlan, TunedOn

ENDINGS = (".tif", ".tiff", ".vrt", ".jp2")
ACROSS = 5
"""Tiles along the longer side of a raster."""


def miss_px(path: Path, folder: Path) -> dict[str, Any]:
    """Boxes of a raster and how far those of both layers lie from where they were seen."""
    settings = ScanSettings(overlap=0)
    (question,) = scan_questions(["[refer] every <p>middle</p>"], Tuning())
    scanned = opened_scene(str(path), TunedOn(SMALLEST_PX), settings, [question.plan])
    scene = scanned.scene
    if scene is None:
        return {"error": scanned.failure}
    if scene.crs is None:
        return {"place": False}
    tile_px = max(SMALLEST_PX, max(scene.size_wh) // ACROSS)
    plan = TilePlan(scene.id, (0, 0, *scene.size_wh), tile_px, None)
    truth = np.array([np.add(tile.origin_xy, np.array(tile.size_wh) / 2) for tile in plan])
    side = min(*plan[0].size_wh, 32) / 4
    boxes = [Boxes.from_rotated([(*middle, side, side / 2, 30)]).to_rows() for middle in truth]
    answers = [(number, {"boxes": rows}) for number, rows in enumerate(boxes)]
    scanned.results = [found_objects(question, scene, plan, answers)]
    model = ScanModel("pointer", "", TunedOn(tile_px), PLAIN, TileAsker(None, [question]))
    layer = objects_layer(Scan(model, [question], settings, [scanned]))
    row: dict[str, Any] = {"place": True, "kind": kind_of(path), "boxes": len(truth)}
    for suffix in SUFFIXES:
        write_layer(folder / f"objects{suffix}", layer)
        shapes, crs = read_layer(folder / f"objects{suffix}")
        there = np.array([shape is not None for shape in shapes])
        places = np.array([middle_px(path, shape, crs) for shape in shapes if shape is not None])
        miss = np.hypot(*(places - truth[there]).T)
        row |= {suffix: round(float(miss.max()), 4), f"{suffix} nowhere": int((~there).sum())}
    return row


def kind_of(path: Path) -> str:
    with rasterio.open(path) as raster:
        if raster.gcps[0]:
            return "control points"
        if raster.rpcs is not None and raster.crs is None:
            return "polynomials"
        step = raster.transform
        turned = "turned" if step.b or step.d else "south up" if step.e > 0 else "north up"
        return f"{turned}, {'degrees' if raster.crs.is_geographic else raster.crs.linear_units}"


def read_layer(path: Path) -> tuple[list[Any], Any]:
    about, _, geometry, _ = pyogrio.raw.read(path, layer="objects")
    return list(shapely.from_wkb(geometry)), about["crs"]


def middle_px(path: Path, shape: Any, crs: str) -> Any:
    """(2,) pixels of a polygon's middle; of one cut at 180 degrees the parts run on."""
    parts = list(shapely.get_parts(shape))
    west = [part.bounds[0] for part in parts]
    if len(parts) > 1 and max(west) - min(west) > 180:
        parts = [
            shapely.transform(part, lambda at: at + np.array([360, 0]))
            if part.bounds[0] < 0
            else part
            for part in parts
        ]
    corners = shapely.get_coordinates(shapely.convex_hull(shapely.union_all(parts)))[:-1]
    return home(path, corners, crs).mean(axis=0)


def home(path: Path, points: Any, crs: str) -> Any:
    """(n, 2) pixels of a raster, by its own header, of points in a CRS."""
    with rasterio.open(path) as raster:
        points_of, gcps_crs = raster.gcps
        own = (gcps_crs if points_of else raster.crs) or "EPSG:4326"
        x, y = points.T
        planet = CRS.from_user_input(own)
        if CRS.from_user_input(crs) != planet:
            earthly = planet.get_geod() and 6.3e6 < planet.get_geod().a < 6.4e6
            source = crs if earthly else planet.geodetic_crs
            x, y = Transformer.from_crs(source, planet, always_xy=True).transform(x, y)
        if points_of:
            rows, columns = GCPTransformer(points_of, tps=True).rowcol(x, y, op=float)
        elif raster.crs is None:
            fitted = RPCTransformer(raster.rpcs, RPC_HEIGHT=raster.rpcs.height_off)
            rows, columns = fitted.rowcol(x, y, op=float)
        else:
            columns, rows = ~raster.transform * (x, y)
    return np.stack([columns, rows], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    for path in sorted(args.folder.rglob("*")):
        if path.suffix.lower() in ENDINGS:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    rows[path.name] = miss_px(path, Path(folder))
                except SwathError as error:
                    rows[path.name] = {"error": str(error)}
    misses = [row[suffix] for row in rows.values() for suffix in SUFFIXES if suffix in row]
    result = {"rasters": len(rows), "layers": len(misses), "largest_px": max(misses)}
    finish({**result, "each": rows}, args.out)


if __name__ == "__main__":
    main()
