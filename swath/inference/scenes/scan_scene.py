"""A scene as a scan goes about it: opened, its area found, its tiles planned."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from swath.errors import ImageryError, RequestError
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene, is_address
from swath.inference.scenes.area import area_in
from swath.inference.scenes.scan_questions import APART, CELLS, OVERLAPPING
from swath.inference.scenes.scan_results import Found, TileTally
from swath.inference.scenes.tile_plan import CellPlan, TilePlan, TunedOn, tile_plan

RASTERS = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg", ".webp")
"""Endings of the scenes that are looked for in a folder."""


@dataclass(frozen=True)
class ScanSettings:
    """How scenes are looked at.

    Args:
        gsd_m: metres of ground a pixel of the pictures measured that the model was tuned on;
            nothing: as its run tells.
        overlap: share of a tile that neighbours have in common; nothing: an object's length, and
            none for a map of classes.
        tile_px: side of a tile in scene pixels, whatever the resolution.
        aoi: file of polygons outside which nothing is asked.
        mask: raster whose tiles are not asked about where it is bright throughout, as of clouds.
    """

    gsd_m: float | None = None
    overlap: float | None = None
    tile_px: int | None = None
    aoi: str | None = None
    mask: str | None = None

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds them."""
        return asdict(self)


WHOLE = ScanSettings()
"""All of a scene, as the model's run tells."""


@dataclass(eq=False)
class ScannedScene:
    """One scene and what was answered about it.

    Args:
        path: of the scene.
        scene: None where it cannot be opened.
        failure: why it cannot be.
        plans: tiles that overlap, for boxes; that do not, for sums; about cells, for classes.
        area: polygon in the scene's pixels within which it was asked about; None: all of it.
        tally: what became of its tiles.
        results: of each question, in their order.
    """

    path: str
    scene: Scene | None = None
    failure: str = ""
    plans: dict[str, TilePlan] = field(default_factory=dict)
    area: Any = None
    tally: TileTally = field(default_factory=TileTally)
    results: list[Found] = field(default_factory=list)

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds it."""
        row: dict[str, Any] = {"path": self.path}
        if self.scene is None:
            return row | {"failed": self.failure}
        row |= {"size_wh": self.scene.size_wh, "crs": self.scene.crs, "gsd_m": self.scene.gsd_m}
        plans = {name: plan.to_row() for name, plan in self.plans.items()}
        results = [result.to_row() for result in self.results]
        return row | {"plans": plans, "tiles": self.tally.to_row(), "results": results}


def scenes_in(paths: Sequence[str]) -> list[str]:
    """The scenes that files, addresses and folders name, a folder's in the order of their names.

    Raises:
        RequestError: a folder holds none.
    """
    scenes: list[str] = []
    for path in paths:
        folder = Path(path)
        if is_address(path) or not folder.is_dir():
            scenes.append(path)
            continue
        files = [str(file) for file in sorted(folder.iterdir()) if file.suffix.lower() in RASTERS]
        if not files:
            raise RequestError(f"{path}: a folder without scenes ({', '.join(RASTERS)}).")
        scenes += files
    return scenes


def opened_scene(
    path: str, tuned: TunedOn, settings: ScanSettings, plans: Collection[str]
) -> ScannedScene:
    """A scene with its tiles planned; one that cannot be opened says why.

    Args:
        path: of the scene.
        tuned: the pictures that the model was tuned on.
        settings: how it is looked at.
        plans: of OVERLAPPING, APART and CELLS, those that are asked about.
    """
    try:
        scene = open_scene(path)
    except ImageryError as error:
        return ScannedScene(path, failure=str(error))
    area = None if settings.aoi is None else area_in(scene, settings.aoi)
    region = None
    whole = tile_plan(scene, tuned, settings.gsd_m, settings.overlap, settings.tile_px)
    if area is not None:
        region = _region(area, scene, whole.tile_px)
        whole = TilePlan(scene.id, region, whole.tile_px, whole.overlap_px)
    apart = TilePlan(scene.id, whole.region, whole.tile_px, None)
    shared_px = 0 if settings.overlap is None else whole.overlap_px
    cells = CellPlan(scene.id, whole.region, whole.tile_px, shared_px)
    kinds = {OVERLAPPING: whole, APART: apart, CELLS: cells}
    kinds = {name: plan for name, plan in kinds.items() if name in plans}
    return ScannedScene(path, scene, plans=kinds, area=area)


def _region(area: Any, scene: Scene, tile_px: int) -> tuple[int, int, int, int]:
    """x, y, width and height of the part that holds an area, of a tile at least."""
    if area.is_empty:
        return (0, 0, 1, 1)
    low_x, low_y, high_x, high_y = area.bounds
    x, width = _span(low_x, high_x, scene.size_wh[0], tile_px)
    y, height = _span(low_y, high_y, scene.size_wh[1], tile_px)
    return x, y, width, height


def _span(low: float, high: float, length: int, least: int) -> tuple[int, int]:
    start = int(low)
    size = min(max(int(high) + 1 - start, least), length)
    return min(start, length - size), size


def signature(path: str) -> list[int]:
    """Size and time of change of a file; nothing of an address."""
    file = Path(path)
    if not file.is_file():
        return []
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
