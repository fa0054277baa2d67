from collections import Counter

import pytest

from swath.annotations.readers import READERS, check_classes, read, read_sound, recognise
from swath.errors import AnnotationError, RequestError


def test_a_caption_file_is_preferred_to_the_class_folders_it_lies_above(folder):
    folder.picture("images/Port/a.png")
    folder.json("captions.json", [{"image": "images/Port/a.png", "captions": ["a port"]}])
    assert recognise(folder.path).name == "captions"
    assert recognise(folder.path / "images").name == "folders"


def test_sizes_are_those_of_the_files(folder):
    folder.picture("Port/a.png", (30, 20))
    folder.picture("River/b.jpg", (8, 16))
    assert [image.size_wh for image in read(folder.path)] == [(30, 20), (8, 16)]


def test_a_folder_without_images_says_what_was_found(folder):
    folder.text("notes/a.txt", "nothing")
    with pytest.raises(AnnotationError, match=r"holds no images, found notes/.*folder you meant"):
        read(folder.path)


def test_an_empty_folder_says_so(folder):
    with pytest.raises(AnnotationError, match="holds no images, found an empty folder"):
        read(folder.path)


def test_a_path_that_is_not_there_is_named(folder):
    with pytest.raises(AnnotationError, match=r"absent: no such folder or file; check the path"):
        read(folder.path / "absent")
    with pytest.raises(AnnotationError, match="check the path"):
        read(folder.path / "absent", format="folders")


def test_loose_pictures_are_answered_with_the_formats_there_are(folder):
    folder.picture("a.png")
    with pytest.raises(
        AnnotationError, match=r"found 1 .png.*none of the formats .*captions, coco, .*folders"
    ):
        read(folder.path)


def test_a_file_of_another_kind_is_answered_with_the_formats_there_are(folder):
    path = folder.json("a.json", {"what": "else"})
    with pytest.raises(AnnotationError, match=r"file 'a.json', which is none of the formats"):
        read(path)


def test_a_format_that_does_not_fit_says_what_it_expects(folder):
    folder.picture("Port/a.png")
    with pytest.raises(AnnotationError, match="reader 'coco' understands, which expects a COCO"):
        read(folder.path, format="coco")


def test_an_unknown_format_offers_the_nearest(folder):
    with pytest.raises(RequestError, match="did you mean captions"):
        read(folder.path, format="caption")


def test_pictures_that_do_not_open_are_refused_together_or_left_out(folder):
    folder.picture("Port/a.png")
    folder.text("Port/b.png", "not a picture")
    (folder.path / "Port/c.jpg").touch()
    with pytest.raises(AnnotationError, match=r"2 of 3 images cannot be opened; .*b.png.*c.jpg"):
        read(folder.path)
    assert [image.id for image in read(folder.path, unreadable="drop")] == ["Port/a"]


def test_a_single_class_reads_but_is_nothing_to_classify(folder):
    folder.picture("Port/a.png")
    images = read(folder.path)
    assert len(images) == 1
    with pytest.raises(AnnotationError, match=r"one class only \('Port'\).*needs at least two"):
        check_classes(images)


def test_images_without_classes_are_nothing_to_classify(folder):
    folder.picture("a.png")
    folder.json("captions.json", [{"image": "a.png", "captions": ["a port"]}])
    with pytest.raises(AnnotationError, match="none of 1 images has a scene class; put each"):
        check_classes(read(folder.path))


def test_a_plugin_adds_a_format(folder, monkeypatch):
    from swath.annotations.parsing import Row
    from swath.annotations.readers import Reader

    path = folder.picture("a.png", (9, 7))
    monkeypatch.setattr(READERS, "_rows", dict(READERS._rows))
    rows = [Row("here", ["a.png"], label="Port")]
    READERS.add("single", Reader("single", lambda p: p.suffix == ".png", lambda _: rows, "a PNG"))
    (image,) = read(path)
    assert (image.id, image.size_wh, image.label) == ("a", (9, 7), "Port")


def test_real_scenes_read_from_the_set_and_from_its_class_folders(data_folder):
    for folder, captions in (("rsicd_aid", 5), ("rsicd_aid/images", 0)):
        images = read(data_folder / folder)
        assert Counter(image.split for image in images) == {"train": 2400, "val": 450, "test": 450}
        assert len({image.label for image in images}) == 30
        assert {len(image.captions) for image in images} == {captions}


def test_files_of_another_format_in_the_folder_are_named(folder):
    folder.picture("a.png")
    folder.json("captions.json", [{"image": "a.png", "captions": ["a port"]}])
    folder.text("labels.csv", "image,label", "a.png,port")
    folder.json("card.json", {"license": "MIT"})
    reading = read_sound(folder.path)
    found = reading.findings
    assert [(one.kind, one.what, one.effect) for one in found] == [
        ("file not read", "labels.csv: 'captions' does not read it",
         "left out; it may be a source of its own"),
    ]  # fmt: skip


def test_files_of_three_splits_are_all_read(folder):
    for split in ("train", "val", "test"):
        folder.picture(f"images/{split}.png")
        folder.json(f"{split}.json", [{"image": f"{split}.png", "captions": ["a port"]}])
    reading = read_sound(folder.path)
    found = reading.findings
    assert {one.split for one in reading.images} == {"train", "val", "test"}
    assert not found


def test_pictures_that_no_annotation_is_about_are_counted_whatever_the_format(folder):
    for name in ("port/1.png", "beach/1.png", "alone.png"):
        folder.picture(name)
    reading = read_sound(folder.path)
    found = reading.findings
    assert len(reading.images) == 2  # class folders
    assert [(one.kind, one.what) for one in found] == [
        ("not annotated", "no annotation is about 1 pictures: alone.png")
    ]
    folder.text("rows.csv", "image,caption", "alone.png,A lonely picture.")
    alone, reading = read_sound(folder.path / "rows.csv"), read_sound(folder.path)
    assert len(alone.images) == len(reading.images) == 1
    assert not alone.findings  # a file alone was asked for
    assert [finding.count for finding in reading.findings] == [2]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("images\\\\Capture_d%C3%A9cran%201.png", "images/Capture_d\u00e9cran 1.png"),
        ("for\u00eat.png", "images/fore\u0302t.png"),
        (" a.png ", "a.png"),
        ("images/a", "images/a.png"),
    ],
)
def test_names_are_found_however_they_are_written(folder, name, file):
    path = folder.picture(file)
    folder.json("captions.json", [{"image": name, "captions": ["a port"]}])
    reading = read_sound(folder.path)
    assert (reading.images[0].path, reading.findings) == (str(path), [])


def test_a_name_in_other_case_is_found_last_and_said(folder):
    folder.picture("images/A 1.PNG")
    folder.json("captions.json", [{"image": "a_1.png", "captions": ["a port"]}])
    reading = read_sound(folder.path)
    assert reading.images[0].id == "images/A 1"
    (finding,) = reading.findings
    assert finding.what.endswith("case, blanks or marks: 'a_1.png' is A 1.PNG")
    folder.picture("a_1.png")
    assert read(folder.path)[0].id == "a_1"


@pytest.mark.parametrize("name", ["a" * 5000, "a%00.png", "\ud800.png", "../" * 300 + "a.png"])
def test_a_name_that_no_file_can_have_is_said_in_a_line(folder, name):
    folder.picture("b.png")
    folder.json("captions.json", [{"image": name, "captions": ["a port"]}])
    with pytest.raises(AnnotationError) as error:
        read(folder.path / "captions.json")
    assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("file", "content", "advice"),
    [
        ("a.json", {"images": [], "annotations": []}, r"a.json looks like COCO's, .*'categories'"),
        ("rows.json", [{"photo": "a.png", "words": "x"}], r"entry 0 has photo, words, which do no"),
        ("labels/a.txt", "ship 0.5 0.5 0.1 0.1", r"labels looks like .* no 'images' beside it"),
        ("a.xml", "<rss></rss>", r"a.xml is XML of <rss>, and boxes stand in <annotation>"),
    ],
)
def test_a_near_miss_is_explained(folder, file, content, advice):
    folder.picture("a.png")
    write = folder.text if isinstance(content, str) else folder.json
    write(file, content)
    with pytest.raises(AnnotationError, match=rf"none of the formats .*{advice}"):
        read(folder.path)


def test_the_line_that_keeps_a_folder_from_being_yolos_is_named(folder):
    folder.picture("images/1.png")
    folder.text("labels/1.txt", "ship 0.5 0.5 0.1 0.1")
    with pytest.raises(AnnotationError, match=r"YOLO's, but .*1.txt:1: class number 'ship'"):
        read(folder.path)
