import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from swath.boxes import Boxes, iou, iou_hbb
from swath.errors import EvaluationError, FormatError, ShapeError
from swath.evaluation.metrics import classification, counting, grounding
from swath.evaluation.metrics.base import Score, mean_of
from tests.evaluation.making import named, predicted

VECTORS = Path(__file__).parents[2] / "vectors"
LABELS = ["Airport", "Beach", "Church"]


def close(one, two):
    return abs(one - two) <= 1e-9 * max(1, abs(two))


def test_accuracy_counts_an_invalid_answer_as_wrong():
    some = [
        named(1, "Airport", "Airport"),
        named(2, "Beach", "Airport"),
        named(3, "Beach", None),
        named(4, "Beach", "Beach"),
    ]
    found = classification.measures(some, LABELS)
    assert found["accuracy"].value == 0.5
    # F1: Airport 2/(2+1) = 2/3, Beach 2/(1+3) = 1/2, Church 0; the mean is over all three.
    assert found["macro_f1"].value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["outside_labels"].value == 0.25
    assert "ece" not in found


def test_confusion_has_the_invalid_answers_in_its_last_column():
    some = [named(1, "Airport", "Beach"), named(2, "Beach", None), named(3, "Beach", "Beach")]
    assert classification.confusion(some, LABELS).tolist() == [
        [0, 1, 0, 0],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
    ]
    beach = classification.per_class(some, LABELS)[1]
    assert (beach.precision, beach.recall, beach.f1, beach.support) == (0.5, 0.5, 0.5, 2)


def test_classification_equals_scikit_learn():
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(6)]
    truth, answers = rng.choice(names[:5], 200), rng.choice([*names, "invalid"], 200)
    some = [
        named(i, str(t), None if a == "invalid" else str(a))
        for i, (t, a) in enumerate(zip(truth, answers, strict=True))
    ]
    found = classification.measures(some, names)
    assert found["accuracy"].value == pytest.approx(accuracy_score(truth, answers))
    theirs = f1_score(truth, answers, labels=names, average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(theirs)
    table = precision_recall_fscore_support(truth, answers, labels=names, zero_division=0)
    ours = [(c.precision, c.recall, c.f1, c.support) for c in classification.per_class(some, names)]
    np.testing.assert_allclose(np.array(ours).T, np.array(table))


def test_classification_equals_the_cookbook_vectors():
    vectors = json.loads((VECTORS / "classification_cookbook.json").read_text())
    labels, expected = vectors["label_set"], vectors["expected_corpus"]
    some = [
        named(i, case["truth"], scored if scored != "WRONG" else None)
        for i, case in enumerate(vectors["cases"])
        if (scored := case["expected"]["scored_as"])
    ]
    found = classification.measures(some, labels)
    assert close(found["accuracy"].value, expected["accuracy"])
    assert close(found["macro_f1"].value, expected["macro_over_labels"]["f1"])
    assert classification.confusion(some, labels).tolist() == expected["confusion_matrix"][:-1]
    for row in classification.per_class(some, labels):
        want = expected["per_class"][row.label]
        assert close(row.f1, want["f1"]) and close(row.precision, want["precision"])
        assert close(row.recall, want["recall"]) and row.support == want["support"]


def test_a_true_class_outside_the_labels_is_an_error():
    with pytest.raises(EvaluationError, match=r"q1: its true class 'Volcano' .*label set"):
        classification.measures([named(1, "Volcano", "Beach")], LABELS)


def test_calibration_of_answers_half_sure_and_always_right_is_off_by_a_half():
    some = [named(i, "Beach", "Beach", closed=True, confidence=0.5) for i in range(4)]
    assert classification.measures(some, LABELS)["ece"].value == pytest.approx(0.5)


def square(x, y, side):
    return Boxes.from_hbb([[x, y, x + side, y + side]]).quads.reshape(-1, 8).tolist()


def test_an_overlap_of_exactly_one_half_is_found_and_no_box_is_not():
    half = Boxes.from_hbb([[0, 0, 10, 5]]).quads.reshape(-1, 8).tolist()
    some = [
        predicted(1, "refer", {"boxes": square(0, 0, 10)}, boxes=half),
        predicted(2, "refer", {"boxes": square(0, 0, 10)}, boxes=None, problem="no box"),
        predicted(3, "refer", {"boxes": square(0, 0, 10)}, boxes=square(0, 0, 10) + half),
        predicted(4, "refer", {"boxes": square(0, 0, 10)}, boxes=square(50, 50, 10)),
    ]
    found = grounding.measures(some)
    assert found["acc@0.5"].value == 0.5  # the half and the first of two boxes
    assert found["mean_iou"].value == pytest.approx((0.5 + 0 + 1 + 0) / 4)


def test_a_box_turned_by_45_degrees_overlaps_less_than_its_upright_frame():
    turned = Boxes.from_rotated([[50, 50, 20, 20, 45]]).quads.reshape(-1, 8).tolist()
    frame = Boxes.from_hbb(Boxes.from_rotated([[50, 50, 20, 20, 45]]).hbb)
    one = predicted(1, "refer", {"boxes": turned}, boxes=frame.quads.reshape(-1, 8).tolist())
    found = grounding.measures([one])
    assert found["mean_iou"].value == pytest.approx(0.5)
    assert found["mean_iou_hbb"].value == pytest.approx(1.0)


def test_upright_overlaps_equal_the_vectors():
    cases = json.loads((VECTORS / "iou_horizontal.json").read_text())["cases"]
    one = Boxes.from_hbb([case["a"] for case in cases])
    two = Boxes.from_hbb([case["b"] for case in cases])
    ordered = [
        all(box[0] <= box[2] and box[1] <= box[3] for box in (case["a"], case["b"]))
        for case in cases
    ]
    want = np.array([case["expected"]["iou"] or 0.0 for case in cases])
    np.testing.assert_allclose(iou_hbb(one, two)[ordered], want[ordered], atol=1e-9)
    np.testing.assert_allclose(iou(one, two)[ordered], want[ordered], atol=1e-9)
    assert sum(ordered) > 100


def test_oriented_overlaps_turn_clockwise_as_in_the_vectors():
    cases = json.loads((VECTORS / "iou_rotated.json").read_text())["cases"]

    def boxes(box, angle):
        rows = [
            [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, case[angle]]
            for case in cases
            for x1, y1, x2, y2 in [case[box]]
        ]
        return Boxes.from_rotated(rows)

    one, two = boxes("a", "angle_a"), boxes("b", "angle_b")
    corners = [case["expected"]["cw"]["corners_a"] for case in cases]
    np.testing.assert_allclose(one.quads.reshape(-1, 8), corners, atol=1e-7)
    want = [case["expected"]["cw"]["iou"] or 0.0 for case in cases]
    np.testing.assert_allclose(iou(one, two), want, atol=1e-7)


def test_an_unreadable_count_is_an_error_of_the_whole_truth():
    some = [
        predicted(1, "count", {"count": 4}, count=4),
        predicted(2, "count", {"count": 6}, count=None, problem="no number"),
        predicted(3, "count", {"count": 0}, count=None, problem="no number"),
        predicted(4, "count", {"count": 3}, count=5),
    ]
    found = counting.measures(some)
    assert found["mae"].value == (0 + 6 + 1 + 2) / 4  # where 0 is true, staying silent is off by 1
    assert found["exact"].value == 0.25


def test_errors_of_counts_follow_their_formulas():
    some = [
        predicted(1, "count", {"count": 4}, count=5),
        predicted(2, "count", {"count": 0}, count=3),
        predicted(3, "count", {"count": 2}, count=2),
    ]
    found = counting.measures(some)
    assert found["rmse"].value == pytest.approx((10 / 3) ** 0.5)
    assert found["r2"].value == pytest.approx(1 - 10 / 8)  # the truths lie 2, -2, 0 off their mean
    assert found["mape"].value == pytest.approx((1 / 4 + 0) / 2)


def test_counts_that_are_all_alike_have_nothing_to_explain():
    some = [predicted(i, "count", {"count": 0}, count=i) for i in range(3)]
    found = counting.measures(some)
    assert found["r2"].value == 0
    assert "mape" not in found


def test_nothing_to_score_is_an_error_with_advice():
    with pytest.raises(EvaluationError, match="is the test split empty"):
        mean_of([], [])


def test_a_measure_needs_a_scene_a_sample():
    with pytest.raises(ShapeError, match="2 samples have 1 scenes"):
        mean_of([1, 2], ["s"])


def test_a_score_survives_writing_and_reading_and_refuses_unknown_fields():
    score = Score(0.5, 10, 2, 0.4, 0.6)
    assert Score.from_row(asdict(score)) == score
    with pytest.raises(FormatError, match="unexpected"):
        Score.from_row({"value": 1.0, "n": 1, "mood": "good"})
