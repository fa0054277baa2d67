import pytest

from swath.annotations.readers import read, read_sound
from swath.errors import AnnotationError


def labels(path):
    return {image.id: image.label for image in read(path)}


def test_the_folder_is_the_class(folder):
    folder.picture("Port/a.png")
    folder.picture("Bare Land/b.jpg")
    folder.picture("Bare Land/c.tif")
    folder.text("Port/readme.txt", "ignored")
    assert labels(folder.path) == {
        "Port/a": "Port",
        "Bare Land/b": "Bare Land",
        "Bare Land/c": "Bare Land",
    }


def test_class_folders_may_lie_in_a_folder_named_images(folder):
    folder.picture("images/Port/a.png")
    folder.picture("images/River/b.png")
    assert labels(folder.path) == {"images/Port/a": "Port", "images/River/b": "River"}


def test_class_folders_may_lie_in_split_folders(folder):
    for split in ("train", "valid", "test"):
        folder.picture(f"{split}/Port/{split}.png")
    images = read(folder.path)
    assert {image.split: image.label for image in images} == dict.fromkeys(
        ("train", "val", "test"), "Port"
    )


def test_a_single_folder_around_the_classes_is_looked_into(folder):
    folder.picture("AID/AID/Port/a.png")
    folder.picture("AID/AID/River/b.png")
    assert set(labels(folder.path).values()) == {"Port", "River"}


def test_pictures_deeper_in_a_class_folder_belong_to_the_class(folder):
    folder.picture("Port/Hamburg/a.png")
    folder.picture("River/b.png")
    assert labels(folder.path)["Port/Hamburg/a"] == "Port"


def test_hidden_files_and_archivers_leftovers_are_no_pictures(folder):
    folder.picture("Port/a.png")
    folder.picture("River/b.png")
    folder.picture("__MACOSX/Port/a.png")
    folder.text("Port/._a.png", "resource fork")
    assert set(labels(folder.path)) == {"Port/a", "River/b"}


@pytest.mark.parametrize("start", ["", "images"])
def test_split_lists_are_honoured_from_the_set_and_from_its_images(folder, start):
    for name in ("a", "b", "c"):
        folder.picture(f"images/Port/{name}.png")
    folder.text("splits/train.txt", "images/Port/a.png")
    folder.text("splits/test.txt", "images/Port/b")
    splits = {image.id[-1]: image.split for image in read(folder.path / start, format="folders")}
    assert splits == {"a": "train", "b": "test", "c": None}


def test_a_picture_in_two_split_lists_is_refused(folder):
    folder.picture("Port/a.png")
    folder.text("splits/train.txt", "Port/a.png")
    folder.text("splits/test.txt", "Port/a.png")
    with pytest.raises(AnnotationError, match="in the test list too; leave each picture in one"):
        read(folder.path)


def test_two_pictures_that_differ_in_suffix_only_are_refused(folder):
    folder.picture("Port/a.png")
    folder.picture("Port/a.jpg")
    with pytest.raises(AnnotationError, match=r"two images of the id 'Port/a'.*remove or rename"):
        read(folder.path)


def test_folders_of_a_detection_or_change_set_are_not_taken_for_classes(folder):
    folder.picture("train/images/a.png")
    folder.picture("train/labels/b.png")
    with pytest.raises(AnnotationError, match="none of the formats"):
        read(folder.path)


def test_a_class_may_be_called_as_the_folders_of_other_sets_are(folder):
    folder.picture("label/a.png")
    folder.picture("harbour/b.png")
    assert labels(folder.path) == {"label/a": "label", "harbour/b": "harbour"}


def test_text_beside_pictures_is_said_to_be_unread(folder):
    """YOLO's boxes, or captions, beside the pictures of classes."""
    for name in ("sea/1", "sea/2", "land/3"):
        folder.picture(f"{name}.png", (8, 8))
        (folder.path / f"{name}.txt").write_text("0 .5 .5 .2 .2")
    (unread,) = [note for note in read_sound(folder.path).findings if note.kind == "file not read"]
    assert unread.count == 3
