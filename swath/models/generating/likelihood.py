"""How likely a model found what it wrote, token by token, and so how sure it is of each box."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from swath.boxes import Boxes
from swath.dialect import GRID, Dialect


class Likelihoods(LogitsProcessor):
    """Keeps the log-probability of the likeliest token at each step, which is the one taken.

    Args:
        tokenizer: of the model.
        dialect: of its boxes.
    """

    def __init__(self, tokenizer: Any, dialect: Dialect) -> None:
        self._tokenizer, self._dialect = tokenizer, dialect
        self._steps: list[Tensor] = []  # of (rows,)
        self._ids: list[list[int]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores (rows, vocabulary) as they are."""
        logs = scores.float().log_softmax(dim=-1)
        self._steps.append(logs.amax(dim=-1))
        return scores

    def finish(self, ids: Tensor) -> None:
        """Take the tokens (rows, steps) that were written."""
        self._ids = ids.tolist()

    def of_boxes(self, row: int, boxes: Boxes | None) -> tuple[float, ...]:
        """Confidence of each box in a row: the geometric mean of its tokens' probabilities.

        Args:
            row: of the answer.
            boxes: in it; without any, or without tokens, the result is empty.
        """
        if boxes is None or not self._ids:
            return ()
        ids = self._ids[row]
        logs = torch.stack(self._steps, dim=1)[row].tolist()

        def boxes_of_first(length: int) -> int:
            text = self._tokenizer.decode(ids[:length], skip_special_tokens=True)
            return len(self._dialect.read(text, (GRID, GRID)))

        confidence = []
        start = 0
        for number in range(1, len(boxes) + 1):
            # A box is whole with the first token from which on it can be read.
            lengths = range(start + 1, len(ids) + 1)
            place = bisect_left(lengths, number, key=boxes_of_first)
            end = min(start + 1 + place, len(ids))
            tokens = logs[start:end]
            confidence.append(math.exp(sum(tokens) / len(tokens)) if tokens else 0.0)
            start = end
        return tuple(confidence)
