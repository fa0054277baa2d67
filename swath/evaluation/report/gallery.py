"""Examples of a report: which to show, failures first, and each as a picture with its answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from swath.boxes import Boxes
from swath.errors import SwathError
from swath.evaluation.predictions import Prediction, Predictions
from swath.evaluation.report.charts import Series
from swath.evaluation.scored_tasks import SCORED, failed, goodness
from swath.files import Json
from swath.imagery.opening import open_scene
from swath.imagery.picture import open_image
from swath.instructions.tasks.truths import BoxesTruth, Truth
from swath.recipe import Rendering

OpenImage = Callable[[str], Image.Image]

BOX_STYLES = {
    "true": "truth",
    "answered": "answer",
    "asked": "asked about",
    "earlier": "answer of an earlier run",
}
"""Outlines of boxes, and what they say."""

_THUMBNAIL_PX = 360  # of the longer side
_LONGEST = 400  # signs of an answer that are shown


@dataclass(frozen=True)
class Judged:
    """A prediction, how good it is from 0 to 1, and whether it counts as failed."""

    prediction: Prediction
    goodness: float
    failed: bool

    @classmethod
    def each(cls, predictions: Predictions) -> list[Judged]:
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
    """Draws examples; a picture that several of them show is opened once."""

    open_image: OpenImage = open_image
    _thumbnails: dict[str, str | None] = field(default_factory=dict)

    def example(self, answers: Sequence[tuple[Series, Judged]]) -> Json:
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
        boxes += [("true", quad) for quad in (last.truth.get("boxes") or Boxes.empty()).to_rows()]
        boxes += [("asked", quad) for quad in last.asked or []]
        return {
            "id": last.id,
            "file": Path(last.image).name,
            "thumbnail": self.thumbnail(last.image),
            "width": width,
            "height": height,
            "boxes": boxes,
            "question": _cut(last.question),
            "truth": truth_words(last.truth, last.task),
            "answers": [
                {
                    "series": series,
                    "failed": answer.failed,
                    "words": answer_words(answer.prediction),
                    "notes": answer_notes(answer),
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
        except (SwathError, OSError, ValueError):
            return None
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def rendered(path: str, rendering: Rendering, longest: int = 2 * _THUMBNAIL_PX) -> Image.Image:
    """The picture of a raster of any kind, as the model was shown it, but no longer than that."""
    scene = open_scene(path)
    scale = min(1.0, longest / max(scene.size_wh))
    width, height = (max(1, round(length * scale)) for length in scene.size_wh)
    return Image.fromarray(scene.read_rgb(size_wh=(width, height), rendering=rendering))


def truth_words(truth: Truth, task: str) -> str:
    """A question's truth, as a report says it."""
    row = SCORED.get(task)
    if isinstance(truth, BoxesTruth):
        count = len(truth.boxes)
        return "solid box" if count == 1 else f"{count} solid boxes"
    texts = row.texts(truth)
    return texts[0] if row.by_degree else ", ".join(texts)


def answer_words(prediction: Prediction) -> str:
    """What was answered: the class that was chosen, or the words, cut short."""
    if prediction.closed and prediction.label is not None:
        return prediction.label
    return _cut(prediction.answer) if prediction.answer.strip() else "—"


def answer_notes(answer: Judged) -> list[str]:
    """What stands small behind an answer: its problem, confidence and overlap."""
    prediction = answer.prediction
    notes = [prediction.problem] if prediction.problem else []
    if prediction.confidence is not None:
        notes.append(f"{100 * prediction.confidence:.0f} % sure")
    overlap = SCORED.get(prediction.task).overlap
    if overlap and prediction.boxes:
        notes.append(f"{overlap} {answer.goodness:.2f}")
    return notes


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
