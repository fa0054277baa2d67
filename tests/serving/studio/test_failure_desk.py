import pytest

from swath.errors import RequestError
from swath.evaluation.predictions import Prediction, write_predictions
from swath.files import write_text
from swath.instructions.tasks.truths import LabelTruth
from swath.recipes import dump, load_recipe
from swath.serving.studio.failure_desk import FailureDesk

TRUTH = {"a": "port", "b": "port", "c": "field", "d": "field"}


def predictions(**labels):
    return [
        Prediction(
            id=name,
            task="classify",
            scene=name,
            image=f"{name}.png",
            size_wh=(8, 8),
            question="What is it?",
            truth=LabelTruth(label=TRUTH[name]),
            answer=label,
            label=label,
            closed=True,
            confidence=0.9 if name == "b" else 0.5,
        )
        for name, label in labels.items()
    ]


@pytest.fixture
def desk(tmp_path):
    run = tmp_path / "own"
    write_text(run / "recipe.yaml", dump(load_recipe("quickstart")))
    answers = {
        "base": predictions(a="port", b="field", c="port", d="field"),
        "tuned": predictions(a="field", b="field", c="field", d="field"),
    }
    for system, rows in answers.items():
        write_predictions(run / "evaluation" / system / "predictions.jsonl", rows)
    return FailureDesk(tmp_path)


def ids(rows):
    return [row["tuned"].prediction.id for row in rows]


def test_wrong_answers_come_with_those_of_the_base_the_surest_first(desk):
    rows = desk.rows("own", "classify", "failed")
    assert ids(rows) == ["b", "a"]  # b was 90 % sure
    assert [row["base"].failed for row in rows] == [True, False]


def test_what_tuning_broke_and_what_it_mended_is_told_apart(desk):
    assert ids(desk.rows("own", "classify", "worse")) == ["a"]
    assert ids(desk.rows("own", "classify", "better")) == ["c"]
    assert ids(desk.rows("own", "classify", "all")) == ["b", "a", "c", "d"]


def test_a_run_is_read_again_once_it_was_evaluated_anew(desk, tmp_path):
    desk.rows("own", "classify", "failed")
    rows = predictions(a="port", b="port", c="field", d="port")
    write_predictions(tmp_path / "own" / "evaluation" / "tuned" / "predictions.jsonl", rows)
    assert ids(desk.rows("own", "classify", "failed")) == ["d"]


def test_a_run_that_was_not_evaluated_is_named_with_the_verb(desk, tmp_path):
    assert (desk.names(), desk.tasks("own")) == (["own"], ["classify"])
    with pytest.raises(RequestError, match=r"not evaluated yet; `swath evaluate .*other` asks"):
        desk.rows("other", "classify", "failed")
