"""Original checkpoints of GeoChat, LLaVA, MiniGPT-v2 and SkyEyeGPT, brought into model folders.

Every tensor is used or named, none is left random, and nothing is written unless all fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isqrt, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    Blip2VisionModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
)

from swath.errors import ModelError
from swath.files import MANIFEST, replacing_folder, write_json
from swath.models.architectures.composed import compose
from swath.models.architectures.positions import bake_positions
from swath.models.convert.eva import eva_tower
from swath.models.convert.weights import (
    IGNORED,
    LORA,
    Original,
    fill,
    filled,
    layers_of,
    merge_lora,
    needed,
    no_place,
    read_original,
    read_settings,
    tower_of,
)

GEOCHAT_PX, MINIGPT_PX = 504, 448
"""Sides that GeoChat and MiniGPT-v2 read; both resize their tower's positions for it."""

TOWER = "model.vision_tower.vision_tower.vision_model."
LLAMA_KINDS = ("llava", "llava_llama", "geochat", "llama")
MADE_FROM_CONFIG = ("architectures", "dtype", "model_type", "transformers_version", "vocab_size")


@dataclass
class Converted:
    """What became of a checkpoint.

    Args:
        kind: "llava", "llava-lora", "minigpt" or "eva".
        used: original names with a place in the new model.
        unused: what else the checkpoint holds.
        notes: what a reader should know of the new model.
    """

    kind: str
    used: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(
    source: Path,
    target: Path,
    language: Path | None = None,
    vision: Path | None = None,
    image_px: int | None = None,
) -> Converted:
    """Bring an original checkpoint into a model folder, recognising it by its names.

    Args:
        source: a folder in LLaVA's layout, the folder of its LoRA, MiniGPT-v2's checkpoint, or
            the EVA tower's file alone.
        target: folder to write; one that swath wrote is replaced, anything else is refused.
        language: of a LoRA, the base in LLaVA's or LLaMA's layout; of MiniGPT-v2, the LLaMA.
        vision: of LLaVA without its tower, a CLIP folder; of MiniGPT-v2, a BLIP-2 folder or
            LAVIS' eva_vit_g.pth.
        image_px: side to resize the tower's positions for; nothing: 504 for GeoChat, 448 for
            MiniGPT-v2, the tower's own otherwise.

    Raises:
        ModelError: it is of no layout known, holds what has no place, or lacks a part.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise ModelError(f"{target} exists and was not written by swath; choose another folder.")
    original = read_original(source)
    done = Converted(_kind(original, source))
    tokenizer: Any = None
    if done.kind == "eva":
        model, done.used = eva_tower(original)
        _resize(model, image_px, align_corners=False)
    elif done.kind == "minigpt":
        model, tokenizer = _minigpt(original, language, vision, image_px, done)
    else:
        model, tokenizer = _llava(original, source, language, vision, image_px, done)
    everything = [*original.tensors, *original.beside]
    done.unused += [name for name in everything if name not in set(done.used)]
    with replacing_folder(target, MANIFEST) as folder:
        model.save_pretrained(folder, max_shard_size="5GB")
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        manifest = {"family": model.config.model_type, "made_from": str(source), "from": done.kind}
        write_json(folder / MANIFEST, manifest)
    return done


def _kind(original: Original, source: Path) -> str:
    names = original.tensors
    if "llama_proj.weight" in names:
        return "minigpt"
    if any(LORA.fullmatch(name) for name in names):
        return "llava-lora"
    if any(".mm_projector." in name for name in names):
        return "llava"
    if any(name.endswith("blocks.0.attn.qkv.weight") for name in names):
        return "eva"
    first = next(iter(names), "nothing")
    raise ModelError(
        f"{source}: neither LLaVA (model.mm_projector), its LoRA, MiniGPT-v2 (llama_proj) nor an "
        f"EVA tower (blocks.0.attn.qkv); it holds {first} and is perhaps no checkpoint of these, "
        f"or one that loads as it is."
    )


def _llava(
    original: Original,
    source: Path,
    language: Path | None,
    vision: Path | None,
    image_px: int | None,
    done: Converted,
) -> tuple[PreTrainedModel, Any]:
    tensors, folder = dict(original.tensors), source
    if done.kind == "llava-lora":
        if language is None:
            raise ModelError(f"{source} is a LoRA; name its base with --language FOLDER.")
        tensors, folder = dict(read_original(language).tensors), language
        _merge(tensors, original, source, done)
    elif language is not None:
        raise ModelError(f"{source} has its own language model; leave --language out.")
    settings = read_settings(source)
    if settings.get("model_type") not in LLAMA_KINDS:
        raise ModelError(
            f"{source}/config.json: model_type {settings.get('model_type')}; only LLaVA and "
            f"GeoChat on a LLaMA or Vicuna can be converted."
        )
    names = {name: name for name in tensors}
    tower = _clip(tensors, vision, source)
    geochat = settings.get("model_type") == "geochat"
    _resize(tower, image_px or (GEOCHAT_PX if geochat else None))
    tokenizer, image_token_id = _tokenizer(source, folder)
    rows = _grow(tensors, tokenizer, done)
    vision_config: Any = tower.config
    with_class = settings.get("mm_vision_select_feature", "patch") == "cls_patch"
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=_llama_config(settings, rows, tokenizer),
        image_token_index=image_token_id,
        image_seq_length=(vision_config.image_size // vision_config.patch_size) ** 2 + with_class,
        vision_feature_layer=settings.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="full" if with_class else "default",
        tie_word_embeddings=False,
    )
    places = {f"model.vision_tower.{name}": tensor for name, tensor in tower.state_dict().items()}
    origins = {}
    for name in names:
        if not name.endswith(IGNORED) and not name.startswith(TOWER):
            places[_llava_place(name)], origins[_llava_place(name)] = tensors[name], name
    dtype = tensors["lm_head.weight"].dtype
    model = filled(LlavaForConditionalGeneration, config, places, origins, dtype)
    done.used += [name for name in names if not name.endswith(IGNORED)]
    return model, tokenizer


def _merge(tensors: dict[str, Tensor], adapter: Original, source: Path, done: Converted) -> None:
    """Fold LLaVA's LoRA and what was trained beside it into the base's tensors."""
    settings = read_settings(source, "adapter_config.json")
    refused = [
        setting
        for setting in ("rank_pattern", "alpha_pattern", "use_dora")
        if settings.get(setting)
    ]
    if refused:
        raise ModelError(f"{source}/adapter_config.json: {refused[0]} cannot be merged here.")
    rank, alpha = (settings.get(name) for name in ("r", "lora_alpha"))
    if not rank or not alpha:
        raise ModelError(f"{source}/adapter_config.json: no r and lora_alpha; copy it anew.")
    scale = alpha / (sqrt(rank) if settings.get("use_rslora") else rank)
    done.used += merge_lora(tensors, adapter, scale)
    beside = [name for name in adapter.tensors if not LORA.fullmatch(name)]
    tensors |= {name.removeprefix("base_model.model."): adapter.tensors[name] for name in beside}
    done.used += beside
    done.notes.append(f"LoRA of rank {rank} merged with a scale of {scale:g}.")


def _llava_place(name: str) -> str:
    """Name in `LlavaForConditionalGeneration` of a name in LLaVA's layout."""
    for layer, place in (("0", "linear_1"), ("2", "linear_2")):
        name = name.replace(f"model.mm_projector.{layer}.", f"model.multi_modal_projector.{place}.")
    return re.sub(r"^model\.(?=embed_tokens|layers|norm)", "model.language_model.", name)


def _clip(tensors: dict[str, Tensor], vision: Path | None, source: Path) -> PreTrainedModel:
    """The tower inside the checkpoint, as GeoChat ships it, or the one named."""
    inside = {name[len(TOWER) :]: name for name in tensors if name.startswith(TOWER)}
    inside = {place: name for place, name in inside.items() if not place.endswith(IGNORED)}
    if inside and vision is not None:
        raise ModelError(f"{source} has its own vision tower; leave --vision out.")
    if vision is not None:
        return tower_of(CLIPVisionModel, vision)
    if not inside:
        raise ModelError(
            f"{source} comes without its vision tower; name it with --vision FOLDER, a copy of "
            f"openai/clip-vit-large-patch14-336."
        )
    renamed = {place: tensors[name] for place, name in inside.items()}
    width, _, _, patch = needed(renamed, "embeddings.patch_embedding.weight").shape
    patches = len(needed(renamed, "embeddings.position_embedding.weight")) - 1
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=len(needed(renamed, "encoder.layers.0.mlp.fc1.weight")),
        num_hidden_layers=layers_of(inside),
        num_attention_heads=width // 64,  # in every CLIP a head is 64 wide
        image_size=isqrt(patches) * patch,
        patch_size=patch,
    )
    return filled(CLIPVisionModel, config, renamed, inside)


def _minigpt(
    original: Original,
    language: Path | None,
    vision: Path | None,
    image_px: int | None,
    done: Converted,
) -> tuple[PreTrainedModel, Any]:
    """EVA-CLIP-g, four tokens joined and a linear layer, LLaMA2-chat with the LoRA merged.

    MiniGPT-v2 puts a new layer norm (weight 1, bias 0) after the tower, freezes it and does not
    save it, so BLIP-2's trained one must not stand there.
    """
    if language is None:
        raise ModelError("this checkpoint stands on a LLaMA2-chat; name it with --language FOLDER.")
    tensors = {
        name: tensor
        for name, tensor in read_original(language).tensors.items()
        if not name.endswith(IGNORED)
    }
    trained_with = original.beside.get("config")
    settings = trained_with.get("model", {}) if isinstance(trained_with, dict) else {}
    rank = next((len(lora) for name, lora in original.tensors.items() if "lora_A" in name), 1)
    scale = settings.get("lora_alpha", 16) / rank
    done.used += merge_lora(tensors, original, scale)
    done.notes.append(f"LoRA of rank {rank} merged with a scale of {scale:g}.")
    tokenizer, image_token_id = _tokenizer(language)
    rows = _grow(tensors, tokenizer, done)
    dtype = tensors["lm_head.weight"].dtype
    config = _llama_config(read_settings(language), rows, tokenizer)
    decoder = filled(LlamaForCausalLM, config, tensors, {}, dtype)
    tower: Any = _eva_of(original, vision, done)
    _resize(tower, image_px or MINIGPT_PX, align_corners=False)
    model = compose(tower.to(dtype), decoder, "merge4", image_token_id)
    projector = original.starting("llama_proj.")
    done.used += projector.values()
    unknown = set(original.tensors) - set(done.used)
    if unexplained := sorted(name for name in unknown if not name.endswith(IGNORED)):
        raise no_place(unexplained[0])
    renamed = {f"linear.{place}": original.tensors[name] for place, name in projector.items()}
    origins = {f"linear.{place}": name for place, name in projector.items()}
    fill(model.model.multi_modal_projector, renamed, origins, dtype)
    return model, tokenizer


def _eva_of(original: Original, vision: Path | None, done: Converted) -> PreTrainedModel:
    """The tower inside MiniGPT-v2's checkpoint, or the one named, with MiniGPT-v2's last norm."""
    if original.starting("visual_encoder."):
        tower, used = eva_tower(original)
        done.used += used
        return tower
    if vision is None:
        raise ModelError(
            "this checkpoint comes without its vision tower; name it with --vision, a BLIP-2 "
            "folder such as Salesforce/blip2-opt-2.7b or LAVIS' eva_vit_g.pth."
        )
    if vision.is_file():
        tower = eva_tower(read_original(vision))[0]
    else:
        tower = tower_of(Blip2VisionModel, vision)
    last: Any = tower.post_layernorm
    trained = original.starting("ln_vision.")
    done.used += trained.values()
    new = {"weight": torch.ones_like(last.weight), "bias": torch.zeros_like(last.bias)}
    renamed = {part: original.tensors[name] for part, name in trained.items()}
    fill(last, renamed or new, trained, last.weight.dtype)
    if not trained:
        done.notes.append("The tower's last norm is MiniGPT-v2's untrained one, not BLIP-2's.")
    return tower


def _resize(tower: PreTrainedModel, image_px: int | None, align_corners: bool = True) -> None:
    config: Any = tower.config
    if image_px is None or image_px == config.image_size:
        return
    if image_px < config.image_size:
        raise ModelError(
            f"the vision tower reads {config.image_size} px and was trained so; "
            f"leave --image-px {image_px} out."
        )
    bake_positions(tower, image_px, align_corners)


def _llama_config(settings: dict[str, Any], rows: int, tokenizer: Any) -> LlamaConfig:
    settings_known = {*LlamaConfig().to_dict(), "rope_theta", "rope_scaling"}
    chosen = {
        name: value
        for name, value in settings.items()
        if name in settings_known and name not in MADE_FROM_CONFIG
    }
    return LlamaConfig(**{**chosen, "vocab_size": rows, "pad_token_id": tokenizer.pad_token_id})


def _tokenizer(*folders: Path) -> tuple[Any, int]:
    """The tokenizer of the first folder that has one, with `<image>` and `<pad>`, as LLaVA's."""
    files = ("tokenizer.json", "tokenizer.model")
    folder = next(
        (place for place in folders if any((place / name).is_file() for name in files)), None
    )
    if folder is None:
        raise ModelError(f"{folders[-1]}: no tokenizer.json and no tokenizer.model in it.")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError):
        raise ModelError(
            f"{folder}: its tokenizer cannot be read; put the tokenizer.json of the same language "
            f"model beside its weights, or `pip install 'swath[hub]'` to read tokenizer.model."
        ) from None
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    return tokenizer, int(tokenizer.convert_tokens_to_ids("<image>"))


def _grow(tensors: dict[str, Tensor], tokenizer: Any, done: Converted) -> int:
    """Give new tokens rows, each the mean of the old, up to a multiple of 64; return the rows."""
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old = needed(tensors, name)
        rows = -(-max(len(old), len(tokenizer)) // 64) * 64
        mean = old.float().mean(dim=0, keepdim=True).to(old.dtype)
        tensors[name] = torch.cat([old, mean.expand(rows - len(old), -1)])
    done.notes.append(
        f"Vocabulary grown from {len(old)} to {rows} rows for <image> and <pad>; "
        f"new rows are the mean of the old."
    )
    return rows
