import pytest

from swath.annotations.image import AnnotatedImage, Question, read_images, write_images
from swath.boxes import Boxes
from swath.errors import FormatError, ShapeError
from swath.files import write_jsonl


def harbour() -> AnnotatedImage:
    return AnnotatedImage(
        id="sets/harbour-1",
        path="/images/sets/harbour-1.png",
        size_wh=(640, 480),
        label="harbour",
        captions=("Two ships in a harbour.", "港口里有两艘船。"),
        boxes=Boxes.from_hbb([[1, 2, 3, 4], [10.125, 20, 30, 40]]),
        names=("ship", "ship"),
        phrases=("the ship nearest the pier", None),
        split="test",
        scene="harbour",
        source="drawn",
        licence="CC0-1.0",
    )


def test_image_comes_back_from_its_file(tmp_path):
    path = tmp_path / "images.jsonl"
    bare = AnnotatedImage(id="bare", path="/images/bare.png", size_wh=(1, 2))
    assert write_images(path, [harbour(), bare]) == 2
    one, two = read_images(path)
    assert one.to_row() == harbour().to_row()
    assert one.boxes.quads.tolist() == harbour().boxes.quads.tolist()
    assert (one.size_wh, one.captions, one.phrases) == (
        (640, 480),
        harbour().captions,
        harbour().phrases,
    )
    assert two.to_row() == bare.to_row()
    assert len(two.boxes) == 0


def test_frames_and_questions_come_back_and_older_files_have_none(tmp_path):
    path = tmp_path / "images.jsonl"
    frames = ("/clips/a.mp4#frame=3", "/clips/a.mp4#frame=9")
    asked = (Question("How many ships?", "2", "count"), Question("Any?", "yes"))
    clip = AnnotatedImage("a", frames[0], (64, 48), frames=frames, questions=asked)
    write_images(path, [clip])
    (again,) = read_images(path)
    assert (again.frames, again.questions) == (frames, asked)
    row = clip.to_row()
    older = {key: row[key] for key in row if key not in ("frames", "questions")}
    write_jsonl(path, "images", [older])
    (again,) = read_images(path)
    assert (again.frames, again.questions) == ((), ())


def test_the_path_of_a_sequence_is_that_of_its_first_frame():
    with pytest.raises(ShapeError, match="give the first frame as path"):
        AnnotatedImage("a", "2.png", (1, 1), frames=("1.png", "2.png"))


def test_image_is_its_own_scene_and_its_boxes_have_no_phrase_unless_given():
    image = AnnotatedImage("a", "a.png", (1, 1), boxes=Boxes.from_hbb([0, 0, 1, 1]), names=("x",))
    assert image.scene == "a"
    assert image.phrases == (None,)


def test_each_box_needs_a_name_and_a_phrase():
    with pytest.raises(ShapeError, match="a: 1 boxes, 0 names and 1 phrases"):
        AnnotatedImage("a", "a.png", (1, 1), boxes=Boxes.from_hbb([0, 0, 1, 1]))


def test_damaged_rows_are_named(tmp_path):
    path = tmp_path / "images.jsonl"
    row = harbour().to_row()
    without_path = {key: value for key, value in row.items() if key != "path"}
    for damaged in (
        without_path,
        {**row, "size_wh": [640]},
        {**row, "boxes": [[1, 2, 3]]},
        {**row, "boxes": [[None] * 8] * 2},
        {**row, "names": ["ship"]},
    ):
        write_jsonl(path, "images", [damaged])
        with pytest.raises(FormatError, match="image row sets/harbour-1"):
            list(read_images(path))
