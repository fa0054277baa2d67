import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath.annotations.findings import LEAKS
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.lint import lint, looks_of, text_faults, usable
from swath.annotations.readers import read
from swath.annotations.splits import split_images
from swath.boxes import Boxes
from tests.imagery.making import write_clip


def image(folder, id="Port/a", size_wh=(64, 48), **more):
    path = folder.picture(f"{id}.png", size_wh)
    return AnnotatedImage(id, str(path), size_wh, licence="CC0-1.0", source="here", **more)


def copy(folder, original, id, **more):
    path = folder.path / f"{id}.png"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(original.path, path)
    return replace(original, id=id, path=str(path), scene=id, **more)


def test_a_sound_set_has_no_finding(folder):
    assert lint([image(folder, f"Port/{n}", label="Port") for n in range(5)]) == []


def test_a_picture_cut_short_is_found_though_its_header_is_sound(folder):
    path = folder.picture("Port/a.jpg", (256, 256))
    path.write_bytes(path.read_bytes()[:-2000])
    (found,) = (finding for finding in lint(read(folder.path)) if finding.kind == "unreadable")
    assert found.where == "Port/a"
    assert "truncated" in found.what
    assert found.action == "copy it again, or remove it"


def test_the_same_file_twice_in_a_split_is_a_duplicate(folder):
    one = image(folder, split="train")
    (found,) = lint([one, copy(folder, one, "Port/b")])
    assert (found.kind, found.where) == ("duplicate", "Port/a")
    assert found.what == "the same file again as Port/b"


def test_the_same_file_in_train_and_test_is_a_leak(folder):
    one = image(folder, split="train")
    (found,) = lint([one, copy(folder, one, "Port/b", split="test")])
    assert found.kind == "leak"
    assert found.what == "the same file is in train here and again as Port/b (test)"
    assert "so that they share a split" in found.action


def again(folder, original, id, turn=None, **more):
    """The picture saved anew as a JPEG of another size, perhaps turned."""
    path = folder.path / f"{id}.jpg"
    pixels = Image.open(original.path).resize((96, 72))
    (pixels if turn is None else pixels.transpose(turn)).save(path, quality=80)
    return replace(original, id=id, path=str(path), scene=id, **more)


def test_the_same_picture_saved_anew_across_splits_is_a_leak(folder):
    one = image(folder, split="train")
    (found,) = lint([one, again(folder, one, "Port/b", split="test")])
    assert (found.kind, found.where, found.count) == ("leak", "Port/a", 2)
    assert found.what == "looks like Port/b (test); itself in train"


def test_pictures_saved_anew_or_turned_within_a_split_are_near_duplicates_told_once(folder):
    one = image(folder, split="train")
    turned = again(folder, one, "Port/c", Image.Transpose.ROTATE_90)
    (found,) = lint([one, again(folder, one, "Port/b"), turned, image(folder, "Port/d")])
    assert (found.kind, found.count) == ("near duplicate", 3)
    assert found.what == "looks like Port/b (train), Port/c (train), turned or mirrored"


def test_one_file_under_two_labels_is_found(folder):
    one = image(folder, split="train", label="Port")
    found = [
        f for f in lint([one, copy(folder, one, "b", label="River")]) if f.kind == "two labels"
    ]
    assert len(found) == 1
    assert "labelled Port and River" in found[0].what
    assert "decide for one label" in found[0].action


def test_a_scene_in_two_splits_is_found(folder):
    one = image(folder, "a", scene="s", split="train")
    two = image(folder, "b", scene="s", split="test")
    (found,) = lint([one, two])
    assert (found.kind, found.where) == ("split scene", "s")


def test_a_class_spelled_in_two_ways_is_found(folder):
    labels = ["Bare Land"] * 5 + ["bareland"] * 5 + ["Port"] * 5
    images = [image(folder, f"{n}", label=label) for n, label in enumerate(labels)]
    (found,) = lint(images)
    assert found.kind == "spelling"
    assert found.what == "one class spelled in 2 ways: 'Bare Land' (5), 'bareland' (5)"


@pytest.mark.parametrize(
    ("one", "other"),
    [("ship", "Ships"), ("storage-tank", "storage_tanks"), ("bus", "buses"), ("ferry", "ferries")],
)
def test_a_class_in_the_singular_and_the_plural_is_found(folder, one, other):
    names = (one, other, "harbor")
    boxes = Boxes.from_hbb([[n, 0, n + 9, 9] for n in range(3)])
    (found,) = lint([image(folder, boxes=boxes, names=names, phrases=(None,) * 3)])
    assert (found.kind, found.count) == ("spelling", 2)


def test_names_of_objects_are_checked_for_spelling_too(folder):
    boxes = Boxes.from_hbb([[1, 1, 3, 3], [4, 4, 8, 8]])
    (found,) = lint([image(folder, boxes=boxes, names=("small-vehicle", "small vehicle"))])
    assert found.kind == "spelling"


def test_boxes_beyond_the_image_are_found_and_two_percent_are_not(folder):
    boxes = Boxes.from_hbb([[1, 1, 3, 3], [-1.2, 0, 64.9, 48], [60, 40, 84, 48]])
    (found,) = lint([image(folder, boxes=boxes, names=("ship",) * 3)])
    assert found.kind == "box outside"
    assert found.what == "1 of 3 boxes reach up to 20 px beyond the image of 64 x 48 px"


def test_a_box_without_area_is_found(folder):
    boxes = Boxes.from_hbb([[1, 1, 3, 3], [5, 5, 5, 9]])
    (found,) = lint([image(folder, boxes=boxes, names=("ship",) * 2)])
    assert (found.kind, found.what) == (
        "box without area",
        "1 of 2 boxes cover nothing, or less than a pixel",
    )


@pytest.mark.parametrize("caption", ["", " . ", "1 .", "..."])
def test_a_caption_without_a_word_is_found(folder, caption):
    (found,) = lint([image(folder, captions=("a port .", caption))])
    assert found.kind == "empty caption"
    assert found.what.startswith("1 of 2 captions hold no word")


def test_a_caption_in_chinese_has_words(folder):
    assert lint([image(folder, captions=("港口里有几艘船。",))]) == []


def test_a_class_with_few_images_is_found(folder):
    found = lint([image(folder, f"{n}", label="Port") for n in range(4)])
    assert [(f.kind, f.where, f.what) for f in found] == [("small class", "Port", "4 images only")]


def test_a_source_without_licence_is_found_once(folder):
    images = [replace(image(folder, f"{n}"), licence=None) for n in range(3)]
    (found,) = lint(images)
    assert (found.kind, found.where, found.what) == (
        "no licence", "here", "3 images state no licence",
    )  # fmt: skip


def test_progress_is_told_image_by_image(folder):
    told = []
    looks_of([image(folder, "a"), image(folder, "b")], lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]


def test_an_empty_set_has_no_finding():
    assert lint([]) == []


def test_known_faults_of_real_data_are_found(data_folder):
    found = lint(read(data_folder / "rsicd_aid"))
    assert {(finding.kind, finding.where) for finding in found} == {
        ("duplicate", "images/Industrial/industrial_203"),
        ("empty caption", "images/Church/church_235"),
        ("no licence", "rsicd_aid"),
    }


def test_a_question_without_words_or_answer_is_found(folder):
    asked = (Question("Any ship?", "no"), Question("?", "no"), Question("Any pier?", " "))
    (found,) = lint([image(folder, questions=asked)])
    assert (found.kind, found.where) == ("empty question", "Port/a")
    assert found.what.startswith("2 of 3 questions ask nothing or have no answer")


def test_a_sequence_with_a_lost_frame_is_unreadable(folder):
    one, two = (str(folder.picture(f"{name}.png")) for name in "ab")
    sequence = AnnotatedImage("s", one, (16, 12), frames=(one, two), licence="CC0-1.0")
    assert lint([sequence]) == []
    Path(two).unlink()
    (found,) = lint([sequence])
    assert found.kind == "unreadable" and "b.png: no such file" in found.what


def test_clips_that_begin_alike_are_no_copies_and_equal_ones_are(folder):
    clips = [write_clip(folder.path / f"{n}.mp4", frames=n) for n in (6, 10)]
    frames = [
        (f"{clip}#frame=0", f"{clip}#frame={n - 1}") for clip, n in zip(clips, (6, 10), strict=True)
    ]
    rows = [
        AnnotatedImage(f"{n}", own[0], (32, 16), frames=own, split="train", licence="CC0-1.0")
        for n, own in enumerate(frames)
    ]
    assert lint(rows) == []
    (found,) = lint([rows[0], replace(rows[0], id="again", scene="again", split="test")])
    assert found.kind == "leak"


def test_each_finding_says_how_many_and_what_swath_does(folder):
    boxes = Boxes.from_hbb([[1, 1, 3, 3], [5, 5, 5, 9], [6, 6, 6, 6]])
    (found,) = lint([image(folder, boxes=boxes, names=("ship",) * 3)])
    assert (found.count, found.effect) == (2, "left out")


def test_boxes_written_twice_without_class_or_within_a_pixel_are_found_and_left_out(folder):
    """As COCO rows pasted twice, a blank line of classes.txt, and shares taken for pixels."""
    square = Boxes.from_hbb([[1, 1, 9, 9]]).quads[0]
    turned = np.roll(square, 1, axis=0)  # the same object, another corner first
    shares = Boxes.from_hbb([[0.1, 0.2, 0.9, 0.7], [20, 20, 30, 30]]).quads
    boxes = Boxes(np.stack([square, turned, *shares, square]))
    classes = ("ship", "ship", "ship", " ", "quay")
    given = image(folder, boxes=boxes, names=classes, listed=("quay", "ship"))
    kinds = {finding.kind: finding.count for finding in lint([given])}
    assert kinds == {"box without area": 1, "box without class": 1, "box twice": 1}
    assert usable(given).names == ("ship", "quay")
    assert usable(given).listed == ()  # what was left out may be a third ship
    phrases = ("the left ship", "the ship at the quay")
    twice = image(folder, boxes=Boxes(np.stack([square, square])), names=("ship",) * 2, listed=())
    assert len(usable(replace(twice, phrases=phrases)).boxes) == 2
    counted = usable(replace(twice, listed=("ship",)))
    assert (counted.names, counted.listed) == (("ship",), ("ship",))


def test_a_dialogue_without_an_answer_is_left_out(folder):
    talks = ((("What?", "A port."),), (("What?", "A port."), ("And?", " ")))
    assert usable(image(folder, dialogues=talks)).dialogues == talks[:1]


def test_what_is_left_out_is_what_lint_says(folder):
    boxes = Boxes.from_hbb([[1, 1, 3, 3], [5, 5, 5, 9], [70, 1, 90, 9]])
    given = image(
        folder,
        boxes=boxes,
        names=("ship", "quay", "crane"),
        captions=("a port", "."),
        questions=(Question("How many  in the picture?", "2"), Question("Any ship?", "yes")),
    )
    kinds = {found.kind: found for found in lint([given])}
    assert set(kinds) == {"box outside", "box without area", "empty caption", "missing noun"}
    assert "1 lie wholly outside" in kinds["box outside"].what
    kept = usable(given)
    assert (kept.names, kept.captions) == (("ship",), ("a port",))
    assert [one.question for one in kept.questions] == ["Any ship?"]
    assert lint([kept]) == []
    assert usable(kept) is kept


@pytest.mark.parametrize(
    "asked",
    [
        "How many  in the picture?",
        "How many  are there?",
        "How many are there in the image?",
        "What is the location of the  in this picture?",
        "Is there a ?",
        "Are there more  than roads?",
    ],
)
def test_a_question_with_a_missing_noun_is_found(folder, asked):
    (found,) = lint([image(folder, questions=(Question(asked, "2"),))])
    assert (found.kind, found.action) == ("missing noun", "write it, or remove the question")


@pytest.mark.parametrize(
    "asked",
    [
        "How many ships are there?",
        "How many are there?",
        "Is there a  building in the picture?",
        "Is it a rural or an urban area?",
        "Are there any of the ships?",
    ],
)
def test_a_question_with_its_noun_is_sound(folder, asked):
    assert lint([image(folder, questions=(Question(asked, "2"),))]) == []


def test_missing_nouns_of_real_questions_are_found(data_folder):
    files = sorted((data_folder / "rsivqa_text_only").glob("*.txt"))
    lines = "\n".join(file.read_text("utf-8", "replace") for file in files)
    asked = [line.partition(":")[2].rpartition("?")[0] + "?" for line in lines.splitlines()]
    images = [AnnotatedImage(str(n), "", (1, 1), questions=(Question(a, "1"),))
              for n, a in enumerate(asked)]  # fmt: skip
    lost = [one for one in images if not usable(one).questions]
    lost = [one for one in lost if one.questions[0].question != "?"]
    assert {one.questions[0].question for one in lost} == {
        "How many  in the picture?",
        "What is the location of the  in this picture?",
    }


def test_boxes_in_text_that_no_image_can_hold_are_named():
    assert text_faults("at {<10><20><30><40>|<90>} and {<0><0><100><100>}") == []
    assert text_faults("{<10><20><30><40>|<365>}") == [
        ("angle out of range", "angle 365 in {<10><20><30><40>|<365>}")
    ]
    assert [kind for kind, _ in text_faults("{<-2><20><103><40>|<45>}")] == ["beyond the grid"]
    assert [kind for kind, _ in text_faults("{<30><20><30><40>}")] == ["box without area"]


def test_faults_that_a_reader_noted_are_counted_by_kind(folder):
    faults = (("angle out of range", "angle 365"), ("angle out of range", "angle 400"))
    (found,) = lint([image(folder, faults=faults)])
    assert (found.kind, found.what, found.count) == (
        "angle out of range", "angle 365, angle 400", 2,
    )  # fmt: skip


def test_a_set_split_by_expression_is_told_and_how_to_split_by_image(folder):
    """Of DIOR-RSVG's layout: the lists name expressions, numbered through all pictures."""
    for number in (1, 2):
        folder.picture(f"JPEGImages/0000{number}.jpg", (40, 40))
        objects = "".join(
            f"<object><name>ship</name><bndbox><xmin>{x}</xmin><ymin>2</ymin><xmax>{x + 9}</xmax>"
            f"<ymax>9</ymax></bndbox><description>ship {x}</description></object>"
            for x in (1, 20)
        )
        folder.text(
            f"Annotations/0000{number}.xml",
            f"<annotation><filename>0000{number}.jpg</filename><size><width>40</width>"
            f"<height>40</height><depth>3</depth></size>{objects}</annotation>",
        )
    folder.text("train.txt", "0", "2")
    folder.text("val.txt", "")
    folder.text("test.txt", "1", "3")
    images = read(folder.path)
    assert [one.split for one in images] == ["train", "test"] * 2
    found = [one for one in lint(images) if one.kind in LEAKS]
    assert [one.kind for one in found] == ["leak", "leak"]
    assert "annotations.keep_given_split=false annotations.split_by=image" in found[0].action
    anew = [replace(one, split=None) for one in images]
    apart = split_images(anew, {"train": 0.5, "test": 0.5}, seed=0, by="image")
    assert [one for one in lint(apart) if one.kind in LEAKS] == []
    assert {one.split for one in apart} == {"train", "test"}


def test_angles_and_coordinates_beyond_geochats_grid_are_found(folder):
    """Of GeoChat_Instruct's layout."""
    folder.picture("share/a.jpg", (64, 64))
    said = "<p>plane</p> {<10><10><30><30>|<365>}<delim>{<-3><40><20><104>|<45>}"
    folder.json(
        "GeoChat_Instruct.json",
        [
            {
                "id": "a",
                "image": "share/a.jpg",
                "conversations": [
                    {"from": "human", "value": "<image>\n[grounding] describe the image"},
                    {"from": "gpt", "value": said},
                ],
            }
        ],
    )
    kinds = {one.kind for one in lint(read(folder.path / "GeoChat_Instruct.json"))}
    assert {"angle out of range", "beyond the grid", "box outside"} <= kinds
