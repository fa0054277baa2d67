"""EVA-CLIP-g as LAVIS and MiniGPT-v2 keep it, brought into `transformers`' `Blip2VisionModel`."""

from __future__ import annotations

import re
from math import isqrt

import torch
from torch import Tensor
from transformers import Blip2VisionConfig, Blip2VisionModel, PreTrainedModel

from swath.errors import ModelError
from swath.models.convert.weights import Original, filled, layers_of, needed, no_place

LAYERS = 39
"""Layers of EVA-CLIP-g in use; its file holds 40 and a head, which LAVIS leaves aside too."""

HEADS = 16

NAMES = (
    (r"cls_token", "embeddings.class_embedding"),
    (r"pos_embed", "embeddings.position_embedding"),
    (r"patch_embed\.proj\.(weight|bias)", r"embeddings.patch_embedding.\1"),
    (r"blocks\.(\d+)\.norm([12])\.(weight|bias)", r"encoder.layers.\1.layer_norm\2.\3"),
    (r"blocks\.(\d+)\.attn\.qkv\.weight", r"encoder.layers.\1.self_attn.qkv.weight"),
    (r"blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"encoder.layers.\1.self_attn.projection.\2"),
    (r"blocks\.(\d+)\.mlp\.fc([12])\.(weight|bias)", r"encoder.layers.\1.mlp.fc\2.\3"),
)
"""Names in LAVIS' eva_vit.py and in `Blip2VisionModel`, paired as in transformers'
convert_blip_2_original_to_pytorch.py."""


def eva_tower(original: Original) -> tuple[PreTrainedModel, list[str]]:
    """The tower, and the original names it was made of.

    Its last norm is the checkpoint's ln_vision; where there is none, one as new, with weight 1
    and bias 0. `Blip2VisionModel` adds 1e-6 to the variance there and LAVIS 1e-5.

    Args:
        original: names as in eva_vit_g.pth, or behind `visual_encoder.` as inside MiniGPT-v2.

    Raises:
        ModelError: a tensor is missing, of another shape or of another tower.
    """
    prefix = "visual_encoder." if original.starting("visual_encoder.") else ""
    renamed: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    biases: dict[str, dict[str, str]] = {}
    for short, name in original.starting(prefix).items():
        block = re.match(r"blocks\.(\d+)\.", short)
        if re.match(r"(norm|fc_norm|head|ln_vision)\.", short) or (
            block and int(block[1]) >= LAYERS
        ):
            continue
        if bias := re.fullmatch(r"blocks\.(\d+)\.attn\.([qv])_bias", short):
            biases.setdefault(bias[1], {})[bias[2]] = name
            continue
        places = [
            match.expand(to) for pattern, to in NAMES if (match := re.fullmatch(pattern, short))
        ]
        if not places:
            raise no_place(name)
        renamed[places[0]], origins[places[0]] = original.tensors[name], name
    for layer, names in biases.items():
        if len(names) < 2:
            raise ModelError(f"{next(iter(names.values()))}: its q or v fellow is missing.")
        q, v = (original.tensors[names[pattern]] for pattern in "qv")
        # EVA's keys have no bias.
        renamed[f"encoder.layers.{layer}.self_attn.qkv.bias"] = torch.cat([q, q * 0, v])
    width, _, _, patch = needed(renamed, "embeddings.patch_embedding.weight").shape
    patches = needed(renamed, "embeddings.position_embedding").shape[1] - 1
    for part, start in (("weight", 1.0), ("bias", 0.0)):
        place, name = f"post_layernorm.{part}", f"ln_vision.{part}"
        renamed[place] = torch.full((width,), start)
        if name in original.tensors:
            renamed[place], origins[place] = original.tensors[name], name
    config = Blip2VisionConfig(
        hidden_size=width,
        intermediate_size=len(needed(renamed, "encoder.layers.0.mlp.fc1.weight")),
        num_hidden_layers=layers_of(renamed),
        num_attention_heads=HEADS,
        image_size=isqrt(patches) * patch,
        patch_size=patch,
    )
    dtype = renamed["embeddings.patch_embedding.weight"].dtype
    tower = filled(Blip2VisionModel, config, renamed, origins, dtype)
    return tower, [
        *origins.values(),
        *(name for names in biases.values() for name in names.values()),
    ]
