"""METEOR 1.5 from the statistics of its alignment: a formula on sums, like the other measures.

Aligning a caption with its references takes the word lists of METEOR's own program; given the line
that program returns, the score follows here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # English, `-l en -norm`
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


def meteor_rows(lines: Sequence[str]) -> NDArray[np.float64]:
    """What each caption adds to corpus METEOR, (n, 23), from the program's lines for SCORE.

    A line holds the lengths of caption and reference, their function words; of each matcher the
    content words and the function words matched on either side; chunks, and words matched on
    either side. A caption that matches in one chunk adds no chunk.
    """
    rows = np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 23)
    whole = (rows[:, 20] == 1) & (rows[:, 21] == rows[:, 0]) & (rows[:, 22] == rows[:, 1])
    rows[whole, 20] = 0
    return rows


def meteor(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """METEOR of summed `meteor_rows`, 0 to 1.

    Source: Denkowski and Lavie, Meteor Universal (WMT 2014).
    """
    matched = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 4)  # (..., matcher, kind and side)
    shares = []
    for side in (0, 1):  # caption, reference
        content = (matched[..., side] * _WEIGHTS).sum(axis=-1)
        function = (matched[..., 2 + side] * _WEIGHTS).sum(axis=-1)
        length, small = sums[..., side], sums[..., 2 + side]
        weighed = _DELTA * (length - small) + (1 - _DELTA) * small
        shares.append(_over(_DELTA * content + (1 - _DELTA) * function, weighed))
    precision, recall = shares
    mean = _over(precision * recall, (1 - _ALPHA) * recall + _ALPHA * precision)
    broken = _over(sums[..., 20], (sums[..., 21] + sums[..., 22]) / 2)
    value: NDArray[np.float64] = mean * (1 - _GAMMA * broken**_BETA)
    return value


def _over(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)
