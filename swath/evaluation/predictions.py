"""`Prediction`: one question, its truth, what was answered and how the answer was read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from swath.boxes import Size
from swath.errors import EvaluationError, FormatError
from swath.files import Json, read_jsonl, write_jsonl
from swath.instructions.conversation import Box, Conversation
from swath.instructions.tasks.truths import DECIMALS, Truth, truth_of

Kind = TypeVar("Kind", bound=Truth)

EMPTY = "empty"
REFUSED = "refused"
UNPARSABLE = "unparsable"
NOT_A_LABEL = "not a label"
NO_NUMBER = "no number"
NOT_A_COUNT = "not a count"
NO_BOX = "no box"
SEVERAL_BOXES = "several boxes"
SEVERAL_NUMBERS = "several numbers"

READING = frozenset({EMPTY, UNPARSABLE, NOT_A_LABEL, NO_NUMBER, NOT_A_COUNT, NO_BOX})
"""Problems of reading; others tell what became of the question."""

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
        truth: what the answer is scored against, of the task's kind.
        answer: the raw words.
        closed: the answer was chosen among candidates by their probability, so it cannot be
            invalid.
        label: the class or object name that was read; None if unreadable or outside the set.
        count: the number that was read.
        boxes: the boxes that were read, rows of 8 pixel values; of "refer" the first counts.
        problem: why the answer could not be read, or a note of `NOTES`; None without any.
        confidence: probability of the chosen candidate among all of them.
        box_confidence: how sure the model is of each of `boxes`; None where that is not known.
        asked: the boxes within the question, rows of 8 pixel values.
        clip: `score` and `ref` of a caption by CLIP, and the checkpoint, `by`, if one was asked.
    """

    id: str
    task: str
    scene: str
    image: str
    size_wh: Size
    question: str
    truth: Truth
    answer: str
    closed: bool = False
    label: str | None = None
    count: int | None = None
    boxes: list[list[float]] | None = None
    problem: str | None = None
    confidence: float | None = None
    box_confidence: list[float] | None = None
    asked: list[list[float]] | None = None
    clip: Json | None = None

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    @property
    def unreadable(self) -> bool:
        """Whether nothing could be read of the answer: it is wrong, and counted."""
        return self.problem is not None and self.problem not in NOTES

    def true(self, kind: type[Kind]) -> Kind:
        """The truth, which is to be of a kind.

        Raises:
            EvaluationError: it is of another.
        """
        if isinstance(self.truth, kind):
            return self.truth
        raise EvaluationError(
            f"{self.id}: task '{self.task}' is scored against {kind.__doc__} Its truth holds "
            f"{', '.join(self.truth.to_row()) or 'nothing'}."
        )

    def to_row(self) -> Json:
        """The prediction as a JSON object; `from_row` is the inverse."""
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        return row | {"truth": self.truth.to_row(), "size_wh": list(self.size_wh)}

    @classmethod
    def from_row(cls, row: Json) -> Prediction:
        """The prediction that `to_row` wrote.

        Raises:
            FormatError: a field is missing, unknown or of another type.
        """
        try:
            truth = truth_of(row["task"], row["truth"])
            return _PREDICTION.validate_python({**row, "truth": truth})
        except FormatError as error:
            raise FormatError(f"prediction {row.get('id', '?')}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise FormatError(f"prediction {row.get('id', '?')}: {fault}.") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"prediction {row.get('id', '?')}: {error!r}.") from None


Predictions = Sequence[Prediction]
Grouped = dict[str, list[Prediction]]
"""Predictions by their task, or by another name."""


def scenes_of(predictions: Predictions) -> tuple[str, ...]:
    """The scene of each prediction."""
    return tuple(prediction.scene for prediction in predictions)


def confidences_of(predictions: Predictions) -> list[float] | None:
    """The confidence of each prediction; None unless all have one."""
    sure = [row.confidence for row in predictions if row.confidence is not None]
    return sure if len(sure) == len(predictions) else None


_PREDICTION = TypeAdapter(Prediction)


def unanswered(conversation: Conversation) -> Prediction:
    """The prediction of a conversation nobody has answered yet: empty, hence unreadable.

    Raises:
        EvaluationError: there is no image.
    """
    if not conversation.images:
        raise EvaluationError(f"{conversation.id}: the question shows no image; leave it out.")
    image = conversation.images[0]
    question = [turn for turn in conversation.turns if turn.role == "user"][-1]
    boxes = [part.boxes for part in question.parts if isinstance(part, Box)]
    return Prediction(
        id=conversation.id,
        task=conversation.task,
        scene=conversation.scene or conversation.id,
        image=image.path,
        size_wh=image.size_wh,
        question=conversation.text("user"),
        truth=conversation.truth,
        answer="",
        problem=EMPTY,
        asked=[row for several in boxes for row in several.to_rows(DECIMALS)] or None,
    )


def write_predictions(path: Path | str, predictions: Iterable[Prediction]) -> int:
    """Write `predictions.jsonl`; return how many there were."""
    return write_jsonl(path, "predictions", (prediction.to_row() for prediction in predictions))


def read_predictions(path: Path | str) -> Iterator[Prediction]:
    """Yield the predictions of a `predictions.jsonl`."""
    return (Prediction.from_row(row) for row in read_jsonl(path, "predictions"))
