"""What the named modes of `modes` measure: scores by published rules that are not ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, iou_hbb
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
from swath.evaluation.metrics.base import Measure, mean_of, share, share_of
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.papers import damage
from swath.evaluation.papers import reading_rules as rules
from swath.evaluation.predictions import NOT_A_LABEL, UNPARSABLE, Prediction

Predictions = Sequence[Prediction]
Measures = dict[str, Measure]


def cookbook(predictions: Predictions, labels: Sequence[str]) -> Measures:
    """Scene classes by the Pixtral cookbook: macro-F1 has a class more, that of wrong answers."""
    read = []
    for one in predictions:
        label = rules.cookbook_label(one.answer)
        problem = UNPARSABLE if label is None else None if label in labels else NOT_A_LABEL
        read.append(replace(one, label=None if problem else label, problem=problem))
    return _with_invalid(classification.measures(read, labels), len(labels))


def vleo_scene(predictions: Predictions, labels: Sequence[str]) -> Measures:
    """Scene classes by vleo-bench: the first label of the list that the answer contains."""
    read = [replace(one, label=rules.vleo_label(one.answer, labels)) for one in predictions]
    found = classification.measures(read, labels)
    scenes = found["accuracy"].scenes
    refused = [rules.vleo_refused(one.answer, one.label) for one in read]
    if any(one.label is None for one in read):
        found = _with_invalid(found, len(labels))
    kept = {name: found[name] for name in ("accuracy", "macro_f1")}
    return kept | {"refused": mean_of(refused, scenes)}


def same(
    predictions: Predictions,
    labels: Sequence[str] = (),
    key: str = "answer",
    normal: Callable[[str], str] = rules.squeezed,
    of_truth: Callable[[str], str] = str.lower,
) -> Measures:
    """Answers that equal the truth once both are written one way."""
    pairs = [(normal(one.answer), of_truth(str(one.truth[key]))) for one in predictions]
    right = [answer == truth for answer, truth in pairs]
    if key == "label":
        return {"accuracy": share_of(right, [one.scene for one in predictions])}
    return questions.shares(predictions, right)


def earthdial_words(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """EarthDial's accuracy: the share of the truth's tokens that an answer has."""
    pairs = ((one.answer, str(one.truth["answer"])) for one in predictions)
    return questions.shares(predictions, [rules.earthdial_recall(*pair) for pair in pairs])


def vrsbench(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """First boxes by VRSBench: any four digits runs, inclusive pixels of a 100 by 100 grid."""
    scenes = [one.scene for one in predictions]
    rows = np.zeros((len(predictions), 2))  # shared area, united area
    for row, one in zip(rows, predictions, strict=True):
        box = rules.vrsbench_box(one.answer)
        if box is not None:
            truth = _first(one).scaled((100 / one.size_wh[0], 100 / one.size_wh[1])).hbb
            answer, meant = Boxes.from_hbb(box), Boxes.from_hbb(np.rint(truth))
            row[:] = grounding.inclusive(answer, meant)[0]
    each = np.divide(rows[:, 0], rows[:, 1], out=np.zeros(len(rows)), where=rows[:, 1] > 0)
    return {
        "acc@0.5_hbb": share_of(each >= 0.5, scenes),
        "acc@0.7_hbb": share_of(each >= 0.7, scenes),
        "mean_iou_hbb": mean_of(each, scenes),
        "cum_iou": Measure(rows, _cumulative, tuple(scenes)),
    }


def vleo_refer(
    predictions: Predictions, labels: Sequence[str] = (), qwen: bool = False
) -> Measures:
    """First boxes by vleo-bench: IoU above 0.5; answers without a box are left out."""
    read, truth, refused = [], [], []
    for one in predictions:
        box = rules.vleo_qwen_box(one.answer, one.size_wh) if qwen else rules.vleo_box(one.answer)
        refused.append(box is None)
        if box is not None:
            read.append(box)
            truth.append(_first(one).hbb[0])
    found = {"refused": mean_of(refused, [one.scene for one in predictions])}
    if not read:
        return found
    scenes = [one.scene for one, out in zip(predictions, refused, strict=True) if not out]
    answers, meant = Boxes.from_hbb(read), Boxes.from_hbb(truth)
    overlap = iou_hbb(answers, meant)
    away = np.hypot(*(answers.quads.mean(axis=1) - meant.quads.mean(axis=1)).T)
    return found | {
        "acc@0.5_hbb": share_of(overlap > 0.5, scenes),
        "mean_iou_hbb": mean_of(overlap, scenes),
        "centre_px": mean_of(away, scenes),
    }


def anticlockwise(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Boxes turned the other way, answers and truths alike."""
    return grounding.found(_moved(predictions, lambda boxes, _: mirrored(boxes)))


def mirrored(boxes: Boxes) -> Boxes:
    """Boxes turned by their angle against the clock on screen instead of with it."""
    return Boxes.from_rotated(boxes.rotated * [1, 1, 1, 1, -1])


def earthdial_boxes(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Share of answered boxes that overlap any truth; one truth may serve several."""
    rows = np.zeros((len(predictions), 3))
    for row, one in zip(rows, predictions, strict=True):
        answers, truth = (
            mirrored(grounding.boxes_of(b or [])) for b in (one.boxes, one.truth["boxes"])
        )
        row[:2] = any_hits(answers, truth), len(answers)
    scenes = tuple(one.scene for one in predictions)
    return {"precision@0.5": Measure(rows, lambda s: share(s[..., 0], s[..., 1]), scenes)}


def any_hits(answers: Boxes, truth: Boxes) -> int:
    """How many answers overlap any truth."""
    best = matching.overlaps(answers, truth).max(axis=1, initial=0.0)
    return int((best >= grounding.THRESHOLD - matching.ROUNDING).sum())


def unscored(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """AP@0.5 of boxes without scores: ties stand in the order written, and no interval is told."""
    sides = []
    for truth in (False, True):
        rows = [
            (f"{place:09}", str(one.truth.get("name", "")), row)
            for place, one in enumerate(predictions)
            for row in (one.truth["boxes"] if truth else one.boxes) or ()
        ]
        boxes = grounding.boxes_of([row for *_, row in rows])
        names = [name for _, name, _ in rows]
        sides.append(detection.Objects([i for i, *_ in rows], names, boxes, [1.0] * len(rows)))
    each = [one.ap for one in detection.dota(sides[0], sides[1], eleven=False).values()]
    scenes = [one.scene for one in predictions]
    return {"ap@0.5_unscored": mean_of([float(np.mean(each))] * len(scenes), scenes)}


def vleo_counts(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Counts by vleo-bench, refusals as 0: R2 is the squared correlation."""
    return counting.vleo([replace(one, count=rules.vleo_count(one.answer)) for one in predictions])


def with_meteor(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """METEOR 1.5 by its own Java program."""
    answers = [tokenise(one.answer) for one in predictions]
    references = [[tokenise(text) for text in one.truth["captions"]] for one in predictions]
    rows = meteor.meteor_rows(meteor.lines(answers, references))
    return {"meteor": Measure(rows, meteor.meteor, tuple(one.scene for one in predictions))}


def clip(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """First boxes, answers and truths cut at the border of the image."""
    measured = grounding.measures(_moved(predictions, grounding.clipped))
    return {name: measured[name] for name in ("acc@0.5_hbb", "mean_iou_hbb")}


def _moved(
    predictions: Predictions, move: Callable[[Boxes, tuple[int, int]], Boxes]
) -> list[Prediction]:
    """The predictions with the boxes of answers and truths moved."""

    def moved(one: Prediction, rows: list[list[float]] | None) -> list[list[float]]:
        boxes = move(grounding.boxes_of(rows or []), one.size_wh)
        return boxes.quads.reshape(-1, 8).tolist()

    return [
        replace(
            one,
            boxes=moved(one, one.boxes) or None,
            truth={**one.truth, "boxes": moved(one, one.truth["boxes"])},
        )
        for one in predictions
    ]


def vleo_damage(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Errors of all five counts together, by vleo-bench's reading of the JSON."""
    read = [rules.vleo_damage(one.answer) for one in predictions]
    return counting.vleo(
        [one for some in damage.by_field(predictions, read).values() for one in some]
    )


NO_CHANGE = (
    "the scene is the same as before",
    "there is no difference",
    "the two scenes seem identical",
    "no change has occurred",
    "almost nothing has changed",
)
"""What LEVIR-CC's captions say of a pair without change."""


def levir_change(predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """Whether a caption tells change from none, by the second reference, in LEVIR-CC's words."""
    if bare := [one.id for one in predictions if len(one.truth["captions"]) < 2]:
        raise EvaluationError(
            f"{bare[0]}: LEVIR-CC's rule reads the second reference; leave it out."
        )
    found = {}
    for name, still in (("change_acc", False), ("no_change_acc", True)):
        meant = [o for o in predictions if (_plain(o.truth["captions"][1]) in NO_CHANGE) == still]
        if meant:
            said = [(_plain(one.answer) in NO_CHANGE) == still for one in meant]
            found[name] = share_of(said, [one.scene for one in meant])
    return found


def _plain(caption: str) -> str:
    return " ".join(re.sub(r"[.]", " ", caption.lower()).split())


def _with_invalid(found: Measures, labels: int) -> Measures:
    """Macro-F1 over one class more, which is never right."""
    ours = found["macro_f1"]
    smaller = labels / (labels + 1)
    macro = replace(ours, formula=lambda sums: ours.formula(sums) * smaller)
    return found | {"macro_f1": macro}


def _cumulative(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return share(sums[..., 0], sums[..., 1])


def _first(one: Prediction) -> Boxes:
    return grounding.boxes_of(one.truth["boxes"][:1])
