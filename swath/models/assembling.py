"""A model put together from a vision tower, a connector and a language model, as a recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    Blip2ForConditionalGeneration,
    CLIPVisionModel,
    SiglipVisionModel,
    VisionEncoderDecoderModel,
)

from swath.models.architectures.composed import compose
from swath.models.architectures.positions import bake_positions
from swath.models.family import FAMILIES
from swath.models.hub import fetched, reading
from swath.models.loaded import Loaded, colours_of, finish_tokenizer, read_weights
from swath.models.shrink import encoder_decoder
from swath.recipe import Imagery, Models, Parts

TOWERS: dict[str, Any] = {
    "blip-2": Blip2ForConditionalGeneration,  # its Q-Former is taken over as well
    "clip": CLIPVisionModel,
    "siglip": SiglipVisionModel,
}
"""Classes that read the tower out of a checkpoint of more; others are read by `AutoModel`."""


def put_together(parts: Parts, section: Models, imagery: Imagery, seed: int) -> Loaded:
    """The model of these `models.parts`; a connector that no part brings is random.

    Raises:
        ModelError: a part is not there, cannot be fetched, or does not go with the others.
    """
    torch.manual_seed(seed)
    vision = _folder(parts.vision, parts.vision_revision)
    language = _folder(parts.language, parts.language_revision)
    with reading(language):
        tokenizer = AutoTokenizer.from_pretrained(language, trust_remote_code=False)
    base = section.name
    if parts.connector == "cross-attention":
        family = FAMILIES.get("vision-encoder-decoder")
        with reading(vision):
            config = encoder_decoder(
                AutoConfig.from_pretrained(vision, trust_remote_code=False),
                AutoConfig.from_pretrained(language, trust_remote_code=False),
            )
            encoder = read_weights(vision, config.encoder, section.dtype, AutoModel)
        with reading(language):  # its attention to the image is new
            decoder = read_weights(
                language, config.decoder, section.dtype, AutoModelForCausalLM, new="cross"
            )
        model: Any = VisionEncoderDecoderModel(config=config, encoder=encoder, decoder=decoder)
        model.to(encoder.dtype)  # the layer between the two is new
        finish_tokenizer(tokenizer, family, language)
        start_words(model, tokenizer)
        mean, std = colours_of(vision)
        return Loaded(model.eval(), tokenizer, family, base, mean=mean, std=std)
    family = FAMILIES.get("swath_composed")
    more: Any = {"additional_special_tokens": [family.image_token]}
    tokenizer.add_special_tokens(more, replace_extra_special_tokens=False)  # it keeps its own
    with reading(vision):
        config = AutoConfig.from_pretrained(vision, trust_remote_code=False)
        kind = TOWERS.get(config.model_type, AutoModel)
        if config.model_type in ("clip", "siglip"):
            config = config.vision_config
        seeing = read_weights(vision, config, section.dtype, kind)
    tower = getattr(seeing, "vision_model", seeing)
    if imagery.image_px is not None and imagery.image_px != tower.config.image_size:
        bake_positions(tower, imagery.image_px, tower.config.model_type == "clip_vision_model")
    with reading(language):
        config = AutoConfig.from_pretrained(language, trust_remote_code=False)
        speaking = read_weights(language, config, section.dtype, AutoModelForCausalLM)
    token: Any = tokenizer.convert_tokens_to_ids(family.image_token)
    model = compose(seeing, speaking, parts.connector, token)
    if len(tokenizer) > model.config.text_config.vocab_size:
        model.resize_token_embeddings(len(tokenizer))
    finish_tokenizer(tokenizer, family, language)
    mean, std = colours_of(vision)
    return Loaded(model.eval(), tokenizer, family, base, mean=mean, std=std)


def start_words(model: Any, tokenizer: Any) -> None:
    """Tell an encoder-decoder with which tokens words begin, end and are padded."""
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = tokenizer.bos_token_id
        config.pad_token_id = tokenizer.pad_token_id
        config.eos_token_id = tokenizer.eos_token_id


def _folder(name: str, revision: str | None) -> Path:
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else fetched(name, revision, any_kind=True)
