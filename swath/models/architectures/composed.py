"""A model put together: any vision tower, a connector and any causal language model.

Parts are named as in `transformers`' LLaVA, so that adapters, stages and exports treat it like
one. A saved one loads through the Auto classes wherever `swath` has been imported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    Blip2QFormerConfig,
    Blip2VisionModel,
    PretrainedConfig,
    PreTrainedModel,
)

import swath.models.architectures.efficientnet  # noqa: F401 (registers itself with transformers)
from swath.errors import ModelError
from swath.models.architectures.base import JoinedForConditionalGeneration, JoinedModel
from swath.models.architectures.connectors import QFormer, connector, tokens_after

UNMAPPED: dict[str, type[PreTrainedModel]] = {"blip_2_vision_model": Blip2VisionModel}
"""Towers that `AutoModel` does not know by their own configuration."""

LEADING = {
    "siglip_vision_model": 0,
    "clip_vision_model": 1,
    "blip_2_vision_model": 1,
    "vit": 1,
    "efficientnet_lite": 0,
}
"""Tokens of a tower's output that stand before its patches, where it does not say so itself."""

RESCALING = ("final_logit_softcapping", "logit_scale", "logits_scaling", "final_logits_softcapping")
"""Settings of language models that do more than multiply by the head's matrix."""


class ComposedConfig(PretrainedConfig):
    """The parts of a composed model and how they are joined.

    Args:
        vision_config: of the tower, at the image size it reads.
        text_config: of the causal language model.
        connector: row of `connectors.CONNECTORS`.
        image_token_id: token replaced by the image's features, one token each.
        select_layer: hidden states of the tower that are read; -1 is its last output with its
            final norm, -2 what enters its last layer, as LLaVA reads CLIP.
        keep_class_token: hand over what stands before the patches as well.
        qformer_config: of the Q-Former, where the connector is one.
        query_tokens: how many tokens the Q-Former makes of an image.
    """

    model_type = "swath_composed"
    sub_configs = {  # noqa: RUF012 (the base class's own form)
        "vision_config": AutoConfig,
        "text_config": AutoConfig,
        "qformer_config": Blip2QFormerConfig,
    }

    def __init__(
        self,
        vision_config: PretrainedConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        connector: str = "mlp2x_gelu",
        image_token_id: int = 3,
        select_layer: int = -1,
        keep_class_token: bool = False,
        qformer_config: PretrainedConfig | dict[str, Any] | None = None,
        query_tokens: int = 32,
        **kwargs: Any,
    ) -> None:
        self.vision_config = _config(vision_config, "clip_vision_model")
        self.text_config = _config(text_config, "llama")
        self.connector = connector
        self.image_token_id = image_token_id
        self.select_layer = select_layer
        self.keep_class_token = keep_class_token
        self.query_tokens = query_tokens
        self.qformer_config = None
        if connector == "qformer":
            self.qformer_config = _config(qformer_config, "blip_2_qformer")
            self.qformer_config.encoder_hidden_size = self.vision_config.hidden_size
        kwargs.setdefault("tie_word_embeddings", self.text_config.tie_word_embeddings)
        super().__init__(**kwargs)

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures the tower reads."""
        return int(self.vision_config.image_size)

    @property
    def leading(self) -> int:
        """Tokens before the patches: the class token and registers."""
        vision = self.vision_config
        registers = getattr(vision, "num_register_tokens", 0) or 0
        return LEADING.get(vision.model_type, 1) + registers

    @property
    def image_tokens(self) -> int:
        """Tokens one image becomes."""
        patches = (self.image_size // self.vision_config.patch_size) ** 2
        read = patches + (self.leading if self.keep_class_token else 0)
        return tokens_after(self.connector, read, self.query_tokens)


def _config(values: PretrainedConfig | dict[str, Any] | None, default: str) -> Any:
    if isinstance(values, PretrainedConfig):
        return values
    values = dict(values or {})
    return AutoConfig.for_model(values.pop("model_type", default), **values)


def composed_config(
    vision: PretrainedConfig,
    language: PretrainedConfig,
    connector: str,
    image_token_id: int,
    select_layer: int | None = None,
    **other: Any,
) -> ComposedConfig:
    """The configuration of a model made of these two.

    Args:
        vision: of a tower, or of a model that holds one (CLIP, BLIP-2). A BLIP-2 hands over its
            Q-Former too, where the connector is one.
        language: of a causal language model.
        connector: row of `connectors.CONNECTORS`.
        image_token_id: token that stands for one image feature.
        select_layer: see `ComposedConfig`; nothing: -2 for CLIP, -1 for the others, as their
            papers read them.
        other: further arguments of `ComposedConfig`.

    Raises:
        ModelError: the language model is none that takes image features for words.
    """
    if connector == "qformer" and getattr(vision, "qformer_config", None) is not None:
        other.setdefault("qformer_config", vision.qformer_config)
        other.setdefault("query_tokens", vision.num_query_tokens)
    tower = getattr(vision, "vision_config", vision)
    if select_layer is None:
        select_layer = -2 if tower.model_type == "clip_vision_model" else -1
    rescaling = [name for name in RESCALING if getattr(language, name, None) not in (None, 1.0)]
    if language.is_encoder_decoder or rescaling:
        reason = f"rescales its logits ({rescaling[0]})" if rescaling else "has an encoder too"
        raise ModelError(
            f"a language model of the kind '{language.model_type}' {reason}, which a composed "
            f"model does not repeat; take a plain decoder such as Llama, Qwen, GLM or GPT-2."
        )
    # The Q-Former was trained on every token of the tower, the class token among them.
    other.setdefault("keep_class_token", connector == "qformer")
    return ComposedConfig(
        tower, language, connector, image_token_id, select_layer=select_layer, **other
    )


class ComposedPreTrainedModel(PreTrainedModel):
    """Initialisation and flags shared by the composed modules."""

    config_class = ComposedConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, QFormer):
            module.reset_queries()


class ComposedModel(ComposedPreTrainedModel, JoinedModel):
    """Tower, connector and decoder, up to the last hidden states."""

    def __init__(self, config: ComposedConfig) -> None:
        super().__init__(config)
        vision = config.vision_config
        kind = UNMAPPED.get(vision.model_type)
        self.vision_tower = (
            kind(vision) if kind else AutoModel.from_config(vision, trust_remote_code=False)
        )
        self.multi_modal_projector = connector(config)
        self.language_model = AutoModel.from_config(config.text_config, trust_remote_code=False)
        self.post_init()

    def see(self, pixel_values: Tensor) -> Tensor:
        """(images, 3, size, size) to the tower's features (images, tokens, width)."""
        layer = self.config.select_layer
        pixel_values = pixel_values.to(self.vision_tower.dtype)
        outputs = self.vision_tower(pixel_values, output_hidden_states=layer != -1)
        features = outputs.last_hidden_state if layer == -1 else outputs.hidden_states[layer]
        return features if self.config.keep_class_token else features[:, self.config.leading :]

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """(images, 3, size, size) to projected features (images, tokens, hidden)."""
        features = self.see(pixel_values).to(self.language_model.dtype)
        return self.multi_modal_projector(features)


class ComposedForConditionalGeneration(ComposedPreTrainedModel, JoinedForConditionalGeneration):
    """A composed model with its language head; answers through `generate`."""

    def __init__(self, config: ComposedConfig) -> None:
        super().__init__(config)
        self.model = ComposedModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        words = self.model.get_input_embeddings().weight
        place = next(
            name for name, parameter in self.model.named_parameters() if parameter is words
        )
        self._tied_weights_keys = {"lm_head.weight": f"model.{place}"}
        self.post_init()


def compose(
    vision: PreTrainedModel,
    language: PreTrainedModel,
    connector: str,
    image_token_id: int,
    **other: Any,
) -> ComposedForConditionalGeneration:
    """A composed model of loaded parts, which it takes over without a copy.

    The connector is new, drawn by torch's global seed, except for a BLIP-2's Q-Former.

    Args:
        vision: a tower at the image size wanted, or a model that holds one (CLIP, BLIP-2);
            a BLIP-2 hands over its Q-Former and queries too, where the connector is one.
        language: a causal language model with its head.
        connector: row of `connectors.CONNECTORS`.
        image_token_id: token that stands for one image feature.
        other: further arguments of `composed_config`.

    Raises:
        ModelError: the parts cannot be joined.
    """
    head = language.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise ModelError(
            f"{type(language).__name__} has no plain language head; load the language model "
            f"with AutoModelForCausalLM, of a kind whose head has no bias."
        )
    qformer: Any = getattr(vision, "qformer", None) if connector == "qformer" else None
    queries: Any = getattr(vision, "query_tokens", None)
    if qformer is not None:
        other.setdefault("qformer_config", qformer.config)
        other.setdefault("query_tokens", queries.shape[1])
    tower = getattr(vision, "vision_model", vision)
    config = composed_config(tower.config, language.config, connector, image_token_id, **other)
    with torch.device("meta"):
        model = ComposedForConditionalGeneration(config)
    joint = _joint(config)
    if isinstance(joint, QFormer) and qformer is not None:
        joint.qformer = qformer
        joint.query_tokens = nn.Parameter(queries.detach())
    model.model.vision_tower = tower
    model.model.multi_modal_projector = joint.to(language.device, language.dtype)
    model.model.language_model = language.base_model
    model.lm_head = head
    return model.eval()


def _joint(config: ComposedConfig) -> nn.Module:
    """A new connector, initialised as the model would."""
    joint = connector(config)
    owner = ComposedPreTrainedModel(config)
    joint.apply(lambda module: owner._init_weights(module))
    return joint


AutoConfig.register("swath_composed", ComposedConfig, exist_ok=True)
AutoModelForImageTextToText.register(
    ComposedConfig, ComposedForConditionalGeneration, exist_ok=True
)
