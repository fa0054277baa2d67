"""What a metric is: something every sample adds, and a formula on the sums; and its `Score`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import ArrayLike

from swath.boxes import Flags, Floats
from swath.errors import EvaluationError, FormatError, ShapeError
from swath.files import Json

Formula = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Score:
    """A value and what it was computed on.

    Args:
        value: the metric, unscaled (accuracy 0 to 1, CIDEr 0 to 10).
        n: samples in the denominator: all of them.
        unreadable: how many of these could not be read, and count as wrong.
        low: lower end of the 95 % interval; None where none was computed.
        high: upper end.
    """

    value: float
    n: int
    unreadable: int = 0
    low: float | None = None
    high: float | None = None

    @classmethod
    def from_row(cls, row: Json) -> Score:
        """The score that a JSON object of its fields holds.

        Raises:
            FormatError: a field is missing or unknown.
        """
        try:
            return cls(**row)
        except TypeError as error:
            raise FormatError(f"score: {error}.") from None


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric on its samples, ready to be resampled: `formula` of the summed `rows`.

    Corpus metrics (macro-F1, BLEU) are not means over samples; but each is a formula on sums over
    samples, so one bootstrap serves them all.

    Args:
        rows: (n, k) what each sample adds.
        formula: (..., k) sums to (...) values.
        scenes: the scene of each sample; samples of one scene are resampled together.
        right: (n,) whether each sample is right, where the metric is a share of right ones.
        is_share: it lies between 0 and 1, whatever is answered.

    Raises:
        EvaluationError: there is no sample.
        ShapeError: rows and scenes differ in length.
    """

    rows: Floats
    formula: Formula
    scenes: tuple[str, ...]
    right: Flags | None = None
    is_share: bool = False

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise EvaluationError("there is no prediction to score; is the test split empty?")
        if len(self.rows) != len(self.scenes):
            raise ShapeError(f"{len(self.rows)} samples have {len(self.scenes)} scenes.")

    @property
    def value(self) -> float:
        """The metric on all samples."""
        return float(self.formula(self.rows.sum(axis=0)))


Measures = dict[str, Measure]
"""Metrics by their names."""


def mean_of(values: ArrayLike, scenes: Sequence[str]) -> Measure:
    """The mean of one value a sample."""
    column = np.asarray(values, dtype=np.float64)
    rows = np.stack([column, np.ones_like(column)], axis=1)
    return Measure(rows, lambda sums: sums[..., 0] / sums[..., 1], tuple(scenes))


def share_of(right: ArrayLike, scenes: Sequence[str]) -> Measure:
    """The share of samples that are right."""
    flags = np.asarray(right, dtype=bool)
    mean = mean_of(flags, scenes)
    return Measure(mean.rows, mean.formula, mean.scenes, flags, is_share=True)


def ratio_of(rows: Floats, formula: Formula, scenes: Sequence[str]) -> Measure:
    """A share that is a formula on sums, such as F1."""
    return Measure(rows, formula, tuple(scenes), is_share=True)


def share(above: ArrayLike, below: ArrayLike) -> Floats:
    """Parts of wholes; 0 where a whole is 0."""
    parts, wholes = np.asarray(above, dtype=np.float64), np.asarray(below)
    return np.divide(parts, wholes, out=np.zeros(parts.shape), where=wholes > 0)


@dataclass(frozen=True)
class Metric:
    """A row of the metric table.

    Args:
        title: as reports head a column.
        rule: the exact definition, in a line or two.
        scale: what reports multiply the value by.
        unit: what they write behind it.
        rising: whether more is better.
    """

    title: str
    rule: str
    scale: float = 100.0
    unit: str = ""
    rising: bool = True


METRICS = {
    name: Metric(**row)
    for name, row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")).items()
}
"""Every metric that is computed, by the name it has in `scores.json`."""
