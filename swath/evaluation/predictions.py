"""`Prediction`: one question, its truth, what was answered and how the answer was read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swath.errors import FormatError
from swath.files import read_jsonl, write_jsonl

EMPTY = "empty"
REFUSED = "refused"
UNPARSABLE = "unparsable"
NOT_A_LABEL = "not a label"
NO_NUMBER = "no number"
NOT_A_COUNT = "not a count"
NO_BOX = "no box"
SEVERAL_BOXES = "several boxes"
SEVERAL_NUMBERS = "several numbers"

DECIMALS = 9
"""Of boxes in predictions: more than any score shows, and too few for the noise of floats."""

NOTES = frozenset({SEVERAL_BOXES, SEVERAL_NUMBERS})
"""Problems that leave an answer readable: its first box or number is taken."""


@dataclass(frozen=True)
class Prediction:
    """One answer beside its truth; reports and scores need nothing else.

    Args:
        id: of the conversation; runs are paired by it.
        task: a row of `swath.evaluation.scored_tasks.SCORED`.
        scene: predictions of one scene are resampled together.
        image: path of the (first) image.
        size_wh: its width and height in pixels.
        question: the words that were asked.
        truth: any of `label`, `captions`, `count`, `boxes` (rows of 8 pixel values), `name`,
            `answer` and `kind`.
        answer: the raw words.
        closed: the answer was chosen among candidates by their probability, so it cannot be
            invalid.
        label: the class or object name that was read; None if unreadable or outside the set.
        count: the number that was read.
        boxes: the boxes that were read, rows of 8 pixel values; of "refer" the first counts.
        problem: why the answer could not be read, or a note of `NOTES`; None without any.
        confidence: probability of the chosen candidate among all of them.
        asked: the boxes within the question, rows of 8 pixel values.
        clip: `score` and `ref` of a caption by CLIP, and the checkpoint, `by`, if one was asked.
    """

    id: str
    task: str
    scene: str
    image: str
    size_wh: tuple[int, int]
    question: str
    truth: dict[str, Any]
    answer: str
    closed: bool = False
    label: str | None = None
    count: int | None = None
    boxes: list[list[float]] | None = None
    problem: str | None = None
    confidence: float | None = None
    asked: list[list[float]] | None = None
    clip: dict[str, Any] | None = None

    @property
    def unreadable(self) -> bool:
        """Whether nothing could be read of the answer: it is wrong, and counted."""
        return self.problem is not None and self.problem not in NOTES

    def to_row(self) -> dict[str, Any]:
        """The prediction as a JSON object; `from_row` is the inverse."""
        return {**asdict(self), "size_wh": list(self.size_wh)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Prediction:
        """The prediction that `to_row` wrote.

        Raises:
            FormatError: a field is missing, unknown or of another type.
        """
        try:
            width, height = row["size_wh"]
            return cls(**{**row, "size_wh": (int(width), int(height))})
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"prediction {row.get('id', '?')}: {error!r}.") from None


def write_predictions(path: Path | str, predictions: Iterable[Prediction]) -> int:
    """Write `predictions.jsonl`; return how many there were."""
    return write_jsonl(path, "predictions", (one.to_row() for one in predictions))


def read_predictions(path: Path | str) -> Iterator[Prediction]:
    """Yield the predictions of a `predictions.jsonl`."""
    return (Prediction.from_row(row) for row in read_jsonl(path, "predictions"))
