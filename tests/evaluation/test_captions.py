import json

import numpy as np
import pytest

from swath.evaluation import captions
from swath.evaluation.captions import names_class, tokenise
from tests.evaluation.making import predicted

SENTENCE = "many planes are parked near a large terminal"


def captioned(*pairs):
    return [
        predicted(i, "caption", {"captions": references}, answer=answer)
        for i, (answer, references) in enumerate(pairs)
    ]


def test_tokens_are_lower_case_words_without_punctuation_or_line_breaks():
    assert (
        tokenise("Two Ships,\r\nnear-by\u2028the pier's end!") == "two ships near by the pier's end"
    )
    assert tokenise("一艘船 ship") == "一 艘 船 ship"


def test_a_perfect_caption_scores_one_and_an_empty_one_zero():
    perfect = captions.measures(captioned((SENTENCE, [SENTENCE])))
    assert perfect["bleu4"].value == pytest.approx(1)
    assert perfect["rouge_l"].value == pytest.approx(1)
    empty = captions.measures(captioned(("", [SENTENCE])))
    assert empty["bleu4"].value == 0
    assert empty["rouge_l"].value == 0


def test_cider_of_one_image_is_zero_for_all_its_words_are_in_every_image():
    assert captions.measures(captioned((SENTENCE, [SENTENCE])))["cider"].value == 0


def test_rouge_l_of_half_a_sentence_follows_the_formula():
    # 4 of 8 words in order: P = 1, R = 1/2, F = (1 + 1.44) P R / (R + 1.44 P).
    value = captions.rouge_l(["many planes are parked"], [[SENTENCE]])[0]
    assert value == pytest.approx(2.44 * 0.5 / (0.5 + 1.44))


def test_corpus_bleu_is_computed_from_sums_and_not_a_mean():
    answers, references = ["a b c d e", "a x"], [["a b c d e"], ["p q r s t"]]
    rows = captions.bleu_rows(answers, references)
    assert rows[0].tolist() == [5, 4, 3, 2, 5, 4, 3, 2, 5, 5]
    assert rows[1].tolist() == [0, 0, 0, 0, 2, 1, 0, 0, 2, 5]
    precision = (5 / 7 * 4 / 5 * 3 / 3 * 2 / 2) ** 0.25
    assert captions.bleu(rows.sum(axis=0)) == pytest.approx(precision * np.exp(1 - 10 / 7))


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


def test_caption_scores_equal_the_vectors(vectors_folder):
    files = sorted(vectors_folder.glob("caption_*.json"))
    assert files
    for path in files:
        vectors = json.loads(path.read_text())
        cases, corpus = vectors["cases"], vectors["expected_corpus"]
        answers = [case["hyp_tok"] for case in cases]
        references = [case["refs_tok"] for case in cases]
        rows = captions.bleu_rows(answers, references)
        wanted = {
            "Bleu_4": (captions.bleu(rows), captions.bleu(rows.sum(axis=0))),
            "ROUGE_L": 2 * (captions.rouge_l(answers, references),),
            "CIDEr": 2 * (captions.cider(answers, references),),
        }
        for name, (each, all_) in wanted.items():
            message = f"{path.name}: {name}"
            assert np.mean(all_) == pytest.approx(corpus[name], abs=1e-9), message
            if all(name in case["expected"] for case in cases):
                theirs = [case["expected"][name] for case in cases]
                np.testing.assert_allclose(each, theirs, atol=1e-9, err_msg=message)
