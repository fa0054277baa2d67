import pytest

from swath.evaluation.slices import slices
from tests.evaluation.making import named, predicted


def box(side):
    return [0.0, 0, side, 0, side, side, 0, side]


def referred(number, side, found):
    return predicted(number, "refer", {"boxes": [box(side)]}, boxes=[box(side)] if found else None)


def test_boxes_are_sliced_by_the_side_of_a_square_of_their_area():
    some = [referred(1, 31.9, False), referred(2, 32, True), referred(3, 95, False),
            referred(4, 96, True)]  # fmt: skip
    (found,) = slices(some).values()
    assert {part: (one.value, one.n) for part, one in found.items()} == {
        "small (below 32 px)": (0.0, 1),
        "medium (32 to 96 px)": (0.5, 2),
        "large (96 px on)": (1.0, 1),
    }
    assert found["small (below 32 px)"].low is None  # one scene tells nothing of its spread
    assert next(iter(found)).startswith("small")


def test_questions_are_sliced_by_type_and_counts_by_how_many_there_are():
    asked = [
        predicted(1, "question", {"answer": "yes", "kind": "presence"}, answer="yes"),
        predicted(2, "question", {"answer": "3", "kind": "count"}, answer="4"),
    ]
    values = slices(asked)["type of question"]
    assert {part: one.value for part, one in values.items()} == {"count": 0, "presence": 1}
    counted = [predicted(i, "count", {"count": n}, count=5) for i, n in enumerate((0, 5, 30))]
    assert list(slices(counted)["true count"]) == ["0", "1 to 5", "21 on"]


def test_ground_resolution_is_asked_of_each_picture_once():
    asked = []

    def gsd(path):
        asked.append(path)
        return {"/images/1.png": 0.25, "/images/2.png": 10.0}.get(path)

    some = [named(1, "a", "a"), named(2, "a", "b"), named(3, "a", "a")]
    found = slices([*some, named(1, "a", "a")], ["a", "b"], gsd)["ground resolution"]
    assert {part: one.n for part, one in found.items()} == {"below 0.3 m": 2, "5 m on": 1}
    assert len(asked) == 3


def test_one_slice_alone_is_none():
    assert slices([referred(1, 10, True), referred(2, 12, True)]) == {}


def test_regions_are_sliced_by_the_box_that_was_asked_about():
    some = [
        predicted(i, "region", {"captions": ["a ship"]}, answer="a ship", asked=[box(side)])
        for i, side in enumerate((10, 50))
    ]
    values = slices(some)["object size"].values()
    assert [one.value for one in values] == pytest.approx([1, 1])  # ROUGE-L
