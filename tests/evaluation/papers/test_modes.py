from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swath.boxes import Boxes
from swath.errors import EvaluationError, RequestError
from swath.evaluation.metrics.base import METRICS
from swath.evaluation.papers import modes, protocols
from swath.evaluation.papers import reading_rules as rules
from swath.evaluation.scored_tasks import SCORED
from tests.evaluation.making import predicted

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
SQUARE = Boxes.from_hbb([0, 0, 50, 50]).quads.reshape(-1, 8).tolist()
SOME = {
    "classify": [
        predicted(1, "classify", {"label": "Park"}, answer="park"),
        predicted(2, "classify", {"label": "Port"}, answer="sorry"),
    ],
    "refer": [predicted(1, "refer", {"boxes": SQUARE}, answer="[0, 0, 50, 50]", boxes=SQUARE)],
    "ground": [predicted(1, "ground", {"boxes": SQUARE}, boxes=SQUARE)],
    "count": [predicted(i, "count", {"count": i}, answer=f"{i}") for i in (1, 2, 3)],
    "question": [predicted(1, "question", {"answer": "yes", "kind": "x"}, answer="Yes.")],
    "damage": [
        predicted(1, "damage", {"counts": dict.fromkeys(rules.DAMAGE, 1)}, answer='{"minor": 1}')
    ],
    "caption": [predicted(1, "caption", {"captions": ["a", "there is no difference"]}, answer="b")],
}


@pytest.mark.parametrize("name", [name for name, _ in modes.MODES.items() if name != "meteor"])
def test_a_mode_measures_its_task_in_metrics_that_have_a_row(name):
    mode = modes.MODES.get(name)
    found = modes.measures(name, SOME[mode.task], ["Park", "Port"])
    assert found and found.keys() <= METRICS.keys()
    assert mode.task in SCORED and mode.source and mode.differs


ODD = ["", "1" * 400 + " 2 3 4", "9" * 5000, "10²", "[" * 99999, "NaN", "{", '{"before": 1e999}']
ODD += [f"[{'1' * 400}, 2, 3, 4]", f"<box>({'1' * 5000},2),(3,4)</box>", "[nan, 1, 2, 3]", "\x00"]
ODD += [f'{{"before": {"9" * 400}}}', "```json\n" + '{"a":' * 99999 + "\n```", "٣", "²m2"]


@pytest.mark.parametrize("name", [name for name, _ in modes.MODES.items() if name != "meteor"])
def test_no_answer_however_odd_stops_a_mode(name):
    one = SOME[modes.MODES.get(name).task][0]
    some = [replace(one, id=f"{i}", answer=answer) for i, answer in enumerate(ODD)]
    for measure in modes.measures(name, some, ["Park", "Port"]).values():
        assert np.isfinite(measure.value)


def test_every_mode_is_documented():
    text = DOCS.read_text()
    assert [name for name, _ in modes.MODES.items() if f"| `{name}` |" not in text] == []


def test_a_mode_refuses_another_task_and_an_unknown_name_offers_the_nearest():
    with pytest.raises(EvaluationError, match=r"'vrsbench' scores 'refer' answers.*leave the mode"):
        modes.measures("vrsbench", SOME["count"])
    with pytest.raises(RequestError, match="did you mean vrsbench"):
        modes.measures("vrsbensh", SOME["refer"])


def test_an_apology_is_left_out_by_vleo_bench_and_a_half_is_no_hit():
    half = Boxes.from_hbb([0, 0, 50, 25]).quads.reshape(-1, 8).tolist()
    some = [
        predicted(1, "refer", {"boxes": SQUARE}, answer="[0, 0, 50, 50]"),
        predicted(2, "refer", {"boxes": half}, answer="[0, 0, 50, 50]"),
        predicted(3, "refer", {"boxes": SQUARE}, answer="I'm sorry."),
    ]
    found = modes.measures("vleo-refer", some)
    assert found["refused"].value == pytest.approx(1 / 3)
    assert (found["acc@0.5_hbb"].value, found["mean_iou_hbb"].value) == (0.5, 0.75)
    assert modes.measures("vleo-refer", some[2:]).keys() == {"refused"}


def test_inclusive_pixels_join_boxes_that_do_not_touch():
    some = predicted(1, "refer", {"boxes": SQUARE}, answer="{<50><0><100><50>}")
    found = modes.measures("vrsbench", [some])  # 1 x 51 of 2 * 51 * 51 - 51 pixels
    assert found["mean_iou_hbb"].value == pytest.approx(1 / 101)


def test_boxes_over_the_border_are_equal_once_cut():
    over = Boxes.from_hbb([50, 50, 150, 150]).quads.reshape(-1, 8).tolist()
    inside = Boxes.from_hbb([50, 50, 100, 100]).quads.reshape(-1, 8).tolist()
    one = predicted(1, "refer", {"boxes": inside}, boxes=over)
    assert modes.measures("clip", [one])["mean_iou_hbb"].value == 1


def test_change_cannot_be_told_from_one_reference():
    some = [predicted(1, "caption", {"captions": ["there is no difference"]}, answer="b")]
    with pytest.raises(EvaluationError, match=r"q1: .*second reference; leave it out"):
        modes.measures("levir-change", some)


def test_mirrored_boxes_turn_the_other_way_about_their_centre():
    box, other = (Boxes.from_rotated([[50, 50, 30, 10, turn]]) for turn in (25, -25))
    assert np.allclose(protocols.mirrored(box).hbb, other.hbb)


@pytest.mark.parametrize(
    ("answer", "count"), [("someone", 1), ("twenty-one", 1), ("1,500", 1), ("many", None)]
)
def test_vleo_bench_reads_digits_within_words(answer, count):
    assert rules.vleo_count(answer) == count


def test_minor_damage_overwrites_none_by_vleo_bench_and_strictly_all_five_are_needed():
    answer = '{"no_damage": 7, "minor_damage": 2}'
    assert rules.vleo_damage(answer) == {"no_damage": 2, "minor_damage": 2}
    assert rules.strict_damage(answer) is None
    whole = (
        '{"count_before": 9, "no_damage": 7, "minor_damage": 2, "major_damage": 0, "destroyed": 0}'
    )
    assert rules.strict_damage(f"Counts: {whole}") == {
        "count_before": 9, "no_damage": 7, "minor_damage": 2, "major_damage": 0, "destroyed": 0
    }  # fmt: skip
    assert rules.strict_damage(whole.replace("2", "true")) is None


def test_vrsbench_takes_swapped_corners_as_they_stand():
    # Truth 0 to 50: 51 x 51 = 2,601. 50 to 0: nothing shared, an area of (-49) x (-49) = 2,401.
    swapped = predicted(1, "refer", {"boxes": SQUARE}, answer="[50, 50, 0, 0]")
    right = predicted(2, "refer", {"boxes": SQUARE}, answer="[0, 0, 50, 50]")
    found = modes.measures("vrsbench", [swapped, right])
    assert found["cum_iou"].value == pytest.approx(2601 / (2601 + 2401 + 2601))
    assert found["mean_iou_hbb"].value == 0.5


def test_boxes_without_scores_rank_as_they_are_written():
    def quad(x):
        return Boxes.from_hbb([x, 0, x + 10, 10]).quads.reshape(-1).tolist()

    truth = {"boxes": [quad(0), quad(20)], "name": "ship"}
    for rows, want in (([quad(0), quad(50)], 0.5), ([quad(50), quad(0)], 0.25), ([], 0.0)):
        some = [predicted(1, "ground", truth, boxes=rows or None)]
        assert modes.measures("unscored-ap", some)["ap@0.5_unscored"].value == pytest.approx(want)
    # The same box in the answer to another question finds nothing there.
    two = [predicted(1, "ground", truth, boxes=[]), predicted(2, "ground", truth, boxes=[quad(0)])]
    assert modes.measures("unscored-ap", two)["ap@0.5_unscored"].value == pytest.approx(0.25)
