"""Asking about a pair: all questions of its tiles, each tile looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from swath.boxes import Boxes
from swath.errors import ImageryError
from swath.evaluation.papers.reading_rules import strict_damage
from swath.imagery.scene import Scene
from swath.imagery.tiling import Tile
from swath.imagery.windows import tile_path
from swath.inference.two_dates.alignment import Pair
from swath.inference.two_dates.damage_counts import DamageCounts
from swath.inference.two_dates.pair_questions import YES_NO, PairQuestion, PairQuestions
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.pairs import damage_schema
from swath.models.engine import Answer, Engine

LONGEST = {"ground": 256, "damage": 96, "caption": 128, "own": 256}
"""Tokens that an answer may take, by kind of question."""

EMPTY = "one of the dates was never observed there"

_DECIMALS = 3  # of pixels
_LOOK_PX = 32  # side at which a tile is looked at to see whether it shows anything


@dataclass(eq=False)
class PairTile:
    """One tile of a pair and what was said of it.

    Args:
        tile: pixels of the earlier picture.
        skipped: why it was not asked about; "" where it was.
        failed: why it cannot be read; "" where it can.
        changed: share of the probability that anything changed; None if that was not asked.
        texts: answers in words, by kind of question.
        boxes: what was pointed at, pixels of the earlier picture, by class.
        damage: buildings by damage; None if that was not asked, or the answer said none.
    """

    tile: Tile
    skipped: str = ""
    failed: str = ""
    changed: float | None = None
    texts: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, Boxes] = field(default_factory=dict)
    damage: DamageCounts | None = None

    @property
    def asked(self) -> bool:
        """Whether the model was asked about it."""
        return not self.skipped and not self.failed

    def to_row(self) -> dict[str, Any]:
        """The tile as a JSON object, without what was not asked."""
        row: dict[str, Any] = {"window": [*self.tile.origin_xy, *self.tile.size_wh]}
        if self.skipped:
            row["skipped"] = self.skipped
        if self.failed:
            row["failed"] = self.failed
        if self.changed is not None:
            row["changed"] = round(self.changed, 5)
        row |= self.texts
        for name, boxes in self.boxes.items():
            row.setdefault("boxes", {})[name] = boxes.quads.reshape(-1, 8).round(_DECIMALS).tolist()
        if self.damage is not None:
            row["damage"] = self.damage.to_row()
        return row


class PairAsker:
    """Asks one model about one pair.

    Args:
        engine: of the model.
        pair: both dates on one grid.
        questions: how they are put.
    """

    def __init__(self, engine: Engine, pair: Pair, questions: PairQuestions) -> None:
        self._engine, self._pair, self._questions = engine, pair, questions

    def looked_at(self, tile: Tile) -> PairTile:
        """A tile, and why it is not asked about, if so."""
        try:
            observed = _observed(self._pair.before, tile) and _observed(self._pair.after, tile)
        except ImageryError as error:
            return PairTile(tile, failed=str(error))
        return PairTile(tile, skipped="" if observed else EMPTY)

    def ask(self, tiles: Sequence[PairTile], questions: Sequence[PairQuestion]) -> None:
        """Write into tiles what the model answers to each question.

        Raises:
            ModelError: it reads one picture at a time.
        """
        for question in questions:
            conversations = [self._conversation(question, tile.tile) for tile in tiles]
            if question.kind == "changed":
                self._weigh(tiles, conversations)
                continue
            schema = damage_schema() if question.kind == "damage" else None
            longest = LONGEST[question.kind]
            answers = self._engine.answer(conversations, longest, schema=schema)
            for tile, answer in zip(tiles, answers, strict=True):
                _write(tile, question, answer)

    def _conversation(self, question: PairQuestion, tile: Tile) -> Conversation:
        before, after = self._pair.names
        pictures = (tile_path(before, tile), tile_path(after, tile))
        return self._questions.about(question, pictures, tile.size_wh)

    def _weigh(self, tiles: Sequence[PairTile], conversations: Sequence[Conversation]) -> None:
        scores = self._engine.score(conversations, [YES_NO] * len(tiles))
        for tile, logs in zip(tiles, scores, strict=True):
            if np.isfinite(logs).any():  # a model elsewhere may have named neither
                weights = np.exp(logs - logs.max())
                tile.changed = float(weights[0] / weights.sum())


def _observed(scene: Scene, tile: Tile) -> bool:
    """Whether a tile shows anything; what was never observed is black."""
    return bool(scene.read_rgb(tile, (_LOOK_PX, _LOOK_PX)).any())


def _write(tile: PairTile, question: PairQuestion, answer: Answer) -> None:
    """Keep an answer with its tile."""
    if question.kind == "damage":
        counts = strict_damage(answer.text)
        if counts is not None:
            tile.damage = DamageCounts.of_answer(counts)
        return
    if question.kind != "ground":
        tile.texts[question.kind] = answer.text
    if answer.boxes is not None and question.kind != "caption":
        tile.boxes[question.name] = answer.boxes.shifted(tile.tile.origin_xy)
