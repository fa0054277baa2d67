import numpy as np
import pytest

from swath.boxes import Boxes
from swath.evaluation.metrics import grounding, matching
from tests.evaluation.making import predicted


def squares(*corners, side=10):
    boxes = Boxes.from_hbb([[x, y, x + side, y + side] for x, y in corners])
    return boxes.quads.reshape(-1, 8).tolist()


def test_greedy_pairs_may_be_fewer_than_there_can_be():
    # The first answer overlaps both truths; taking its best leaves the second answer alone.
    overlap = np.array([[0.9, 0.6], [0.7, 0.0]])
    assert matching.greedy(overlap, 0.5) == 1
    assert matching.most(overlap, 0.5) == 2


def test_a_box_is_paired_once_and_a_tie_counts():
    assert matching.greedy(np.array([[0.5], [0.9]]), 0.5) == 1
    assert matching.greedy(np.array([[0.5]]), 0.5) == 1
    assert matching.most(np.array([[0.49]]), 0.5) == 0


def test_the_last_of_1200_answers_may_move_all_others_on_by_one():
    # Each answer overlaps its own truth and the one before; the last finds only a taken one.
    overlap = np.eye(1200) + np.eye(1200, k=1)
    overlap[-1] = np.eye(1200)[0]
    assert matching.most(overlap, 0.5) == 1200


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_no_box_on_one_side_is_no_pair(shape):
    assert matching.greedy(np.zeros(shape), 0.5) == matching.most(np.zeros(shape), 0.5) == 0


def test_precision_recall_and_f1_pool_the_boxes_of_all_answers():
    some = [
        # 2 of 3 found, and one box too many: 2 pairs, 3 answered, 3 meant.
        predicted(
            1,
            "ground",
            {"boxes": squares((0, 0), (20, 0), (40, 0))},
            boxes=squares((0, 0), (20, 0), (70, 70)),
        ),
        predicted(2, "ground", {"boxes": squares((0, 0))}, boxes=None, problem="no box"),
    ]
    found = grounding.found(some)
    assert found["precision@0.5"].value == pytest.approx(2 / 3)
    assert found["recall@0.5"].value == pytest.approx(2 / 4)
    assert found["f1@0.5"].value == pytest.approx(4 / 7)
    assert found["f1@0.5_optimal"].value == pytest.approx(4 / 7)


def test_a_turned_box_may_be_found_upright_only():
    turned = Boxes.from_rotated([[50, 50, 40, 4, 45]])
    frame = Boxes.from_hbb(turned.hbb).quads.reshape(-1, 8).tolist()
    one = predicted(1, "ground", {"boxes": turned.quads.reshape(-1, 8).tolist()}, boxes=frame)
    found = grounding.found([one])
    assert (found["f1@0.5"].value, found["f1@0.5_hbb"].value) == (0, 1)


def test_no_box_anywhere_is_zero_and_no_error():
    one = predicted(1, "ground", {"boxes": squares((0, 0))}, boxes=None, problem="no box")
    assert {measure.value for measure in grounding.found([one]).values()} == {0.0}
