import re
from dataclasses import replace

import pytest

from nano import BASE_KINDS
from swath.annotations.drawn import SOURCE
from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import InstructionError
from swath.imagery.synthetic import QUICKSTART_KINDS, draw
from swath.instructions.builder import build
from swath.instructions.language import Look
from swath.instructions.language_chinese import CHINESE, in_chinese, translated
from swath.recipe import Instructions

LATIN = re.compile(r"[A-Za-z]")
TASKS = ["classify", "caption", "refer", "count", "ground", "identify", "region", "describe"]


def airport(**values):
    given = {
        "label": "airport",
        "captions": ("two planes are in an airport.",),
        "boxes": Boxes.from_hbb([[0, 0, 9, 9], [20, 0, 29, 9], [50, 50, 60, 60]]),
        "names": ("plane", "plane", "truck"),
        "phrases": ("the red plane", None, "the truck"),
        "source": SOURCE,
        "listed": ("plane", "truck"),
    }
    return AnnotatedImage("a", "/a.png", (90, 90), split="train", **given | values)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("BareLand", "裸地"), ("bare land", "裸地"), ("parkinglot", "停车场"),
        ("storage_tank", "储油罐"), ("机场", "机场"), ("Moon Base", "Moon Base"),
    ],
)  # fmt: skip
def test_common_classes_have_chinese_names(label, name):
    assert translated(label) == name


def test_every_drawn_kind_and_thing_has_a_chinese_name():
    for kind in BASE_KINDS + QUICKSTART_KINDS:
        scene = draw(kind, 1)
        for word in (kind, *scene.names):
            assert not LATIN.search(translated(word)), word


def test_no_two_drawn_kinds_share_a_chinese_name():
    kinds = BASE_KINDS + QUICKSTART_KINDS
    assert len({translated(kind) for kind in kinds}) == len(kinds)


def test_drawn_scenes_are_captioned_anew_from_what_is_in_them():
    image = in_chinese(airport())
    assert (image.label, image.names) == ("机场", ("飞机", "飞机", "卡车"))
    assert image.phrases == ("红色飞机", None, "卡车")
    assert image.captions[:2] == (
        "机场里有一辆卡车和两架飞机。",
        "可以看到机场里的一辆卡车和两架飞机。",
    )


def test_captions_of_others_stay_as_they_were_written():
    theirs = in_chinese(airport(source="RSICD"))
    assert theirs.captions == ("two planes are in an airport.",)
    chinese = airport(captions=("机场里停着飞机。",))
    assert in_chinese(chinese).captions == chinese.captions
    assert in_chinese(airport(captions=())).captions == ()


def test_phrases_with_unknown_words_stay_as_they_are():
    odd = airport(phrases=("the leftmost plane by the gate", None, "the largest truck"))
    assert in_chinese(odd).phrases == ("the leftmost plane by the gate", None, "最大的卡车")


def test_objects_are_called_with_place_counter_size_and_colour():
    look = Look("飞机", "white", "large", 0, ("next to", "卡车"))
    assert CHINESE.one(look) == "左上角的卡车旁边的一架大型白色飞机"
    assert CHINESE.the(look._replace(relation=None)) == "左上角的大型白色飞机"
    assert CHINESE.related(1, "inside") == "{0}位于{1}里。"
    assert CHINESE.there_are([1, 2]) == "图中有{0}、{1}。"


@pytest.mark.parametrize("phrasing", ["chinese", "chinese-short", "chinese-expert"])
def test_a_set_of_drawn_scenes_holds_no_english(tmp_path, phrasing):
    from swath.annotations.drawn import draw_set

    images = [
        replace(image, split="train")
        for image in draw_set(tmp_path / "drawn", ["port", "airport", "wind farm"], 6, 0)
    ]
    section = Instructions(tasks=TASKS, phrasing=phrasing, task_tokens=False, turns=3)
    built = build(images, section, 0)
    assert {one.task for one in built.conversations} == {*TASKS, "converse"}
    assert built.labels == sorted(["港口", "机场", "风电场"])
    assert set(built.choices["classify"]) == set(built.labels)
    for one in built.conversations:
        for role in ("user", "assistant"):
            words = one.text(role).replace("<p>", "").replace("</p>", "")
            assert not LATIN.search(words), words


@pytest.mark.parametrize("phrasing", ["remoteglm", "chinese-short"])
def test_chinese_questions_get_no_english_answers(phrasing):
    english = AnnotatedImage("a", "/a.png", (9, 9), captions=("停机坪。", "Planes."), split="train")
    section = Instructions(tasks=["caption"], phrasing=phrasing)
    with pytest.raises(InstructionError, match=r"a: 'Planes\.' is not in .*instructions\.writer"):
        build([english], section, seed=0)
    built = build([replace(english, captions=("停机坪。", " "))], section, seed=0)
    assert built.conversations[0].text("assistant") == "停机坪。"
