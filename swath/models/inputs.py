"""Inputs: pixels and tokens in the form in which a family's `forward` and `generate` want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.candidates import Trie, collate_tries
from swath.models.encoding import IGNORED, Encoded, Encoder, Row, collate, first_answer
from swath.models.loaded import Loaded
from swath.models.pixels import View, to_tensor


class Inputs:
    """Hands views and rows to one model.

    Args:
        loaded: whose family says how.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.kind = loaded.family.pixels
        self.encoder = Encoder(loaded.tokenizer, loaded.family, loaded.image_tokens, loaded.longest)

    def tensor(
        self, views: Sequence[View], colour: float = 0.0, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Normalised pixel values (images, 3, side, side); see `to_tensor`."""
        return to_tensor(views, self.loaded.mean, self.loaded.std, colour, rng)

    def pixels(self, values: Tensor, per_row: Sequence[int]) -> dict[str, Tensor]:
        """What the model takes for these images.

        Args:
            values: (images, 3, side, side), row after row.
            per_row: images of each row.
        """
        if self.kind in ("sized", "crops"):
            sizes = torch.tensor([values.shape[-2:]] * len(values))
            twice = values[:, None].expand(-1, 2, -1, -1, -1)
            return {"pixel_values": values if self.kind == "sized" else twice, "image_sizes": sizes}
        if self.kind == "rows":
            # Images of zeros pad rows with fewer; the model leaves them out.
            rows = values.new_zeros(len(per_row), max(per_row), *values.shape[1:])
            for row, images in zip(rows, values.split(list(per_row)), strict=True):
                row[: len(images)] = images
            return {"pixel_values": rows}
        if self.kind == "patches":
            grid = self.grid(len(values))
            return {"pixel_values": self._patches(values), "image_grid_thw": grid}
        return {"pixel_values": values}

    def training(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows as the model's forward takes them, with `labels` and `segments` for the loss."""
        tokenizer, family = self.loaded.tokenizer, self.loaded.family
        batch = collate(rows, tokenizer.pad_token_id)
        if family.shared_prefix:
            return batch
        mask = (batch["segments"] >= 0).long()
        loss = {name: batch[name] for name in ("labels", "segments")}
        answers = (batch["labels"] != IGNORED).int().argmax(dim=1)
        return self._named(batch["input_ids"], mask, answers) | loss

    @property
    def branching(self) -> bool:
        """Whether answers that begin alike may stand in one row."""
        return self.loaded.family.shared_prefix or self.kind == "patches"

    def reading(self, tries: Sequence[Trie]) -> dict[str, Tensor]:
        """Tries as the model's forward takes them; of one path each, without a shared prefix."""
        batch = collate_tries(tries, self.loaded.tokenizer.pad_token_id)
        if self.kind == "patches":
            return batch | {"position_ids": self._threefold(tries, batch["input_ids"])}
        if self.branching:
            return batch
        lengths = torch.tensor([[len(trie.ids)] for trie in tries])
        mask = torch.arange(batch["input_ids"].shape[1]) < lengths
        answers = torch.tensor([int(trie.before[0][0]) + 1 for trie in tries])
        return self._named(batch["input_ids"], mask.long(), answers)

    def asking(self, encoded: Sequence[Encoded]) -> dict[str, Tensor]:
        """Prompts padded on the left, so that answers start together, as `generate` takes them."""
        longest = max(len(conversation.ids) for conversation in encoded)
        ids = torch.full((len(encoded), longest), self.loaded.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        answers = torch.full((len(encoded),), longest)
        for row, conversation in enumerate(encoded):
            begin = longest - len(conversation.ids)
            ids[row, begin:] = torch.tensor(conversation.ids)
            mask[row, begin:] = 1
            answers[row] = begin + first_answer(conversation)
        return self._named(ids, mask, answers)

    def features(self, tower: nn.Module, values: Tensor) -> Tensor:
        """The vision tower's features (images, tokens, width) of (images, 3, side, side).

        The values may lie on another device than the tower, and in another format.
        """
        first = next(tower.parameters())
        values = values.to(first.device, first.dtype)
        if self.kind == "patches":
            grid = self.grid(len(values)).to(values.device)
            output = tower(self._patches(values), grid_thw=grid)
        elif self.kind == "sized":
            sizes = torch.tensor([values.shape[-2:]] * len(values), device=values.device)
            output = tower(values, image_sizes=sizes)
        else:
            output = tower(values)
        return tower_features(output, len(values))

    def _named(self, ids: Tensor, mask: Tensor, answers: Tensor) -> dict[str, Tensor]:
        """Ids and mask (rows, tokens) by the model's names; `answers` (rows,): where they begin."""
        family = self.loaded.family
        if self.kind == "encoder":
            return {"decoder_input_ids": ids, "decoder_attention_mask": mask}
        tensors = {"input_ids": ids, "attention_mask": mask}
        if family.image_types:
            image = self.loaded.tokenizer.convert_tokens_to_ids(family.image_token)
            tensors[family.image_types] = (ids == image).int()
        if family.whole_question:
            places = torch.arange(ids.shape[1])
            tensors["token_type_ids"] = (places >= answers[:, None]).int()
        return tensors

    def _threefold(self, tries: Sequence[Trie], ids: Tensor) -> Tensor:
        """Qwen's places in time, down and across (3, rows, tokens): of each path as if alone."""
        places = torch.zeros(3, *ids.shape, dtype=torch.int64)
        for row, trie in enumerate(tries):
            for path in map(torch.from_numpy, trie.paths):
                places[:, row, path] = self.threefold(ids[row, path])
        return places

    def threefold(self, ids: Tensor) -> Tensor:
        """Qwen's places (3, tokens) of a row of tokens that stands alone."""
        image = ids == self.loaded.tokenizer.convert_tokens_to_ids(self.loaded.family.image_token)
        images = int(image.sum()) // self.loaded.image_tokens
        index = plain(self.loaded.model).model.get_rope_index
        places, _ = index(ids[None], image.int()[None], self.grid(images) if images else None)
        return places[:, 0]

    def grid(self, images: int) -> Tensor:
        """Qwen's frames, rows and columns of patches of so many images (images, 3)."""
        side = self.loaded.image_size // self.loaded.model.config.vision_config.patch_size
        return torch.tensor([[1, side, side]] * images)

    def _patches(self, values: Tensor) -> Tensor:
        """Qwen's form: merged neighbours stand together, each patch twice as two frames."""
        config = self.loaded.model.config.vision_config
        size, merge, frames = (
            config.patch_size,
            config.spatial_merge_size,
            config.temporal_patch_size,
        )
        count, channels, side, _ = values.shape
        cells = side // size // merge
        cut = values.reshape(count, channels, cells, merge, size, cells, merge, size)
        cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # (images, row, column, down, right, channel, ..)
        cut = cut.reshape(count * (side // size) ** 2, channels, 1, size, size)
        return cut.expand(-1, -1, frames, -1, -1).flatten(1)


def tower_features(output: Any, images: int) -> Tensor:
    """(images, tokens, width) of what a tower returned: a tensor, or `transformers`' output."""
    hidden: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
    return hidden.reshape(images, -1, hidden.shape[-1])


def plain(model: Any) -> Any:
    """A model without the adapters around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_of(model: Any, loaded: Loaded) -> nn.Module:
    """The layer that turns hidden states into words."""
    base = plain(model)
    if loaded.family.pixels == "encoder":
        base = base.decoder
    head: nn.Module = base.get_output_embeddings()
    return head


def to_device(given: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """A model's arguments, the tensors among them moved."""
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in given.items()
    }


def last_mlp(model: Any, loaded: Loaded) -> nn.Module | None:
    """What the decoder's last layer does to each place by itself; None where it is elsewhere."""
    layers = getattr(plain(model).get_submodule(loaded.family.language), "layers", None)
    return getattr(layers[-1], "mlp", None) if layers else None


@contextmanager
def words_at(head: nn.Module, wanted: Tensor, mlp: nn.Module | None = None) -> Iterator[None]:
    """Words are computed in some places alone: logits become (wanted, vocabulary).

    The head is often the largest product, and few of a row's next words are asked for.

    Args:
        head: see `head_of`.
        wanted: (batch, tokens), True where the next word is asked for.
        mlp: see `last_mlp`; it is left out of all other places too, as no layer reads them.
    """
    hooks = [head.register_forward_pre_hook(lambda module, hidden: (hidden[0][wanted],))]
    if mlp is not None:

        def spread(module: nn.Module, hidden: tuple[Tensor], made: Tensor) -> Tensor:
            return made.new_zeros(*wanted.shape, made.shape[-1]).masked_scatter(
                wanted[..., None], made
            )

        hooks.append(
            mlp.register_forward_pre_hook(lambda module, hidden: (hidden[0][wanted][None],))
        )
        hooks.append(mlp.register_forward_hook(spread))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def answers_only(
    head: nn.Module, labels: Tensor, mlp: nn.Module | None = None
) -> AbstractContextManager[None]:
    """Words are computed only where a label (batch, tokens) is not -100: one place before it."""
    return words_at(head, functional.pad(labels[:, 1:] != IGNORED, (0, 1)), mlp)
