"""How sure a score is: bootstrap intervals over scenes, paired differences, McNemar's test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest

from swath.boxes import Floats
from swath.errors import EvaluationError
from swath.evaluation.metrics.base import Measure

RESAMPLES = 1000
_CHUNK = 4_000_000  # indices drawn at once: bounds the memory to about 100 MB


@dataclass(frozen=True)
class Difference:
    """How much one run is above another on the same samples.

    Args:
        value: the second run's metric minus the first's.
        low: lower end of the paired 95 % bootstrap interval.
        high: upper end.
        p: two-sided bootstrap p: twice the smaller share of resamples at or beyond no difference,
            what was measured counted as one more; so it is never 0.
        p_mcnemar: exact McNemar p, for metrics that are a share of right answers.
    """

    value: float
    low: float
    high: float
    p: float
    p_mcnemar: float | None = None


def interval(
    measure: Measure, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric, resampling scenes.

    Where every sample is its own scene this is the ordinary bootstrap: indices are
    `default_rng(seed).integers(0, n, (resamples, n))`, the ends `numpy.quantile`.
    """
    return _middle(resampled(measure, resamples, seed), level)


def _middle(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Between what the middle share of some values lies."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def ends(
    measure: Measure, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float | None, float | None]:
    """The interval to print: that of the bootstrap, where it can know one.

    Where a share is 0 or 1 every resample is too, so the exact interval of as many samples as there
    are scenes takes its place. One scene alone, or no resamples, give none.
    """
    scenes = len(set(measure.scenes))
    if scenes < 2 or not resamples:
        return None, None
    value = measure.value
    if measure.is_share and value in (0.0, 1.0):
        return clopper_pearson(scenes * int(value), scenes)
    return interval(measure, resamples, seed)


def difference(
    first: Measure, second: Measure, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Second metric minus first, on the same samples, with the same scenes drawn for both.

    Raises:
        EvaluationError: the two were measured on different samples.
    """
    if first.scenes != second.scenes:
        raise EvaluationError(
            f"a paired test needs the same samples in the same order, got {len(first.scenes)} and "
            f"{len(second.scenes)}; evaluate both runs on one test set."
        )
    gaps = resampled(second, resamples, seed) - resampled(first, resamples, seed)
    low, high = _middle(gaps)
    beyond = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    p = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    p_mcnemar = None
    if first.right is not None and second.right is not None:
        only_first = int((first.right & ~second.right).sum())
        only_second = int((~first.right & second.right).sum())
        p_mcnemar = mcnemar(only_first, only_second)
    return Difference(second.value - first.value, low, high, p, p_mcnemar)


def resampled(measure: Measure, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The metric on each bootstrap resample, (resamples,)."""
    numbers: dict[str, int] = {}
    scene_of = np.array([numbers.setdefault(scene, len(numbers)) for scene in measure.scenes])
    scenes = len(numbers)
    sums = np.zeros((scenes, measure.rows.shape[1]))  # (scenes, k)
    np.add.at(sums, scene_of, measure.rows)
    rng = np.random.default_rng(seed)
    values = []
    step = max(1, _CHUNK // scenes)
    for start in range(0, resamples, step):
        drawn = rng.integers(0, scenes, (min(step, resamples - start), scenes))
        times = np.stack([np.bincount(row, minlength=scenes) for row in drawn])
        values.append(measure.formula(times @ sums))
    return np.concatenate(values)


def mcnemar(only_one: int, only_two: int, mid: bool = False) -> float:
    """Exact two-sided McNemar p of the counts right in only one of two runs; 1 if both are 0.

    With `mid` the outcome itself counts half, which is less cautious.
    """
    n = only_one + only_two
    rarer = min(only_one, only_two)
    tail = 2 * binom.cdf(rarer, n, 0.5) - mid * binom.pmf(rarer, n, 0.5)
    return float(min(1.0, tail))


def clopper_pearson(right: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share: 0 of 2,000 invalid answers is at most 0.18 %."""
    exact = binomtest(right, n).proportion_ci(0.95, "exact")
    return float(exact.low), float(exact.high)


def calibration(
    confidence: ArrayLike, right: ArrayLike, bins: int = 15, closed: str = "right"
) -> Floats:
    """What each sample adds to the expected calibration error: (n, bins + 1).

    Its confidence minus its rightness, in the column of its bin (lo, hi] of confidence; and a 1 in
    the last. A confidence of exactly 0 falls in no bin (Guo et al., arXiv:1706.04599). Bins closed
    on the "left" are [lo, hi), the last one closed.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    hits = np.asarray(right, dtype=np.float64)
    edges = np.linspace(0, 1, bins + 1)
    if closed == "left":
        place = np.minimum(np.searchsorted(edges, sure, side="right") - 1, bins - 1)
    else:
        place = np.searchsorted(edges, sure, side="left") - 1
    gaps = (place[:, None] == np.arange(bins)) * (sure - hits)[:, None]  # (n, bins)
    return np.concatenate([gaps, np.ones((len(sure), 1))], axis=1)


def calibration_error(sums: Floats) -> Floats:
    """Expected calibration error of summed `calibration` rows."""
    gaps: Floats = np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
    return gaps


@dataclass(frozen=True, eq=False)
class Coverage:
    """How right answers are if only the surest are given, and "unsure" instead of the others.

    Args:
        thresholds: (k,) confidences from which on an answer is given, falling.
        coverage: (k,) share of answers given.
        accuracy: (k,) share of those that are right.
    """

    thresholds: Floats
    coverage: Floats
    accuracy: Floats

    def threshold(self, accuracy: float) -> float | None:
        """The lowest threshold that reaches an accuracy; None if none does.

        Choose it on validation answers: on those that it is judged by it flatters.
        """
        enough = np.flatnonzero(self.accuracy >= accuracy)
        return float(self.thresholds[enough[-1]]) if len(enough) else None


def coverage(confidence: ArrayLike, right: ArrayLike) -> Coverage:
    """The accuracy-coverage curve: answers of equal confidence are given together.

    Source: risk and coverage of selective prediction (El-Yaniv and Wiener, 2010).
    """
    sure = np.asarray(confidence, dtype=np.float64)
    order = np.argsort(-sure, kind="stable")
    sure = sure[order]
    hits = np.cumsum(np.asarray(right, dtype=np.float64)[order])
    # Where the last answer of each confidence stands.
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)[: len(sure)]
    answered = last + 1
    return Coverage(sure[last], answered / max(1, len(sure)), hits[last] / answered)
