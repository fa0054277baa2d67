"""Encoding: conversations through a model's own chat template into ids, with the loss mask.

Boxes become the family's text here, in pixels of the view, after resizing and turning. Several
conversations about one image become one row: their common beginning (the image) stands once, each
continuation sees it and itself but not its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from swath.errors import InstructionError
from swath.instructions.conversation import Box, Conversation, Image
from swath.instructions.dialect import DIALECTS
from swath.models.family import Family
from swath.models.pixels import View

IGNORED = -100
"""Label of tokens that carry no loss."""


@dataclass(frozen=True)
class Encoded:
    """One conversation as tokens.

    Args:
        ids: token ids, image tokens expanded.
        answer: True where a token is the assistant's and carries loss.
    """

    ids: tuple[int, ...]
    answer: tuple[bool, ...]


@dataclass(frozen=True)
class Row:
    """Encoded conversations on one shared beginning.

    Args:
        ids: shared tokens, then each conversation's own.
        positions: place of each token in its own conversation.
        segments: 0 for shared tokens, then 1, 2, ... by conversation.
        answer: True where a token carries loss.
    """

    ids: list[int]
    positions: list[int]
    segments: list[int]
    answer: list[bool]


class Encoder:
    """Writes conversations as a model reads them.

    Args:
        tokenizer: with a chat template that marks the assistant's words.
        family: the model's row.
        image_tokens: how many tokens an image becomes.
        longest: rows of more tokens are refused, never cut: a cut may go through an image.
    """

    def __init__(self, tokenizer: Any, family: Family, image_tokens: int, longest: int) -> None:
        self.tokenizer = tokenizer
        self.family = family
        self.longest = longest
        self._image = family.image_token * image_tokens
        self._control = tuple(tokenizer.all_special_tokens)
        self._dialect = DIALECTS.get(family.dialect)
        self._render = lru_cache(maxsize=100_000)(self._tokens)

    def encode(self, conversation: Conversation, view: View, ask: bool = False) -> Encoded:
        """Tokens of a conversation whose image is seen as `view`.

        Args:
            ask: end with the opening of the assistant's turn, for the model to continue.

        Raises:
            InstructionError: the row is longer than the model's context.
        """
        size = (view.pixels.shape[1], view.pixels.shape[0])
        turns = []
        for turn in conversation.turns:
            text = ""
            for part in turn.parts:
                if isinstance(part, Image):
                    text += self._image
                elif isinstance(part, Box):
                    text += self._dialect.write(part.boxes.transformed(view.matrix), size)
                else:
                    text += self._plain(part.text, conversation.id)
            turns.append((turn.role, text))
        encoded = self._render(tuple(turns), ask)
        if len(encoded.ids) > self.longest:
            raise InstructionError(
                f"{conversation.id}: {len(encoded.ids)} tokens, and the model reads at most "
                f"{self.longest}; shorten the system instruction or the answers."
            )
        return encoded

    def _plain(self, text: str, where: str) -> str:
        """Words as they are; a control token among them would be obeyed, not read."""
        for token in self._control:
            if token in text:
                raise InstructionError(
                    f"{where}: the text holds '{token}', which steers the model; remove it."
                )
        return text

    def _tokens(self, turns: tuple[tuple[str, str], ...], ask: bool) -> Encoded:
        output = self.tokenizer.apply_chat_template(
            [{"role": role, "content": text} for role, text in turns],
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            add_generation_prompt=ask,
        )
        answer = tuple(bool(mark) for mark in output["assistant_masks"])
        return Encoded(tuple(output["input_ids"]), answer)


def join(conversations: Sequence[Encoded], into_answers: bool = False) -> Row:
    """One row of several conversations, their longest common beginning standing once.

    Args:
        into_answers: a beginning that the answers have in common stands once as well, its loss
            counted once, the last common token's with the first conversation; for candidates of
            one question.
    """
    first = conversations[0]
    shortest = min(len(one.ids) if into_answers else _first_answer(one) for one in conversations)
    shared = next(
        (place for place in range(shortest) if len({one.ids[place] for one in conversations}) > 1),
        shortest,
    )
    # The token before a continuation predicts its first token, so it must be the
    # continuation's own: one shared token cannot predict several at once.
    shared = max(0, shared - 1)
    row = Row(
        ids=list(first.ids[:shared]),
        positions=list(range(shared)),
        segments=[0] * shared,
        answer=list(first.answer[:shared]),
    )
    for number, one in enumerate(conversations, start=1):
        own = len(one.ids) - shared
        row.ids.extend(one.ids[shared:])
        row.positions.extend(range(shared, shared + own))
        row.segments.extend([number] * own)
        row.answer.extend(one.answer[shared:])
        if number > 1:  # only in the first does the token before it stand before this copy
            row.answer[-own] = False
    return row


def collate(rows: Sequence[Row], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right to one length.

    Returns:
        `input_ids`, `position_ids`, `labels` (batch, tokens), `segments` (batch, tokens; -1 on
        padding) and `attention_mask` (batch, 1, tokens, tokens), True where a token may look.
    """
    longest = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    positions = np.zeros((len(rows), longest), dtype=np.int64)
    segments = np.full((len(rows), longest), -1, dtype=np.int64)
    labels = np.full((len(rows), longest), IGNORED, dtype=np.int64)
    for number, row in enumerate(rows):
        length = len(row.ids)
        ids[number, :length] = row.ids
        positions[number, :length] = row.positions
        segments[number, :length] = row.segments
        labels[number, :length] = np.where(row.answer, row.ids, IGNORED)
    of = torch.from_numpy(segments)
    may_look = (of[:, None, :] == 0) | (of[:, None, :] == of[:, :, None])
    before = torch.ones(longest, longest, dtype=torch.bool).tril()
    return {
        "input_ids": torch.from_numpy(ids),
        "position_ids": torch.from_numpy(positions),
        "labels": torch.from_numpy(labels),
        "segments": of,
        "attention_mask": (may_look & before)[:, None],
    }


def by_image(conversations: Sequence[Conversation]) -> list[list[Conversation]]:
    """Conversations grouped by their image, in the order images first appear."""
    groups: dict[str, list[Conversation]] = {}
    for conversation in conversations:
        images = conversation.images
        if len(images) != 1:
            raise InstructionError(
                f"{conversation.id}: {len(images)} images; this model family reads exactly one."
            )
        groups.setdefault(images[0].path, []).append(conversation)
    return list(groups.values())


def _first_answer(one: Encoded) -> int:
    return next((place for place, mark in enumerate(one.answer) if mark), len(one.ids))


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Consecutive pieces of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]
