"""EfficientNet-Lite as a vision tower: a convolutional net that a laptop's CPU runs, for `parts`.

It reads pictures of any side that 32 divides and hands over a feature for every 32 x 32 pixels, as
they are before ImageNet's pooling and classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Groups of blocks of EfficientNet-Lite0: how many, kernel, first stride, expansion, channels."""


class EfficientNetLiteConfig(PretrainedConfig):
    """Sizes of an EfficientNet-Lite; as they stand, those of Lite0.

    Args:
        image_size: pixels a side of the pictures; a multiple of `patch_size`.
        patch_size: pixels a side that become one feature, the product of all strides.
        stem_width: channels of the first convolution.
        groups: see `LITE0`.
        hidden_size: numbers of a feature.
    """

    model_type = "efficientnet_lite"
    any_side = True
    """No table of positions holds it to a side of picture."""

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 32,
        stem_width: int = 32,
        groups: Sequence[Sequence[int]] = LITE0,
        hidden_size: int = 1280,
        **kwargs: Any,
    ) -> None:
        self.image_size = image_size
        self.patch_size = patch_size
        self.stem_width = stem_width
        self.groups = [list(group) for group in groups]
        self.hidden_size = hidden_size
        super().__init__(**kwargs)


class ConvNorm(nn.Module):
    """A convolution that keeps the side of a picture but for its stride, and a batch norm.

    Padding is TensorFlow's "same": where it is odd, the greater part is on the right and below.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel - stride
        before, after = padding // 2, padding - padding // 2
        self.padding = [before, after, before, after] if before != after else []
        inside = 0 if self.padding else before
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, inside, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        if self.padding:
            features = functional.pad(features, self.padding)
        return self.norm(self.conv(features))


class Block(nn.Module):
    """Expand, convolve each channel by itself, project; a residual path where sizes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = ConvNorm(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        wide = functional.relu6(self.expand(features)) if self.expand is not None else features
        wide = functional.relu6(self.depthwise(wide))
        projected = self.project(wide)
        return features + projected if self.residual else projected


class EfficientNetLiteModel(PreTrainedModel):
    """Pixels to a grid of features.

    Source: EfficientNet (arXiv:1905.11946), without squeeze-and-excitation and with ReLU6, as
    github.com/tensorflow/tpu, models/official/efficientnet/lite.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        width = config.stem_width
        self.stem = ConvNorm(3, width, 3, 2)
        self.blocks = nn.ModuleList()
        for repeats, kernel, first_stride, expansion, channels in config.groups:
            for number in range(repeats):
                stride = 1 if number else first_stride
                self.blocks.append(Block(width, channels, kernel, stride, expansion))
                width = channels
        self.head = ConvNorm(width, config.hidden_size, 1)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutput:
        """(images, 3, side, side) to (images, tokens, hidden), tokens in reading order."""
        features = pixel_values.contiguous(memory_format=torch.channels_last)
        features = functional.relu6(self.stem(features))
        for block in self.blocks:
            features = block(features)
        features = functional.relu6(self.head(features))
        return BaseModelOutput(last_hidden_state=features.flatten(2).transpose(1, 2))


AutoConfig.register("efficientnet_lite", EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)
