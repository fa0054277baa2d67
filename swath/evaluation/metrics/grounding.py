"""Scores of boxes: Acc@0.5 of the one box meant; precision, recall and F1 of all boxes meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, iou, iou_hbb
from swath.evaluation.metrics import matching
from swath.evaluation.metrics.base import Formula, Measure, mean_of, ratio_of, share, share_of
from swath.evaluation.predictions import Prediction
from swath.instructions.tasks.truths import BoxesTruth

THRESHOLD = 0.5
"""Least IoU that counts as found; a tie counts (>=), as in VRSBench and TransVG."""


def measures(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """Acc@0.5 and mean IoU of first boxes; an answer without a box has IoU 0.

    Args:
        predictions: of task "refer"; the first box of the truth is the one meant.

    Source: Acc@0.5 as in VRSBench (arXiv:2406.12384), continuous area, no clamping to the image.
    """
    scenes = tuple(one.scene for one in predictions)
    oriented, upright = overlaps(predictions)
    return {
        "acc@0.5": share_of(oriented >= THRESHOLD - matching.ROUNDING, scenes),
        "mean_iou": mean_of(oriented, scenes),
        "acc@0.5_hbb": share_of(upright >= THRESHOLD - matching.ROUNDING, scenes),
        "mean_iou_hbb": mean_of(upright, scenes),
    }


def found(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """Precision, recall and F1 of all boxes at IoU 0.5, pairs pooled over the answers.

    Args:
        predictions: of task "ground" or "describe"; all boxes of truth and answer count.

    Source: one-to-one pairs by falling IoU, as detections are scored; GeoChat (arXiv:2311.15826)
    published no scorer.
    """
    scenes = tuple(one.scene for one in predictions)
    rows = hits(predictions)  # (n, 5)
    oriented, best, upright = rows[:, [0, 3, 4]], rows[:, [1, 3, 4]], rows[:, [2, 3, 4]]
    return {
        "f1@0.5": ratio_of(oriented, f1, scenes),
        "precision@0.5": ratio_of(oriented, _over(1), scenes),
        "recall@0.5": ratio_of(oriented, _over(2), scenes),
        "f1@0.5_optimal": ratio_of(best, f1, scenes),
        "f1@0.5_hbb": ratio_of(upright, f1, scenes),
    }


def hits(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    """(n, 5) of each answer: pairs by falling IoU, most pairs, upright pairs, answers, truths."""
    rows = np.zeros((len(predictions), 5))
    for row, one in zip(rows, predictions, strict=True):
        answered = Boxes.from_rows(one.boxes or [])
        truth = one.truth.get("boxes") or Boxes.empty()
        oriented = matching.overlaps(answered, truth)
        row[0] = matching.greedy(oriented, THRESHOLD)
        row[1] = matching.most(oriented, THRESHOLD)
        row[2] = matching.greedy(matching.overlaps(answered, truth, upright=True), THRESHOLD)
        row[3:] = len(answered), len(truth)
    return rows


def f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of sums (..., 3) of pairs, answers and truths; 0 without any box."""
    return share(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def overlaps(
    predictions: Sequence[Prediction],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU of each first box with the truth, of the oriented and of the horizontal boxes, (n,)."""
    oriented, upright = np.zeros(len(predictions)), np.zeros(len(predictions))
    rows = [row for row, one in enumerate(predictions) if one.boxes]
    if rows:
        answered = Boxes.from_rows([(predictions[row].boxes or [])[0] for row in rows])
        truths = [predictions[row].true(BoxesTruth).boxes.quads[:1] for row in rows]
        truth = Boxes(np.concatenate(truths))
        oriented[rows], upright[rows] = iou(answered, truth), iou_hbb(answered, truth)
    return oriented, upright


def clipped(boxes: Boxes, size_wh: tuple[int, int]) -> Boxes:
    """The horizontal boxes, cut at the border of the image."""
    return Boxes.from_hbb(np.clip(boxes.hbb, 0, [*size_wh, *size_wh]))


def _over(column: int) -> Formula:
    return lambda sums: share(sums[..., 0], sums[..., column])
