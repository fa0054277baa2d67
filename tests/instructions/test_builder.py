from dataclasses import replace

import pytest

from swath.annotations.image import AnnotatedImage, read_images
from swath.boxes import Boxes
from swath.errors import FormatError, InstructionError, RequestError
from swath.instructions.builder import build, common_words, read_set, words_of, write_set
from swath.recipe import Instructions
from tests.making import TASKS, annotated

EVERYTHING = Instructions(tasks=TASKS, phrasing="varied")


def rows(built):
    return [one.to_row() for one in built.conversations]


@pytest.fixture
def images(tmp_path):
    return annotated(tmp_path / "pictures")


def test_every_task_is_asked_of_every_image_in_order(images):
    built = build(images, EVERYTHING, seed=0)
    assert [one.scene for one in built.conversations[:4]] == ["red00"] * 4
    assert len({one.id for one in built.conversations}) == len(built.conversations)
    tasks = [one.task for one in built.conversations if one.scene == "red00"]
    assert tasks[0] == "classify" and tasks[1] == "caption" and tasks[-1] == "count"


def test_the_card_counts_what_is_in_the_set(images):
    images[0] = replace(images[0], licence=None, source="elsewhere")
    card = build(images, EVERYTHING, seed=0, notes={"leaks": 0}).card
    assert card["images"] == {"test": 4, "train": 12}
    assert card["conversations"]["test"]["caption"] == 4
    assert card["conversations"]["train"]["caption"] == 24
    assert card["conversations"]["train"]["classify"] == 12
    assert card["labels"] == ["blue land", "green land", "red land"]
    assert card["names"] == ["blue field", "green field", "red field"]
    assert card["sources"] == ["drawn for a test", "elsewhere"]
    assert card["licences"] == {"CC0-1.0": 15, "not stated": 1}
    assert card["instructions"]["phrasing"] == "varied"
    assert (card["seed"], card["leaks"]) == (0, 0)


def test_the_card_holds_the_answers_that_close_the_classes(images):
    words = build(images, EVERYTHING, seed=0)
    assert words.choices == {
        "classify": {name: name for name in ("blue land", "green land", "red land")}
    }
    asks_json = build(images, Instructions(tasks=["classify"], answer="json"), seed=0)
    given = {one.truth["label"]: one.text("assistant") for one in asks_json.conversations}
    assert asks_json.choices == {"classify": given}
    assert build(images, Instructions(tasks=["caption"]), seed=0).choices == {}


def test_the_same_seed_asks_the_same_and_another_asks_otherwise(images):
    assert rows(build(images, EVERYTHING, 0)) == rows(build(images, EVERYTHING, 0))
    assert rows(build(images, EVERYTHING, 0)) != rows(build(images, EVERYTHING, 1))


def test_one_image_more_or_less_leaves_the_others_questions_alone(images):
    whole = rows(build(images, EVERYTHING, seed=0))
    without = rows(build(images[1:], EVERYTHING, seed=0))
    assert without == [row for row in whole if row["scene"] != "red00"]
    turned = rows(build(images[::-1], EVERYTHING, seed=0))
    assert sorted(turned, key=lambda row: row["id"]) == sorted(whole, key=lambda row: row["id"])


def test_one_task_more_or_less_leaves_the_others_questions_alone(images):
    whole = rows(build(images, EVERYTHING, seed=0))
    counts = rows(build(images, Instructions(tasks=["count"], phrasing="varied"), seed=0))
    assert counts == [row for row in whole if row["task"] == "count"]


def test_tasks_without_annotations_are_left_out(images):
    bare = [replace(i, boxes=Boxes.empty(), names=(), phrases=(), captions=()) for i in images]
    assert {one.task for one in build(bare, EVERYTHING, 0).conversations} == {"classify"}


def test_images_about_which_nothing_can_be_asked_are_refused():
    bare = [AnnotatedImage("a", "/a.png", (9, 9), split="train")]
    with pytest.raises(
        InstructionError, match="none of the tasks classify, caption, refer, count "
    ):
        build(bare, EVERYTHING, 0)


def test_an_unknown_task_or_style_is_answered_with_the_nearest(images):
    with pytest.raises(RequestError, match="unknown task 'clasify'; did you mean classify"):
        build(images, Instructions(tasks=["clasify"]), 0)
    with pytest.raises(RequestError, match="unknown phrasing 'varied2'; did you mean varied"):
        build(images, Instructions(phrasing="varied2"), 0)


def test_a_set_comes_back_from_its_folder(images, tmp_path):
    built = build(images, EVERYTHING, 0)
    write_set(tmp_path / "set", images, built)
    back = read_set(tmp_path / "set")
    assert rows(back) == rows(built)
    assert back.card == {"format": 1, **built.card}
    assert back.labels == built.labels and back.choices == built.choices
    assert len(back.split("test")) == len(built.split("test")) > 0
    assert [one.id for one in read_images(tmp_path / "set/images.jsonl")] == [i.id for i in images]


def test_a_set_that_was_cut_short_is_an_error(images, tmp_path):
    write_set(tmp_path / "set", images, build(images, EVERYTHING, 0))
    (tmp_path / "set" / "conversations.jsonl").unlink()
    with pytest.raises(FormatError, match="no such file; has the stage before been run"):
        read_set(tmp_path / "set")


def test_the_commonest_words_are_those_of_many_training_captions():
    def captioned(number, split, *captions):
        return AnnotatedImage(f"{number}", "/x.png", (9, 9), captions=captions, split=split)

    images = [
        captioned(1, "train", "A ship, a ship and the pier.", "Ships!"),
        captioned(2, "train", "A ship at a pier."),
        captioned(3, "train", "One ship."),
        captioned(4, "test", "A crane.", "A crane."),
        captioned(5, "test", "A crane."),
    ]
    assert common_words(images) == ["ship", "pier"]  # by images, not by mentions
    assert common_words(images, most=1) == ["ship"]


def test_words_that_say_nothing_are_left_out():
    assert words_of("There are some TREES near the R2 road, with 3 lanes.") == {
        "trees",
        "near",
        "road",
        "lanes",
    }


def test_words_said_equally_often_stand_in_the_order_of_the_alphabet(images):
    # In the order of a set, which differs between processes, no run could be repeated.
    said = [replace(one, split="train", captions=("zoo yard barn ant",)) for one in images[:2]]
    assert common_words(said) == ["ant", "barn", "yard", "zoo"]
