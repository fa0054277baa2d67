"""BLEU, ROUGE-L and CIDEr-D of tokenised captions, to the digit as `pycocoevalcap` computes them.

All n-grams are counted at once in sparse matrices with a row a sentence and a column an n-gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from scipy.sparse import csr_array

from swath.boxes import Floats
from swath.evaluation.metrics.base import share

LONGEST = 4
"""Words of the longest n-gram that counts."""

_BETA = 1.2  # of ROUGE-L: recall counts more
_SIGMA = 6.0  # of CIDEr-D, in bigrams

Ints = NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Sentences:
    """The words of n captions and of all their references.

    Args:
        answers: words of each caption.
        references: words of each reference, image after image.
        image: the image of each reference.
    """

    answers: list[list[str]]
    references: list[list[str]]
    image: Ints

    @classmethod
    def of(cls, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Sentences:
        """The sentences of n tokenised answers and the references of each."""
        sizes = [len(texts) for texts in references]
        return cls(
            answers=[text.split() for text in answers],
            references=[text.split() for text in chain.from_iterable(references)],
            image=np.repeat(np.arange(len(answers)), sizes),
        )

    @cached_property
    def lengths(self) -> Ints:
        """Words of each sentence: the answers, then the references."""
        return np.array([len(words) for words in chain(self.answers, self.references)], np.int64)

    @cached_property
    def counts(self) -> list[csr_array]:
        """For n = 1 to 4 how often a sentence holds an n-gram: answers, references, an empty one.

        Each is (sentences + 1, n-grams).
        """
        numbers: dict[str, int] = {}
        words = chain.from_iterable(chain(self.answers, self.references))
        word = np.array([numbers.setdefault(text, len(numbers)) for text in words], np.int64)
        sentence = np.repeat(np.arange(len(self.lengths)), self.lengths)
        end = np.repeat(np.cumsum(self.lengths), self.lengths)  # of each word's sentence
        start = np.arange(len(word))
        gram = word  # the number of the n-gram that begins at each start
        tables = []
        for n in range(1, LONGEST + 1):
            shape = (len(self.lengths) + 1, gram.max(initial=0) + 1)
            places = (sentence[start], gram)
            tables.append(csr_array((np.ones(len(gram), np.int64), places), shape))
            longer = start + n < end[start]
            start = start[longer]
            keys = gram[longer] * len(numbers) + word[start + n]
            gram = np.unique(keys, return_inverse=True)[1]
        return tables

    def highest(self, counts: csr_array) -> csr_array:
        """How often each n-gram stands in that reference of an image that has it most."""
        number = len(self.answers)
        place = np.arange(len(self.image)) - np.searchsorted(self.image, self.image)
        # Of each image the row of its first, second ... reference; the empty one where it has less.
        rows = np.full((place.max(initial=0) + 1, number), counts.shape[0] - 1)
        rows[place, self.image] = number + np.arange(len(self.image))
        highest = counts[rows[0]]
        for later in rows[1:]:
            highest = highest.maximum(counts[later])
        return highest


def bleu_rows(sentences: Sentences) -> Floats:
    """What each caption adds to corpus BLEU-4, (n, 10).

    Matching n-grams for n = 1 to 4, all n-grams likewise, length, closest reference length.
    """
    number = len(sentences.answers)
    answers, references = np.split(sentences.lengths, [number])
    image = sentences.image
    rows = np.zeros((number, 2 * LONGEST + 2))
    for n, counts in enumerate(sentences.counts):
        matching = counts[:number].minimum(sentences.highest(counts))
        rows[:, n] = matching.sum(axis=1)
        rows[:, LONGEST + n] = np.maximum(answers - n, 0)
    rows[:, 2 * LONGEST] = answers
    away = np.abs(references - answers[image])
    order = np.lexsort((references, away, image))  # a tie: the shorter
    images, closest = np.unique(image[order], return_index=True)
    rows[images, 2 * LONGEST + 1] = references[order][closest]
    return rows


def bleu(sums: Floats, longest: int = LONGEST) -> Floats:
    """Corpus BLEU of summed `bleu_rows`, of n-grams up to `longest` words."""
    matching = sums[..., :longest]
    possible = sums[..., LONGEST : LONGEST + longest]
    precision = (matching + 1e-15) / (possible + 1e-9)
    ratio = (sums[..., 2 * LONGEST] + 1e-15) / (sums[..., 2 * LONGEST + 1] + 1e-9)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    value: Floats = np.prod(precision, axis=-1) ** (1 / longest) * brevity
    return value


def cider(sentences: Sentences, plain: bool = False) -> Floats:
    """CIDEr-D of each caption, 0 to 10, (n,).

    Document frequencies come from these references, so a subset scores differently; with one image
    all are 0.

    Args:
        plain: CIDEr as first defined: repeated words and other lengths cost nothing.

    Source: CIDEr-D (arXiv:1411.5726), as coco-caption computes it: term counts are not divided by
    the length, and the length penalty counts bigrams.
    """
    number = len(sentences.answers)
    image = sentences.image
    similarity = np.zeros(len(image))  # of each reference to its answer, summed over n
    for counts in sentences.counts:
        documents = np.bincount(sentences.highest(counts).indices, minlength=counts.shape[1])
        idf = np.log(max(1, number)) - np.log(np.maximum(1, documents))
        weights = counts.multiply(idf).tocsr()
        norms = np.sqrt(weights.power(2).sum(axis=1))
        answers = weights[:number][image]
        references = weights[number:-1]
        shared = answers if plain else answers.minimum(references)
        products = shared.multiply(references).sum(axis=1)
        similarity += share(products, norms[:number][image] * norms[number:-1])
    if not plain:
        bigrams = np.maximum(sentences.lengths - 1, 0)
        difference = bigrams[number:] - bigrams[:number][image]
        similarity *= np.exp(-(difference**2) / (2 * _SIGMA**2))
    sums = np.bincount(image, similarity, minlength=number)
    value: Floats = 10 * sums / (LONGEST * np.bincount(image, minlength=number))
    return value


def rouge_l(sentences: Sentences) -> Floats:
    """ROUGE-L of each caption, (n,): best precision and best recall, beta 1.2."""
    number = len(sentences.answers)
    image = sentences.image
    lengths = np.maximum(sentences.lengths, 1)
    shared = in_common(sentences)
    precision = np.zeros(number)
    recall = np.zeros(number)
    np.maximum.at(precision, image, shared / lengths[:number][image])
    np.maximum.at(recall, image, shared / lengths[number:])
    return share((1 + _BETA**2) * precision * recall, recall + _BETA**2 * precision)


def in_common(sentences: Sentences) -> Ints:
    """Words of the longest common subsequence of each reference and the answer to its image.

    Two empty captions count as one word in common, as in the original.
    """
    common = []
    for image, reference in zip(sentences.image, sentences.references, strict=True):
        answer = sentences.answers[image]
        both_empty = not answer and not reference
        common.append(1 if both_empty else LCSseq.similarity(answer, reference))
    return np.array(common, np.int64)
