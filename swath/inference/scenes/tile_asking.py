"""Asking tiles: all questions about a group of tiles at once, each tile looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.tile_reading import TileRead
from swath.instructions.conversation import Conversation, Image, system, user
from swath.models.engine import Answer, Engine

LONGEST = {"boxes": 256, "count": 256, "number": 16, "words": 128}
"""Tokens that an answer may take."""

_DECIMALS = 3  # of pixels
_SHARES = 5  # decimals of probabilities


@dataclass(frozen=True, eq=False)
class TileAsker:
    """Asks one model.

    Args:
        engine: of the model.
        questions: asked of each tile.
        instruction: that the model was tuned with, "" without one.
    """

    engine: Engine
    questions: Sequence[ScanQuestion]
    instruction: str = ""

    def of(self, places: Sequence[int]) -> TileAsker:
        """The same for some of the questions."""
        return replace(self, questions=[self.questions[place] for place in places])

    def answers(self, tiles: Sequence[TileRead]) -> dict[int, list[dict[str, Any]]]:
        """What each tile answered to each question, by the tile's number, as journals hold it."""
        rows: dict[int, list[dict[str, Any]]] = {}
        for tile in tiles:
            rows[tile.number] = [{} for _ in self.questions]
        pairs = [(tile, place) for tile in tiles for place in range(len(self.questions))]
        self._answer_freely([pair for pair in pairs if not self._choices(pair[1])], rows)
        self._choose([pair for pair in pairs if self._choices(pair[1])], rows)
        return rows

    def _choices(self, place: int) -> list[str]:
        return list(self.questions[place].choices.values())

    def _answer_freely(self, pairs: Sequence[tuple[TileRead, int]], rows: Any) -> None:
        if not pairs:
            return
        asks = [self._conversation(tile, place) for tile, place in pairs]
        longest = max(LONGEST[self.questions[place].kind] for _, place in pairs)
        replies = self.engine.answer(asks, longest)
        for (tile, place), reply in zip(pairs, replies, strict=True):
            boxed = self.questions[place].boxed
            rows[tile.number][place] = _boxes_row(tile, reply) if boxed else {"text": reply.text}

    def _choose(self, pairs: Sequence[tuple[TileRead, int]], rows: Any) -> None:
        if not pairs:
            return
        asks = [self._conversation(tile, place) for tile, place in pairs]
        scores = self.engine.score(asks, [self._choices(place) for _, place in pairs])
        for (tile, place), logs in zip(pairs, scores, strict=True):
            if not np.isfinite(logs).any():  # a model elsewhere named none
                rows[tile.number][place] = {"shares": None}
                continue
            weights = np.exp(logs - logs.max())
            shares = weights / weights.sum()
            rows[tile.number][place] = {"shares": shares.round(_SHARES).tolist()}

    def _conversation(self, tile: TileRead, place: int) -> Conversation:
        question = self.questions[place]
        image = Image(tile.path, tile.tile.size_wh)
        turns = [system(self.instruction)] if self.instruction else []
        turns.append(user(image, "\n" + question.text))
        return Conversation(id=tile.path, task=question.task, turns=tuple(turns))


def _boxes_row(tile: TileRead, reply: Answer) -> dict[str, Any]:
    """Boxes in the scene's pixels with how sure each is; words where there is none."""
    if reply.boxes is None:
        return {"text": reply.text}
    boxes = reply.boxes.shifted(tile.tile.origin_xy)
    row: dict[str, Any] = {"boxes": boxes.to_rows(_DECIMALS)}
    if reply.confidence:
        row["sure"] = [round(share, _SHARES) for share in reply.confidence]
    return row
