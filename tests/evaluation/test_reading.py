import json
import time
from pathlib import Path

import pytest

from swath.errors import EvaluationError
from swath.evaluation.reading import Labels, Names, read_count, without_boxes

LABELS = Labels(["BaseballField", "Airport", "Storage Tank"])


@pytest.mark.parametrize(
    "answer", ["BaseballField", "baseball field", " Baseball-field. ", "BASEBALL_FIELD"]
)
def test_case_spaces_and_punctuation_do_not_matter_in_words(answer):
    assert LABELS.read(answer) == ("BaseballField", None)


def test_a_sentence_around_the_label_is_not_the_label():
    assert LABELS.read("It is an airport.") == (None, "not a label")


@pytest.mark.parametrize(
    "answer", ['{"label": "Airport"}', 'Sure:\n```json\n{"label": "Airport"}\n```']
)
def test_json_alone_or_fenced_is_read(answer):
    assert LABELS.read(answer) == ("Airport", None)


def test_json_must_name_the_label_exactly():
    assert LABELS.read('{"label": "airport"}') == (None, "not a label")


@pytest.mark.parametrize("answer", ['{"label": "Airport"', '{"name": "Airport"}', '{"label": 3}'])
def test_json_that_is_damaged_or_without_a_label_is_unparsable(answer):
    assert LABELS.read(answer) == (None, "unparsable")


def test_an_answer_of_punctuation_is_empty():
    assert LABELS.read(" ... ") == (None, "empty")


def test_fenced_answers_of_the_cookbook_vectors_are_read_as_the_cookbook_reads_them():
    vectors = json.loads(
        (Path(__file__).parents[1] / "vectors/classification_cookbook.json").read_text()
    )
    labels = Labels(vectors["label_set"])
    fenced = [case for case in vectors["cases"] if "image_description" in case["answer"]]
    fenced = [case for case in fenced if case["answer"].startswith("```json")]
    assert len(fenced) > 100
    for case in fenced:
        read, problem = labels.read(case["answer"])
        assert (read or "WRONG") == case["expected"]["scored_as"]
        assert (problem == "not a label") == case["expected"]["hallucinated"]


def test_labels_that_only_differ_in_punctuation_are_refused():
    with pytest.raises(EvaluationError, match=r"'storage tank' and 'StorageTank'.*rename"):
        Labels(["storage tank", "StorageTank"])


NAMES = Names(["plane", "small-vehicle", "baseball diamond", "ferry"])


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("plane", "plane"),
        ("A plane.", "plane"),
        ("the Planes", "plane"),
        ("small vehicles", "small-vehicle"),
        ("Ferries", "ferry"),
        ("<p>baseball diamond</p>{<1><2><3><4>|<5>}", "baseball diamond"),
    ],
)
def test_an_object_is_named_whatever_its_case_article_and_number(answer, name):
    assert NAMES.read(answer) == (name, None)


@pytest.mark.parametrize("answer", ["aeroplane", "It is a plane", "vehicle"])
def test_other_words_name_no_object_of_the_set(answer):
    assert NAMES.read(answer) == (None, "not a label")


def test_a_box_alone_is_an_empty_name():
    assert NAMES.read("{<1><2><3><4>}") == (None, "empty")


def test_a_plural_that_two_names_share_is_not_guessed():
    names = Names(["bus", "buses stop", "buse"])  # "buses" may be of bus and of buse
    assert names.read("buses") == (None, "not a label")
    assert names.read("bus") == ("bus", None)
    assert Names(["lines", "linees"]).read("line") == (None, "not a label")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<p>2 ships</p>{<1><2><3><4>|<9>}<delim>{<1><2><3><4>} at sea", "2 ships at sea"),
        ("a ship [12, 40, 13, 41] at sea", "a ship at sea"),
        ("a ship [left] {x}", "a ship [left] {x}"),
    ],
)
def test_boxes_in_brackets_are_no_words(answer, words):
    assert without_boxes(answer) == words


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("3", 3),
        ("There are 12 ships.", 12),
        ("1,500 cars", 1500),
        ("Seven", 7),
        ("twenty-one", 21),
        ("twenty one", 21),
        ("zero", 0),
        ("4.0", 4),
    ],
)
def test_numbers_in_digits_and_words_are_read(answer, count):
    assert read_count(answer) == (count, None)


def test_the_first_of_several_numbers_is_taken_and_noted():
    assert read_count("between 2 and 7") == (2, "several numbers")
    assert read_count("2-7") == (2, "several numbers")
    assert read_count("3 ships, yes 3") == (3, None)


@pytest.mark.parametrize(
    ("answer", "count"),
    [("12个", 12), ("共12辆车", 12), ("1，500个", 1500), ("共1,500座", 1500), ("１２", 12)],
)
def test_chinese_signs_may_touch_the_number_they_count(answer, count):
    assert read_count(answer) == (count, None)


def test_chinese_powers_of_ten_are_not_guessed():
    assert read_count("3万辆") == (None, "not a count")
    assert read_count("12辆车，3艘船") == (12, "several numbers")


@pytest.mark.parametrize(
    "answer",
    ["someone", "none of them", "B52", "a 512x512 image", "1,2345", "about 1.5k", "1.5.2"],
)
def test_a_number_inside_a_word_is_none(answer):
    assert read_count(answer) == (None, "no number")


@pytest.mark.parametrize(
    "answer", ["-4", "−4", "3.5", "two hundred", "one dozen", "1" * 400, "9" * 5000]
)
def test_what_cannot_be_a_count_or_goes_beyond_the_words_is_not_guessed(answer):
    assert read_count(answer) == (None, "not a count")


def test_a_blank_is_empty():
    assert read_count("  ") == (None, "empty")


@pytest.mark.parametrize(
    ("answer", "count"),
    [("三", 3), ("十二", 12), ("二十一辆", 21), ("一百零五", 105), ("共两架飞机。", 2),
     ("二〇", 20), ("一共12辆", 12), ("一些", None),
     ("一片森林", None), ("第一", None), ("三到五辆", None),
     ("一百二", 120), ("一千二", 1200), ("一千二百三十", 1230), ("一千零五", 1005),
     ("三四艘", None), ("十二三辆", None), ("十百", None),
     ("一" * 50, None)],
)  # fmt: skip
def test_a_chinese_number_counts_alone_or_with_its_measure_word(answer, count):
    assert read_count(answer)[0] == count


@pytest.mark.parametrize(
    "words", ["<box>" * 20_000, "[" + "1" * 99_999, "<answer>" + " " * 99_000 + "x"]
)
def test_marks_that_are_never_closed_take_no_seconds(words):
    from swath.evaluation.external.answer_files import without_thoughts

    begin = time.process_time()
    assert without_boxes(without_thoughts(words)) == " ".join(words.split())
    assert time.process_time() - begin < 1


def test_phrases_that_are_never_closed_take_no_seconds():
    from swath.annotations.formats import grounded, llava
    from swath.instructions import review

    begin = time.process_time()
    for pattern in (llava._PHRASE, grounded._MARKED, review._PHRASE):
        assert pattern.sub("", "<p>" * 40_000) == "<p>" * 40_000
    assert llava._PHRASE.search("<p>a ship</p> {<1><2><3><4>}")["phrase"] == "a ship"
    assert time.process_time() - begin < 1
