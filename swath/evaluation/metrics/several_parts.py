"""Answers of several parts: all classes that apply, and buildings counted by degree of damage."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from swath.evaluation.metrics.base import Measure, mean_of, ratio_of, share_of
from swath.evaluation.metrics.counting import count_error
from swath.evaluation.metrics.grounding import f1
from swath.evaluation.papers.reading_rules import DAMAGE, strict_damage
from swath.evaluation.predictions import Prediction
from swath.evaluation.reading import letters
from swath.instructions.tasks.truths import DamageTruth, LabelsTruth

_MARK = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s*|^\s*and\s+")


def classes_named(answer: str, labels: Sequence[str]) -> tuple[set[str], int]:
    """The classes that an answer lists, and how many of its parts are none.

    Parts are separated by semicolons, lines or commas; a class may hold commas itself, so the
    longest run of parts that is a class counts.
    """
    known = {letters(label): label for label in labels}
    longest = max((label.count(",") + 1 for label in labels), default=0)  # parts of a class
    found, others = set(), 0
    for line in re.split(r"[;\n]", answer.strip(" .[]")):
        parts = [_MARK.sub("", part).strip(" .'\"") for part in line.split(",")]
        start = 0
        while start < len(parts):
            ends = range(min(len(parts), start + longest), start, -1)
            end = next((end for end in ends if letters("".join(parts[start:end])) in known), None)
            if end:
                found.add(known[letters("".join(parts[start:end]))])
            else:
                others += bool(letters(parts[start]))
            start = end or start + 1
    return found, others


def classes(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """F1 of all classes named, pooled over the answers, and the share named exactly.

    Args:
        predictions: of task "classes".
        labels: that may be named; a part of an answer that is none counts as a wrong one.
    """
    scenes = tuple(one.scene for one in predictions)
    rows, exact = np.zeros((len(predictions), 3)), []  # right, named, true
    for row, one in zip(rows, predictions, strict=True):
        truth = set(one.true(LabelsTruth).labels)
        found, others = classes_named(one.answer, labels or sorted(truth))
        row[:] = len(found & truth), len(found) + others, len(truth)
        exact.append(found == truth and not others)
    return {"f1_classes": ratio_of(rows, f1, scenes), "exact_classes": share_of(exact, scenes)}


def damage(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """Mean error over the five counts of an answer, and the share with all five right.

    Args:
        predictions: of task "damage"; one that is no JSON of five counts is unreadable in each.
    """
    scenes = tuple(one.scene for one in predictions)
    errors = []
    exact = []
    for prediction in predictions:
        truth = prediction.true(DamageTruth).counts
        counts = strict_damage(prediction.answer) or {}
        off = [count_error(counts.get(field), truth[field]) for field in DAMAGE]
        errors.append(np.mean(np.abs(off)))
        exact.append(counts == truth)
    return {
        "mae_damage": mean_of(errors, scenes),
        "exact_damage": share_of(exact, scenes),
    }
