import pytest

from swath.annotations.image import Question
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def vrsbench(**change):
    one = {"obj_cls": "ship", "obj_coord": [0.1, 0.2, 0.3, 0.4], "referring_sentence": "The ship."}
    two = {"obj_cls": "harbor", "obj_corner": [0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5]}
    asked = {"ques_id": 1, "question": "How many ships?", "type": "object quantity", "answer": "1"}
    return {"image": "P1.png", "caption": "A ship in a harbor.", "objects": [one, two],
            "qa_pairs": [asked], **change}  # fmt: skip


def test_vrsbench_says_shares_of_the_picture(folder):
    folder.picture("Images_train/P1.png", (100, 50))
    folder.json("Annotations_train/P1.json", vrsbench())
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "grounded"
    assert image.boxes.hbb.round(6).tolist() == [[10, 10, 30, 20], [0, 0, 50, 25]]
    assert (image.names, image.phrases) == (("ship", "harbor"), ("The ship.", None))
    assert (image.captions, image.split) == (("A ship in a harbor.",), "train")
    assert image.questions == (Question("How many ships?", "1", "object quantity"),)


def test_an_object_without_a_box_is_refused(folder):
    folder.picture("Images_train/P1.png")
    folder.json("Annotations_train/P1.json", vrsbench(objects=[{"obj_cls": "ship"}]))
    with pytest.raises(AnnotationError, match=r"objects\[0\]: lacks obj_corner or obj_coord"):
        read(folder.path)


def test_each_mark_of_geopixel_has_its_polygons(folder):
    folder.picture("P1.png", (40, 40))
    said = "A <p> ship </p> [SEG] , and <p> plane-1 </p> [SEG] ."
    polygons = [[[[0, 0], [4, 0], [4, 2], [0, 2]]], [[[8, 2], [12, 6], [8, 10], [4, 6], [8, 2]]]]
    row = {"id": 0, "img": "elsewhere/P1.png", "gcg_description": said, "polygons": polygons}
    folder.json("P1.json", row)
    (image,) = read(folder.path)
    assert image.captions == ("A ship, and plane-1.",)
    assert (image.names, image.phrases) == (("ship", "plane"), ("ship", "plane-1"))
    assert image.boxes.areas.round(6).tolist() == [8, 32]
    folder.json("P1.json", {**row, "polygons": polygons[:1]})
    with pytest.raises(AnnotationError, match="2 phrases and 1 lists of polygons"):
        read(folder.path)


def test_real_polygons_lie_in_their_boxes(data_folder):
    (image,) = read(data_folder / "geopixeld_sample")
    assert image.names == ("tennis court",) * 4
    assert image.phrases == tuple(f"tennis court-{number}" for number in (1, 2, 3, 4))
    assert image.boxes.hbb.min() >= -1
    assert image.boxes.hbb.max() <= 804  # of 800, an oriented box reaches over the border


def test_annotations_beside_the_files_made_of_them_are_preferred(folder):
    for split in ("train", "val"):
        folder.picture(f"Images_{split}/{split}.png")
        folder.json(f"Annotations_{split}/{split}.json", vrsbench(image=f"{split}.png"))
    row = {"image_id": "val.png", "question": "Describe.", "ground_truth": "A ship."}
    folder.json("VRSBench_EVAL_Cap.json", [row])
    reading = read_sound(folder.path)
    found = reading.findings
    images = reading.images
    assert recognise(folder.path).name == "grounded"
    assert {(image.split, len(image.boxes) > 0) for image in images} == {
        ("train", True),
        ("val", True),
    }
    assert "VRSBench_EVAL_Cap.json" in found[0].what
