"""What is said of a drawn scene: phrases that single out one thing, and captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from swath.imagery.drawing.palette import alike

_FOLDER = Path(__file__).parent
SAYINGS: dict[str, list[str]] = yaml.safe_load((_FOLDER / "sayings.yaml").read_text("utf-8"))
"""Sentences by kind of scene, see `Canvas.say`."""

_CAPTIONS: dict[str, list[str]] = yaml.safe_load((_FOLDER / "captions.yaml").read_text("utf-8"))

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
_WITHIN = ("dunes", "ridges", "lines", "tracks", "steps", "paths", "snow", "path", "ground", "cars")


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """More than one of it."""
    if noun.endswith(("ch", "sh", "s", "x")):
        return f"{noun}es"
    return f"{noun}s"


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
    chosen: list[str | None] = []
    for place, name in enumerate(names):
        peers = [peer for peer, label in enumerate(names) if label == name and peer != place]
        colour = colours[place]
        ways: list[str] = []
        if not peers:
            ways = [f"the {name}", f"the {name}", name]
        if colour is not None and _stands_out(colour, [colours[peer] for peer in peers]):
            ways.append(f"the {colour} {name}")
        if peers and areas[place] > 1.5 * max(areas[peer] for peer in peers):
            ways.append(f"the largest {name}")
        if peers and areas[place] * 1.5 < min(areas[peer] for peer in peers):
            ways.append(f"the smallest {name}")
        chosen.append(str(rng.choice(ways)) if ways else None)
    return tuple(chosen)


def _stands_out(colour: str, peers: Sequence[str | None]) -> bool:
    return not any(peer is None or alike(colour, peer) for peer in peers)


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
        names: class of each thing that can be counted.
        colours: its paint.
        crowds: classes of which there are too many to count.
        notes: what lies around, each with its article or amount.
        sayings: sentences only this kind of scene calls for.
    """
    place = _place(label)
    pairs = zip(names, colours, strict=True)
    things = _counted(rng, [(name, colour) for name, colour in pairs if name != label])
    inside = [name for name in crowds if name in INSIDE.get(label, ("ship", "plane"))]
    things += [f"{rng.choice(_CROWDS)} {plural(name)}" for name in inside]
    crowded = {f"many {plural(name)}" for name in inside}
    notes = [note for note in dict.fromkeys(notes) if note not in crowded]
    near = notes[int(rng.integers(len(notes)))] if notes else ""
    special = [str(sentence) for sentence in rng.permutation(sorted(set(sayings)))[:3]]

    words = {"place": place, "yard": YARDS.get(label, f"the {label}"), "near": near}
    words["near_be"] = be(near)
    patterns: list[str] = []
    if things:
        words["things"] = " and ".join(things[:2])
        words["things_be"] = "are" if len(things) > 1 else be(things[0])
        words["first_be"] = be(things[0])
        patterns += _CAPTIONS["things"]
    if things and near:
        patterns += _CAPTIONS["things near"]
    if near and (near.split()[-1] in _WITHIN or label in ("forest", "orchard")):
        patterns += _CAPTIONS["within"]
    elif near:
        patterns += _CAPTIONS["beside"]
        if be(near) == "are":
            patterns += _CAPTIONS["all around"]
        if len(notes) > 1:
            words |= {"first_note": notes[0], "second_note": notes[1]}
            patterns += _CAPTIONS["two beside"]
    sentences = _filled(patterns, words)
    wanted = int(rng.integers(3, 6))
    counted = [sentences.pop(int(rng.integers(3)))] if things else []
    general = rng.permutation(sorted(set(sentences))).tolist() if sentences else []
    share = max(1, wanted // 2)
    ordered = counted + special[:share] + general + special[share:]
    ordered += _filled(_CAPTIONS["plain"], words)
    ordered = [re.sub(r"\ba (?=[aeio])", "an ", sentence) for sentence in ordered]
    return tuple(list(dict.fromkeys(ordered))[:wanted])


def movements(label: str, noun: str, eighth: int | None) -> tuple[str, ...]:
    """Three sentences about a thing that moves over a scene or stands still there.

    Args:
        eighth: which way it moves, in eighths of a turn clockwise from the right; None: it stays.
    """
    does = "stands still" if eighth is None else f"moves {_WAYS[eighth]}"
    words = {"place": _place(label), "thing": with_article(noun), "does": does}
    return tuple(_filled(_CAPTIONS["movement"], words))


def changes(label: str, noun: str, count: int, put_up: bool | None) -> tuple[str, ...]:
    """Three sentences about things that one of two pictures of a scene shows.

    Args:
        put_up: whether the later picture shows them; None: both or neither does.
    """
    words = {"place": _place(label)}
    if put_up is None:
        return tuple(_filled(_CAPTIONS["no change"], words))
    words["things"] = with_article(noun) if count == 1 else f"{NUMBERS[count]} {plural(noun)}"
    words["was"] = "was" if count == 1 else "were"
    words["has"] = "has" if count == 1 else "have"
    words["done"] = "put up" if put_up else "taken down"
    words["appeared"] = "appeared" if put_up else "disappeared"
    return tuple(_filled(_CAPTIONS["change"], words))


def _place(label: str) -> str:
    """What a scene of a kind is called."""
    return PLACES.get(label, with_article(label))


def _filled(patterns: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """Sentences with the words in their places."""
    return [pattern.format(**words) for pattern in patterns]


def be(words: str) -> str:
    """The verb to be as it follows these words."""
    return "is" if words.startswith(("a ", "an ", "one ")) or words.endswith(_STUFF) else "are"


def _counted(rng: np.random.Generator, things: Sequence[tuple[str, str | None]]) -> list[str]:
    """Entries like "two white ships" or "a plane", one a class, the rarest first."""
    entries = []
    counts = Counter(name for name, _ in things)
    for name, count in sorted(counts.items(), key=lambda pair: pair[1]):
        paints = {colour for label, colour in things if label == name}
        noun = name
        if len(paints) == 1 and None not in paints and rng.random() < 0.6:
            noun = f"{paints.pop()} {name}"
        if count > 1:
            entries.append(f"{NUMBERS[count]} {plural(noun)}")
        else:
            entries.append(with_article(noun) if rng.random() < 0.8 else f"one {noun}")
    return entries
