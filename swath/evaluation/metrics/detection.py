"""Mean average precision of detections: COCO's rule, and that of DOTA's oriented task.

Language models give no scores; with all scores alike the order of the list decides, so report
precision, recall and F1 first.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from swath.boxes import Boxes, Floats
from swath.errors import ShapeError
from swath.evaluation.metrics import matching
from swath.files import Json

COCO_SCORES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
"""What pycocotools summarises, in its order."""


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects that were found, or that are there.

    Args:
        images: the image of each.
        names: the class of each.
        boxes: where it is, pixels of its image.
        scores: how sure; of found objects.
        difficult: of true ones: neither finding nor missing it counts (DOTA); or a crowd (COCO),
            which any number of found boxes may lie in.
        areas: of true ones, square pixels, by which COCO tells their size; nothing: the boxes'.

    Raises:
        ShapeError: they differ in length.
    """

    images: Sequence[str]
    names: Sequence[str]
    boxes: Boxes
    scores: Sequence[float] = ()
    difficult: Sequence[bool] = ()
    areas: Sequence[float] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.names), len(self.boxes)}
        for values in (self.scores, self.difficult, self.areas):
            if len(values):
                lengths.add(len(values))
        if len(lengths) > 1:
            raise ShapeError(f"objects need a value each, got {sorted(lengths)} of them.")

    @classmethod
    def of(cls, boxes: Sequence[Boxes], names: Sequence[Sequence[str]], **values: Any) -> Objects:
        """The objects of images that are numbered: the boxes of each, and their classes."""
        images = [numbered(place) for place, of_image in enumerate(names) for _ in of_image]
        quads = np.concatenate([np.zeros((0, 4, 2)), *(of_image.quads for of_image in boxes)])
        return cls(images, list(chain.from_iterable(names)), Boxes(quads), **values)


def numbered(place: int) -> str:
    """A name by which images sort as they stand."""
    return f"{place:09}"


def coco(answers: Objects, truth: Objects) -> tuple[dict[str, float], dict[str, float]]:
    """AP and AR of horizontal boxes, -1 where nothing is there, and AP of each class at IoU 0.5.

    Args:
        answers: with scores; those of classes that the truth does not have are left out.

    Source: pycocotools.
    """
    names = sorted(set(truth.names))
    images = sorted({*answers.images, *truth.images})
    silent = io.StringIO()  # pycocotools prints
    with contextlib.redirect_stdout(silent):
        evaluator = COCOeval(_index(truth, images, names), _index(answers, images, names), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    scores = {name: float(value) for name, value in zip(COCO_SCORES, evaluator.stats, strict=True)}
    precision = evaluator.eval["precision"]  # (IoU, recall, class, size, boxes an image)
    per_class = precision[0, :, :, 0, -1].mean(axis=0)
    there = {name: float(ap) for name, ap in zip(names, per_class, strict=True) if ap >= 0}
    return scores, there


def _index(objects: Objects, images: Sequence[str], names: Sequence[str]) -> COCO:
    """The objects as pycocotools holds them; its ids start at 1, as 0 stands for unmatched."""
    image_ids = {image: number for number, image in enumerate(images, start=1)}
    category_ids = {name: number for number, name in enumerate(names, start=1)}
    rows: list[Json] = []
    for place, name in enumerate(objects.names):
        if name not in category_ids:
            continue
        x1, y1, x2, y2 = objects.boxes.hbb[place].tolist()
        area = (x2 - x1) * (y2 - y1)
        row = {
            "id": place + 1,
            "image_id": image_ids[objects.images[place]],
            "category_id": category_ids[name],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": objects.areas[place] if len(objects.areas) else area,
            "iscrowd": int(objects.difficult[place]) if len(objects.difficult) else 0,
        }
        if len(objects.scores):
            row["score"] = objects.scores[place]
        rows.append(row)
    index = COCO()
    index.dataset = {
        "images": [{"id": number} for number in image_ids.values()],
        "categories": [{"id": number, "name": name} for name, number in category_ids.items()],
        "annotations": rows,
    }
    index.createIndex()
    return index


@dataclass(frozen=True)
class Average:
    """One class: its average precision, and precision and recall of all that was found."""

    ap: float
    precision: float
    recall: float


def dota(
    answers: Objects, truth: Objects, least: float = 0.5, eleven: bool = True
) -> dict[str, Average]:
    """Average precision of oriented boxes by class, as DOTA's task 1; the mean is its mAP.

    A found box belongs to the truth it overlaps most, which must be by more than `least`; a truth
    that is taken makes it wrong, a difficult one leaves it out.

    Args:
        least: IoU that must be exceeded.
        eleven: precision at recalls 0, 0.1, ..., 1 (VOC 2007), as the official script has it;
            otherwise the whole area.
    """
    names = sorted(set(truth.names))
    return {name: _dota_class(answers, truth, name, least, eleven) for name in names}


def _dota_class(answers: Objects, truth: Objects, name: str, least: float, eleven: bool) -> Average:
    difficult = np.array(truth.difficult or [False] * len(truth.names), bool)
    truths: dict[str, list[int]] = defaultdict(list)  # rows of each image
    for row, label in enumerate(truth.names):
        if label == name:
            truths[truth.images[row]].append(row)
    number = sum(int((~difficult[rows]).sum()) for rows in truths.values())
    answered = [row for row, label in enumerate(answers.names) if label == name]
    answered.sort(key=lambda row: -answers.scores[row])
    taken: set[int] = set()
    right = []
    for row in answered:
        rows = truths.get(answers.images[row], [])
        overlap = matching.overlaps(answers.boxes[[row]], truth.boxes[rows])[0]
        if not rows or overlap.max() <= least:
            right.append(False)
            continue
        nearest = rows[int(np.argmax(overlap))]
        if not difficult[nearest]:
            right.append(nearest not in taken)
            taken.add(nearest)
    hits = np.cumsum(right)
    recall = hits / max(number, 1)
    precision = hits / np.arange(1, len(right) + 1)
    last_precision = float(precision[-1]) if right else 0.0
    last_recall = float(recall[-1]) if right else 0.0
    return Average(_area(recall, precision, eleven), last_precision, last_recall)


def _area(recall: Floats, precision: Floats, eleven: bool) -> float:
    if eleven:
        steps = [precision[recall >= t].max(initial=0.0) for t in np.arange(0.0, 1.1, 0.1)]
        return float(np.mean(steps))
    recall = np.r_[0.0, recall, 1.0]
    precision = np.r_[0.0, precision, 0.0]
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision[1:]).sum())
