"""Scores of captions: BLEU-4, ROUGE-L, CIDEr as COCO scores them; and whether the class is named.

The scorers are those of `pycocoevalcap`. Its tokeniser is a Java program; ours is the regular
expression below, so scores come close to published ones without being comparable to the digit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.metrics import Measure, mean_of, share_of
from swath.evaluation.predictions import Prediction

TOKENISER = "swath-words-1"
"""Lower case; runs of letters and digits, with inner apostrophes; each Chinese character alone;
punctuation dropped."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_WORD = rf"(?:(?![{_HAN}])[^\W_])+"
_TOKENS = re.compile(rf"[{_HAN}]|{_WORD}(?:['’]{_WORD})*")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def measures(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """BLEU-4, ROUGE-L, CIDEr and, where truths have a class, the share of captions naming it.

    An empty caption is scored as the empty string, not left out.

    Args:
        predictions: of task "caption".
        labels: not used.
    """
    answers = [tokenise(one.answer) for one in predictions]
    references = [[tokenise(text) for text in one.truth["captions"]] for one in predictions]
    scenes = tuple(one.scene for one in predictions)
    found = {
        "bleu4": Measure(bleu_rows(answers, references), bleu, scenes),
        "rouge_l": mean_of(rouge_l(answers, references), scenes),
        "cider": mean_of(cider(answers, references), scenes),
    }
    classed = [one for one in predictions if one.truth.get("label")]
    if classed:
        named = [names_class(one.answer, one.truth["label"]) for one in classed]
        found["names_class"] = share_of(named, [one.scene for one in classed])
    return found


def tokenise(caption: str) -> str:
    """The words of a caption joined by single spaces, by the rule of `TOKENISER`.

    Line breaks of every kind become spaces: the COCO tokeniser would shift all later captions to
    the wrong image at `\\r` or U+2028.
    """
    return " ".join(_TOKENS.findall(caption.lower()))


def bleu_rows(answers: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """What each caption adds to corpus BLEU-4, (n, 10).

    Matching n-grams for n = 1 to 4, all n-grams likewise, length, closest reference length.

    Args:
        answers: n tokenised captions.
        references: the tokenised references of each.
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for answer, several in zip(answers, references, strict=True):
        scorer += (answer, list(several))
    rows = []
    for one in scorer.ctest:
        length = one["testlen"]
        closest = min((abs(other - length), other) for other in one["reflen"])[1]
        rows.append([*one["correct"], *one["guess"], length, closest])
    return np.asarray(rows, dtype=np.float64).reshape(-1, 10)


def bleu(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corpus BLEU-4 of summed `bleu_rows`, to the digit as pycocoevalcap computes it."""
    precision = (sums[..., 0:4] + 1e-15) / (sums[..., 4:8] + 1e-9)
    ratio = (sums[..., 8] + 1e-15) / (sums[..., 9] + 1e-9)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    value: NDArray[np.float64] = np.prod(precision, axis=-1) ** 0.25 * brevity
    return value


def rouge_l(answers: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """ROUGE-L of each tokenised caption, (n,)."""
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Rouge()
    return np.array(
        [scorer.calc_score([a], list(r)) for a, r in zip(answers, references, strict=True)],
        dtype=np.float64,
    )


def cider(answers: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D of each tokenised caption, 0 to 10, (n,).

    Document frequencies come from these references, so a subset scores differently; with one image
    all are 0.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    if not any("".join(several) for several in references):
        return np.zeros(len(answers))  # the scorer takes the largest frequency, and there is none
    scorer = CiderScorer(n=4, sigma=6.0)
    for answer, several in zip(answers, references, strict=True):
        scorer += (answer, list(several))
    return np.asarray(scorer.compute_score()[1], dtype=np.float64)


def names_class(caption: str, label: str) -> bool:
    """Whether consecutive words of the caption, written together, are those of the label.

    "BaseballField", "baseball_field" and "baseballfield" are all named by "two baseball fields":
    case and word breaks are dropped, and the last word may be singular or plural.
    """
    wanted = _numbers("".join(words(label)))
    tokens = tokenise(caption).split()
    longest = max(map(len, wanted), default=0) + 2
    for start in range(len(tokens)):
        run = ""
        for token in tokens[start:]:
            run += token
            if len(run) > longest:
                break
            if wanted & _numbers(run):
                return True
    return False


def words(label: str) -> list[str]:
    """The lower-case words of a label: "BaseballField" is baseball, field."""
    return tokenise(_CAMEL.sub(" ", label).replace("_", " ")).split()


def _numbers(word: str) -> set[str]:
    """A word and what it may be the plural of."""
    forms = {word}
    if len(word) > 3 and word.endswith("s"):
        forms.add(word[:-1])
        if word.endswith("es"):
            forms.add(word[:-2])
        if word.endswith("ies"):
            forms.add(word[:-3] + "y")
    return forms
