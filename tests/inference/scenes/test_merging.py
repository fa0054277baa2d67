from itertools import pairwise

import numpy as np
import pytest

from swath.boxes import Boxes, iou
from swath.inference.scenes.merging import TileBoxes, merge, merged_in_turn, suppressed_by

FRAME = (0, 0, 200, 100)
LEFT, RIGHT = (0, 0, 100, 100), (100, 0, 200, 100)


def seen(boxes, tiles, confidence=None, labels=None) -> TileBoxes:
    """Boxes of x1, y1, x2, y2 as the tiles showed them."""
    tiles = np.array(tiles, dtype=float)
    _, tile_ids = np.unique(tiles, axis=0, return_inverse=True)
    sure = np.full(len(tiles), 0.5) if confidence is None else np.array(confidence)
    classes = np.zeros(len(tiles), int) if labels is None else np.array(labels)
    given = boxes if isinstance(boxes, Boxes) else Boxes.from_hbb(boxes)
    return TileBoxes(given, classes, sure, tiles, tile_ids.ravel(), FRAME)


def test_an_object_cut_by_a_border_is_joined_into_one():
    objects = merge(seen([[70, 40, 100, 52], [100, 40, 125, 52]], [LEFT, RIGHT]))
    assert objects.boxes.hbb.tolist() == [[70, 40, 125, 52]]
    assert objects.sightings.tolist() == [2]


def test_a_turned_object_is_joined_along_its_own_direction():
    whole = Boxes.from_rotated([[100, 50, 60, 14, 30]])
    halves = Boxes.from_rotated([[87.01, 42.5, 30, 14, 30], [112.99, 57.5, 30, 14, 30]])
    objects = merge(seen(halves, [LEFT, RIGHT]))
    assert iou(objects.boxes, whole)[0] > 0.99


def test_two_objects_beside_each_other_at_a_border_stay_two():
    objects = merge(seen([[60, 20, 100, 32], [100, 60, 140, 72]], [LEFT, RIGHT]))
    assert len(objects) == 2


def test_a_part_is_dropped_where_another_tile_shows_the_whole():
    overlapping = (50, 0, 150, 100)
    boxes = [[70, 40, 100, 52], [70, 40, 125, 52], [100, 40, 125, 52]]
    objects = merge(seen(boxes, [LEFT, overlapping, RIGHT], confidence=[0.9, 0.4, 0.9]))
    assert objects.boxes.hbb.tolist() == [[70, 40, 125, 52]]
    assert objects.confidence.tolist() == [0.4] and objects.sightings.tolist() == [3]


def test_the_scenes_own_border_cuts_no_object_in_two():
    objects = merge(seen([[0, 40, 20, 52], [80, 40, 99, 52]], [LEFT, LEFT]))
    assert len(objects) == 2


def test_boxes_of_two_classes_are_never_one_object():
    objects = merge(seen([[10, 10, 30, 30]] * 2, [LEFT, LEFT], labels=[0, 1]))
    assert sorted(objects.labels.tolist()) == [0, 1]


def test_no_box_gives_no_object():
    assert len(merge(seen(Boxes.empty(), np.zeros((0, 4))))) == 0


def crowd(count, side=600, seed=0):
    rng = np.random.default_rng(seed)
    rows = [rng.uniform(0, side, (count, 2)), rng.uniform(8, 50, (count, 2))]
    boxes = Boxes.from_rotated(np.column_stack([*rows, rng.uniform(0, 180, count)]))
    corners = np.floor(boxes.quads.mean(axis=1) / 75) * 75 - rng.integers(0, 2, (count, 2)) * 25
    tiles = np.concatenate([corners, corners + 100], axis=1)
    return seen(boxes, tiles, rng.random(count), rng.integers(0, 2, count))


def test_the_order_of_the_boxes_changes_nothing():
    found = crowd(500)
    objects = merge(found)
    for seed in range(3):
        again = merge(found.of(np.random.default_rng(seed).permutation(500)))
        assert np.array_equal(again.boxes.quads, objects.boxes.quads)
        assert np.array_equal(again.confidence, objects.confidence)
        assert np.array_equal(again.sightings, objects.sightings)


def test_rows_of_tiles_merged_in_turn_give_what_all_together_give():
    found = crowd(2000, side=1200)
    tops = found.tiles[:, 1]
    borders = [-np.inf, 300, 310, 600, 900, np.inf]
    chunks = []
    for first, last in pairwise(borders):
        rows = np.flatnonzero((tops >= first) & (tops < last))
        chunks.append((found.of(rows), last))
    objects, whole = merged_in_turn(chunks), merge(found)
    for name in ("labels", "confidence", "tile_ids", "sightings"):
        assert np.array_equal(getattr(objects, name), getattr(whole, name)), name
    assert np.array_equal(objects.boxes.quads, whole.boxes.quads) and len(whole) < 1500


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_with_one_tile_it_is_greedy_suppression_as_the_matrix_of_all_pairs_gives_it(threshold):
    found = crowd(300, side=250)
    boxes, order = found.boxes, np.argsort(-found.confidence)
    one = np.zeros(len(boxes), dtype=np.int64)
    owner = suppressed_by(boxes, one, one, order, same_in_tile=threshold)
    pairs = [np.repeat(boxes.quads, len(boxes), axis=0), np.tile(boxes.quads, (len(boxes), 1, 1))]
    matrix = iou(*map(Boxes, pairs)).reshape(len(boxes), -1)
    expected = []
    for row in order:
        if not expected or matrix[row, expected].max() < threshold:
            expected.append(int(row))
    assert sorted(expected) == np.flatnonzero(owner == np.arange(len(boxes))).tolist()
