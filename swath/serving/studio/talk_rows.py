"""A conversation as the page lists it, draws it and says it as a command."""

from __future__ import annotations

import shlex
from typing import Any

from swath.boxes import Boxes
from swath.inference.ask import Reply
from swath.inference.talk import Talk, places_of, points_text
from swath.serving.studio.page_words import Words


def rows_of(talk: Talk, words: Words) -> list[dict[str, Any]]:
    """The turns as the page lists them."""
    rows: list[dict[str, Any]] = []
    for exchange in talk.exchanges:
        rows.append({"who": "you", "text": exchange.question})
        reply = exchange.reply
        notes = [f"{share:.1%}  {choice}" for choice, share in _by_share(reply)]
        if reply.boxes is not None:
            notes += _places(talk.pictures[0], reply.boxes, words)
        notes += [words("chat.source", place=passage.cited) for passage in reply.sources]
        for picture in reply.pictures:
            label = picture.label or "?"
            notes.append(words("chat.like", file=picture.file, label=label))
        rows.append({"who": "model", "text": reply.text, "notes": notes})
    return rows


def boxes_of(talk: Talk, number: int) -> list[dict[str, Any]]:
    """The boxes of one exchange as the canvas draws them: asked about, and answered."""
    exchange = talk.exchanges[number]
    boxes: list[dict[str, Any]] = [
        {"quad": quad, "style": "asked", "label": ""} for quad in exchange.region
    ]
    if exchange.reply.boxes is not None:
        for place, quad in enumerate(exchange.reply.boxes.to_rows(2), 1):
            boxes.append({"quad": quad, "style": "answered", "label": str(place)})
    return boxes


def command_of(talk: Talk, model: str, words: Words, index: str = "") -> str:
    """The last question as a command, asked with an index of documents or without one."""
    if not talk.exchanges:
        return ""
    exchange = talk.exchanges[-1]
    first, *later = talk.sources
    arguments = ["swath", "ask", model, first, exchange.question]
    for source in later:
        arguments += ["--then", source]
    for choice in exchange.choices:
        arguments += ["--choice", choice]
    arguments += ["--with", index] if index else []
    line = shlex.join(arguments)
    turn = len(talk.exchanges)
    return line if turn == 1 else f"{line}\n{words('chat.later', number=turn)}"


def _places(picture: str, boxes: Boxes, words: Words) -> list[str]:
    lines = []
    for number, place in enumerate(places_of(picture, boxes), 1):
        pixels = words("chat.pixels", corners=points_text(place.pixels, 1))
        line = f"{words('chat.box', number=number)}: {pixels}"
        if place.lonlat is not None:
            line += f"; {words('chat.lonlat', corners=points_text(place.lonlat, 6))}"
        lines.append(line)
    return lines


def _by_share(reply: Reply) -> list[tuple[str, float]]:
    return sorted(reply.shares.items(), key=lambda pair: pair[1], reverse=True)
