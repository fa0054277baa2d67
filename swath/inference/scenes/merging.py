"""Merging: boxes found tile by tile become objects of the scene, each of them once.

An object that a border cuts is seen in parts by the tiles on both sides. Parts that continue each
other across the border are joined; of boxes that show the same object the surest stays. The result
is the same in whatever order the boxes come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from swath.boxes import Boxes, Flags, Floats, rectangle_around
from swath.imagery.tiling import Tile
from swath.inference.scenes.box_overlaps import around_pairs, shared_areas
from swath.inference.scenes.tile_plan import TilePlan

SAME = 0.5
"""Least share of the smaller of two boxes that the other covers, if both show one object."""

SAME_PART = 0.25
"""The same where one of the two is a part that a border cuts: its corners are guessed."""

SAME_IN_TILE = 0.5
"""Least IoU of two boxes of one tile that show one object."""

FILLED = 0.75
"""Least share of the rectangle around parts that they cover, if they are of one object."""

GROWTH = 1.1
"""How much larger than the larger of its two parts an object is at least."""

NEAR = 0.03
"""How near to its tile's border, in sides of the tile, a box is taken to be cut by it."""

_WHOLE, _JOINED, _A_PART = range(3)  # the less, the more a box is trusted

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TileBoxes:
    """Boxes as tiles showed them.

    Args:
        boxes: n boxes, scene pixels.
        labels: (n,) number of each box's class; boxes of two classes are never one object.
        confidence: (n,) how sure each is, 0 to 1.
        tiles: (n, 4) left, top, right and bottom of the tile that showed it, scene pixels.
        tile_ids: (n,) number of that tile, from the top, then from the left.
        frame: left, top, right and bottom of the scanned part, whose border cuts no box in two.
    """

    boxes: Boxes
    labels: Numbers
    confidence: Floats
    tiles: Floats
    tile_ids: Numbers
    frame: tuple[int, int, int, int]

    @classmethod
    def shown_by(
        cls,
        tiles: TilePlan | Sequence[Tile],
        numbers: Sequence[int],
        rows: Sequence[Sequence[float]],
        confidence: Sequence[float],
        frame: tuple[int, int, int, int],
        labels: Sequence[int] | None = None,
    ) -> TileBoxes:
        """Boxes with the tile that showed each.

        Args:
            tiles: from the top, then from the left.
            numbers: of each box's tile.
            rows: of eight values, scene pixels.
            confidence: of each.
            frame: see above.
            labels: of each; nothing: all are of one class.
        """
        tile_ids = np.array(numbers, dtype=np.int64)
        used, places = np.unique(tile_ids, return_inverse=True)
        windows = np.array([tiles[number].bounds for number in used.tolist()], dtype=np.float64)
        return cls(
            boxes=Boxes.from_rows(rows),
            labels=np.array([0] * len(numbers) if labels is None else labels, dtype=np.int64),
            confidence=np.array(confidence, dtype=np.float64),
            tiles=windows.reshape(-1, 4)[places],
            tile_ids=tile_ids,
            frame=frame,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def of(self, rows: Numbers) -> TileBoxes:
        """Those of some rows, in that order."""
        return TileBoxes(
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            confidence=self.confidence[rows],
            tiles=self.tiles[rows],
            tile_ids=self.tile_ids[rows],
            frame=self.frame,
        )


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """Objects of a scene, from the top, then from the left.

    Args:
        boxes: n oriented boxes, scene pixels.
        labels: (n,) number of the class.
        confidence: (n,) of the surest box; of joined parts their mean.
        tile_ids: (n,) a tile that showed it.
        sightings: (n,) boxes that showed it.
    """

    boxes: Boxes
    labels: Numbers
    confidence: Floats
    tile_ids: Numbers
    sightings: Numbers

    def __len__(self) -> int:
        return len(self.boxes)

    def of(self, rows: Numbers) -> SceneObjects:
        """Those of some rows, in that order."""
        return SceneObjects(
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            confidence=self.confidence[rows],
            tile_ids=self.tile_ids[rows],
            sightings=self.sightings[rows],
        )


def merged_in_turn(chunks: Iterable[tuple[TileBoxes, float]]) -> SceneObjects:
    """What `merge` makes of all chunks together, of which only the last rows' boxes are held.

    Args:
        chunks: boxes of tiles row by row, each with the top of the tiles that follow; at least one.
    """
    done: list[SceneObjects] = []
    waiting: TileBoxes | None = None
    for found, top in chunks:
        waiting = found if waiting is None else _together([waiting, found])
        final = _out_of_reach(waiting, top)
        done.append(merge(waiting.of(np.flatnonzero(final))))
        waiting = waiting.of(np.flatnonzero(~final))
    objects = _together(done)
    return objects.of(_from_the_top(objects.boxes, objects.labels))


def _out_of_reach(found: TileBoxes, top: float) -> Flags:
    """(n,) whether no tile from `top` on can show more of a box, or of one that it belongs to."""
    sides = found.tiles[:, 2:] - found.tiles[:, :2]
    side = float(sides.max(initial=0))
    outlines = shapely.polygons(found.boxes.quads)
    pairs = shapely.STRtree(outlines).query(outlines, "dwithin", distance=NEAR * side)
    links = coo_matrix((np.ones(pairs.shape[1]), tuple(pairs)), shape=(len(found), len(found)))
    count, groups = connected_components(links, directed=False)
    lowest = np.full(count, -np.inf)
    np.maximum.at(lowest, groups, found.boxes.hbb[:, 3])
    # Boxes reach over their tile's border by less than a tile: their middles lie within.
    out: Flags = (lowest < top - side)[groups]
    return out


def _together(parts: Sequence[Any]) -> Any:
    """Several `TileBoxes`, or several `SceneObjects`, as one."""
    columns: dict[str, Any] = {}
    for field in fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        if field.name == "boxes":
            columns[field.name] = Boxes(np.concatenate([boxes.quads for boxes in values]))
        elif field.name == "frame":
            columns[field.name] = values[0]
        else:
            columns[field.name] = np.concatenate(values)
    return type(parts[0])(**columns)


def _from_the_top(boxes: Boxes, labels: Numbers) -> Numbers:
    x, y = boxes.quads.mean(axis=1).T
    return np.lexsort((labels, x, y))


def merge(found: TileBoxes) -> SceneObjects:
    """The objects that the boxes of all tiles show, each once.

    Args:
        found: in any order.
    """
    found = found.of(_canonical_order(found))
    cut = _cut_sides(found)
    groups = _joined_parts(found, cut)
    objects, trust, sources = _objects_of(found, cut, groups)
    # What a tile shows whole is trusted first, then what parts were joined to, then a part alone.
    order = np.lexsort((np.arange(len(objects)), -objects.confidence, trust))
    parts = trust == _A_PART
    owner = suppressed_by(objects.boxes, objects.labels, sources, order, parts)
    rows = np.flatnonzero(owner == np.arange(len(owner)))
    sightings = np.bincount(owner, weights=objects.sightings, minlength=len(owner))
    rows = rows[_from_the_top(objects.boxes[rows], objects.labels[rows])]
    return replace(objects, sightings=sightings.astype(np.int64)).of(rows)


def suppressed_by(
    boxes: Boxes,
    labels: Numbers,
    tile_ids: Numbers,
    order: Numbers,
    parts: Flags | None = None,
    same_in_tile: float = SAME_IN_TILE,
) -> Numbers:
    """(n,) the row whose object each box shows; its own where it is the first that shows it.

    Going through `order`, each box that no earlier one has taken takes the later ones of its class
    that it covers: of other tiles by `SAME` of the smaller box, or `SAME_PART` where one is of
    `parts`; of its own tile by an IoU of `same_in_tile`. With one tile this is greedy non-maximum
    suppression.
    """
    count = len(boxes)
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    shares = np.full(count, SAME) if parts is None else np.where(parts, SAME_PART, SAME)
    pairs = _alike(boxes, labels, tile_ids, shares, same_in_tile)
    ranks = np.sort(rank[pairs], axis=1)  # the earlier of each pair first
    ranks = ranks[np.lexsort(ranks.T[::-1])]
    begins = np.searchsorted(ranks[:, 0], np.arange(count + 1))
    later = order[ranks[:, 1]]
    owner = np.arange(count)
    free = np.ones(count, dtype=bool)
    for place, row in enumerate(order.tolist()):
        if not free[row]:
            continue
        rows = later[begins[place] : begins[place + 1]]
        rows = rows[free[rows]]
        owner[rows] = row
        free[rows] = False
    return owner


def _alike(
    boxes: Boxes, labels: Numbers, tile_ids: Numbers, shares: Floats, same_in_tile: float
) -> Numbers:
    """(pairs, 2) rows that show one object."""
    outlines = shapely.polygons(boxes.quads)
    met = shapely.STRtree(outlines).query(outlines)  # pairs whose upright boxes meet
    first, second = met[:, met[0] < met[1]]
    one_class = labels[first] == labels[second]
    first, second = first[one_class], second[one_class]
    areas = boxes.areas
    smaller = np.minimum(areas[first], areas[second])
    least_share = np.minimum(shares[first], shares[second])
    shared = shared_areas(boxes, first, second, smaller * np.minimum(least_share, same_in_tile))
    union = areas[first] + areas[second] - shared
    one_tile = tile_ids[first] == tile_ids[second]
    least = np.where(one_tile, same_in_tile * union, least_share * smaller)
    alike = (shared >= least) & (shared > 0)
    return np.stack([first[alike], second[alike]], axis=1)


def _canonical_order(found: TileBoxes) -> Numbers:
    """Rows in an order that does not depend on theirs."""
    corners = found.boxes.quads.reshape(-1, 8).T
    return np.lexsort((*corners, found.confidence, found.tile_ids, found.labels))


def _cut_sides(found: TileBoxes) -> Flags:
    """(n, 4) whether the left, top, right and bottom border of its tile cuts a box."""
    lows, highs = np.split(found.tiles, 2, axis=1)
    near = NEAR * (highs - lows).max(axis=1, keepdims=True)
    box_lows, box_highs = np.split(found.boxes.hbb, 2, axis=1)
    begins = box_lows <= lows + near
    ends = box_highs >= highs - near
    inner = found.tiles != np.asarray(found.frame)
    return np.concatenate([begins, ends], axis=1) & inner


def _objects_of(
    found: TileBoxes, cut: Flags, groups: list[Numbers]
) -> tuple[SceneObjects, Numbers, Numbers]:
    """What boxes and joined parts show; how far each is to be trusted; which tile showed it.

    A joined object is of no tile, so that the parts which other tiles show of it are its own.
    """
    alone = np.ones(len(found), dtype=bool)
    for rows in groups:
        alone[rows] = False
    singles = np.flatnonzero(alone)
    quads = found.boxes.quads
    around = [rectangle_around(quads[rows].reshape(-1, 2)) for rows in groups]
    means = [found.confidence[rows].mean() for rows in groups]
    first = np.array([rows[0] for rows in groups], dtype=np.int64)
    first = np.concatenate([singles, first])
    objects = SceneObjects(
        boxes=Boxes(np.concatenate([quads[singles], np.reshape(around, (-1, 4, 2))])),
        labels=found.labels[first],
        confidence=np.concatenate([found.confidence[singles], means]),
        tile_ids=found.tile_ids[first],
        sightings=np.array([1] * len(singles) + [len(rows) for rows in groups], dtype=np.int64),
    )
    trust = np.full(len(first), _JOINED)
    trust[: len(singles)] = np.where(cut[singles].any(axis=1), _A_PART, _WHOLE)
    sources = objects.tile_ids.copy()
    sources[len(singles) :] = -1 - np.arange(len(groups))
    return objects, trust, sources


def _joined_parts(found: TileBoxes, cut: Flags) -> list[Numbers]:
    """Rows of each object that several boxes show a part of."""
    first, second = _partners(found, cut)
    count = len(found)
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    _, numbers = connected_components(links, directed=False)
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    groups = [rows for rows in np.split(order, ends) if len(rows) > 1]
    # What is bent like no box is are parts of several objects.
    return [rows for rows in groups if len(rows) == 2 or _coverage(found.boxes[rows]) >= FILLED]


def _partners(found: TileBoxes, cut: Flags) -> tuple[Numbers, Numbers]:
    """Pairs of parts on both sides of a border, each the best continuation of the other."""
    rows = np.flatnonzero(cut.any(axis=1))
    outlines = shapely.polygons(found.boxes.quads[rows])
    widths = found.tiles[:, 2] - found.tiles[:, 0]
    near = NEAR * float(widths.max(initial=0))
    tree = shapely.STRtree(outlines)
    first, second = rows[tree.query(outlines, "dwithin", distance=near)]
    # A left border cuts what goes on in the tile to the left, whose right border cuts that.
    opposite = np.roll(cut, 2, axis=1)
    facing = (cut[first] & opposite[second]).any(axis=1)
    one_class = found.labels[first] == found.labels[second]
    two_tiles = found.tile_ids[first] != found.tile_ids[second]
    fits = (first < second) & facing & one_class & two_tiles
    first, second = first[fits], second[fits]
    covered, growth = around_pairs(found.boxes, first, second)
    good = (covered >= FILLED) & (growth > GROWTH)
    first, second, covered = first[good], second[good], covered[good]
    best = np.zeros(len(found))
    np.maximum.at(best, first, covered)
    np.maximum.at(best, second, covered)
    mutual = (covered >= best[first]) & (covered >= best[second])
    return first[mutual], second[mutual]


def _coverage(boxes: Boxes) -> float:
    """Share of the rectangle around some boxes that they cover."""
    around = Boxes(rectangle_around(boxes.quads.reshape(-1, 2))[None])
    covered = shapely.union_all(shapely.polygons(boxes.quads)).area
    return float(covered / max(around.areas[0], 1e-9))
