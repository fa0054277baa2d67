import json

import pytest

from swath.annotations.image import Question
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError
from tests.imagery.making import write_clip


def test_rows_of_one_picture_are_joined(folder):
    folder.picture("port.png", (30, 20))
    folder.picture("river.png")
    folder.text(
        "rows.csv",
        "Image,caption,question,answer,split,label",
        "port.png,Two ships in a port.,How many ships are there?,2,train,port",
        "port.png,,Is there a bridge?,no,train,port",
        'river.png,"A river, and a bridge.",,,test,',
    )
    assert recognise(folder.path).name == "table"
    port, river = read(folder.path)
    assert (port.label, port.split, port.size_wh) == ("port", "train", (30, 20))
    assert port.captions == ("Two ships in a port.",)
    assert port.questions == (
        Question("How many ships are there?", "2"),
        Question("Is there a bridge?", "no"),
    )
    assert (river.captions, river.questions, river.label) == (("A river, and a bridge.",), (), None)


def test_json_lines_give_numbers_truth_values_and_kinds(folder):
    folder.picture("a.png")
    rows = [
        {"image": "a.png", "question": "How many?", "answer": 3, "type": "count"},
        {"image": "a.png", "question": "Any?", "answer": True, "kind": "presence"},
    ]
    folder.text("rows.jsonl", *map(json.dumps, rows))
    (image,) = read(folder.path)
    assert image.questions == (
        Question("How many?", "3", "count"),
        Question("Any?", "yes", "presence"),
    )


def test_prompt_and_label_are_a_question_and_its_answer(folder):
    folder.picture("UCM/1.png")
    folder.json("zh.json", [{"img": "./UCM/1.png", "prompt": "这是什么？", "label": "农田。"}])
    (image,) = read(folder.path)
    assert (image.questions, image.label) == ((Question("这是什么？", "农田。"),), None)


def test_a_caption_list_may_ask_too(folder):
    folder.picture("a.png")
    row = {"image": "a.png", "captions": ["a port"]}
    row["questions"] = [{"question": "Any ship?", "answer": "no"}]
    folder.json("captions.json", [row])
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "captions"
    assert image.questions == (Question("Any ship?", "no"),)


def test_a_list_of_labels_alone_does_not_hide_class_folders(folder):
    folder.picture("Port/a.png")
    folder.text("list.csv", "filename,label", "Port/a.png,3")
    assert recognise(folder.path).name == "folders"


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        (["image,question,answer", "a.png,Why?,"], r"rows.csv:2: a question without an answer"),
        (["image,question,answer", "a.png,,No."], r"rows.csv:2: an answer alone; write both"),
        (["image,caption", "a.png,A port, by day"], r"rows.csv:2: more fields .* put quotes"),
        (["image,caption", "b.png,A port"], r"1 of 1 pictures are not in .*b.png"),
        (["image,caption", "../../b.png,A port"], r"lies outside .*put the pictures beside"),
        (["image,caption,label", "a.png,x,A", "a.png,y,B"], r"label 'B' here and 'A' before"),
        (["image,caption,split", "a.png,x,evening"], r"unknown split 'evening'; write one of"),
    ],
)
def test_a_wrong_row_is_named(folder, lines, advice):
    folder.picture("a.png")
    folder.text("rows.csv", *lines)
    with pytest.raises(AnnotationError, match=advice):
        read(folder.path)


def test_text_that_is_not_utf8_and_json_that_breaks_off_are_named(folder):
    folder.picture("a.png")
    path = folder.path / "rows.csv"
    path.write_bytes("image,caption\na.png,港口\n".encode("gbk"))
    with pytest.raises(AnnotationError, match=r"not UTF-8 .*; save it as UTF-8"):
        read(path)
    path = folder.text("rows.jsonl", '{"image": "a.png", "caption": "x"}', '{"image": ')
    with pytest.raises(AnnotationError, match=r"rows.jsonl:2: not valid JSON"):
        read(path)


def test_a_clip_list_becomes_sequences_of_frames(folder):
    clip = write_clip(folder.path / "a.mp4", frames=10)
    rows = [{"video": "a.mp4", "captions": ["It grows dark."], "label": "dusk", "split": "test"}]
    folder.json("clips.json", rows)
    (image,) = read(folder.path, frames=2)
    # The middles of frames 0-4 and 5-9.
    assert image.frames == (f"{clip}#frame=2", f"{clip}#frame=7")
    assert (image.id, image.path, image.size_wh) == ("a", f"{clip}#frame=2", (32, 16))
    assert (image.label, image.captions, image.split) == ("dusk", ("It grows dark.",), "test")


def test_a_damaged_clip_is_refused_or_left_out(folder):
    write_clip(folder.path / "a.mp4")
    folder.text("b.mp4", "no clip")
    folder.json("clips.json", [{"video": name, "captions": ["x"]} for name in ("a.mp4", "b.mp4")])
    with pytest.raises(AnnotationError, match=r"1 of 2 images cannot be opened.*is it a video"):
        read(folder.path)
    assert [image.id for image in read(folder.path, unreadable="drop")] == ["a"]


def test_listed_frames_are_a_sequence(folder):
    paths = [str(folder.picture(f"frames/{name}.png", (20, 10))) for name in ("b", "a")]
    rows = [{"id": "turn", "frames": ["frames/b.png", "frames/a.png"], "caption": "A car turns."}]
    folder.json("sequences.json", rows)
    (image,) = read(folder.path)
    assert (image.id, image.path, list(image.frames)) == ("turn", paths[0], paths)
    assert (image.size_wh, image.captions) == ((20, 10), ("A car turns.",))


def test_frames_of_two_sizes_are_refused(folder):
    folder.picture("a.png", (20, 10))
    folder.picture("b.png", (30, 10))
    folder.json("sequences.json", [{"frames": ["a.png", "b.png"], "caption": "A car turns."}])
    with pytest.raises(AnnotationError, match=r"b.png: has 30 x 10 px and the first .* 20 x 10"):
        read(folder.path)


def test_the_real_sequence_is_read_in_order(data_folder, folder):
    import shutil

    names = [f"MOS{number}.png" for number in range(74, 86)]
    for name in names:
        shutil.copy(data_folder / "aerial_cars" / "images" / name, folder.path / name)
    folder.json("sequences.json", [{"id": "munich", "frames": names, "caption": "Cars drive."}])
    (image,) = read(folder.path)
    assert (len(image.frames), image.size_wh) == (12, (684, 547))


def test_a_table_of_classes_alone_is_one_of_classes(folder):
    folder.picture("a.png")
    folder.picture("b.png")
    folder.text("list.csv", "filename,label", "a.png,port", "b.png,beach")
    assert recognise(folder.path).name == "classes"
    assert [image.label for image in read(folder.path)] == ["port", "beach"]


def test_rows_of_boxes_are_objects_and_their_label_is_the_objects(folder):
    folder.picture("a.tif")
    folder.text(
        "a.csv",
        "image_path,xmin,ymin,xmax,ymax,label",
        "a.tif,1,2,5,6,Tree",
        "a.tif,3,3,9,9,Tree",
    )
    (image,) = read(folder.path)
    assert image.boxes.hbb.tolist() == [[1, 2, 5, 6], [3, 3, 9, 9]]
    assert (image.names, image.label) == (("Tree", "Tree"), None)


def test_rows_of_outlines_as_wkt_are_oriented_boxes(folder):
    folder.picture("a.png")
    outline = '"POLYGON ((8 2, 12 6, 8 10, 4 6, 8 2))"'
    folder.text("a.csv", "image_path,label,geometry", f"a.png,Tree,{outline}")
    assert read(folder.path)[0].boxes.areas.round(6).tolist() == [32]
    folder.text("a.csv", "image_path,label,geometry", "a.png,Tree,POINT (8 2)")
    with pytest.raises(AnnotationError, match=r"a.csv:2: expected boxes as corners, polygons"):
        read(folder.path)


def test_floodnet_numbers_its_rows_and_calls_the_answer_truth(folder):
    folder.picture("Train_Image/10165.JPG")
    row = {"Image_ID": "10165.JPG", "Question": "Is the road flooded?", "Ground_Truth": "Yes",
           "Question_Type": "Yes_No"}  # fmt: skip
    folder.json("Training_Question.json", {"0": row})
    (image,) = read(folder.path)
    assert image.questions == (Question("Is the road flooded?", "Yes", "Yes_No"),)
    assert image.split == "train"


def test_geochat_bench_rows_hold_polygons_regions_and_scenes(folder):
    folder.picture("images/P1.png", (100, 100))
    polygon = [[1, 2], [5, 2], [5, 6], [1, 6]]
    folder.text(
        "referring.jsonl",
        json.dumps({"question_id": 1, "image_id": "P1", "question": "the ship at the top",
                    "ground_truth": [polygon], "type": "ref", "dataset": "SOTA"}),
    )  # fmt: skip
    folder.text(
        "region_captioning.jsonl",
        json.dumps({"question_id": 2, "image_id": "P1", "question": "{<10><20><30><40>|<0>}",
                    "ground_truth": "a white ship", "dataset": "SOTA"}),
    )  # fmt: skip
    folder.text(
        "scene.jsonl",
        json.dumps({"question_id": "port/P1", "image": "P1.png", "text": "Which class?",
                    "ground_truth": "port"}),
    )  # fmt: skip
    (image,) = read(folder.path)
    assert image.phrases == ("the ship at the top", "a white ship")
    assert image.boxes.hbb.round(6).tolist() == [[1, 2, 5, 6], [10, 20, 30, 40]]
    assert image.questions == (Question("Which class?", "port"),)


def test_vrsbench_referring_rows_count_on_a_grid(folder):
    folder.picture("images/P1.png", (512, 512))
    row = {"image_id": "P1.png", "question": "The ship.", "ground_truth": "{<25><50><50><75>}",
           "obj_cls": "ship", "question_id": 0}  # fmt: skip
    folder.json("VRSBench_EVAL_referring.json", [row])
    (image,) = read(folder.path)
    assert image.boxes.hbb.round(6).tolist() == [[128, 256, 256, 384]]
    assert (image.names, image.phrases) == (("ship",), ("The ship.",))


def test_rsvg_rows_hold_a_phrase_and_a_box(folder):
    folder.picture("a.jpg")
    folder.json("rsvg_test.json", [{"image": "a.jpg", "phrase": "a red car", "bbox": [1, 2, 3, 4]}])
    (image,) = read(folder.path)
    assert (image.phrases, image.names, image.split) == (("a red car",), ("object",), "test")


def test_floodnet_keeps_its_questions_in_a_folder_and_the_answers_of_its_test_back(folder):
    row = {"Image_ID": "7.JPG", "Question": "How many?", "Ground_Truth": 3, "Question_Type": "n"}
    folder.picture("Images/Train_Image/7.JPG")
    folder.picture("Images/Test_Image/9.JPG")
    folder.json("Questions/Training Question.json", {"0": row})
    asked = {"Image_ID": "9.JPG", "Question": "How many?", "Question_Type": "n"}
    folder.json("Questions/Test_Question.json", {"0": asked})
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert (image.split, image.questions[0].answer) == ("train", "3")
    file, bare = found
    assert (file.kind, file.what[:18]) == ("file not read", "Test_Question.json")
    assert (bare.kind, bare.count) == ("not annotated", 1)  # the test's picture


def test_a_table_may_be_parted_by_semicolons(folder):
    folder.picture("a.png")
    folder.text("labels.csv", "filename;label", "a.png;port, old")
    assert read(folder.path)[0].label == "port, old"


def test_rows_that_say_nothing_are_counted(folder):
    folder.picture("a.jpg")
    rows = [{"image": "a.jpg", "phrase": "a car", "bbox": box} for box in ([1, 2, 3, 4], None)]
    folder.json("rsvg_test.json", rows)
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert len(image.boxes) == 1
    assert [(one.kind, one.count) for one in found] == [("row without content", 1)]


def test_numbers_as_text_are_refused(folder):
    folder.picture("a.jpg")
    row = {"image": "a.jpg", "phrase": "a car", "bbox": ["1", "2", "3", "4"]}
    folder.json("rsvg_test.json", [row])
    with pytest.raises(AnnotationError, match=r"entry 0: expected boxes as corners"):
        read(folder.path)


def test_the_hubs_metadata_holds_captions_also_a_file_a_split(folder):
    folder.picture("1.png")
    folder.text("metadata.jsonl", json.dumps({"file_name": "1.png", "text": "An airport."}))
    assert read(folder.path)[0].captions == ("An airport.",)
    (folder.path / "metadata.jsonl").unlink()
    for split in ("train", "test"):
        folder.picture(f"{split}/2.png")
        folder.text(f"{split}/metadata.csv", "file_name,text", "2.png,A farm.")
    images = read(folder.path)
    assert [(image.id, image.split) for image in images] == [
        ("test/2", "test"),
        ("train/2", "train"),
    ]


def test_a_text_that_asks_and_has_no_answer_is_no_caption(folder):
    folder.picture("1.png")
    for row in ({"question_id": 1, "text": "Name it."}, {"text": "Is it a farm?"}):
        folder.text("rows.jsonl", json.dumps({"image": "1.png", **row}))
        with pytest.raises(AnnotationError, match=r"rows.jsonl:1: a question without an answer"):
            read(folder.path)


def test_a_bad_row_is_left_out_with_its_line_and_no_class_of_the_table_is_whole(folder):
    folder.picture("a.png")
    lines = ["1,2,5,6,ship", "1,two,5,6,ship", "1,2,5,6,ship,more", "6,6,9,9,ship"]
    folder.text("rows.csv", "image,xmin,ymin,xmax,ymax,label", *(f"a.png,{row}" for row in lines))
    reading = read_sound(folder.path)
    assert (len(reading.images[0].boxes), reading.images[0].listed) == (2, ())
    (finding,) = reading.findings
    assert (finding.kind, finding.count) == ("bad row", 2)
    assert "rows.csv:3: ymin" in finding.what and "rows.csv:4: more fields" in finding.what


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        (["image,caption", 'a.png,"A ship', "b.png,A farm"], "not CSV .*quote that is not closed"),
        (["image,caption,Caption", "a.png,A,B", "b.png,C,D"], "two columns are called 'caption'"),
    ],
)
def test_a_table_that_would_swallow_rows_or_columns_is_refused(folder, lines, advice):
    folder.picture("a.png")
    folder.picture("b.png")
    folder.text("rows.csv", *lines)
    with pytest.raises(AnnotationError, match=advice):
        read(folder.path)


@pytest.mark.parametrize("box", [[40, 40, 20, 20], [5, 40, 20, 8]])
def test_a_box_whose_second_corner_lies_before_the_first_is_refused(folder, box):
    """As COCO's x, y, width and height would be."""
    folder.picture("a.png", (64, 64))
    (folder.path / "a.json").write_text(json.dumps([{"image": "a.png", "bbox": box, "label": "x"}]))
    with pytest.raises(AnnotationError, match="were width and height written"):
        read(folder.path)


def test_json_lines_may_go_by_the_name_of_json(folder):
    for name in "ab":
        folder.picture(f"{name}.png", (8, 8))
    rows = [json.dumps({"image": f"{name}.png", "caption": f"ship {name}"}) for name in "ab"]
    (folder.path / "all.json").write_text("\n".join(rows) + "\n")
    assert [image.captions for image in read(folder.path)] == [("ship a",), ("ship b",)]
    (folder.path / "all.json").write_text(rows[0] + "\n{")
    with pytest.raises(AnnotationError, match="unexpected content after document: line 2"):
        read(folder.path)
