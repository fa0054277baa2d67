import base64
import json

import pytest

from swath.annotations.formats.llava import LARGEST_PICTURE
from swath.annotations.image import Question
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def row(*said, image="a.png", **more):
    pairs = [pair for one in said for pair in zip(("human", "gpt"), one, strict=True)]
    turns = [{"from": who, "value": value} for who, value in pairs]
    return {"id": "1", **({"image": image} if image else {}), "conversations": turns, **more}


def one(folder, *said):
    """What is read of one row about a picture of 200 x 100 px."""
    folder.picture("a.png", (200, 100))
    folder.json("train.json", [row(*said)])
    (image,) = read(folder.path)
    return image


def test_a_box_answers_what_is_referred_to(folder):
    said = (
        "<image>\n[refer] where is <p>silver boeing737 airplane</p> ?",
        "{<10><20><30><40>|<0>}",
    )
    image = one(folder, said)
    assert recognise(folder.path).name == "llava"
    assert image.boxes.hbb.round(6).tolist() == [[20, 20, 60, 40]]
    assert (image.phrases, image.names) == (("silver boeing737 airplane",), ("object",))
    assert (image.questions, image.captions, image.split) == ((), (), "train")


def test_an_angle_turns_the_box_in_pixels(folder):
    image = one(folder, ("[refer] where is <p>ship</p> ?", "{<40><40><60><60>|<90>}"))
    # 40 x 20 px about (100, 50), turned by 90 degrees: 20 x 40 px
    assert image.boxes.hbb.round(6).tolist() == [[90, 30, 110, 70]]
    assert image.names == ("ship",)


def test_several_boxes_share_a_class_and_no_phrase(folder):
    answer = "{<10><10><20><20>|<0>}<delim>{<30><10><40><20>|<0>}"
    image = one(folder, ("[refer] where are <p>ships</p> ?", answer))
    assert (image.names, image.phrases) == (("ships", "ships"), (None, None))


def test_phrases_of_a_description_have_their_boxes_and_the_words_are_a_caption(folder):
    answer = "<p>A ship</p> {<10><10><20><20>|<0>} lies near <p>a pier</p> {<30><10><40><20>|<0>}."
    image = one(folder, ("[grounding] describe this image in detail", answer))
    assert image.phrases == ("A ship", "a pier")
    assert image.captions == ("A ship lies near a pier.",)


def test_a_region_in_the_question_is_an_object_of_the_answers_words(folder):
    image = one(folder, ("[identify] what is {<10><20><30><40>} ?", "a large white ship"))
    assert image.phrases == ("a large white ship",)
    assert image.boxes.hbb.round(6).tolist() == [[20, 20, 60, 40]]


def test_turns_of_minigpt_are_read_too(folder):
    asked = "<s>[INST] <Img><ImageHere></Img> [refer] give me the location of the bridge [/INST]"
    image = one(folder, (asked, "{<10><20><30><40>}</s>"))
    assert image.phrases == ("the bridge",)


def test_captions_and_questions_of_several_turns(folder):
    image = one(
        folder,
        ("<image>\n[caption] What is it?", "A port."),
        ("Describe the image in detail.", "A port with ships."),
        ("[vqa] How many ships?", "2"),
        ("Is it sunny?", "yes"),
    )
    assert image.captions == ("A port.", "A port with ships.")
    assert image.questions == (Question("How many ships?", "2", "vqa"),
                               Question("Is it sunny?", "yes"))  # fmt: skip


def test_rows_of_one_picture_are_joined_and_equal_objects_are_one(folder):
    folder.picture("a.png", (200, 100))
    said = ("where is <p>the ship</p>?", "{<10><20><30><40>}")
    folder.json("a.json", [row(said), row(said, ("Is it big?", "no"))])
    (image,) = read(folder.path)
    assert (len(image.boxes), len(image.questions)) == (1, 1)


def test_numbers_off_the_grid_are_read_and_said(folder):
    image = one(folder, ("where is <p>ship</p>?", "{<-3><20><104><40>|<400>}"))
    assert len(image.boxes) == 1
    assert {kind for kind, _ in image.faults} == {"angle out of range", "beyond the grid"}


def test_rows_that_no_image_holds_are_counted(folder):
    folder.picture("a.png")
    rows = [row(("Hello?", "Hi."), image=None), row(("Is {<1><2><3><4>} red?", "no")),
            row(("Is it red?", "no"))]  # fmt: skip
    folder.json("a.json", rows)
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert len(image.questions) == 1
    assert sorted(one.what for one in found) == [
        "1 rows of a region in words swath does not know", "1 rows without a picture",
    ]  # fmt: skip


def test_several_pictures_are_a_sequence(folder):
    for name in "ab":
        folder.picture(f"{name}.png")
    both = ["a.png", "b.png"]
    folder.json("x.json", [row(("Image 1: <image> Image 2: <image> What changed?", "A road."),
                               image=both)])  # fmt: skip
    (image,) = read(folder.path)
    assert [path[-5:] for path in image.frames] == both


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ([row(("a?", "b")), {"image": "a.png"}], "entry 1: expected `image` and `conversations`"),
        ([{"image": "a.png", "conversations": [{"from": "gpt", "value": "b"}] * 2}], "in turns"),
        ([{"image": "a.png", "conversations": [{"from": "human", "value": "b"}]}], "has no answer"),
        ([row(("a?", None))], r"entry 0: .*a value that is no text"),
        ([row(("a?", "b"), image="../../a.png")], "lies outside"),
        ([row(("a?", "b"), image="z.png")], "1 of 1 pictures are not in"),
    ],
)
def test_damaged_rows_are_refused(folder, content, advice):
    folder.picture("a.png")
    folder.json("x.json", content)
    with pytest.raises(AnnotationError, match=advice):
        read(folder.path)


def messages(url, asked="What is it?", said="A port."):
    return [
        {"role": "system", "content": "You look at pictures."},
        {"role": "user", "content": [{"type": "image_url", "image_url": url},
                                     {"type": "text", "text": asked}]},
        {"role": "assistant", "content": said},
    ]  # fmt: skip


def data_url(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_messages_of_mistral_and_openai_give_the_same(folder, tmp_path):
    path = folder.picture("a.png", (20, 10))
    forms = [
        messages("a.png"),
        {"messages": messages({"url": "a.png", "detail": "low"})},
        {"messages": messages(data_url(path))},
    ]
    for form in forms:
        folder.text("train.jsonl", json.dumps(form))
        (image,) = read(folder.path, pictures=tmp_path / "unpacked")
        assert image.questions == (Question("What is it?", "A port."),)
        assert (image.size_wh, image.split) == ((20, 10), "train")
    assert image.path.startswith(str(tmp_path / "unpacked"))


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://example.org/a.png", "lies on the web"),
        ({"url": None}, "an image_url that is no text"),
        ("data:text/html;base64,AAAA", "no picture"),
        ("data:image/png;base64,A*A", "not base64"),
        ("data:image/png;base64," + "A" * (LARGEST_PICTURE * 4 // 3 + 8), "more than 20 MB"),
        ("data:image/png;base64,AAAA", "cannot be opened"),
    ],
)
def test_pictures_that_are_none_are_refused(folder, tmp_path, url, advice):
    folder.text("train.jsonl", json.dumps(messages(url)))
    with pytest.raises(AnnotationError, match=advice):
        read(folder.path, pictures=tmp_path / "unpacked")


def test_messages_that_are_none_are_refused(folder):
    bare = {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}
    folder.text("train.jsonl", json.dumps(bare))
    with pytest.raises(AnnotationError, match=r"train.jsonl:1: expected messages of `role`"):
        read(folder.path)


def test_a_box_that_one_turn_names_and_another_describes_is_one_object(folder):
    image = one(
        folder,
        ("[refer] where is <p>silver boeing737 airplane</p> ?", "{<10><20><30><40>|<0>}"),
        ("[identify] what is {<10><20><30><40>|<0>}", "airplane"),
        ("[refer] where is <p>1 ship</p> ?", "{<50><50><60><60>|<0>}"),
    )  # fmt: skip
    assert image.names == ("airplane", "ship")
    assert image.phrases == ("silver boeing737 airplane", "1 ship")


@pytest.mark.parametrize("asked", ["where is <p></p> ?", "where is ?"])
def test_a_referral_to_nothing_is_an_object_without_a_phrase_and_a_finding(folder, asked):
    image = one(folder, (f"<image>\n[refer] {asked}", "{<10><20><30><40>|<0>}"))
    assert (image.names, image.phrases) == (("object",), (None,))
    assert image.faults == (("missing noun", "'where is ?' does not say of what"),)


def test_a_row_told_twice_is_read_once_and_named(folder):
    folder.picture("a.png", (200, 100))
    said = ("<image>\nIs there a ship?", "yes")
    folder.json("train.json", [row(said), row(said, id="2"), row(("<image>\nA pier?", "no"))])
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert [one.question for one in image.questions] == ["Is there a ship?", "A pier?"]
    assert [(one.count, one.what) for one in found] == [(1, "1 rows told before")]


@pytest.mark.parametrize("images", ["a.png", ["a.png"], [{"path": "a.png"}]])
@pytest.mark.parametrize("lines", [True, False])
def test_messages_may_name_their_pictures_beside_them(folder, images, lines):
    folder.picture("a.png")
    said = [{"role": "user", "content": "<image>What is the land use?"},
            {"role": "assistant", "content": "farm"}]  # fmt: skip
    rows = [{"messages": said, "images": images}]
    folder.text("train.jsonl", json.dumps(rows[0])) if lines else folder.json("train.json", rows)
    (image,) = read(folder.path)
    assert image.questions == (Question("What is the land use?", "farm"),)
    folder.json("train.json", [{"messages": said, "images": [7]}])
    with pytest.raises(AnnotationError, match="expected the name of a picture, got 7"):
        read(folder.path / "train.json")


def test_places_of_objects_that_stand_elsewhere_in_a_row_are_not_taken_for_words(folder):
    folder.picture("a.png")
    folder.picture("b.png")
    objects = {"ref": ["ship"], "bbox": [[1, 2, 3, 4]]}
    of_swift = row(("<image>find <ref-object>", "<bbox>"), objects=objects)
    folder.json("train.json", [of_swift, row(("<image>what?", "ship"), image="b.png")])
    reading = read_sound(folder.path)
    assert [image.questions[0].answer for image in reading.images] == ["ship"]
    assert any("<bbox> or <ref-object>" in finding.what for finding in reading.findings)
