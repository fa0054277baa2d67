from pathlib import Path

import pytest
from PIL import Image

from swath.annotations.parsing import image_of, objects, sentence, size_of, some_objects
from swath.errors import AnnotationError

SQUARES = [[[x, 0], [x + 2, 0], [x + 2, 2], [x, 2]] for x in (0, 10, 20)]
ROWS = list(zip(SQUARES, ("ship", "plane", "car"), (None, "the plane", None), strict=True))
SET = Path("/data/harbours")


def test_a_picture_is_named_by_its_path_in_the_set_unless_it_has_an_id():
    image = image_of(SET / "a" / "1.tif", SET, split="test")
    assert (image.id, image.scene, image.source, image.size_wh) == (
        "a/1",
        "a/1",
        "harbours",
        (0, 0),
    )
    assert (image.path, image.split) == ("/data/harbours/a/1.tif", "test")
    named = image_of(SET / "a" / "1.tif", SET, id="7", source="other")
    assert (named.id, named.scene, named.source) == ("7", "7", "other")


def test_rows_become_boxes_with_classes_and_phrases():
    image = image_of(SET / "1.tif", SET, **objects(ROWS))
    assert image.boxes.hbb[:, 0].tolist() == [0, 10, 20]
    assert image.names == ("ship", "plane", "car")
    assert image.phrases == (None, "the plane", None)
    assert image_of(SET / "1.tif", SET, **objects(row[:2] for row in ROWS)).phrases == (None,) * 3
    assert len(image_of(SET / "1.tif", SET, **objects([])).boxes) == 0


def test_some_objects_keep_their_class_and_phrase():
    image = image_of(SET / "1.tif", SET, **objects(ROWS))
    kept = some_objects(image, [1], split="train")
    assert kept.boxes.hbb[:, 0].tolist() == [10]
    assert (kept.names, kept.phrases, kept.split) == (("plane",), ("the plane",), "train")
    none = some_objects(image, [])
    assert (len(none.boxes), none.names, none.phrases) == (0, (), ())


def test_words_left_of_marked_up_text_make_a_sentence():
    assert sentence(" a  ship \n and two piers . ") == "a ship and two piers."


def test_a_picture_whose_size_cannot_be_read_is_named_with_its_row(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert size_of(tmp_path / "a.png", "rows.csv:2") == (4, 3)
    with pytest.raises(AnnotationError, match=r"rows.csv:2: .*b.png: no such file"):
        size_of(tmp_path / "b.png", "rows.csv:2")
