import numpy as np
import pytest

from swath.evaluation.metrics import ngrams
from swath.evaluation.metrics.ngrams import Sentences

SENTENCE = "many planes are parked near a large terminal"


def test_rouge_l_of_half_a_sentence_follows_the_formula():
    # 4 of 8 words in order: P = 1, R = 1/2, F = (1 + 1.44) P R / (R + 1.44 P).
    value = ngrams.rouge_l(Sentences.of(["many planes are parked"], [[SENTENCE]]))[0]
    assert value == pytest.approx(2.44 * 0.5 / (0.5 + 1.44))


def test_rouge_l_takes_words_in_order_and_the_best_of_the_references():
    # "a b c" and "c a b" share "a b": P = R = 2/3, so F = 2/3 too.
    assert ngrams.rouge_l(Sentences.of(["a b c"], [["c a b", "x"]]))[0] == pytest.approx(2 / 3)


def test_corpus_bleu_is_computed_from_sums_and_not_a_mean():
    answers, references = ["a b c d e", "a x"], [["a b c d e"], ["p q r s t"]]
    rows = ngrams.bleu_rows(Sentences.of(answers, references))
    assert rows[0].tolist() == [5, 4, 3, 2, 5, 4, 3, 2, 5, 5]
    assert rows[1].tolist() == [0, 0, 0, 0, 2, 1, 0, 0, 2, 5]
    precision = (5 / 7 * 4 / 5 * 3 / 3 * 2 / 2) ** 0.25
    assert ngrams.bleu(rows.sum(axis=0)) == pytest.approx(precision * np.exp(1 - 10 / 7))


def test_a_repeated_word_counts_as_often_as_in_the_reference_that_has_it_most():
    rows = ngrams.bleu_rows(Sentences.of(["the the the"], [["the a", "the the b c"]]))
    # "the the" stands once in the second reference; 3 words are nearer to 2 and 4: the shorter.
    assert rows[0].tolist() == [2, 1, 0, 0, 3, 2, 1, 0, 3, 2]


def test_cider_of_chinese_characters_follows_the_formula():
    # N = 2 and each word is in one image's references, so idf = log 2 for all and cancels.
    # Image 1: "大 桥" against "大 桥 梁": unigrams 2 / (sqrt 2 sqrt 3), bigrams 1 / sqrt 2, one
    # bigram shorter: exp(-1/72). Image 2 shares nothing.
    values = ngrams.cider(Sentences.of(["大 桥", "水"], [["大 桥 梁"], ["山"]]))
    wanted = 10 * (2 / 6**0.5 + 1 / 2**0.5) / 4 * np.exp(-1 / 72)
    assert values == pytest.approx([wanted, 0])


def test_captions_without_any_word_score_nothing():
    assert ngrams.cider(Sentences.of(["", ""], [[""], [""]])).tolist() == [0, 0]
    assert ngrams.bleu(ngrams.bleu_rows(Sentences.of([""], [["a"]])).sum(axis=0)) == 0


def test_plain_cider_does_not_mind_length_or_repetition():
    some = Sentences.of(["大 桥", "水"], [["大 桥 梁"], ["山"]])
    wanted = 10 * (2 / 6**0.5 + 1 / 2**0.5) / 4
    assert ngrams.cider(some, plain=True) == pytest.approx([wanted, 0])


def test_a_line_break_within_a_caption_shifts_nothing():
    some = Sentences.of(["a\nb", "c"], [["a b"], ["c", ""]])
    assert some.lengths.tolist() == [2, 1, 2, 1, 0]  # answers, then references
    assert ngrams.rouge_l(some) == pytest.approx([1, 1])


def test_two_captions_without_words_have_one_word_in_common_as_in_the_original():
    assert ngrams.in_common(Sentences.of(["", "a", ""], [["", "b"], [""], ["a"]])).tolist() == [
        1, 0, 0, 0
    ]  # fmt: skip


def test_common_subsequences_of_random_sentences_equal_a_plain_table():
    rng = np.random.default_rng(0)
    answers = [" ".join(rng.choice(list("abcdef"), n)) for n in (0, 3, 30, 63, 64, 65, 130)]
    references = [[" ".join(rng.choice(list("abcdefg"), n)) for n in (1, 20, 90)] for _ in answers]
    wanted = []
    for answer, several in zip(answers, references, strict=True):
        for other in several:
            one, two = answer.split(), other.split()
            table = np.zeros((len(one) + 1, len(two) + 1), dtype=int)
            for i, j in np.ndindex(len(one), len(two)):
                same = table[i, j] + 1 if one[i] == two[j] else 0
                table[i + 1, j + 1] = max(same, table[i, j + 1], table[i + 1, j])
            wanted.append(table[-1, -1])
    assert ngrams.in_common(Sentences.of(answers, references)).tolist() == wanted
