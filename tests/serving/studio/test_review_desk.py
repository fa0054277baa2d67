import pytest

from swath.errors import InstructionError, RequestError
from swath.instructions.review import FILE, Review, written
from swath.serving.studio.review_desk import ReviewDesk, boxes_in, with_boxes
from tests.making import annotated, small_set, write_set


@pytest.fixture
def built(tmp_path):
    made = small_set(tmp_path / "pictures", count=4, test=1)
    write_set(tmp_path / "runs" / "own" / "set", annotated(tmp_path / "pictures", 4, test=1), made)
    return made


@pytest.fixture
def desk(tmp_path, built):
    return ReviewDesk(tmp_path / "runs")


def place_of(built, task):
    return next(place for place, row in enumerate(built.conversations) if row.task == task)


def test_verdicts_go_where_those_of_the_terminal_go(desk, built, tmp_path):
    desk.judge("own", "", "", 0, "reject", "")
    desk.judge("own", "", "", 1, "accept", written(built.conversations[1].turns[-1]))
    review = Review(tmp_path / "runs" / "own" / FILE, built.choices["classify"])
    assert [review.verdict(row) for row in built.conversations[:3]] == ["reject", "accept", None]
    assert desk.row("own", "", "", 0, only_open=True).place == 2
    assert desk.row("own", "", "", 0, only_open=False).done == 2


def test_a_correction_is_shown_from_then_on_and_built(desk, built, tmp_path):
    place = place_of(built, "refer")
    assert (
        written(desk.row("own", "", "", place, False).row.turns[-1]) == "[box 2 3 12 3 12 11 2 11]"
    )
    desk.judge("own", "", "", place, "accept", "[box 1 2 3 4]")  # what was edited is a correction
    row = desk.row("own", "", "", place, False)
    assert (row.verdict, written(row.row.turns[-1])) == ("correct", "[box 1 2 3 2 3 4 1 4]")
    review = Review(tmp_path / "runs" / "own" / FILE, built.choices["classify"])
    replayed = review.replayed(built.conversations)
    assert replayed[place].truth.to_row()["boxes"] == [[1, 2, 3, 2, 3, 4, 1, 4]]


def test_a_correction_can_be_taken_back(desk, built):
    place = place_of(built, "refer")
    desk.judge("own", "", "", place, "correct", "[box 1 2 3 4]")
    desk.judge("own", "", "", place, "correct", "[box 2 3 12 3 12 11 2 11]")
    row = desk.row("own", "", "", place, False)
    assert written(row.row.turns[-1]) == "[box 2 3 12 3 12 11 2 11]"


def test_an_answer_that_is_none_is_refused(desk):
    with pytest.raises(InstructionError, match="names no class of the set"):
        desk.judge("own", "classify", "", 0, "correct", "swamp")


def test_tasks_and_splits_are_chosen_and_what_is_not_there_is_refused(desk):
    assert desk.counts("own") == {
        "tasks": ["caption", "classify", "count", "refer"],
        "splits": ["test", "train"],
    }
    assert desk.row("own", "refer", "test", 99, False).row.split == "test"
    with pytest.raises(RequestError, match="no rows of that task and split"):
        desk.row("own", "describe", "", 0, False)
    with pytest.raises(RequestError, match="no set here; `swath build RECIPE` makes one"):
        desk.built("nobody")


def test_boxes_of_an_answer_follow_what_is_drawn():
    text = "a ship [box 1 2 3 4] and [box 5 6 7 8]"
    assert boxes_in(text)[0] == [1, 2, 3, 2, 3, 4, 1, 4]
    moved = [[0, 0, 2, 0, 2, 2, 0, 2], [9, 9, 10, 9, 10, 10, 9, 10]]
    assert with_boxes(text, moved) == ("a ship [box 0 0 2 0 2 2 0 2] and [box 9 9 10 9 10 10 9 10]")
    assert with_boxes(text, moved[:1]) == "a ship [box 0 0 2 0 2 2 0 2] and"
    assert with_boxes("", moved[:1]) == "[box 0 0 2 0 2 2 0 2]"
