"""Answers of several parts: all classes that apply, and buildings counted by degree of damage."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from swath.evaluation.metrics.base import Measures, mean_of, ratio_of, share_of
from swath.evaluation.metrics.counting import count_error
from swath.evaluation.metrics.grounding import f1
from swath.evaluation.papers.reading_rules import DAMAGE, strict_damage
from swath.evaluation.predictions import Predictions, scenes_of
from swath.evaluation.reading import letters
from swath.instructions.tasks.truths import DamageTruth, LabelsTruth

_MARK = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s*|^\s*and\s+")


def classes_named(answer: str, labels: Sequence[str]) -> tuple[set[str], int]:
    """The classes that an answer lists, and how many of its parts are none.

    Parts are separated by semicolons, lines or commas; a class may hold commas itself, so the
    longest run of parts that is a class counts.
    """
    names = {letters(label): label for label in labels}
    longest = max((label.count(",") + 1 for label in labels), default=0)  # parts of a class
    classes = set()
    unknown = 0
    for line in re.split(r"[;\n]", answer.strip(" .[]")):
        parts = [letters(_MARK.sub("", part)) for part in line.split(",")]
        while parts:
            length = min(longest, len(parts))
            while length > 1 and "".join(parts[:length]) not in names:
                length -= 1
            name = names.get("".join(parts[:length]))
            if name:
                classes.add(name)
            else:
                unknown += bool(parts[0])
            parts = parts[max(length, 1) :]
    return classes, unknown


def classes(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """F1 of all classes named, pooled over the answers, and the share named exactly.

    Args:
        labels: that may be named; a part of an answer that is none counts as a wrong one.
    """
    scenes = scenes_of(predictions)
    rows = np.zeros((len(predictions), 3))  # right, named, true
    exact = []
    for row, prediction in zip(rows, predictions, strict=True):
        truth = set(prediction.true(LabelsTruth).labels)
        named_classes, unknown = classes_named(prediction.answer, labels or sorted(truth))
        row[:] = len(named_classes & truth), len(named_classes) + unknown, len(truth)
        exact.append(named_classes == truth and not unknown)
    return {"f1_classes": ratio_of(rows, f1, scenes), "exact_classes": share_of(exact, scenes)}


def damage(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Mean error over the five counts of an answer, and the share with all five right.

    Args:
        predictions: of task "damage"; one that is no JSON of five counts is unreadable in each.
    """
    scenes = scenes_of(predictions)
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
