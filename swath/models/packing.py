"""Candidate answers weighed: their log-probabilities, several questions read in few passes.

What all candidates of a question begin with is read first. A candidate's probability only falls
with each further token, so those that cannot matter any more are not read to their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.models.candidates import Numbers, Trie
from swath.models.encoding import Encoded
from swath.models.inputs import Inputs, head_of, last_mlp, to_device, words_at

LEAST_SHARED = 16
"""Tokens before the first image that are worth a pass of their own."""

LEAST_LEFT = 32
"""Tokens a row of candidates behind what each question's have in common, worth the same."""

NEGLIGIBLE = 1e-4
"""Share of a question's probability below which what is left of it is not divided further."""


def log_probabilities(
    inputs: Inputs, rows: Sequence[Sequence[Sequence[Encoded]]], given: Mapping[str, Any]
) -> list[NDArray[np.float64]]:
    """Summed log-probability of each conversation's answer, row by row.

    Candidates that together have less than `NEGLIGIBLE` of the best one's probability may be read
    in part; they get the log-probability of that part, which is no less than their own.

    Args:
        inputs: of the model.
        rows: of questions about the same images, each as one conversation a candidate; a single
            conversation a row, where the family shares no prefix.
        given: what the model takes for the images of each row.
    """
    tries = [Trie.of(list(chain.from_iterable(row))) for row in rows]
    passes = _Passes(inputs, tries, given)
    columns = [np.arange(len(trie.ids)) for trie in tries]
    if not inputs.branching:
        passes.read(columns)
        return passes.sums()
    if common := _common(inputs, tries):
        passes.read_once(common)
        columns = [places[common:] for places in columns]
    ends_of = [np.cumsum([0, *map(len, row)]) for row in rows]
    stems = [_stem(trie, ends) for trie, ends in zip(tries, ends_of, strict=True)]
    unread = sum(len(trie.ids) - len(stem) for trie, stem in zip(tries, stems, strict=True))
    if unread < LEAST_LEFT * max(2, len(rows)):
        passes.read(columns)
    else:
        passes.read([stem[stem >= common] for stem in stems], more=True)
        while any(map(len, more := [*map(_Found.wanting, passes.found, ends_of)])):
            passes.read(more, more=True)
    return passes.sums()


class _Found:
    """What is known of one row's candidates.

    Args:
        trie: of the row.
    """

    def __init__(self, trie: Trie) -> None:
        self.trie = trie
        self.places, self.words = np.concatenate(trie.before), np.concatenate(trie.answers)
        self.logs = np.full(len(self.places), np.nan)
        self.read = np.zeros(len(trie.ids), dtype=bool)
        self._begins = np.cumsum([0, *map(len, trie.before[:-1])])

    def sums(self) -> NDArray[np.float64]:
        """Log-probability of what is read of each candidate."""
        return np.add.reduceat(np.nan_to_num(self.logs), self._begins)

    def wanting(self, asked: Numbers) -> Numbers:
        """Tokens still to be read, of candidates that may matter to their question.

        Args:
            asked: where each question's candidates begin, and where the last one's end.
        """
        sums, open_ = self.sums(), np.logical_or.reduceat(np.isnan(self.logs), self._begins)
        needed = np.zeros(len(self.read), dtype=bool)
        for first, last in pairwise(asked):
            logs, unread = sums[first:last], open_[first:last]
            best = logs.max() if unread.all() else logs[~unread].max()
            rising = np.argsort(np.where(unread, logs, -np.inf))
            shares = np.cumsum(np.where(unread, np.exp(np.minimum(logs - best, 0)), 0)[rising])
            for number in rising[shares > NEGLIGIBLE]:
                if unread[number]:
                    needed[self.trie.paths[first + number]] = True
        return np.flatnonzero(needed & ~self.read)


class _Passes:
    """A batch of tries read in passes, each behind those before it.

    Args:
        inputs: of the model.
        tries: one a row.
        given: what the model takes for the images of each row; they go with the first pass.
    """

    def __init__(self, inputs: Inputs, tries: Sequence[Trie], given: Mapping[str, Any]) -> None:
        loaded = inputs.loaded
        self.found = [_Found(trie) for trie in tries]
        self._model, self._branching = loaded.model, inputs.branching
        self._device = loaded.model.device
        self._head, self._mlp = head_of(loaded.model, loaded), last_mlp(loaded.model, loaded)
        self._batch = to_device(inputs.reading(tries), self._device)
        self._given = to_device(given, self._device)
        self._kept: Any = None
        self._before = torch.zeros(len(tries), 0, dtype=torch.int64)  # (rows, tokens kept)

    def sums(self) -> list[NDArray[np.float64]]:
        """Log-probability of what is read of each candidate, row by row."""
        return [candidates.sums() for candidates in self.found]

    def read_once(self, common: int) -> None:
        """Keep the first tokens, which all rows share and no answer follows at once."""
        self._kept = self._model(
            input_ids=self._batch["input_ids"][:1, :common],
            position_ids=self._batch["position_ids"][..., :1, :common],
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        rows = len(self.found)
        self._kept.batch_repeat_interleave(rows)
        self._before = torch.arange(common).expand(rows, -1)
        for candidates in self.found:
            candidates.read[:common] = True

    def read(self, columns: Sequence[Numbers], more: bool = False) -> None:
        """Read some tokens of each row, and learn of the words behind them.

        Args:
            columns: their places in the row, rising.
            more: keep them for a later pass.
        """
        longest = max(map(len, columns))
        now = torch.full((len(columns), longest), -1)
        predicting = torch.zeros(now.shape, dtype=torch.bool)
        for row, (places, candidates) in enumerate(zip(columns, self.found, strict=True)):
            now[row, : len(places)] = torch.from_numpy(places)
            predicting[row, : len(places)] = torch.from_numpy(np.isin(places, candidates.places))
        batch = self._at(now) if self._branching else self._batch
        with words_at(self._head, predicting.to(self._device), self._mlp):
            cached = {"past_key_values": self._kept} if self._kept is not None else {}
            output = self._model(**batch, **self._given, **cached, use_cache=more or bool(cached))
        if more:
            self._kept, self._given = output.past_key_values, {}
        self._before = torch.cat([self._before, now], dim=1)
        logs = output.logits.float().log_softmax(-1)  # (wanted, vocabulary)
        number = (predicting.flatten().cumsum(0) - 1).view_as(predicting)
        for row, (places, candidates) in enumerate(zip(columns, self.found, strict=True)):
            candidates.read[places] = True
            new = np.flatnonzero(np.isin(candidates.places, places))
            at = number[row, np.searchsorted(places, candidates.places[new])].to(self._device)
            words = torch.from_numpy(candidates.words[new]).to(self._device)
            candidates.logs[new] = logs[at, words].double().cpu().numpy()

    def _at(self, now: Tensor) -> dict[str, Tensor]:
        """The batch at some columns (rows, tokens), -1 on padding, which sees itself alone."""
        past, tokens = self._before.shape[1], now.shape[1]
        attended = torch.cat([self._before, now], dim=1).to(self._device)
        positions = now.clamp(min=0).to(self._device)
        mask = self._batch["attention_mask"][:, 0]
        mask = mask.gather(1, positions[:, :, None].expand(-1, -1, mask.shape[2]))
        mask = mask.gather(2, attended.clamp(min=0)[:, None].expand(-1, tokens, -1))
        mask &= (attended >= 0)[:, None]
        mask[:, range(tokens), range(past, past + tokens)] = True
        places = self._batch["position_ids"]
        return {
            "input_ids": self._batch["input_ids"].gather(1, positions),
            "position_ids": places.gather(-1, positions.expand(*places.shape[:-1], tokens)),
            "attention_mask": mask[:, None],
        }


def _stem(trie: Trie, asked: Numbers) -> Numbers:
    """Tokens that each question's candidates have in common, up to where they part."""
    stem = np.zeros(len(trie.ids), dtype=bool)
    for first, last in pairwise(asked):
        paths = trie.paths[first:last]
        shortest = min(map(len, paths))
        alike = (np.stack([path[:shortest] for path in paths]) == paths[0][:shortest]).all(axis=0)
        stem[paths[0][:shortest][alike]] = True
    return np.flatnonzero(stem)


def _common(inputs: Inputs, tries: Sequence[Trie]) -> int:
    """Tokens before the first image that all rows share; 0 where that gains little."""
    if len(tries) == 1:
        return 0
    shortest = min(len(trie.ids) for trie in tries)
    first = tries[0].ids[:shortest]
    alike = first != inputs.loaded.tokenizer.convert_tokens_to_ids(inputs.loaded.family.image_token)
    for trie in tries:  # and no question has left the path yet
        alike &= (trie.ids[:shortest] == first) & (trie.ends[:shortest] == len(trie.ids))
    common = shortest if alike.all() else int(alike.argmin())
    return common if common >= LEAST_SHARED else 0
