"""Encoding: conversations through a model's own chat template into ids, with the loss mask.

Boxes become the family's text here, in pixels of the view, after resizing and turning. Several
conversations about one image become one row: their common beginning (the image) stands once, each
continuation sees it and itself but not its neighbours.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from swath.dialect import DIALECTS
from swath.errors import InstructionError
from swath.instructions.conversation import Box, Conversation, Image, Text
from swath.models.family import Family
from swath.models.pixels import View
from swath.models.templates import render, takes_parts

IGNORED = -100
"""Label of tokens that carry no loss."""


class TooLongError(InstructionError):
    """A row of more tokens than the model reads."""


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
        tokenizer: with a chat template.
        family: the model's row.
        image_tokens: how many tokens an image becomes.
        longest: rows of more tokens are refused, never cut: a cut may go through an image.
    """

    def __init__(self, tokenizer: Any, family: Family, image_tokens: int, longest: int) -> None:
        self.tokenizer = tokenizer
        self.family = family
        self.image_tokens = image_tokens
        self.longest = longest
        self._control = tuple(tokenizer.all_special_tokens)
        self._steers = {tokenizer.convert_tokens_to_ids(token) for token in self._control}
        self._answers, self._regions = DIALECTS.get(family.dialect), DIALECTS.get(family.regions)
        self._in_parts = takes_parts(tokenizer)
        self._render = lru_cache(maxsize=100_000)(self._tokens)

    def encode(
        self, conversation: Conversation, views: Sequence[View], ask: bool = False
    ) -> Encoded:
        """Tokens of a conversation whose images are seen as `views`, in their order.

        Args:
            ask: end with the opening of the assistant's turn, for the model to continue.

        Raises:
            InstructionError: the row is longer than the model's context, or its words hold a
                token that steers the model.
        """
        if len(conversation.images) != len(views):
            raise InstructionError(
                f"{conversation.id}: {len(conversation.images)} images stand in the words and "
                f"{len(views)} were handed over; each needs its own."
            )
        turns = []
        for turn in conversation.turns:
            text = ""
            dialect = self._regions if turn.role == "user" else self._answers
            for part in turn.parts:
                if isinstance(part, Image):
                    text += self.family.image_token
                elif isinstance(part, Box):
                    view = views[part.image]
                    size = (view.pixels.shape[1], view.pixels.shape[0])
                    text += dialect.write(part.boxes.transformed(view.matrix), size)
                else:
                    text += self._plain(part.text, conversation.id)
            if not self.family.image_token:
                text = text.removeprefix("\n")
            turns.append((turn.role, text))
        encoded = self._render(tuple(turns), ask)
        if len(encoded.ids) > self.longest:
            raise TooLongError(
                f"{conversation.id}: {len(encoded.ids)} tokens, and the model reads at most "
                f"{self.longest}; shorten the system instruction or the answers."
            )
        return encoded

    def fits(self, conversation: Conversation, view: View) -> bool:
        """Whether the row is no longer than the model's context, with every image seen as `view`.

        Rows that are surely short enough are not tokenised: no token is shorter than a byte.
        """
        parts = conversation.parts
        words = sum(len(part.text.encode()) for part in parts if isinstance(part, Text))
        boxes = sum(len(part.boxes) for part in parts if isinstance(part, Box))
        images = len(conversation.images) * (2 * self.image_tokens + 8)
        if words + boxes * 40 + images + 200 * len(conversation.turns) <= self.longest:
            return True
        try:
            self.encode(conversation, [view] * len(conversation.images))
        except TooLongError:
            return False
        return True

    def _plain(self, text: str, where: str) -> str:
        """Words as they are; a control token among them would be obeyed, not read."""
        for token in self._control:
            if token in text:
                raise InstructionError(
                    f"{where}: the text holds '{token}', which steers the model; remove it."
                )
        return text

    def _tokens(self, turns: tuple[tuple[str, str], ...], ask: bool) -> Encoded:
        """Ids, and which of them carry loss: what a template adds with an assistant's turn.

        The template need not mark answers itself; it must write the beginning of a conversation
        the same way when more follows, which `serves` has made sure of.
        """
        text = self._written(turns, ask)
        spans = []
        for place, (role, _) in enumerate(turns):
            if role == "assistant":
                begin = len(self._written(turns[:place], True))
                spans.append((begin, len(self._written(turns[: place + 1], False))))
        output = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = output["input_ids"]
        answer = [False] * len(ids)
        starts = [start for start, _ in output["offset_mapping"]]
        for begin, end in spans:
            first, last = bisect_left(starts, begin), bisect_left(starts, end)
            while last > first and ids[last - 1] not in self._steers:
                last -= 1  # what follows the end token, such as a line break, is not said
            answer[first:last] = [True] * (last - first)
        return Encoded(tuple(ids), tuple(answer))

    def _written(self, turns: tuple[tuple[str, str], ...], ask: bool) -> str:
        text = render(self.tokenizer, turns, ask, self._in_parts, self.family.image_token)
        token = self.family.image_token
        images = sum(content.count(token) for _, content in turns) if token else 0
        if token and text.count(token) != images:
            raise InstructionError(
                f"the chat template wrote {text.count(token)} image tokens for {images} images; "
                f"set models.template to '{self.family.template}'."
            )
        return text.replace(token, self.family.written(token, self.image_tokens)) if token else text


def join(conversations: Sequence[Encoded]) -> Row:
    """One row of several conversations, what all begin with before any answer standing once."""
    first = conversations[0]
    shortest = min(_first_answer(conversation) for conversation in conversations)
    shared = next(
        (
            place
            for place in range(shortest)
            if len({conversation.ids[place] for conversation in conversations}) > 1
        ),
        shortest,
    )
    # The token before a continuation predicts its first token, so it must be the
    # continuation's own: one shared token cannot predict several at once.
    shared = max(0, shared - 1)
    row = Row(list(first.ids[:shared]), list(range(shared)), [0] * shared, [False] * shared)
    for number, conversation in enumerate(conversations, start=1):
        length = len(conversation.ids) - shared
        row.ids.extend(conversation.ids[shared:])
        row.positions.extend(range(shared, shared + length))
        row.segments.extend([number] * length)
        row.answer.extend(conversation.answer[shared:])
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
    """Conversations grouped by their images, in the order images first appear.

    Raises:
        InstructionError: a conversation shows no image.
    """
    groups: dict[tuple[str, ...], list[Conversation]] = {}
    for conversation in conversations:
        paths = tuple(image.path for image in conversation.images)
        if not paths:
            raise InstructionError(
                f"{conversation.id}: no image; rows of words alone are not tuned on, leave it out."
            )
        groups.setdefault(paths, []).append(conversation)
    return list(groups.values())


def _first_answer(one: Encoded) -> int:
    return next((place for place, mark in enumerate(one.answer) if mark), len(one.ids))


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Consecutive pieces of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]
