import os
from contextlib import suppress

import pytest

from swath.annotations import large_json as streaming
from swath.annotations import tables as listings
from swath.annotations.finding_pictures import pictures_below
from swath.annotations.readers import read, recognise
from swath.annotations.tables import load, read_text
from swath.errors import AnnotationError


def test_large_json_is_read_row_by_row_and_one_huge_piece_is_refused(folder, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED", 1000)
    monkeypatch.setattr(streaming, "LARGEST_PIECE", 1000)
    monkeypatch.setattr(streaming, "_CHUNK", 64)
    folder.picture("a.png")
    rows = [f'{{"image": "a.png", "caption": "ship {number}"}}' for number in range(100)]
    folder.text("rows.json", "[", ",\n".join(rows), "]")
    assert len(read(folder.path)[0].captions) == 100
    folder.text("rows.json", '[{"image": "a.png", "caption": "' + "ship " * 400 + '"}]')
    with pytest.raises(AnnotationError, match=r"in one piece .*write it as JSON Lines"):
        read(folder.path)


def test_xml_has_a_limit(folder, monkeypatch):
    monkeypatch.setattr(listings, "LARGEST_XML", 10)
    folder.text("a.xml", "<annotation></annotation>")
    with pytest.raises(AnnotationError, match="too large for annotations"):
        recognise(folder.path)


def test_a_link_back_to_a_folder_above_is_not_followed_and_others_are(folder):
    folder.picture("port/a.png")
    folder.picture("elsewhere/b.png")
    (folder.path / "port" / "loop").symlink_to(folder.path, target_is_directory=True)
    (folder.path / "port" / "more").symlink_to(folder.path / "elsewhere")
    assert [path.name for path in pictures_below(folder.path / "port")] == ["a.png", "b.png"]


def test_links_in_a_circle_end(folder):
    folder.picture("a/a.png")
    (folder.path / "b").mkdir()
    (folder.path / "a" / "to_b").symlink_to(folder.path / "b")
    (folder.path / "b" / "to_a").symlink_to(folder.path / "a")
    assert {path.name for path in pictures_below(folder.path)} == {"a.png"}
    assert len(pictures_below(folder.path)) <= 3


def test_names_in_other_alphabets_are_names(folder):
    folder.picture("港口/船 1.png")
    folder.json("подписи.json", [{"image": "港口/船 1.png", "captions": ["船"]}])
    assert [image.id for image in read(folder.path)] == ["港口/船 1"]


def test_a_file_that_changes_is_read_anew(folder):
    folder.picture("a.png")
    for words in ("one", "another"):
        folder.json("a.json", [{"image": "a.png", "captions": [words]}])
        os.utime(folder.path / "a.json", ns=(len(words), len(words)))
        assert read(folder.path)[0].captions == (words,)


COUNTS = {  # folder: reader, images, boxes, captions, questions
    "aerial_cars": ("yolo", 41, 841, 0, 0),
    "aerial_cars_416": ("yolo", 176, 4841, 0, 0),
    "dota_samples": ("dota", 2, 68, 0, 6),
    "dsifn_cd_samples": ("masks", 5, 43, 0, 5),
    "geopixeld_sample": ("grounded", 1, 4, 1, 0),
    "geotiffs/solaris": ("vectors", 1, 43, 0, 0),
    "levir_cd_samples": ("masks", 9, 96, 0, 9),
    "neon_trees": ("voc", 2, 340, 0, 0),
    "rsicd_aid": ("captions", 3300, 0, 16500, 3300),
    "rsscn7": ("folders", 70, 0, 0, 0),
    "ucmerced_augmented": ("folders", 200, 0, 0, 0),
}
ABSENT = {  # folder: what says why it cannot be read
    "captions_text_only": r"2713 of 2713 pictures are not in",
    "rsivqa_text_only": r"3272 of 3272 pictures are not in",
    "teochat_demo": r"prompts.jsonl:1: a question without an answer",
    "drone_brighton_beach": r"3 images in all, which is none of the formats",
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_annotated_folder_of_real_data_is_read(data_folder, name):
    images = read(data_folder / name)
    assert COUNTS[name] == (
        recognise(data_folder / name).name,
        len(images),
        sum(len(image.boxes) for image in images),
        sum(len(image.captions) for image in images),
        sum(len(image.questions) for image in images),
    )


@pytest.mark.parametrize("name", ABSENT)
def test_folders_that_lack_pictures_or_answers_say_so(data_folder, name):
    with pytest.raises(AnnotationError, match=ABSENT[name]):
        read(data_folder / name)


def test_text_of_another_encoding_is_refused_with_what_it_would_be(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_bytes("池塘\n漁船\n".encode("cp950"))
    with pytest.raises(AnnotationError, match=r"begins with '池塘' in Big5.*; save it as UTF-8"):
        read_text(file)
    file.write_bytes("飞机\n".encode("gbk"))
    with pytest.raises(AnnotationError, match="'飞机' in GBK"):
        read_text(file)
    file.write_text("ship\nplane\n", encoding="utf-16")
    assert read_text(file).split() == ["ship", "plane"]


def test_json_of_another_encoding_says_which_it_may_be(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes('{"飞机": 1}'.encode("gbk"))
    with pytest.raises(AnnotationError, match=r"not UTF-8 .*飞机.* in GBK.*save it as UTF-8"):
        load(file)


@pytest.mark.parametrize("name", ["labels.json", "notes.txt", "a.csv", "a.xml", "a.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_among_the_files_is_no_file(folder, name, kind):
    folder.picture("sea/a.png", (8, 8))
    folder.picture("land/b.png", (8, 8))
    if kind == "pipe":
        os.mkfifo(folder.path / name)
    else:
        (folder.path / name).symlink_to("/dev/zero")
    with suppress(AnnotationError):  # some are looked at, and refused; nothing waits for them
        assert len(read(folder.path)) == 2
