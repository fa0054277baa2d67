import pytest

from swath.boxes import Boxes
from swath.errors import FormatError
from swath.files import write_jsonl
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    assistant,
    read_conversations,
    system,
    user,
    write_conversations,
)
from swath.instructions.tasks.truths import BoxesTruth

TWO_SHIPS = Boxes.from_hbb([[1, 2, 3, 4], [10.125, 20, 30, 40]])


def where_are_the_ships() -> Conversation:
    return Conversation(
        id="port-1",
        task="refer",
        turns=(
            system("Answer with boxes."),
            user(Image("/tiles/port.png", (640, 480)), "Where are the ships?"),
            assistant("Here: ", Box(TWO_SHIPS), " (2)"),
        ),
        split="train",
        scene="port",
        truth=BoxesTruth(TWO_SHIPS, "ship"),
        upright=True,
    )


def test_conversation_comes_back_from_its_file(tmp_path):
    path = tmp_path / "conversations.jsonl"
    first = where_are_the_ships()
    second = Conversation("t", "caption", (user("Hello?"), assistant("Hello.")))
    assert write_conversations(path, [first, second]) == 2
    back, other = read_conversations(path)
    assert other == second
    assert back.to_row() == first.to_row()
    assert back.turns[1] == first.turns[1]
    box = back.turns[2].parts[1]
    assert isinstance(box, Box)
    assert box.boxes.quads.tolist() == TWO_SHIPS.quads.tolist()


def test_boxes_are_kept_to_a_thousandth_of_a_pixel():
    box = Box(Boxes.from_hbb([0, 0, 1 / 3, 1]))
    row = Conversation("x", "refer", (assistant(box),)).to_row()
    assert row["turns"][0]["parts"][0] == {"boxes": [[0, 0, 0.333, 0, 0.333, 1, 0, 1]], "of": 0}


def test_question_leaves_off_the_last_answer():
    asked = where_are_the_ships().question
    assert [turn.role for turn in asked.turns] == ["system", "user"]
    assert asked.question == asked
    assert asked.truth == where_are_the_ships().truth


def test_text_is_the_words_of_the_last_turn_of_a_role():
    conversation = where_are_the_ships()
    assert conversation.text("user") == "Where are the ships?"
    assert conversation.text("assistant") == "Here:  (2)"
    assert conversation.question.text("assistant") == ""


def test_images_stand_in_order():
    before, after = Image("a.png", (1, 1)), Image("b.png", (1, 1))
    changes = Conversation("c", "change", (user(before, after, "What changed?"),))
    assert changes.images == (before, after)


def test_damaged_rows_are_named(tmp_path):
    path = tmp_path / "conversations.jsonl"
    row = where_are_the_ships().to_row()
    for damage in (
        {"turns": [{"role": "user"}]},
        {"turns": 3},
        {"turns": [{"role": "user", "parts": [{"image": "x.png", "size_wh": [1]}]}]},
        {"turns": [{"role": "user", "parts": [{"boxes": [[1, 2, 3]], "of": 0}]}]},
        {"turns": [{"role": "user", "parts": [{"boxes": [[None] * 8], "of": 0}]}]},
        {"turns": [{"role": "robot", "parts": [{"text": "beep"}]}]},
        {"turns": []},
    ):
        write_jsonl(path, "conversations", [{**row, **damage}])
        with pytest.raises(FormatError, match="conversation port-1"):
            list(read_conversations(path))
