"""BLEU, ROUGE-L and CIDEr-D of tokenised captions, to the digit as `pycocoevalcap` computes them.

Words become numbers and the n-grams of all captions are counted at once by sorting, so that a test
set takes half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.metrics.base import share

LONGEST = 4
"""Words of the longest n-gram that counts."""

_BETA = 1.2  # of ROUGE-L: recall counts more
_SIGMA = 6.0  # of CIDEr-D, in bigrams

Ints = NDArray[np.signedinteger]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sentences:
    """Captions as numbers: of each image the answer, then its references, image after image.

    Args:
        words: the number of every word, sentence after sentence.
        sentence: the sentence of every word.
        lengths: words of each sentence.
        image: the image of each sentence.
        answered: which sentences are answers.
    """

    words: Ints
    sentence: Ints
    lengths: Ints
    image: Ints
    answered: Flags

    @classmethod
    def of(cls, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Sentences:
        """The sentences of n tokenised answers and the references of each."""
        texts = [
            text
            for answer, several in zip(answers, references, strict=True)
            for text in (answer, *several)
        ]
        sizes = np.array([1 + len(several) for several in references], dtype=np.int64)
        answered = np.zeros(len(texts), dtype=bool)
        answered[np.cumsum(sizes) - sizes] = True
        once = {text: place for place, text in enumerate(dict.fromkeys(texts))}  # many come again
        split = [text.split() for text in once]
        number = {word: place for place, word in enumerate(dict.fromkeys(chain(*split)))}
        words = np.fromiter(map(number.__getitem__, chain(*split)), np.int32)
        lengths = np.fromiter(map(len, split), np.int32, len(split))
        which = np.fromiter(map(once.__getitem__, texts), np.int32, len(texts))
        shift = (np.cumsum(lengths) - lengths)[which]  # from each sentence to its words
        lengths = lengths[which]
        shift -= np.cumsum(lengths) - lengths
        sentence = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
        return cls(
            words=words[np.arange(len(sentence)) + shift[sentence]],
            sentence=sentence,
            lengths=lengths,
            image=np.repeat(np.arange(len(answers), dtype=np.int32), sizes),
            answered=answered,
        )

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return int(self.answered.sum())

    @cached_property
    def grams(self) -> list[Grams]:
        """The n-grams for n = 1 to 4."""
        every: list[Grams] = []
        before = np.zeros(len(self.words), dtype=np.int32)  # the (n - 1)-gram at each word
        for n in range(1, LONGEST + 1):
            last = self.sentence[n - 1 :]
            begin = np.flatnonzero(last == self.sentence[: len(last)])
            every.append(self._counted(begin, before, n))
            before[begin] = every[-1].gram[every[-1].row]
        return every

    def _counted(self, begin: Ints, before: Ints, n: int) -> Grams:
        """The n-grams at some words, sorted by n-gram and sentence."""
        bits = len(self.lengths).bit_length()
        keys = before[begin].astype(np.int64)
        keys *= int(self.words.max(initial=0)) + 1
        keys += self.words[begin + (n - 1)]
        if int(keys.max(initial=0)).bit_length() + bits > 63:
            keys = np.unique(keys, return_inverse=True)[1]
        keys <<= bits
        keys |= self.sentence[begin]
        order = np.argsort(keys)
        keys = keys[order]
        new = _changes(keys)
        row = np.empty(len(keys), dtype=np.int32)
        row[order] = np.cumsum(new, dtype=np.int32) - 1
        starts = np.flatnonzero(new)
        keys = keys[starts]
        sentence = (keys & ((1 << bits) - 1)).astype(np.int32)
        other = _changes(keys >> bits)
        other_image = other | _changes(self.image[sentence])
        return Grams(
            row=row,
            sentence=sentence,
            gram=np.cumsum(other, dtype=np.int32) - 1,
            count=_sizes(starts, len(row)),
            group=np.cumsum(other_image, dtype=np.int32) - 1,
            first=np.flatnonzero(other_image),
            of=self,
        )


@dataclass(frozen=True, eq=False)
class Grams:
    """The n-grams of one n: a row for each that a sentence holds, by n-gram, then by sentence.

    Rows of one n-gram and one image are a group; as the answer is the first of an image's
    sentences, its row is the group's first if it holds the n-gram at all.

    Args:
        row: the row of each n-gram of the text.
        sentence: where it stands.
        gram: its number.
        count: how often it stands there.
        group: the group of each row.
        first: the first row of each group.
        of: the sentences.
    """

    row: Ints
    sentence: Ints
    gram: Ints
    count: Ints
    group: Ints
    first: Ints
    of: Sentences

    @cached_property
    def answered(self) -> Flags:
        """Which rows are an answer's."""
        return self.of.answered[self.sentence]


def bleu_rows(some: Sentences) -> Floats:
    """What each caption adds to corpus BLEU-4, (n, 10).

    Matching n-grams for n = 1 to 4, all n-grams likewise, length, closest reference length.
    """
    rows = np.zeros((some.answers, 2 * LONGEST + 2))
    lengths = some.lengths[some.answered]
    for n, grams in enumerate(some.grams):
        if len(grams.first):
            most = np.maximum.reduceat(grams.count * ~grams.answered, grams.first)
            own = (grams.count * grams.answered)[grams.first]
            image = some.image[grams.sentence[grams.first]]
            rows[:, n] = np.bincount(image, np.minimum(own, most), minlength=len(rows))
        rows[:, LONGEST + n] = np.maximum(lengths - n, 0)
    rows[:, 2 * LONGEST] = lengths
    others, image = some.lengths[~some.answered], some.image[~some.answered]
    order = np.lexsort((others, np.abs(others - lengths[image]), image))  # a tie: the shorter
    first = np.unique(image[order], return_index=True)
    rows[first[0], 2 * LONGEST + 1] = others[order][first[1]]
    return rows


def bleu(sums: Floats, longest: int = LONGEST) -> Floats:
    """Corpus BLEU of summed `bleu_rows`, of n-grams up to `longest` words."""
    precision = (sums[..., :longest] + 1e-15) / (sums[..., LONGEST : LONGEST + longest] + 1e-9)
    ratio = (sums[..., 2 * LONGEST] + 1e-15) / (sums[..., 2 * LONGEST + 1] + 1e-9)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    value: Floats = np.prod(precision, axis=-1) ** (1 / longest) * brevity
    return value


def cider(some: Sentences, plain: bool = False) -> Floats:
    """CIDEr-D of each caption, 0 to 10, (n,).

    Document frequencies come from these references, so a subset scores differently; with one image
    all are 0.

    Args:
        some: captions and references.
        plain: CIDEr as first defined: repeated words and other lengths cost nothing.

    Source: CIDEr-D (arXiv:1411.5726), as coco-caption computes it: term counts are not divided by
    the length, and the length penalty counts bigrams.
    """
    number = len(some.lengths)
    answer = np.flatnonzero(some.answered)[some.image]  # of each sentence
    total = np.zeros(number)
    for grams in some.grams:
        first = grams.first
        mine = grams.answered[first]
        cited = _sizes(first, len(grams.gram)) > mine  # groups with a reference
        documents = np.bincount(grams.gram[first[cited]], minlength=grams.gram.max(initial=0) + 1)
        idf = np.log(max(1, some.answers)) - np.log(np.maximum(1.0, documents))
        weight = grams.count * idf[grams.gram]
        norm = np.sqrt(np.bincount(grams.sentence, weight**2, minlength=number))
        own = (weight[first] * mine)[grams.group]  # the answer's, or 0
        dot = np.bincount(
            grams.sentence, (own if plain else np.minimum(own, weight)) * weight, minlength=number
        )
        total += share(dot, norm * norm[answer])
    if not plain:
        bigrams = np.maximum(some.lengths - 1, 0)
        total *= np.exp(-((bigrams - bigrams[answer]) ** 2) / (2 * _SIGMA**2))
    theirs, image = total[~some.answered], some.image[~some.answered]
    many = np.bincount(image, minlength=some.answers) * LONGEST
    value: Floats = 10 * np.bincount(image, theirs, minlength=some.answers) / many
    return value


def rouge_l(some: Sentences) -> Floats:
    """ROUGE-L of each caption, (n,): best precision and best recall, beta 1.2.

    Two empty captions count as one word in common, as in the original.
    """
    image, lengths = some.image[~some.answered], np.maximum(some.lengths, 1)
    shared = in_common(some)
    precision, recall = np.zeros(some.answers), np.zeros(some.answers)
    np.maximum.at(precision, image, shared / lengths[some.answered][image])
    np.maximum.at(recall, image, shared / lengths[~some.answered])
    return share((1 + _BETA**2) * precision * recall, recall + _BETA**2 * precision)


def in_common(some: Sentences) -> Ints:
    """Words of the longest common subsequence of each reference and the answer to its image.

    All pairs go forward together, a bit a word of the answer (Hyyrö 2004).
    """
    words = some.grams[0]
    starts = np.cumsum(some.lengths) - some.lengths
    own = some.lengths[some.answered][some.image]  # the answer's length, of each sentence
    place = np.arange(len(some.words)) - starts[some.sentence]
    bits = np.zeros(len(words.sentence), dtype=np.uint64)  # where in the answer a row's word is
    mine = np.flatnonzero(some.answered[some.sentence] & (place < 64))
    np.bitwise_or.at(bits, words.row[mine], np.uint64(1) << place[mine].astype(np.uint64))
    found = bits[words.first][words.group][words.row]  # the same, of each word of the text

    theirs = np.flatnonzero(~some.answered)
    order = theirs[np.argsort(-some.lengths[theirs], kind="stable")]
    begin, longest = starts[order], -some.lengths[order]
    rest = np.full(len(order), ~np.uint64(0))
    for step in range(-int(longest.min(initial=0))):
        live = np.searchsorted(longest, -step)  # references that have a word more
        ahead = rest[:live]
        both = ahead & found[begin[:live] + step]
        rest[:live] = (ahead + both) | (ahead - both)
    number = np.zeros(len(some.lengths), dtype=np.int64)
    number[order] = np.unpackbits((~rest).view(np.uint8)).reshape(-1, 64).sum(axis=1)
    number[(own == 0) & (some.lengths == 0)] = 1
    for long in np.flatnonzero((own > 64) & ~some.answered):
        pair = np.flatnonzero(some.answered)[some.image[long]], long
        number[long] = _in_common(*(some.words[starts[s] :][: some.lengths[s]] for s in pair))
    return number[theirs]


def _changes(values: Ints) -> Flags:
    """Where a value differs from the one before it, the first included."""
    new = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new


def _sizes(starts: Ints, end: int) -> Ints:
    """How many there are from each start to the next, and from the last to the end."""
    sizes = np.empty(len(starts), dtype=np.int32)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1], casting="same_kind")
    sizes[-1:] = end - starts[-1:]
    return sizes


def _in_common(one: Ints, two: Ints) -> int:
    """The same of two sentences, whatever their length."""
    places: dict[int, int] = {}
    for place, word in enumerate(one.tolist()):
        places[word] = places.get(word, 0) | 1 << place
    rest = every = (1 << len(one)) - 1
    for word in two.tolist():
        found = rest & places.get(word, 0)
        rest = (rest + found | rest - found) & every
    return len(one) - rest.bit_count()
