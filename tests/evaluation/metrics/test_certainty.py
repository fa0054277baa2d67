import numpy as np
import pytest

from swath.evaluation.metrics.certainty import certainty, threshold, words
from tests.evaluation.making import named, predicted


def answers(pairs, first=0):
    """Closed answers of (confidence, right), a scene each."""
    return [
        named(first + i, "a", "a" if right else "b", scene=f"{first + i:03}", confidence=sure)
        for i, (sure, right) in enumerate(pairs)
    ]


TEST = answers([(0.9, True), (0.8, True), (0.7, False), (0.3, False)])


def test_a_threshold_chosen_on_validation_is_applied_to_the_test():
    # Validation is all right from 0.8 on; in the test two of four are that sure, both right.
    held = answers([(0.95, True), (0.8, True), (0.75, False), (0.2, False)], first=50)
    found = certainty(TEST, ["a", "b"], held)
    (aim,) = [one for one in found.aims if one.aim == 0.95]
    assert (aim.thresholds, aim.coverage, aim.accuracy, aim.given) == ((0.8,), 0.5, 1.0, 2)
    assert (found.chosen_on, found.chosen_n) == ("validation", 4)
    assert words(aim) == (
        "for 95 % accuracy, `unsure` below p = 0.80: accuracy 100.0 % at coverage 50.0 % (2 of 4)"
    )


def test_a_threshold_that_held_on_validation_may_fall_short_on_the_test():
    held = answers([(0.7, True), (0.2, False)], first=50)
    aim = certainty(TEST, ["a", "b"], held).aims[-1]
    assert (aim.thresholds, aim.accuracy) == ((0.7,), pytest.approx(2 / 3))


def test_without_validation_each_half_of_the_scenes_is_judged_by_the_other():
    # Even scenes are right from 0.9 on, odd ones from 0.6 on.
    found = certainty(answers([(0.9, True), (0.6, True), (0.7, False), (0.5, False)]), ["a", "b"])
    aim = found.aims[-1]
    assert found.chosen_on == "halves of the test"
    assert sorted(aim.thresholds) == [0.6, 0.9]
    assert (aim.given, aim.accuracy) == (2, 0.5)  # 0.9 and 0.7 of the even, none of the odd


def test_what_no_threshold_reaches_is_said():
    held = answers([(0.9, False)], first=50)
    aim = certainty(TEST, ["a", "b"], held).aims[-1]
    assert (aim.coverage, aim.accuracy) == (0, None)
    assert words(aim) == "for 99 % accuracy: no threshold reaches it"


def test_the_confidence_for_an_accuracy_is_the_lowest_that_reaches_it():
    # Right from 0.8 on; of the three from 0.3 on two are right, of all four again two.
    held = answers([(0.9, True), (0.8, True), (0.3, False), (0.2, False)])
    assert threshold(held, ["a", "b"], 1.0) == 0.8
    assert threshold(held, ["a", "b"], 0.6) == 0.3
    assert threshold(held[2:], ["a", "b"], 0.5) is None


def test_bins_hold_their_upper_edge_and_the_curve_ends_at_the_accuracy():
    found = certainty(answers([(0.2, True), (0.2001, False), (1.0, True)]), ["a", "b"])
    assert [(low, n) for low, _, n, _, _ in found.bins] == [
        (pytest.approx(2 / 15), 1),
        (pytest.approx(3 / 15), 1),
        (pytest.approx(14 / 15), 1),
    ]
    assert found.curve.accuracy[-1] == pytest.approx(2 / 3)
    row = found.to_row()
    assert row["curve"][-1] == {"coverage": 1.0, "accuracy": pytest.approx(2 / 3)}


def test_answers_without_confidence_have_no_certainty():
    assert certainty([*TEST, named(9, "a", "a")], ["a", "b"]) is None
    assert certainty([predicted(1, "count", {"count": 3}, count=2)]) is None


def test_closed_counts_are_judged_by_the_exact_count():
    some = [predicted(i, "count", {"count": 3}, count=3, confidence=0.5) for i in range(4)]
    assert np.all(certainty(some).curve.accuracy == 1)
