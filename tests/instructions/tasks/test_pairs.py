import random
from dataclasses import replace

import pytest

from swath.annotations.drawn import draw_set
from swath.annotations.formats.masks import CHANGE
from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.base import Setting
from swath.instructions.tasks.pairs import damage_counts, of_both_dates
from swath.instructions.tasks.words import TASKS
from swath.recipe import Instructions


def pair(*names):
    """A picture before and one after, with a box a name."""
    boxes = Boxes.from_hbb([(8 * n, 8, 8 * n + 6, 14) for n in range(len(names))])
    frames = ("/before.png", "/after.png")
    return AnnotatedImage(
        "a",
        frames[0],
        (64, 64),
        boxes=boxes,
        names=names,
        frames=frames,
        split="test",
        listed=tuple({*names}),
    )


def asked(task, image, phrasing="plain"):
    setting = Setting(Instructions(), PHRASINGS.get(phrasing), (), image.names)
    return list(TASKS.get(task)(image, setting, random.Random(0)))


BUILDINGS = ("no-damage building", "destroyed building", "destroyed building")


def test_buildings_are_counted_by_damage_over_both_dates():
    (row,) = asked("damage", pair(*BUILDINGS, "un-classified building"))
    assert row.text("assistant") == (
        '{"count_before": 4, "no_damage": 1, "minor_damage": 0, "major_damage": 0, "destroyed": 2}'
    )
    assert row.truth.to_row()["counts"]["destroyed"] == 2
    assert [image.path for image in row.images] == ["/before.png", "/after.png"]
    assert "count_before, no_damage" in row.text("user")


def test_damage_is_asked_of_pairs_with_damaged_buildings_alone():
    assert asked("damage", pair("building")) == []
    assert asked("damage", replace(pair(*BUILDINGS), frames=())) == []
    assert asked("damage", pair(CHANGE)) == []


@pytest.mark.parametrize("task", ["ground", "count"])
def test_changes_and_damage_are_looked_for_on_both_dates_and_other_objects_on_the_first(task):
    shown = {}
    for row in asked(task, pair(CHANGE, "ship", "minor-damage building")):
        shown[row.truth.name] = len(row.images)
    assert shown.get("ship", 1) == 1
    assert {shown[name] for name in shown if name != "ship"} == {2}
    assert of_both_dates("major-damage building") and not of_both_dates("building")


def test_counts_by_degree_take_xbds_words():
    assert damage_counts(["major-damage", "un-classified", "no-damage"]) == {
        "count_before": 3, "no_damage": 1, "minor_damage": 0, "major_damage": 1, "destroyed": 0,
    }  # fmt: skip


def test_drawn_pairs_have_boxes_around_what_changed_and_say_whether_anything_did(tmp_path):
    images = draw_set(tmp_path / "set", ["orchard"], 12, seed=0, size_px=48, change=True)
    changed = [image for image in images if image.names]
    assert {name for image in changed for name in image.names} == {CHANGE}
    for image in images:
        (question,) = image.questions
        assert question.answer == ("yes" if image.names else "no")
    assert 0 < len(changed) < 12
