import math

import pytest

from swath.inference.word_search import WordSearch, terms


def test_terms_are_words_in_lower_case_and_singular():
    assert list(terms("Two PIERS, grass and the glass-works: 1953!")) == [
        *("two", "pier", "grass", "and", "the", "glass", "work", "1953"),
    ]


def test_terms_of_chinese_are_pairs_and_threes_of_signs():
    assert list(terms("港口归谁所有 A7")) == [
        *("港口", "口归", "归谁", "谁所", "所有"),
        *("港口归", "口归谁", "归谁所", "谁所有"),
        "a7",
    ]
    assert list(terms("湖")) == ["湖"]


def test_a_score_is_the_bm25_of_the_paper():
    search = WordSearch(["port port sea", "sea", "hill top"])
    # Mean length 2. "port" is in 1 of 3 texts: log(1 + 2.5 / 1.5); twice in a text of 3 words.
    rarity = math.log(1 + 2.5 / 1.5)
    expected = rarity * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2))
    assert search.scores("Ports") == pytest.approx([expected, 0, 0])


def test_a_chinese_word_inside_a_sentence_is_found():
    texts = ["东港由蓝海公司于一九五三年建成。", "西湖公园没有围墙。"]
    scores = WordSearch(texts).scores("蓝海公司建成了什么？")
    assert scores[0] > 0 == scores[1]


def test_no_texts_and_no_words_score_nothing():
    assert WordSearch([]).scores("port").tolist() == []
    assert WordSearch(["", "?!"]).scores("port ...").tolist() == [0, 0]
