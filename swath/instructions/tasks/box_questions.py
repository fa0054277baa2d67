"""Questions that boxes, labels and metadata answer: more of which, how large, where, on which side.

Each is asked only where the answer is sure: of classes that the source boxes wherever they are, of
objects that a phrase singles out, of areas far from the bounds of an answer. What is asked of an
image leans to what is rare among the others; `Balance` leaves out what words alone would answer.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from swath.annotations.image import AnnotatedImage
from swath.instructions.attributes import ground_m, places_of
from swath.instructions.conversation import Conversation, assistant
from swath.instructions.language import Look, plural, spoken
from swath.instructions.language_chinese import translated
from swath.instructions.relations import Layout
from swath.instructions.tasks.balance import Asked
from swath.instructions.tasks.base import Asks, Fact, Setting, Task, ask_fact
from swath.instructions.tasks.boxes import alone, expressions
from swath.instructions.tasks.truths import AnswerTruth, LabelsTruth

_TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

_PLAINLY_MORE = (
    2.0  # how much larger an area of boxes must be, which are larger than what is in them
)
_AREA_BOUNDS_M2 = (10.0, 100.0, 1000.0, 10_000.0)
_OFF_BOUND = 1.6  # how far from a bound an area lies, as a factor


def comparison(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """Whether there are more of one class than of another."""
    counts = {name: image.names.count(name) for name in image.listed}
    pairs = [
        pair for pair in itertools.permutations(counts, 2) if counts[pair[0]] > counts[pair[1]]
    ]

    def drawn(pair: tuple[str, str]) -> float:
        more, fewer = (setting.shown.get(name, 0.5) for name in pair)
        weight = (1.05 - more) * (0.05 + fewer)  # what other pictures do not show so is drawn first
        return rng.random() ** (1 / weight)

    pairs.sort(key=drawn, reverse=True)
    pairs.sort(key=lambda pair: not counts[pair[1]])  # of two that are there, if there are any
    return [
        _compared("comparison", pair, setting, rng)
        for pair in pairs[: setting.section.counts_per_image]
    ]


def presence(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """Whether there are any of a class that is there, and of one that is not."""
    grammar = setting.phrasing.grammar
    present = sorted(set(image.names))
    absent = absent_classes(image)
    if image.questions or not present or not absent:
        return []
    asked = []
    for name, answer in (
        (unexpected(present, setting, rng), grammar.yes),
        (plausible(absent, setting, rng), grammar.no),
    ):
        words = {"question": grammar.is_there(name)}
        asked.append(Asked("presence", answer, words, (name,)))
    return asked


def area(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """How much ground a class covers, where metres are known; else which of two covers more."""
    areas = _areas_px(image)
    gsd_m = ground_m(image) if areas else None
    if gsd_m is not None:
        asked: list[Asked] = []
        for name, area_px in areas.items():
            area_m2 = area_px * gsd_m**2
            off = max(
                _OFF_BOUND * min(area_m2, bound) / max(area_m2, bound) for bound in _AREA_BOUNDS_M2
            )
            if off < 1:
                place = int(np.searchsorted(_AREA_BOUNDS_M2, area_m2))
                words = {"names": plural(spoken(name))}
                answers = _answers(setting)["areas"]
                asked.append(Asked("area", answers[place], words, (name,), "", len(answers)))
        rng.shuffle(asked)
        return asked[: setting.section.counts_per_image]
    pairs = [
        (larger, smaller)
        for larger in areas
        for smaller in areas
        if areas[larger] >= _PLAINLY_MORE * areas[smaller]
    ]
    if not pairs:
        return []
    return [_compared("area", rng.choice(pairs), setting, rng, "cover")]


def rural_urban(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """Whether a scene of a class that tells is rural or urban."""
    kind = _rural_urban().get(spoken(image.label or ""))
    return [] if kind is None else [Asked("rural_urban", _answers(setting)[kind])]


def position(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """In which part of the picture an object is that other words single out."""
    places = setting.phrasing.grammar.places
    looks = setting.looks.of(image) if image.names else ()
    asked = []
    for row, look in _by_itself(image, setting).items():
        place = looks[row].place
        if place is not None:
            words = {"phrase": setting.phrasing.grammar.the(look)}
            about = (look.name,)
            asked.append(Asked("position", places[place], words, about, "", len(places)))
    rng.shuffle(asked)
    return asked[: setting.section.boxes_per_image]


def relation(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """On which side of one object another is; either may be the one that is asked of."""
    grammar = setting.phrasing.grammar
    phrases = {row: grammar.the(look) for row, look in _by_itself(image, setting).items()}
    if len(phrases) < 2:
        return []
    layout = Layout(image.boxes)
    sides = _answers(setting)["sides"]
    rows = list(phrases)
    asked: list[Asked] = []
    for _ in range(setting.section.boxes_per_image):
        first, second = rng.sample(rows, 2)
        side = int(layout.sides_of(np.array([first]), np.array([second]))[0])
        words = {"phrase": phrases[first], "other": phrases[second]}
        if side >= 0 and not any(words == earlier.words for earlier in asked):
            about = (image.names[first], image.names[second])
            asked.append(Asked("relation", sides[side], words, about, "", len(sides)))
    return asked


def premise(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """Where an object is: of one that is there, and of one that is not, which is to be said."""
    answers = _answers(setting)
    places = places_of(image) if image.names else []
    present = [
        (look.name, places[row])
        for row, look in alone(image, setting).items()
        if places[row] is not None
    ]
    absent = absent_classes(image)
    if not present or not absent:
        return []
    name, place = rng.choice(present)
    where = setting.phrasing.grammar.places[place or 0]
    there = answers["is_at"].format(name=spoken(name), place=where)
    other = plausible(absent, setting, rng)
    missing = answers["is_none"].format(name=spoken(other))
    return [
        Asked("premise", there, {"name": spoken(name)}, (name,), "there"),
        Asked("premise", missing, {"name": spoken(other)}, (other,), "absent"),
    ]


def resolution(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """How many metres of ground a pixel of the file shows."""
    gsd_m = ground_m(image)
    return [] if gsd_m is None else [Asked("resolution", f"{float(f'{gsd_m:.2g}'):g} m")]


def sensor(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Asked]:
    """What took the picture, as its source says."""
    return [Asked("sensor", image.sensor)] if image.sensor else []


def classes(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Which of the classes that the source boxes are there: a list, or JSON as the recipe says."""
    present = sorted(set(image.names) & set(image.listed))
    if not present or len(image.listed) < 2:
        return
    named = [spoken(name) for name in present]
    answer = json.dumps(named, ensure_ascii=False)
    if setting.section.answer == "text":
        answer = ", ".join(named)
    listed = ", ".join(spoken(name) for name in image.listed)
    words = {"question": _worded("classes", {"classes": listed}, image, setting, rng)}
    fact = Fact(LabelsTruth(tuple(named)), words)
    row = ask_fact(image, "sentence", setting, rng, fact, assistant(answer))
    yield replace(row, task="classes", id=f"{image.id}#classes0")


def absent_classes(image: AnnotatedImage) -> list[str]:
    """Classes its source boxes wherever they are, and neither its boxes nor its captions name."""
    words = " ".join(image.captions).lower()
    return [name for name in image.listed if name not in image.names and spoken(name) not in words]


def plausible(absent: Sequence[str], setting: Setting, rng: random.Random) -> str:
    """An absent class, drawn as often as other pictures show it: what is never there is no test."""
    return rng.choices(absent, [0.05 + setting.shown.get(name, 0.5) for name in absent])[0]


def unexpected(present: Sequence[str], setting: Setting, rng: random.Random) -> str:
    """A class that is there, drawn as often as other pictures lack it."""
    return rng.choices(present, [1.05 - setting.shown.get(name, 0.5) for name in present])[0]


def _compared(
    kind: str, pair: tuple[str, str], setting: Setting, rng: random.Random, wording: str = ""
) -> Asked:
    """Whether the first exceeds the second, asked either way round."""
    grammar = setting.phrasing.grammar
    turned = rng.random() < 0.5
    first, second = pair[::-1] if turned else pair
    words = {"names": plural(spoken(first)), "others": plural(spoken(second))}
    answer = grammar.no if turned else grammar.yes
    return Asked(kind, answer, words, (first, second), wording=wording)


def _areas_px(image: AnnotatedImage) -> dict[str, float]:
    """The area of all boxes of each class that is listed, where the picture shows them whole."""
    if not image.names:
        return {}
    quads = image.boxes.quads
    whole = np.all((quads >= 0) & (quads <= image.size_wh), axis=(1, 2))
    areas = image.boxes.areas
    totals: dict[str, float] = {}
    for row, name in enumerate(image.names):
        totals[name] = totals.get(name, 0.0) + (float(areas[row]) if whole[row] else float("nan"))
    return {
        name: area
        for name, area in sorted(totals.items())
        if name in image.listed and np.isfinite(area) and area > 0
    }


def _by_itself(image: AnnotatedImage, setting: Setting) -> dict[int, Look]:
    """Rows of objects that are singled out by what they are and not by where, with how."""
    singled = {}
    for row, looks in expressions(image, setting).items():
        fitting = [look for look in looks if look.place is None and look.relation is None]
        if fitting:
            singled[row] = fitting[0]
    return singled


def _worded(
    kind: str, words: dict[str, str], image: AnnotatedImage, setting: Setting, rng: random.Random
) -> str:
    wordings = _TABLE[setting.phrasing.grammar.language][kind]
    wording: str = rng.choice(wordings) if image.split == "train" else wordings[0]
    return wording.format(**words)


def _answers(setting: Setting) -> dict[str, Any]:
    answers: dict[str, Any] = _TABLE[setting.phrasing.grammar.language]["answers"]
    return answers


@cache
def _rural_urban() -> dict[str, str]:
    """Scene classes that tell, in both languages."""
    kinds = {}
    for kind in ("rural", "urban"):
        for label in _TABLE[kind]:
            kinds[label] = kinds[label.replace(" ", "")] = kinds[translated(label)] = kind
    return kinds


def task_of(asks: Asks, two_answers: bool = False) -> Task:
    """The row of a kind of question; its rows count as `question`.

    Args:
        asks: about an image.
        two_answers: whether there are two, so that all questions are counted before any is asked.
    """

    def ask(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
        questions = asks(image, setting, rng)
        balanced = [asked for asked in questions if setting.balance.keeps(image.split, asked)]
        for number, asked in enumerate(balanced):
            question = _worded(asked.wording or asked.kind, asked.words, image, setting, rng)
            fact = Fact(AnswerTruth(asked.answer, asked.kind), {"question": question})
            answer = assistant(asked.answer)
            task = "sentence" if asked.kind == "premise" else "question"
            row = ask_fact(image, task, setting, rng, fact, answer, number)
            yield replace(row, id=f"{image.id}#{asked.kind}{number}")

    return Task(ask, counts_as="question", asks=asks if two_answers else None)
