"""Whose answers rows are: by words, pictures, numbers or order, and never by chance."""

import json
from dataclasses import replace

import pytest

from swath.errors import EvaluationError
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.matching_questions import match
from swath.evaluation.suites.running import ask
from swath.evaluation.suites.table import shipped


def lines(file, rows):
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def scenes(folder, *names):
    """A scene suite of one picture a class, asked the suite's own wording."""
    from tests.making import rectangle

    for name in names:
        rectangle(folder / name / f"{name}_1.png")
    return ask(shipped()["aid"], folder, look=False)


def test_another_wording_of_what_a_suite_asks_of_every_picture_is_no_other_question(tmp_path):
    asked = scenes(tmp_path / "aid", "lake", "forest")
    rows = [
        {"index": n, "image_path": f"aid/{name}/{name}_1.png", "question": "Which?",
         "prediction": name}
        for n, name in enumerate(("lake", "forest"))
    ]  # fmt: skip
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, [one.label for one in matched.predictions]) == (
        "picture",
        ["forest", "lake"],
    )


def test_running_numbers_follow_the_suites_order_if_the_truths_they_state_agree(tmp_path):
    asked = scenes(tmp_path / "aid", "forest", "lake")
    rows = [
        {"index": n, "answer": truth, "prediction": "lake"}
        for n, truth in enumerate(("forest", "lake"))
    ]
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, [one.label for one in matched.predictions]) == ("order", ["lake", "lake"])
    with pytest.raises(EvaluationError, match="the file is in another order"):
        rows = [row | {"index": n} for n, row in enumerate(rows[::-1])]
        match(asked, read_answers(lines(tmp_path / "b.jsonl", rows))[1])
    unsure = [{"index": n, "prediction": "lake"} for n in range(2)]
    with pytest.raises(EvaluationError, match="write `image` and `question` beside each"):
        match(asked, read_answers(lines(tmp_path / "c.jsonl", unsure))[1])


def test_numbers_of_which_some_ask_of_another_picture_are_not_taken_for_ids(tmp_path):
    folder = tmp_path / "rsivqa"
    folder.mkdir()
    asked = ("1.tif:is there a car?yes", "1.tif:is there a tree?no", "2.tif:how many cars?2",
             "2.tif:what is the theme?farm")  # fmt: skip
    (folder / "ucm.txt").write_text("\n".join(asked))
    questions = ask(shipped()["rsivqa"], folder, look=False)
    numbered = [replace(one, id=str(n)) for n, one in enumerate(questions.conversations)]
    asked = replace(questions, conversations=numbered)
    rows = [{"id": n, "image": f"{2 - n // 2}.tif", "answer": "yes"} for n in range(4)]
    with pytest.raises(EvaluationError, match="cannot be matched"):
        match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])


def test_caption_results_of_coco_are_answers_and_no_truths(tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps([{"image_id": "lake_1.jpg", "caption": "a lake"}]))
    (given,) = read_answers(file)[1]
    assert (given.text, given.image, given.truth) == ("a lake", "lake_1.jpg", None)
