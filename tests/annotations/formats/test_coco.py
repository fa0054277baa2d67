import numpy as np
import pytest

from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def coco(annotations, images=None, **more):
    return {
        "images": images or [{"id": 1, "file_name": "a.png", "width": 16, "height": 12}],
        "categories": [{"id": 3, "name": "ship", "supercategory": "vessel"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 3, **row}
            for number, row in enumerate(annotations, start=100)
        ],
        **more,
    }


def test_a_box_is_x_y_width_height(folder):
    folder.picture("a.png")
    folder.json("instances.json", coco([{"bbox": [1, 2, 3, 4]}]))
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "coco"
    assert image.boxes.hbb.tolist() == [[1, 2, 4, 6]]
    assert (image.names, image.phrases, image.label) == (("ship",), (None,), None)


def test_a_polygon_becomes_the_smallest_oriented_rectangle_around_it(folder):
    folder.picture("a.png")
    diamond = [8, 2, 12, 6, 8, 10, 4, 6]
    folder.json("instances.json", coco([{"bbox": [4, 2, 8, 8], "segmentation": [diamond]}]))
    (image,) = read(folder.path)
    assert image.boxes.areas == pytest.approx([32])
    corners = {tuple(corner) for corner in np.round(image.boxes.quads[0], 6)}
    assert corners == {(8, 2), (12, 6), (8, 10), (4, 6)}


def test_a_run_length_mask_leaves_the_box(folder):
    folder.picture("a.png")
    mask = {"counts": "abc", "size": [12, 16]}
    folder.json("a.json", coco([{"bbox": [1, 2, 3, 4], "segmentation": mask}]))
    assert read(folder.path)[0].boxes.hbb.tolist() == [[1, 2, 4, 6]]


def test_images_without_annotations_are_kept(folder):
    folder.picture("a.png")
    folder.json("instances.json", coco([]))
    assert [len(image.boxes) for image in read(folder.path)] == [0]


def test_a_crowd_stands_for_no_single_object(folder):
    folder.picture("a.png")
    folder.json("instances.json", coco([{"bbox": [1, 2, 3, 4], "iscrowd": 1}]))
    assert len(read(folder.path)[0].boxes) == 0


def test_files_in_annotations_name_pictures_of_the_whole_set_and_their_split(folder):
    for split in ("train", "val"):
        folder.picture(f"{split}2017/{split}.png")
        rows = [{"id": 1, "file_name": f"{split}.png"}]
        folder.json(f"annotations/instances_{split}2017.json", coco([], rows))
    assert {image.id: image.split for image in read(folder.path)} == {
        "train2017/train": "train",
        "val2017/val": "val",
    }
    (single,) = read(folder.path / "annotations" / "instances_val2017.json")
    assert single.id == "val2017/val"


def test_roboflows_split_folders_are_read(folder):
    for split in ("train", "valid"):
        folder.picture(f"{split}/a.png")
        folder.json(f"{split}/_annotations.coco.json", coco([{"bbox": [1, 2, 3, 4]}]))
    assert {image.id: image.split for image in read(folder.path)} == {
        "train/a": "train",
        "valid/a": "val",
    }


def test_the_licence_of_an_image_is_kept(folder):
    folder.picture("a.png")
    rows = [{"id": 1, "file_name": "a.png", "license": 4}]
    folder.json("a.json", coco([], rows, licenses=[{"id": 4, "name": "CC BY 4.0"}]))
    assert read(folder.path)[0].licence == "CC BY 4.0"


@pytest.mark.parametrize("bbox", [[1, 2, 0, 4], [1, 2, 3, -4], [5, 5, 2, 0]])
def test_a_box_without_area_is_refused_by_file_and_annotation(folder, bbox):
    folder.picture("a.png")
    folder.json("a.json", coco([{"bbox": [1, 1, 2, 2]}, {"bbox": bbox}]))
    with pytest.raises(AnnotationError, match=r"\[1\] \(id 101\): a box without area.*width, h"):
        read(folder.path)


@pytest.mark.parametrize("outline", [[[]], [[1, 1, 2, 2]], [[1, 1, 2, 2, 3, 3]], [["a"]], [[]] * 2])
def test_an_outline_that_encloses_nothing_leaves_its_bbox_and_is_counted(folder, outline):
    folder.picture("a.png")
    rows = [{"bbox": [1, 1, 2, 2], "segmentation": outline}, {"bbox": [5, 5, 2, 2]}]
    folder.json("a.json", coco(rows))
    reading = read_sound(folder.path)
    assert reading.images[0].boxes.hbb.tolist() == [[1, 1, 3, 3], [5, 5, 7, 7]]
    (finding,) = reading.findings
    assert (finding.kind, finding.count) == ("empty outline", 1)
    assert finding.effect == "the bbox beside them is taken"


def test_an_annotation_of_an_unlisted_image_is_refused(folder):
    folder.picture("a.png")
    folder.json("a.json", coco([{"bbox": [1, 1, 2, 2], "image_id": 9}]))
    with pytest.raises(AnnotationError, match=r"\(id 100\): points to image 9.*not listed"):
        read(folder.path)


def test_an_annotation_of_an_unlisted_category_is_refused(folder):
    folder.picture("a.png")
    folder.json("a.json", coco([{"bbox": [1, 1, 2, 2], "category_id": 8}]))
    with pytest.raises(AnnotationError, match="points to category 8, known are 3; add"):
        read(folder.path)


def test_two_images_of_one_id_are_refused(folder):
    folder.picture("a.png")
    folder.picture("b.png")
    rows = [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]
    folder.json("a.json", coco([], rows))
    with pytest.raises(AnnotationError, match="two images of the id 1; give each"):
        read(folder.path)


@pytest.mark.parametrize("bbox", [[1, 2, 3], "1 2 3 4", None, [1, 2, 3, "x"]])
def test_a_box_that_is_no_four_numbers_is_refused(folder, bbox):
    folder.picture("a.png")
    folder.json("a.json", coco([{"bbox": bbox}]))
    with pytest.raises(AnnotationError, match=r"annotations\[0\] \(id 100\): .*bbox"):
        read(folder.path)


def test_boxes_made_for_a_picture_of_another_size_are_refused(folder):
    folder.picture("a.png", (8, 6))
    folder.json("a.json", coco([{"bbox": [1, 1, 2, 2]}]))
    with pytest.raises(AnnotationError, match="annotated as 16 x 12 px, the file has 8 x 6 px"):
        read(folder.path)


def test_a_picture_outside_the_folder_is_refused(folder):
    folder.json("a.json", coco([], [{"id": 1, "file_name": "../../etc/passwd"}]))
    with pytest.raises(AnnotationError, match="lies outside"):
        read(folder.path / "a.json")


@pytest.mark.parametrize(("key", "row"), [("categories", 7), ("images", 7), ("annotations", 7)])
def test_a_row_that_is_no_whole_object_is_named(folder, key, row):
    folder.picture("a.png")
    content = coco([{"bbox": [1, 2, 3, 4]}])
    content[key].append(row)
    folder.json("instances.json", content)
    with pytest.raises(AnnotationError, match=rf"{key}\[1\] is no object"):
        read(folder.path / "instances.json", "coco")


def test_a_category_without_a_name_is_refused(folder):
    folder.picture("a.png")
    folder.json("a.json", coco([], categories=[{"id": 3}]))
    with pytest.raises(AnnotationError, match=r"categories\[0\] \(id 3\): name: field required"):
        read(folder.path)


def said(*captions):
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 16, "height": 12}],
        "annotations": [{"id": n, "image_id": 7, "caption": one} for n, one in enumerate(captions)],
    }


def test_captions_join_the_boxes_of_their_images_and_stand_alone(folder):
    folder.picture("train2017/a.png")
    folder.json("annotations/captions_train2017.json", said("A port.", "Two ships. "))
    assert recognise(folder.path).name == "coco"
    (image,) = read(folder.path)
    assert (image.captions, len(image.boxes), image.split) == (
        ("A port.", "Two ships."),
        0,
        "train",
    )
    folder.json("annotations/instances_train2017.json", coco([{"bbox": [1, 2, 3, 4]}]))
    folder.json("annotations/person_keypoints_train2017.json", coco([{"bbox": [1, 2, 3, 4]}]))
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert (image.captions, image.names) == (("A port.", "Two ships."), ("ship",))
    assert [(one.kind, one.count) for one in found] == [("file not read", 1)]
    assert "person_keypoints_train2017.json" in found[0].what


def test_a_caption_that_is_no_text_is_refused(folder):
    folder.picture("a.png")
    folder.json("a.json", said("A port.", 3))
    with pytest.raises(
        AnnotationError,
        match=r"annotations\[1\] \(id 1\): caption: input should be a valid string, got '3'",
    ):
        read(folder.path)


def test_four_corners_are_kept_as_they_are(folder):
    folder.picture("a.png")
    corners = [2, 2, 9, 3, 8, 7, 1, 6.5]
    folder.json("a.json", coco([{"bbox": [1, 2, 8, 5], "segmentation": [corners]}]))
    assert read(folder.path)[0].boxes.quads.ravel().tolist() == corners


def test_an_outline_of_numbers_beyond_all_pictures_gives_way_to_its_bbox(folder):
    folder.picture("a.png")
    far = [10, 20, 40, 1e12, 40, 35, 10, 35, 9, 9]  # further still, GEOS invents or fails
    folder.json("a.json", coco([{"bbox": [1, 2, 3, 4], "segmentation": [far]}]))
    assert read(folder.path)[0].boxes.hbb.tolist() == [[1, 2, 4, 6]]


def test_a_turned_box_turns_clockwise_about_its_middle(folder):
    folder.picture("a.png", (100, 80))
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    row = {"bbox": [30, 30, 40, 10], "segmentation": [], "attributes": {"rotation": 90.0}}
    folder.json("a.json", coco([row], images))
    # 40 x 10 about (50, 35) becomes 10 x 40.
    assert read(folder.path)[0].boxes.hbb.round(6).tolist() == [[45, 15, 55, 55]]


def test_boxes_that_all_lie_within_0_to_1_are_shares_and_said_to_be(folder):
    folder.picture("a.png", (100, 80))
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    folder.json("a.json", coco([{"bbox": [0.2, 0, 0.5, 1.0]}, {"bbox": [0, 0, 1, 1]}], images))
    reading = read_sound(folder.path)
    assert reading.images[0].boxes.hbb.tolist() == [[20, 0, 70, 80], [0, 0, 100, 80]]
    assert [(finding.kind, finding.count) for finding in reading.findings] == [("shares", 2)]


def test_ids_are_one_as_numbers_and_as_text_and_the_text_0_is_no(folder):
    folder.picture("a.png")
    rows = [{"bbox": [1, 2, 3, 4], "image_id": "1", "category_id": "3", "iscrowd": "0"}]
    folder.json("a.json", coco(rows, categories=[{"id": 3, "name": 7}]))
    assert read(folder.path)[0].names == ("7",)
    folder.json("a.json", coco([{**rows[0], "iscrowd": "1"}]))
    assert read(folder.path)[0].names == ()


def test_one_bad_annotation_leaves_the_others_and_its_image_claims_no_whole_class(folder):
    folder.picture("a.png")
    folder.picture("b.png")
    images = [{"id": n, "file_name": name} for n, name in ((1, "a.png"), (2, "b.png"))]
    rows = [{"bbox": [1, 2, 3, 4]}, {"bbox": [1, 2, 0, 4]}, {"bbox": [1, 2, 3, 4], "image_id": 9},
            {"bbox": [5, 5, 2, 2]}]  # fmt: skip
    folder.json("a.json", coco(rows, images))
    reading = read_sound(folder.path)
    assert [len(image.boxes) for image in reading.images] == [2, 0]
    assert {image.listed for image in reading.images} == {()}
    (finding,) = reading.findings
    assert (finding.kind, finding.count, finding.effect) == ("bad row", 2, "left out")
    assert "(id 101): a box without area" in finding.what
    assert "(id 102): points to image 9" in finding.what
    with pytest.raises(AnnotationError, match=r"\(id 101\): a box without .*\(and 1 more rows\)"):
        read(folder.path)


def test_a_file_of_bad_rows_alone_is_refused(folder):
    folder.picture("a.png")
    folder.json("a.json", coco([{"bbox": [1, 2, 0, 4]}]))
    with pytest.raises(AnnotationError, match="a box without area"):
        read_sound(folder.path)


def test_two_categories_of_one_id_are_refused(folder):
    """The last would have given its name to the boxes of both."""
    folder.picture("a.png")
    twice = [{"id": 3, "name": "ship"}, {"id": "3", "name": "quay"}]
    folder.json("instances.json", coco([{"bbox": [1, 2, 3, 4]}], categories=twice))
    with pytest.raises(AnnotationError, match=r"categories\[1\] \(id 3\): two categories have"):
        read(folder.path)
    twice[1]["name"] = "ship"
    folder.json("instances.json", coco([{"bbox": [1, 2, 3, 4]}], categories=twice))
    assert read(folder.path)[0].names == ("ship",)
