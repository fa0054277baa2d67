"""Samples: what the model answers while it learns, on a few questions held out, as a file.

Each line of `samples.jsonl` is one answer at one step, with its boxes in pixels of the picture and
the true ones beside them; a continued run writes the same line again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.boxes import Boxes
from swath.files import Journal, read_jsonl
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Box, Conversation, Turn
from swath.instructions.review import written
from swath.instructions.turns import CONVERSE
from swath.models.engine import Answer, LocalEngine
from swath.models.loaded import Loaded
from swath.models.proof import proof_questions
from swath.recipe import Tuning

if TYPE_CHECKING:
    from swath.tuning.trainer import Probe

SAMPLES = "samples.jsonl"
QUESTIONS = 6
LONGEST = 48
"""Tokens of an answer."""

_SPLITS = ("val", "train")  # what is tested is not looked at


def sampler(built: InstructionSet, tuning: Tuning, folder: Path) -> Probe | None:
    """The `probe` that answers questions as often as the recipe says; None where it says never.

    The questions are of the val split, or, in a set without one, of the train split.
    """
    if tuning.sample_every is None:
        return None
    splits = [built.split(name) for name in _SPLITS]
    rows = next(filter(None, splits), [])
    single = [row for row in rows if row.task != CONVERSE]
    random.Random(0).shuffle(single)  # of several pictures
    questions = proof_questions(single, QUESTIONS)
    return partial(_sample, folder / SAMPLES, tuning.sample_every, questions)


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's samples, oldest first; none where it writes none."""
    file = folder / SAMPLES
    if not file.is_file():
        return []
    by_key = {row["key"]: row for row in read_jsonl(file, "samples", whole=True)}
    return list(by_key.values())


def _sample(
    file: Path,
    every: int,
    questions: Sequence[Conversation],
    loaded: Loaded,
    row: dict[str, Any],
) -> None:
    step = row["step"]
    if step % every and step != row["steps"]:
        return
    answers = LocalEngine(loaded).answer(questions, LONGEST)
    journal = Journal(file, "samples")
    for question, answer in zip(questions, answers, strict=True):
        key = f"{row['stage']}/{step}/{question.id}"
        place = {"stage": row["stage"], "step": step}
        journal.put(key, place | _line(question, answer))
    journal.close()


def _line(question: Conversation, answer: Answer) -> dict[str, Any]:
    image = question.images[question.frame]
    *before, truth = question.turns
    return {
        "id": question.id,
        "task": question.task,
        "split": question.split,
        "image": image.path,
        "size_wh": image.size_wh,
        "question": written(before[-1]),
        "truth": written(truth),
        "answer": answer.text,
        "boxes": _rows(answer.boxes),
        "true": _boxes_in(truth),
        "asked": _boxes_in(before[-1]),
    }


def _boxes_in(turn: Turn) -> list[list[float]]:
    rows = []
    for part in turn.parts:
        if isinstance(part, Box):
            rows += part.boxes.to_rows()
    return rows


def _rows(boxes: Boxes | None) -> list[list[float]]:
    return [] if boxes is None else boxes.to_rows()
