import tracemalloc
from dataclasses import replace

import pytest

from swath.annotations.image import AnnotatedImage, read_images
from swath.boxes import Boxes
from swath.errors import FormatError, InstructionError, RequestError
from swath.instructions.builder import (
    build,
    build_into,
    common_words,
    read_set,
    words_of,
)
from swath.recipe import Instructions
from tests.making import TASKS, annotated, write_set

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
    given = {one.truth.label: one.text("assistant") for one in asks_json.conversations}
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
    nothing = {"names": (), "phrases": (), "captions": (), "listed": ()}
    bare = [replace(image, boxes=Boxes.empty(), **nothing) for image in images]
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


MIXED = Instructions(tasks=TASKS, phrasing="varied", turns=3)


def contents(place):
    return {file.name: file.read_bytes() for file in place.iterdir()}


@pytest.mark.parametrize(
    "section",
    (EVERYTHING, MIXED, Instructions(tasks=["classify", "refer", "count"], phrasing="chinese")),
)
def test_a_set_written_row_by_row_is_the_one_built_as_a_whole(images, tmp_path, section):
    built = build(images, section, 7, {"leaks": 0})
    write_set(tmp_path / "whole", images, built)
    written = build_into(tmp_path / "rows", images, section, 7, {"leaks": 0})
    assert contents(tmp_path / "rows") == contents(tmp_path / "whole")
    assert rows(written) == rows(built) and written.card == built.card
    assert rows(build(images, section, 8, {"leaks": 0})) != rows(built)


def test_a_set_written_row_by_row_keeps_its_rows_when_another_takes_its_place(images, tmp_path):
    first = build_into(tmp_path / "set", images, EVERYTHING, 0)
    second = build_into(tmp_path / "set", images[:4], EVERYTHING, 0)
    assert len({one.scene for one in first.conversations}) == len(images)
    assert len({one.scene for one in second.conversations}) == 4
    assert rows(second) == rows(read_set(tmp_path / "set"))


def test_a_set_that_is_refused_leaves_the_one_before(images, tmp_path):
    build_into(tmp_path / "set", images, EVERYTHING, 0)
    before = contents(tmp_path / "set")

    def refuse(built):
        raise RequestError("no")

    for check, section in (
        (refuse, MIXED),
        (lambda built: None, Instructions(tasks=["question"])),
    ):
        bare = [replace(one, boxes=Boxes.empty(), names=(), phrases=()) for one in images]
        with pytest.raises((RequestError, InstructionError)):
            build_into(tmp_path / "set", bare, section, 0, check=check)
        assert contents(tmp_path / "set") == before
    assert [one.name for one in tmp_path.iterdir() if "set" in one.name] == ["set"]


def test_memory_does_not_grow_with_the_instructions(images, tmp_path):
    peaks = []
    for per_image in (1, 60):
        section = Instructions(tasks=["caption"], captions_per_image=per_image)
        many = tuple(f"a field, seen for the {number}th time" for number in range(60))
        said = [replace(one, captions=many, split="train") for one in images] * 20
        tracemalloc.start()
        written = build_into(tmp_path / "set", said, section, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert written.card["conversations"]["train"]["caption"] == 20 * len(images) * per_image
    assert peaks[1] < peaks[0] + 300_000  # 19,000 rows more would be 20 MB
