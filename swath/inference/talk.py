"""A conversation about pictures, turn by turn, whoever shows it: a page or a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.imagery.opening import open_scene
from swath.imagery.raster import allow
from swath.imagery.scene import is_address
from swath.inference.ask import Assistant, Reply
from swath.inference.retrieval import Index

MARK = "[box]"
"""Where a region stands in a question."""


@dataclass(frozen=True)
class Exchange:
    """A question and its answer.

    Args:
        question: with the region written into it.
        region: what was asked about, rows of eight pixel values.
        choices: answers that it was chosen among.
        reply: the answer.
    """

    question: str
    region: list[list[float]]
    choices: tuple[str, ...]
    reply: Reply


@dataclass(frozen=True)
class Talk:
    """A conversation so far.

    Args:
        sources: what it is about, as chosen.
        pictures: names of the pictures that the model is shown of it.
        exchanges: in order.
    """

    sources: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @classmethod
    def about(cls, sources: Sequence[str], assistant: Assistant) -> Talk:
        """A conversation that begins, about sources that a person named.

        Raises:
            ImageryError: one cannot be opened.
        """
        for source in sources:
            if is_address(source):
                allow(source)
        return cls(tuple(sources), assistant.pictures(sources))

    def asked(
        self,
        assistant: Assistant,
        question: str,
        region: list[list[float]],
        choices: Sequence[str] = (),
        index: Index | None = None,
    ) -> Talk:
        """The conversation with one more question and its answer.

        Raises:
            RequestError: the question is empty, there is no picture, or the index is of another
                model.
            ImageryError: a picture is gone.
            ModelError: the model cannot read so many pictures.
        """
        written = with_region(question, region)
        reply = assistant.ask(self._unseen, written, choices, before=self._before, index=index)
        return self._with(Exchange(written, region, tuple(choices), reply))

    def growing(
        self, assistant: Assistant, question: str, region: list[list[float]]
    ) -> Iterator[Talk]:
        """The same as the answer grows; the last one is whole. Raises as `asked`."""
        written = with_region(question, region)
        for reply in assistant.stream(self._unseen, written, before=self._before):
            yield self._with(Exchange(written, region, (), reply))

    def to_row(self) -> dict[str, Any]:
        """The conversation as a JSON object; boxes are eight pixels of the first picture."""
        rows = []
        for exchange in self.exchanges:
            reply = exchange.reply
            row: dict[str, Any] = {"question": exchange.question, "answer": reply.text}
            if reply.shares:
                row["shares"] = dict(reply.shares)
            if reply.boxes is not None:
                row["boxes"] = reply.boxes.to_rows(2)
                places = places_of(self.pictures[0], reply.boxes)
                if all(place.lonlat is not None for place in places):
                    row["lonlat"] = [place.lonlat for place in places]
            rows.append(row)
        return {"pictures": list(self.pictures), "exchanges": rows}

    @property
    def _before(self) -> tuple[Any, ...]:
        return self.exchanges[-1].reply.turns if self.exchanges else ()

    @property
    def _unseen(self) -> tuple[str, ...]:
        """What the next question has to show: later ones keep the pictures in sight."""
        return () if self._before else self.sources

    def _with(self, exchange: Exchange) -> Talk:
        return replace(self, exchanges=(*self.exchanges, exchange))


@dataclass(frozen=True)
class Place:
    """Where a box lies.

    Args:
        pixels: (4, 2) corners in the picture.
        lonlat: (4, 2) their longitude and latitude; None where the picture does not say.
    """

    pixels: NDArray[np.float64]
    lonlat: NDArray[np.float64] | None


def places_of(picture: str, boxes: Boxes) -> list[Place]:
    """Where boxes lie: in pixels, and on Earth where the picture knows."""
    georeference = open_scene(picture).georeference
    on_earth = georeference is not None and georeference.on_earth
    places = []
    for quad in boxes.quads:
        lonlat = None
        if georeference is not None and on_earth:
            degrees = georeference.to_lonlat(quad)
            lonlat = degrees if np.isfinite(degrees).all() else None
        places.append(Place(quad, lonlat))
    return places


def with_region(question: str, region: list[list[float]]) -> str:
    """A question with a region in it: where it says `[box]`, or behind its words."""
    if not region:
        return question
    numbers = " ".join(f"{value:.12g}" for value in region[0])
    box = f"[box {numbers}]"
    if MARK in question:
        return question.replace(MARK, box)
    return f"{question.rstrip()} {box}" if question.strip() else ""


def points_text(points: NDArray[np.float64], decimals: int) -> str:
    """Corners as people read them: `(x, y) (x, y) ...`."""
    return " ".join(f"({x:.{decimals}f}, {y:.{decimals}f})" for x, y in points)
