import json
import random

import pytest

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import RequestError
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.base import DIRECTIONS, Setting
from swath.instructions.tasks.words import TASKS, answer_for
from swath.recipe import Instructions

LABELS = ("Port", "StorageTanks")
NAMES = ("ship", "storage_tank", "truck")


def port(split="train", **values):
    """A port with two ships and one tank."""
    given = {
        "label": "Port",
        "captions": ("Two ships lie in the port.", "A tank stands near two ships."),
        "boxes": Boxes.from_hbb([[0, 0, 10, 20], [30, 0, 40, 20], [50, 50, 60, 60]]),
        "names": ("ship", "ship", "storage_tank"),
        "phrases": ("the left ship", None, None),
        "listed": NAMES,
    }
    return AnnotatedImage("port-1", "/images/port.png", (100, 80), split=split, **given | values)


def setting(phrasing="plain", **section):
    section = Instructions(phrasing=phrasing, **section)
    return Setting(section, PHRASINGS.get(phrasing), LABELS, NAMES)


def asked(task, image=None, seed=0, **section):
    return list(TASKS.get(task)(image or port(), setting(**section), random.Random(seed)))


def counts(image=None, seed=0, **section):
    return {one.truth.name: one.truth.count for one in asked("count", image, seed, **section)}


# Classes


def test_classify_asks_for_the_scene_and_answers_with_its_words():
    (one,) = asked("classify", port(label="StorageTanks"))
    assert one.text("user") == "What kind of scene is this?"
    assert one.text("assistant") == "storage tanks"
    assert one.truth.to_row() == {"label": "StorageTanks"}
    assert one.images[0].size_wh == (100, 80)
    assert (one.id, one.task, one.split, one.scene) == (
        "port-1#classify0",
        "classify",
        "train",
        "port-1",
    )


def test_json_answers_hold_description_and_the_label_as_the_source_spells_it():
    (one,) = asked("classify", port(label="StorageTanks"), answer="json")
    assert json.loads(one.text("assistant")) == {
        "image_description": "An aerial view of a storage tanks",
        "label": "StorageTanks",
    }
    assert answer_for("停车场", Instructions(answer="json")).endswith('"label": "停车场"}')


def test_the_system_instruction_lists_the_labels_and_leaves_other_braces_alone():
    (one,) = asked("classify", system='One of {labels}, as {"label": ...}.')
    assert [turn.role for turn in one.turns] == ["system", "user", "assistant"]
    assert one.text("system") == 'One of Port, StorageTanks, as {"label": ...}.'


def test_an_image_without_annotations_is_asked_nothing():
    bare = AnnotatedImage("bare", "/images/bare.png", (10, 10), split="train")
    nothing = Setting(Instructions(), PHRASINGS.get("plain"), (), ())
    for name, task in TASKS.items():
        if name == "resolution":  # which the file itself tells
            continue
        assert list(task(bare, nothing, random.Random(0))) == [], name


# Captions


def test_training_asks_once_for_each_different_caption():
    some = asked("caption", port(captions=("A port.", "A port.", "Two ships.", " . ")))
    assert [one.text("assistant") for one in some] == ["A port.", "Two ships."]
    assert len({one.id for one in some}) == 2
    # All captions that hold a word are references, repeated ones too.
    assert some[0].truth.to_row()["captions"] == ["A port.", "A port.", "Two ships."]


def test_a_test_image_is_captioned_once_against_all_its_captions():
    (one,) = asked("caption", port(split="test"))
    assert one.truth.to_row()["captions"] == [
        "Two ships lie in the port.",
        "A tank stands near two ships.",
    ]
    assert one.truth.label == "Port"


def test_captions_are_limited():
    assert len(asked("caption", captions_per_image=1)) == 1


# Boxes


def test_refer_asks_for_phrases_and_for_names_that_occur_once():
    some = {one.text("user"): one for one in asked("refer")}
    # The second ship has no phrase and its name is not its own.
    assert set(some) == {
        "[refer] where is <p>the left ship</p>?",
        "[refer] where is <p>the storage tank</p>?",
    }
    tank = some["[refer] where is <p>the storage tank</p>?"]
    assert tank.truth.to_row() == {
        "boxes": [[50, 50, 60, 50, 60, 60, 50, 60]],
        "name": "storage_tank",
    }
    assert tank.turns[-1].parts[0].boxes.hbb.tolist() == [[50, 50, 60, 60]]


def test_boxes_are_limited():
    assert len(asked("refer", boxes_per_image=1)) == 1


def test_a_phrase_with_braces_is_asked_as_it_is():
    (one,) = asked("refer", port(names=("a", "a", "a"), phrases=("the {0} ship", None, None)))
    assert one.text("user") == "[refer] where is <p>the {0} ship</p>?"


# Counts


def test_counts_are_of_the_classes_there():
    assert counts(counts_per_image=3, seed=1) in (
        {"ship": 2, "storage_tank": 1},
        {"ship": 2, "storage_tank": 1, "truck": 0},
    )
    ship = next(one for one in asked("count", counts_per_image=3) if one.truth.name == "ship")
    assert ship.text("user") == "How many ships are there?"
    assert ship.text("assistant") == "2"
    assert ship.truth.to_row() == {"count": 2, "name": "ship"}


def test_now_and_then_an_absent_class_is_counted_as_none():
    some = [counts(seed=seed) for seed in range(200)]
    absent = [one for one in some if 0 in one.values()]
    assert 0.2 < len(absent) / len(some) < 0.4
    assert all(one["truck"] == 0 and len(one) == 2 for one in absent)
    assert all(len(one) <= 2 for one in some)


def test_a_class_the_captions_speak_of_is_not_called_absent():
    # It is not boxed, but it is there.
    image = port(captions=("A truck waits.",))
    assert not any("truck" in counts(image, seed) for seed in range(100))


def test_an_image_without_things_is_asked_for_an_absent_class():
    empty = port(boxes=Boxes.empty(), names=(), phrases=(), captions=())
    (one,) = asked("count", empty)
    assert one.truth.count == 0
    assert one.text("assistant") == "0"


def test_no_class_is_counted_or_said_to_be_absent_where_its_objects_were_not_all_boxed():
    captioned = port(boxes=Boxes.empty(), names=(), phrases=(), listed=())
    assert counts(captioned) == {} and asked("question", captioned) == []
    ships = port(listed=("ship",), captions=())
    assert {name for seed in range(20) for name in counts(ships, seed)} == {"ship"}
    assert asked("ground", port(listed=())) == [] and asked("describe", port(listed=())) == []


def test_counts_stay_within_their_limit_when_one_is_of_an_absent_class():
    for seed in range(50):
        assert len(counts(seed=seed, counts_per_image=1)) == 1


# Wording


def test_training_draws_from_all_wordings_and_a_test_asks_the_first():
    def wordings(split):
        some = (asked("classify", port(split=split), seed, phrasing="varied") for seed in range(60))
        return {one.text("user") for (one,) in some}

    assert wordings("train") == set(PHRASINGS.get("varied").wordings["classify"])
    assert wordings("test") == wordings("val") == {PHRASINGS.get("varied").wordings["classify"][0]}


def test_words_of_direction_keep_the_image_upright():
    some = {one.text("user"): one.upright for one in asked("refer")}
    assert some == {
        "[refer] where is <p>the left ship</p>?": True,
        "[refer] where is <p>the storage tank</p>?": False,
    }
    captions = asked("caption", port(captions=("A ship at the top.", "A ship.")))
    assert [one.upright for one in captions] == [True, False]


@pytest.mark.parametrize(
    ("words", "names_one"),
    [
        ("the Upper ship", True),
        ("two ships in the northwest", True),
        ("the leftmost ship", True),
        ("a desktop and a bright roof", False),
        ("ships in an estuary", False),
        ("左上角的飞机", True),
        ("图像下方有一条河", True),
        ("飞机停在地上", False),
    ],
)
def test_directions_are_whole_words_or_begin_one(words, names_one):
    assert bool(DIRECTIONS.search(words)) == names_one


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match="unknown task 'capton'; did you mean caption"):
        TASKS.get("capton")
