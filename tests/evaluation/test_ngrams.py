import json

import numpy as np
import pytest

from swath.evaluation import ngrams

SENTENCE = "many planes are parked near a large terminal"


def test_rouge_l_of_half_a_sentence_follows_the_formula():
    # 4 of 8 words in order: P = 1, R = 1/2, F = (1 + 1.44) P R / (R + 1.44 P).
    value = ngrams.rouge_l(["many planes are parked"], [[SENTENCE]])[0]
    assert value == pytest.approx(2.44 * 0.5 / (0.5 + 1.44))


def test_rouge_l_takes_words_in_order_and_the_best_of_the_references():
    # "a b c" and "c a b" share "a b": P = R = 2/3, so F = 2/3 too.
    assert ngrams.rouge_l(["a b c"], [["c a b", "x"]])[0] == pytest.approx(2 / 3)


def test_corpus_bleu_is_computed_from_sums_and_not_a_mean():
    answers, references = ["a b c d e", "a x"], [["a b c d e"], ["p q r s t"]]
    rows = ngrams.bleu_rows(answers, references)
    assert rows[0].tolist() == [5, 4, 3, 2, 5, 4, 3, 2, 5, 5]
    assert rows[1].tolist() == [0, 0, 0, 0, 2, 1, 0, 0, 2, 5]
    precision = (5 / 7 * 4 / 5 * 3 / 3 * 2 / 2) ** 0.25
    assert ngrams.bleu(rows.sum(axis=0)) == pytest.approx(precision * np.exp(1 - 10 / 7))


def test_a_repeated_word_counts_as_often_as_in_the_reference_that_has_it_most():
    rows = ngrams.bleu_rows(["the the the"], [["the a", "the the b c"]])
    # "the the" stands once in the second reference; 3 words are nearer to 2 and 4: the shorter.
    assert rows[0].tolist() == [2, 1, 0, 0, 3, 2, 1, 0, 3, 2]


def test_cider_of_chinese_characters_follows_the_formula():
    # N = 2 and each word is in one image's references, so idf = log 2 for all and cancels.
    # Image 1: "大 桥" against "大 桥 梁": unigrams 2 / (sqrt 2 sqrt 3), bigrams 1 / sqrt 2, one
    # bigram shorter: exp(-1/72). Image 2 shares nothing.
    values = ngrams.cider(["大 桥", "水"], [["大 桥 梁"], ["山"]])
    wanted = 10 * (2 / 6**0.5 + 1 / 2**0.5) / 4 * np.exp(-1 / 72)
    assert values == pytest.approx([wanted, 0])


def test_captions_without_any_word_score_nothing():
    assert ngrams.cider(["", ""], [[""], [""]]).tolist() == [0, 0]
    assert ngrams.bleu(ngrams.bleu_rows([""], [["a"]]).sum(axis=0)) == 0


def test_all_measures_equal_the_vectors(vectors_folder):
    files = sorted(vectors_folder.glob("caption_*.json"))
    assert len(files) >= 13
    for path in files:
        vectors = json.loads(path.read_text())
        cases, corpus = vectors["cases"], vectors["expected_corpus"]
        answers = [case["hyp_tok"] for case in cases]
        references = [case["refs_tok"] for case in cases]
        rows = ngrams.bleu_rows(answers, references)
        found = {
            f"Bleu_{n}": (ngrams.bleu(rows, n), ngrams.bleu(rows.sum(axis=0), n))
            for n in range(1, 5)
        }
        for name, measure in {"ROUGE_L": ngrams.rouge_l, "CIDEr": ngrams.cider}.items():
            values = measure(answers, references)
            found[name] = values, values.mean()
        for name, (each, of_all) in found.items():
            message = f"{path.name}: {name}"
            assert of_all == pytest.approx(corpus[name], rel=1e-9, abs=1e-9), message
            theirs = [case["expected"][name] for case in cases]
            np.testing.assert_allclose(each, theirs, rtol=1e-9, atol=1e-9, err_msg=message)
