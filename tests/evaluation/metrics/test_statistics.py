import json
from math import erfc, sqrt
from pathlib import Path

import numpy as np
import pytest

from swath.errors import EvaluationError
from swath.evaluation.metrics import statistics
from swath.evaluation.metrics.base import mean_of, ratio_of, share_of
from swath.evaluation.metrics.statistics import (
    calibration,
    calibration_error,
    difference,
    ends,
    interval,
    mcnemar,
    resampled,
)

CASES = json.loads((Path(__file__).parents[2] / "vectors/statistics.json").read_text())["cases"]


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["kind"] == "bootstrap"], ids=lambda c: c["id"]
)
def test_bootstrap_equals_the_vectors(case):
    scenes = [str(i) for i in range(len(case["scores_a"]))]
    one, two = mean_of(case["scores_a"], scenes), mean_of(case["scores_b"], scenes)
    expected = case["expected"]
    assert one.value == pytest.approx(expected["mean"])
    drawn = {"resamples": case["B"], "seed": case["seed"]}
    assert interval(one, **drawn) == pytest.approx(expected["ci95_percentile"])
    assert interval(one, level=0.9, **drawn) == pytest.approx(expected["ci90_percentile"])
    gap = difference(two, one, **drawn)
    assert gap.value == pytest.approx(expected["paired_diff"])
    assert (gap.low, gap.high) == pytest.approx(tuple(expected["paired_ci95"]))
    assert gap.p == pytest.approx(expected["p_two_sided"], abs=0.011)  # ties may round to a side


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["kind"] == "mcnemar"], ids=lambda c: c["id"]
)
def test_mcnemar_equals_the_vectors(case):
    assert mcnemar(case["b"], case["c"]) == pytest.approx(case["expected"]["exact_p"], rel=1e-9)


@pytest.mark.parametrize("pairs", [2000, 20_000])
def test_mcnemar_of_thousands_of_pairs_is_near_its_normal_limit(pairs):
    apart = round(pairs**0.5)  # so that chi-squared is 1
    one, two = (pairs - apart) // 2, (pairs + apart) // 2
    chi_squared = (two - one - 1) ** 2 / pairs  # corrected for continuity
    assert mcnemar(one, two) == pytest.approx(erfc(sqrt(chi_squared / 2)), rel=1e-3)
    assert mcnemar(one, two, mid=True) < mcnemar(one, two)


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "ece"], ids=lambda c: c["id"])
def test_calibration_error_equals_the_vectors(case):
    for bins in (10, 15):
        rows = calibration(case["confidence"], case["correct"], bins)
        want = case["expected"][f"M{bins}_right"]["ece"]
        assert float(calibration_error(rows.sum(axis=0))) == pytest.approx(want)


def test_scenes_are_drawn_whole():
    # Two scenes, all right and all wrong: a resample is 0, 1/2 or 1, however many samples.
    measure = share_of([True] * 10 + [False] * 10, ["a"] * 10 + ["b"] * 10)
    assert set(resampled(measure)) == {0.0, 0.5, 1.0}
    assert interval(measure) == (0.0, 1.0)


def test_a_single_scene_has_no_spread():
    assert interval(share_of([True, False], ["a", "a"])) == (0.5, 0.5)


def test_drawing_in_pieces_changes_nothing(monkeypatch):
    measure = mean_of(np.arange(50), [str(i) for i in range(50)])
    whole = resampled(measure)
    monkeypatch.setattr(statistics, "_CHUNK", 50 * 7)
    np.testing.assert_array_equal(resampled(measure), whole)


def test_a_run_against_itself_differs_by_nothing():
    measure = share_of([True, False, True], ["a", "b", "c"])
    gap = difference(measure, measure)
    assert (gap.value, gap.low, gap.high, gap.p, gap.p_mcnemar) == (0, 0, 0, 1, 1)


def test_seven_answers_set_right_and_none_spoilt_is_significant():
    scenes = [str(i) for i in range(10)]
    before, after = share_of([False] * 7 + [True] * 3, scenes), share_of([True] * 10, scenes)
    gap = difference(before, after)
    assert gap.value == pytest.approx(0.7)
    assert gap.p_mcnemar == 2 / 2**7
    assert gap.low > 0.3
    assert gap.p == 2 / 1001  # no resample of 1,000 shows no gain: p is small and never 0


def test_runs_on_different_samples_cannot_be_paired():
    with pytest.raises(EvaluationError, match="got 1 and 2; evaluate both runs on one test set"):
        difference(mean_of([1], ["a"]), mean_of([1, 2], ["a", "b"]))


def test_answers_are_given_surest_first_and_equal_ones_together():
    # Surest first: right; then two at 0.8, one right; then wrong.
    curve = statistics.coverage([0.8, 0.9, 0.5, 0.8], [1, 1, 0, 0])
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.5]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.accuracy == pytest.approx([1, 2 / 3, 1 / 2])


def test_the_lowest_threshold_that_is_accurate_enough_is_chosen():
    curve = statistics.coverage([0.8, 0.9, 0.5, 0.8], [1, 1, 0, 0])
    assert (curve.threshold(0.6), curve.threshold(0.95)) == (0.8, 0.9)
    assert statistics.coverage([0.9], [0]).threshold(0.5) is None


def test_no_wrong_answer_of_2000_is_at_most_a_fifth_of_a_percent():
    low, high = statistics.clopper_pearson(0, 2000)
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 2000)))


def test_a_share_of_answers_all_alike_has_the_exact_interval_over_its_scenes():
    # None of 4 scenes right: 1 - 0.025 ** (1 / 4), however many questions a scene has.
    none = share_of([False] * 8, [f"s{i // 2}" for i in range(8)])
    assert ends(none) == (0.0, pytest.approx(1 - 0.025**0.25))
    some = share_of([True, False, True, True], "abcd")
    assert ends(some, seed=3) == interval(some, seed=3)
    assert ends(share_of([True, False], "aa")) == (None, None)  # one scene
    assert ends(some, resamples=0) == (None, None)
    sums = ratio_of(np.array([[3.0, 3], [0, 0], [1, 1]]), lambda s: s[..., 0] / s[..., 1], "abc")
    assert ends(sums) == (pytest.approx(0.025 ** (1 / 3)), 1)  # pooled shares too
    assert ends(mean_of([0, 0], "ab")) == (0, 0)  # an error of 0 says nothing of others
