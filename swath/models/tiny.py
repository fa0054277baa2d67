"""Tiny models: a published architecture, small and random, with swath-nano's tokenizer.

They prove that a recipe works from end to end where the true weights cannot be had, or before they
are paid for. What they say is worth nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    VisionEncoderDecoderModel,
)

from swath.models.architectures.composed import composed_config
from swath.models.assembling import start_words
from swath.models.family import Family, family_of, family_row, set_side
from swath.models.hub import reading
from swath.models.loaded import EMBEDDED, Loaded, load_folder
from swath.models.published import published_config
from swath.models.shrink import encoder_decoder, shrink
from swath.models.templates import TEMPLATES
from swath.recipe import Imagery, Models

PATCHES = 6
"""Patches a side that a tiny tower sees."""


def tiny(section: Models, imagery: Imagery, seed: int) -> Loaded:
    """A tiny model of the architecture that a recipe's `models` names.

    Where the recipe has its own side of pictures, the tower is made for a smaller one and
    enlarged like the true one.

    Raises:
        ModelError: the architecture is not known here.
    """
    if section.parts is None and section.base == "swath-nano":
        return load_folder(EMBEDDED, "swath-nano")
    config, base = _config(section)
    family = family_row(config, base)
    tokenizer, ids = _tokenizer(family, section)
    patch = family.patch(config)
    patches = 2 if patch > 32 else PATCHES
    if imagery.image_px is not None and not family.any_side:
        patches = max(2, imagery.image_px // patch * 2 // 3)
    small = shrink(config, len(tokenizer), patches * patch, ids)
    torch.manual_seed(seed)
    encodes = family_of(config) == "vision-encoder-decoder"
    model: Any = (
        VisionEncoderDecoderModel(small)
        if encodes
        else AutoModelForImageTextToText.from_config(small, trust_remote_code=False)
    )
    if encodes:
        start_words(model, tokenizer)
    for parameter in model.parameters():  # Gemma 3's projector: "will be loaded", and sees nothing
        if parameter.ndim == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return Loaded(model.eval(), tokenizer, family, f"tiny {base}")


def config_of(section: Models, imagery: Imagery, seed: int) -> Any:
    """The configuration of the model that a recipe names, no weights read and nothing fetched.

    Raises:
        ModelError: it is neither shipped with swath nor in a folder.
    """
    if section.weights == "tiny":
        return tiny(section, imagery, seed).model.config
    if section.parts is None and section.base == "swath-nano":
        return AutoConfig.from_pretrained(EMBEDDED, trust_remote_code=False)
    config, base = _config(section)
    tower = getattr(config, "vision_config", None) or getattr(config, "encoder", None)
    if imagery.image_px is not None and not family_row(config, base).any_side:
        set_side(tower, imagery.image_px)
    return config


def _config(section: Models) -> tuple[PretrainedConfig, str]:
    parts = section.parts
    if parts is None:
        return _known(section.base), section.name
    vision, language = _known(parts.vision), _known(parts.language)
    if parts.connector == "cross-attention":
        return encoder_decoder(vision, language), section.name
    return composed_config(vision, language, parts.connector, image_token_id=3), section.name


def _known(name: str) -> PretrainedConfig:
    if not Path(name).is_dir():
        return published_config(name)
    with reading(name, "its config.json"):
        config: PretrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False)
    return config


def _tokenizer(family: Family, section: Models) -> tuple[Any, dict[str, int]]:
    """swath-nano's tokenizer with the family's tokens and template; and the ids configs name."""
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED)
    template = TEMPLATES.get(section.template or family.template)
    tokens = [*template.tokens, *family.tokens]
    if family.image_token:
        tokens.append(family.image_token)
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    tokenizer.eos_token = template.end
    tokenizer.chat_template = template.jinja
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if family.image_token:
        ids["image_token_id"] = tokenizer.convert_tokens_to_ids(family.image_token)
    return tokenizer, ids
