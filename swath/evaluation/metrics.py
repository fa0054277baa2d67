"""What a metric is: something every sample adds, and a formula on the sums; and its `Score`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swath.errors import EvaluationError, FormatError, ShapeError

Formula = Callable[[NDArray[np.float64]], NDArray[np.float64]]


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

    def to_row(self) -> dict[str, Any]:
        """The score as a JSON object; `from_row` is the inverse."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Score:
        """The score that `to_row` wrote.

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

    Raises:
        EvaluationError: there is no sample.
        ShapeError: rows and scenes differ in length.
    """

    rows: NDArray[np.float64]
    formula: Formula
    scenes: tuple[str, ...]
    right: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise EvaluationError("there is no prediction to score; is the test split empty?")
        if len(self.rows) != len(self.scenes):
            raise ShapeError(f"{len(self.rows)} samples have {len(self.scenes)} scenes.")

    @property
    def value(self) -> float:
        """The metric on all samples."""
        return float(self.formula(self.rows.sum(axis=0)))


def mean_of(values: ArrayLike, scenes: Sequence[str]) -> Measure:
    """The mean of one value a sample."""
    column = np.asarray(values, dtype=np.float64)
    rows = np.stack([column, np.ones_like(column)], axis=1)
    return Measure(rows, lambda sums: sums[..., 0] / sums[..., 1], tuple(scenes))


def share_of(right: ArrayLike, scenes: Sequence[str]) -> Measure:
    """The share of samples that are right."""
    flags = np.asarray(right, dtype=bool)
    mean = mean_of(flags, scenes)
    return Measure(mean.rows, mean.formula, mean.scenes, flags)


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


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy", "Share of all answers that name the true class or object.", unit="%"
    ),
    "macro_f1": Metric(
        "Macro-F1",
        "Mean over all classes of the label set of F1 = 2 TP / (2 TP + FP + FN); a class without "
        "truths and answers has F1 0.",
        unit="%",
    ),
    "outside_labels": Metric(
        "Outside the labels",
        "Share of all answers that parse but name a class or object outside the set.",
        unit="%",
        rising=False,
    ),
    "ece": Metric(
        "Calibration error",
        "Expected calibration error of closed answers: 15 equal bins (lo, hi] of confidence, mean "
        "|accuracy - confidence| weighted by the samples of a bin.",
        unit="%",
        rising=False,
    ),
    "acc@0.5": Metric(
        "Acc@0.5", "Share of first boxes with oriented IoU >= 0.5; no box has IoU 0.", unit="%"
    ),
    "mean_iou": Metric("Mean IoU", "Mean oriented IoU of first boxes; no box has IoU 0.", unit="%"),
    "acc@0.5_hbb": Metric(
        "Acc@0.5, upright",
        "As Acc@0.5, with the horizontal boxes around answer and truth.",
        unit="%",
    ),
    "mean_iou_hbb": Metric(
        "Mean IoU, upright",
        "As mean IoU, with the horizontal boxes around answer and truth.",
        unit="%",
    ),
    "f1@0.5": Metric(
        "F1@0.5",
        "2 pairs / (boxes answered + boxes meant), summed over all answers; pairs have oriented "
        "IoU >= 0.5 and are taken by falling IoU, each box once. 0 where there is no box.",
        unit="%",
    ),
    "precision@0.5": Metric(
        "Precision@0.5", "Pairs as in F1@0.5, over the boxes answered.", unit="%"
    ),
    "recall@0.5": Metric("Recall@0.5", "Pairs as in F1@0.5, over the boxes meant.", unit="%"),
    "f1@0.5_optimal": Metric(
        "F1@0.5, best pairs", "As F1@0.5, with as many pairs as there can be.", unit="%"
    ),
    "ap": Metric(
        "AP",
        "COCO: mean over classes and IoU 0.5 to 0.95 of the precision at 101 "
        "recalls, upright boxes, 100 an image by score; crowds aside.",
        unit="%",
    ),
    "ap50": Metric("AP50", "As AP, at IoU 0.5.", unit="%"),
    "ap75": Metric("AP75", "As AP, at IoU 0.75.", unit="%"),
    "ap_small": Metric("AP, small", "As AP, of objects up to 32 x 32 pixels.", unit="%"),
    "ap_medium": Metric("AP, medium", "As AP, up to 96 x 96 pixels.", unit="%"),
    "ap_large": Metric("AP, large", "As AP, of larger objects.", unit="%"),
    "map_11": Metric(
        "mAP, 11 points",
        "DOTA task 1: mean over classes of the precision at 11 "
        "recalls, oriented IoU above 0.5; difficult objects aside.",
        unit="%",
    ),
    "map_area": Metric("mAP, area", "As mAP, of the whole area below precision.", unit="%"),
    "ap@0.5_unscored": Metric(
        "AP@0.5, unscored",
        "As mAP by area, each answer an image of its own and all boxes equally "
        "sure, in the order they are written: no number beside a detector's.",
        unit="%",
    ),
    "f1@0.5_hbb": Metric(
        "F1@0.5, upright",
        "As F1@0.5, with the horizontal boxes around answer and truth.",
        unit="%",
    ),
    "exact_answer": Metric(
        "Exact",
        "Share of all answers equal to the truth once case, articles and punctuation are dropped "
        "and numbers are digits.",
        unit="%",
    ),
    "average_answer": Metric(
        "Mean of kinds",
        "Mean over the kinds of question of the share answered exactly.",
        unit="%",
    ),
    "lenient_answer": Metric(
        "Lenient",
        "As exact; but where the truth is yes or no the answer's first word counts, and where it "
        "is a whole number the first number.",
        unit="%",
    ),
    "mae": Metric(
        "Mean error",
        "Mean absolute difference of counts; an unreadable answer counts as 0.",
        scale=1.0,
        rising=False,
    ),
    "rmse": Metric(
        "Root mean square error",
        "Root of the mean squared difference of counts; an unreadable answer counts as 0.",
        scale=1.0,
        rising=False,
    ),
    "r2": Metric(
        "R²",
        "1 - squared errors / squared deviations of the true counts from their mean; 0 where all "
        "true counts are alike. An unreadable answer counts as 0.",
        scale=1.0,
    ),
    "mape": Metric(
        "Relative error",
        "Mean of absolute difference over true count, among questions whose true count is not 0; "
        "an unreadable answer counts as 0.",
        unit="%",
        rising=False,
    ),
    "exact": Metric("Exact count", "Share of all answers with exactly the true count.", unit="%"),
    "bleu4": Metric(
        "BLEU-4",
        "Corpus BLEU-4 (pycocoevalcap): clipped n-gram counts summed over images, closest "
        "reference length.",
    ),
    "rouge_l": Metric(
        "ROUGE-L", "Mean over images of ROUGE-L (pycocoevalcap, beta 1.2), best references."
    ),
    "cider": Metric(
        "CIDEr",
        "CIDEr-D (pycocoevalcap), document frequencies from the references of this test set, held "
        "fixed in the interval. The value is 0 to 10; reports print it times 100, as papers do.",
    ),
    "clip_score": Metric(
        "CLIPScore",
        "Mean over images of 2.5 times the cosine of picture and caption, 0 where it is negative "
        "(arXiv:2104.08718), by the CLIP checkpoint of `evaluation.clip`; published values are of "
        "ViT-B/32.",
        scale=1.0,
    ),
    "ref_clip_score": Metric(
        "RefCLIPScore",
        "Mean over images of the harmonic mean of CLIPScore and the caption's highest cosine with "
        "a reference, by the same checkpoint.",
        scale=1.0,
    ),
    "names_class": Metric(
        "Names the class",
        "Share of captions holding, as consecutive words, the words of the true class (singular "
        "or plural), among images that have one.",
        unit="%",
    ),
    "f1_classes": Metric(
        "F1 of classes",
        "2 right / (classes named + classes true), summed over all answers; a part of an answer "
        "that is no class counts as named.",
        unit="%",
    ),
    "exact_classes": Metric(
        "All classes", "Share of all answers that name all true classes and nothing else.", unit="%"
    ),
    "mae_damage": Metric(
        "Mean error",
        "Mean absolute difference over the five counts of an answer (before, undamaged, minor, "
        "major, destroyed); an answer that is no JSON of exactly these counts as 0 in each.",
        scale=1.0,
        rising=False,
    ),
    "exact_damage": Metric("All counts", "Share of all answers with all five counts.", unit="%"),
    "acc@0.7_hbb": Metric("Acc@0.7, upright", "As Acc@0.5, upright, from IoU 0.7 on.", unit="%"),
    "cum_iou": Metric(
        "Cumulative IoU", "Shared area of all first boxes over their united area.", unit="%"
    ),
    "centre_px": Metric(
        "Off centre", "Mean distance of the boxes' centres in pixels.", scale=1.0, rising=False
    ),
    "refused": Metric(
        "Refused",
        "Share of all answers that the mode's rule takes for none.",
        unit="%",
        rising=False,
    ),
    "r2_pearson": Metric("Squared correlation", "Of counts and true counts.", scale=1.0),
    "mae_answered": Metric(
        "Mean error, answered", "As mean error, without refusals.", scale=1.0, rising=False
    ),
    "mape_answered": Metric(
        "Relative error, answered", "As relative error, without refusals.", unit="%", rising=False
    ),
    "r2_pearson_answered": Metric(
        "Squared correlation, answered", "Of the answered counts.", scale=1.0
    ),
    "meteor": Metric("METEOR", "Corpus METEOR 1.5, English, by its Java program."),
    "change_acc": Metric(
        "Change seen",
        "Share of pairs with change whose caption is no no-change sentence.",
        unit="%",
    ),
    "no_change_acc": Metric(
        "No change seen", "Share of pairs without change whose caption says so.", unit="%"
    ),
}
"""Every metric that is computed, by the name it has in `scores.json`."""

HEADLINE = {
    "classify": "accuracy",
    "refer": "acc@0.5",
    "ground": "f1@0.5",
    "count": "exact",
    "identify": "accuracy",
    "question": "exact_answer",
    "caption": "cider",
    "region": "cider",
    "describe": "f1@0.5",
    "classes": "f1_classes",
    "damage": "mae_damage",
}
"""The metric a task is judged by where one number must do."""
