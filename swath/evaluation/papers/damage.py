"""Damage of a disaster in parts: each of its counts alone, and xView2's score of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.papers.reading_rules import DAMAGE
from swath.evaluation.predictions import Prediction

Mask = NDArray[np.integer]


def by_field(
    predictions: Sequence[Prediction], read: Sequence[dict[str, int] | None]
) -> dict[str, list[Prediction]]:
    """Of each count its predictions as `counting` scores them; a missing field is 0."""
    return {
        field: [
            replace(
                one,
                truth={"count": one.truth["counts"][field]},
                count=None if answer is None else answer.get(field, 0),
            )
            for one, answer in zip(predictions, read, strict=True)
        ]
        for field in DAMAGE
    }


@dataclass(frozen=True)
class PixelF1:
    """xView2's score and its parts."""

    localisation: float
    classes: tuple[float, float, float, float]
    damage: float
    score: float


def xview2(masks: Sequence[tuple[Mask, Mask, Mask, Mask]]) -> PixelF1:
    """xView2's pixel score: 0.3 localisation F1 + 0.7 harmonic mean of the four damage F1.

    Damage is scored where the truth has a building, and answered only where one was located.

    Args:
        masks: of each image buildings located (0, 1), damage answered (0 to 4), buildings that are
            there, damage that is there.

    Source: xView2_scoring.
    """
    sums = np.zeros((5, 3))  # right, wrong, missed: buildings, then the four damages
    for located, answered, there, damage in masks:
        pairs = [(located == 1, there == 1)]
        held = damage > 0
        seen = np.where(located > 0, answered, 0)[held]
        pairs += [(seen == kind, damage[held] == kind) for kind in (1, 2, 3, 4)]
        for row, (ours, theirs) in zip(sums, pairs, strict=True):
            row += (ours & theirs).sum(), (ours & ~theirs).sum(), (~ours & theirs).sum()
    f1 = np.where(sums[:, 0] > 0, 2 * sums[:, 0] / np.maximum(sums @ [2, 1, 1], 1), 0.0).tolist()
    harmonic = 4 / sum(1 / (one + 1e-6) for one in f1[1:])
    return PixelF1(f1[0], (f1[1], f1[2], f1[3], f1[4]), harmonic, 0.3 * f1[0] + 0.7 * harmonic)
