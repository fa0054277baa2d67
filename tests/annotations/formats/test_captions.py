import pytest

from swath.annotations.readers import read, read_sound
from swath.errors import AnnotationError


def karpathy(*rows):
    return {
        "images": [
            {"filename": name, "split": split, "sentences": [{"raw": raw} for raw in sentences]}
            for name, split, sentences in rows
        ]
    }


def test_karpathys_file_gives_captions_and_splits(folder):
    folder.picture("imgs/1.png")
    folder.picture("imgs/2.png")
    folder.json(
        "dataset.json", karpathy(("1.png", "train", ["a port", "ships"]), ("2.png", "val", ["."]))
    )
    one, two = read(folder.path)
    assert (one.id, one.captions, one.split, one.label) == (
        "imgs/1", ("a port", "ships"), "train", None,
    )  # fmt: skip
    assert (two.captions, two.split) == ((".",), "val")


def test_a_sentence_without_raw_is_joined_from_its_tokens(folder):
    folder.picture("1.png")
    row = {"filename": "1.png", "split": "restval", "sentences": [{"tokens": ["a", "port"]}]}
    folder.json("dataset.json", {"images": [row]})
    (image,) = read(folder.path)
    assert (image.captions, image.split) == (("a port",), "train")


def test_a_list_of_images_gives_captions_class_and_split(folder):
    folder.picture("images/Port/a.png")
    row = {"image": "images/Port/a.png", "scene": "Port", "split": "test", "captions": ["ships"]}
    path = folder.json("captions.json", [row])
    for start in (folder.path, path):
        (image,) = read(start)
        assert (image.id, image.label, image.split, image.captions) == (
            "images/Port/a", "Port", "test", ("ships",),
        )  # fmt: skip


@pytest.mark.parametrize("place", ["a.png", "images/a.png", "deep/down/a.png"])
def test_a_picture_is_found_beside_the_file_in_images_or_by_its_unique_name(folder, place):
    path = folder.picture(place)
    folder.json("captions.json", [{"filename": "a.png", "captions": ["ships"]}])
    assert read(folder.path)[0].path == str(path)


def test_a_name_that_fits_two_pictures_is_refused(folder):
    folder.picture("x/a.png")
    folder.picture("y/a.png")
    folder.json("captions.json", [{"filename": "a.png", "captions": ["ships"]}])
    with pytest.raises(AnnotationError, match=r"x/a.png or .*y/a.png; keep one of them"):
        read(folder.path)


def test_missing_pictures_are_counted_and_the_first_named(folder):
    folder.picture("0.png")
    rows = [{"filename": f"{number}.png", "captions": ["ships"]} for number in range(6)]
    folder.json("captions.json", rows)
    with pytest.raises(
        AnnotationError, match=r"5 of 6 pictures .*: 1.png, 2.png, 3.png and 2 more; put them"
    ):
        read(folder.path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "images/../../../x.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder, name):
    folder.json("set/captions.json", [{"image": name, "captions": ["ships"]}])
    with pytest.raises(AnnotationError, match=r"lies outside .*set; put the pictures beside"):
        read(folder.path / "set" / "captions.json")


def test_an_absolute_name_inside_the_folder_is_found(folder):
    path = folder.picture("a.png")
    folder.json("captions.json", [{"image": str(path), "captions": ["ships"]}])
    assert read(folder.path)[0].id == "a"


@pytest.mark.parametrize("name", [None, 7, "", "a\0.png"])
def test_an_entry_without_a_file_name_is_refused(folder, name):
    folder.json("captions.json", [{"image": name, "captions": ["ships"]}])
    with pytest.raises(AnnotationError, match="expected a picture's file name"):
        read(folder.path / "captions.json")


def test_an_image_listed_twice_is_refused(folder):
    folder.picture("a.png")
    folder.json("captions.json", [{"image": "a.png", "captions": ["ships"]}] * 2)
    with pytest.raises(AnnotationError, match=r"two images of the id 'a'.*listed once"):
        read(folder.path)


def test_json_cut_short_is_said_to_be(folder):
    folder.picture("Port/a.png")
    folder.text("captions.json", '[{"image": "a.png", "capt')
    with pytest.raises(AnnotationError, match=r"captions.json: not valid JSON .*cut short\?"):
        read(folder.path)


def test_an_unknown_split_is_refused_with_those_there_are(folder):
    folder.picture("a.png")
    folder.json("captions.json", [{"image": "a.png", "split": "trian", "captions": ["ships"]}])
    with pytest.raises(AnnotationError, match="entry 0: unknown split 'trian'; write one of train"):
        read(folder.path)


@pytest.mark.parametrize("captions", ["ships", [3], None])
def test_captions_that_are_no_list_of_text_are_refused(folder, captions):
    folder.picture("a.png")
    folder.json("captions.json", [{"image": "a.png", "captions": captions}])
    with pytest.raises(AnnotationError, match="entry 0: expected a"):
        read(folder.path)


def test_levir_cc_shows_two_dates_and_says_whether_anything_changed(folder):
    for side in "AB":
        folder.picture(f"images/test/{side}/1.png")
        folder.picture(f"images/train/{side}/1.png")
    row = {"filename": "1.png", "filepath": "test", "split": "test", "changeflag": 1,
           "sentences": [{"raw": "A road was built."}]}  # fmt: skip
    folder.json("LevirCCcaptions.json", {"images": [row]})
    (image,) = read(folder.path)
    assert [path[-12:] for path in image.frames] == ["test/A/1.png", "test/B/1.png"]
    assert (image.captions, image.split) == (("A road was built.",), "test")
    assert [(one.answer, one.kind) for one in image.questions] == [("yes", "change")]


def test_nwpu_captions_stand_under_their_class(folder):
    folder.picture("images/airport_001.jpg")
    row = {"filename": "airport_001.jpg", "split": "val", "raw": "A plane.", "raw_1": "Planes.",
           "imgid": 0}  # fmt: skip
    folder.json("dataset_nwpu.json", {"airport": [row]})
    (image,) = read(folder.path)
    assert (image.label, image.captions, image.split) == ("airport", ("A plane.", "Planes."), "val")


def test_capera_captions_are_of_clips(folder, monkeypatch):
    from swath.annotations import finding_pictures as pictures

    monkeypatch.setattr(pictures, "frames_of", lambda path, count: [str(picture)] * count)
    picture = folder.picture("elsewhere.png")
    folder.text("Videos/Test/Fire/Fire_001.mp4", "")
    row = {"video_id": "Fire_001.mp4", "annotation": {"English_caption": ["A fire.", "Smoke."]}}
    folder.json("CapERA_DATASET_test.json", {"ERA_caption": [row]})
    (image,) = read(folder.path)
    assert (image.captions, image.split) == (("A fire.", "Smoke."), "test")
    assert (image.label, len(image.frames)) == ("Fire", 8)


def test_sentences_of_one_string_are_parted_by_two_spaces(folder):
    folder.picture("1.tif")
    folder.json("UCM-en.json", [{"imged_id": "1.tif", "caption": "A field .  Crops .  "}])
    assert read(folder.path)[0].captions == ("A field .", "Crops .")


def test_a_pair_whose_second_date_is_lost_is_left_out_and_named(folder):
    rows = []
    for name in ("1.png", "2.png"):
        folder.picture(f"images/test/A/{name}")
        rows.append({"filename": name, "filepath": "test", "changeflag": 0,
                     "sentences": [{"raw": "Nothing."}]})  # fmt: skip
    folder.picture("images/test/B/1.png")
    folder.json("LevirCCcaptions.json", {"images": rows})
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert image.frames[1].endswith("B/1.png")
    lost, bare = found  # the first date alone shows no change
    assert (lost.kind, lost.where) == ("missing picture", "test/B/2.png")
    assert (bare.kind, bare.count) == ("not annotated", 1)


def test_a_class_without_rows_is_named(folder):
    folder.picture("1.jpg")
    folder.json("dataset_nwpu.json", {"port": [{"filename": "1.jpg", "raw": "A."}], "beach": None})
    with pytest.raises(AnnotationError, match="entry 1 is no object"):
        read(folder.path)
