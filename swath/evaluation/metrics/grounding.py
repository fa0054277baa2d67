"""Scores of boxes: Acc@0.5 of the one box meant; precision, recall and F1 of all boxes meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swath.boxes import Boxes, Floats, Size, iou, iou_hbb
from swath.evaluation.metrics import matching
from swath.evaluation.metrics.base import (
    Formula,
    Measure,
    Measures,
    mean_of,
    ratio_of,
    share,
    share_of,
)
from swath.evaluation.predictions import Predictions, scenes_of
from swath.instructions.tasks.truths import BoxesTruth

THRESHOLD = 0.5
"""Least IoU that counts as found; a tie counts (>=), as in VRSBench and TransVG."""


def measures(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Acc@0.5 and mean IoU of first boxes; an answer without a box has IoU 0.

    Args:
        predictions: of task "refer"; the first box of the truth is the one meant.

    Source: Acc@0.5 as in VRSBench (arXiv:2406.12384), continuous area, no clamping to the image.
    """
    scenes = scenes_of(predictions)
    oriented, upright = overlaps(predictions)
    return {
        "acc@0.5": share_of(oriented >= THRESHOLD - matching.ROUNDING, scenes),
        "mean_iou": mean_of(oriented, scenes),
        "acc@0.5_hbb": share_of(upright >= THRESHOLD - matching.ROUNDING, scenes),
        "mean_iou_hbb": mean_of(upright, scenes),
    }


def found(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Precision, recall and F1 of all boxes at IoU 0.5, pairs pooled over the answers.

    Args:
        predictions: of task "ground" or "describe"; all boxes of truth and answer count.

    Source: one-to-one pairs by falling IoU, as detections are scored; GeoChat (arXiv:2311.15826)
    published no scorer.
    """
    scenes = scenes_of(predictions)
    oriented, best, upright, answers, truths = hits(predictions).T

    def share_over(pairs: Floats, formula: Formula) -> Measure:
        return ratio_of(np.stack([pairs, answers, truths], axis=1), formula, scenes)

    return {
        "f1@0.5": share_over(oriented, f1),
        "precision@0.5": share_over(oriented, lambda sums: share(sums[..., 0], sums[..., 1])),
        "recall@0.5": share_over(oriented, lambda sums: share(sums[..., 0], sums[..., 2])),
        "f1@0.5_optimal": share_over(best, f1),
        "f1@0.5_hbb": share_over(upright, f1),
    }


def hits(predictions: Predictions) -> Floats:
    """(n, 5) of each answer: pairs by falling IoU, most pairs, upright pairs, answers, truths."""
    rows = np.zeros((len(predictions), 5))
    for row, prediction in zip(rows, predictions, strict=True):
        answered = Boxes.from_rows(prediction.boxes or [])
        truth = prediction.truth.get("boxes") or Boxes.empty()
        oriented = matching.overlaps(answered, truth)
        row[0] = matching.greedy(oriented, THRESHOLD)
        row[1] = matching.most(oriented, THRESHOLD)
        row[2] = matching.greedy(matching.overlaps(answered, truth, upright=True), THRESHOLD)
        row[3:] = len(answered), len(truth)
    return rows


def f1(sums: Floats) -> Floats:
    """F1 of sums (..., 3) of pairs, answers and truths; 0 without any box."""
    return share(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def overlaps(
    predictions: Predictions,
) -> tuple[Floats, Floats]:
    """IoU of each first box with the truth, of the oriented and of the horizontal boxes, (n,)."""
    rows = []
    answers = []
    truths = [np.zeros((0, 4, 2))]
    for row, prediction in enumerate(predictions):
        if prediction.boxes:
            rows.append(row)
            answers.append(prediction.boxes[0])
            truths.append(prediction.true(BoxesTruth).boxes.quads[:1])
    answered = Boxes.from_rows(answers)
    truth = Boxes(np.concatenate(truths))
    oriented = np.zeros(len(predictions))
    upright = np.zeros(len(predictions))
    oriented[rows] = iou(answered, truth)
    upright[rows] = iou_hbb(answered, truth)
    return oriented, upright


def clipped(boxes: Boxes, size_wh: Size) -> Boxes:
    """The horizontal boxes, cut at the border of the image."""
    return Boxes.from_hbb(np.clip(boxes.hbb, 0, [*size_wh, *size_wh]))
