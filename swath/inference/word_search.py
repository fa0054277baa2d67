"""Search by words: BM25 over words, and over runs of two and three signs where none are spaced.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with
the inverse document frequency of Lucene, which is never negative.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUNS = re.compile(rf"(?P<signs>[{_UNSPACED}]+)|[^\W_{_UNSPACED}]+")
_GRAMS = (2, 3)


def terms(text: str) -> Iterator[str]:
    """What a text is found by: its words in lower case, of Chinese and the like pairs and threes.

    A plural finds its singular: an `s` at the end of a longer word is left off.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    for run in _RUNS.finditer(plain):
        signs = run.group("signs")
        if signs is None:
            yield _singular(run.group())
        elif len(signs) == 1:
            yield signs
        else:
            yield from _grams(signs)


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith("ss"):
        return word
    return word.removesuffix("s")


def _grams(signs: str) -> Iterator[str]:
    for size in _GRAMS:
        last = len(signs) - size
        for start in range(last + 1):
            yield signs[start : start + size]


class WordSearch:
    """The words of some texts.

    Args:
        texts: in the order in which scores come back.
        k1: how soon a word that is repeated stops counting more.
        b: how much a long text is held to say less with each word, 0 to 1.
    """

    def __init__(self, texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        self.size = len(texts)
        self._rows: dict[str, array[int]] = {}  # of the texts that hold a term
        self._counts: dict[str, array[int]] = {}  # and how often each of them does
        lengths = np.zeros(self.size)
        for row, text in enumerate(texts):
            counted = Counter(terms(text))
            lengths[row] = counted.total()
            for term, count in counted.items():
                rows = self._rows.setdefault(term, array("I"))
                rows.append(row)
                counts = self._counts.setdefault(term, array("I"))
                counts.append(count)
        mean = lengths.mean() if lengths.any() else 1.0
        longer = lengths / mean
        self._k1 = k1
        self._slowed = k1 * (1 - b + b * longer)

    def scores(self, query: str) -> NDArray[np.float64]:
        """BM25 of each text for a query; 0 where they share no word."""
        scores = np.zeros(self.size)
        query_terms = Counter(terms(query))
        for term, repeated in query_terms.items():
            if term not in self._rows:
                continue
            rows = np.array(self._rows[term])
            counts = np.array(self._counts[term])
            without = self.size - len(rows)
            rarity = math.log(1 + (without + 0.5) / (len(rows) + 0.5))
            share = counts / (counts + self._slowed[rows])
            scores[rows] += repeated * rarity * (self._k1 + 1) * share
        return scores
