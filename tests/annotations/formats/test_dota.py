import pytest

from swath.annotations.lint import lint
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError

SHIP = "10 10 30 10 30 20 10 20 ship 0"


def test_corners_and_classes_are_read_after_the_header(folder):
    folder.picture("images/P1.png", (64, 48))
    folder.text("labelTxt/P1.txt", "imagesource:GoogleEarth", "gsd:null", SHIP, SHIP[:-1] + "1")
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "dota"
    assert (image.id, image.names) == ("images/P1", ("ship", "ship"))
    assert (image.sensor, image.gsd_m) == ("GoogleEarth", None)
    assert image.boxes.quads[0].tolist() == [[10, 10], [30, 10], [30, 20], [10, 20]]


def test_header_and_difficulty_may_be_missing_and_splits_are_folders(folder):
    folder.picture("train/images/P1.png")
    folder.text("train/labelTxt/P1.txt", SHIP.rsplit(" ", 1)[0])
    folder.picture("val/images/P2.png")
    folder.text("val/labelTxt/P2.txt", "imagesource:GoogleEarth", "gsd:0.3")
    one, two = read(folder.path)
    assert (one.split, one.names, two.split, two.names) == ("train", ("ship",), "val", ())
    assert (one.gsd_m, two.gsd_m, one.sensor) == (None, 0.3, "")


def test_a_wrong_line_is_named(folder):
    folder.picture("images/P1.png")
    folder.text("labelTxt/P1.txt", "gsd:1", "1 2 3 4 ship")
    with pytest.raises(AnnotationError, match=r"P1.txt:2: .* got 5 fields; is this DOTA text"):
        read(folder.path)
    folder.text("labelTxt/P1.txt", SHIP.replace("30", "far"))
    with pytest.raises(AnnotationError, match=r"P1.txt:1: expected numbers"):
        read(folder.path)


def test_real_samples_keep_corners_outside_and_take_the_questions_beside_them(data_folder):
    images = {image.id: image for image in read(data_folder / "dota_samples")}
    crop, whole = images["images/P0004__1__0___0"], images["images/P1888"]
    assert (len(crop.boxes), len(whole.boxes)) == (4, 64)
    assert whole.size_wh == (712, 557)
    assert crop.boxes.hbb[2].tolist() == [526, 571, 623, 599]  # of a picture of 285 x 294
    assert "3 of 4 boxes reach up to 424 px beyond" in lint([crop])[0].what
    assert (len(whole.questions), crop.questions) == (6, ())
    assert (whole.questions[1].question, whole.questions[1].answer) == (
        "how many large vehicles are there in this picture?",
        "50",
    )


@pytest.mark.parametrize(
    ("labels", "pictures"),
    [
        ("labelTxt-v1.0/labelTxt", "images/images"),
        ("labelTxt-v1.5/DOTA-v1.5_train", "images"),
        ("labelTxt-v2.0", "images"),
        ("annfiles", "images"),
    ],
)
def test_folders_as_dota_unpacks_and_mmrotate_cuts_are_read(folder, labels, pictures):
    folder.picture(f"train/{pictures}/P1.png", (64, 48))
    folder.text(f"train/{labels}/P1.txt", "acquisition dates:2016-05-04", "gsd:0.1", SHIP)
    if "/" in labels:
        folder.text(f"train/{labels}_hbb/P1.txt", SHIP, SHIP)
    (image,) = read(folder.path)
    assert (recognise(folder.path).name, image.split, image.names) == ("dota", "train", ("ship",))


def test_of_two_versions_the_newer_counts_and_the_other_is_said(folder):
    folder.picture("images/P1.png", (64, 48))
    folder.text("labelTxt-v1.0/P1.txt", SHIP)
    folder.text("labelTxt-v1.5/P1.txt", SHIP, SHIP[:-1] + "1")
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert len(image.boxes) == 2
    assert "labelTxt-v1.0 and labelTxt-v1.5" in found[0].what
    assert (found[-1].what, found[-1].effect) == (
        "1 objects are marked difficult",
        "kept like the others",
    )
