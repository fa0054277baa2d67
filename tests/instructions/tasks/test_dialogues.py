import json

import pytest
from PIL import Image

from swath.annotations.formats.llava import task_of
from swath.annotations.image import AnnotatedImage, read_images, write_images
from swath.annotations.readers import read
from swath.dialect import write_geochat
from swath.instructions.builder import build
from swath.instructions.conversation import Box, Conversation, Text
from swath.instructions.conversation import Image as Shown
from swath.recipe import Instructions
from swath.recipes import load_recipe

SHIPS = "{<10><10><20><20>|<7>}<delim>{<30><10><40><20>|<90>}"
PAIRS = (
    ("<image>\n[refer] where is <p>the pier</p> ?", "{<10><20><30><40>|<45>}"),
    ("Is it  busy?\nAnswer in one word.", "Yes, it is"),
    ("[identify] What is at {<16><55><24><63>|<11>} now?", "a ship"),
    ("[grounding] describe it", f"<p>2 ships</p> {SHIPS} near a pier."),
)


def written(conversation, size_wh):
    """What a conversation says, with boxes as GeoChat writes them."""
    texts = []
    for turn in conversation.turns:
        words = ""
        for part in turn.parts:
            if isinstance(part, Shown):
                words += "<image>"
            elif isinstance(part, Text):
                words += part.text
            else:
                words += write_geochat(part.boxes, size_wh)
        texts.append(words)
    return texts


def image(split, *dialogues, **values):
    given = {"label": "port", "captions": ("A port.",), "names": (), **values}
    return AnnotatedImage("a", "/a.png", (600, 600), split=split, dialogues=dialogues, **given)


def test_a_file_of_geochat_is_learnt_word_for_word(tmp_path):
    Image.new("RGB", (600, 600)).save(tmp_path / "a.png")
    turns = []
    for question, answer in PAIRS:
        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    row = {"id": "1", "image": "a.png", "conversations": turns}
    (tmp_path / "train.json").write_text(json.dumps([row]))
    section = load_recipe("geochat").instructions
    (conversation,) = build(read(tmp_path), section, seed=0).conversations
    assert written(conversation, (600, 600)) == [text for pair in PAIRS for text in pair]
    assert (conversation.task, conversation.split) == ("converse", "train")
    assert sum(isinstance(part, Box) for part in conversation.parts) == 3
    assert Conversation.from_row(conversation.to_row()).to_row() == conversation.to_row()
    asked_anew = build(read(tmp_path), Instructions(tasks=["refer", "question"]), seed=0)
    assert {one.task for one in asked_anew.conversations} == {"refer", "question"}


def test_frames_and_signs_of_other_templates_are_not_words():
    asked = "<s>[INST] <Img><ImageHere></Img> [refer] where is it? [/INST]"
    (row,) = build([image("train", ((asked, "{<1><2><3><4>}</s>"),))], SECTION, 0).conversations
    assert row.turns[0].parts[1:] == (Text("\n[refer] where is it?"),)
    assert len(row.turns[1].parts) == 1


SECTION = Instructions(tasks=["dialogue", "classify", "caption"], turns=3)


@pytest.mark.parametrize(
    ("question", "answer", "task"),
    [
        (*PAIRS[0], "refer"),
        ("where are the ships?", SHIPS, "ground"),
        (*PAIRS[1], "question"),
        (*PAIRS[2], "identify"),
        ("[identify] describe {<1><1><9><9>}", "a ship at the long pier", "region"),
        (*PAIRS[3], "describe"),
        ("<image>\nPlease describe the image.", "A port.", "caption"),
        ("[caption] in short?", "A port.", "caption"),
    ],
)
def test_a_task_is_recognised(question, answer, task):
    assert task_of(question, answer) == task


def test_in_training_nothing_is_asked_anew_and_in_a_test_each_question_stands_alone():
    told = image("train", PAIRS[:1] * 2, PAIRS)
    bare = AnnotatedImage("b", "/b.png", (9, 9), label="port", split="train")
    rows = build([told, bare], SECTION, 0).conversations
    assert [row.task for row in rows] == ["refer", "converse", "classify"]
    rows = build([image("test", PAIRS), bare], SECTION, 0).conversations[:4]
    assert [row.task for row in rows] == ["refer", "question", "region", "describe"]
    assert all(len(row.turns) == 2 and len(row.images) == 1 for row in rows)
    # 10..30 by 20..40 of 100 on 600 px, turned by 45 degrees about (120, 180).
    assert rows[0].truth.boxes.quads.mean(axis=1).round(2).tolist() == [[120, 180]]
    assert rows[1].truth.answer == "Yes, it is"
    assert len(rows[3].truth.boxes) == 2


def test_a_name_is_scored_as_one_where_it_is_a_class_of_the_image():
    from swath.boxes import Boxes

    boxes = Boxes.from_hbb([[96, 330, 144, 378]])
    (row,) = build(
        [image("test", PAIRS[2:3], boxes=boxes, names=("ship",))], SECTION, 0
    ).conversations
    assert (row.task, row.truth.name) == ("identify", "ship")


def test_dialogues_come_back_from_a_file(tmp_path):
    told = image("train", PAIRS)
    write_images(tmp_path / "images.jsonl", [told])
    assert next(read_images(tmp_path / "images.jsonl")).dialogues == (PAIRS,)


@pytest.mark.parametrize(
    ("answer", "upright"),
    [("{<1><2><3><4>}", False), ("[10, 20, 30, 40]", True), ("at the top", True), ("red", False)],
)
def test_a_picture_is_not_turned_under_boxes_that_stay_words(answer, upright):
    (row,) = build([image("train", (("Where is it?", answer),))], SECTION, 0).conversations
    assert row.upright == upright
