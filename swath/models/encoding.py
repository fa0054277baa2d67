"""Encoding: conversations through a model's own chat template into ids, with the loss mask.

Boxes become the family's text here, in pixels of the view, after resizing and turning. Several
conversations about one image become one row: their common beginning (the image) stands once, each
continuation sees it and itself but not its neighbours.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, lru_cache
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

Offset = tuple[int, int]

# Private signs of Unicode, which no template writes, stand for words spelt like a control token
# until the ids are made. Where a text itself holds such signs, they are stood for as well.
_FIRST_SIGN = 0xF0000
_MOST_SIGNS = 1 << 16
_SIGN = re.compile("[\U000f0000-\U0010ffff]")


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
        self._control = control_tokens(tokenizer)
        spelt = [re.escape(token) for token in self._control]
        self._spelt_as_control = re.compile("|".join([*spelt, _SIGN.pattern]))
        self._steers = {tokenizer.convert_tokens_to_ids(token) for token in self._control}
        self._answers, self._regions = DIALECTS.get(family.dialect), DIALECTS.get(family.regions)
        self._in_parts = takes_parts(tokenizer)
        self._render = lru_cache(maxsize=100_000)(self._tokens)

    def encode(
        self, conversation: Conversation, views: Sequence[View], ask: bool = False
    ) -> Encoded:
        """Tokens of a conversation whose images are seen as `views`, in their order.

        Words spelt like a control token, such as `</s>`, stay words: they become the ids of their
        letters.

        Args:
            ask: end with the opening of the assistant's turn, for the model to continue.

        Raises:
            InstructionError: the row is longer than the model's context, or an answer to be learnt
                is spelt like a control token.
        """
        if len(conversation.images) != len(views):
            raise InstructionError(
                f"{conversation.id}: {len(conversation.images)} images stand in the words and "
                f"{len(views)} were handed over; each needs its own."
            )
        turns = []
        literals: dict[str, str] = {}
        for turn in conversation.turns:
            text = words = ""
            dialect = self._regions if turn.role == "user" else self._answers
            # Words that follow one another are one text, ended by what is none: a control token
            # could be put together from pieces.
            for part in (*turn.parts, None):
                if isinstance(part, Text):
                    words += part.text
                    continue
                text += self._held(words, literals)
                words = ""
                if isinstance(part, Image):
                    text += self.family.image_token
                elif isinstance(part, Box):
                    view = views[part.image]
                    size = (view.pixels.shape[1], view.pixels.shape[0])
                    text += dialect.write(part.boxes.transformed(view.matrix), size)
            if turn.role == "assistant" and not ask:
                self._check_learnt(text, literals, conversation.id)
            if not self.family.image_token:
                text = text.removeprefix("\n")
            turns.append((turn.role, text))
        encoded = self._render(tuple(turns), tuple(literals), ask)
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

    def _held(self, words: str, literals: dict[str, str]) -> str:
        """Words with a sign for each that is spelt like a control token; `literals` keeps both."""

        def sign(match: re.Match[str]) -> str:
            if len(literals) == _MOST_SIGNS:
                raise InstructionError(f"more than {_MOST_SIGNS} private signs; remove them.")
            return literals.setdefault(match[0], chr(_FIRST_SIGN + len(literals)))

        return self._spelt_as_control.sub(sign, words)

    def _check_learnt(self, text: str, literals: dict[str, str], where: str) -> None:
        """An answer is learnt letter by letter, which is not what is meant by such words."""
        for literal, sign in literals.items():
            if sign in text:
                raise InstructionError(
                    f"{where}: the answer holds '{literal}', which steers the model; remove it."
                )

    def _tokens(
        self, turns: tuple[tuple[str, str], ...], literals: tuple[str, ...], ask: bool
    ) -> Encoded:
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
        ids, offsets = output["input_ids"], output["offset_mapping"]
        if literals:
            ids, offsets = self._spelt_out(text, ids, offsets, literals)
        answer = [False] * len(ids)
        starts = [start for start, _ in offsets]
        for begin, end in spans:
            first, last = bisect_left(starts, begin), bisect_left(starts, end)
            while last > first and ids[last - 1] not in self._steers:
                last -= 1  # what follows the end token, such as a line break, is not said
            answer[first:last] = [True] * (last - first)
        return Encoded(tuple(ids), tuple(answer))

    def _spelt_out(
        self, text: str, ids: list[int], offsets: list[Offset], literals: tuple[str, ...]
    ) -> tuple[list[int], list[Offset]]:
        """Ids and offsets with the letters of `literals` where the text has their signs."""
        new_ids: list[int] = []
        new_offsets: list[Offset] = []
        place = end = 0
        while place < len(ids):
            start, first = end, place  # a token may hold a space before it that its offset lacks
            end = max(end, offsets[place][1])
            place += 1
            while place < len(ids) and offsets[place][0] < end:  # the bytes of one sign
                end = max(end, offsets[place][1])
                place += 1
            if not _SIGN.search(text, start, end):
                new_ids += ids[first:place]
                new_offsets += offsets[first:place]
                continue
            letters = _SIGN.sub(lambda sign: literals[ord(sign[0]) - _FIRST_SIGN], text[start:end])
            spelt = self._ids_of_letters(letters)
            new_ids += spelt
            new_offsets += [(start, end)] * len(spelt)
        return new_ids, new_offsets

    def _ids_of_letters(self, letters: str) -> list[int]:
        """Ids of words in which no control token is known.

        Raises:
            InstructionError: the vocabulary has no other way to write them.
        """
        # Behind a sign, for some tokenizers put a space before the first word of a text.
        output = self._letters.encode(chr(_FIRST_SIGN) + letters, add_special_tokens=False)
        spelt = [id for id, (start, _) in zip(output.ids, output.offsets, strict=True) if start]
        for token in self.tokenizer.convert_ids_to_tokens(spelt):
            if token in self._control and token in letters:
                raise InstructionError(f"'{token}' steers the model and cannot be said; remove it.")
        return spelt

    @cached_property
    def _letters(self) -> Any:
        """The tokenizer without its control tokens."""
        letters = deepcopy(self.tokenizer.backend_tokenizer)
        letters.add_special_tokens(list(self._control))
        letters.encode_special_tokens = True
        letters.no_padding()
        letters.no_truncation()
        return letters

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


def control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """The tokens that steer a model, the longest first."""
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(sorted({*special, *tokenizer.all_special_tokens}, key=lambda token: -len(token)))


def join(conversations: Sequence[Encoded]) -> Row:
    """One row of several conversations, what all begin with before any answer standing once."""
    first = conversations[0]
    shortest = min(first_answer(conversation) for conversation in conversations)
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


def first_answer(conversation: Encoded) -> int:
    """Place of the first token that carries loss; the length, where none does."""
    marked = (place for place, mark in enumerate(conversation.answer) if mark)
    return next(marked, len(conversation.ids))


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Consecutive pieces of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]
