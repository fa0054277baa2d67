"""Answers in the shape that both clients read: whole, in pieces, with probabilities and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swath.boxes import Boxes
from swath.imagery.georeference import Georeference
from swath.models.generating.choosing import Step
from swath.models.generating.growing import Growing
from swath.serving.protocol import Row


@dataclass(frozen=True)
class Head:
    """What every piece of an answer begins with.

    Args:
        id: of the answer.
        created: seconds since 1970.
        model: its name.
    """

    id: str
    created: int
    model: str

    def body(self, kind: str, choices: list[Row], **fields: Any) -> Row:
        """An object of a kind, `chat.completion` or `chat.completion.chunk`."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
            "choices": choices,
            **fields,
        }


def usage(answers: Sequence[Growing]) -> Row:
    """Tokens read once and written in all answers to a question."""
    prompt = len(answers[0].prompt.encoded.ids)
    written = sum(len(answer.ids) for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def choice(number: int, answer: Growing, tokenizer: Any, notes: Row) -> Row:
    """A whole answer.

    Args:
        number: of the answer among several to the question.
        answer: it.
        tokenizer: of the model.
        notes: see `notes_of`.
    """
    return {
        "index": number,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "logprobs": logprobs(answer, answer.steps, tokenizer),
        "finish_reason": answer.finish,
        "swath": notes,
    }


def piece(number: int, delta: Row, probabilities: Row | None, finish: str | None) -> Row:
    """A part of an answer, as a chunk holds it."""
    return {
        "index": number,
        "delta": delta,
        "logprobs": probabilities,
        "finish_reason": finish,
    }


def logprobs(answer: Growing, steps: Sequence[Step], tokenizer: Any) -> Row | None:
    """Log-probabilities of some tokens of an answer; None where they are not wanted."""
    if answer.wishes.logprobs is None:
        return None
    rows = []
    for step in steps:
        likeliest = [_token(token, log, tokenizer) for token, log in step.likeliest]
        rows.append(_token(step.token, step.logprob, tokenizer) | {"top_logprobs": likeliest})
    return {"content": rows, "refusal": None}


def notes_of(boxes: Boxes | None, frame: int, place: Georeference | None, early: bool) -> Row:
    """What an answer says beyond its words, in the field `swath` of a choice.

    Args:
        boxes: that it names, in pixels of the picture they lie in.
        frame: number of that picture among the conversation's, from 0.
        place: where the picture lies, if it says so.
        early: whether JSON of a schema was closed because it may have no more tokens.

    Returns:
        `boxes`, each with `pixels`, four corners x, y from the upper left, `image` and, where the
        picture says where it lies, `lonlat`, the corners' longitude and latitude; `closed_early`.
    """
    rows = []
    for quad in boxes.quads if boxes is not None else ():
        row: Row = {"image": frame, "pixels": np.round(quad, 2).tolist()}
        lonlat = place.to_lonlat(quad) if place is not None else np.full((4, 2), np.nan)
        if np.isfinite(lonlat).all():  # a corner may lie off the planet
            row["lonlat"] = np.round(lonlat, 7).tolist()
        rows.append(row)
    return {"boxes": rows, "closed_early": early}


def _token(token: int, logprob: float, tokenizer: Any) -> Row:
    text = tokenizer.decode([token])
    # JSON knows no infinity; OpenAI sends -9999 for what has no chance.
    return {
        "token": text,
        "logprob": max(logprob, -9999.0),
        "bytes": list(text.encode("utf-8", "replace")),
    }
