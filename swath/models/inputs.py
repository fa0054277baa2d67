"""Inputs: pixels and tokens in the form in which a family's `forward` and `generate` want them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from swath.models.encoding import IGNORED, Encoded, Encoder, Row, collate
from swath.models.loading import Loaded
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
        if self.kind == "sized":
            sizes = torch.tensor([values.shape[-2:]] * len(values))
            return {"pixel_values": values, "image_sizes": sizes}
        if self.kind == "rows":
            # Images of zeros pad rows with fewer; the model leaves them out.
            rows = values.new_zeros(len(per_row), max(per_row), *values.shape[1:])
            for row, images in zip(rows, values.split(list(per_row)), strict=True):
                row[: len(images)] = images
            return {"pixel_values": rows}
        if self.kind == "patches":
            patches, grid = self._patches(values)
            return {"pixel_values": patches, "image_grid_thw": grid}
        return {"pixel_values": values}

    def training(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows as the model's forward takes them, with `labels` and `segments` for the loss."""
        tokenizer, family = self.loaded.tokenizer, self.loaded.family
        batch = collate(rows, tokenizer.pad_token_id)
        if family.shared_prefix:
            return batch
        mask = (batch["segments"] >= 0).long()
        loss = {name: batch[name] for name in ("labels", "segments")}
        return self._named(batch["input_ids"], mask) | loss

    def asking(self, encoded: Sequence[Encoded]) -> dict[str, Tensor]:
        """Prompts padded on the left, so that answers start together, as `generate` takes them."""
        longest = max(len(one.ids) for one in encoded)
        ids = torch.full((len(encoded), longest), self.loaded.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, longest - len(one.ids) :] = torch.tensor(one.ids)
            mask[row, longest - len(one.ids) :] = 1
        return self._named(ids, mask)

    def features(self, tower: nn.Module, values: Tensor) -> Tensor:
        """The vision tower's features (images, tokens, width) of (images, 3, side, side)."""
        if self.kind == "patches":
            patches, grid = self._patches(values)
            output = tower(patches, grid_thw=grid)
        elif self.kind == "sized":
            output = tower(values, image_sizes=torch.tensor([values.shape[-2:]] * len(values)))
        else:
            output = tower(values)
        return tower_features(output, len(values))

    def _named(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        if self.kind == "encoder":
            return {"decoder_input_ids": ids, "decoder_attention_mask": mask}
        named = {"input_ids": ids, "attention_mask": mask}
        if self.kind == "patches":  # left out, the model would place images like words
            image = self.loaded.tokenizer.convert_tokens_to_ids(self.loaded.family.image_token)
            named["mm_token_type_ids"] = (ids == image).int()
        return named

    def _patches(self, values: Tensor) -> tuple[Tensor, Tensor]:
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
        grid = torch.tensor([[1, side // size, side // size]] * count)
        return cut.expand(-1, -1, frames, -1, -1).flatten(1), grid


def tower_features(output: Any, images: int) -> Tensor:
    """(images, tokens, width) of what a tower returned: a tensor, or `transformers`' output."""
    hidden: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
    return hidden.reshape(images, -1, hidden.shape[-1])


def head_of(model: Any, loaded: Loaded) -> nn.Module:
    """The layer that turns hidden states into words."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if loaded.family.pixels == "encoder":
        base = base.decoder
    head: nn.Module = base.get_output_embeddings()
    return head


@contextmanager
def answers_only(head: nn.Module, labels: Tensor) -> Iterator[None]:
    """Words are computed only where a label is: logits become (labelled, vocabulary).

    In an instruction row few tokens are answers, and the head is often the largest product.

    Args:
        head: see `head_of`.
        labels: (batch, tokens), -100 elsewhere; a token's logits stand one place before it.
    """
    wanted = labels[:, 1:] != IGNORED
    hook = head.register_forward_pre_hook(lambda module, hidden: (hidden[0][:, :-1][wanted],))
    try:
        yield
    finally:
        hook.remove()
