"""What is said of a drawn scene: phrases that single out one thing, and captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from swath.imagery.drawing.palette import alike

SAYINGS: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("sayings.yaml").read_text("utf-8")
)
"""Sentences by kind of scene, see `Canvas.say`."""

_TO_TWELVE = "no one two three four five six seven eight nine ten eleven twelve"
NUMBERS = tuple(_TO_TWELVE.split())  # by their value

PLACES: dict[str, str] = {}
"""What a scene of a kind is called where its label alone would not do."""

YARDS: dict[str, str] = {}
"""The same, said a second time."""

INSIDE: dict[str, tuple[str, ...]] = {"roundabout": ("car",)}
"""Classes too many to count that belong to the subject rather than to what lies around it."""

_WAYS = (
    *("to the right", "to the lower right", "to the bottom", "to the lower left"),
    *("to the left", "to the upper left", "to the top", "to the upper right"),
)

_CROWDS = ("many", "many", "lots of", "plenty of")
_STUFF = ("grass", "land", "sand", "cement ground", "snow", "farmland", "water")
_OWN = ("dunes", "ridges", "lines", "tracks", "steps", "paths", "snow", "path", "ground", "cars")


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """More than one of it."""
    if noun.endswith(("ch", "sh", "s", "x")):
        return f"{noun}es"
    return f"{noun}s"


def _paint_stands_out(colour: str | None, others: Sequence[str | None]) -> bool:
    return colour is not None and not any(other is None or alike(colour, other) for other in others)


def phrases(
    rng: np.random.Generator,
    names: Sequence[str],
    colours: Sequence[str | None],
    areas: Sequence[float],
) -> tuple[str | None, ...]:
    """A phrase for each thing that only it answers to, or None where none is unambiguous.

    A thing is singled out as the only one of its name, by a paint no other of its name comes
    near, or as the largest or smallest by more than half; never by where it lies.
    """
    said: list[str | None] = []
    for i, name in enumerate(names):
        others = [k for k, other in enumerate(names) if other == name and k != i]
        ways: list[str] = []
        if not others:
            ways = [f"the {name}", f"the {name}", name]
            if colours[i] is not None:
                ways.append(f"the {colours[i]} {name}")
        else:
            if _paint_stands_out(colours[i], [colours[k] for k in others]):
                ways += [f"the {colours[i]} {name}"]
            if areas[i] > 1.5 * max(areas[k] for k in others):
                ways.append(f"the largest {name}")
            if areas[i] * 1.5 < min(areas[k] for k in others):
                ways.append(f"the smallest {name}")
        said.append(str(rng.choice(ways)) if ways else None)
    return tuple(said)


def captions(
    rng: np.random.Generator,
    label: str,
    names: Sequence[str],
    colours: Sequence[str | None],
    crowds: Sequence[str],
    notes: Sequence[str],
    sayings: Sequence[str],
) -> tuple[str, ...]:
    """Three to five different sentences about a scene.

    Args:
        rng: chooses and orders them.
        label: the kind of scene.
        names: class of each thing that can be counted.
        colours: its paint.
        crowds: classes of which there are too many to count.
        notes: what lies around, each with its article or amount.
        sayings: sentences only this kind of scene calls for.
    """
    place = PLACES.get(label, with_article(label))
    things = _counted(rng, [(n, c) for n, c in zip(names, colours, strict=True) if n != label])
    inside = [name for name in crowds if name in INSIDE.get(label, ("ship", "plane"))]
    things += [f"{rng.choice(_CROWDS)} {plural(name)}" for name in inside]
    notes = [note for note in dict.fromkeys(notes) if not _told(note, inside)]
    near = notes[int(rng.integers(len(notes)))] if notes else None
    sentences = [str(s) for s in rng.permutation(sorted(set(sayings)))[:3]]
    yard = YARDS.get(label, f"the {label}")
    made: list[str] = []
    if things:
        what = " and ".join(things[:2])
        verb = "are" if len(things) > 1 else be(what)
        made += [
            f"{what} {verb} in {place}.",
            f"there {be(things[0])} {what} in {yard}.",
            f"we can see {what} in {place}.",
        ]
        if near is not None:
            made += [
                f"{what} {verb} near {near} in {place}.",
                f"{place} with {what} is next to {near}.",
                f"{place} has {what} and {near}.",
            ]
    if near is not None and (near.split()[-1] in _OWN or label in ("forest", "orchard")):
        made += [f"{near} {be(near)} in {place}.", f"{place} has {near}."]
    elif near is not None:
        made += [f"{near} {be(near)} near {place}.", f"{place} is next to {near}."]
        if be(near) == "are":
            made += [f"{near} are around {place}.", f"{place} is surrounded by {near}."]
        if len(notes) > 1:
            made.append(f"{notes[0]} and {notes[1]} are near {place}.")
    wanted = int(rng.integers(3, 6))
    counted = [made.pop(int(rng.integers(min(3, len(made)))))] if things else []
    pool = [str(s) for s in rng.permutation(sorted(set(made)))] if made else []
    share = max(1, wanted // 2)
    chosen = counted + sentences[:share] + pool + sentences[share:]
    chosen += [f"it is {place}.", f"this is a picture of {place}.", f"{place} can be seen."]
    chosen = [re.sub(r"\ba (?=[aeio])", "an ", sentence) for sentence in chosen]
    return tuple(list(dict.fromkeys(chosen))[:wanted])


def movements(label: str, noun: str, eighth: int | None) -> tuple[str, ...]:
    """Three sentences about a thing that moves over a scene or stands still there.

    Args:
        label: the kind of scene.
        noun: the thing.
        eighth: which way it moves, in eighths of a turn clockwise from the right; None: it stays.
    """
    place, thing = PLACES.get(label, with_article(label)), with_article(noun)
    does = "stands still" if eighth is None else f"moves {_WAYS[eighth]}"
    return (f"{thing} {does}.", f"over {place} {thing} {does}.", f"{thing} {does} over {place}.")


def changes(label: str, noun: str, count: int, put_up: bool | None) -> tuple[str, ...]:
    """Three sentences about things that one of two pictures of a scene shows.

    Args:
        label: the kind of scene.
        noun: the thing.
        count: how many.
        put_up: whether the later picture shows them; None: both or neither does.
    """
    place = PLACES.get(label, with_article(label))
    if put_up is None:
        return ("nothing has changed.", f"{place} looks the same.", f"{place} has not changed.")
    things = with_article(noun) if count == 1 else f"{NUMBERS[count]} {plural(noun)}"
    verb, gone = ("was", "has") if count == 1 else ("were", "have")
    done, seen = ("put up", "appeared") if put_up else ("taken down", "disappeared")
    return (
        f"{things} {verb} {done}.",
        f"{things} {verb} {done} in {place}.",
        f"in {place} {things} {gone} {seen}.",
    )


def be(words: str) -> str:
    """The verb to be as it follows these words."""
    return "is" if words.startswith(("a ", "an ", "one ")) or words.endswith(_STUFF) else "are"


def _told(note: str, crowds: Sequence[str]) -> bool:
    return any(note == f"many {plural(name)}" for name in crowds)


def _counted(rng: np.random.Generator, things: Sequence[tuple[str, str | None]]) -> list[str]:
    """Entries like "two white ships" or "a plane", one a class, the rarest first."""
    out = []
    counts = Counter(name for name, _ in things)
    for name, count in sorted(counts.items(), key=lambda pair: pair[1]):
        paints = {colour for other, colour in things if other == name}
        paint = next(iter(paints)) if len(paints) == 1 else None
        noun = f"{paint} {name}" if paint and rng.random() < 0.6 else name
        if count == 1:
            out.append(with_article(noun) if rng.random() < 0.8 else f"one {noun}")
        else:
            out.append(f"{NUMBERS[count]} {plural(noun)}")
    return out
