"""Tasks with boxes: finding what a phrase names, and naming what stands in a box."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from swath.annotations.image import AnnotatedImage
from swath.instructions.attributes import shared
from swath.instructions.conversation import Box, Conversation, Part, assistant
from swath.instructions.expressions import could_mean, singling_out, together
from swath.instructions.language import ENGLISH, English, Look, spoken
from swath.instructions.tasks.base import Fact, Setting, ask_fact, once_an_image
from swath.instructions.tasks.pairs import of_both_dates
from swath.instructions.tasks.truths import (
    BoxesTruth,
    CaptionsTruth,
    DescriptionTruth,
    NameTruth,
)

MOST_BOXES = 20
"""An answer points at so many objects at most; a class with more is a crowd."""

_SLOT = re.compile(r"\{(\d+)\}")


def refer(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Where the one object is that a phrase singles out."""
    phrases = _phrases(image, setting, rng)
    rows = [row for row, phrase in enumerate(phrases) if phrase]
    rng.shuffle(rows)
    for number, row in enumerate(rows[: setting.section.boxes_per_image]):
        truth = BoxesTruth(image.boxes[row], image.names[row])
        fact = Fact(truth, {"phrase": str(phrases[row])})
        answer = assistant(Box(truth.boxes))
        yield ask_fact(image, "refer", setting, rng, fact, answer, number)


def referred(image: AnnotatedImage) -> list[Fact[BoxesTruth]]:
    """The objects that the source's phrases single out, whatever their class."""
    return [
        Fact(BoxesTruth(image.boxes[row]), {"phrase": phrase})
        for row, phrase in enumerate(image.phrases)
        if phrase
    ]


def ground(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Where all objects of a class are; of one that is absent too, where the recipe says so."""
    grammar = setting.phrasing.grammar
    groups = {name: rows for name, rows in _groups(image).items() if len(rows) <= MOST_BOXES}
    names = sorted(groups)
    rng.shuffle(names)
    names = names[: setting.section.boxes_per_image]
    absent = [name for name in image.listed if name not in image.names]
    if setting.section.absent and absent:
        names.append(rng.choice(absent))
    for number, name in enumerate(names):
        fact = _grounded(image, name, groups.get(name, ()), grammar)
        boxes = fact.truth.boxes
        answer = assistant(Box(boxes) if len(boxes) else grammar.none)
        both = of_both_dates(str(fact.truth.name))
        yield ask_fact(image, "ground", setting, rng, fact, answer, number, both)


def grounded(image: AnnotatedImage) -> list[Fact[BoxesTruth]]:
    """The classes of all objects, by name."""
    groups = _by_class(image, range(len(image.names)))
    return [_grounded(image, name, groups[name], ENGLISH) for name in sorted(groups)]


def _grounded(
    image: AnnotatedImage, name: str, rows: Sequence[int], grammar: English
) -> Fact[BoxesTruth]:
    truth = BoxesTruth(image.boxes[list(rows)], name)
    return Fact(truth, {"phrase": grammar.all(name), "name": spoken(name)})


def group(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Where the objects are that stand together in the one group, or row, that a phrase tells."""
    if not setting.phrasing.attributes:
        return
    proven = set(proven_rows(image, setting))
    grammar = setting.phrasing.grammar
    facts = []
    for look, rows in together(setting.looks.objects(image)):
        if proven.issuperset(rows) and len(rows) <= MOST_BOXES:
            truth = BoxesTruth(image.boxes[rows], look.name)
            facts.append(Fact(truth, {"phrase": grammar.together(look, len(rows))}))
    rng.shuffle(facts)
    for number, fact in enumerate(facts[: setting.section.boxes_per_image]):
        answer = assistant(Box(fact.truth.boxes))
        yield ask_fact(image, "group", setting, rng, fact, answer, number)


def identify(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """What class of object stands in a box."""
    for number, fact in enumerate(identified(image, _some(image, setting, rng))):
        answer = assistant(spoken(fact.truth.name))
        yield ask_fact(image, "identify", setting, rng, fact, answer, number)


def identified(image: AnnotatedImage, rows: Sequence[int] | None = None) -> list[Fact[NameTruth]]:
    """The class of each object, or of those of some rows."""
    rows = range(len(image.names)) if rows is None else rows
    return [Fact(NameTruth(image.names[row]), box=image.boxes[row]) for row in rows]


def region(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """What the object in a box looks like."""
    for number, row in enumerate(_some(image, setting, rng)):
        phrase = setting.phrasing.grammar.one(setting.looks.of(image)[row])
        captions = tuple(filter(None, (phrase, image.phrases[row])))
        fact = Fact(CaptionsTruth(captions), box=image.boxes[row])
        yield ask_fact(image, "region", setting, rng, fact, assistant(phrase), number)


def described(image: AnnotatedImage) -> list[Fact[CaptionsTruth]]:
    """The objects that the source has a phrase for."""
    return [
        Fact(CaptionsTruth((phrase,)), box=image.boxes[row])
        for row, phrase in enumerate(image.phrases)
        if phrase
    ]


def classes_of(image: AnnotatedImage) -> list[str]:
    """The classes of an image's objects, sorted."""
    return sorted(set(image.names))


def describe(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Sentences on the objects of an image, class by class, each with its boxes."""
    groups, grammar = _groups(image), setting.phrasing.grammar
    pointed: dict[str, list[int]] = {}
    for name, rows in sorted(groups.items(), key=lambda pair: (len(pair[1]), pair[0])):
        if sum(map(len, pointed.values())) + len(rows) <= MOST_BOXES:
            pointed[name] = rows
    if not pointed:
        return
    looks = setting.looks.of(image)
    common = {name: shared([looks[row] for row in rows]) for name, rows in pointed.items()}
    for look, rows in together(setting.looks.objects(image)):
        if look.row and pointed.get(look.name) == rows:
            common[look.name] = common[look.name]._replace(row=True)
    counts = {name: len(rows) for name, rows in pointed.items()}
    phrases = {
        name: grammar.group(common[name]._replace(place=None, relation=None), count)
        for name, count in counts.items()
    }
    parts: list[Part | str] = []
    sentences: list[str] = []
    said: list[str] = []
    for template, names in _sentences(common, counts, grammar):
        parts.append(grammar.space if parts else "")
        for place, piece in enumerate(_SLOT.split(template)):
            if place % 2 == 0:
                parts.append(piece)
            else:
                name = names[int(piece)]
                parts += [f"<p>{phrases[name]}</p> ", Box(image.boxes[pointed[name]])]
        sentences.append(template.format(*(phrases[name] for name in names)))
        said += names
    crowds = [grammar.crowd(name) for name in sorted(groups.keys() - pointed.keys())]
    parts += [grammar.space + crowd for crowd in crowds]
    truth = DescriptionTruth(
        captions=(grammar.space.join(sentences + crowds),),
        boxes=image.boxes[[row for name in said for row in pointed[name]]],
        phrases=tuple(phrases[name] for name in said for _ in pointed[name]),
    )
    answer = assistant(*_joined(parts))
    yield ask_fact(image, "describe", setting, rng, Fact(truth), answer)


def _phrases(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[str | None]:
    """A phrase for each box that only it answers to: the source's own, else one of ours."""
    grammar = setting.phrasing.grammar
    draws = setting.phrasing.attributes and image.split == "train"
    phrases: list[str | None] = list(image.phrases)
    for row, looks in expressions(image, setting).items():
        look = rng.choice(looks) if draws else looks[0]
        phrases[row] = phrases[row] or grammar.the(look)
    return phrases


@once_an_image
def expressions(image: AnnotatedImage, setting: Setting) -> dict[int, list[Look]]:
    """Rows of the boxes that can be singled out, with the looks that do it, the shortest first."""
    rows = proven_rows(image, setting)
    if setting.phrasing.attributes and rows:
        looks = singling_out(setting.looks.objects(image))
        return {row: looks[row] for row in rows if looks[row]}
    return {row: [look] for row, look in alone(image, setting).items()}


@once_an_image
def alone(image: AnnotatedImage, setting: Setting) -> dict[int, Look]:
    """Rows of the boxes that their class singles out, with the look that is nothing but it."""
    looks = {}
    counts = Counter(image.names)
    for row in proven_rows(image, setting):
        name = image.names[row]
        others = [other for other in counts if other != name and could_mean(name, other)]
        if counts[name] == 1 and not others:
            looks[row] = Look(name)
    return looks


@once_an_image
def proven_rows(image: AnnotatedImage, setting: Setting) -> list[int]:
    """Rows of the boxes in the picture of which it is known that no object of the name has none."""
    listed = set(image.listed)
    whole = set()
    for name in dict.fromkeys(image.names):
        meant = [other for other in setting.names if could_mean(name, other)]
        if name in listed and listed.issuperset(meant):
            whole.add(name)
    return [row for row in _inside(image) if image.names[row] in whole]


def _sentences(
    common: dict[str, Look], counts: dict[str, int], grammar: English
) -> Iterator[tuple[str, list[str]]]:
    """Templates and the classes they are about, each class once."""
    left = dict(common)
    for name, look in common.items():
        how, other = look.relation or ("", "")
        if name not in left or other not in left:
            continue
        # One plane is next to ten houses only if all of them are next to it.
        if counts[other] == 1 or (how == "next to" and common[other].relation == (how, name)):
            del left[name], left[other]
            yield grammar.related(counts[name], how), [name, other]
    scattered = [name for name, look in left.items() if look.place is None]
    if scattered:
        yield grammar.there_are([counts[name] for name in scattered]), scattered
    for name, look in left.items():
        if look.place is not None:
            yield grammar.placed(counts[name], look.place), [name]


def _groups(image: AnnotatedImage) -> dict[str, list[int]]:
    """Rows of the boxes of each class of which every object has one."""
    return _by_class(image, (row for row in _inside(image) if image.names[row] in image.listed))


def _by_class(image: AnnotatedImage, rows: Iterable[int]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(image.names[row], []).append(row)
    return groups


@once_an_image
def _inside(image: AnnotatedImage) -> tuple[int, ...]:
    """Rows of the boxes whose centre the image shows; crops bring labels of what they cut off."""
    centres = image.boxes.quads.sum(axis=1) / 4
    inside = ((centres >= 0) & (centres <= image.size_wh)).all(axis=1)
    return tuple(inside.nonzero()[0].tolist())


def _some(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[int]:
    """Rows of a few boxes, in any order."""
    rows = list(_inside(image))
    rng.shuffle(rows)
    return rows[: setting.section.boxes_per_image]


def _joined(parts: Sequence[Part | str]) -> list[Part | str]:
    """The parts with neighbouring words as one, and no empty ones."""
    joined: list[Part | str] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined
