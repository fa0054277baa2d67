"""`Chat`: lines that a person types, as questions and commands of a conversation."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.boxes import Boxes
from swath.endpoint import is_address, models_at
from swath.errors import RequestError
from swath.files import refuse_foreign_file, write_json
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_address as is_picture_address
from swath.imagery.video import SUFFIXES
from swath.inference.ask import Assistant
from swath.inference.talk import Talk, places_of, points_text
from swath.models.loading import base_of
from swath.registry import did_you_mean
from swath.serving.terminal.box_picture import draw_boxes

KIND = "swath chat"
"""Stands in a saved conversation, so that it is known as one."""

REGION, TUNED, BASE = "#ffd400", "#ff3030", "#30a0ff"
"""Colours of what was asked about, and of the boxes answered."""


@dataclass(frozen=True)
class Answers:
    """What models have answered so far.

    Args:
        texts: words by the model's name.
        notes: lines on the boxes they name, by the model's name; only at the end.
    """

    texts: dict[str, str]
    notes: dict[str, list[str]] | None = None


Event = str | Answers
"""A line to print, or answers that have grown."""


@dataclass
class Speaker:
    """A model, and what was said with it."""

    name: str
    assistant: Assistant
    talk: Talk

    @property
    def title(self) -> str:
        """Its name, without the address of its server."""
        return self.name.rpartition("#")[2] if is_address(self.name) else self.name


class Chat:
    """A conversation with a model, or with it and its base side by side.

    Args:
        name: a run, an exported folder, "swath-nano" or `http://host:8000/v1#model`.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """

    def __init__(self, name: str) -> None:
        self.ended = False
        self._tuned = Speaker(name, Assistant(name), Talk())
        self._base: Speaker | None = None
        self._region: list[list[float]] = []

    def handle(self, line: str) -> Iterator[Event]:
        """Answer a line; what is not a command is a question.

        An error leaves the conversation as it was, and so does a caller who stops listening.

        Raises:
            SwathError: the line cannot be followed.
        """
        line = line.strip()
        if not line.startswith("/"):
            if line:
                yield from self._ask(line)
            return
        word, _, rest = line.partition(" ")
        if word not in COMMANDS:
            raise RequestError(f"'{word}'{did_you_mean(word, COMMANDS)}")
        yield from COMMANDS[word].act(self, rest.strip())

    def show(self, sources: Sequence[str]) -> Iterator[Event]:
        """Begin a conversation about pictures.

        Raises:
            ImageryError: one cannot be opened.
        """
        paths = [source if is_picture_address(source) else _path(source) for source in sources]
        talks = [Talk.about(paths, speaker.assistant) for speaker in self._speakers]
        lines = [_about(picture) for picture in talks[-1].pictures]
        for speaker, talk in zip(self._speakers, talks, strict=True):
            speaker.talk = talk
        self._region = []
        yield from lines

    @property
    def _speakers(self) -> list[Speaker]:
        return [self._tuned] if self._base is None else [self._base, self._tuned]

    def _ask(self, question: str) -> Iterator[Event]:
        self._check_pictures()
        texts = {speaker.title: "" for speaker in self._speakers}
        notes: dict[str, list[str]] = {}
        talks = []
        for speaker in self._speakers:
            talk = speaker.talk
            for talk in speaker.talk.growing(speaker.assistant, question, self._region):
                texts[speaker.title] = talk.exchanges[-1].reply.text
                yield Answers(dict(texts))
            notes[speaker.title] = _notes(talk)
            talks.append(talk)
        yield Answers(texts, notes)
        for speaker, talk in zip(self._speakers, talks, strict=True):
            speaker.talk = talk
        self._region = []

    def _image(self, rest: str) -> Iterator[Event]:
        sources = _words(rest)
        if not sources:
            raise RequestError("name a picture, as in: /image scene.tif")
        yield from self.show(sources)

    def _clip(self, rest: str) -> Iterator[Event]:
        sources = _words(rest)
        if len(sources) != 1 or Path(sources[0]).suffix.lower() not in SUFFIXES:
            raise RequestError(f"name one clip ({', '.join(sorted(SUFFIXES))}): /clip flight.mp4")
        yield from self.show(sources)

    def _set_region(self, rest: str) -> Iterator[Event]:
        self._check_pictures()
        if not rest:
            self._region = []
            yield "no region"
            return
        box = _region_of(rest)
        width, height = open_scene(self._tuned.talk.pictures[0]).size_wh
        left, top, right, bottom = box.hbb[0]
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            raise RequestError(f"the region lies beyond the picture of {width} x {height} pixels.")
        self._region = box.to_rows()
        corners = points_text(box.quads[0], 1)
        yield f"region {corners}: goes into the next question, where it says [box] or at its end"

    def _draw(self, rest: str) -> Iterator[Event]:
        path = Path(_one(rest, "/boxes out.png")).expanduser()
        talk = self._tuned.talk
        if not talk.exchanges:
            raise RequestError("there is no answer yet; ask for something's place first.")
        exchange = talk.exchanges[-1]
        groups = {REGION: Boxes.from_rows(exchange.region)} if exchange.region else {}
        if self._base is not None and (base := self._base.talk.exchanges[-1].reply.boxes):
            groups[BASE] = base
        if exchange.reply.boxes is not None:
            groups[TUNED] = exchange.reply.boxes
        if not groups.keys() - {REGION}:
            raise RequestError("the last answer names no box, so there is nothing to draw.")
        rendering = self._tuned.assistant.rendering
        width, height = draw_boxes(talk.pictures[0], groups, path, rendering)
        yield f"{path}: {width} x {height} pixels"

    def _compare(self, rest: str) -> Iterator[Event]:
        if self._base is not None and not rest:
            yield f"{self._base.title} is asked no more"
            self._base = None
            return
        base = self._base_speaker(rest)
        exchanges = self._tuned.talk.exchanges
        for number, exchange in enumerate(exchanges, 1):
            grown = base.talk
            for grown in base.talk.growing(base.assistant, exchange.question, []):
                if number == len(exchanges):
                    text = grown.exchanges[-1].reply.text
                    yield Answers({base.title: text, self._tuned.title: exchange.reply.text})
            base.talk = grown
        if exchanges:
            pair = (base, self._tuned)
            texts = {each.title: each.talk.exchanges[-1].reply.text for each in pair}
            yield Answers(texts, {each.title: _notes(each.talk) for each in pair})
        self._base = base
        yield f"{base.title} answers beside {self._tuned.title}; /base again ends it"

    def _base_speaker(self, name: str) -> Speaker:
        """Another model that has seen the pictures, and was asked nothing."""
        tuned = self._tuned.name
        address, _, _ = tuned.partition("#")
        if is_address(tuned) and not is_address(name):
            listed = [card["id"] for card in models_at(address)]
            if name not in listed:
                raise RequestError(f"/base needs a model of the server: {', '.join(listed)}")
            name = f"{address}#{name}"
        name = name or base_of(tuned)
        if name == tuned:
            raise RequestError(f"{self._tuned.title} is what you talk to; name another model.")
        assistant = Assistant(name)
        return Speaker(name, assistant, Talk.about(self._tuned.talk.sources, assistant))

    def _save(self, rest: str) -> Iterator[Event]:
        path = Path(_one(rest, "/save talk.json")).expanduser()
        if not self._tuned.talk.exchanges:
            raise RequestError("nothing has been said yet, so there is nothing to save.")
        refuse_foreign_file(path, f'"kind": "{KIND}"'.encode())
        talks = [{"model": each.name, **each.talk.to_row()} for each in self._speakers]
        write_json(path, {"kind": KIND, "talks": talks})
        yield f"{path}: {len(self._tuned.talk.exchanges)} questions and their answers"

    def _help(self, _: str) -> Iterator[Event]:
        width = max(len(f"{word} {command.takes}") for word, command in COMMANDS.items())
        for word, command in COMMANDS.items():
            usage = f"{word} {command.takes}"
            yield f"{usage:{width}}  {command.about}"
        yield "Anything else is a question. Ctrl-C stops an answer, Ctrl-D ends."

    def _quit(self, _: str) -> Iterator[Event]:
        self.ended = True
        yield from ()

    def _check_pictures(self) -> None:
        if not self._tuned.talk.pictures:
            raise RequestError("no picture yet; name one, as in: /image scene.tif")


@dataclass(frozen=True)
class Command:
    """What a person may type.

    Args:
        takes: what stands behind its word.
        about: what it does.
        act: does it.
    """

    takes: str
    about: str
    act: Callable[[Chat, str], Iterator[Event]]


COMMANDS = {
    "/image": Command("FILE [FILE ...]", "begin about pictures or GeoTIFFs", Chat._image),
    "/clip": Command("FILE", "begin about a clip", Chat._clip),
    "/region": Command(
        "x1 y1 x2 y2 [angle]", "ask about this part of it, in pixels", Chat._set_region
    ),
    "/boxes": Command("out.png", "draw the last answer's boxes", Chat._draw),
    "/base": Command("[MODEL]", "have its base answer beside it, or no more", Chat._compare),
    "/save": Command("FILE", "write the conversation as JSON", Chat._save),
    "/help": Command("", "list these", Chat._help),
    "/quit": Command("", "end", Chat._quit),
}


def _words(rest: str) -> list[str]:
    """Names of files; those with spaces stand in quotes."""
    try:
        return shlex.split(rest)
    except ValueError:
        raise RequestError("a quote is opened and not closed.") from None


def _one(rest: str, usage: str) -> str:
    words = _words(rest)
    if len(words) != 1:
        raise RequestError(f"name one file, as in: {usage}")
    return words[0]


def _path(source: str) -> str:
    return str(Path(source).expanduser())


def _region_of(rest: str) -> Boxes:
    """A box of two corners, turned clockwise about its middle by an angle in degrees."""
    try:
        values = [float(word) for word in rest.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) not in (4, 5) or not all(map(math.isfinite, values)):
        raise RequestError("a region is four numbers and perhaps an angle: /region 10 20 80 60 30")
    (x1, y1, x2, y2), angle = values[:4], values[4:] or [0.0]
    width, height = abs(x2 - x1), abs(y2 - y1)
    if not width or not height:
        raise RequestError("the region has no width or no height; name two opposite corners.")
    return Boxes.from_rotated([(x1 + x2) / 2, (y1 + y2) / 2, width, height, angle[0]])


def _about(picture: str) -> str:
    """What a picture is: its name and size, and where it lies."""
    scene = open_scene(picture)
    width, height = scene.size_wh
    words = f"{Path(picture).name}: {width} x {height} pixels"
    if scene.crs is not None and scene.gsd_m is not None:
        crs = scene.crs if len(scene.crs) < 20 else "a CRS of its own"
        words += f", {crs}, {scene.gsd_m:.3g} m a pixel"
    return words


def _notes(talk: Talk) -> list[str]:
    """Lines that say where the boxes of the last answer lie."""
    boxes = talk.exchanges[-1].reply.boxes
    if boxes is None:
        return []
    lines = []
    for number, place in enumerate(places_of(talk.pictures[0], boxes), 1):
        line = f"box {number}, pixels: {points_text(place.pixels, 1)}"
        if place.lonlat is not None:
            line += f"; longitude, latitude: {points_text(place.lonlat, 6)}"
        lines.append(line)
    return lines
