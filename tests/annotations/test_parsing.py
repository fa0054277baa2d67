import pytest
from PIL import Image

from swath.annotations.image import AnnotatedImage
from swath.annotations.parsing import (
    Outline,
    corners_of,
    corners_of_wkt,
    numbers_in,
    objects,
    sentence,
    size_of,
    some_objects,
)
from swath.errors import AnnotationError

SQUARES = [[[x, 0], [x + 2, 0], [x + 2, 2], [x, 2]] for x in (0, 10, 20)]
OUTLINES = [
    Outline(SQUARES[0], "ship"),
    Outline(SQUARES[1], "plane", "the plane"),
    Outline(SQUARES[2], "car"),
]


def image(outlines):
    return AnnotatedImage("1", "/data/1.tif", (30, 30), **objects(outlines))


def test_outlines_become_boxes_with_classes_and_phrases():
    harbour = image(OUTLINES)
    assert harbour.boxes.hbb[:, 0].tolist() == [0, 10, 20]
    assert harbour.names == ("ship", "plane", "car")
    assert harbour.phrases == (None, "the plane", None)
    assert len(image([]).boxes) == 0


def test_some_objects_keep_their_class_and_phrase():
    chosen = some_objects(image(OUTLINES), [1], split="train")
    assert chosen.boxes.hbb[:, 0].tolist() == [10]
    assert (chosen.names, chosen.phrases, chosen.split) == (("plane",), ("the plane",), "train")
    none = some_objects(image(OUTLINES), [])
    assert (len(none.boxes), none.names, none.phrases) == (0, (), ())


def test_words_left_of_marked_up_text_make_a_sentence():
    assert sentence(" a  ship \n and two piers . ") == "a ship and two piers."


def test_a_picture_whose_size_cannot_be_read_is_named_with_its_row(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert size_of(tmp_path / "a.png", "rows.csv:2") == (4, 3)
    with pytest.raises(AnnotationError, match=r"rows.csv:2: .*b.png: no such file"):
        size_of(tmp_path / "b.png", "rows.csv:2")


@pytest.mark.parametrize("far", ["1e9", "-1e9", "1e308", "inf", "nan"])
def test_corners_beyond_any_picture_are_refused(far):
    """GEOS fails on some numbers beyond 1e9, and no picture is as large."""
    assert corners_of([0, 0, 9.9e8, 0, 9.9e8, 2], "a:1").max() == 9.9e8
    with pytest.raises(AnnotationError, match="a:1: expected an outline of three points or more"):
        corners_of([0, 0, float(far), 0, 4, 2], "a:1")
    with pytest.raises(AnnotationError, match="a:1: expected numbers, got"):
        numbers_in(["0", far], "a:1")
    with pytest.raises(AnnotationError, match="a:1: a polygon without points"):
        corners_of_wkt(f"POLYGON ((0 0, {far} 0, 4 2, 0 0))", "a:1")
