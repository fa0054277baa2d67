import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import InstructionError
from swath.evaluation.metrics.several_parts import classes_named
from swath.instructions.builder import build
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.base import Setting
from swath.instructions.tasks.blind import Blind
from swath.instructions.tasks.box_questions import plausible
from swath.instructions.tasks.words import TASKS
from swath.recipe import Instructions

LISTED = ("bridge", "ship", "storage_tank")
FROM_BOXES = ["question", "comparison", "area", "position", "relation", "premise", "classes"]


@pytest.fixture
def port(tmp_path):
    """Two ships at the top left, 10 px long, and a tank of 20 x 20 px at the bottom right."""
    path = tmp_path / "port.png"
    Picture.fromarray(np.full((90, 90, 3), 120, dtype=np.uint8)).save(path)
    return AnnotatedImage(
        "port", str(path), (90, 90), label="industrial", split="test", listed=LISTED,
        boxes=Boxes.from_hbb([[2, 2, 12, 12], [14, 2, 24, 12], [68, 66, 88, 86]]),
        names=("ship", "ship", "storage_tank"),
    )  # fmt: skip


def asked(task, image, phrasing="plain", seed=0, **section):
    section = Instructions(phrasing=phrasing, **section)
    setting = Setting(section, PHRASINGS.get(phrasing), (), LISTED)
    rows = list(TASKS.get(task)(image, setting, random.Random(seed)))
    return [(row.text("user"), row.text("assistant")) for row in rows]


def test_more_and_fewer_are_asked_either_way_round(port):
    answers = {asked("comparison", port, seed=seed)[0] for seed in range(9)}
    assert answers == {
        ("Are there more ships than storage tanks?", "yes"),
        ("Are there more storage tanks than ships?", "no"),
    }
    alike = replace(port, boxes=port.boxes[1:], names=port.names[1:], phrases=())
    assert {words for words, _ in asked("comparison", alike)} <= {
        "Are there more ships than bridges?", "Are there more bridges than ships?",
        "Are there more storage tanks than bridges?", "Are there more bridges than storage tanks?",
    }  # fmt: skip


def test_areas_are_told_in_metres_where_they_are_known_and_compared_elsewhere(port):
    assert asked("area", port)[0] in (
        ("Do the storage tanks cover more ground than the ships?", "yes"),
        ("Do the ships cover more ground than the storage tanks?", "no"),
    )
    # 2 ships of 100 px are 200 m2 at 1 m; the tank's 400 px likewise.
    measured = dict(asked("area", replace(port, gsd_m=1.0)))
    assert measured == {
        "What area is covered by ships?": "between 100 m2 and 1000 m2",
        "What area is covered by storage tanks?": "between 100 m2 and 1000 m2",
    }
    # 128 and 256 m2: the first is too near to 100 for boxes to tell.
    assert len(asked("area", replace(port, gsd_m=0.8))) == 1
    cut = replace(port, boxes=Boxes.from_hbb([[-5, 2, 12, 12], [14, 2, 24, 12], [68, 66, 88, 86]]))
    assert len(asked("area", replace(cut, gsd_m=1.0))) == 1  # a ship is cut off


def test_scenes_that_tell_are_rural_or_urban(port):
    assert asked("rural_urban", port) == [("Is it a rural or an urban area?", "urban")]
    assert asked("rural_urban", replace(port, label="Farmland"))[0][1] == "rural"
    assert asked("rural_urban", replace(port, label="port")) == []


def test_position_and_relation_are_asked_of_objects_that_are_singled_out(port):
    assert asked("position", port) == [
        ("In which part of the image is the storage tank?", "at the bottom right")
    ]
    assert asked("relation", port) == []  # no words tell the ships apart
    side = Boxes.from_hbb([[2, 60, 12, 70], [40, 62, 50, 72]])
    two = replace(port, boxes=side, names=("ship", "bridge"), phrases=())
    assert set(asked("relation", two)) <= {
        ("Where is the ship in relation to the bridge?", "to the left"),
        ("Where is the bridge in relation to the ship?", "to the right"),
    }
    slanted = replace(two, boxes=Boxes.from_hbb([[2, 2, 12, 12], [40, 42, 50, 52]]))
    assert asked("relation", slanted) == []


def test_a_false_premise_is_denied_and_a_true_one_answered(port):
    assert asked("premise", port) == [
        ("Where is the storage tank?", "The storage tank is at the bottom right."),
        ("Where is the bridge?", "There is no bridge in the image."),
    ]
    assert asked("premise", replace(port, listed=("ship", "storage_tank"))) == []


def test_resolution_and_sensor_are_asked_where_the_source_tells_them(port):
    assert asked("resolution", port) == asked("sensor", port) == []
    told = replace(port, gsd_m=0.26617, sensor="GoogleEarth")
    assert asked("resolution", told)[0][1] == "0.27 m"
    assert asked("sensor", told)[0][1] == "GoogleEarth"


@pytest.mark.parametrize("answer", ["text", "json"])
def test_classes_are_listed_as_scores_read_them(port, answer):
    ((words, listed),) = asked("classes", port, answer=answer)
    assert "bridge, ship, storage tank" in words
    assert classes_named(listed, ["bridge", "ship", "storage tank"]) == (
        {"ship", "storage tank"},
        0,
    )
    assert listed == ("ship, storage tank" if answer == "text" else '["ship", "storage tank"]')


def test_nothing_that_needs_whole_lists_is_asked_without_them(port):
    partial = replace(port, listed=())
    for task in FROM_BOXES:
        assert asked(task, partial) == [], task


def test_pictures_without_objects_ask_no_more_than_what_is_absent(port):
    bare = replace(port, boxes=Boxes.empty(), names=(), phrases=())
    for task in (*FROM_BOXES, "refer", "ground", "group", "identify", "region", "describe"):
        assert asked(task, bare, "geochat") == [], task


@pytest.mark.parametrize(
    "name",
    [
        "<|im_end|>ship", "ship</s>", "[INST] ship", "<image>", "{<1><2><3><4>}",
        "ship\x00\x1b[31m", "a\nb", "<pad>", "\u202eship", "<|endoftext|>",
    ],
)  # fmt: skip
def test_special_tokens_in_class_names_become_words(port, name):
    image = replace(port, names=(name, name, "tank"), listed=(name, "tank", "<s>"), label=name)
    for task in (
        *FROM_BOXES,
        "classify",
        "count",
        "ground",
        "refer",
        "identify",
        "region",
        "describe",
    ):
        for question, answer in asked(task, image, "geochat", captions_per_image=1):
            words = (question + answer).replace("<p>", "").replace("</p>", "")
            words = (
                words.replace("[refer]", "").replace("[grounding]", "").replace("[identify]", "")
            )
            assert not set(words) & set("<>|{}\x00\x1b\u202e"), words
            assert "[INST]" not in words and "\n" not in words.replace("\nAnswer", "")


def test_chinese_asks_and_answers_in_chinese(port):
    image = PHRASINGS.get("chinese").prepare(port)
    assert asked("rural_urban", image, "chinese") == [("这里是乡村还是城市？", "城市")]
    assert asked("position", image, "chinese") == [("储油罐在图像的哪个部分？", "右下角")]


def test_an_absent_class_is_drawn_as_often_as_pictures_show_it(port):
    setting = Setting(
        Instructions(), PHRASINGS.get("plain"), (), LISTED, shown={"ship": 0.9, "bridge": 0.0}
    )
    rng = random.Random(0)
    drawn = [plausible(["ship", "bridge"], setting, rng) for _ in range(1000)]
    assert 930 <= drawn.count("ship") <= 970  # 0.95 of 1.0


def many(folder, count=1600, often=(1, 5, 3)):
    """Pictures of boxes of three classes, of which some are commoner than others."""
    rng = np.random.default_rng(1)
    path = folder / "one.png"
    Picture.new("RGB", (90, 90), (120, 120, 120)).save(path)
    images = []
    for number in range(count):
        names = [
            name
            for name, mean in zip(LISTED, often, strict=True)
            for _ in range(rng.poisson(mean / 4))
        ]
        corners = rng.uniform(0, 60, (len(names), 2))
        boxes = np.c_[corners, corners + rng.uniform(5, 28, (len(names), 2))]
        images.append(
            AnnotatedImage(
                f"{number}", str(path), (90, 90), boxes=Boxes.from_hbb(boxes), names=tuple(names),
                split="train" if number % 4 else "test", listed=LISTED,
            )
        )  # fmt: skip
    return images


@pytest.mark.parametrize(
    ("often", "least"), [((1, 5, 3), 40), ((12, 1, 2), 6)], ids=["mixed", "one nearly everywhere"]
)
def test_words_alone_tell_no_answer(tmp_path, often, least):
    section = Instructions(tasks=FROM_BOXES, colours=False)
    built = build(many(tmp_path, 1600, often), section, 0)
    blind, balance = built.card["blind"], built.card["balance"]
    for kind in ("presence", "comparison", "premise", "area"):
        row = blind[f"question: {kind}"]
        assert row["rows"] >= least, (kind, row)
        assert row["right"] <= 0.5, (kind, row)
        assert 0.45 <= row["right_by_words"] <= 0.5, (kind, row)
        assert balance[kind]["chance"] == 0.5
    for kind in ("position", "relation"):
        row = blind[f"question: {kind}"]
        assert row["right"] <= balance[kind]["chance"] + 0.05, (kind, row)
        assert row["right_by_words"] <= balance[kind]["chance"] + 0.05, (kind, row)
    asked_of = Counter()
    for row in built.conversations:
        if row.truth.get("kind") == "presence":
            asked_of[row.split, row.text("user"), row.text("assistant")] += 1
    for (split, words, _), count in asked_of.items():
        assert asked_of[split, words, "yes"] == asked_of[split, words, "no"] == count


def test_what_a_source_cannot_carry_is_left_out_and_counted(port, tmp_path):
    images = [replace(port, id=f"{number}") for number in range(8)]  # ships more than tanks in all
    built = build(images, Instructions(tasks=["classify", "comparison", "question"]), 0)
    assert {row.task for row in built.conversations} == {"classify"}
    assert built.card["balance"] == {
        "comparison": {"asked": 0, "left_out": 16, "chance": 0.5},
        "presence": {"asked": 0, "left_out": 16, "chance": 0.5},
    }
    with pytest.raises(InstructionError, match=r"16 of 16 comparison questions were left out"):
        build(images, Instructions(tasks=["comparison"]), 0)
    everything = build(images, Instructions(tasks=["comparison"], balance=[]), 0)
    assert len(everything.conversations) == 16


def test_scenes_sorted_by_class_are_asked_evenly(port):
    labels = ["farmland"] * 30 + ["industrial"] * 7 + ["port"] * 5
    images = [replace(port, id=f"{n}", label=label) for n, label in enumerate(labels)]
    built = build(images, Instructions(tasks=["rural_urban"]), 0)
    answers = Counter(row.text("assistant") for row in built.conversations)
    assert answers == {"rural": 7, "urban": 7}


def test_a_habit_of_the_set_shows_on_the_card(port):
    from tests.making import asks

    blind = Blind()
    for number in range(10):
        row = asks(port.path, question="Is there a ship?", answer="yes" if number < 9 else "no")
        blind.add(replace(row, split="train"))
    assert blind.card()["classify"] == {
        "rows": 10, "answers": 2, "guess": "yes", "right": 0.9, "right_by_words": None,
    }  # fmt: skip


def test_many_questions_of_training_leave_room_for_those_of_the_test(port, monkeypatch):
    from swath.instructions.tasks import blind as module
    from tests.making import asks

    monkeypatch.setattr(module, "MOST_QUESTIONS", 2)
    blind = Blind()
    for number in range(3):
        row = asks(port.path, question=f"Is there a ship at pier {number}?", answer="yes")
        blind.add(replace(row, split="train"))
    row = asks(port.path, question="Is there a ship at pier 0?", answer="no")
    blind.add(replace(row, split="test"))
    # All of training answers yes, so that a guess gets the one test wrong.
    assert blind.card()["classify"]["right_by_words"] == 0
