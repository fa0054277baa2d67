"""`Rows`: answers in the making as rows of one cache, to which others join and from which they go.

Prompts are padded on the left, so that all rows end at the same place. A row that joins is padded
to the length of those before it, or these to its; each counts its own places, so a row is read as
it would be alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, EncoderDecoderCache, LogitsProcessor

from swath.models.generating.choosing import Wishes, inherited
from swath.models.generating.growing import Growing, Prompt
from swath.models.generating.image_prefix import Seen
from swath.models.inputs import Inputs, plain, to_device

RECENT_BYTES = 256 << 20
"""Of pictures' features that are kept for the next question about them."""


class Rows:
    """Answers that grow together.

    Args:
        inputs: of the model.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.answers: list[Growing] = []
        self._inputs = inputs
        self._recent: dict[str, Tensor] = {}
        loaded = inputs.loaded
        self._model = loaded.model
        self._adapter, self._computing = loaded.adapter, loaded.computing()
        language = plain(loaded.model).get_submodule(loaded.family.language)
        # BLIP-2 and encoder-decoders hold a whole language model, which goes on alone.
        alone = language.get_output_embeddings() is not None
        self._decoder: Any = language if alone else loaded.model
        self._processors: list[LogitsProcessor] = inherited(self._decoder)
        self._end: int = loaded.tokenizer.convert_tokens_to_ids(loaded.end)
        self._encodes = inputs.kind == "encoder"
        self._cache: Any = None
        self._mask = torch.zeros(0, 0, dtype=torch.int64)  # (rows, tokens)
        self._places = torch.zeros(0, dtype=torch.int64)  # (rows,): of each row's next token

    def answer(self, prompt: Prompt, wishes: Wishes) -> Growing:
        """An answer that has not begun; see `join`."""
        tokenizer = self._inputs.loaded.tokenizer
        return Growing(prompt, wishes, tokenizer, self._end, self._processors)

    @torch.inference_mode()
    def join(self, answers: Sequence[Growing]) -> None:
        """Read questions, and begin their answers with one token each."""
        for shows in (True, False):
            group = [answer for answer in answers if bool(answer.prompt.paths) == shows]
            if group:
                with self._in_turn():
                    self._join(group)

    @torch.inference_mode()
    def step(self) -> None:
        """Add a token to each answer; those that have ended leave."""
        if not self.answers:
            return
        device = self._model.device
        tokens = torch.tensor([[answer.ids[-1]] for answer in self.answers], device=device)
        self._mask = functional.pad(self._mask, (0, 1), value=1)
        places = self._places[:, None].to(device)
        if self._inputs.kind == "patches":
            places = places.expand(3, -1, -1)
        arguments: dict[str, Any] = {}
        if self._encodes:  # what it says is in the cache; only its shape is looked at
            length = self._cache.cross_attention_cache.get_seq_length()
            arguments["encoder_hidden_states"] = torch.zeros(1, 1, 1, device=device).expand(
                len(tokens), length, self._decoder.config.hidden_size
            )
        with self._in_turn():
            output = self._decoder(
                input_ids=tokens,
                attention_mask=self._mask.to(device),
                position_ids=places,
                past_key_values=self._cache,
                use_cache=True,
                **arguments,
            )
        self._cache = output.past_key_values
        self._places += 1
        _grow(self.answers, output.logits[:, -1])
        self.leave([answer for answer in self.answers if answer.finish is not None])

    def leave(self, answers: Sequence[Growing]) -> None:
        """Give up the rows of some answers."""
        leaving = set(map(id, answers))
        stay = [row for row, answer in enumerate(self.answers) if id(answer) not in leaving]
        if len(stay) == len(self.answers):
            return
        self.answers = [self.answers[row] for row in stay]
        rows = torch.tensor(stay, dtype=torch.int64)
        self._mask, self._places = self._mask[rows], self._places[rows]
        if not stay:
            self._cache = None
            self._mask = torch.zeros(0, 0, dtype=torch.int64)
            return
        first = int(self._mask.any(dim=0).int().argmax())  # columns before it pad all rows
        self._mask = self._mask[:, first:]
        rows = rows.to(self._model.device)
        self._cache = _changed(
            self._cache,
            lambda states, cross: states.index_select(0, rows)[:, :, 0 if cross else first :],
        )

    def _in_turn(self) -> AbstractContextManager[Any]:
        """A block in which this model computes, and no adapter that has come beside it since."""
        loaded = self._inputs.loaded
        if loaded.adapter is not self._adapter:
            self._adapter, self._computing = loaded.adapter, loaded.computing()
        return self._computing

    def _join(self, group: Sequence[Growing]) -> None:
        device = self._model.device
        words, mask, places = _prompts(self._inputs, group)
        pictures: dict[str, Any] = {}
        if group[0].prompt.paths:
            views = {path: view for answer in group for path, view in answer.prompt.views.items()}
            looked_at = Seen(self._inputs, views, len(views), recent=self._recent)
            pictures = to_device(looked_at.of([answer.prompt.paths for answer in group]), device)
            self._forget()
        cache: Any = DynamicCache()
        if self._encodes:
            cache = EncoderDecoderCache(cache, DynamicCache())
        else:
            pictures["logits_to_keep"] = 1
        output = self._model(
            **to_device(words, device), **pictures, past_key_values=cache, use_cache=True
        )
        _grow(group, output.logits[:, -1])
        self._merge(cache, mask)
        following = places.reshape(-1, *mask.shape).amax(dim=(0, 2)) + 1
        self._places = torch.cat([self._places, following])
        self.answers += group
        self.leave([answer for answer in group if answer.finish is not None])

    def _merge(self, cache: Any, mask: Tensor) -> None:
        """Put new rows under those that are there."""
        if self._cache is None:
            self._cache, self._mask = cache, mask
            return
        tokens = max(mask.shape[1], self._mask.shape[1])
        new = _states(cache)

        def joined(states: Tensor, cross: bool) -> Tensor:
            both = [states, next(new)]
            if not cross:
                both = [functional.pad(part, (0, 0, tokens - part.shape[2], 0)) for part in both]
            return torch.cat(both)

        self._cache = _changed(self._cache, joined)
        masks = [functional.pad(part, (tokens - part.shape[1], 0)) for part in (self._mask, mask)]
        self._mask = torch.cat(masks)

    def _forget(self) -> None:
        """Drop the features of the pictures that came first, where there are too many."""
        size = sum(features.nbytes for features in self._recent.values())
        for path in list(self._recent):
            if size <= RECENT_BYTES:
                break
            size -= self._recent.pop(path).nbytes


def _prompts(inputs: Inputs, group: Sequence[Growing]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """What the model takes, padded on the left; of it the mask, and each token's place in its row.

    Places are (rows, tokens), or (3, rows, tokens) where a family counts time, rows and columns.
    """
    words = inputs.asking([answer.prompt.encoded for answer in group])
    ids, mask, *_ = words.values()
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    if inputs.kind == "patches":
        places = places.expand(3, -1, -1).clone()
        for row, real in enumerate(mask.bool()):
            places[:, row, real] = inputs.threefold(ids[row, real])
    name = "decoder_position_ids" if inputs.kind == "encoder" else "position_ids"
    return words | {name: places}, mask, places


def _grow(answers: Sequence[Growing], logits: Tensor) -> None:
    """Add a token to each answer, by its row of (rows, vocabulary)."""
    likeliest = logits.argmax(dim=-1).tolist()
    for answer, token, scores in zip(answers, likeliest, logits, strict=True):
        if answer.chooser.plain:
            answer.add(token)
        else:
            answer.grow(scores)


def _parts(cache: Any) -> list[tuple[Any, bool]]:
    """The caches in a cache, and whether each is of what an encoder says."""
    if isinstance(cache, EncoderDecoderCache):
        return [(cache.self_attention_cache, False), (cache.cross_attention_cache, True)]
    return [(cache, False)]


def _states(cache: Any) -> Iterator[Tensor]:
    """Keys and values of each layer, (rows, heads, tokens, width)."""
    for part, _ in _parts(cache):
        for layer in part.layers:
            yield layer.keys
            yield layer.values


def _changed(cache: Any, change: Callable[[Tensor, bool], Tensor]) -> Any:
    """A cache with every layer's keys and values changed.

    Args:
        change: gets the states, and whether they are of what an encoder says.
    """
    parts = []
    for part, crosses in _parts(cache):
        changed = DynamicCache()
        for number, layer in enumerate(part.layers):
            changed.update(change(layer.keys, crosses), change(layer.values, crosses), number)
        parts.append(changed)
    return parts[0] if len(parts) == 1 else EncoderDecoderCache(*parts)
