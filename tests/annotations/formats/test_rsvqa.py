import pytest

from swath.annotations.image import Question
from swath.annotations.readers import read, recognise
from swath.errors import AnnotationError


def rsvqa(folder, prefix="LR_split_train", answers=((0, "yes"), (1, "4"))):
    """Image 7 is asked two questions; entry 0 of each list is an inactive stub."""
    asked = [
        {"id": 10, "img_id": 7, "type": "presence", "question": "Is there a road?",
         "answers_ids": [0], "active": True},
        {"id": 11, "img_id": 7, "type": "count", "question": "How many roads?",
         "answers_ids": [5, 1], "active": True},
    ]  # fmt: skip
    said = [{"id": key, "answer": word, "active": True} for key, word in answers]
    folder.json(f"{prefix}_questions.json", {"questions": [{"id": 0, "active": False}, *asked]})
    folder.json(f"{prefix}_answers.json", {"answers": [{"id": 5, "active": False}, *said]})
    folder.picture("Images_LR/7.tif")


def test_questions_find_their_answers_by_id_and_stubs_are_skipped(folder):
    rsvqa(folder)
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "rsvqa"
    assert (image.id, image.split) == ("Images_LR/7", "train")
    assert image.questions == (
        Question("Is there a road?", "yes", "presence"),
        Question("How many roads?", "4", "count"),
    )


@pytest.mark.parametrize(
    ("prefix", "split"),
    [("USGS_split_val", "val"), ("USGS_split_test_phili", "test"), ("LR_split_test", "test")],
)
def test_the_file_says_the_split(folder, prefix, split):
    rsvqa(folder, prefix)
    assert read(folder.path)[0].split == split


def test_the_file_of_all_questions_counts_only_alone(folder):
    rsvqa(folder, "all")
    assert read(folder.path)[0].split is None
    rsvqa(folder, "LR_split_train")
    assert [one.split for one in read(folder.path)] == ["train"]


def test_damaged_files_are_refused(folder):
    rsvqa(folder, answers=((0, "yes"),))
    with pytest.raises(AnnotationError, match="question 11 has no active answer"):
        read(folder.path)
    folder.json("LR_split_train_answers.json", {"answers": [1]})
    with pytest.raises(AnnotationError, match=r"answers\[0\] is no object but '1'"):
        read(folder.path)
    rsvqa(folder)
    (folder.path / "Images_LR" / "7.tif").unlink()
    with pytest.raises(AnnotationError, match=r"1 of 1 pictures are not in"):
        read(folder.path)
