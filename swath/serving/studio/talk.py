"""A conversation about pictures, turn by turn, as the page keeps and shows it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swath.boxes import Boxes
from swath.imagery.opening import open_scene
from swath.imagery.raster import allow
from swath.imagery.scene import is_address
from swath.inference.ask import Assistant, Reply
from swath.serving.studio.page_words import Words

MARK = "[box]"
"""Where a drawn region stands in a question."""


@dataclass(frozen=True)
class Exchange:
    """A question and its answer.

    Args:
        question: with the region written into it.
        region: what was drawn, rows of eight pixel values.
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
        choices: Sequence[str],
    ) -> Talk:
        """The conversation with one more question and its answer.

        Raises:
            RequestError: the question is empty, or there is no picture.
            ImageryError: a picture is gone.
            ModelError: the model cannot read so many pictures.
        """
        written = with_region(question, region)
        before = self.exchanges[-1].reply.turns if self.exchanges else ()
        sources = () if before else self.sources
        reply = assistant.ask(sources, written, choices, before=before)
        exchange = Exchange(written, region, tuple(choices), reply)
        return replace(self, exchanges=(*self.exchanges, exchange))

    def rows(self, words: Words) -> list[dict[str, Any]]:
        """The turns as the page lists them."""
        rows: list[dict[str, Any]] = []
        for exchange in self.exchanges:
            rows.append({"who": "you", "text": exchange.question})
            reply = exchange.reply
            notes = [f"{share:.1%}  {choice}" for choice, share in _by_share(reply)]
            if reply.boxes is not None:
                notes += places(self.pictures[0], reply.boxes, words)
            rows.append({"who": "model", "text": reply.text, "notes": notes})
        return rows

    def boxes(self, number: int, words: Words) -> list[dict[str, Any]]:
        """The boxes of one exchange as the canvas draws them: asked about, and answered."""
        exchange = self.exchanges[number]
        boxes: list[dict[str, Any]] = [
            {"quad": quad, "style": "asked", "label": ""} for quad in exchange.region
        ]
        if exchange.reply.boxes is not None:
            for place, quad in enumerate(exchange.reply.boxes.to_rows(2), 1):
                boxes.append({"quad": quad, "style": "answered", "label": str(place)})
        return boxes

    def command(self, model: str, words: Words) -> str:
        """The last question as a command."""
        if not self.exchanges:
            return ""
        exchange = self.exchanges[-1]
        first, *later = self.sources
        arguments = ["swath", "ask", model, first, exchange.question]
        for source in later:
            arguments += ["--then", source]
        for choice in exchange.choices:
            arguments += ["--choice", choice]
        line = shlex.join(arguments)
        turn = len(self.exchanges)
        return line if turn == 1 else f"{line}\n{words('chat.later', number=turn)}"


def with_region(question: str, region: list[list[float]]) -> str:
    """A question with a drawn region in it: where it says `[box]`, or behind its words."""
    if not region:
        return question
    numbers = " ".join(f"{value:g}" for value in region[0])
    box = f"[box {numbers}]"
    if MARK in question:
        return question.replace(MARK, box)
    return f"{question.rstrip()} {box}" if question.strip() else ""


def places(picture: str, boxes: Boxes, words: Words) -> list[str]:
    """Lines that say where boxes lie: in pixels, and on Earth where the picture knows."""
    lines = []
    georeference = open_scene(picture).georeference
    on_earth = georeference is not None and georeference.on_earth
    for number, quad in enumerate(boxes.quads, 1):
        line = (
            f"{words('chat.box', number=number)}: {words('chat.pixels', corners=_points(quad, 1))}"
        )
        if georeference is not None and on_earth:
            degrees = georeference.to_lonlat(quad)
            if np.isfinite(degrees).all():
                line += f"; {words('chat.lonlat', corners=_points(degrees, 6))}"
        lines.append(line)
    return lines


def _points(points: Any, decimals: int) -> str:
    return " ".join(f"({x:.{decimals}f}, {y:.{decimals}f})" for x, y in points)


def _by_share(reply: Reply) -> list[tuple[str, float]]:
    return sorted(reply.shares.items(), key=lambda pair: pair[1], reverse=True)
