"""What stands between a vision tower and a language model: image features to word-sized tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel
from transformers import initialization as init

from swath.errors import ModelError
from swath.registry import did_you_mean

MERGED = 4
"""Neighbouring tokens that `merge4` makes one."""


class Linear(nn.Module):
    """One linear layer: LLaVA-1.0's, and MiniGPT-v2's after `merge4`."""

    def __init__(self, width: int, hidden: int, merged: int = 1) -> None:
        super().__init__()
        self.merged = merged
        self.linear = nn.Linear(width * merged, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """(images, tokens, width) to (images, tokens / merged, hidden), in reading order."""
        images, tokens, width = features.shape
        grouped = features.reshape(images, tokens // self.merged, width * self.merged)
        return self.linear(grouped)


class MultiLinear(nn.Sequential):
    """Three linear layers in a row with nothing between them.

    SkyEyeGPT's ablation says "multiple linear layers" and no number; three is ours.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        )


class Mlp(nn.Module):
    """Linear, GELU, linear: LLaVA-1.5's `mlp2x_gelu`, its layers named as in `transformers`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """(images, tokens, width) to (images, tokens, hidden)."""
        return self.linear_2(nn.functional.gelu(self.linear_1(features)))


class QFormer(nn.Module):
    """Learned queries that look at the image (BLIP-2, arXiv:2301.12597), and a linear layer."""

    def __init__(self, config: Blip2QFormerConfig, queries: int, hidden: int) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, queries, config.hidden_size))
        self.qformer = Blip2QFormerModel(config)
        self.linear = nn.Linear(config.hidden_size, hidden)

    def reset_queries(self) -> None:
        """Small random queries; equal ones would stay equal under training."""
        init.normal_(self.query_tokens, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        """(images, tokens, width) to (images, queries, hidden)."""
        queries = self.query_tokens.expand(len(features), -1, -1)
        outputs = self.qformer(query_embeds=queries, encoder_hidden_states=features)
        return self.linear(outputs.last_hidden_state)


CONNECTORS: dict[str, Callable[[Any, int, int], nn.Module]] = {
    "linear": lambda config, width, hidden: Linear(width, hidden),
    "multi-linear": lambda config, width, hidden: MultiLinear(width, hidden),
    "mlp2x_gelu": lambda config, width, hidden: Mlp(width, hidden),
    "merge4": lambda config, width, hidden: Linear(width, hidden, MERGED),
    "qformer": lambda config, width, hidden: QFormer(
        config.qformer_config, config.query_tokens, hidden
    ),
    "none": lambda config, width, hidden: nn.Identity(),
}
"""Connectors by name, made of a `ComposedConfig`, the tower's width and the language model's."""


def connector(config: Any) -> nn.Module:
    """The connector that a `ComposedConfig` names.

    Raises:
        ModelError: there is none of that name, or it cannot join these two widths.
    """
    width, hidden = config.vision_config.hidden_size, config.text_config.hidden_size
    if config.connector not in CONNECTORS:
        raise ModelError(
            f"unknown connector '{config.connector}'{did_you_mean(config.connector, CONNECTORS)}"
        )
    if config.connector == "none" and width != hidden:
        raise ModelError(
            f"connector none hands {width} numbers a token to a language model of {hidden}; "
            f"choose linear or mlp2x_gelu."
        )
    return CONNECTORS[config.connector](config, width, hidden)


def tokens_after(connector: str, tokens: int, queries: int) -> int:
    """Tokens that leave a connector of that name when `tokens` enter it.

    Raises:
        ModelError: `merge4` is given tokens that four do not divide.
    """
    if connector == "qformer":
        return queries
    if connector != "merge4":
        return tokens
    if tokens % MERGED:
        raise ModelError(
            f"merge4 joins four neighbouring tokens and the tower gives {tokens}; drop its class "
            f"token (keep_class_token: false) or take an image size with an even number of patches."
        )
    return tokens // MERGED
