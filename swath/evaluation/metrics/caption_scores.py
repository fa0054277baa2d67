"""Scores of captions: BLEU-4, ROUGE-L, CIDEr as COCO scores them; and whether the class is named.

The words are those of `ptb`, the measures those of `ngrams`; together they give the digits of
`pycocoevalcap`, which published scores come from, without its Java program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from swath.evaluation.metrics.base import Measure, Measures, mean_of, share_of
from swath.evaluation.metrics.grounding import found
from swath.evaluation.metrics.ngrams import Sentences, bleu, bleu_rows, cider, rouge_l
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.predictions import Predictions, scenes_of
from swath.evaluation.reading import numbers_of, without_boxes

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_WORD = rf"(?:(?![{_HAN}])[^\W_])+"
_WORDS = re.compile(rf"[{_HAN}]|{_WORD}(?:['’]{_WORD})*")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def measures(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """BLEU-4, ROUGE-L, CIDEr and, where truths have a class, the share of captions naming it.

    Where CLIP has looked at all of them, CLIPScore and RefCLIPScore too.

    An empty caption is scored as the empty string, not left out.
    """
    answers = [tokenise(prediction.answer) for prediction in predictions]
    references = references_of(predictions)
    scenes = scenes_of(predictions)
    sentences = Sentences.of(answers, references)
    measured = {
        "bleu4": Measure(bleu_rows(sentences), bleu, scenes),
        "rouge_l": mean_of(rouge_l(sentences), scenes),
        "cider": mean_of(cider(sentences), scenes),
    }
    clips = [prediction.clip for prediction in predictions if prediction.clip]
    if len(clips) == len(predictions):
        measured["clip_score"] = mean_of([clip["score"] for clip in clips], scenes)
        measured["ref_clip_score"] = mean_of([clip["ref"] for clip in clips], scenes)
    classed = [prediction for prediction in predictions if prediction.truth.get("label")]
    if classed:
        flags = [names_class(caption.answer, caption.truth.get("label")) for caption in classed]
        measured["names_class"] = share_of(flags, scenes_of(classed))
    return measured


def references_of(predictions: Predictions) -> list[list[str]]:
    """The true captions of each prediction, tokenised."""
    return [list(map(tokenise, prediction.truth.get("captions"))) for prediction in predictions]


def described(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Precision, recall and F1 of the boxes, and the caption scores of the words without them."""
    words_only = [replace(row, answer=without_boxes(row.answer)) for row in predictions]
    return found(predictions) | measures(words_only)


def names_class(caption: str, label: str) -> bool:
    """Whether consecutive words of the caption, written together, are those of the label.

    "BaseballField", "baseball_field" and "baseballfield" are all named by "two baseball fields":
    case and word breaks are dropped, and the last word may be singular or plural.
    """
    forms = numbers_of("".join(words(label)))
    tokens = _WORDS.findall(caption.lower())
    longest = max(map(len, forms), default=0) + 2
    for start in range(len(tokens)):
        run = ""
        for token in tokens[start:]:
            run += token
            if len(run) > longest:
                break
            if forms & numbers_of(run):
                return True
    return False


def words(label: str) -> list[str]:
    """The lower-case words of a label: "BaseballField" is baseball, field."""
    return _WORDS.findall(_CAMEL.sub(" ", label).replace("_", " ").lower())
