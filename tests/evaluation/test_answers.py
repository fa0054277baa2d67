"""Answer files made elsewhere: recognised, matched, and nothing of them dropped."""

import json

import pytest

from swath.errors import EvaluationError, RequestError
from swath.evaluation.answers import from_file, match, read_answers
from swath.evaluation.score import score
from swath.evaluation.suites.running import ask
from swath.evaluation.suites.table import shipped


def lines(file, rows):
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def questions(tmp_path):
    """Four RSIVQA questions, called ucm:1 to ucm:4, with answers yes, no, 2 and farm."""
    folder = tmp_path / "rsivqa"
    folder.mkdir()
    asked = ("1.tif:is there a car?yes", "1.tif:is there a tree?no", "2.tif:how many cars?2",
             "2.tif:what is the theme?farm")  # fmt: skip
    (folder / "ucm.txt").write_text("\n".join(asked))
    return ask(shipped()["rsivqa"], folder, look=False)


def exact(matched):
    return score(matched.predictions, resamples=0)["question"]["exact_answer"]


def test_missing_extra_and_repeated_answers_are_counted_and_never_dropped(tmp_path, questions):
    rows = [("ucm:1", "Yes."), ("ucm:2", "no"), ("ucm:2", "no"), ("ucm:3", "2"), ("ucm:3", "3"),
            ("ucm:9", "farm")]  # fmt: skip
    file = lines(
        tmp_path / "a.jsonl", [{"question_id": name, "answer": said} for name, said in rows]
    )
    matched = match(questions, read_answers(file)[1])
    assert (matched.by, matched.missing, matched.extra) == ("id", ["ucm:4"], ["ucm:9"])
    assert matched.repeated == ["ucm:2", "ucm:3"]
    problems = [one.problem for one in matched.predictions]
    # The same answer twice counts once; two answers are none.
    assert problems == [None, None, "several answers", "missing"]
    value = exact(matched)
    assert (value.value, value.n, value.unreadable) == (0.5, 4, 2)
    assert matched.notes()["missing"] == {"count": 1, "first": ["ucm:4"]}


def test_batch_output_of_mistral_and_openai_is_read_with_its_failures(tmp_path, questions):
    def done(name, content):
        body = {"choices": [{"message": {"content": content}}]}
        return {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}

    rows = [
        done("ucm:1", "yes"),
        done("ucm:2", [{"type": "text", "text": "no"}]),
        {"custom_id": "ucm:3", "response": {"status_code": 429, "body": {}}, "error": "slow down"},
        {"custom_id": "ucm:4", "response": None, "error": {"message": "lost"}},
    ]
    kind, given = read_answers(lines(tmp_path / "batch.jsonl", rows))
    matched = match(questions, given)
    assert kind == "batch output"
    assert [one.problem for one in matched.predictions] == [None, None, "failed", "failed"]
    assert exact(matched).value == 0.5  # of four, not of the two that came back


def test_vlmevalkit_tables_are_matched_by_picture_and_question_or_order(tmp_path, questions):
    header = "index\tquestion\tanswer\tcategory\tprediction\n"
    words = [one.text("user").splitlines()[0] for one in questions.conversations]
    truths = ["yes", "no", "2", "farm"]
    rows = [f"{i}\t{q}\t{t}\tx\t{t}" for i, (q, t) in enumerate(zip(words, truths, strict=True))]
    file = tmp_path / "model_set.tsv"
    file.write_text(header + "\n".join(rows))
    kind, given = read_answers(file)
    assert kind == "VLMEvalKit table"
    assert (given[2].text, given[2].truth) == ("2", "2")
    with pytest.raises(RequestError, match="save it as TSV or JSON first"):
        (tmp_path / "a.xlsx").write_text("")
        read_answers(tmp_path / "a.xlsx")
    asked, rows = from_file(shipped()["rsivqa"], given)
    assert exact(match(asked, rows)).value == 1.0


def test_geochat_scene_answers_are_named_by_class_folder_and_picture(tmp_path):
    from tests.making import rectangle

    for name in ("Airport/airport_1", "Beach/beach_1"):
        rectangle(tmp_path / "aid" / f"{name}.png")
    asked = ask(shipped()["aid"], tmp_path / "aid")
    rows = [
        {"question_id": "beach/beach_1.jpg", "image_id": "beach_1.jpg", "answer": "Bridge",
         "ground_truth": "beach"},
        {"question_id": "airport/airport_1.jpg", "image_id": "airport_1.jpg", "answer": "airport.",
         "ground_truth": "airport"},
    ]  # fmt: skip
    kind, given = read_answers(lines(tmp_path / "aid.jsonl", rows))
    matched = match(asked, given)
    assert (kind, matched.by, matched.missing) == ("GeoChat answers", "id", [])
    assert [one.label for one in matched.predictions] == ["Airport", None]


def test_earthdial_boxes_without_names_are_scored_by_the_truths_they_state(tmp_path):
    rows = [
        {"question": "[refer] <image>\n <ref>1 ship</ref>", "answer": "[[10, 10, 30, 20, 90]]",
         "gt_bbox": "[[10, 10, 30, 20, 90]]", "task_type": "ref"},
        {"question": "[refer] <image>\n <ref>1 car</ref>", "answer": "no idea",
         "gt_bbox": "[[40, 40, 60, 60, 45]]", "task_type": "ref"},
    ]  # fmt: skip
    kind, given = read_answers(lines(tmp_path / "GeoChat.jsonl", rows))
    asked, given = from_file(shipped()["geochat-refer"], given)
    matched = match(asked, given)
    assert kind == "EarthDial answers"
    found = score(matched.predictions, resamples=0)["ground"]
    assert found["recall@0.5"].value == 0.5
    assert found["precision@0.5"].value == 1.0


def test_earthdial_captions_carry_their_five_references(tmp_path):
    row = {
        "question": "describe",
        "answer": "a farm",
        **{f"caption{n}": "a farm" for n in range(5)},
    }
    _, given = read_answers(lines(tmp_path / "UCM_captions.jsonl", [row]))
    asked, _ = from_file(shipped()["ucm-captions"], given)
    assert asked.conversations[0].truth == {"captions": ["a farm"] * 5}


def test_rows_without_names_must_stand_in_the_suites_order(tmp_path, questions):
    rows = [{"answer": said, "annotation": said} for said in ("yes", "no", "2", "farm")]
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert matched.by == "order"
    assert exact(matched).value == 1.0
    with pytest.raises(EvaluationError, match=r"answer 1 states the truth 'farm'.*another order"):
        match(questions, read_answers(lines(tmp_path / "a.jsonl", rows[::-1]))[1])


def test_answers_of_another_suite_are_refused(tmp_path, questions):
    rows = [{"question_id": f"lr-{n}", "answer": "yes"} for n in range(4)]
    with pytest.raises(EvaluationError, match=r"the suite's are called ucm:1.*the file's lr-0"):
        match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])


def test_empty_answers_are_wrong(tmp_path, questions):
    rows = [{"id": f"ucm:{n}", "answer": "", "prediction": None} for n in (1, 2, 3)]
    rows.append({"id": "ucm:4", "prediction": "farm"})
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert [one.problem for one in matched.predictions] == ["empty", "empty", "empty", None]


@pytest.mark.parametrize(
    ("content", "advice"),
    [('{"a": 1}', "found a; expected rows with an answer"), ("", "found no row")],
)
def test_file_without_answers_is_refused(tmp_path, content, advice):
    file = tmp_path / "a.jsonl"
    file.write_text(content)
    with pytest.raises(RequestError, match=advice):
        read_answers(file)


def test_file_without_truths_needs_the_suites_data(tmp_path):
    _, given = read_answers(lines(tmp_path / "a.jsonl", [{"question_id": "1", "answer": "yes"}]))
    with pytest.raises(RequestError, match=r"states no truth.*--data"):
        from_file(shipped()["rsvqa-lr"], given)


def test_ucm_captions_are_scored_against_their_text_alone(tmp_path, data_folder):
    asked = ask(
        shipped()["ucm-captions"], data_folder / "captions_text_only" / "UCM-en.json", look=False
    )
    assert len(asked.conversations) == 2100
    rows = [{"image": one.id, "answer": one.truth["captions"][0]} for one in asked.conversations]
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, matched.missing) == ("picture", [])
    found = score(matched.predictions, resamples=0)["caption"]
    assert found["bleu4"].value == pytest.approx(1.0)  # each answer is one of its references
    assert found["rouge_l"].value == pytest.approx(1.0)
