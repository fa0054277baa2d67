"""Tries: answers that begin alike are read alike, so each common beginning is computed once.

The candidates of a question, and all questions about the same images, become one row of tokens. A
token sees those before it on its own path and none of the other branches: each path is read as it
would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from swath.models.encoding import Encoded

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Trie:
    """Encoded conversations with every common beginning standing once.

    A conversation's last answer token is only predicted and has no place in the row.

    Args:
        ids: tokens, each behind the one before it on its path.
        positions: place of each in its conversation.
        ends: where the tokens that follow each on some path end, in the row.
        paths: of each conversation, where its tokens stand.
        before: of each conversation, where the tokens before its answer's tokens stand.
        answers: of each conversation, the answer's tokens.
    """

    ids: Numbers
    positions: Numbers
    ends: Numbers
    paths: list[Numbers]
    before: list[Numbers]
    answers: list[Numbers]

    @classmethod
    def of(cls, conversations: Sequence[Encoded]) -> Trie:
        """The trie of some conversations about the same images."""
        sequences = [np.array(conversation.ids) for conversation in conversations]
        marks = [np.flatnonzero(conversation.answer) for conversation in conversations]
        ids: list[Numbers] = []
        positions: list[Numbers] = []
        ends = np.zeros(sum(map(len, sequences)), dtype=np.int64)
        path = last = np.empty(0, dtype=np.int64)
        paths = [path] * len(sequences)
        count = 0
        # In the order of the alphabet of tokens, what has a beginning in common stands together.
        for number in sorted(range(len(sequences)), key=lambda i: conversations[i].ids):
            tokens = sequences[number][: marks[number][-1]]
            shorter = min(len(tokens), len(last))
            different = np.flatnonzero(tokens[:shorter] != last[:shorter])
            shared = int(different[0]) if len(different) else shorter
            ends[path[shared:]] = count
            path = np.append(path[:shared], np.arange(count, count + len(tokens) - shared))
            count += len(tokens) - shared
            ids.append(tokens[shared:])
            positions.append(np.arange(shared, len(tokens)))
            paths[number], last = path, tokens
        ends[path] = count
        return cls(
            np.concatenate(ids),
            np.concatenate(positions),
            ends[:count],
            paths,
            [path[places - 1] for path, places in zip(paths, marks, strict=True)],
            [ids[places] for ids, places in zip(sequences, marks, strict=True)],
        )


def collate_tries(tries: Sequence[Trie], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right to one length.

    Returns:
        `input_ids`, `position_ids` (batch, tokens) and `attention_mask` (batch, 1, tokens,
        tokens), True where a token may look.
    """
    longest = max(len(trie.ids) for trie in tries)
    places = np.arange(longest)
    ids = np.full((len(tries), longest), pad_id, dtype=np.int64)
    positions = np.zeros_like(ids)
    ends = np.tile(places + 1, (len(tries), 1))  # padding is seen by itself alone
    for row, trie in enumerate(tries):
        length = len(trie.ids)
        ids[row, :length], positions[row, :length] = trie.ids, trie.positions
        ends[row, :length] = trie.ends
    may_look = (places[None, :] <= places[:, None]) & (places[:, None] < ends[:, None, :])
    return {
        "input_ids": torch.from_numpy(ids),
        "position_ids": torch.from_numpy(positions),
        "attention_mask": torch.from_numpy(may_look)[:, None],
    }
