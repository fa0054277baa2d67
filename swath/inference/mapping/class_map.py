"""A map of classes: one class a cell of the scene, as the tile around the cell was answered.

A map is read from the scan's journal some rows at a time, so that one of any size takes the same
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.boxes import Floats
from swath.imagery.scene import Scene
from swath.inference.calibration import UNCALIBRATED, Calibration
from swath.inference.scenes.ground import geod_of, geodesic_areas, plain
from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.tile_plan import CellPlan

NO_CLASS = 0
"""Value of a cell that was not asked about: never observed, outside the area, masked, failed."""

ROWS = 256
"""Of cells that are held at a time: those of a block of the files."""

Block = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""(rows, columns) classes and confidence, see `ClassMap.block`."""

CellAnswers = Callable[[int, int], Iterable[tuple[int, dict[str, Any]]]]
"""Given the first cell and the one after the last: their numbers with what each was answered."""


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The classes of one scene.

    Args:
        question: whose choices are the classes, in the order of their values from 1 on.
        plan: the cells.
        answers: of the cells.
        area: polygon in the scene's pixels; cells whose middle lies outside it have no class.
        calibration: of the model's shares.
        cells: (classes + 1,) how many cells have each value.
        areas_m2: (classes + 1,) their ground on the ellipsoid; None for a scene without CRS.
        cell_m: width and height of the cell in the middle, None likewise.
    """

    question: ScanQuestion
    plan: CellPlan
    answers: CellAnswers
    area: Any
    calibration: Calibration
    cells: NDArray[np.int64]
    areas_m2: Floats | None
    cell_m: tuple[float, float] | None

    def block(self, first: int, last: int) -> Block:
        """Some rows of cells, the last not included.

        Returns:
            (rows, columns) value of each cell's class, `NO_CLASS` without, and the model's share
            for that class among all, calibrated where the run can be; NaN without.
        """
        columns = len(self.plan.columns)
        begin, end = first * columns, last * columns
        classes = np.zeros(end - begin, dtype=np.uint8)
        confidence = np.full(end - begin, np.nan, dtype=np.float32)
        for number, row in self.answers(begin, end):
            shares = row["shares"]
            if shares is not None:  # a model elsewhere may name no class
                best = int(np.argmax(shares))
                classes[number - begin] = best + 1
                confidence[number - begin] = shares[best]
        confidence = self.calibration(confidence).astype(np.float32)
        if self.area is not None:
            outside = ~shapely.contains_xy(self.area, self.plan.middles(first, last))
            classes[outside] = NO_CLASS
            confidence[outside] = np.nan
        return classes.reshape(-1, columns), confidence.reshape(-1, columns)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """All rows, `ROWS` at a time, each block with the number of its first."""
        count = len(self.plan.rows)
        for first in range(0, count, ROWS):
            yield first, self.block(first, min(first + ROWS, count))

    def sample(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Block:
        """(rows, columns) classes and confidence of some rows, in rising order, and columns."""
        classes = np.zeros((len(rows), len(columns)), dtype=np.uint8)
        confidence = np.zeros(classes.shape, dtype=np.float32)
        for first, block in self.blocks():
            begin, end = np.searchsorted(rows, (first, first + ROWS))
            places = np.ix_(rows[begin:end] - first, columns)
            classes[begin:end], confidence[begin:end] = (values[places] for values in block)
        return classes, confidence

    @property
    def classes(self) -> NDArray[np.uint8]:
        """(rows, columns) classes of the whole map, see `block`."""
        return np.concatenate([classes for _, (classes, _) in self.blocks()])

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(rows, columns) confidence of the whole map, see `block`."""
        return np.concatenate([confidence for _, (_, confidence) in self.blocks()])

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
        size = f"{plain(width)} x {plain(height)} px"
        if self.cell_m is not None:
            size += f" ({plain(self.cell_m[0])} x {plain(self.cell_m[1])} m)"
        order = np.argsort(-self.shares, kind="stable")[:3]
        present = [row for row in order.tolist() if self.cells[row + 1]]
        leading = [f"{self.labels[row]} {self.shares[row]:.0%}" for row in present]
        words = f"cells of {size}: {', '.join(leading) or 'none of a class'}"
        if self.cells[NO_CLASS]:
            words += f"; {self.cells[NO_CLASS]} of {len(self.plan)} cells without a class"
        return f"{words}; {self.calibration.words}"

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
            **self.calibration.to_row(),
            "classes": self.table(),
        }


def class_map(
    question: ScanQuestion,
    scene: Scene,
    plan: CellPlan,
    answers: CellAnswers,
    area: Any = None,
    calibration: Calibration = UNCALIBRATED,
) -> ClassMap:
    """The class of each cell, the likeliest of what its tile was answered.

    Args:
        question: of kind "classes".
        scene: what the cells are of.
        plan: of the cells.
        answers: of the cells.
        area: polygon in the scene's pixels; cells whose middle lies outside it have no class.
        calibration: of the model's shares.
    """
    count = len(question.choices) + 1
    cells = np.zeros(count, dtype=np.int64)
    areas_m2 = None if scene.crs is None else np.zeros(count)
    cell_m = None if scene.crs is None else _middle_cell(scene, plan)
    result = ClassMap(question, plan, answers, area, calibration, cells, areas_m2, cell_m)
    for first, (classes, _) in result.blocks():
        values = classes.ravel()
        cells += np.bincount(values, minlength=count)
        if areas_m2 is not None:
            ground = cell_areas(scene, plan, first, first + len(classes))
            areas_m2 += np.bincount(values, weights=ground, minlength=count)
    return result


def cell_areas(scene: Scene, plan: CellPlan, first: int, last: int) -> Floats:
    """(cells,) square metres on the ellipsoid of some rows' cells; 0 of one off the planet."""
    place = scene.georeference
    assert place is not None
    geod = geod_of(place)
    x_edges, y_edges = plan.edges
    rows = []
    upper = place.to_lonlat(_along(x_edges, y_edges[first]))
    for y in y_edges[first + 1 : last + 1]:
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
