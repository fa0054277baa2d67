import pytest

from swath.annotations.image import Question
from swath.annotations.readers import read, recognise
from swath.errors import AnnotationError


def test_lines_divide_at_the_first_colon_and_the_last_question_mark(folder):
    folder.picture("1.png")
    folder.picture("2.png")
    folder.text(
        "vqa.txt",
        "1.png:what is the theme of this picture?residential",
        "2.png: Time: noon? Or evening?noon",
        "1.png:How many  in the picture?one",
    )
    assert recognise(folder.path).name == "rsivqa"
    one, two = read(folder.path)
    assert one.questions == (
        Question("what is the theme of this picture?", "residential"),
        Question("How many  in the picture?", "one"),
    )
    assert two.questions == (Question("Time: noon? Or evening?", "noon"),)


def test_questions_beside_class_folders_join_their_images(folder):
    folder.picture("Port/a.png")
    folder.picture("River/b.png")
    folder.text("vqa.txt", "b.png:is there water?yes", "Port/a:is there water?yes")
    folder.text("README.txt", "Note: what is here? pictures")
    images = {image.label: image.questions for image in read(folder.path)}
    assert images == dict.fromkeys(("Port", "River"), (Question("is there water?", "yes"),))


def test_a_name_that_means_two_pictures_is_refused(folder):
    folder.picture("Port/a.png")
    folder.picture("River/a.png")
    folder.text("vqa.txt", "a.png:is there water?yes")
    with pytest.raises(
        AnnotationError,
        match=r"'a.png' may be .*Port/a.png or .*River/a.png; ",
    ):
        read(folder.path)


def test_questions_about_absent_pictures_are_refused(folder):
    folder.picture("1.png")
    file = folder.text("vqa.txt", "1.png:is it big?no", "2.tif:is it big?yes")
    for path in (folder.path, file):
        with pytest.raises(AnnotationError, match=r"1 of 2 pictures are .*: 2.tif; put"):
            read(path)


def test_a_line_that_asks_nothing_is_named(folder):
    folder.picture("1.png")
    folder.text("vqa.txt", "1.png:is it big?no", "1.png is small")
    with pytest.raises(AnnotationError, match=r"vqa.txt:2: expected picture:question\?answer"):
        read(folder.path)


def test_pictures_nobody_asks_about_are_left_out(folder):
    folder.picture("1.png")
    folder.picture("2.png")
    folder.text("vqa.txt", "1.png:is it big?no")
    assert [image.id for image in read(folder.path)] == ["1"]


def test_real_theme_questions_join_the_captions(data_folder):
    images = read(data_folder / "rsicd_aid")
    assert {len(image.questions) for image in images} == {1}
    answers = {image.label: image.questions[0].answer for image in images}
    assert (answers["Airport"], answers["Playground"]) == ("airport", "playfields")


def test_of_rsivqas_sets_each_asks_about_the_pictures_in_its_folder(folder):
    for place in ("UCM", "Sydney"):
        folder.picture(f"{place}/1.tif")
    folder.text("UCM/ucm_vqa.txt", "1.tif:what is it?a farm")
    folder.text("Sydney/sydney_vqa.txt", "1.tif:is there a river?no")
    assert recognise(folder.path).name == "rsivqa"
    answers = {image.id: image.questions[0].answer for image in read(folder.path)}
    assert answers == {"UCM/1": "a farm", "Sydney/1": "no"}
