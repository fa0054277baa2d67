from collections import Counter
from itertools import pairwise

import pytest

from swath.annotations.lint import lint
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def one_car(folder, line="0 0.5 0.25 0.2 0.1", classes=("car", "bus")):
    folder.picture("images/a.png", (100, 40))
    folder.text("labels/a.txt", line)
    if classes:
        folder.text("classes.txt", *classes)
    return folder.path


def test_relative_middle_and_size_become_corners_in_pixels(folder):
    (image,) = read(one_car(folder))
    assert recognise(folder.path).name == "yolo"
    assert (image.id, image.names, image.size_wh) == ("images/a", ("car",), (100, 40))
    # Middle (50, 10), 20 wide and 4 high.
    assert image.boxes.quads.round(6).tolist() == [[[40, 8], [60, 8], [60, 12], [40, 12]]]


def test_eight_coordinates_are_the_corners_of_an_oriented_box(folder):
    (image,) = read(one_car(folder, "1 0.1 0.5 0.5 0.1 0.9 0.5 0.5 0.9"))
    assert image.names == ("bus",)
    assert image.boxes.quads.round(6).tolist() == [[[10, 20], [50, 4], [90, 20], [50, 36]]]


def test_numbers_without_names_are_a_finding_as_questions_would_speak_them(folder):
    findings = read_sound(one_car(folder, classes=())).findings
    (unnamed,) = [finding for finding in findings if finding.kind == "class without a name"]
    assert unnamed.count == 1 and "annotations.classes" in unnamed.action
    folder.text("classes.txt", "car")
    assert "class without a name" not in {each.kind for each in read_sound(folder.path).findings}


def test_a_picture_without_labels_and_one_with_an_empty_file_have_no_objects(folder):
    one_car(folder)
    folder.picture("images/b.png")
    folder.picture("images/c.png")
    folder.text("labels/c.txt", "")
    assert [len(image.boxes) for image in read(folder.path)] == [1, 0, 0]


def test_splits_and_names_come_from_a_roboflow_export(folder):
    for split in ("train", "valid", "test"):
        folder.picture(f"{split}/images/{split}.png")
        folder.text(f"{split}/labels/{split}.txt", "1 0.5 0.5 0.1 0.1")
    folder.text("data.yaml", "train: ../train/images", "nc: 2", "names: ['car', 'bus']")
    images = read(folder.path)
    assert {image.id: image.split for image in images} == {
        "train/images/train": "train",
        "valid/images/valid": "val",
        "test/images/test": "test",
    }
    assert {image.names for image in images} == {("bus",)}


def test_split_folders_may_lie_inside_images_and_labels(folder):
    folder.picture("images/val/a.png")
    folder.text("labels/val/a.txt", "0 0.5 0.5 0.1 0.1")
    folder.text("data.yaml", "names:", "  0: car")
    (image,) = read(folder.path)
    assert (image.split, image.names) == ("val", ("car",))


def test_without_a_list_classes_are_called_by_their_number(folder):
    (image,) = read(one_car(folder, "3 0.5 0.5 0.1 0.1", classes=()))
    assert image.names == ("class 3",)


def test_labelimg_keeps_its_list_of_classes_among_the_labels(folder):
    one_car(folder, classes=())
    folder.text("labels/classes.txt", "car")
    (image,) = read(folder.path)
    assert image.names == ("car",)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a.txt:1: class number '2' .* which names 2; .*add the class to"),
        ("0 50 20 10 10", r"a.txt:1: coordinates far from 0 to 1.*were pixels written instead"),
        ("0 0.5 0.5 0.1 wide", r"a.txt:1: expected numbers, got .*correct the line"),
        ("0 0.5 nan 0.1 0.1", r"a.txt:1: expected numbers"),
    ],
)
def test_a_wrong_line_is_named(folder, line, advice):
    with pytest.raises(AnnotationError, match=advice):
        read(one_car(folder, line))


def test_a_line_of_another_length_is_named(folder):
    one_car(folder)
    folder.text("labels/a.txt", "0 0.5 0.5 0.1 0.1", "", "0 0.5 0.5 0.1 0.1 0.9")
    with pytest.raises(AnnotationError, match=r"a.txt:3: .* got 6 fields; is this YOLO text"):
        read(folder.path)


def test_labels_without_a_picture_are_refused(folder):
    one_car(folder)
    folder.text("labels/lost.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(AnnotationError, match=r"1 of 2 label files have no picture.*lost.txt"):
        read(folder.path)


def test_two_pictures_that_share_a_label_file_are_refused(folder):
    one_car(folder)
    folder.picture("images/a.jpg")
    with pytest.raises(AnnotationError, match=r"shares its labels with a.jpg; remove or rename"):
        read(folder.path)


def test_a_picture_that_does_not_open_is_left_to_the_policy(folder):
    one_car(folder)
    folder.picture("images/b.png")
    folder.text("images/a.png", "no picture")
    with pytest.raises(AnnotationError, match="1 of 2 images cannot be opened"):
        read(folder.path)
    assert [image.id for image in read(folder.path, unreadable="drop")] == ["images/b"]


def test_boxes_that_stick_out_are_kept_for_lint_to_find(folder):
    images = read(one_car(folder, "0 0.95 0.5 0.2 0.2"))
    assert images[0].boxes.hbb.round(6).tolist() == [[85, 16, 105, 24]]
    assert any("5 px beyond the image" in found.what for found in lint(images))


def test_real_cars_are_counted_as_their_page_says(data_folder):
    images = read(data_folder / "aerial_cars")
    counts = Counter(name for image in images for name in image.names)
    assert len(images) == 41
    assert counts == {"car": 754, "minibus": 42, "bus": 41, "truck": 4}
    images = read(data_folder / "aerial_cars_416")
    assert Counter(image.split for image in images) == {"train": 142, "val": 23, "test": 11}
    counts = Counter(name for image in images for name in image.names)
    assert counts == {"class 0": 4530, "class 1": 14, "class 2": 160, "class 3": 137}


def test_an_outline_becomes_the_smallest_rectangle_around_it(folder):
    folder.picture("images/a.png", (100, 50))
    folder.text("labels/a.txt", "0 0.1 0.1 0.3 0.1 0.3 0.3 0.2 0.2 0.1 0.3")
    (image,) = read(folder.path)
    assert image.boxes.hbb.round(6).tolist() == [[10, 5, 30, 15]]


@pytest.mark.parametrize(
    ("name", "lines"), [("DOTAv1.yaml", ["names: {0: car}"]), ("obj.names", ["car"])]
)
def test_a_list_of_classes_may_be_called_after_the_set(folder, name, lines):
    folder.picture("images/train/a.png")
    folder.text("labels/train/a.txt", "0 0.5 0.5 0.2 0.1")
    folder.text("mkdocs.yaml", "site: about")
    folder.text(name, *lines)
    assert read(folder.path)[0].names == ("car",)


def test_classes_in_other_encodings_are_read_where_they_say_so_else_refused(folder):
    folder.picture("images/1.png")
    folder.text("labels/1.txt", "1 0.5 0.5 0.2 0.1")
    for encoding in ("utf-16", "utf-8-sig"):
        (folder.path / "classes.txt").write_bytes("船\n飞机\n".encode(encoding))
        assert read(folder.path)[0].names == ("飞机",)
    for encoding in ("gbk", "utf-16-le"):
        (folder.path / "classes.txt").write_bytes("船\n飞机\n".encode(encoding))
        with pytest.raises(AnnotationError, match=r"classes.txt: .* UTF-8.*save it"):
            read(folder.path)


def test_what_a_mac_leaves_beside_labels_is_no_label(folder):
    folder.picture("images/1.png")
    folder.text("labels/1.txt", "0 0.5 0.5 0.2 0.1")
    (folder.path / "labels/._1.txt").write_bytes(b"\0\5\x16\7")
    (folder.path / "images/._1.png").write_bytes(b"\0\5\x16\7")
    assert [image.id for image in read(folder.path)] == ["images/1"]


def test_class_numbers_may_be_written_as_an_array_writes_them(folder):
    (image,) = read(one_car(folder, "1.0000e+00 0.5 0.5 0.2 0.1"))
    assert image.names == ("bus",)
    with pytest.raises(AnnotationError, match=r"look like YOLO's, but .*a.txt:1: .* '1.5' is not"):
        read(one_car(folder, "1.5 0.5 0.5 0.2 0.1"))


def test_a_list_of_classes_that_unfolds_is_refused(folder):
    one_car(folder, classes=())
    lines = ["a: &a [x, x]", *(f"{b}: &{b} [*{a}, *{a}]" for a, b in pairwise("abcdefgh"))]
    folder.text("data.yaml", *lines, "names: *h")
    with pytest.raises(AnnotationError, match=r"data.yaml: repeats '\*a'; write it out"):
        read(folder.path)


def test_one_bad_line_leaves_the_others(folder):
    one_car(folder, "0 0.5 0.5 0.2")
    folder.picture("images/b.png", (100, 40))
    folder.text("labels/b.txt", "1 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1 0.1")
    reading = read_sound(folder.path)
    assert [image.names for image in reading.images] == [(), ("bus", "car")]
    assert [image.listed for image in reading.images] == [(), ("bus", "car")]
    assert [finding.kind for finding in reading.findings] == ["bad row"]
    assert "a.txt:1: expected a class number" in reading.findings[0].what


def test_lists_of_another_machine_count_by_name_and_lists_in_vain_are_said(folder):
    one_car(folder)
    folder.picture("images/b.png")
    folder.text("splits/train.txt", "data/obj/a.png")
    folder.text("splits/test.txt", "b.png", "c.png")
    reading = read_sound(folder.path)
    assert {image.id: image.split for image in reading.images} == {
        "images/a": "train", "images/b": "test",
    }  # fmt: skip
    said = {finding.where[-9:]: (finding.what, finding.effect) for finding in reading.findings}
    assert said == {
        "train.txt": ("its folders are not those of the set", "names alone count"),
        "/test.txt": ("1 of its 2 lines name no picture of the set: c.png", "passed over"),
    }


def test_lists_beside_the_pictures_split_them_where_they_name_picture_files(folder):
    for name in ("a", "b"):
        folder.picture(f"images/{name}.png")
        folder.text(f"labels/{name}.txt", "0 0.5 0.5 0.2 0.2")
    folder.text("train.txt", "./images/a.png")
    folder.text("test.txt", "/home/them/data/b.png")
    reading = read_sound(folder.path)
    assert [image.split for image in reading.images] == ["train", "test"]
    folder.text("train.txt", "a 0.5")
    folder.text("test.txt", "b 0.7")
    assert [image.split for image in read_sound(folder.path).images] == [None, None]
