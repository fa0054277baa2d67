"""A map of classes: one class a cell of the scene, as the tile around the cell was answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.imagery.scene import Scene
from swath.inference.scenes.ground import geod_of, geodesic_areas
from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.tile_plan import CellPlan

NO_CLASS = 0
"""Value of a cell that was not asked about: never observed, outside the area, masked, failed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The classes of one scene.

    Args:
        question: whose choices are the classes, in the order of their values from 1 on.
        plan: the cells.
        classes: (rows, columns) value of each cell's class, `NO_CLASS` without.
        confidence: (rows, columns) the model's share for that class among all; NaN without.
        cells: (classes + 1,) how many cells have each value.
        areas_m2: (classes + 1,) their ground on the ellipsoid; None for a scene without CRS.
        cell_m: width and height of the cell in the middle, None likewise.
    """

    question: ScanQuestion
    plan: CellPlan
    classes: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    cells: NDArray[np.int64]
    areas_m2: Floats | None
    cell_m: tuple[float, float] | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.question.choices)

    @property
    def shares(self) -> Floats:
        """(classes,) of the classified ground, or of the cells where no ground is known."""
        sizes = self.cells if self.areas_m2 is None else self.areas_m2
        classified: Floats = sizes[1:] / max(float(sizes[1:].sum()), 1e-12)
        return classified

    @property
    def told(self) -> str:
        """In words."""
        width, height = self.plan.cell_wh
        size = f"{width:.4g} x {height:.4g} px"
        if self.cell_m is not None:
            size += f" ({self.cell_m[0]:.4g} x {self.cell_m[1]:.4g} m)"
        order = np.argsort(-self.shares, kind="stable")[:3]
        leading = [f"{self.labels[row]} {self.shares[row]:.0%}" for row in order]
        words = f"cells of {size}: {', '.join(leading)}"
        if self.cells[NO_CLASS]:
            words += f"; {self.cells[NO_CLASS]} of {self.classes.size} cells without a class"
        return words

    def table(self) -> list[dict[str, Any]]:
        """A row a class, then one of what has none."""
        rows = []
        for value, label in [*enumerate(self.labels, 1), (NO_CLASS, "")]:
            row: dict[str, Any] = {"value": value, "class": label, "cells": int(self.cells[value])}
            row["area_m2"] = None
            if self.areas_m2 is not None:
                row["area_m2"] = round(float(self.areas_m2[value]), 1)
            row["share"] = None if value == NO_CLASS else round(float(self.shares[value - 1]), 5)
            rows.append(row)
        return rows

    def to_row(self) -> dict[str, Any]:
        """In short, as `scan.json` holds it."""
        return {
            "question": self.question.asked,
            "cell_px": [round(side, 4) for side in self.plan.cell_wh],
            "cell_m": self.cell_m and [round(side, 3) for side in self.cell_m],
            "classes": self.table(),
        }


def class_map(
    question: ScanQuestion,
    scene: Scene,
    plan: CellPlan,
    answers: Iterable[tuple[int, dict[str, Any]]],
    area: Any = None,
) -> ClassMap:
    """The class of each cell, the likeliest of what its tile was answered.

    Args:
        question: of kind "classes".
        scene: what the cells are of.
        plan: of the cells.
        answers: of the tiles, in any order.
        area: polygon in the scene's pixels; cells whose middle lies outside it have no class.
    """
    classes = np.zeros(len(plan), dtype=np.uint8)
    confidence = np.full(len(plan), np.nan, dtype=np.float32)
    for number, row in answers:
        shares = row["shares"]
        if shares is not None:  # a model elsewhere may name no class
            best = int(np.argmax(shares))
            classes[number] = best + 1
            confidence[number] = shares[best]
    if area is not None:
        outside = ~shapely.contains_xy(area, plan.middles)
        classes[outside] = NO_CLASS
        confidence[outside] = np.nan
    grid = (len(plan.rows), len(plan.columns))
    count = len(question.choices) + 1
    areas_m2, cell_m = None, None
    if scene.crs is not None:
        ground = cell_areas(scene, plan)
        areas_m2 = np.bincount(classes, weights=ground, minlength=count).astype(np.float64)
        cell_m = _middle_cell(scene, plan)
    return ClassMap(
        question=question,
        plan=plan,
        classes=classes.reshape(grid),
        confidence=confidence.reshape(grid),
        cells=np.bincount(classes, minlength=count),
        areas_m2=areas_m2,
        cell_m=cell_m,
    )


def cell_areas(scene: Scene, plan: CellPlan) -> Floats:
    """(cells,) square metres of each cell on the ellipsoid; 0 of one that lies off the planet."""
    place = scene.georeference
    assert place is not None
    geod = geod_of(place)
    x_edges, y_edges = plan.edges
    rows = []
    upper = place.to_lonlat(_along(x_edges, y_edges[0]))
    for y in y_edges[1:]:
        lower = place.to_lonlat(_along(x_edges, y))
        quads = np.stack([upper[:-1], upper[1:], lower[1:], lower[:-1]], axis=1)
        rows.append(geodesic_areas(geod, quads))
        upper = lower
    areas = np.concatenate(rows)
    return np.where(np.isfinite(areas), areas, 0.0)


def _along(x: Floats, y: float) -> Floats:
    return np.stack([x, np.full(len(x), y)], axis=1)


def _middle_cell(scene: Scene, plan: CellPlan) -> tuple[float, float] | None:
    """Width and height of a cell in the middle, metres; None off the planet."""
    place = scene.georeference
    assert place is not None
    left, top, width, height = plan.region
    half_x, half_y = (side / 2 for side in plan.cell_wh)
    x, y = left + width / 2, top + height / 2
    ends = place.to_lonlat([(x - half_x, y), (x, y - half_y), (x + half_x, y), (x, y + half_y)])
    if not np.isfinite(ends).all():
        return None
    _, _, sides = geod_of(place).inv(*ends[:2].T, *ends[2:].T)
    return float(sides[0]), float(sides[1])
