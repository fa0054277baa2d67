import numpy as np
import pytest

from swath.boxes import Boxes
from swath.errors import ShapeError
from swath.evaluation.metrics import detection
from swath.evaluation.metrics.detection import Objects


def at(*corners, side=100):
    return Boxes.from_hbb([[x, 0, x + side, side] for x in corners])


TRUTH = Objects(["a", "a"], ["ship", "ship"], at(0, 200))


def test_a_wrong_box_before_the_second_right_one_costs_a_third_of_half_the_area():
    # Precision 1 up to recall 0.5, then 2/3: 51 of COCO's 101 recalls at 1 and 50 at 2/3.
    found = Objects(["a"] * 3, ["ship"] * 3, at(0, 500, 200), [0.9, 0.8, 0.7])
    wanted = (51 + 50 * 2 / 3) / 101
    assert detection.coco(found, TRUTH)[0]["AP50"] == pytest.approx(wanted)
    assert detection.dota(found, TRUTH, eleven=False)["ship"].ap == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert detection.dota(found, TRUTH)["ship"].ap == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_a_second_box_on_one_object_is_wrong_and_on_a_difficult_one_left_out():
    twice = Objects(["a"] * 2, ["ship"] * 2, at(0, 1), [0.9, 0.8])
    assert detection.dota(twice, TRUTH)["ship"].precision == 0.5
    hard = Objects(["a", "a"], ["ship", "ship"], at(0, 200), difficult=[True, False])
    one = detection.dota(twice, hard)["ship"]
    assert (one.ap, one.precision, one.recall) == (0, 0, 0)


def test_sizes_without_objects_are_minus_one_and_nothing_found_is_zero():
    none = Objects([], [], Boxes.empty(), [])
    scores, _ = detection.coco(none, TRUTH)
    assert (scores["AP"], scores["AP_small"], scores["AP_large"]) == (0, -1, 0)
    assert detection.dota(none, TRUTH)["ship"].ap == 0


def test_an_overlap_of_exactly_one_half_is_found_by_coco_and_not_by_dota():
    half = Objects(["a"], ["ship"], Boxes.from_hbb([0, 0, 100, 50]), [1.0])
    truth = Objects(["a"], ["ship"], at(0))
    assert detection.coco(half, truth)[0]["AP50"] == pytest.approx(1)
    assert detection.dota(half, truth)["ship"].ap == 0


def test_any_number_of_boxes_may_lie_in_a_crowd_and_none_of_them_counts():
    truth = Objects(["a", "a"], ["ship"] * 2, at(0, 200), difficult=[False, True])
    inside = Boxes.from_hbb([[0, 0, 100, 100], [200, 0, 230, 30], [240, 0, 270, 30]])
    scores = [0.7, 0.9, 0.8]  # the small ones come first: wrong, if they counted
    found = Objects(["a"] * 3, ["ship"] * 3, inside, scores)
    assert detection.coco(found, truth)[0]["AP"] == pytest.approx(1)
    plain = Objects(["a", "a"], ["ship"] * 2, at(0, 200))
    assert detection.coco(found, plain)[0]["AP"] < 0.5


def test_nothing_is_printed_and_the_first_object_can_be_found(capsys):
    one = Objects(["a"], ["ship"], at(0), [1.0])
    scores, per_class = detection.coco(one, Objects(["a"], ["ship"], at(0)))
    assert (scores["AP"], per_class) == (pytest.approx(1), {"ship": pytest.approx(1)})
    assert capsys.readouterr().out == ""


def test_objects_need_a_value_each():
    with pytest.raises(ShapeError, match="a value each"):
        Objects(["a"], ["ship", "car"], at(0))
    assert np.allclose(at(0).areas, 100**2)


def test_a_box_belongs_to_an_object_of_the_size_even_if_it_overlaps_another_more():
    # 37 x 37 found; 30 x 30 is small (IoU 0.66), 40 x 40 is not (IoU 0.86): found up to 0.65.
    truth = Objects(["a", "a"], ["ship", "ship"], Boxes.from_hbb([[0, 0, 30, 30], [0, 0, 40, 40]]))
    found = Objects(["a"], ["ship"], at(0, side=37), [1.0])
    assert detection.coco(found, truth)[0]["AP_small"] == pytest.approx(0.4)
