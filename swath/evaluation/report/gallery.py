"""Examples for a report: which to show, failures first, and each as a picture with its answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
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
from swath.imagery.scene import open_scene
from swath.recipe import Rendering

OpenImage = Callable[[str], Image.Image]

BOXED = ("refer", "ground")
"""Tasks that are answered with boxes alone."""

_WORDED = ("caption", "region", "describe")
_FIELDS = {
    "classify": ("label", "label"),
    "identify": ("label", "name"),
    "count": ("count", "count"),
}  # what was read, and the truth it is held against
_SIDE = 360  # pixels of a thumbnail's longer side
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
        return [float(questions.exact(one)) for one in predictions]
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


def choose(
    predictions: Sequence[Prediction], most: int
) -> tuple[list[Prediction], list[Prediction], int]:
    """Failures worth seeing, answers that did not fail, and how many failed in all.

    Failures come unreadable first, then worst first, then surest first. The others are spread
    evenly over the test set.

    Args:
        predictions: of one task and run.
        most: how many of each.
    """
    goods = dict(zip((one.id for one in predictions), goodness(predictions), strict=True))
    bad = [one for one in predictions if failed(one, goods[one.id])]
    rest = [one for one in predictions if not failed(one, goods[one.id])]
    bad.sort(key=lambda one: (not one.unreadable, goods[one.id], -(one.confidence or 0.0)))
    step = max(1.0, len(rest) / most) if most else 1.0
    spread = [rest[int(number * step)] for number in range(min(most, len(rest)))]
    return bad[:most], spread, len(bad)


def example(
    answers: Sequence[tuple[str, str, Prediction]], open_image: OpenImage | None = None
) -> str:
    """One question as an HTML figure: picture, boxes, truth, and each run's answer.

    Args:
        answers: (run name, style class, prediction) of the same question; the last run's boxes
            are drawn dashed, earlier runs' dotted, the truth's solid.
        open_image: opens the picture of a path; Pillow by default.
    """
    last = answers[-1][2]
    rows = [f"<dt>truth</dt><dd>{escape(_truth(last.truth, last.task))}</dd>"]
    for name, style, one in answers:
        good = goodness([one])[0]
        mark = "bad" if failed(one, good) else "good"
        rows.append(
            f'<dt class="{style}">{escape(name)}</dt>'
            f'<dd class="{mark}">{escape(_answer(one))}{_aside(one, good)}</dd>'
        )
    return (
        f'<figure class="example">{_picture(answers, open_image or Image.open)}<figcaption>'
        f'<p class="question">{escape(_cut(last.question))}</p><dl>{"".join(rows)}</dl>'
        f'<p class="id">{escape(last.id)}</p></figcaption></figure>'
    )


def thumbnail(path: str, open_image: OpenImage) -> str | None:
    """The picture as a data URI of a small JPEG; None where it cannot be opened."""
    try:
        picture = open_image(path)
        picture = picture if picture.mode == "RGB" else picture.convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=82)
    except (SwathError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def rendered(path: str, rendering: Rendering, longest: int = 2 * _SIDE) -> Image.Image:
    """The picture of a raster of any kind, as the model was shown it, but no longer than that."""
    scene = open_scene(path)
    scale = min(1.0, longest / max(scene.size_wh))
    width, height = (max(1, round(side * scale)) for side in scene.size_wh)
    return Image.fromarray(scene.read_rgb(size_wh=(width, height), rendering=rendering))


def _picture(answers: Sequence[tuple[str, str, Prediction]], open_image: OpenImage) -> str:
    last = answers[-1][2]
    width, height = last.size_wh
    source = thumbnail(last.image, open_image)
    shown = (
        f'<img src="{source}" alt="{escape(Path(last.image).name)}">'
        if source
        else f'<span class="missing">{escape(Path(last.image).name)} cannot be opened</span>'
    )
    shapes = []
    for place, (_, _, one) in enumerate(answers):
        style = "answered" if place == len(answers) - 1 else "earlier"
        shapes += [_polygon(row, style) for row in one.boxes or []]
    shapes += [_polygon(row, "true") for row in last.truth.get("boxes", [])]
    shapes += [_polygon(row, "asked") for row in last.asked or []]
    drawn = (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(shapes)}</svg>"
        if shapes
        else ""
    )
    return f'<div class="picture" style="aspect-ratio:{width}/{height}">{shown}{drawn}</div>'


def _polygon(row: Sequence[float], style: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(row[0::2], row[1::2], strict=True))
    return f'<polygon class="{style}" points="{points}"/>'


def _truth(truth: Mapping[str, Any], task: str) -> str:
    wanted = truth[TRUTH[task]]
    if task in BOXED:
        return "solid box" if len(wanted) == 1 else f"{len(wanted)} solid boxes"
    return str(wanted[0] if task in _WORDED else wanted)


def _answer(one: Prediction) -> str:
    if one.closed and one.label is not None:
        return one.label
    return _cut(one.answer) if one.answer.strip() else "—"


def _aside(one: Prediction, good: float) -> str:
    notes = [one.problem] if one.problem else []
    if one.confidence is not None:
        notes.append(f"{100 * one.confidence:.0f} % sure")
    if one.task in BOXED and one.boxes:
        notes.append(f"{'IoU' if one.task == 'refer' else 'F1'} {good:.2f}")
    return f" <small>{escape(' · '.join(notes))}</small>" if notes else ""


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
