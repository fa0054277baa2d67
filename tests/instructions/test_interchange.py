import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image as Picture

from swath.boxes import Boxes, iou
from swath.cli.convert import convert as bring
from swath.dialect import DIALECTS
from swath.errors import AnnotationError, FormatError, InstructionError, RequestError
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    assistant,
    system,
    user,
    write_conversations,
)
from swath.instructions.interchange import conversation, convert, read_rows, spoken
from swath.instructions.tasks.truths import BoxesTruth
from tests.making import rectangle

WORDS = ["geochat", "minigpt", "earthdial", "qwen-vl", "qwen2.5-vl", "qwen3-vl", "internvl",
         "cogvlm", "shikra", "paligemma", "florence", "teochat", "pixels"]  # fmt: skip


def rows_of(path, size_wh=(200, 100)):
    """A referring row, a description of two boxes, and two turns about one picture."""
    image = Image(str(path), size_wh)
    ship = Boxes.from_hbb([[20, 20, 60, 40]])
    both = Boxes.from_hbb([[20, 20, 60, 40], [100, 50, 140, 90]])
    refer = Conversation(
        "a#refer0", "refer",
        (user(image, "\n[refer] where is <p>the ship</p>?"), assistant(Box(ship))),
        "train", "a", BoxesTruth(ship, "ship"),
    )  # fmt: skip
    words = ("<p>2 ships</p> ", Box(both), " are here.")
    describe = Conversation(
        "a#describe0", "describe", (user(image, "\nDescribe."), assistant(*words)), "test", "a"
    )
    turns = (
        system("Be brief."), user(image, "\nIs it a port?"), assistant("yes"),
        user("And what is at ", Box(ship), "?"), assistant("a ship"),
    )  # fmt: skip
    return [refer, describe, Conversation("a#converse0", "converse", turns, "train", "a")]


@pytest.fixture
def built(tmp_path):
    """A set that swath built, of one picture of 200 x 100 px."""
    path = rectangle(tmp_path / "set" / "a.png", (20, 20, 60, 40), (200, 100))
    write_conversations(tmp_path / "set" / "conversations.jsonl", rows_of(path))
    return tmp_path / "set"


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_llava_holds_pictures_words_and_boxes_of_the_named_family(built, tmp_path):
    assert convert(built, tmp_path / "llava", "llava", writes="geochat") == 3
    (refer, several) = json.loads((tmp_path / "llava/train.json").read_text())
    asked, answered = refer["conversations"]
    assert asked == {"from": "human", "value": "<image>\n[refer] where is <p>the ship</p>?"}
    # 40 x 20 px about (40, 30), turned by 90 degrees in pixels: 20 x 40 before.
    assert answered == {"from": "gpt", "value": "{<15><10><25><50>|<90>}"}
    assert several["conversations"][0] == {"from": "system", "value": "Be brief."}
    assert (tmp_path / "llava" / refer["image"]).read_bytes() == (built / "a.png").read_bytes()


@pytest.mark.parametrize("form", ["llava", "openai", "mistral", "hub"])
def test_what_needs_no_change_comes_back_word_for_word(built, tmp_path, form):
    convert(built, tmp_path / "first", "llava", writes="geochat")
    convert(tmp_path / "first", tmp_path / "there", form)
    convert(tmp_path / "there", tmp_path / "back", "llava")
    words = [row.turns for row in read_rows(tmp_path / "first")]
    there = read_rows(tmp_path / "there", tmp_path / "pictures")
    assert [row.turns for row in there] == words
    assert [row.turns for row in read_rows(tmp_path / "back")] == words
    (picture,) = (tmp_path / "back/images").iterdir()
    assert picture.read_bytes() == (built / "a.png").read_bytes()


def test_openai_and_mistral_differ_in_how_they_name_a_picture(built, tmp_path):
    convert(built, tmp_path / "o", "openai", writes="geochat")
    convert(built, tmp_path / "m", "mistral", writes="geochat")
    (ours, *_), (theirs, *_) = lines(tmp_path / "o/train.jsonl"), lines(tmp_path / "m/train.jsonl")
    url = ours["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    assert theirs["messages"][0]["content"][0]["image_url"] == url


def test_tuning_jobs_take_what_is_written_for_them(built, tmp_path):
    from swath.serving.jobs.training_files import TrainingFile, in_memory

    for style in ("openai", "mistral"):
        convert(built, tmp_path / style, style, writes="geochat")
        file = TrainingFile(tmp_path / style / "train.jsonl", "train.jsonl", style)
        assert len(list(file.examples(in_memory))) == 2


def test_swift_keeps_boxes_in_pixels_beside_the_words(built, tmp_path):
    convert(built, tmp_path / "swift", "swift")
    (refer, several) = lines(tmp_path / "swift/train.jsonl")
    assert refer["messages"][1]["content"] == "<bbox>"
    assert refer["objects"] == {"ref": [], "bbox": [[20, 20, 60, 40]]}
    assert several["messages"][3]["content"] == "And what is at <bbox>?"
    convert(tmp_path / "swift", tmp_path / "back", "llava", reads="geochat", writes="qwen3-vl")
    (refer, _) = json.loads((tmp_path / "back/train.json").read_text())
    assert refer["conversations"][1]["value"] == '[{"bbox_2d": [100, 200, 300, 400]}]'


def test_the_hub_s_folder_has_a_card(built, tmp_path):
    convert(built, tmp_path / "hub", "hub", writes="geochat")
    card = (tmp_path / "hub/README.md").read_text()
    assert "path: train.jsonl" in card and "- train: 2 conversations" in card
    assert (tmp_path / "hub" / lines(tmp_path / "hub/train.jsonl")[0]["images"][0]).is_file()


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("size_wh", [(100, 100), (300, 120), (90, 400)])
@settings(max_examples=15, deadline=None)
@given(corners=some.lists(some.tuples(*[some.floats(0.02, 0.6)] * 2, *[some.floats(0.1, 0.35)] * 2),
                          min_size=1, max_size=3), angle=some.integers(0, 89))  # fmt: skip
def test_boxes_come_back_from_the_words_of_every_family(name, size_wh, corners, angle):
    dialect = DIALECTS.get(name)
    width, height = size_wh
    boxes = np.array(
        [(x * width, y * height, (x + w) * width, (y + h) * height) for x, y, w, h in corners]
    )
    placed = Boxes.from_hbb(boxes)
    if dialect.oriented:
        middle = np.c_[(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]
        placed = Boxes.from_rotated(np.c_[middle, np.full(len(boxes), angle)])
    image = Image("/a.png", size_wh)
    turns = (user(image, "\nWhere?"), assistant("Here: ", Box(placed), ", seen."))
    row = Conversation("a", "describe", turns, "train", "a")
    back = conversation(spoken(row, dialect), dialect, [image])
    (found,) = [part.boxes for part in back.parts if isinstance(part, Box)]
    assert iou(found, placed).min() > 0.6 and len(found) == len(placed)
    assert back.text("assistant") == "Here: , seen."
    assert back.task == "converse" and not back.upright


def test_a_picture_without_a_mark_stands_before_the_words(tmp_path):
    rectangle(tmp_path / "a.png")
    messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A."}]
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"messages": messages, "images": ["a.png"]}))
    (row,) = read_rows(file)
    parsed = conversation(row, DIALECTS.get("geochat"), [Image(row.pictures[0], (32, 32))])
    assert isinstance(parsed.turns[0].parts[0], Image) and parsed.split == "train"
    convert(file, tmp_path / "out", "openai")
    (written,) = lines(tmp_path / "out/train.jsonl")
    picture, text = written["messages"][0]["content"]
    assert picture["type"] == "image_url" and text == {"type": "text", "text": "What?"}


@pytest.mark.parametrize(
    ("words", "values", "marks"),
    [
        ("<image>What?", {"images": ["a.png", "a.png"]}, "'<image>' 1 times, and 2"),
        ("<image><image>What?", {"images": ["a.png"]}, "'<image>' 2 times, and 1"),
        ("<image>At <bbox>?", {"images": ["a.png"], "objects": {"bbox": [[1, 2, 3, 4]] * 2}},
         "'<bbox>' 1 times, and 2"),
        ("<image>Where?", {"images": ["a.png"], "objects": {"ref": ["ship"]}},
         "'<ref-object>' 0 times, and 1"),
    ],
)  # fmt: skip
def test_no_picture_or_box_is_dropped_for_want_of_a_place(tmp_path, words, values, marks):
    rectangle(tmp_path / "a.png")
    messages = [{"role": "user", "content": words}, {"role": "assistant", "content": "A."}]
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": messages, **values}))
    with pytest.raises(AnnotationError, match=rf"x\.jsonl:1: its words hold {marks}"):
        list(read_rows(tmp_path / "x.jsonl"))


def test_what_cannot_be_converted_is_one_error(built, tmp_path):
    with pytest.raises(RequestError, match="name one with --dialect: geochat"):
        convert(built, tmp_path / "x", "llava")
    with pytest.raises(RequestError, match="unknown form 'lava'; did you mean llava"):
        convert(built, tmp_path / "x", "lava")
    convert(built, tmp_path / "llava", "llava", writes="geochat")
    with pytest.raises(RequestError, match="with --from-dialect"):
        convert(tmp_path / "llava", tmp_path / "x", "swift")
    with pytest.raises(RequestError, match=r"a run; its conversations are in .*/set"):
        convert(built.parent, tmp_path / "x", "llava", writes="geochat")
    assert not (tmp_path / "x").exists()


def test_the_verb_says_that_rows_of_another_form_were_replaced(built, tmp_path, capsys):
    for form in ("llava", "openai", "openai"):
        bring(built, to=tmp_path / "out", conversations=form, dialect="geochat")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "replace" in line] == [
        "They replace those in llava, which were there."
    ]
    assert not (tmp_path / "out" / "train.json").exists()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "no.png"])
def test_a_picture_outside_the_folder_is_not_read(tmp_path, name):
    rectangle(tmp_path / "secret.png")
    folder = tmp_path / "set"
    folder.mkdir()
    turns = [{"from": "human", "value": "<image>\nA?"}, {"from": "gpt", "value": "B"}]
    (folder / "train.json").write_text(json.dumps([{"image": name, "conversations": turns}]))
    with pytest.raises(AnnotationError, match=re.escape(f"the picture '{name}' is not in")):
        list(read_rows(folder))


def test_no_row_names_a_file_by_its_split_and_none_is_dropped(tmp_path):
    rectangle(tmp_path / "set" / "a.png")
    turns = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B"}]
    row = {"messages": turns, "images": ["a.png"]}
    file = tmp_path / "set" / "rows.jsonl"
    file.write_text(json.dumps(row | {"split": "validation"}))
    assert [row.split for row in read_rows(file)] == ["val"]
    for split in ("../../escaped", str(tmp_path / "escaped"), ["a"]):
        file.write_text(json.dumps(row | {"split": split}))
        with pytest.raises(AnnotationError, match=r"rows\.jsonl:1: unknown split"):
            convert(file, tmp_path / "out", "hub")
    assert not list(tmp_path.glob("escaped*"))
    with pytest.raises(FormatError, match=r"unknown split '\.\./x'"):
        Conversation.from_row(rows_of(tmp_path / "a.png")[0].to_row() | {"split": "../x"})
    file.write_text(json.dumps(row) + '\n{"messages": [NaN]}\n')
    with pytest.raises(AnnotationError, match=r"rows\.jsonl:2"):
        convert(file, tmp_path / "out", "hub")


def test_a_mark_in_the_words_of_an_annotation_shows_no_picture(tmp_path):
    image = Image(str(tmp_path / "a.png"), (9, 9))
    row = Conversation("a", "caption", (user(image, "\nWhat?"), assistant("an <image> of it")))
    with pytest.raises(InstructionError, match="stands for a picture"):
        spoken(row, DIALECTS.get("geochat"))


def test_a_raster_that_others_cannot_read_becomes_a_png(tmp_path):
    import rasterio

    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=9, height=7, count=3, dtype="uint8"
    ) as out:
        out.write(np.full((3, 7, 9), 90, np.uint8))
    turns = (user(Image(str(tmp_path / "a.tif"), (9, 7)), "\nWhat?"), assistant("A."))
    row = Conversation("a", "caption", turns, "train")
    (tmp_path / "set").mkdir()
    write_conversations(tmp_path / "set/conversations.jsonl", [row])
    convert(tmp_path / "set", tmp_path / "out", "llava")
    (picture,) = (tmp_path / "out/images").iterdir()
    assert Picture.open(picture).size == (9, 7) and picture.suffix == ".png"


def test_a_picture_of_a_name_that_no_disk_takes_is_not_there(tmp_path):
    turns = [{"from": "human", "value": "<image>?"}, {"from": "gpt", "value": "a port"}]
    rows = [{"image": f"{'a' * 5000}.png", "conversations": turns}]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    with pytest.raises(AnnotationError, match=r"entry 0: the picture 'a{60}' is not in") as error:
        list(read_rows(tmp_path / "train.json"))
    assert len(str(error.value)) < 500
