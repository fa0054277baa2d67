import numpy as np
import pytest

from swath.evaluation.predictions import write_predictions
from swath.files import write_json
from swath.inference.calibration import ANSWERS, Calibration
from tests.evaluation.making import named


def answers(count, share, right):
    """So many answers of one share, of which a part is right."""
    return np.full(count, share), np.arange(count) < round(right * count)


def test_a_model_that_is_too_sure_is_believed_as_often_as_it_was_right():
    parts = [answers(300, 0.99, 0.8), answers(300, 0.7, 0.55)]
    shares, right = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    calibrated = Calibration.of_answers(shares, right)
    assert calibrated([0.99, 0.7]) == pytest.approx([0.8, 0.55], abs=0.01)
    grid = np.linspace(0, 1, 50)
    assert (np.diff(calibrated(grid)[1:-1]) > 0).all()  # the order of sureness stays


def test_only_right_answers_make_none_certain():
    calibrated = Calibration.of_answers(*answers(50, 0.9, 1.0))
    assert 0.9 < calibrated(0.9) < 0.99
    assert np.isnan(calibrated(np.nan))  # of a cell without a class


def test_a_run_is_calibrated_on_its_validation_answers_and_not_on_a_few(tmp_path):
    assert Calibration.of_run(tmp_path) is None
    write_json(tmp_path / "set" / "card.json", {"labels": ["Airport", "Beach"]})
    rows = [named(n, "Beach", "Beach" if n % 4 else "Airport", confidence=0.99) for n in range(40)]
    (tmp_path / ANSWERS).parent.mkdir(parents=True)
    write_predictions(tmp_path / ANSWERS, rows)
    calibrated = Calibration.of_run(tmp_path)
    assert calibrated.answers == 40 and calibrated(0.99) == pytest.approx(0.75, abs=0.02)
    write_predictions(tmp_path / ANSWERS, rows[:20])
    assert Calibration.of_run(tmp_path) is None
