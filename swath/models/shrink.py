"""The same architecture, small: what `--tiny` builds, so that every recipe runs on a laptop."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from transformers import PretrainedConfig, VisionEncoderDecoderConfig

from swath.models.family import set_side

TEXT_WIDTH, VISION_WIDTH, LAYERS, HEADS, QUERIES, POOLED = 128, 64, 3, 4, 8, 9
"""Sizes of a small model; its head counts follow the large one's ratios."""


def encoder_decoder(vision: PretrainedConfig, language: PretrainedConfig) -> PretrainedConfig:
    """A vision encoder whose features a causal language model reads by cross-attention.

    Args:
        vision: of the encoder, or of a model that holds one.
        language: of the decoder, which gets cross-attention that is not in its weights.
    """
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        copy.deepcopy(getattr(vision, "vision_config", vision)), copy.deepcopy(language)
    )
    pad = language.pad_token_id
    config.decoder_start_token_id = language.bos_token_id
    config.eos_token_id = language.eos_token_id
    config.pad_token_id = language.eos_token_id if pad is None else pad
    return config


def shrink(
    config: PretrainedConfig,
    vocab_size: int,
    image_px: int,
    ids: Mapping[str, int | list[int] | None] | None = None,
) -> PretrainedConfig:
    """The same architecture with a few narrow layers.

    Kept are the kinds of layers, patch sizes, the ratio of heads to key and value heads, the
    shared or separate head, equal widths where they were equal, which layers are read, and how
    many positions there are.

    Args:
        config: of a model, tower or language model; it is left as it is.
        vocab_size: tokens of the small model.
        image_px: side of its images, a multiple of its patch.
        ids: special tokens by their configuration's names: `image_token_id`, `pad_token_id` and
            so on. Those neither given nor in the vocabulary become None, or -1 where they
            mark what is not text, which then never occurs.
    """
    small = copy.deepcopy(config)
    towers = [_sub(small, name) for name in ("vision_config", "encoder")]
    vision = next((tower for tower in towers if tower is not None), None)
    text = _sub(small, "text_config") or _sub(small, "decoder")
    if vision is None and text is None:
        vision, text = (small, None) if hasattr(small, "patch_size") else (None, small)
    into_text = text is not None and getattr(vision, "projection_dim", None) == text.hidden_size
    same_width = vision is not None and text is not None and vision.hidden_size == text.hidden_size
    if text is not None:
        _shrink_text(text, vocab_size)
    if vision is not None:
        _shrink_vision(vision, image_px, text.hidden_size if text and same_width else VISION_WIDTH)
    if vision is not None and text is not None:
        _set(vision, out_hidden_size=text.hidden_size)  # Qwen's merger lies in the tower
    if (qformer := _sub(small, "qformer_config")) is not None:
        _narrow(qformer, VISION_WIDTH)
        _set(qformer, encoder_hidden_size=vision.hidden_size if vision else None)
        _set(qformer, num_hidden_layers=qformer.cross_attention_frequency)
        _set(small, num_query_tokens=QUERIES, query_tokens=QUERIES)
    _set(small, projection_dim=text.hidden_size if text and into_text else VISION_WIDTH)
    if vision is not None and into_text:
        vision.projection_dim = text.hidden_size  # PaliGemma's projector goes by it
    _set(small, image_grid_pinpoints=[[image_px, image_px]])
    _set(small, mm_tokens_per_image=POOLED)
    for part in _parts(small):
        _set_ids(part, vocab_size, ids or {})
        # EVA's 1e-10 says "will be loaded"; a random tower would give the same for any image.
        if getattr(part, "initializer_range", None) is not None:
            part.initializer_range = max(part.initializer_range, 0.02)
    return small


def _sub(config: PretrainedConfig, name: str) -> Any:
    part = getattr(config, name, None)
    return part if isinstance(part, PretrainedConfig) else None


def _parts(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    yield config
    for name in ("vision_config", "text_config", "qformer_config", "encoder", "decoder"):
        if (part := _sub(config, name)) is not None:
            yield part


def _set(config: PretrainedConfig, **values: Any) -> None:
    """Set what this configuration has, by its own name for it."""
    for name, value in values.items():
        if getattr(config, name, None) is not None:
            setattr(config, name, value)


def _narrow(config: Any, width: int) -> None:
    """Width, depth and heads of a stack of layers; the ratios of its heads are kept."""
    heads = config.num_attention_heads
    ratio = heads // (getattr(config, "num_key_value_heads", None) or heads)
    groups = max(1, HEADS // ratio)
    new_heads = groups * ratio
    old_head = getattr(config, "head_dim", None) or config.hidden_size // heads
    head = width // new_heads // 2 * 2
    rope = getattr(config, "rope_parameters", None) or {}
    if "mrope_section" in rope:
        rope["mrope_section"] = _sections(rope["mrope_section"], head / old_head)
    # Pixtral's decoder is wider than all its heads together, by a quarter.
    width = head * new_heads * config.hidden_size // (heads * old_head)
    config.hidden_size = width
    config.num_hidden_layers = LAYERS
    config.num_attention_heads = new_heads
    _set(config, num_key_value_heads=groups, head_dim=head)
    _set(config, intermediate_size=2 * width, ffn_dim=2 * width, mlp_ratio=2)
    _set(config, word_embed_proj_dim=width)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:LAYERS]


def _sections(old: Sequence[int], scale: float) -> list[int]:
    """Sections of a narrower head: whole numbers whose sum is the old one's, scaled."""
    exact = [section * scale for section in old]
    ends = [round(sum(exact[:number])) for number in range(len(old) + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def _shrink_text(config: Any, vocab_size: int) -> None:
    _narrow(config, TEXT_WIDTH)
    config.vocab_size = vocab_size


def _shrink_vision(config: Any, image_px: int, width: int) -> None:
    if getattr(config, "image_size", None) is not None:
        set_side(config, image_px)
    if not hasattr(config, "num_attention_heads"):  # a net of convolutions
        config.hidden_size = width
        config.groups = [[1, *group[1:-1], width // 4] for group in config.groups]
        return
    _narrow(config, width)
    # Qwen2.5-VL: most layers look at windows of 4 x 4 merged patches, some at all; both stay.
    _set(config, fullatt_block_indexes=[LAYERS - 1])
    _set(config, deepstack_visual_indexes=[0, 1])  # Qwen3-VL hands on what earlier layers see
    if getattr(config, "window_size", None) is not None:
        config.window_size = 2 * config.patch_size * config.spatial_merge_size


def _set_ids(config: Any, vocab_size: int, ids: Mapping[str, Any]) -> None:
    theirs = {name: alias for alias, name in config.attribute_map.items()}
    for name in config.to_dict():
        if not name.endswith(("_token_id", "_token_index")):
            continue
        their_name = theirs.get(name, name)
        value = getattr(config, name, None)
        if their_name in ids:
            setattr(config, name, ids[their_name])
        elif value is not None and max(value if isinstance(value, list) else [value]) >= vocab_size:
            setattr(
                config, name, -1 if their_name.startswith(("image", "video", "vision")) else None
            )
