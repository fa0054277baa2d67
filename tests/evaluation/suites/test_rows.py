"""A user's own rows of pictures, questions and truths, as a suite."""

import json

import pytest

from swath.errors import AnnotationError
from swath.evaluation.suites.running import ask
from swath.evaluation.suites.table import Suite


def write(file, value):
    file.write_text(value if isinstance(value, str) else json.dumps(value))


def test_own_rows_need_a_picture_and_a_truth(tmp_path):
    suite = Suite(name="mine", title="Mine", task="refer", reader="rows", prompt="{phrase}?",
                  metric="acc@0.5")  # fmt: skip
    no_truth = {"image": "a.png", "phrase": "the ship"}
    no_picture = {"images": [], "phrase": "the ship", "bbox": [1, 2, 3, 4]}
    for row in (no_truth, no_picture):
        write(tmp_path / "rows.json", [row])
        with pytest.raises(AnnotationError, match=r"row 1: expected a picture under one of"):
            ask(suite, tmp_path, look=False)
    for key in ("ground_truth", "bbox"):
        write(tmp_path / "rows.json", [{"image": "a.png", "phrase": "ship", key: [1, 2, 3, 4]}])
        (one,) = ask(suite, tmp_path, look=False).conversations
        assert one.truth.to_row()["boxes"] == [[1, 2, 3, 2, 3, 4, 1, 4]]


def own(task, **options):
    return Suite(name="mine", title="Mine", task=task, reader="rows", prompt="{question}",
                 metric="accuracy", **options)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "truth", "held"),
    [
        ("classes", {"labels": "Water; Road, paved"}, {"labels": ["Water", "Road, paved"]}),
        ("classes", {"label": ["Water"]}, {"labels": ["Water"]}),
        ("count", {"count": "3.0"}, {"count": 3}),
        ("caption", {"caption": "a farm"}, {"captions": ["a farm"]}),
        ("identify", {"name": "ship", "bbox": [1, 2, 3, 4]}, {"name": "ship"}),
    ],
)
def test_own_rows_hold_the_truth_of_any_task(tmp_path, task, truth, held):
    write(tmp_path / "rows.json", [{"image": "a.png", "question": "?", **truth}])
    (one,) = ask(own(task), tmp_path, look=False).conversations
    assert one.truth.to_row() == held


def test_own_rows_of_another_split_are_left_out(tmp_path):
    lines = ["image,question,answer,split", "a.png,is it?,yes,train", "b.png,is it?,no,Testing",
             "c.png,is it?,no,val"]  # fmt: skip
    write(tmp_path / "rows.csv", "\n".join(lines))
    (one,) = ask(own("question", split="test"), tmp_path, look=False).conversations
    assert one.images[0].path.endswith("b.png")
    assert len(ask(own("question"), tmp_path, look=False).conversations) == 3


def test_own_rows_say_which_count_is_none(tmp_path):
    write(tmp_path / "rows.json", [{"image": "a.png", "question": "?", "count": "a few"}])
    with pytest.raises(AnnotationError, match=r"row 1: expected a count, got 'a few'"):
        ask(own("count"), tmp_path, look=False)
