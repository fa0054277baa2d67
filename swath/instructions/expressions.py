"""Referring expressions that are proven: each is said of one object and can be read into no other.

For every attribute there is a table of whether it, as said of object i, could be read into object
j. What somebody could doubt counts as a reading: a colour between two names, a place near a line of
the grid, a neighbour a little farther away, a van where a vehicle is meant. An expression stands if
all tables together leave nothing but the object itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from swath.instructions.attributes import DIRECTIONS, MOST_RELATED, Flags, Objects, only
from swath.instructions.colours import NAMES
from swath.instructions.language import Look, spoken
from swath.instructions.relations import (
    BESIDE,
    NEAREST,
    PLAINLY_NEARER,
    SIDES,
    Layout,
)

# Attributes that may single an object out, the shortest phrase first.
_WAYS: tuple[tuple[str, ...], ...] = (
    *((), ("colour",), ("size",), ("place",), ("direction",)),
    *(("size", "colour"), ("colour", "place"), ("size", "place"), ("size", "colour", "place")),
    *(("relation",), ("colour", "relation"), ("size", "relation")),
)

_ROAD = ("car", "truck", "van", "bus", "minibus", "lorry", "tractor", "trailer", "pickup", "taxi")
_BOATS = ("boat", "vessel", "ferry", "yacht", "barge", "tanker", "warship", "sailboat")
_KINDS: dict[str, tuple[str, ...]] = {
    "vehicle": (*_ROAD, "suv", "jeep", "motorcycle"),
    "car": ("taxi", "suv", "van", "jeep", "pickup", "vehicle"),
    "building": ("house", "church", "hangar", "school", "warehouse", "factory", "garage", "shed"),
    "ship": _BOATS,
    "boat": ("ship", *_BOATS),
    "plane": ("aircraft", "jet", "airliner", "fighter", "bomber"),
    "aircraft": ("plane", "airplane", "helicopter", "jet", "airliner", "drone"),
    "tree": ("palm", "pine", "oak"),
    "field": ("court", "pitch", "farmland", "meadow"),
}
"""Words for objects that a more general word may mean as well."""


def singling_out(objects: Objects) -> list[list[Look]]:
    """For each object the looks that only it answers to, the shortest first; none for some."""
    looks = objects.looks
    expressions: list[list[Look]] = [[] for _ in looks]
    if not looks:
        return expressions
    called = _called(looks) & objects.shown & objects.shown[:, None]
    _enter(expressions, called, list(looks), ())
    if len(looks) > MOST_RELATED:
        return expressions
    tables = _tables(objects)
    for way in _WAYS[1:]:
        fits = called.copy()
        for name in way:
            fits &= tables[name]
        _enter(expressions, fits, list(looks), way)
    _enter(expressions, *_extremes(objects, called), ("size",))
    for related, fits in _to_landmarks(objects, called):
        _enter(expressions, called & fits, related, ("relation",))
        coloured = called & fits & tables["colour"]
        _enter(expressions, coloured, related, ("colour", "relation"))
    return expressions


def could_be_called(word: str, name: str) -> bool:
    """Whether an object of class `name` could be meant by the noun `word`, both as spoken."""
    if name == word or name.endswith(word):
        return True
    heads = _KINDS.get(word.rpartition(" ")[2], ())
    return name.rpartition(" ")[2] in heads


@lru_cache(maxsize=65536)
def could_mean(said: str, other: str) -> bool:
    """Whether the noun of one class could mean an object of another."""
    return could_be_called(spoken(said), spoken(other))


def _called(looks: Sequence[Look]) -> Flags:
    """(n, n) whether object j could be meant by the class of object i."""
    names = [look.name for look in looks]
    classes = sorted(set(names))
    number = {name: place for place, name in enumerate(classes)}
    table = np.array([[could_mean(said, other) for other in classes] for said in classes])
    rows = np.array([number[name] for name in names])
    called: Flags = table[rows[:, None], rows]
    return called


def _enter(
    expressions: list[list[Look]], fits: Flags, looks: list[Look], way: tuple[str, ...]
) -> None:
    """Note the looks of a way, of the objects that they could not be read into another of."""
    alone = fits.sum(axis=1) == 1
    for row in np.flatnonzero(alone & fits.diagonal()):
        look = looks[row]
        if all(getattr(look, name) is not None for name in way):
            expressions[row].append(only(look, way))


def _tables(objects: Objects) -> dict[str, Flags]:
    """For each attribute: (n, n) whether what is said of object i could be read into object j."""
    looks = objects.looks
    count = len(looks)
    colour = np.ones((count, count), dtype=bool)
    place = colour.copy()
    direction = colour.copy()
    size = colour.copy()
    relation = colour.copy()
    for row, look in enumerate(looks):
        if look.colour is not None:
            colour[row] = objects.colours.possible[:, NAMES.index(look.colour)]
        if look.place is not None:
            place[row] = objects.cells[:, _cells_meant(look.place)].any(axis=1)
        if look.direction is not None:
            direction[row] = objects.directions[:, DIRECTIONS.index(look.direction)]
        if look.size is not None:
            size[row] = _could_be(look.size, row, objects)
        if look.relation is not None:
            relation[row] = _could_be_related(look.relation, objects)
    tables = {"colour": colour, "place": place, "direction": direction}
    return tables | {"size": size, "relation": relation}


def _cells_meant(place: int) -> list[int]:
    """The cells that the words for one may mean: the top may be all of the upper row."""
    if place in (1, 7):
        return [place - 1, place, place + 1]
    if place in (3, 5):
        return [place - 3, place, place + 3]
    return [place]


def _could_be(size: str, row: int, objects: Objects) -> Flags:
    """(n,) whether others could be called small, or large, among their class or beside object i."""
    low, high = objects.limits[row]
    area = objects.areas[row]
    if size == "small":
        return np.less(objects.areas, max(1.25 * low, 1.5 * area))
    return np.greater(objects.areas, min(high / 1.25, area / 1.5))


def _could_be_related(relation: tuple[str, str], objects: Objects) -> Flags:
    """(n,) whether each could be seen inside or next to any object of that name."""
    word, other = relation
    layout = objects.layout
    near = layout.inside(plain=False)
    if word == BESIDE:
        near = np.logical_or(near, layout.beside(plain=False))
    meant = np.array([could_mean(other, look.name) for look in objects.looks])
    meant_others = meant & ~np.eye(len(meant), dtype=bool)
    related: Flags = np.any(near & meant_others, axis=1)
    return related


def _extremes(objects: Objects, called: Flags) -> tuple[Flags, list[Look]]:
    """The largest and the smallest of those of a name, by at least a third of its area."""
    areas = objects.areas
    fits = np.ones_like(called)
    looks: list[Look] = []
    for row, look in enumerate(objects.looks):
        peers = called[row] & (np.arange(len(areas)) != row)
        size = None
        if peers.any():
            if (areas[peers] * 1.5 <= areas[row]).all():
                size = "largest"
            elif (areas[peers] >= areas[row] * 1.5).all():
                size = "smallest"
        if size is not None:
            fits[row] = False
            fits[row, row] = True
        looks.append(Look(look.name) if size is None else replace(look, size=size))
    return fits, looks


def _to_landmarks(objects: Objects, called: Flags) -> Iterator[tuple[list[Look], Flags]]:
    """Looks by what is nearest to a landmark, and by the side of one that they stand on.

    A landmark is the only object that its name could mean.
    """
    looks = objects.looks
    layout = objects.layout
    landmarks = np.flatnonzero(called.sum(axis=1) == 1)
    if not len(landmarks):
        return
    for word in (NEAREST, *SIDES):
        related: list[Look] = []
        fits = np.ones_like(called)
        sides = {int(mark): layout.side(int(mark)) for mark in landmarks} if word in SIDES else {}
        for row, look in enumerate(looks):
            mark = _landmark_of(row, landmarks, looks, layout)
            relation = None
            if mark is not None and word == NEAREST:
                relation = (word, looks[mark].name)
                fits[row] = _as_near(row, mark, layout)
            elif mark is not None and sides[mark][row] == word:
                relation = (word, looks[mark].name)
                fits[row] = layout.may_be_on(word, mark)
            if mark is not None:
                fits[row, mark] = False
            related.append(
                Look(look.name) if relation is None else replace(look, relation=relation)
            )
        yield related, fits


def _landmark_of(
    row: int, landmarks: NDArray[np.intp], looks: Sequence[Look], layout: Layout
) -> int | None:
    """The nearest landmark that neither shares an object's name nor lies in or about it."""
    usable = [
        int(mark)
        for mark in landmarks
        if mark != row
        and not could_mean(looks[row].name, looks[mark].name)
        and layout.gaps[row, mark] > 0
    ]
    if not usable:
        return None
    return min(usable, key=lambda mark: float(layout.distances[row, mark]))


def _as_near(row: int, mark: int, layout: Layout) -> Flags:
    """(n,) whether somebody could find each as near to a landmark, by its edge or its middle."""
    by_middle = layout.distances[:, mark] <= PLAINLY_NEARER * layout.distances[row, mark]
    by_edge = layout.gaps[:, mark] <= PLAINLY_NEARER * max(float(layout.gaps[row, mark]), 1.0)
    flags: Flags = by_middle | by_edge
    return flags


def together(objects: Objects) -> list[tuple[Look, list[int]]]:
    """Groups of a class that one phrase singles out, with the rows of their objects.

    A row stands where it is the class's only group, a group where it is the only one anywhere near
    its part of the picture and no lone object of its name is there.
    """
    looks = objects.looks
    if not 0 < len(looks) <= MOST_RELATED:
        return []
    groups: list[tuple[Look, list[int]]] = []
    called = _called(looks) & objects.shown
    for name in sorted({look.name for look in looks}):
        first = next(row for row, look in enumerate(looks) if look.name == name)
        meant = np.flatnonzero(called[first])
        members = objects.layout.groups(meant)
        for group in members:
            if any(looks[row].name != name for row in group):
                continue
            rows = [int(row) for row in group]
            others = np.setdiff1d(meant, group)
            if len(members) == 1 and objects.layout.in_a_row(group):
                groups.append((Look(name, row=True), rows))
                continue
            place = looks[rows[0]].place
            same_place = {looks[row].place for row in rows} == {place}
            if place is None or not same_place or len(rows) == len(meant):
                continue
            if not objects.cells[others][:, _cells_meant(place)].any():
                groups.append((Look(name, place=place), rows))
    return groups
