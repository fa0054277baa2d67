"""Answer files made elsewhere: recognised, matched, and nothing of them dropped."""

import json
from dataclasses import replace

import pytest

from swath.errors import AnnotationError, EvaluationError, RequestError
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.matching_questions import match
from swath.evaluation.external.stated_truths import from_file
from swath.evaluation.scored_tasks import goodness
from swath.evaluation.scoring import score
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
    assert matched.by == "id"
    assert (matched.ids["missing"], matched.ids["extra"]) == (["ucm:4"], ["ucm:9"])
    assert matched.ids["repeated"] == ["ucm:2", "ucm:3"]
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
        {"custom_id": "ucm:4", "response": "<html>", "error": {"message": "lost"}},
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
    with pytest.raises(RequestError, match="save it as XLSX, TSV or JSON first"):
        (tmp_path / "a.xls").write_text("")
        read_answers(tmp_path / "a.xls")
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
    assert (kind, matched.by, matched.ids["missing"]) == ("GeoChat answers", "id", [])
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
    assert asked.conversations[0].truth.to_row() == {"captions": ["a farm"] * 5}


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
    rows = [
        {"image": one.id, "answer": one.truth.to_row()["captions"][0]}
        for one in asked.conversations
    ]
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, matched.ids["missing"]) == ("picture", [])
    found = score(matched.predictions, resamples=0)["caption"]
    assert found["bleu4"].value == pytest.approx(1.0)  # each answer is one of its references
    assert found["rouge_l"].value == pytest.approx(1.0)


def test_plain_answers_are_matched_by_order_or_by_the_ids_beside_them(tmp_path, questions):
    said = ["yes", "no", "2", "farm"]
    files = {
        "a list": ("list.json", json.dumps(said)),
        "lines": ("list.txt", "\n".join(said) + "\n"),
        "ids and answers": ("ids.json", json.dumps({f"ucm:{n}": one for n, one in
                                                    enumerate(said, 1)})),
    }  # fmt: skip
    for kind, (name, content) in files.items():
        (tmp_path / name).write_text(content)
        found, given = read_answers(tmp_path / name)
        matched = match(questions, given)
        assert (found, matched.by) == (kind, "id" if kind.startswith("ids") else "order")
        assert exact(matched).value == 1.0
    with pytest.raises(EvaluationError, match=r"3 answers cannot be matched to its 4 questions"):
        match(questions, given[:0] + read_answers(tmp_path / "list.json")[1][:3])


def test_llava_answers_carry_numbers_as_ids(tmp_path, questions):
    renamed = replace(
        questions,
        conversations=[replace(one, id=str(n)) for n, one in enumerate(questions.conversations)],
    )
    rows = [
        {
            "question_id": n,
            "prompt": one.text("user"),
            "text": "yes",
            "answer_id": "x7",
            "model_id": "m",
        }
        for n, one in enumerate(questions.conversations)
    ]
    kind, given = read_answers(lines(tmp_path / "llava.jsonl", rows[::-1]))
    matched = match(renamed, given)
    assert (kind, matched.by, matched.ids["missing"]) == ("LLaVA answers", "id", [])
    assert [one.problem for one in matched.predictions] == [None] * 4


def test_running_numbers_of_another_order_are_not_taken_for_ids(tmp_path, questions):
    """Ids 0 to 3 on both sides, but the rows stand in another order: their words decide."""
    numbered = [replace(one, id=str(n)) for n, one in enumerate(questions.conversations)]
    asked = replace(questions, conversations=numbered)
    words = [one.text("user").splitlines()[0] for one in numbered]
    truths = ["yes", "no", "2", "farm"]
    rows = [
        {"index": n, "image_path": f"{1 + place // 2}.tif", "question": words[place],
         "prediction": truths[place]}
        for n, place in enumerate((3, 2, 1, 0))
    ]  # fmt: skip
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert matched.by == "picture and question"
    assert exact(matched).value == 1.0


def test_a_request_asked_again_after_it_failed_counts_once(tmp_path, questions):
    done = {"choices": [{"message": {"content": "yes"}}]}
    rows = [
        {"custom_id": "ucm:1", "response": {"status_code": 500, "body": None}, "error": "x"},
        {"custom_id": "ucm:1", "response": {"status_code": 200, "body": done}},
        *(
            {"custom_id": f"ucm:{n}", "response": {"status_code": 200, "body": done}}
            for n in (2, 3)
        ),
        {"custom_id": "ucm:4", "response": {"status_code": 200, "body": {"choices": []}}},
    ]
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert [one.problem for one in matched.predictions] == [None, None, None, "failed"]
    assert (matched.ids["repeated"], matched.ids["missing"]) == (["ucm:1"], ["ucm:4"])


def test_two_answers_of_one_id_are_both_named_and_wrong(tmp_path, questions):
    rows = [{"id": f"ucm:{n}", "answer": "yes"} for n in (1, 2, 3, 4)]
    rows.append({"id": "ucm:1", "answer": "no"})
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert matched.predictions[0].answer == "yes | no"
    assert matched.predictions[0].problem == "several answers"


@pytest.mark.parametrize(
    ("said", "found", "problem"),
    [
        ("{<0><0><50><50>|<0>}", 1.0, None),
        ("[[0, 0, 50, 50, 0]]", 1.0, None),
        ("{<0><0><50><50>|<0>}{<60><60><70><70>|<0>}", 2 / 3, None),
        ("{<0><0><512><512>|<0>}", 0.0, None),  # pixels of 1,024 where a grid of 100 is asked
        ("[NaN, NaN, NaN, NaN]", 0.0, "no box"),
        ("{<nan><0><50><50>|<0>}", 0.0, "no box"),
        ('{"boxes": ', 0.0, "no box"),
        ("", 0.0, "empty"),
    ],
)
def test_boxes_of_any_text_are_scored_and_none_is_dropped(tmp_path, said, found, problem):
    polygon = [[0, 0], [512, 0], [512, 512], [0, 512]]
    row = {"question_id": "P1", "image_id": "P1", "question": "ship", "type": "ref",
           "dataset": "SOTA", "ground_truth": [polygon]}  # fmt: skip
    lines(tmp_path / "referring.jsonl", [row])
    asked = ask(shipped()["geochat-refer"], tmp_path, look=False)
    file = lines(tmp_path / "answers.jsonl", [{**row, "answer": said}])
    (one,) = match(asked, read_answers(file)[1]).predictions
    assert one.problem == problem
    value = score([one], resamples=0)["ground"]["f1@0.5"]
    assert (value.n, value.value) == (1, pytest.approx(found))


def test_rows_that_are_no_objects_are_counted_in_the_error(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": 1, "answer": "x"}\n[1, 2]\n')
    with pytest.raises(RequestError, match="1 of 2 rows are no objects"):
        read_answers(file)


def test_a_count_that_a_file_states_in_words_that_are_none_is_refused(tmp_path):
    _, given = read_answers(lines(tmp_path / "a.jsonl", [{"answer": "3", "ground_truth": "many"}]))
    with pytest.raises(AnnotationError, match=r"answer 1 .*expected a count, got 'many'"):
        from_file(shipped()["cowc"], given)


@pytest.mark.parametrize("hole", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("form", ["lines", "list", "ids", "bare"])
def test_an_answer_that_is_no_number_is_unreadable_and_counted(tmp_path, questions, form, hole):
    rows = [f'{{"id": "ucm:{n}", "answer": {said}, "score": NaN}}'
            for n, said in enumerate(['"yes"', hole, '"2"', '"farm"'], 1)]  # fmt: skip
    text = {
        "lines": "\n".join(rows),
        "list": f"[{', '.join(rows)}]",
        "ids": f'{{"ucm:1": "yes", "ucm:2": {hole}, "ucm:3": "2", "ucm:4": "farm"}}',
        "bare": f'["yes", {hole}, "2", "farm"]',
    }[form]
    file = tmp_path / ("a.jsonl" if form == "lines" else "a.json")
    file.write_text(text)
    matched = match(questions, read_answers(file)[1])
    assert [one.problem for one in matched.predictions] == [None, "empty", None, None]
    assert matched.notes()["not a number"] == {"count": 1, "first": ["ucm:2"]}
    value = exact(matched)
    assert (value.value, value.n, value.unreadable) == (0.75, 4, 1)


def test_a_hole_is_no_truth_and_no_caption(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"answer": "a farm", "caption0": "a farm", "caption1": NaN}')
    assert read_answers(file)[1][0].truth == ["a farm"]
    file.write_text('{"answer": "a farm", "ground_truth": NaN}')
    assert read_answers(file)[1][0].truth is None
    file.write_text('{"answer": "a farm", ')
    with pytest.raises(AnnotationError, match=r"a\.jsonl:1: not valid JSON"):
        read_answers(file)


@pytest.fixture
def ship(tmp_path):
    """A question about a ship in the left upper quarter of 1024 x 1024 px."""
    polygon = [[0, 0], [512, 0], [512, 512], [0, 512]]
    row = {"question_id": "P1", "image_id": "P1", "question": "ship", "type": "ref",
           "dataset": "SOTA", "ground_truth": [polygon]}  # fmt: skip
    lines(tmp_path / "referring.jsonl", [row])
    return row, ask(shipped()["geochat-refer"], tmp_path, look=False)


def test_a_notation_that_is_not_told_by_its_look_has_to_be_named(tmp_path, ship):
    row, asked = ship
    said = '[{"bbox_2d": [0, 0, 500, 500], "label": "ship"}]'
    given = read_answers(lines(tmp_path / "a.jsonl", [{**row, "answer": said}]))[1]
    with pytest.raises(RequestError, match=r"qwen2\.5-vl or qwen3-vl.*--dialect"):
        match(asked, given)
    # 500 of 1,000 are 512 px of the picture, 500 px of the 1,036 that Qwen2.5-VL sees are 494.2.
    for name, end in (("qwen3-vl", 512), ("qwen2.5-vl", 500 * 1024 / 1036)):
        matched = match(asked, given, name)
        assert matched.predictions[0].boxes[0][4] == pytest.approx(end, abs=1e-3)
        assert matched.notes()["dialect"] == name


def test_boxes_beyond_the_picture_count_as_they_are_read_and_are_told(tmp_path, ship):
    row, asked = ship
    said = "{<0><0><512><512>|<0>}"  # pixels, where a grid of 100 is asked
    matched = match(asked, read_answers(lines(tmp_path / "a.jsonl", [{**row, "answer": said}]))[1])
    assert matched.notes()["beyond the picture"] == {"count": 1, "first": [row["question_id"]]}
    assert score(matched.predictions, resamples=0)["ground"]["f1@0.5"].value == 0.0


def test_boxes_in_pixels_need_a_picture_whose_size_is_known(tmp_path, ship):
    row = {**ship[0], "ground_truth": "[0, 0, 50, 50]", "answer": "[0, 0, 512, 512]"}
    asked, given = from_file(shipped()["geochat-refer"],
                             read_answers(lines(tmp_path / "a.jsonl", [row]))[1])  # fmt: skip
    with pytest.raises(RequestError, match=r"'pixels' are pixels.*--data"):
        match(asked, given, "pixels")


def stated(tmp_path, suite, rows, dialect=None):
    """What a suite scores of rows that state their own truths."""
    _, given = read_answers(lines(tmp_path / "a.jsonl", rows))
    asked, given = from_file(shipped()[suite], given)
    matched = match(asked, given, dialect)
    return matched, score(matched.predictions, asked.labels, resamples=0)[asked.suite.task]


@pytest.mark.parametrize("name", ["vqa_type", "question_type", "task_type", "type"])
def test_rows_of_other_kinds_than_the_suites_are_left_out_as_they_are_of_its_data(tmp_path, name):
    rows = [{"question": f"{kind}?", "answer": "yes", "annotation": truth, name: kind}
            for kind, truth in (("presence", "yes"), ("comp", "yes"), ("count", "7"))]  # fmt: skip
    matched, found = stated(tmp_path, "rsvqa-lr", rows)
    assert [one.truth.kind for one in matched.predictions] == ["presence", "comp"]
    assert found["average_answer"].value == 1.0
    with pytest.raises(RequestError, match="none of 1 answers is of its kinds"):
        stated(tmp_path, "rsvqa-lr", rows[2:])


def test_kinds_may_be_written_in_capitals(tmp_path):
    rows = [{"question": f"{kind}{n}?", "answer": answer, "annotation": "yes", "type": kind}
            for n, (kind, answer) in enumerate((("Presence", "yes"), ("presence", "yes"),
                                                ("COMP", "no")))]  # fmt: skip
    matched, scores = stated(tmp_path, "rsvqa-lr", rows)
    assert [one.truth.kind for one in matched.predictions] == ["presence", "presence", "comp"]
    assert scores["average_answer"].value == 0.5


def test_what_is_left_out_for_its_kind_is_said(tmp_path, swath):
    rows = [{"question": f"{kind}?", "answer": "yes", "annotation": "yes", "type": kind}
            for kind in ("presence", "count", "area", "count")]  # fmt: skip
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    code, printed, _ = swath("score", file, "--suite", "rsvqa-lr")
    assert code == 0
    assert "of kinds the suite does not ask: 3 answers, first area, count" in printed


@pytest.mark.parametrize(
    ("written", "truth"),
    [
        ("['a ship', \"it's two\"]", ["a ship", "it's two"]),
        ('["a ship", "二"]', ["a ship", "二"]),
        ("['a ship' 'two']", "['a ship' 'two']"),  # NumPy's words for a list
        ("['a ship', 2]", ["a ship", 2]),
        ("['a ship'", "['a ship'"),
        ("[1, 2, 3, 4]", "[1, 2, 3, 4]"),
    ],
)
def test_a_list_that_a_table_holds_in_words_is_a_list(tmp_path, written, truth):
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"question_id": 1, "answer": "['a ship']", "ground_truth": written}))
    _, (row,) = read_answers(file)
    assert (row.text, row.truth) == ("a ship", truth)


@pytest.mark.parametrize("thought", ["<THINK>Is it?</THINK>\n", "[THINK]Is it?[/THINK]", "<think>"])
def test_thoughts_are_left_off_however_their_marks_are_written(tmp_path, thought):
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"question_id": 1, "answer": f"{thought}Port"}))
    _, (row,) = read_answers(file)
    assert row.text == ("" if thought == "<think>" else "Port")


def test_references_and_groundings_of_one_file_are_told_apart_by_their_type(tmp_path):
    rows = [{"question": f"{kind}?", "answer": "[[10, 10, 30, 20, 90]]",
             "gt_bbox": truth, "task_type": kind}
            for kind, truth in (("ref", "[[10, 10, 30, 20, 90]]"),
                                ("grounding", "[[60, 60, 90, 90, 0]]"))]  # fmt: skip
    assert stated(tmp_path, "geochat-refer", rows)[1]["f1@0.5"].value == 1.0
    assert stated(tmp_path, "geochat-grounding", rows)[1]["f1@0.5"].value == 0.0


def test_an_id_that_comes_twice_is_one_question(tmp_path):
    rows = [{"question_id": f"q{n}", "image": f"{n}.jpg", "answer": "River", "label": "River"}
            for n in range(3)]  # fmt: skip
    matched, found = stated(tmp_path, "aid", [*rows, {**rows[0], "answer": "Park"}])
    assert (found["accuracy"].n, found["accuracy"].value) == (3, pytest.approx(2 / 3))
    assert matched.ids["repeated"] == ["q0"]
    assert {one.id for one in stated(tmp_path, "aid", rows[::-1])[0].predictions} == {
        "q0", "q1", "q2"
    }  # fmt: skip


def test_answers_that_name_no_picture_are_counted(tmp_path):
    rows = [{"question_id": f"q{n}", "answer": "River", "label": "River"} for n in range(2)]
    rows[1]["image"] = "1.jpg"
    matched, _ = stated(tmp_path, "aid", rows)
    assert matched.notes()["picture unknown"]["count"] == 1
    assert matched.ids["picture unknown"] == ["q0"]


def test_true_polygons_in_pixels_are_read_on_pictures_whose_size_the_suite_knows(tmp_path):
    polygon = [[0, 0], [300, 0], [300, 300], [0, 300]]
    row = {"question": "ship", "answer": "{<0><0><50><50>|<0>}", "ground_truth": [polygon]}
    found = stated(tmp_path, "geochat-refer", [{**row, "dataset": "FAST"}])[1]  # of 600 px
    assert found["f1@0.5"].value == 1.0
    with pytest.raises(RequestError, match=r"lies in pixels.*no picture's size.*--data"):
        stated(tmp_path, "geochat-refer", [row])
    region = {**row, "answer": "[box 1 2 3 2 3 4 1 4]", "ground_truth": "{<0><0><50><50>|<0>}"}
    with pytest.raises(RequestError, match=r"'swath' are pixels.*no picture's size.*--data"):
        stated(tmp_path, "geochat-refer", [region])
    text = {**row, "ground_truth": "[60, 120, 180, 240]"}
    with pytest.raises(RequestError, match="lies in pixels"):
        stated(tmp_path, "geochat-refer", [text])


def test_boxes_of_many_decimals_are_read_and_kept_in_full(tmp_path):
    x, y = 10 / 3, 40 + 1 / 3
    rows = [{"question": "ship", "answer": f"[{x}, 20.0, 30.0, {y}]",
             "ground_truth": f"[{x}, 20.0, 30.0, {y}]"}]  # fmt: skip
    matched, found = stated(tmp_path, "vrsbench-refer", rows, "teochat")
    assert found["acc@0.5"].value == 1.0
    assert matched.predictions[0].boxes[0][4:6] == [30, pytest.approx(y, abs=1e-9)]
    assert matched.predictions[0].truth.to_row()["boxes"] == matched.predictions[0].boxes


@pytest.mark.parametrize(
    ("truth", "answer", "dialect"),
    [
        ("[3.3333333333333335, 6.666666666666667, 10.0, 13.666666666666666]",
         "[3.3333333333333335, 6.666666666666667, 10.0, 13.666666666666666]", "teochat"),
        ("[10, 20, 30, 40]", "［10，20，30，40］", "teochat"),
        ("[0.1, 0.2, 0.3, 0.4]", "[0.10, 0.20, 0.30, 0.40]", "shikra"),
        ([0.1, 0.2, 0.3, 0.4], "[0.1000000001, 0.2, 0.3, 0.4]", "shikra"),
        ("<box>(100,200),(300,400)</box>", "<box>(100,200),(300,400)</box>", "qwen-vl"),
        ("<box>[[100, 200, 300, 400]]</box>", "<box>[[100, 200, 300, 400]]</box>", "internvl"),
        ("<loc_100><loc_200><loc_300><loc_400>", "<loc_100><loc_200><loc_300><loc_400>",
         "florence"),
        ([10, 20, 30, 40], "<loc0204><loc0102><loc0410><loc0307> plane", "paligemma"),
    ],
)  # fmt: skip
def test_true_boxes_count_as_their_own_look_says(tmp_path, truth, answer, dialect):
    rows = [{"question": "ship", "answer": answer, "ground_truth": truth}]
    matched, found = stated(tmp_path, "vrsbench-refer", rows)
    assert matched.dialect == dialect
    assert found["mean_iou"].value == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("[10, 20, 30, 40]", "[100, 200, 300, 400]"),  # they count to 1000, or pixels
        ("{<10><20><30><40>|<0>}", "[10, 20, 30, 40]"),
        ([10, 20, 30, 40], "[10, 20, 30, 40]"),
        ("[0, 0, 100, 100]", "[0, 0, 1, 1]"),  # all of the picture, or one part in a hundred
    ],
)
def test_answers_of_another_form_than_the_truths_or_beyond_their_grid_are_asked_about(
    tmp_path, truth, answer
):
    rows = [{"question": "ship", "answer": answer, "ground_truth": truth}]
    with pytest.raises(RequestError, match=r"may be teochat or .*--dialect"):
        stated(tmp_path, "vrsbench-refer", rows)


def test_one_box_of_zeros_leaves_the_others_of_a_file_as_they_are(tmp_path):
    rows = [{"question_id": f"q{n}", "question": "ship", "answer": "[10, 20, 30, 40]",
             "ground_truth": "[10, 20, 30, 40]"} for n in range(10)]  # fmt: skip
    rows[9]["answer"] = "[0, 0, 0, 0]"
    assert stated(tmp_path, "vrsbench-refer", rows)[1]["acc@0.5"].value == 0.9


def test_where_nothing_is_there_no_box_is_right_and_any_box_is_wrong(tmp_path):
    rows = [{"id": "1", "question": "ships", "answer": "There are none.", "gt": []},
            {"id": "2", "question": "cars", "answer": "{<0><0><9><9>|<0>}", "gt": "[]"},
            {"id": "3", "question": "planes", "answer": "{<0><0><9><9>|<0>}",
             "gt": "{<0><0><9><9>|<0>}"}]  # fmt: skip
    matched, found = stated(tmp_path, "geochat-grounding", rows)
    assert [one.problem for one in matched.predictions] == [None, None, None]
    assert (found["precision@0.5"].value, found["recall@0.5"].value) == (0.5, 1)
    assert goodness(matched.predictions) == [1, 0, 1]
    with pytest.raises(AnnotationError, match="expected boxes"):
        stated(tmp_path, "vrsbench-refer", rows)


def test_a_label_under_caption0_is_one_truth(tmp_path):
    rows = [{"question": "class?", "answer": "toll booth", "caption0": "toll_booth"},
            {"question": "class?", "answer": "zoo", "caption0": "zoo", "caption1": ""}]  # fmt: skip
    assert stated(tmp_path, "fmow-wilds", rows)[1]["accuracy"].value == 1.0
    with pytest.raises(AnnotationError, match="states 2 truths; a 'classify' has one"):
        stated(tmp_path, "fmow-wilds", [{**rows[0], "caption1": "zoo"}])


def test_what_a_model_thought_before_its_answer_is_no_answer(tmp_path):
    rows = [{"id": "1", "answer": "<think>A park? No.</think>\n\nRiver", "label": "River"},
            {"id": "2", "answer": "a lake, or </think> Lake", "label": "Lake"},
            {"id": "3", "answer": "<think>endless", "label": "Lake"}]  # fmt: skip
    matched, found = stated(tmp_path, "aid", rows)
    assert [one.answer for one in matched.predictions] == ["River", "Lake", ""]
    assert found["accuracy"].value == pytest.approx(2 / 3)


def test_an_answer_without_end_is_unreadable_and_said(tmp_path):
    row = {"id": "1", "answer": "a lake " * 1_500_000, "caption": "a lake"}
    matched, found = stated(tmp_path, "rsicd", [row])
    assert (matched.predictions[0].problem, found["rouge_l"].unreadable) == ("too long", 1)
    assert matched.notes()["too long"] == {"count": 1, "first": ["1"]}


def test_shuffled_output_of_swift_is_matched_by_picture_and_question(tmp_path, questions):
    rows = []
    for one in questions.conversations[::-1]:
        words = one.text("user").splitlines()[0]
        rows.append({
            "response": one.truth.answer,
            "labels": one.truth.answer,
            "messages": [{"role": "user", "content": f"<image>{words}"}],
            "images": [{"bytes": None, "path": f"/data/{one.images[0].path}"}],
        })  # fmt: skip
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, exact(matched).value) == ("picture and question", 1.0)


def test_output_of_llama_factory_in_another_order_is_refused(tmp_path, questions):
    rows = [{"prompt": "user", "predict": one.truth.answer, "label": one.truth.answer}
            for one in questions.conversations]  # fmt: skip
    matched = match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1])
    assert (matched.by, exact(matched).value) == ("order", 1.0)
    with pytest.raises(EvaluationError, match="the file is in another order"):
        match(questions, read_answers(lines(tmp_path / "b.jsonl", rows[::-1]))[1])


def test_order_is_refused_where_words_or_pictures_contradict_it(tmp_path, questions):
    words = [one.text("user").splitlines()[0] for one in questions.conversations]
    rows = [{"question": word, "answer": "yes"} for word in words]
    assert match(questions, read_answers(lines(tmp_path / "a.jsonl", rows))[1]).by == "order"
    with pytest.raises(EvaluationError, match=r"answer 1 answers 'what is the theme"):
        match(questions, read_answers(lines(tmp_path / "b.jsonl", rows[::-1]))[1])
    pictures = [{"image": f"{n}.tif", "answer": "yes"} for n in (2, 2, 1, 1)]
    with pytest.raises(EvaluationError, match=r"answer 1 is of the picture '2\.tif'"):
        match(questions, read_answers(lines(tmp_path / "c.jsonl", pictures))[1])


def test_own_predictions_are_scored_again_as_they_were_with_kinds_and_sizes(tmp_path):
    from swath.evaluation.predictions import write_predictions
    from tests.evaluation.making import predicted

    some = [predicted(n, "question", {"answer": "yes", "kind": kind}, answer=said)
            for n, (kind, said) in enumerate((("presence", "yes"), ("comp", "no")))]  # fmt: skip
    file = tmp_path / "predictions.jsonl"
    write_predictions(file, some)
    asked, given = from_file(shipped()["rsvqa-lr"], read_answers(file)[1])
    again = match(asked, given).predictions
    assert [one.truth for one in again] == [one.truth for one in some]
    assert score(again, resamples=0)["question"]["average_answer"].value == 0.5
    box = [0, 0, 400, 0, 400, 300, 0, 300]
    write_predictions(file, [predicted(1, "refer", {"boxes": [box]}, size_wh=(800, 600),
                                       answer="{<0><0><50><50>|<0>}")])  # fmt: skip
    asked, given = from_file(shipped()["vrsbench-refer"], read_answers(file)[1])
    assert score(match(asked, given).predictions, resamples=0)["refer"]["acc@0.5"].value == 1.0


@pytest.mark.parametrize(
    "row",
    [
        {"filename": "1.png", "pred": "yes", "target": "yes"},  # LHRS-Bot
        {"question_id": 1, "prompt": "tree?", "answer": "yes", "gt_answer": "yes"},  # VHM
        {"id": "1", "predicted": "yes", "ground_truth": "yes"},  # TEOChat
        {"doc_id": 1, "target": "yes", "resps": [["yes"]], "filtered_resps": ["yes"]},  # lmms-eval
        {"doc_id": 1, "target": "yes", "filtered_resps": "yes", "doc": {"question": "tree?"}},
        {"index": 1, "question": "tree?", "answer": "yes", "prediction": "yes"},  # VLMEvalKit
        {"question_id": 1, "answer": "no</think>yes", "ground_truth": "yes"},
        {"question_id": 1, "answer": "<thinking>no</thinking>\nyes", "ground_truth": "yes"},
        {"question_id": 1, "answer": "<think>no</think><answer>yes</answer>", "gt": "yes"},
        {"question_id": 1, "answer": "◁think▷no◁/think▷yes", "ground_truth": "yes"},
        {"question_id": 1, "answer": "<|begin_of_box|>yes<|end_of_box|>", "ground_truth": "yes"},
    ],
)
def test_rows_of_other_models_are_read_by_their_own_fields(tmp_path, row):
    _, found = stated(tmp_path, "rsvqa-lr", [row])
    assert (found["exact_answer"].value, found["exact_answer"].unreadable) == (1.0, 0)
