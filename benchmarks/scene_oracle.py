"""An engine that knows a drawn place, to measure scans apart from what a model has learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from swath.boxes import Boxes, rectangle_around
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import parts_of
from swath.imagery.terrain.place import Place, _height
from swath.inference.scan import ScanModel
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.tile_asking import TileAsker
from swath.inference.scenes.tile_plan import TunedOn
from swath.models.engine import Answer

LEAST = 0.1
"""Share of an object that a tile must show for the oracle to see it."""


class Oracle:
    """Answers with the boxes that a tile shows, cut at its border as a model would.

    Args:
        place: what lies where.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked: list[str] = []
        self.outlines = shapely.polygons(place.boxes.quads)
        self.tree = shapely.STRtree(self.outlines)

    def answer(self, questions: Any, *how: Any, **more: Any) -> list[Answer]:
        self.asked += [question.images[0].path for question in questions]
        return [self._answer(question) for question in questions]

    def score(self, questions: Any, candidates: Any, progress: Any = None) -> list[Any]:
        self.asked += [question.images[0].path for question in questions]
        return [np.log(self._shares(*pair)) for pair in zip(questions, candidates, strict=True)]

    def _shares(self, question: Any, texts: Any) -> Any:
        """Most for the class whose ground covers most of the tile, the more the more it covers."""
        x, y, width, height = map(int, parts_of(question.images[0].path)[2].split(","))
        columns = np.arange(x, x + width)[None] + 0.5
        rows = np.arange(y, y + height)[:, None] + 0.5
        wet = (_height(columns, rows, self.place.seed) < 0).mean()
        sure = 0.55 + 0.4 * abs(2 * wet - 1)
        shares = np.full(len(texts), (1 - sure) / (len(texts) - 1))
        shares[texts.index("water" if wet >= 0.5 else "dry land")] = sure
        return shares

    def _answer(self, question: Any) -> Answer:
        x, y, width, height = map(int, parts_of(question.images[0].path)[2].split(","))
        window = shapely.box(x, y, x + width, y + height)
        quads = []
        for row in np.sort(self.tree.query(window)):
            outline, name = self.outlines[row], self.place.names[row]
            piece = outline.intersection(window)
            if name in question.text("user") and piece.area > LEAST * outline.area:
                quads.append(rectangle_around(shapely.get_coordinates(piece)))
        if "How many" in question.text("user"):
            return Answer(str(len(quads)))
        if not quads:
            return Answer("none")
        boxes = Boxes(np.array(quads)).shifted((-x, -y))
        return Answer("boxes", boxes, confidence=(0.9,) * len(quads))


CLASSES = Tuning(
    tasks=frozenset({"classify", "ground"}), choices={"land": "dry land", "water": "water"}
)
"""Of a run that was tuned to tell land from water, and to point."""


def oracle_model(
    place: Place, *questions: str, side_px: int = 96, tuning: Tuning | None = None, **how: Any
) -> ScanModel:
    """The oracle as a scan asks it, about tiles of a side."""
    asks = scan_questions(questions, tuning or Tuning(), **how)
    tuned = TunedOn(side_px, object_share=0.5)
    return ScanModel("oracle", "of a test", tuned, PLAIN, TileAsker(Oracle(place), asks))
