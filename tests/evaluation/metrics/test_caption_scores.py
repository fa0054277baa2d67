import pytest

from swath.boxes import Boxes
from swath.evaluation.metrics import caption_scores as captions
from swath.evaluation.metrics.caption_scores import names_class
from tests.evaluation.making import predicted

SENTENCE = "many planes are parked near a large terminal"


def captioned(*pairs):
    return [
        predicted(i, "caption", {"captions": references}, answer=answer)
        for i, (answer, references) in enumerate(pairs)
    ]


def test_a_perfect_caption_scores_one_and_an_empty_one_zero():
    perfect = captions.measures(captioned((SENTENCE, [SENTENCE])))
    assert perfect["bleu4"].value == pytest.approx(1)
    assert perfect["rouge_l"].value == pytest.approx(1)
    empty = captions.measures(captioned(("", [SENTENCE])))
    assert empty["bleu4"].value == 0
    assert empty["rouge_l"].value == 0


def test_cider_of_one_image_is_zero_for_all_its_words_are_in_every_image():
    assert captions.measures(captioned((SENTENCE, [SENTENCE])))["cider"].value == 0


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("Two baseball fields side by side.", "BaseballField"),
        ("a baseball field", "baseball_field"),
        ("A baseball field", "baseballfield"),
        ("Many storage tanks", "StorageTanks"),
        ("one storage tank", "StorageTanks"),
        ("several factories", "Factory"),
        ("sandy beaches", "Beach"),
    ],
)
def test_a_caption_names_the_class_whatever_its_spelling(caption, label):
    assert names_class(caption, label)


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("a field near a baseball ground", "BaseballField"),
        ("a portable bin", "Port"),
        ("", "Port"),
    ],
)
def test_other_words_do_not_name_the_class(caption, label):
    assert not names_class(caption, label)


def test_naming_the_class_is_measured_among_images_that_have_one():
    some = [
        predicted(1, "caption", {"captions": ["x"], "label": "Port"}, answer="a port"),
        predicted(2, "caption", {"captions": ["x"], "label": "Port"}, answer="a beach"),
        predicted(3, "caption", {"captions": ["x"]}, answer="a port"),
    ]
    measure = captions.measures(some)["names_class"]
    assert (measure.value, len(measure.rows)) == (0.5, 2)


def test_a_description_is_scored_by_its_words_without_boxes_and_by_its_boxes():
    boxes = Boxes.from_hbb([[0, 0, 10, 10], [20, 0, 30, 10]]).quads.reshape(-1, 8).tolist()
    one = predicted(
        1,
        "describe",
        {"captions": ["2 planes are parked near a terminal"], "boxes": boxes, "phrases": ["x"]},
        answer="<p>2 planes</p>{<0><0><10><10>|<90>} are parked near <p>a terminal</p>.",
        boxes=boxes[:1],
    )
    found = captions.described([one])
    assert found["bleu4"].value == pytest.approx(1)
    assert found["rouge_l"].value == pytest.approx(1)
    assert (found["precision@0.5"].value, found["recall@0.5"].value) == (1, 0.5)
