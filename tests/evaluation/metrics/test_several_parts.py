"""Answers of several parts: which classes they name, and how many buildings they count."""

import json

import pytest

from swath.evaluation.metrics.several_parts import classes_named
from swath.evaluation.scoring import score
from tests.evaluation.making import predicted

LABELS = ["Pastures", "Mixed forest", "Beaches, dunes, sands"]


@pytest.mark.parametrize(
    ("answer", "found", "others"),
    [
        ("Pastures; Mixed forest", {"Pastures", "Mixed forest"}, 0),
        ("1. pastures\n2. beaches, dunes, sands", {"Pastures", "Beaches, dunes, sands"}, 0),
        ("Pastures, beaches, dunes, sands and cows", {"Pastures"}, 3),
        ("mixed forest, and pastures.", {"Pastures", "Mixed forest"}, 0),
        ("", set(), 0),
        ("cows, " * 3000, set(), 3000),
    ],
)
def test_classes_are_read_from_lists_of_any_kind(answer, found, others):
    assert classes_named(answer, LABELS) == (found, others)


def test_f1_of_classes_pools_all_answers():
    both = {"labels": ["Pastures", "Mixed forest"]}
    rows = [
        predicted(0, "classes", both, answer="Pastures; Mixed forest"),
        predicted(1, "classes", both, answer="Pastures; cows"),
    ]
    found = score(rows, LABELS, resamples=0)["classes"]
    assert found["f1_classes"].value == pytest.approx(2 * 3 / (4 + 4))  # 3 right, 4 named, 4 true
    assert found["exact_classes"].value == 0.5


def test_damage_is_scored_over_all_five_counts_and_bad_json_is_wrong_in_each():
    truth = {"count_before": 5, "no_damage": 3, "minor_damage": 0, "major_damage": 0,
             "destroyed": 2}  # fmt: skip
    rows = [
        predicted(0, "damage", {"counts": truth}, answer=json.dumps({**truth, "destroyed": 1})),
        predicted(1, "damage", {"counts": truth}, answer="many", problem="unparsable"),
        predicted(2, "damage", {"counts": truth}, answer=json.dumps(truth)),
    ]
    found = score(rows, resamples=0)["damage"]
    assert found["mae_damage"].value == pytest.approx((1 / 5 + 12 / 5 + 0) / 3)
    assert (found["exact_damage"].value, found["exact_damage"].unreadable) == (1 / 3, 1)
