"""Examples of a report: which to show, failures first, and each as a picture with its answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from swath.errors import SwathError
from swath.evaluation.metrics import caption_scores as captions
from swath.evaluation.metrics import grounding
from swath.evaluation.metrics import several_parts as several
from swath.evaluation.metrics import short_answers as questions
from swath.evaluation.metrics.ngrams import Sentences, rouge_l
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.predictions import TRUTH, Prediction
from swath.evaluation.reading import without_boxes
from swath.evaluation.report.charts import Series
from swath.imagery.scene import open_scene
from swath.recipe import Rendering

OpenImage = Callable[[str], Image.Image]

BOXED = ("refer", "ground")
"""Tasks that are answered with boxes alone."""

BOX_STYLES = {
    "true": "truth",
    "answered": "answer",
    "asked": "asked about",
    "earlier": "answer of an earlier run",
}
"""Outlines of boxes, and what they say."""

_WORDED = ("caption", "region", "describe")
_FIELDS = {
    "classify": ("label", "label"),
    "identify": ("label", "name"),
    "count": ("count", "count"),
}  # what was read, and the truth it is held against
_THUMBNAIL_PX = 360  # of the longer side
_LONGEST = 400  # signs of an answer that are shown


def goodness(predictions: Sequence[Prediction]) -> list[float]:
    """How good each answer of one task is, 0 to 1: right or not, IoU, F1, or ROUGE-L of words."""
    if not predictions:
        return []
    task = predictions[0].task
    if task == "refer":
        return [float(value) for value in grounding.overlaps(predictions)[0]]
    if task == "ground":
        return [float(value) for value in grounding.f1(grounding.hits(predictions)[:, [0, 3, 4]])]
    if task == "question":
        return [float(questions.exact(prediction)) for prediction in predictions]
    if task in _WORDED:
        answers = [tokenise(without_boxes(one.answer)) for one in predictions]
        references = [[tokenise(c) for c in one.truth["captions"]] for one in predictions]
        return [float(value) for value in rouge_l(Sentences.of(answers, references))]
    if task in ("classes", "damage"):
        measure = several.classes if task == "classes" else several.damage
        flags = [list(measure([one]).values())[-1].right for one in predictions]
        return [float(flag is not None and flag[0]) for flag in flags]
    field, truth = _FIELDS[task]
    return [float(getattr(one, field) == one.truth[truth]) for one in predictions]


def failed(prediction: Prediction, good: float) -> bool:
    """Whether an answer counts as failed: unreadable, wrong, or IoU below the threshold.

    A caption fails where it is empty or, if the image has a class, does not name it; a description
    also where its boxes find none of the objects it is about; "ground" where any box is amiss.
    """
    if prediction.unreadable:
        return True
    if prediction.task == "describe" and prediction.truth.get("boxes"):
        return not grounding.hits([prediction])[0, 0]
    if prediction.task in _WORDED:
        label = prediction.truth.get("label")
        return bool(label) and not captions.names_class(prediction.answer, str(label))
    return good < (grounding.THRESHOLD if prediction.task == "refer" else 1.0)


@dataclass(frozen=True)
class Judged:
    """A prediction, how good it is from 0 to 1, and whether it counts as failed."""

    prediction: Prediction
    goodness: float
    failed: bool

    @classmethod
    def each(cls, predictions: Sequence[Prediction]) -> list[Judged]:
        """The judgement of each prediction of one task."""
        goods = goodness(predictions)
        return [
            cls(prediction, good, failed(prediction, good))
            for prediction, good in zip(predictions, goods, strict=True)
        ]


def failures(judged: Sequence[Judged]) -> list[Judged]:
    """Those that failed: unreadable first, then worst first, then surest first."""

    def order(answer: Judged) -> tuple[bool, float, float]:
        prediction = answer.prediction
        return not prediction.unreadable, answer.goodness, -(prediction.confidence or 0.0)

    return sorted((answer for answer in judged if answer.failed), key=order)


def spread(judged: Sequence[Judged], most: int) -> list[Judged]:
    """So many of some answers, evenly over the test set."""
    step = max(1.0, len(judged) / most) if most else 1.0
    return [judged[int(place * step)] for place in range(min(most, len(judged)))]


@dataclass
class Gallery:
    """Draws examples; a picture that several of them show is opened once.

    Args:
        open_image: opens the picture of a path; Pillow by default.
    """

    open_image: OpenImage = Image.open
    _thumbnails: dict[str, str | None] = field(default_factory=dict)

    def example(self, answers: Sequence[tuple[Series, Judged]]) -> dict[str, Any]:
        """One question for the page: picture, boxes, truth, and each run's answer.

        Args:
            answers: of the same question; the last run's boxes are drawn dashed, earlier runs'
                dotted, the truth's solid.
        """
        last = answers[-1][1].prediction
        width, height = last.size_wh
        boxes = []
        for series, answer in answers:
            style = "answered" if series is answers[-1][0] else "earlier"
            boxes += [(style, quad) for quad in answer.prediction.boxes or []]
        boxes += [("true", quad) for quad in last.truth.get("boxes", [])]
        boxes += [("asked", quad) for quad in last.asked or []]
        return {
            "id": last.id,
            "file": Path(last.image).name,
            "thumbnail": self.thumbnail(last.image),
            "width": width,
            "height": height,
            "boxes": boxes,
            "question": _cut(last.question),
            "truth": _truth(last.truth, last.task),
            "answers": [
                {
                    "series": series,
                    "failed": answer.failed,
                    "words": _words(answer.prediction),
                    "notes": _notes(answer),
                }
                for series, answer in answers
            ],
        }

    def thumbnail(self, path: str) -> str | None:
        """The picture as a data URI of a small JPEG; None where it cannot be opened."""
        if path not in self._thumbnails:
            self._thumbnails[path] = self._opened(path)
        return self._thumbnails[path]

    def _opened(self, path: str) -> str | None:
        try:
            picture = self.open_image(path)
            picture = picture if picture.mode == "RGB" else picture.convert("RGB")
            picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=82)
        except (SwathError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def rendered(path: str, rendering: Rendering, longest: int = 2 * _THUMBNAIL_PX) -> Image.Image:
    """The picture of a raster of any kind, as the model was shown it, but no longer than that."""
    scene = open_scene(path)
    scale = min(1.0, longest / max(scene.size_wh))
    width, height = (max(1, round(length * scale)) for length in scene.size_wh)
    return Image.fromarray(scene.read_rgb(size_wh=(width, height), rendering=rendering))


def _truth(truth: Mapping[str, Any], task: str) -> str:
    value = truth[TRUTH[task]]
    if task in BOXED:
        return "solid box" if len(value) == 1 else f"{len(value)} solid boxes"
    return str(value[0] if task in _WORDED else value)


def _words(prediction: Prediction) -> str:
    if prediction.closed and prediction.label is not None:
        return prediction.label
    return _cut(prediction.answer) if prediction.answer.strip() else "—"


def _notes(answer: Judged) -> list[str]:
    """What stands small behind an answer: its problem, confidence and overlap."""
    prediction = answer.prediction
    notes = [prediction.problem] if prediction.problem else []
    if prediction.confidence is not None:
        notes.append(f"{100 * prediction.confidence:.0f} % sure")
    if prediction.task in BOXED and prediction.boxes:
        measure = "IoU" if prediction.task == "refer" else "F1"
        notes.append(f"{measure} {answer.goodness:.2f}")
    return notes


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
