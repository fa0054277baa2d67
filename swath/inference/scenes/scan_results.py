"""Results of a scan: what the answers of all tiles make of each scene and question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import shown
from swath.boxes import Boxes
from swath.evaluation.reading import read_count
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile
from swath.inference.calibration import UNCALIBRATED, Calibration
from swath.inference.mapping.class_map import ClassMap
from swath.inference.scenes.merging import SceneObjects, TileBoxes, merged_in_turn
from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.tile_plan import TilePlan

UNKNOWN = 0.0
"""Confidence of a box of whose probability nothing is known."""


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """Objects of one scene that answer one question.

    Args:
        question: what was asked.
        objects: each once.
        plan: of the tiles that showed them.
        weighed: whether the model told how sure it was.
        calibration: of how sure it was.
        outside: boxes that were left out because their middle lay beyond their tile.
    """

    question: ScanQuestion
    objects: SceneObjects
    plan: TilePlan
    weighed: bool
    calibration: Calibration = UNCALIBRATED
    outside: int = 0

    @property
    def boxes(self) -> Boxes:
        """In the scene's pixels, from the top."""
        return self.objects.boxes

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.objects)

    @property
    def told(self) -> str:
        """In words."""
        words = f"{self.count} found, label {self.question.label}"
        return f"{words}; {self.calibration.words}" if self.weighed else words

    def to_row(self) -> dict[str, Any]:
        """In short, as `scan.json` holds it."""
        row = {"question": self.question.asked, "count": self.count}
        row |= {"boxes_outside_their_tile": self.outside}
        return row | (self.calibration.to_row() if self.weighed else {"confidence": None})


@dataclass(frozen=True, eq=False)
class TileWords:
    """Answers in words, tile by tile.

    Args:
        question: what was asked.
        tiles: those that answered.
        texts: the answer of each.
    """

    question: ScanQuestion
    tiles: tuple[Tile, ...]
    texts: tuple[str, ...]

    @property
    def numbers(self) -> list[int | None]:
        """The count that each answer names, None where it names none."""
        return [read_count(text)[0] for text in self.texts]

    @property
    def count(self) -> int:
        """The sum of all tiles' counts."""
        return sum(number for number in self.numbers if number is not None)

    @property
    def told(self) -> str:
        """In words."""
        if self.question.kind == "number":
            unread = self.numbers.count(None)
            return f"{self.count}, summed over {len(self.texts)} tiles, {unread} without a number"
        tiles = f"{len(self.texts)} tile{'s' * (len(self.texts) != 1)}"
        if not self.texts:
            return f"answers of {tiles}"
        first = self.commonest[0]
        return f"answers of {tiles}, '{shown(first['answer'])}' of {first['tiles']}"

    @property
    def commonest(self) -> list[dict[str, Any]]:
        """The commonest answers, and how many tiles gave each."""
        texts, counts = np.unique(np.array(self.texts, dtype=object), return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_COMMONEST]
        return [{"answer": texts[row], "tiles": int(counts[row])} for row in order]

    def to_row(self) -> dict[str, Any]:
        """In short, as `scan.json` holds it."""
        row: dict[str, Any] = {"question": self.question.asked}
        if self.question.kind == "number":
            row |= {"count": self.count, "unreadable": self.numbers.count(None)}
            return row
        return row | {"answers": len(set(self.texts)), "commonest": self.commonest}


_COMMONEST = 20

Found = FoundObjects | TileWords | ClassMap


@dataclass(eq=False)
class TileTally:
    """What became of the tiles of a scene."""

    planned: int = 0
    asked: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    failed: list[dict[str, Any]] = field(default_factory=list)
    waiting: int = 0

    def add(self, plan: TilePlan, planned: int, row: dict[str, Any] | None) -> None:
        """Count a group of so many tiles by its row in the journal; None: it waits."""
        self.planned += planned
        if row is None:
            self.waiting += planned
            return
        self.asked += len(row["tiles"])
        for reason in row["skipped"].values():
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
        for number, reason in row["failed"].items():
            tile = plan[int(number)]
            self.failed.append({"tile": [*tile.origin_xy, *tile.size_wh], "why": reason})

    def to_row(self) -> dict[str, Any]:
        """As `scan.json` holds it."""
        return {
            "planned": self.planned,
            "asked": self.asked,
            "skipped": dict(sorted(self.skipped.items())),
            "failed": self.failed,
            "waiting": self.waiting,
        }


TileAnswers = Iterable[tuple[int, dict[str, Any]]]
"""Numbers of tiles with what each answered to one question."""


def found_objects(
    question: ScanQuestion,
    scene: Scene,
    plan: TilePlan,
    answers: TileAnswers,
    area: Any = None,
    calibration: Calibration = UNCALIBRATED,
) -> FoundObjects:
    """The objects that all tiles' boxes show, each once.

    Args:
        question: a boxed one.
        scene: in whose pixels the boxes lie.
        plan: of the tiles.
        answers: of the tiles, from the first one on.
        area: polygon in the scene's pixels; objects whose middle lies outside it are left out.
        calibration: of the model's confidence in a box of a tile.
    """
    frame = (0, 0, *scene.size_wh)
    outside = 0
    weighed = False

    def chunks() -> Iterator[tuple[TileBoxes, float]]:
        nonlocal outside, weighed
        for numbers, rows, confidence, top in _row_by_row(plan, answers):
            weighed |= any(share is not None for share in confidence)
            shares = np.array(confidence, dtype=np.float64)  # NaN where none was told
            known = np.nan_to_num(calibration(shares), nan=UNKNOWN).tolist()
            found = TileBoxes.shown_by(plan, numbers, rows, known, frame)
            seen_there = _middles_inside(found)
            outside += len(found) - int(seen_there.sum())
            yield found.of(np.flatnonzero(seen_there)), top

    objects = merged_in_turn(chunks())
    if area is not None:
        inside = shapely.contains_xy(area, objects.boxes.quads.mean(axis=1))
        objects = objects.of(np.flatnonzero(inside))
    return FoundObjects(question, objects, plan, weighed, calibration, outside)


_TOGETHER = 4_000  # boxes that are merged at a time, with those of as many rows as they begin

TileRows = tuple[list[int], list[list[float]], list[float | None], float]
"""Of some boxes: tiles' numbers, corners, confidence; the top of the tiles that follow."""


def _row_by_row(plan: TilePlan, answers: TileAnswers) -> Iterator[TileRows]:
    """Boxes of whole rows of tiles, about so many at a time; the last ones may be none."""
    numbers: list[int] = []
    rows: list[list[float]] = []
    confidence: list[float | None] = []
    last_row = 0
    for number, answer in answers:
        row = number // len(plan.columns)
        if row > last_row and len(rows) >= _TOGETHER:
            yield numbers, rows, confidence, plan.rows[row][0]
            numbers, rows, confidence = [], [], []
        last_row = row
        boxes = answer.get("boxes", [])
        numbers += [number] * len(boxes)
        rows += boxes
        confidence += answer.get("sure", [None] * len(boxes))
    yield numbers, rows, confidence, np.inf


def _middles_inside(found: TileBoxes) -> NDArray[np.bool_]:
    """Which boxes have their middle in the tile that showed them, and an area."""
    middles = found.boxes.quads.mean(axis=1)
    low, high = np.split(found.tiles, 2, axis=1)
    inside = (middles >= low) & (middles <= high)
    return inside.all(axis=1) & (found.boxes.areas > 0)


def tile_words(question: ScanQuestion, plan: TilePlan, answers: TileAnswers) -> TileWords:
    """The tiles' answers in words."""
    rows = sorted((number, row["text"]) for number, row in answers)
    tiles = tuple(plan[number] for number, _ in rows)
    return TileWords(question, tiles, tuple(text for _, text in rows))
