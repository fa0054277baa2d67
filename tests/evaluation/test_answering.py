from pathlib import Path
from types import SimpleNamespace

import pytest

from swath.errors import EvaluationError
from swath.evaluation import answering as asking
from swath.evaluation.answering import answers_of, held_questions, stop_score
from tests.evaluation.making import asked
from tests.making import small_set, tiny_recipe


@pytest.fixture
def built(tmp_path):
    return small_set(tmp_path / "pictures")


def stops(base, task, **stop):
    """A recipe that stops by a task's score over training questions."""
    return tiny_recipe(base, tuning={"stop": {"task": task, "split": "train", **stop}})


def test_without_stop_there_is_no_score(tiny_base, built):
    assert stop_score(built, tiny_recipe(tiny_base), Path("kept")) is None


def test_the_score_is_the_headline_over_as_many_questions_as_wanted(
    tiny, tiny_base, built, monkeypatch
):
    labels = []

    def watched(loaded, questions, *rest, **kept):
        labels.extend(one.truth.label for one in questions)
        return answers_of(loaded, questions, *rest, **kept)

    monkeypatch.setattr(asking, "answers_of", watched)
    value = stop_score(built, stops(tiny_base, "classify", questions=6), Path("kept"))(tiny)
    assert labels == ["red land", "blue land", "green land"] * 2  # every second of twelve
    right = sum(
        one.label == one.truth.label
        for one in answers_of(
            tiny,
            [one for one in built.split("train") if one.task == "classify"][::2],
            built,
            tiny_recipe(tiny_base),
        )
    )
    assert value == pytest.approx(right / 6)


def test_closed_answers_and_boxes_of_the_validation_split_teach_how_sure_a_model_is(monkeypatch):
    rows = [asked(f"{n}", "classify", {"label": "sea"}) for n in range(2)]
    rows += [asked(f"{n}", "ground", {"boxes": []}) for n in range(2, 8)]
    rows += [asked("8", "caption", {"captions": ["sea"]})]
    built = SimpleNamespace(split={"val": rows, "train": []}.get, choices={"classify": {}})
    monkeypatch.setattr(asking, "MOST_BOXED", 3)
    names = [[row.id for row in held_questions(built, closed)] for closed in (True, False)]
    assert names == [["0", "1", "2", "4", "6"], ["2", "4", "6"]]


def test_free_json_answers_keep_to_the_classes_unless_the_recipe_lets_them_err(
    tiny, tiny_base, tmp_path
):
    built = small_set(tmp_path / "json", answer="json")
    some = [one for one in built.split("test") if one.task == "classify"]
    section = {"instructions": {"answer": "json"}, "evaluation": {"closed": False}}
    bound = answers_of(tiny, some, built, tiny_recipe(tiny_base, **section))
    assert {one.label for one in bound} <= set(built.labels)
    assert [(one.problem, one.closed) for one in bound] == [(None, False)] * 4
    section["evaluation"] |= {"schema_bound": False}
    free = answers_of(tiny, some, built, tiny_recipe(tiny_base, **section))
    assert [one.unreadable for one in free] == [True] * 4


@pytest.mark.parametrize(
    ("task", "stop", "advice"),
    [
        ("classify", {"split": "val"}, r"task 'classify' has no question in the 'val' split; see "),
        ("converse", {}, r"task 'converse' has no score"),
    ],
)
def test_a_task_that_cannot_be_scored_is_named(tiny_base, built, task, stop, advice):
    with pytest.raises(EvaluationError, match=advice):
        stop_score(built, stops(tiny_base, task, **stop), Path("kept"))
