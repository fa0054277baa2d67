from importlib import import_module
from pathlib import Path

import numpy as np

from swath.annotations.finding_pictures import UNMEASURED
from swath.evaluation import baselines
from swath.evaluation.scored_tasks import guessed
from swath.evaluation.scoring import score
from tests.evaluation.making import asked


def box(x1, y1, x2, y2):
    return {"boxes": [[x1, y1, x2, y1, x2, y2, x1, y2]]}


def test_the_majority_class_is_right_as_often_as_the_test_holds_it():
    train = [asked(f"t{i}", "classify", {"label": label}) for i, label in enumerate("BBA")]
    test = [asked(f"q{i}", "classify", {"label": label}) for i, label in enumerate("ABAA")]
    found = score(baselines.commonest_label(train, test), ["A", "B"])
    assert found["classify"]["accuracy"].value == 0.25


def test_mean_and_centre_box_scale_with_the_image():
    train = [
        asked("a", "refer", box(0, 0, 20, 40), (100, 100)),
        asked("b", "refer", box(80, 0, 160, 80), (200, 200)),  # shares .4 0 .8 .4
    ]
    test = [asked("q", "refer", box(0, 0, 1, 1), (1000, 500))]
    (mean,) = baselines.mean_box(train, test)
    assert mean.boxes == [[200, 0, 500, 0, 500, 200, 200, 200]]
    (centre,) = baselines.centre_box(train, test)
    assert centre.boxes == [[350, 150, 650, 150, 650, 350, 350, 350]]


def test_the_median_count_is_the_lower_of_two():
    train = [asked(str(i), "count", {"count": count}) for i, count in enumerate([1, 2, 5, 90])]
    (found,) = baselines.median_count(train, [asked("q", "count", {"count": 2})])
    assert (found.count, found.unreadable) == (2, False)


def test_the_commonest_caption_follows_the_predicted_class():
    train = [
        asked("a", "caption", {"captions": ["a port", "ships"], "label": "Port"}),
        asked("b", "caption", {"captions": ["ships"], "label": "Port"}),
        asked("c", "caption", {"captions": ["sand", "sand", "sand"], "label": "Beach"}),
    ]
    test = [asked(name, "caption", {"captions": ["?"]}) for name in "pqr"]
    classes = {"/images/p.png": "Port", "/images/q.png": None}
    found = baselines.commonest_caption(train, test, classes)
    assert [one.answer for one in found] == ["ships", "sand", "sand"]


def test_the_nearest_caption_is_that_of_the_smallest_angle(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    nearest_caption = import_module("caption_baselines").nearest_caption
    train = [asked(name, "caption", {"captions": [f"caption {name}"]}) for name in "ab"]
    test = [asked("q", "caption", {"captions": ["?"]})]
    features = np.array([[0.0, 1.0], [100.0, 0.0]])
    (found,) = nearest_caption(train, test, features, np.array([[1.0, 5.0]]))
    assert found.answer == "caption a"


def test_only_tasks_in_both_training_and_test_have_baselines():
    train = [asked("a", "count", {"count": 1}), asked("b", "classify", {"label": "A"})]
    assert list(guessed(train, train[:1])) == ["median count"]


def test_the_commonest_answer_is_that_of_the_questions_kind():
    kinds = [("yes", "presence"), ("no", "presence"), ("yes", "presence"), ("3", "count")]
    train = [
        asked(f"t{i}", "question", {"answer": answer, "kind": kind})
        for i, (answer, kind) in enumerate([*kinds, ("3", "count"), ("yes", "")])
    ]
    test = [
        asked(kind or "none", "question", {"answer": "?", "kind": kind})
        for kind in ("presence", "count", "area")
    ]
    found = baselines.commonest_answer(train, test)
    assert [one.answer for one in found] == ["yes", "3", "yes"]


def test_the_commonest_name_is_right_as_often_as_the_test_holds_it():
    train = [asked(f"t{i}", "identify", {"name": n}) for i, n in enumerate(["ship", "ship", "car"])]
    test = [asked(f"q{i}", "identify", {"name": n}) for i, n in enumerate(["ship", "car"])]
    found = score(baselines.commonest_label(train, test))
    assert found["identify"]["accuracy"].value == 0.5


def test_baselines_that_suit_several_tasks_answer_each_from_its_own_training_rows():
    two = {"boxes": box(0, 0, 20, 20)["boxes"] + box(20, 20, 40, 40)["boxes"]}
    train = [
        asked("a", "ground", two),
        asked("b", "region", {"captions": ["a ship"]}),
        asked("c", "caption", {"captions": ["a port"]}),
    ]
    found = guessed(train, train)
    assert found["mean box"][0].boxes == [[10, 10, 30, 10, 30, 30, 10, 30]]
    assert [(one.task, one.answer) for one in found["commonest caption"]] == [
        ("caption", "a port"),
        ("region", "a ship"),
    ]


def test_boxes_on_pictures_of_unknown_size_have_no_baseline():
    train = [asked("a", "ground", box(0, 0, 20, 20), UNMEASURED), asked("b", "count", {"count": 1})]
    assert list(guessed(train, train)) == ["median count"]
