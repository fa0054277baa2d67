"""swath-nano: a vision-language model small enough to tune on a laptop's CPU.

A residual convolutional tower turns 96 x 96 pixels into 6 x 6 features, a two-layer projector
turns them into tokens, and a small Llama-style decoder reads them before the words. Parts are
named as in `transformers`' LLaVA, so that adapters, stages and exports treat it like one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    LlamaConfig,
    LlamaModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from swath.models.architectures.base import JoinedForConditionalGeneration, JoinedModel

STRIDE = 16
"""Pixels a side that become one image token."""


class NanoConfig(PretrainedConfig):
    """Sizes of a swath-nano.

    Args:
        image_size: pixels a side the tower reads; a multiple of 16.
        stem_width: channels after the 4 x 4 patch stem.
        widths: channels at 1/4, 1/8 and 1/16 of the image size.
        image_token_id: token replaced by the image's features, one token each.
        text_config: the decoder's `LlamaConfig`, or its values.
    """

    model_type = "swath_nano"
    sub_configs = {"text_config": LlamaConfig}  # noqa: RUF012 (the base class's own form)

    def __init__(
        self,
        image_size: int = 96,
        stem_width: int = 32,
        widths: tuple[int, int, int] = (64, 128, 256),
        image_token_id: int = 3,
        text_config: LlamaConfig | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.image_size = image_size
        self.stem_width = stem_width
        self.widths = list(widths)
        self.image_token_id = image_token_id
        if text_config is None:
            text_config = LlamaConfig(
                vocab_size=2048,
                hidden_size=192,
                intermediate_size=512,
                num_hidden_layers=3,
                num_attention_heads=3,
                num_key_value_heads=3,
                max_position_embeddings=2048,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                tie_word_embeddings=True,
            )
        elif isinstance(text_config, dict):
            text_config = LlamaConfig(**text_config)
        self.text_config = text_config
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)

    @property
    def image_tokens(self) -> int:
        """Tokens one image becomes."""
        return (self.image_size // STRIDE) ** 2


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual path around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, h, w) to (batch, outputs, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return functional.relu(self.shortcut(x) + y)


class NanoTower(nn.Module):
    """Pixels to a grid of features, one for every 16 x 16 pixels."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        stem, (quarter, eighth, sixteenth) = config.stem_width, config.widths
        self.stem = nn.Conv2d(3, stem, 4, 4, bias=False)
        self.norm = nn.BatchNorm2d(stem)
        self.blocks = nn.Sequential(
            Block(stem, quarter, 1),
            Block(quarter, eighth, 2),
            Block(eighth, eighth, 1),
            Block(eighth, sixteenth, 2),
            Block(sixteenth, sixteenth, 1),
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, tokens, width), tokens in reading order."""
        x = pixel_values.contiguous(memory_format=torch.channels_last)
        x = self.blocks(functional.relu(self.norm(self.stem(x))))
        return x.flatten(2).transpose(1, 2)


class NanoProjector(nn.Module):
    """Image features to the decoder's width; a learned place is added to each token."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        inner = config.text_config.hidden_size
        self.position = nn.Parameter(torch.zeros(config.image_tokens, config.widths[-1]))
        self.linear_1 = nn.Linear(config.widths[-1], inner * 2)
        self.linear_2 = nn.Linear(inner * 2, inner)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, tokens, width) to (batch, tokens, hidden)."""
        return self.linear_2(functional.gelu(self.linear_1(features + self.position)))


class NanoPreTrainedModel(PreTrainedModel):
    """Initialisation and flags shared by the nano modules."""

    config_class = NanoConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, NanoProjector):
            nn.init.normal_(module.position, std=0.02)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, LlamaRMSNorm):
            nn.init.ones_(module.weight)


class NanoModel(NanoPreTrainedModel, JoinedModel):
    """Tower, projector and decoder, up to the last hidden states."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        self.vision_tower = NanoTower(config)
        self.multi_modal_projector = NanoProjector(config)
        self.language_model = LlamaModel(config.text_config)
        # At this size a CPU multiplies matrices faster than it runs the fused kernel backwards.
        self.language_model.set_attn_implementation("eager")
        self.post_init()

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """(images, 3, size, size) to projected features (images, tokens, hidden)."""
        return self.multi_modal_projector(self.vision_tower(pixel_values))


class NanoForConditionalGeneration(NanoPreTrainedModel, JoinedForConditionalGeneration):
    """swath-nano with its language head; answers through `generate`."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        self.model = NanoModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()


AutoConfig.register("swath_nano", NanoConfig, exist_ok=True)
AutoModelForImageTextToText.register(NanoConfig, NanoForConditionalGeneration, exist_ok=True)
