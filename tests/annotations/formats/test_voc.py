from pathlib import Path

import pytest

from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def xml(*objects, name="a.jpg", size=(16, 12), more=""):
    width, height = size
    return (
        f"<annotation><filename>{name}</filename>{more}<size><width>{width}</width>"
        f"<height>{height}</height></size>{''.join(objects)}</annotation>"
    )


def thing(x1, y1, x2, y2, name="ship", said=""):
    phrase = f"<description>{said}</description>" if said else ""
    return (
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>"
        f"<ymax>{y2}</ymax></bndbox>{phrase}</object>"
    )


def test_voc_holds_upright_boxes_in_pixels(folder):
    folder.picture("JPEGImages/a.jpg")
    folder.text("Annotations/a.xml", xml(thing(1, 2, 5, 6), thing(3, 3, 9, 9, "plane")))
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "voc"
    assert image.boxes.hbb.tolist() == [[1, 2, 5, 6], [3, 3, 9, 9]]
    assert (image.names, image.id) == (("ship", "plane"), "JPEGImages/a")


def test_voc_lists_say_the_split(folder):
    for name, split in (("a", "train"), ("b", "test")):
        folder.picture(f"JPEGImages/{name}.jpg")
        folder.text(f"Annotations/{name}.xml", xml(thing(1, 2, 5, 6), name=f"{name}.jpg"))
        folder.text(f"ImageSets/Main/{split}.txt", name)
    assert {one.id[-1]: one.split for one in read(folder.path)} == {"a": "train", "b": "test"}


def test_of_diors_two_annotations_the_oriented_one_counts(folder):
    folder.picture("JPEGImages-test/1.jpg")
    corners = {
        "left_top": (4, 1),
        "right_top": (7, 4),
        "right_bottom": (4, 7),
        "left_bottom": (1, 4),
    }
    box = "".join(f"<x_{at}>{x}</x_{at}><y_{at}>{y}</y_{at}>" for at, (x, y) in corners.items())
    turned = f"<object><name>ship</name><robndbox>{box}<angle>0.785</angle></robndbox></object>"
    folder.text("Annotations/Horizontal Bounding Boxes/1.xml", xml(thing(1, 1, 7, 7), name="1.jpg"))
    folder.text("Annotations/Oriented Bounding Boxes/1.xml", xml(turned, name="1.jpg"))
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert image.boxes.quads.tolist() == [[[4, 1], [7, 4], [4, 7], [1, 4]]]
    assert [one.effect for one in found] == ["the oriented are read"]


def test_fair1m_holds_five_points_the_last_being_the_first(folder):
    folder.picture("images/1.tif")
    points = "".join(f"<point>{x},{y}</point>" for x, y in ((4, 1), (7, 4), (4, 7), (1, 4), (4, 1)))
    folder.text(
        "labelXml/1.xml",
        "<annotation><source><filename>1.tif</filename></source><objects><object>"
        "<possibleresult><name>Boeing737</name></possibleresult>"
        f"<points>{points}</points></object></objects></annotation>",
    )
    (image,) = read(folder.path)
    assert image.names == ("Boeing737",)
    assert image.boxes.quads.tolist() == [[[4, 1], [7, 4], [4, 7], [1, 4]]]


def rsvg(folder):
    """Two pictures of two and one expressions, numbered 0, 1 and 2."""
    for name, objects in (("a", 2), ("b", 1)):
        folder.picture(f"JPEGImages/{name}.jpg")
        boxes = [thing(n, n, n + 4, n + 4, said=f"ship {n} of {name}") for n in range(objects)]
        folder.text(f"Annotations/{name}.xml", xml(*boxes, name=f"{name}.jpg"))


def test_dior_rsvg_is_split_by_expression_so_a_picture_may_be_in_two_splits(folder):
    rsvg(folder)
    folder.text("train.txt", "0")
    folder.text("test.txt", "1", "2")
    images = {one.id: one for one in read(folder.path)}
    assert {key: one.split for key, one in images.items()} == {
        "a@train": "train", "a@test": "test", "b": "test",
    }  # fmt: skip
    assert images["a@test"].phrases == ("ship 1 of a",)
    assert images["a@train"].scene == images["a@test"].scene


def test_an_expression_of_no_words_is_named(folder):
    folder.picture("a.jpg")
    folder.text("a.xml", xml(thing(1, 2, 5, 6, said="a ship"), thing(2, 2, 6, 6, said=" ")))
    (image,) = read(folder.path)
    assert image.phrases == ("a ship", None)
    assert image.faults == (("empty caption", "object 2 has a description of no words"),)


def test_an_expression_in_two_lists_is_refused(folder):
    rsvg(folder)
    folder.text("train.txt", "0 1")
    folder.text("test.txt", "1")
    with pytest.raises(AnnotationError, match="1 is in the train list too"):
        read(folder.path)


def test_pictures_without_a_file_are_left_out_and_said(folder):
    folder.picture("a.jpg")
    folder.picture("b.jpg")
    folder.text("a.xml", xml(thing(1, 2, 5, 6)))
    reading = read_sound(folder.path)
    found = reading.findings
    assert len(reading.images) == 1
    assert found[0].what == "no annotation is about 1 pictures: b.jpg"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (xml("<object><name>ship</name></object>"), "lacks bndbox/xmin"),
        (xml(thing("one", 2, 3, 4)), "a.xml: object 1: expected numbers, got 'one 2 3 4'"),
        (xml(thing(1, 2, 5, 6))[:-20], "not valid XML .* Copy it again"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + xml(), "declares a document type"),
        (xml(thing(1, 2, 5, 6), name="../../etc/a.jpg"), "lies outside"),
        (xml(thing(1, 2, 5, 6), name="z.jpg"), "1 of 1 pictures are not in"),
    ],
)
def test_damaged_files_are_refused(folder, text, advice):
    folder.picture("a.jpg")
    folder.text("a.xml", text)
    with pytest.raises(AnnotationError, match=advice):
        read(folder.path)


def test_an_xml_bomb_hidden_in_utf_16_is_not_unfolded(folder):
    folder.picture("a.jpg")
    bomb = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><annotation/>'
    (folder.path / "a.xml").write_bytes(bomb.encode("utf-16"))
    with pytest.raises(AnnotationError, match="declares a document type"):
        read(folder.path)


def test_real_trees_agree_with_the_other_form_of_their_annotation(data_folder):
    (image,) = read(data_folder / "neon_trees" / "OSBS_029.xml")
    (same,) = read(data_folder / "neon_trees" / "OSBS_029.csv")
    assert len(image.boxes) == 61
    assert sorted(image.boxes.hbb.tolist()) == sorted(same.boxes.hbb.tolist())


def test_pictures_of_one_name_are_those_nearest_to_their_files_and_folders_say_the_split(folder):
    for place, labels in (("train/part1", "labelXml"), ("validation", "labelXmls")):
        folder.picture(f"{place}/images/0.tif")
        said = "<description>None</description>"
        points = "".join(f"<point>{x},{y}</point>" for x, y in [(1, 1), (5, 1), (5, 6), (1, 6)])
        thing = (
            f"<object>{said}<possibleresult><name>Boeing737</name></possibleresult>"
            f"<points>{points}</points></object>"
        )
        source = "<source><filename>0.tif</filename></source>"
        content = f"<annotation>{source}<objects>{thing}</objects></annotation>"
        folder.text(f"{place}/{labels}/0.xml", content)
    one, two = read(folder.path)
    assert (one.id, one.split) == ("train/part1/images/0", "train")
    assert (two.id, two.split) == ("validation/images/0", "val")
    assert one.phrases == (None,)  # "None" is no phrase


def test_a_list_of_train_and_val_is_train_where_there_is_neither(folder):
    for name in "ab":
        folder.picture(f"JPEGImages/{name}.jpg")
        folder.text(f"Annotations/{name}.xml", xml(thing(1, 2, 5, 6), name=f"{name}.jpg"))
    folder.text("ImageSets/Main/trainval.txt", "a")
    folder.text("ImageSets/Main/test.txt", "b")
    assert [one.split for one in read(folder.path)] == ["train", "test"]
    folder.text("ImageSets/Main/train.txt", "b")
    (folder.path / "ImageSets/Main/test.txt").unlink()
    assert [one.split for one in read(folder.path)] == [None, "train"]


def test_lists_of_names_are_no_numbers_of_objects(folder):
    folder.picture("00000.jpg")
    folder.text("00000.xml", xml(thing(1, 2, 5, 6, said="the ship"), name="00000.jpg"))
    folder.text("split/test.txt", "00000")
    assert read(folder.path)[0].split is None
    folder.text("split/test.txt", "0")
    assert read(folder.path)[0].split == "test"


def test_a_folder_may_be_named_from_where_one_stands(folder, monkeypatch):
    folder.picture("JPEGImages/a.jpg")
    folder.text("Annotations/a.xml", xml(thing(1, 2, 5, 6)))
    monkeypatch.chdir(folder.path.parent)
    (image,) = read(Path(folder.path.name))
    assert image.path == str(folder.path / "JPEGImages/a.jpg")


def test_rolabelimg_gives_a_middle_a_size_and_an_angle(folder):
    folder.picture("a.jpg", (100, 100))
    box = "<cx>50</cx><cy>40</cy><w>40</w><h>10</h><angle>1.5707963268</angle>"
    thing = f"<object><type>robndbox</type><name>ship</name><robndbox>{box}</robndbox></object>"
    folder.text("a.xml", xml(thing).replace("16<", "100<").replace("12<", "100<"))
    (image,) = read(folder.path)
    assert image.boxes.hbb.round(6).tolist() == [[45, 20, 55, 60]]


def test_one_bad_object_leaves_the_others_and_of_expressions_their_numbers(folder):
    rsvg(folder)
    bad = "<object><name>ship</name><description>no box</description></object>"
    good = thing(1, 1, 5, 5, said="ship 1 of a")
    folder.text("Annotations/a.xml", xml(bad, good, name="a.jpg"))
    folder.text("train.txt", "0")
    folder.text("test.txt", "1", "2")
    reading = read_sound(folder.path)
    phrases = {image.id: image.phrases for image in reading.images}
    assert phrases == {"a@train": (), "a@test": ("ship 1 of a",), "b": ("ship 0 of b",)}
    assert [(finding.kind, finding.count) for finding in reading.findings] == [("bad row", 1)]


def test_an_angle_in_degrees_is_no_angle_in_radians(folder):
    folder.picture("a.jpg")
    box = "<cx>8</cx><cy>6</cy><w>6</w><h>2</h><angle>90</angle>"
    turned = f"<object><name>ship</name><robndbox>{box}</robndbox></object>"
    folder.text("a.xml", xml(turned, thing(1, 1, 5, 5)))
    reading = read_sound(folder.path)
    assert [len(image.names) for image in reading.images] == [1]
    assert "90, where radians stand" in reading.findings[0].what


def test_words_are_read_in_the_encoding_that_a_file_declares(folder):
    folder.picture("a.jpg")
    declared = '<?xml version="1.0" encoding="gb2312"?>' + xml(thing(1, 1, 5, 5, "船"))
    (folder.path / "a.xml").write_bytes(declared.encode("gb2312"))
    assert read(folder.path)[0].names == ("船",)
    (folder.path / "a.xml").write_bytes(declared.encode("utf-16-le"))
    with pytest.raises(AnnotationError):
        read(folder.path)
