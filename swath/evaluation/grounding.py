"""Scores of boxes answering referring expressions: Acc@0.5 and mean IoU, oriented and upright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, iou, iou_hbb
from swath.evaluation.metrics import Measure, mean_of, share_of
from swath.evaluation.predictions import Prediction

THRESHOLD = 0.5
"""Least IoU that counts as found; a tie counts (>=), as in VRSBench and TransVG."""


def measures(predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> dict[str, Measure]:
    """Acc@0.5 and mean IoU of first boxes; an answer without a box has IoU 0.

    Args:
        predictions: of task "refer"; the first box of the truth is the one meant.
        labels: not used.

    Source: Acc@0.5 as in VRSBench (arXiv:2406.12384), continuous area, no clamping to the image.
    """
    scenes = tuple(one.scene for one in predictions)
    oriented, upright = overlaps(predictions)
    return {
        "acc@0.5": share_of(oriented >= THRESHOLD, scenes),
        "mean_iou": mean_of(oriented, scenes),
        "acc@0.5_hbb": share_of(upright >= THRESHOLD, scenes),
        "mean_iou_hbb": mean_of(upright, scenes),
    }


def overlaps(
    predictions: Sequence[Prediction],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU of each first box with the truth, of the oriented and of the horizontal boxes, (n,)."""
    oriented, upright = np.zeros(len(predictions)), np.zeros(len(predictions))
    rows = [row for row, one in enumerate(predictions) if one.boxes]
    if rows:
        answered = _boxes([(predictions[row].boxes or [])[0] for row in rows])
        truth = _boxes([predictions[row].truth["boxes"][0] for row in rows])
        oriented[rows], upright[rows] = iou(answered, truth), iou_hbb(answered, truth)
    return oriented, upright


def _boxes(rows: Sequence[Sequence[float]]) -> Boxes:
    return Boxes(np.asarray(rows, dtype=np.float64).reshape(-1, 4, 2))
