from swath.boxes import Boxes
from swath.instructions.builder import build
from swath.instructions.conversation import Box, Conversation, Image, assistant, system, user
from swath.instructions.tasks.truths import BoxesTruth, CountTruth
from swath.instructions.turns import join_turns
from swath.recipe import Instructions
from tests.making import TASKS, annotated

A, B = Image("/a.png", (9, 9)), Image("/b.png", (9, 9))


def row(task, question, answer="yes", image=A, split="train", **values):
    turns = [user(image, "\n" + question), assistant(answer)]
    if values.pop("system", None):
        turns.insert(0, system("Be brief."))
    name = f"{image.path[1]}#{task}{abs(hash(question)) % 99}"
    return Conversation(name, task, tuple(turns), split, image.path[1], **values)


def joined(rows, turns=3, seed=0):
    return list(join_turns(rows, turns, seed))


def questions(conversation):
    return [
        "".join(part.text for part in turn.parts if not isinstance(part, Image | Box))
        for turn in conversation.turns
        if turn.role == "user"
    ]


def test_questions_about_one_image_become_one_conversation():
    (one,) = joined([row("classify", "Which?"), row("count", "How many?"), row("caption", "Say.")])
    assert (one.task, one.id, one.split, one.scene) == ("converse", "a#converse0", "train", "a")
    assert [turn.role for turn in one.turns] == ["user", "assistant"] * 3
    assert one.images == (A,) and one.turns[0].parts[0] == A
    first, *others = questions(one)
    assert first.startswith("\n") and not any(other.startswith("\n") for other in others)
    assert sorted(text.strip() for text in questions(one)) == ["How many?", "Say.", "Which?"]


def test_different_tasks_come_before_a_second_question_of_one():
    rows = [row("count", f"How many {n}?") for n in "abcdefgh"] + [row("classify", "Which?")]
    for seed in range(10):
        (one,) = joined(rows, turns=2, seed=seed)
        assert any("Which?" in text for text in questions(one))


def test_the_same_question_is_not_asked_twice():
    rows = [row("caption", "Describe.", answer) for answer in "abc"]
    assert joined(rows) == []
    (one,) = joined([*rows, row("count", "How many?")])
    assert len(questions(one)) == 2


def test_the_instruction_stands_once_and_first():
    (one,) = joined([row("a", "A?", system=True), row("b", "B?", system=True)])
    assert [turn.role for turn in one.turns] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip


def test_only_training_rows_of_the_same_image_are_joined():
    rows = [row("a", "A?"), row("b", "B?", image=B), row("c", "C?", split="test"), row("d", "D?")]
    (one,) = joined(rows)
    assert sorted(text.strip() for text in questions(one)) == ["A?", "D?"]
    assert joined([row("a", "A?", split="val"), row("b", "B?", split="val")]) == []


def test_a_conversation_is_upright_if_any_part_is_and_keeps_what_parts_are_true():
    boxes = [[0, 0, 1, 0, 1, 1, 0, 1]]
    (one,) = joined(
        [
            row("a", "A?", upright=True, truth=CountTruth(2)),
            row("b", "B?", truth=BoxesTruth(Boxes.from_rows(boxes))),
        ]
    )
    assert one.upright and one.truth.to_row() == {"count": 2, "boxes": boxes}
    (flat,) = joined([row("a", "A?"), row("b", "B?")])
    assert not flat.upright


def test_a_box_in_a_later_question_stays():
    box = Box(Boxes.from_hbb([0, 0, 1, 1]))
    asks = Conversation("a#i", "i", (user(A, "\n", box), assistant("a car")), "train", "a")
    for seed in range(8):
        (one,) = joined([row("a", "A?"), asks], seed=seed)
        assert sum(part is box for turn in one.turns for part in turn.parts) == 1
        assert len(one.images) == 1


def test_building_adds_conversations_beside_the_single_rows(tmp_path):
    images = annotated(tmp_path)
    single = build(images, Instructions(tasks=TASKS, phrasing="varied"), 0)
    mixed = build(images, Instructions(tasks=TASKS, phrasing="varied", turns=3), 0)
    rows = [one.to_row() for one in mixed.conversations]
    assert [r for r in rows if r["task"] != "converse"] == [
        one.to_row() for one in single.conversations
    ]
    assert mixed.card["conversations"]["train"]["converse"] == 12
    assert "converse" not in mixed.card["conversations"]["test"]
    assert max(len(one.turns) for one in mixed.conversations) == 6
    again = build(images, Instructions(tasks=TASKS, phrasing="varied", turns=3), 0)
    assert [one.to_row() for one in again.conversations] == rows
