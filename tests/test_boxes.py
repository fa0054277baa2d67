import numpy as np
import pytest

from swath.boxes import Boxes, iou, iou_hbb
from swath.errors import ShapeError


def square(x: float, y: float, side: float) -> Boxes:
    return Boxes.from_hbb([x, y, x + side, y + side])


def test_swapped_corners_are_put_in_order():
    assert Boxes.from_hbb([30, 40, 10, 20]).hbb.tolist() == [[10, 20, 30, 40]]
    assert Boxes.from_hbb([30, 20, 10, 40]).hbb.tolist() == [[10, 20, 30, 40]]


def test_right_angle_turns_the_box_clockwise_on_screen():
    # Upper left corner of a 4 x 2 box about (10, 10) goes to the upper right, since y points down.
    box = Boxes.from_rotated([[10, 10, 4, 2, 90]])
    assert box.quads[0] == pytest.approx(np.array([[11, 8], [11, 12], [9, 12], [9, 8]]))


def test_rotated_is_the_inverse_of_from_rotated():
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [
            rng.uniform(0, 1e4, (200, 2)),
            rng.uniform(1, 500, (200, 2)),
            rng.uniform(0.01, 90, (200, 1)),
        ],
        axis=1,
    )
    assert Boxes.from_rotated(rows).rotated == pytest.approx(rows, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "folded"),
    [
        ((20, 10, 0), (10, 20, 90)),
        ((20, 10, 90), (20, 10, 90)),
        ((20, 10, 120), (10, 20, 30)),
        ((20, 10, 180), (10, 20, 90)),
        ((20, 10, -30), (10, 20, 60)),
        ((20, 10, 385), (20, 10, 25)),
        ((10, 10, 45), (10, 10, 45)),
    ],
)
def test_angle_is_folded_into_0_to_90(given, folded):
    box = Boxes.from_rotated([[50, 50, *given]])
    assert box.rotated[0] == pytest.approx([50, 50, *folded])
    assert iou(Boxes.from_rotated(box.rotated), box)[0] == pytest.approx(1)


def test_rotated_does_not_depend_on_the_order_of_the_corners():
    corners = Boxes.from_rotated([[50, 60, 30, 10, 25]]).quads[0]
    for order in ([1, 2, 3, 0], [2, 3, 0, 1], [3, 2, 1, 0], [0, 3, 2, 1]):
        assert Boxes(corners[None, order]).rotated[0] == pytest.approx([50, 60, 30, 10, 25])


def test_another_quadrilateral_gives_the_smallest_rectangle_around_it():
    kite = Boxes(np.array([[[0, 5], [10, 0], [10, 10], [0, 6]]]))
    around = Boxes.from_rotated(kite.rotated)
    assert around.hbb[0] == pytest.approx([0, 0, 10, 10])


def test_corners_in_one_line_give_a_rectangle_along_it():
    # A 3-4-5 triangle's long side, angle atan(4 / 3); which edge is the point does not matter.
    along = pytest.approx([1.5, 2, 5, 0, 53.1301024])
    assert Boxes(np.array([[[0, 0], [3, 4], [3, 4], [0, 0]]])).rotated[0] == along
    first_edge_is_a_point = Boxes(np.array([[[0, 0], [0, 0], [3, 4], [3, 4]]])).rotated[0]
    assert first_edge_is_a_point == along
    scattered = Boxes(np.array([[[0, 0], [1, 0], [5, 0], [2, 0]]])).rotated[0]
    assert scattered == pytest.approx([2.5, 0, 0, 5, 90])


def test_one_point_is_a_box_without_area():
    point = Boxes.from_hbb([7, 8, 7, 8])
    assert point.rotated.tolist() == [[7, 8, 0, 0, 90]]
    assert point.areas.tolist() == [0]


def test_areas_ignore_the_direction_of_the_corners():
    box = Boxes.from_rotated([[0, 0, 6, 5, 33]])
    assert box.areas[0] == pytest.approx(30)
    assert Boxes(box.quads[:, ::-1]).areas[0] == pytest.approx(30)


def test_a_box_turned_half_round_is_the_same_box_however_it_was_rounded():
    sides = np.indices((50, 50)).reshape(2, -1).T + 5.0
    rows = np.c_[np.full((len(sides), 2), 50.0), sides, np.full(len(sides), 36.0)]
    turned = rows + np.array([0, 0, 0, 0, 180])
    assert iou(Boxes.from_rotated(rows), Boxes.from_rotated(turned)).min() > 1 - 1e-9


def test_iou_worked_by_hand():
    # Two 10 x 10 squares, 5 apart both ways: 25 shared of 175.
    assert iou(square(0, 0, 10), square(5, 5, 10))[0] == pytest.approx(25 / 175)
    assert iou_hbb(square(0, 0, 10), square(5, 5, 10))[0] == pytest.approx(25 / 175)
    # A square of side 2 and itself turned by 45: the octagon 8 (sqrt 2 - 1), of 8 in both.
    octagon = 8 * (2**0.5 - 1)
    turned = Boxes.from_rotated([[1, 1, 2, 2, 45]])
    assert iou(square(0, 0, 2), turned)[0] == pytest.approx(octagon / (8 - octagon))
    # Their horizontal boxes: 4 within (2 sqrt 2) squared = 8.
    assert iou_hbb(square(0, 0, 2), turned)[0] == pytest.approx(0.5)


def test_touching_boxes_share_nothing():
    assert iou(square(0, 0, 10), square(10, 0, 10))[0] == 0


def test_boxes_without_area_score_0():
    point, box = square(5, 5, 0), square(0, 0, 10)
    crossing = Boxes(np.array([[[0, 0], [10, 10], [10, 0], [0, 10]]]))
    for a, b in ((point, point), (point, box), (crossing, box), (crossing, crossing)):
        assert iou(a, b).tolist() == [0]
    assert iou_hbb(point, point).tolist() == [0]


def test_no_boxes_are_no_scores():
    none = Boxes.empty()
    assert len(none) == 0
    assert iou(none, none).shape == iou_hbb(none, none).shape == none.areas.shape == (0,)
    assert none.rotated.shape == (0, 5) and none.hbb.shape == (0, 4)
    assert len(Boxes.from_hbb([])) == len(Boxes.from_rotated([])) == 0


@pytest.mark.parametrize("overlap", [iou, iou_hbb])
def test_overlap_pairs_rows_only(overlap):
    with pytest.raises(ShapeError, match="row by row, got 1 and 0"):
        overlap(square(0, 0, 1), Boxes.empty())


def test_boxes_refuse_other_shapes_and_values():
    with pytest.raises(ShapeError, match=r"need shape \(n, 4, 2\), got \(1, 8\)"):
        Boxes(np.zeros((1, 8)))
    with pytest.raises(ShapeError, match="not finite"):
        Boxes(np.full((1, 4, 2), np.nan))


def test_rows_are_picked_by_number_slice_list_and_mask():
    three = Boxes.from_hbb([[i, 0, i + 1, 1] for i in range(3)])
    assert three[1].hbb[0, 0] == three[np.int64(1)].hbb[0, 0] == 1
    assert len(three[1:]) == 2 and len(three[[2, 0]]) == 2 and len(three[[]]) == 0
    assert three[np.array([True, False, True])].hbb[:, 0].tolist() == [0, 2]


def test_moves_are_those_of_the_corners():
    box = Boxes.from_hbb([1, 2, 3, 4])
    assert box.shifted((10, 20)).hbb.tolist() == [[11, 22, 13, 24]]
    assert box.scaled((2, 0.5)).hbb.tolist() == [[2, 1, 6, 2]]
    flip_left_right = [[-1, 0, 100], [0, 1, 0]]
    assert box.transformed(flip_left_right).hbb.tolist() == [[97, 2, 99, 4]]


def test_rows_of_eight_numbers_are_rounded_and_come_back():
    box = Boxes.from_rows([[10, 20, 30.12349, 20, 30.12349, 40, 10, 40]])
    assert box.to_rows() == [[10, 20, 30.123, 20, 30.123, 40, 10, 40]]
    assert box.to_rows(None) == [[10, 20, 30.12349, 20, 30.12349, 40, 10, 40]]
    assert Boxes.from_rows(box.to_rows(None)).quads.tolist() == box.quads.tolist()
    assert Boxes.from_rows([]).to_rows() == []
