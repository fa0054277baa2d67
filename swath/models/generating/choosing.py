"""The next token of one answer: the likeliest, or drawn; and how likely it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from swath.models.generating.schema import Grammar

LIKELIEST = 20
"""Tokens whose probabilities can be told beside the chosen one's."""


@dataclass(frozen=True)
class Wishes:
    """How an answer is wanted.

    Args:
        max_new_tokens: at which it is cut; one of a schema is closed from there on.
        temperature: 0 takes the likeliest token; higher draws more evenly.
        top_p: tokens that together have this share of the probability are drawn from.
        seed: of the draws; None: of chance.
        logprobs: how many of the likeliest tokens are told at each step; None tells nothing.
        stop: texts before which the answer ends.
        grammar: that it follows.
        room: tokens that the model's context leaves; one of a schema may need more than wished.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    logprobs: int | None = None
    stop: tuple[str, ...] = ()
    grammar: Grammar | None = None
    room: int = sys.maxsize

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is all that is wanted."""
        return self.temperature == 0 and self.logprobs is None and self.grammar is None


@dataclass(frozen=True)
class Step:
    """A token with its log-probability, and the likeliest tokens with theirs."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


class Chooser:
    """Chooses the tokens of one answer.

    Args:
        wishes: how it is wanted.
        processors: of the model's own `generation_config`, see `inherited`.
    """

    def __init__(self, wishes: Wishes, processors: Sequence[LogitsProcessor] = ()) -> None:
        self._wishes = wishes
        self._processors = list(processors)
        self.held = None
        if wishes.grammar is not None:
            self.held = wishes.grammar.hold(1, wishes.max_new_tokens)
            self._processors.append(self.held)
        self._random: torch.Generator | None = None
        if wishes.temperature > 0:
            self._random = torch.Generator()
            if wishes.seed is None:
                self._random.seed()
            else:
                self._random.manual_seed(wishes.seed)
        self.plain = wishes.plain and not self._processors

    def choose(self, ids: Sequence[int], logits: Tensor) -> Step:
        """The token behind `ids`, question and answer so far.

        Its log-probability is the model's own among the tokens that a schema allows, whatever the
        temperature.

        Args:
            ids: of the whole row.
            logits: (vocabulary,).

        Raises:
            ValueError: no token can follow.
        """
        scores = logits.float()[None]
        row = torch.tensor([list(ids)], device=scores.device)
        for processor in self._processors:
            scores = processor(row, scores)  # type: ignore[arg-type]
        logs = scores[0].log_softmax(-1)
        if not bool(logs.isfinite().any()):
            raise ValueError("the model's scores are no numbers, or the schema allows no token")
        token = self._drawn(logs) if self._random is not None else int(logs.argmax())
        likeliest = logs.topk(min(self._wishes.logprobs or 0, len(logs)))
        pairs = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
        return Step(token, float(logs[token]), tuple(pairs))

    def _drawn(self, logs: Tensor) -> int:
        """A token drawn at the temperature from the share of the probability that is wanted."""
        shares = (logs / self._wishes.temperature).softmax(-1).cpu()
        if self._wishes.top_p < 1:
            falling, order = shares.sort(descending=True)
            before = falling.cumsum(-1) - falling
            shares[order[before >= self._wishes.top_p]] = 0
        return int(torch.multinomial(shares, 1, generator=self._random))


def inherited(model: Any) -> list[LogitsProcessor]:
    """What a checkpoint's `generation_config` does to scores when answers are greedy."""
    config = model.generation_config
    processors: list[LogitsProcessor] = []
    if config.repetition_penalty not in (None, 1.0):
        processors.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.no_repeat_ngram_size:
        processors.append(NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    return processors
