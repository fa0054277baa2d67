"""Several boxes against several: which answer belongs to which truth, one to one."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from swath.boxes import Boxes, Floats, iou, iou_hbb

ROUNDING = 1e-9
"""Turned boxes that overlap by exactly one half may come out a little lower: they count as tied."""


def overlaps(answers: Boxes, truth: Boxes, upright: bool = False) -> Floats:
    """IoU of every answer with every truth, (answers, truth).

    Args:
        answers: boxes in pixels.
        truth: boxes in the same pixels.
        upright: of the horizontal boxes around them.
    """
    rows, columns = np.indices((len(answers), len(truth))).reshape(2, -1)
    pairs = (iou_hbb if upright else iou)(answers[rows], truth[columns])
    return pairs.reshape(len(answers), len(truth))


def greedy(overlap: Floats, least: float) -> int:
    """How many pairs there are, taken by falling IoU, each box once.

    Args:
        overlap: (answers, truth) IoU.
        least: IoU from which on two boxes may be a pair; a tie counts.
    """
    open_pairs = np.where(overlap >= least - ROUNDING, overlap, -1.0)
    pairs = 0
    while open_pairs.size and open_pairs.max() >= 0:
        row, column = np.unravel_index(np.argmax(open_pairs), open_pairs.shape)
        open_pairs[row], open_pairs[:, column] = -1.0, -1.0
        pairs += 1
    return pairs


def most(overlap: Floats, least: float) -> int:
    """How many pairs there can be at most, each box once.

    Args:
        overlap: (answers, truth) IoU.
        least: IoU from which on two boxes may be a pair; a tie counts.
    """
    partners = overlap >= least - ROUNDING
    pairs = greedy(overlap, least)
    if pairs == min(partners.any(axis=0).sum(), partners.any(axis=1).sum()):
        return pairs  # as many as have a partner at all
    return int((maximum_bipartite_matching(csr_array(partners)) >= 0).sum())
