import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from swath.annotations.image import AnnotatedImage, Question
from swath.boxes import Boxes
from swath.instructions.attributes import Looks
from swath.instructions.conversation import Box, Image, Text
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.base import Setting
from swath.instructions.tasks.boxes import MOST_BOXES
from swath.instructions.tasks.words import TASKS
from swath.recipe import Instructions

RED, WHITE = (210, 30, 30), (240, 240, 240)
BOXES = [[2, 2, 12, 12], [20, 2, 30, 12], [70, 70, 90, 90]]


@pytest.fixture
def port(tmp_path):
    """Two ships at the top left, the first red and the second white, and a tank at the bottom."""
    pixels = np.full((90, 90, 3), 120, dtype=np.uint8)
    pixels[2:12, 2:12], pixels[2:12, 20:30], pixels[70:90, 70:90] = RED, WHITE, WHITE
    path = tmp_path / "port.png"
    Picture.fromarray(pixels).save(path)
    return AnnotatedImage(
        "port",
        str(path),
        (90, 90),
        label="port",
        boxes=Boxes.from_hbb(BOXES),
        names=("ship", "ship", "storage_tank"),
        split="train",
        listed=("ship", "storage_tank"),
    )


def asked(task, image, phrasing="plain", seed=0, training=(), **section):
    setting = Setting(
        Instructions(phrasing=phrasing, **section),
        PHRASINGS.get(phrasing),
        ("port",),
        ("ship", "storage_tank"),
        Looks(training),
    )
    return list(TASKS.get(task)(image, setting, random.Random(seed)))


def shown(conversation, role):
    """The words of a role's last turn, boxes as [x1, y1] of each."""
    turn = next(turn for turn in reversed(conversation.turns) if turn.role == role)
    words = ""
    for part in turn.parts:
        if isinstance(part, Text):
            words += part.text
        elif isinstance(part, Box):
            words += str([tuple(int(value) for value in box[:2]) for box in part.boxes.hbb])
    return words.strip()


def test_ground_asks_for_all_objects_of_each_class(port):
    some = {one.truth.name: one for one in asked("ground", port)}
    assert set(some) == {"ship", "storage_tank"}
    ships = some["ship"]
    assert shown(ships, "user") == "[grounding] where are all <p>ships</p>?"
    assert shown(ships, "assistant") == "[(2, 2), (20, 2)]"
    assert ships.truth.to_row()["boxes"] == [
        [2, 2, 12, 2, 12, 12, 2, 12],
        [20, 2, 30, 2, 30, 12, 20, 12],
    ]
    assert len(asked("ground", port, boxes_per_image=1)) == 1


def test_a_crowd_is_not_pointed_at(port):
    many = Boxes.from_hbb([[n, 5, n + 1, 6] for n in range(MOST_BOXES + 1)])
    crowd = replace(port, boxes=many, names=("ship",) * len(many), phrases=(None,) * len(many))
    assert asked("ground", crowd) == []
    fewer = replace(crowd, boxes=many[1:], names=crowd.names[1:], phrases=crowd.phrases[1:])
    assert len(asked("ground", fewer)[0].truth.to_row()["boxes"]) == MOST_BOXES


def test_identify_shows_a_box_and_is_answered_with_the_class(port):
    some = {shown(one, "user"): one for one in asked("identify", port)}
    tank = some["[identify] what is the object at [(70, 70)]?"]
    assert tank.text("assistant") == "storage tank"
    assert tank.truth.to_row() == {"name": "storage_tank"}
    assert len(some) == 3 and not any(one.upright for one in some.values())


def test_region_is_answered_with_what_the_object_looks_like(port):
    some = {shown(one, "user"): one for one in asked("region", port)}
    red = some["[identify] describe the object at [(2, 2)]"]
    assert red.text("assistant") == "a red ship at the top left"
    assert red.truth.to_row() == {"captions": ["a red ship at the top left"]}
    assert red.upright


def test_a_phrase_of_the_source_is_a_second_truth_of_a_region(port):
    (named,) = [
        one
        for one in asked("region", replace(port, phrases=("the ship of the pilot", None, None)))
        if len(one.truth.to_row()["captions"]) == 2
    ]
    assert named.truth.to_row()["captions"] == [
        "a red ship at the top left",
        "the ship of the pilot",
    ]


def test_a_red_and_a_white_ship_are_told_apart_by_their_colours(port):
    test = replace(port, split="test")
    assert {one.text("user") for one in asked("refer", test, "geochat")} == {
        "[refer] Give me the location of <p> the red ship </p>",
        "[refer] Give me the location of <p> the white ship </p>",
        "[refer] Give me the location of <p> the storage tank </p>",
    }


def test_two_ships_of_one_look_are_not_referred_to(port):
    alike = replace(port, boxes=Boxes.from_hbb([BOXES[0], [3, 3, 12, 12], BOXES[2]]))
    assert {one.truth.name for one in asked("refer", alike, "geochat")} == {"storage_tank"}


def test_the_source_s_own_phrase_comes_first(port):
    given = replace(port, split="test", phrases=("the pilot ship", None, None))
    phrases = [one.text("user") for one in asked("refer", given, "geochat")]
    assert "[refer] Give me the location of <p> the pilot ship </p>" in phrases
    assert not any("red" in phrase for phrase in phrases)


def test_a_style_without_attributes_opens_no_image(port):
    gone = replace(port, path="/nowhere/port.png")
    assert len(asked("refer", gone)) == 1
    assert len(asked("ground", gone, "geochat")) == 2


def test_description_points_at_every_object_it_names(port):
    (one,) = asked("describe", port)
    assert shown(one, "assistant") == (
        "<p>1 white storage tank</p> [(70, 70)] is at the bottom right. "
        "<p>2 ships</p> [(2, 2), (20, 2)] are at the top left."
    )
    assert one.truth.to_row()["captions"] == [
        "1 white storage tank is at the bottom right. 2 ships are at the top left."
    ]
    assert one.truth.to_row()["phrases"] == ["1 white storage tank", "2 ships", "2 ships"]
    assert [row[:2] for row in one.truth.to_row()["boxes"]] == [[70, 70], [2, 2], [20, 2]]


def test_description_says_which_group_is_beside_which(port):
    near = replace(port, boxes=Boxes.from_hbb([[2, 2, 12, 12], [2, 40, 12, 50], [14, 20, 34, 40]]))
    beside = replace(
        near, boxes=Boxes.from_hbb([[8, 22, 12, 32], [36, 22, 40, 32], [14, 20, 34, 40]])
    )
    (apart,), (close,) = asked("describe", near), asked("describe", beside)
    assert "next to" not in shown(apart, "assistant")
    assert close.truth.to_row()["captions"][0].startswith(
        "1 gray storage tank is next to 2 gray ships."
    )


def test_description_calls_what_it_does_not_point_at_many(port):
    many = [[n * 4, 40, n * 4 + 3, 43] for n in range(MOST_BOXES)]
    crowd = replace(
        port,
        boxes=Boxes.from_hbb([BOXES[2], *many]),
        names=("storage_tank", *["car"] * len(many)),
        phrases=(None,) * (1 + len(many)),
        listed=("car", "storage_tank"),
    )
    (one,) = asked("describe", crowd)
    assert one.truth.to_row()["captions"] == [
        "1 white storage tank is at the bottom right. There are many cars."
    ]
    assert len(one.truth.to_row()["boxes"]) == 1


def test_boxes_beyond_the_picture_are_not_asked_about(port):
    off = replace(port, boxes=Boxes.from_hbb([BOXES[0], [200, 200, 240, 240], BOXES[2]]))
    (ships,) = [one for one in asked("ground", off) if one.truth.name == "ship"]
    assert len(ships.truth.to_row()["boxes"]) == 1
    assert len(asked("identify", off)) == 2


def test_chinese_names_classes_places_and_colours(port):
    image = PHRASINGS.get("chinese").prepare(port)
    (one,) = asked("describe", image, "chinese")
    assert shown(one, "assistant") == (
        "<p>1个白色储油罐</p> [(70, 70)]位于图像右下角。"
        "<p>2艘船只</p> [(2, 2), (20, 2)]位于图像左上角。"
    )
    regions = {one.text("assistant"): one for one in asked("region", image, "chinese")}
    assert regions["左上角的一艘红色船只"].upright
    (tank,) = asked("refer", image, "chinese")
    assert tank.text("user") in (
        "[refer] <p>储油罐</p>在哪里？",
        "[refer] 请给出<p>储油罐</p>的位置。",
    )


def test_questions_of_the_source_are_asked_as_they_are(port):
    some = asked(
        "question",
        replace(port, questions=(Question("Is it {rural}?", "no", "rural_urban"),)),
        "geochat",
    )
    assert [one.text("user") for one in some] == [
        "Is it {rural}?\nAnswer the question using a single word or phrase."
    ]
    assert some[0].truth.to_row() == {"answer": "no", "kind": "rural_urban"}


def test_whole_image_tasks_show_every_frame_and_box_tasks_the_first(port):
    clip = replace(port, frames=(port.path, "/b.png"), captions=("A ship moves.",))
    (scene,), (told,) = asked("classify", clip), asked("caption", clip)
    assert [image.path for image in scene.images] == [port.path, "/b.png"]
    assert told.images == scene.images
    parts = scene.turns[0].parts
    assert isinstance(parts[1], Image) and parts[2] == Text("\nWhat kind of scene is this?")
    assert [len(one.images) for one in asked("ground", clip)] == [1, 1]


def test_task_tokens_can_be_left_out(port):
    without = asked("identify", port, "skyeyegpt", task_tokens=False)
    assert all(one.text("user").startswith(("what", "name")) for one in without)
    plain = asked("classify", replace(port, split="test"), "skyeyegpt", task_tokens=False)
    assert plain[0].text("user").startswith("Based on the image, respond")


def test_scene_classes_are_listed_where_the_wording_asks_for_them(port):
    (one,) = asked("classify", port, "geochat")
    assert one.text("user") == (
        "Classify the image from the following classes: port. Answer in one word or a short phrase."
    )


def test_where_nothing_of_a_class_is_may_be_asked_too(port):
    without = replace(port, boxes=port.boxes[:2], names=("ship", "ship"), phrases=())
    first, second = asked("ground", without, "scenes", absent=True)
    assert shown(first, "user").endswith("every <p>ship</p>")
    assert shown(second, "user").endswith("every <p>storage tank</p>")
    assert shown(second, "assistant") == "none" and second.truth.to_row()["boxes"] == []
    unsure = replace(without, listed=("ship",))
    assert len(asked("ground", unsure, absent=True)) == 1  # tanks may be there without a box
    assert len(asked("ground", without)) == 1
