import orjson
import pytest

from swath.errors import EvaluationError, FormatError
from swath.evaluation.metrics.base import METRICS
from swath.evaluation.papers.reading_rules import DAMAGE
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.scoring import compare, read_scores, score, write_scores
from tests.evaluation.making import named, predicted

LABELS = ["Airport", "Beach"]


def mixed():
    return [
        named(1, "Airport", "Airport"),
        named(2, "Beach", None),
        named(3, "Beach", "Beach"),
        predicted(4, "count", {"count": 2}, count=2),
        predicted(5, "caption", {"captions": ["a ship at sea"], "label": "Beach"}, answer=""),
    ]


def test_scores_are_by_task_with_all_samples_and_the_unreadable_ones():
    scores = score(mixed(), LABELS)
    assert list(scores) == ["classify", "count", "caption"]
    accuracy = scores["classify"]["accuracy"]
    assert (accuracy.value, accuracy.n, accuracy.unreadable) == (2 / 3, 3, 1)
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert scores["count"]["mae"].value == 0


def test_the_same_seed_gives_the_same_interval():
    assert score(mixed(), LABELS, seed=3) == score(mixed(), LABELS, seed=3)


def test_intervals_can_be_left_out():
    assert score(mixed(), LABELS, resamples=0)["count"]["exact"].low is None


def test_the_scores_file_holds_the_rules_and_reads_back(tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, mixed(), LABELS)
    assert read_scores(path) == score(mixed(), LABELS)
    value = orjson.loads(path.read_bytes())
    assert value["tokeniser"] == "swath-ptb-3"
    assert value["rules"]["acc@0.5"] if "refer" in value["tasks"] else "mae" in value["rules"]
    assert value["tasks"]["classify"]["confusion"] == [[1, 0, 0], [0, 1, 1]]
    assert value["tasks"]["classify"]["problems"] == {"not a label": 1}


def test_the_scores_file_says_how_each_kind_of_question_fared(tmp_path):
    some = [
        predicted(1, "question", {"answer": "yes", "kind": "presence"}, answer="Yes."),
        predicted(2, "question", {"answer": "3"}, answer="four"),
    ]
    write_scores(tmp_path / "scores.json", some)
    value = orjson.loads((tmp_path / "scores.json").read_bytes())["tasks"]["question"]
    assert value["per_kind"] == {
        "other": {"value": 0.0, "n": 1},
        "presence": {"value": 1.0, "n": 1},
    }


def test_every_task_has_measures_a_truth_and_a_headline_that_is_among_its_measures():
    box = [0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0]
    truth = {"label": "Beach", "captions": ["sand"], "boxes": [box], "count": 1}
    truth |= {"name": "ship", "answer": "yes", "kind": "presence"}
    truth |= {"labels": ["Beach"], "counts": dict.fromkeys(DAMAGE, 1)}
    some = [predicted(i, task, truth, boxes=[box]) for i, task in enumerate(SCORED)]
    for task, values in score(some, LABELS, resamples=20).items():
        assert {SCORED.get(task).headline, SCORED.get(task).slice_metric} <= values.keys()
        assert values.keys() <= METRICS.keys()


def test_a_damaged_scores_file_is_refused(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"format": 1, "tasks": {"count": {}}}')
    with pytest.raises(FormatError, match="swath evaluate"):
        read_scores(path)


def test_two_runs_are_compared_by_id_whatever_their_order():
    before = [named(i, "Beach", "Airport") for i in range(8)]
    after = [named(i, "Beach", "Beach") for i in reversed(range(8))]
    gap = compare(before, after, LABELS)["classify"]["accuracy"]
    assert gap.value == 1
    assert gap.p_mcnemar == 2 / 2**8


def test_runs_on_different_questions_are_not_compared():
    with pytest.raises(EvaluationError, match=r"different 'classify' questions .*one test set"):
        compare([named(1, "Beach", "Beach")], [named(2, "Beach", "Beach")], LABELS)


@pytest.mark.parametrize(
    ("some", "advice"),
    [
        ([], "is the test split empty"),
        ([named(1, "Beach", "Beach")] * 2, "q1: predicted more than once"),
        ([predicted(1, "question", {"answer": ""})], "against `answer`"),
        ([predicted(1, "converse", {})], "'converse' has no metric"),
        ([predicted(1, "translate", {})], "'translate' has no metric"),
        ([predicted(1, "count", {})], "against `count`, which its truth does not hold"),
    ],
)
def test_what_cannot_be_scored_is_an_error_with_advice(some, advice):
    with pytest.raises(EvaluationError, match=advice):
        score(some, LABELS)
