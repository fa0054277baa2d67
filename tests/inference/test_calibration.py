from dataclasses import replace

import numpy as np
import pytest

from swath.boxes import Boxes
from swath.evaluation.predictions import write_predictions
from swath.files import write_json
from swath.inference.calibration import (
    ANSWERS,
    LEAST,
    Calibration,
    calibrated_on,
    judged_boxes,
)
from swath.instructions.tasks.truths import BoxesTruth
from tests.evaluation.making import named


def answers(count, share, right):
    """So many answers of one share, of which a part is right."""
    return np.full(count, share), np.arange(count) < round(right * count)


def boxed(number, boxes, confidence, truth):
    """An answer with upright boxes about objects in upright boxes, of a scene of its own."""
    of_objects = BoxesTruth(Boxes.from_hbb(np.reshape(truth, (-1, 4)).astype(float)))
    rows = Boxes.from_hbb(np.reshape(boxes, (-1, 4)).astype(float)).to_rows() or None
    answer = replace(named(number, "", ""), task="ground", truth=of_objects, boxes=rows)
    return replace(answer, box_confidence=confidence, scene=f"{number:02}")


def test_a_model_that_is_too_sure_is_believed_as_often_as_it_was_right():
    parts = [answers(300, 0.99, 0.8), answers(300, 0.7, 0.55)]
    shares, right = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    calibrated = Calibration.of_answers(shares, right)
    assert calibrated([0.99, 0.7]) == pytest.approx([0.8, 0.55], abs=0.01)
    assert calibrated.error == pytest.approx((0.19 + 0.15) / 2)
    grid = np.linspace(0, 1, 50)
    assert (np.diff(calibrated(grid)[1:-1]) > 0).all()  # the order of sureness stays


def test_only_right_answers_make_none_certain():
    calibrated = Calibration.of_answers(*answers(50, 0.9, 1.0))
    assert 0.9 < calibrated(0.9) < 0.99
    assert np.isnan(calibrated(np.nan))  # of a cell without a class


def test_of_boxes_those_are_right_that_find_an_object_the_surest_one_first():
    objects = [[0, 0, 10, 10], [20, 0, 30, 10]]
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [21, 0, 31, 10], [26, 0, 36, 10]]
    confidence = [0.6, 0.9, 0.7, 0.8]
    # IoU with the objects: 1.0 and 0.9 of the first, 9/11 and 4/16 of the second.
    several = boxed(0, boxes, confidence, objects)
    nothing_there = boxed(1, [[0, 0, 5, 5]], [0.5], [])
    none = boxed(2, [], [], objects)
    shares, right, scenes = judged_boxes([several, nothing_there, none])
    assert shares.tolist() == [0.6, 0.9, 0.7, 0.8, 0.5]
    assert right.tolist() == [False, True, True, False, False]
    assert scenes == ("00", "00", "00", "00", "01")


def test_boxes_are_calibrated_on_the_validation_split_and_their_error_is_told():
    box, elsewhere = [0, 0, 10, 10], [50, 50, 60, 60]
    # Of 40 boxes at 0.95 three in four find their object: an error of 0.95 - 0.75.
    rows = [boxed(n, [box], [0.95], [box if n % 8 > 1 else elsewhere]) for n in range(40)]
    calibrated = calibrated_on(rows, [])
    assert (calibrated.answers, calibrated.kind) == (40, "boxes")
    assert calibrated.error == pytest.approx(0.2)
    # Platt's targets, 31/32 and 1/12: (30 * 31/32 + 10 / 12) / 40
    assert calibrated(0.95) == pytest.approx(0.747, abs=0.001)
    # Every second scene: 15 of 20 right in each half, of which the other half says
    # (15 * 16/17 + 5 / 7) / 20 = 0.7416
    assert calibrated.error_held_out == pytest.approx(0.0084, abs=0.0001)
    assert calibrated.words.endswith("on 40 validation boxes: error 0.20 before, 0.01 after")
    few = calibrated_on(rows[: LEAST - 1], [])
    assert few(0.95) == 0.95 and "gave 29 boxes with a confidence, of 30 needed" in few.words


def test_a_run_is_calibrated_on_its_validation_answers_and_else_says_why_not(tmp_path):
    assert "only a run's own folder" in Calibration.of_run(tmp_path).words
    card = {"labels": ["Airport", "Beach"], "conversations": {"train": {"ground": 9}}}
    write_json(tmp_path / "set" / "card.json", card)
    words = Calibration.of_run(tmp_path, "ground").words
    assert words.endswith("the run's set has no validation split with task 'ground'")
    card["conversations"]["val"] = {"classify": 40}
    write_json(tmp_path / "set" / "card.json", card)
    assert f"`swath evaluate {tmp_path}` asks" in Calibration.of_run(tmp_path).words
    rows = [named(n, "Beach", "Beach" if n % 4 else "Airport", confidence=0.99) for n in range(40)]
    (tmp_path / ANSWERS).parent.mkdir(parents=True)
    write_predictions(tmp_path / ANSWERS, rows)
    calibrated = Calibration.of_run(tmp_path)
    assert calibrated.answers == 40 and calibrated(0.99) == pytest.approx(0.75, abs=0.02)
    assert "gave 0 answers" in Calibration.of_run(tmp_path, "ground").words
    write_predictions(tmp_path / ANSWERS, rows[:20])
    assert Calibration.of_run(tmp_path)(0.99) == 0.99
