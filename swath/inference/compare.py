"""Compare: what has changed between two dates of a place, tile by tile, on the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from swath.boxes import Boxes
from swath.inference.scenes.merging import TileBoxes, merge
from swath.inference.scenes.scan_results import UNKNOWN
from swath.inference.scenes.tile_plan import TunedOn, tile_plan
from swath.inference.two_dates.alignment import Pair
from swath.inference.two_dates.damage_counts import DamageCounts, summed
from swath.inference.two_dates.pair_asking import PairAsker, PairTile
from swath.inference.two_dates.pair_questions import PairQuestion, PairQuestions
from swath.models.encoding import batches
from swath.models.engine import Engine

_TOGETHER = 16  # tiles asked about at a time

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Changes:
    """What was pointed at, each object once.

    Args:
        boxes: n oriented boxes, pixels of the earlier picture.
        names: class of each, "change" where the model knows no other.
        confidence: how sure it is of each, 0 to 1; None where that is not known.
    """

    boxes: Boxes
    names: tuple[str, ...]
    confidence: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What has changed between two dates.

    Args:
        model: that was asked.
        pair: the two pictures.
        questions: as they were put.
        changes: what was pointed at.
        tiles: what was asked about, and what was not.
        counted: tiles without overlap, in which buildings were counted.
        caption: what has changed over all of both; None if that was not asked.
    """

    model: str
    pair: Pair
    questions: tuple[PairQuestion, ...]
    changes: Changes
    tiles: tuple[PairTile, ...]
    counted: tuple[PairTile, ...]
    caption: str | None

    @property
    def complete(self) -> bool:
        """Whether every tile was asked about or skipped for a reason."""
        return not any(tile.failed for tile in (*self.tiles, *self.counted))

    @property
    def damage(self) -> DamageCounts | None:
        """Buildings by damage over all tiles; None where that was not asked."""
        if not any(question.kind == "damage" for question in self.questions):
            return None
        return summed([tile.damage for tile in self.counted if tile.damage is not None])

    def to_row(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        before, after = self.pair.names
        damage = self.damage
        unread = [tile for tile in self.counted if tile.asked and tile.damage is None]
        tiles = self.tiles or self.counted
        return {
            "kind": "comparison",
            "complete": self.complete,
            "model": self.model,
            "before": before,
            "after": after,
            **self.pair.to_row(),
            "questions": [question.to_row() for question in self.questions],
            "caption": self.caption,
            "changes": len(self.changes),
            "damage": None if damage is None else damage.to_row(),
            "damage_unread": len(unread),
            "asked": sum(tile.asked for tile in tiles),
            "skipped": sum(bool(tile.skipped) for tile in tiles),
            "failed": sum(bool(tile.failed) for tile in tiles),
            "tiles": [tile.to_row() for tile in self.tiles],
            "counted": [tile.to_row() for tile in self.counted],
        }


def compare(
    model: str,
    engine: Engine,
    pair: Pair,
    questions: PairQuestions,
    tuned: TunedOn,
    gsd_m: float | None = None,
    overlap: float | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """What a model says has changed.

    Args:
        model: its name.
        engine: asks it.
        pair: both dates on one grid.
        questions: what it is asked.
        tuned: the pictures that it was tuned on.
        gsd_m: metres of ground a pixel of those measured, where they do not say.
        overlap: share of a tile that neighbours have in common; nothing: an object's length.
        progress: called with tiles done and in all.

    Raises:
        TilingError: a tile would be of hardly any pixels.
        ModelError: the model reads one picture at a time.
    """
    plan = tile_plan(pair.before, tuned, gsd_m, overlap, region=pair.region)
    counting = [question for question in questions.questions if question.kind == "damage"]
    looking = [question for question in questions.questions if question.kind != "damage"]
    asker = PairAsker(engine, pair, questions)
    # What is counted must lie in one tile alone, so those tiles do not overlap.
    tiles = [asker.looked_at(tile) for tile in plan] if looking else []
    apart = replace(plan, overlap_px=None)
    counted = [asker.looked_at(tile) for tile in apart] if counting else []
    total = len(tiles) + len(counted)
    done = 0
    for rows, kinds in ((tiles, looking), (counted, counting)):
        for group in batches(rows, _TOGETHER):
            asker.ask([tile for tile in group if tile.asked], kinds)
            done += len(group)
            if progress:
                progress(done, total)
    return Comparison(
        model=model,
        pair=pair,
        questions=questions.questions,
        changes=_changes(tiles, pair),
        tiles=tuple(tiles),
        counted=tuple(counted),
        caption=_caption(asker, tiles, looking, pair),
    )


def _changes(tiles: list[PairTile], pair: Pair) -> Changes:
    """What the boxes of all tiles point at, each object once."""
    rows: list[list[float]] = []
    names: list[str] = []
    confidence: list[float | None] = []
    numbers: list[int] = []
    for number, tile in enumerate(tiles):
        for name, boxes in tile.boxes.items():
            count = len(boxes)
            rows += boxes.to_rows()
            names += [name] * count
            confidence += [tile.changed] * count
            numbers += [number] * count
    classes = sorted(set(names))
    labels = [classes.index(name) for name in names]
    known = [UNKNOWN if share is None else share for share in confidence]
    windows = [tile.tile for tile in tiles]
    found = TileBoxes.shown_by(windows, numbers, rows, known, pair.whole.bounds, labels)
    merged = merge(found)
    measured = any(share is not None for share in confidence)
    shares = [float(share) if measured else None for share in merged.confidence]
    return Changes(merged.boxes, tuple(classes[row] for row in merged.labels), tuple(shares))


def _caption(
    asker: PairAsker, tiles: list[PairTile], questions: list[PairQuestion], pair: Pair
) -> str | None:
    """What has changed over all of both: the caption of the only tile, or of one that is all."""
    captions = [question for question in questions if question.kind == "caption"]
    if not captions or not any(tile.asked for tile in tiles):
        return None
    if len(tiles) == 1:
        return tiles[0].texts["caption"]
    whole = PairTile(pair.whole)
    asker.ask([whole], captions)
    return whole.texts["caption"]
