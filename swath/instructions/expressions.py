"""Referring expressions that are proven: each is said of one object and can be read into no other.

For every attribute there is a table of whether it, as said of object i, could be read into object
j. What somebody could doubt counts as a reading: a colour between two names, a place near a line of
the grid, a neighbour a little farther away, a van where a vehicle is meant. An expression stands if
all tables together leave nothing but the object itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Flags, Floats
from swath.instructions.attributes import DIRECTIONS, MOST_RELATED, Objects, only
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
    named = _called(looks)
    called = named & objects.shown & objects.shown[:, None]
    _enter(expressions, called, looks, ())
    if len(looks) > MOST_RELATED:
        return expressions
    tables = _tables(objects)
    for way in _WAYS[1:]:
        if tables.keys() >= set(way):
            fits = called
            for attribute in way:
                fits = fits & tables[attribute]
            _enter(expressions, fits, looks, way)
    for row, size in _extremes(objects.areas, called):
        expressions[row].append(Look(looks[row].name, size=size))
    for related, fits in _to_landmarks(objects, named, called):
        _enter(expressions, fits, related, ("relation",))
        if "colour" in tables:
            _enter(expressions, fits & tables["colour"], related, ("colour", "relation"))
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
    rows = np.array([number[name] for name in names])
    called: Flags = _meanings(tuple(classes))[rows[:, None], rows]
    return called


@lru_cache(maxsize=4096)
def _meanings(classes: tuple[str, ...]) -> Flags:
    """(k, k) whether the noun of class i could mean an object of class j."""
    return np.array([[could_mean(word, other) for other in classes] for word in classes])


def _enter(
    expressions: list[list[Look]], fits: Flags, looks: Sequence[Look], way: tuple[str, ...]
) -> None:
    """Note the looks of a way, of the objects that they could not be read into another of."""
    alone = fits.diagonal() & (np.count_nonzero(fits, axis=1) == 1)
    for row in alone.nonzero()[0].tolist():
        look = looks[row]
        if all(getattr(look, name) is not None for name in way):
            expressions[row].append(only(look, way))


def _tables(objects: Objects) -> dict[str, Flags]:
    """For each attribute that is plain of some object a table of how it could be read.

    (n, n) whether what is said of object i could be read into object j.
    """
    looks = objects.looks
    colours = [None if look.colour is None else NAMES.index(look.colour) for look in looks]
    lying = [None if look.direction is None else DIRECTIONS.index(look.direction) for look in looks]
    in_cell = objects.cells @ _CELLS_MEANT  # (n, 9) whether each may be where a cell's words mean
    tables = {
        "colour": _readings(colours, objects.colours.possible),
        "place": _readings([look.place for look in looks], in_cell),
        "direction": _readings(lying, objects.directions),
        "size": _could_be_sized(objects),
        "relation": _could_be_related(objects),
    }
    return {attribute: table for attribute, table in tables.items() if table is not None}


def _readings(values: Sequence[int | None], possible: Flags) -> Flags | None:
    """(n, n) whether the value of object i is possible of object j; None where none has a value.

    Args:
        values: of each object, the number of a column of `possible`, or None.
        possible: (n, k) whether somebody could say each of the values of object j.
    """
    rows = [row for row, value in enumerate(values) if value is not None]
    if not rows:
        return None
    table = np.ones((len(values), len(values)), dtype=bool)
    table[rows] = possible.T[[value for value in values if value is not None]]
    return table


def _cells_meant(place: int) -> list[int]:
    """The cells that the words for one may mean: the top may be all of the upper row."""
    if place in (1, 7):
        return [place - 1, place, place + 1]
    if place in (3, 5):
        return [place - 3, place, place + 3]
    return [place]


_CELLS_MEANT = np.array(
    [[cell in _cells_meant(place) for place in range(9)] for cell in range(9)], dtype=bool
)


def _could_be_sized(objects: Objects) -> Flags | None:
    """(n, n) whether j could be called small, or large, among its class or beside object i."""
    sizes = np.array([look.size or "" for look in objects.looks])
    if (sizes == "").all():
        return None
    areas = objects.areas
    low, high = objects.limits.T
    small = areas < np.maximum(1.25 * low, 1.5 * areas)[:, None]
    large = areas > np.minimum(high / 1.25, areas / 1.5)[:, None]
    table: Flags = np.where((sizes == "small")[:, None], small, large)
    table[sizes == ""] = True
    return table


def _could_be_related(objects: Objects) -> Flags | None:
    """(n, n) whether j could be seen inside or next to an object of the name that i is said to."""
    looks = objects.looks
    layout = objects.layout
    near: dict[str, Flags] = {}
    readings: dict[tuple[str, str], Flags] = {}
    for word, other in {look.relation for look in looks if look.relation is not None}:
        if word not in near:
            near[word] = layout.inside(plain=False)
            if word == BESIDE:
                near[word] |= layout.beside(plain=False)
            np.fill_diagonal(near[word], False)
        meant = [could_mean(other, look.name) for look in looks]
        related: Flags = np.any(near[word][:, meant], axis=1)
        readings[word, other] = related
    if not readings:
        return None
    anybody = np.ones(len(looks), dtype=bool)
    return np.stack(
        [anybody if look.relation is None else readings[look.relation] for look in looks]
    )


def _extremes(areas: Floats, called: Flags) -> list[tuple[int, str]]:
    """Rows of the largest and the smallest of those of a name, by at least a third of its area."""
    peers = called & ~np.eye(len(areas), dtype=bool)
    has_peers = peers.any(axis=1)
    largest = has_peers & (np.where(peers, areas, 0.0).max(axis=1) * 1.5 <= areas)
    smallest = has_peers & (np.where(peers, areas, np.inf).min(axis=1) >= areas * 1.5)
    sizes = [(row, "largest") for row in largest.nonzero()[0].tolist()]
    sizes += [(row, "smallest") for row in (smallest & ~largest).nonzero()[0].tolist()]
    return sizes


def _to_landmarks(
    objects: Objects, named: Flags, called: Flags
) -> Iterator[tuple[list[Look], Flags]]:
    """Looks by being nearest to a landmark, then by the side of it; and what else fits them.

    A landmark is the only object that its name could mean; of several the nearest one counts that
    neither shares an object's name nor lies in or about it.

    Args:
        objects: of a picture.
        named: (n, n) whether the class of object i could mean object j.
        called: the same of those that are shown.
    """
    layout = objects.layout
    usable = (np.count_nonzero(called, axis=1) == 1) & ~named & (layout.gaps > 0)
    np.fill_diagonal(usable, False)
    rows = usable.any(axis=1).nonzero()[0]
    if not len(rows):
        return
    marks = np.where(usable[rows], layout.distances[rows], np.inf).argmin(axis=1)
    nearest = called.copy()
    nearest[rows] &= _as_near(rows, marks, layout)
    nearest[rows, marks] = False
    yield _related(objects.looks, rows, marks, [NEAREST] * len(rows)), nearest
    sides = layout.sides_of(rows, marks)
    words = [SIDES[side] if side >= 0 else None for side in sides.tolist()]
    beside = called.copy()
    beside[rows] &= layout.may_be_on(sides, marks)
    beside[rows, marks] = False
    yield _related(objects.looks, rows, marks, words), beside


def _related(
    looks: Sequence[Look],
    rows: NDArray[np.intp],
    marks: NDArray[np.intp],
    words: Sequence[str | None],
) -> list[Look]:
    """The looks with how those of some rows stand to their landmarks, and without any relation."""
    related = [Look(look.name) for look in looks]
    for row, mark, word in zip(rows.tolist(), marks.tolist(), words, strict=True):
        if word is not None:
            related[row] = looks[row]._replace(relation=(word, looks[mark].name))
    return related


def _as_near(rows: NDArray[np.intp], marks: NDArray[np.intp], layout: Layout) -> Flags:
    """(rows, n) whether somebody could find j as near to a landmark, by its edge or its middle."""
    farthest = PLAINLY_NEARER * layout.distances[rows, marks]
    by_middle = layout.distances[marks] <= farthest[:, None]
    farthest = PLAINLY_NEARER * np.maximum(layout.gaps[rows, marks], 1.0)
    by_edge = layout.gaps[marks] <= farthest[:, None]
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
