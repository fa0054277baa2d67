"""What the named modes of `modes` measure: scores by published rules that are not ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from swath.boxes import Boxes, Floats, iou_hbb
from swath.errors import EvaluationError
from swath.evaluation.metrics import (
    classification,
    counting,
    detection,
    grounding,
    matching,
    meteor,
)
from swath.evaluation.metrics import short_answers as questions
from swath.evaluation.metrics.base import Measure, Measures, mean_of, ratio_of, share, share_of
from swath.evaluation.metrics.caption_scores import references_of
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.papers import reading_rules as rules
from swath.evaluation.predictions import (
    NOT_A_LABEL,
    UNPARSABLE,
    Grouped,
    Prediction,
    Predictions,
    scenes_of,
)
from swath.instructions.tasks.truths import (
    AnswerTruth,
    BoxesTruth,
    CaptionsTruth,
    CountTruth,
    DamageTruth,
)

NO_CHANGE = (
    "the scene is the same as before",
    "there is no difference",
    "the two scenes seem identical",
    "no change has occurred",
    "almost nothing has changed",
)
"""What LEVIR-CC's captions say of a pair without change."""


def cookbook(predictions: Predictions, labels: Sequence[str]) -> Measures:
    """Scene classes by the Pixtral cookbook: macro-F1 has a class more, that of wrong answers."""
    read = []
    for prediction in predictions:
        label = rules.cookbook_label(prediction.answer)
        if label in labels:
            read.append(replace(prediction, label=label, problem=None))
        else:
            problem = UNPARSABLE if label is None else NOT_A_LABEL
            read.append(replace(prediction, label=None, problem=problem))
    return _with_wrong_class(classification.measures(read, labels), len(labels))


def vleo_scene(predictions: Predictions, labels: Sequence[str]) -> Measures:
    """Scene classes by vleo-bench: the first label of the list that the answer contains."""
    read = []
    refused = []
    for prediction in predictions:
        label = rules.vleo_label(prediction.answer, labels)
        read.append(replace(prediction, label=label))
        refused.append(rules.vleo_refused(prediction.answer, label))
    measures = classification.measures(read, labels)
    if any(prediction.label is None for prediction in read):
        measures = _with_wrong_class(measures, len(labels))
    return {
        "accuracy": measures["accuracy"],
        "macro_f1": measures["macro_f1"],
        "refused": share_of(refused, scenes_of(predictions)),
    }


def _with_wrong_class(measures: Measures, labels: int) -> Measures:
    """Macro-F1 over one class more, which is never right."""
    macro_f1 = measures["macro_f1"]
    smaller = labels / (labels + 1)
    return measures | {
        "macro_f1": replace(macro_f1, formula=lambda sums: macro_f1.formula(sums) * smaller)
    }


def same(
    predictions: Predictions,
    labels: Sequence[str] = (),
    key: str = "answer",
    normal: Callable[[str], str] = rules.squeezed,
    of_truth: Callable[[str], str] = str.lower,
) -> Measures:
    """Answers that equal the truth once both are written one way."""
    right = []
    for prediction in predictions:
        truth = of_truth(str(prediction.truth.get(key)))
        right.append(normal(prediction.answer) == truth)
    if key == "label":
        return {"accuracy": share_of(right, scenes_of(predictions))}
    return questions.shares(predictions, right)


def earthdial_words(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """EarthDial's accuracy: the share of the truth's tokens that an answer has."""
    recalls = [
        rules.earthdial_recall(prediction.answer, prediction.true(AnswerTruth).answer)
        for prediction in predictions
    ]
    return questions.shares(predictions, recalls)


def vrsbench(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """First boxes by VRSBench: any four digits runs, inclusive pixels of a 100 by 100 grid.

    As in its code, corners are taken as they stand: a box whose corners are swapped shares nothing,
    and its area may be below zero.
    """
    areas = np.zeros((len(predictions), 2))  # shared, united
    for row, prediction in zip(areas, predictions, strict=True):
        answer = rules.vrsbench_box(prediction.answer)
        if answer is not None:
            width, height = prediction.size_wh
            truth = _first_box(prediction).scaled((100 / width, 100 / height)).hbb
            row[:] = inclusive(np.array([answer]), np.rint(truth))[0]
    ious = share(areas[:, 0], areas[:, 1])
    scenes = scenes_of(predictions)
    return {
        "acc@0.5_hbb": share_of(ious >= 0.5, scenes),
        "acc@0.7_hbb": share_of(ious >= 0.7, scenes),
        "mean_iou_hbb": mean_of(ious, scenes),
        "cum_iou": Measure(areas, lambda sums: share(sums[..., 0], sums[..., 1]), scenes),
    }


def inclusive(answers: Floats, truths: Floats) -> Floats:
    """(n, 2) shared and united area of (n, 4) corners whose last pixels count: +1 a side.

    Source: computeIoU of VRSBench; it depends on the unit, so it is no default.
    """
    low = np.maximum(answers[:, :2], truths[:, :2])
    high = np.minimum(answers[:, 2:], truths[:, 2:])
    shared = np.maximum(high - low + 1, 0).prod(axis=1)
    areas = [(corners[:, 2:] - corners[:, :2] + 1).prod(axis=1) for corners in (answers, truths)]
    return np.stack([shared, sum(areas) - shared], axis=1)


def vleo_refer(
    predictions: Predictions, labels: Sequence[str] = (), qwen: bool = False
) -> Measures:
    """First boxes by vleo-bench: IoU above 0.5; answers without a box are left out."""
    answers = []
    truths = []
    scenes = []
    refused = []
    for prediction in predictions:
        if qwen:
            box = rules.vleo_qwen_box(prediction.answer, prediction.size_wh)
        else:
            box = rules.vleo_box(prediction.answer)
        refused.append(box is None)
        if box is not None:
            answers.append(box)
            truths.append(_first_box(prediction).hbb[0])
            scenes.append(prediction.scene)
    measures = {"refused": share_of(refused, scenes_of(predictions))}
    if not answers:
        return measures
    answered = Boxes.from_hbb(answers)
    truth = Boxes.from_hbb(truths)
    ious = iou_hbb(answered, truth)  # (answers,)
    away = answered.quads.mean(axis=1) - truth.quads.mean(axis=1)
    return measures | {
        "acc@0.5_hbb": share_of(ious > 0.5, scenes),
        "mean_iou_hbb": mean_of(ious, scenes),
        "centre_px": mean_of(np.hypot(away[:, 0], away[:, 1]), scenes),
    }


def clip(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """First boxes, answers and truths cut at the border of the image."""
    measures = grounding.measures(_moved(predictions, grounding.clipped))
    return {name: measures[name] for name in ("acc@0.5_hbb", "mean_iou_hbb")}


def anticlockwise(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Boxes turned the other way, answers and truths alike."""
    return grounding.found(_moved(predictions, lambda boxes, size_wh: mirrored(boxes)))


def mirrored(boxes: Boxes) -> Boxes:
    """Boxes turned by their angle against the clock on screen instead of with it."""
    return Boxes.from_rotated(boxes.rotated * [1, 1, 1, 1, -1])


def _moved(
    predictions: Predictions, move: Callable[[Boxes, tuple[int, int]], Boxes]
) -> list[Prediction]:
    """The predictions with the boxes of answers and truths moved."""
    moved = []
    for prediction in predictions:
        answers = move(_answered_boxes(prediction), prediction.size_wh)
        truths = move(_true_boxes(prediction), prediction.size_wh)
        truth = replace(prediction.true(BoxesTruth), boxes=truths)
        boxes = answers.to_rows(None) or None
        moved.append(replace(prediction, boxes=boxes, truth=truth))
    return moved


def earthdial_boxes(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Share of answered boxes that overlap any truth; one truth may serve several."""
    rows = np.zeros((len(predictions), 2))  # hits, answered boxes
    for row, prediction in zip(rows, predictions, strict=True):
        answers = mirrored(_answered_boxes(prediction))
        row[0] = any_hits(answers, mirrored(_true_boxes(prediction)))
        row[1] = len(answers)
    hits = ratio_of(rows, lambda sums: share(sums[..., 0], sums[..., 1]), scenes_of(predictions))
    return {"precision@0.5": hits}


def any_hits(answers: Boxes, truth: Boxes) -> int:
    """How many answers overlap any truth."""
    best = matching.overlaps(answers, truth).max(axis=1, initial=0.0)
    return int((best >= grounding.THRESHOLD - matching.ROUNDING).sum())


def unscored(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """AP@0.5 of boxes without scores: ties stand in the order written, and no interval is told."""
    boxes = [_answered_boxes(prediction) for prediction in predictions]
    truths = [_true_boxes(prediction) for prediction in predictions]
    answers = _objects(predictions, boxes, scores=[1.0] * sum(map(len, boxes)))
    averages = detection.dota(answers, _objects(predictions, truths), eleven=False)
    mean = float(np.mean([average.ap for average in averages.values()]))
    return {"ap@0.5_unscored": mean_of([mean] * len(predictions), scenes_of(predictions))}


def _objects(predictions: Predictions, boxes: Sequence[Boxes], **values: Any) -> detection.Objects:
    """The boxes of each prediction as objects of the class it is about, a question a picture."""
    names = []
    for prediction, several in zip(predictions, boxes, strict=True):
        names.append([prediction.true(BoxesTruth).name or ""] * len(several))
    return detection.Objects.of(boxes, names, **values)


def vleo_counts(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Counts by vleo-bench, refusals as 0: R2 is the squared correlation."""
    return counting.vleo([replace(row, count=rules.vleo_count(row.answer)) for row in predictions])


def vleo_damage(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Errors of all five counts together, by vleo-bench's reading of the JSON."""
    read = [rules.vleo_damage(prediction.answer) for prediction in predictions]
    every_count: list[Prediction] = []
    for counts in counts_by_field(predictions, read).values():
        every_count += counts
    return counting.vleo(every_count)


def counts_by_field(predictions: Predictions, read: Sequence[dict[str, int] | None]) -> Grouped:
    """Of each count of a disaster its predictions as `counting` scores them; a missing one is 0."""
    fields: Grouped = {}
    for field in rules.DAMAGE:
        fields[field] = []
        for prediction, answer in zip(predictions, read, strict=True):
            truth = CountTruth(prediction.true(DamageTruth).counts[field])
            count = None if answer is None else answer.get(field, 0)
            fields[field].append(replace(prediction, truth=truth, count=count))
    return fields


def with_meteor(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """METEOR 1.5 by its own Java program."""
    answers = [tokenise(prediction.answer) for prediction in predictions]
    rows = meteor.meteor_rows(meteor.lines(answers, references_of(predictions)))
    return {"meteor": Measure(rows, meteor.meteor, scenes_of(predictions))}


def levir_change(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Whether a caption tells change from none, by the second reference, in LEVIR-CC's words.

    Raises:
        EvaluationError: a caption has one reference only.
    """
    answered: dict[str, list[bool]] = {"change_acc": [], "no_change_acc": []}
    scenes: dict[str, list[str]] = {"change_acc": [], "no_change_acc": []}
    for prediction in predictions:
        captions = prediction.true(CaptionsTruth).captions
        if len(captions) < 2:
            raise EvaluationError(
                f"{prediction.id}: LEVIR-CC's rule reads the second reference; leave it out."
            )
        unchanged = _says_no_change(captions[1])
        name = "no_change_acc" if unchanged else "change_acc"
        answered[name].append(_says_no_change(prediction.answer) == unchanged)
        scenes[name].append(prediction.scene)
    return {name: share_of(right, scenes[name]) for name, right in answered.items() if right}


def _says_no_change(caption: str) -> bool:
    words = caption.lower().replace(".", " ").split()
    return " ".join(words) in NO_CHANGE


def _answered_boxes(prediction: Prediction) -> Boxes:
    return Boxes.from_rows(prediction.boxes or [])


def _true_boxes(prediction: Prediction) -> Boxes:
    return prediction.true(BoxesTruth).boxes


def _first_box(prediction: Prediction) -> Boxes:
    return _true_boxes(prediction)[:1]
