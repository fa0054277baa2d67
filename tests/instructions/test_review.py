from dataclasses import replace

import pytest

from swath.boxes import Boxes
from swath.errors import InstructionError
from swath.instructions.conversation import Box, Text, assistant
from swath.instructions.review import FILE, Review, digest, parts_of, state, written
from swath.instructions.tasks.truths import DescriptionTruth
from swath.instructions.turns import CONVERSE
from swath.recipe import Instructions
from tests.making import TASKS, annotated, small_set


@pytest.fixture
def built(tmp_path):
    return small_set(tmp_path / "pictures")


@pytest.fixture
def given(tmp_path, built):
    review = Review(tmp_path / FILE, built.choices["classify"])
    yield review
    review.close()


def row(built, task):
    return next(one for one in built.conversations if one.task == task)


def again(given):
    """The same verdicts, as read from the file."""
    given.close()
    return Review(given.path, given.choices)


def test_a_rejected_row_is_left_out_and_an_accepted_one_stays(built, given):
    first, second, third = built.conversations[:3]
    given.give(first, "reject")
    given.give(second, "accept")
    replayed = again(given)
    assert replayed.replayed([first, second, third]) == [second, third]
    assert replayed.counts == {"rejected": 1, "accepted": 1}
    assert [replayed.verdict(one) for one in (first, second, third)] == ["reject", "accept", None]


def test_a_corrected_row_says_the_new_answer_and_is_scored_by_it(built, given):
    one = row(built, "caption")
    after = given.give(one, "correct", parts_of("A red square on grey."))
    assert written(after.turns[-1]) == "A red square on grey."
    assert after.truth.to_row()["captions"][0] == "A red square on grey."
    assert after.truth.to_row()["captions"][1:] == one.truth.to_row()["captions"][1:]
    (replayed,) = again(given).replayed([one])
    assert replayed.to_row() == after.to_row()


def test_corrected_boxes_become_the_truth(built, given):
    one = row(built, "refer")
    after = given.give(one, "correct", parts_of("[box 1 2 11 12]"))
    assert after.truth.to_row()["boxes"] == [[1, 2, 11, 2, 11, 12, 1, 12]]
    assert after.truth.name == one.truth.name


def test_a_corrected_class_must_be_one_of_the_set(built, given):
    one = row(built, "classify")
    with pytest.raises(InstructionError, match=r"'swamp' names no class.*blue land, green land"):
        given.give(one, "correct", parts_of("swamp"))
    assert given.verdict(one) is None
    assert given.give(one, "correct", parts_of("green land")).truth.label == "green land"


@pytest.mark.parametrize(
    ("task", "answer", "advice"),
    [
        ("count", "some", "'some' is no count; write a whole number"),
        ("caption", " ", "the answer is empty; write one, or reject the row"),
        ("refer", "there", "the answer has no box; draw one, or reject it"),
    ],
)
def test_an_answer_that_does_not_fit_its_task_is_refused(built, given, task, answer, advice):
    with pytest.raises(InstructionError, match=advice):
        given.give(row(built, task), "correct", parts_of(answer))
    assert not given.path.is_file()


def test_the_verdict_on_a_row_that_changed_is_dropped_and_counted(built, given):
    one = row(built, "caption")
    given.give(one, "reject")
    changed = replace(one, turns=(*one.turns[:-1], assistant("Another caption.")))
    replayed = again(given)
    assert replayed.replayed([changed]) == [changed]
    assert replayed.counts == {"changed": 1}
    assert replayed.verdict(changed) is None


def test_a_row_moved_to_another_split_or_folder_keeps_its_verdict(built, given):
    one = row(built, "caption")
    moved = one.to_row()
    moved["split"] = "val"
    moved["turns"][0]["parts"][0]["image"] = "/elsewhere/red00.png"
    assert digest(type(one).from_row(moved)) == digest(one)


def test_a_corrected_row_can_be_looked_at_again(built, given):
    """The set holds the corrected row; the verdict still is on the row as it is built."""
    one = row(built, "caption")
    shown = given.give(one, "correct", parts_of("A square."))
    given.give(shown, "accept")
    (kept,) = again(given).replayed([one])
    assert written(kept.turns[-1]) == "A square."
    given = again(given)
    given.give(shown, "correct", parts_of("A red square."))
    (kept,) = again(given).replayed([one])
    assert written(kept.turns[-1]) == "A red square."
    given = again(given)
    given.give(kept, "reject")
    assert again(given).replayed([one]) == []


def test_rejected_rows_are_in_no_conversation_either(tmp_path):
    from swath.instructions.builder import build

    images = annotated(tmp_path / "pictures")
    section = Instructions(tasks=TASKS, turns=4)
    built = build(images, section, seed=0)
    with_review = Review(tmp_path / FILE)
    for one in built.conversations:
        if one.task == "caption":
            with_review.give(one, "reject")
    rebuilt = build(images, section, 0, review=with_review.replayed)
    with_review.close()
    joined = [one for one in rebuilt.conversations if one.task == CONVERSE]
    assert joined and not any(one.task == "caption" for one in rebuilt.conversations)
    said = [part.text for one in joined for turn in one.turns for part in turn.parts
            if isinstance(part, Text)]  # fmt: skip
    assert not any("lies on grey land" in text for text in said)


def test_a_description_keeps_a_phrase_for_each_of_its_boxes(built, given):
    one = replace(
        row(built, "caption"),
        task="describe",
        truth=DescriptionTruth(("Two fields.",)),
        turns=(
            *row(built, "caption").turns[:-1],
            assistant("<p>two fields</p> ", Box(Boxes.from_hbb([[1, 1, 5, 5], [6, 6, 9, 9]]))),
        ),
    )
    said = "One <p>field</p> [box 1 1 5 5] and <p>a pond</p> [box 6 6 9 9][box 7 7 9 9]."
    truth = given.give(one, "correct", parts_of(said)).truth
    assert truth.phrases == ("field", "a pond", "a pond")
    assert truth.captions == ("One field and a pond .",)
    with pytest.raises(InstructionError, match=r"a box without a phrase; write <p>words</p>"):
        given.give(one, "correct", parts_of("[box 1 1 5 5]"))


def test_text_of_a_turn_and_its_parts_are_inverse():
    turn = assistant("A ship ", Box(Boxes.from_hbb([1, 2, 3, 4])), " at sea")
    text = "A ship [box 1 2 3 2 3 4 1 4] at sea"
    assert written(turn) == text
    assert parts_of(text) == [
        {"text": "A ship "},
        {"boxes": [[1, 2, 3, 2, 3, 4, 1, 4]], "of": 0},
        {"text": " at sea"},
    ]


@pytest.mark.parametrize("box", ["1 2 3", "1 2 3 x", "", "1 2 3 nan"])
def test_a_box_without_its_numbers_is_refused(box):
    with pytest.raises(InstructionError, match="is no box; write four numbers, or eight"):
        parts_of(f"[box {box}]")


def test_the_state_of_the_verdicts_changes_with_each(built, given):
    assert state(given.path) == ""
    given.give(built.conversations[0], "accept")
    one = state(given.path)
    given.give(built.conversations[1], "accept")
    assert len({"", one, state(given.path)}) == 3
