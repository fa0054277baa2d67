"""Original checkpoints: opened as weights alone, their LoRA merged, put into a model by name."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from swath.errors import ModelError, first_line

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
BESIDE_ADAPTER = "non_lora_trainables.bin"
"""Where LLaVA keeps what it trained beside its LoRA: the projector."""

IGNORED = ("rotary_emb.inv_freq", "position_ids")
"""Endings of numbers that are computed anew."""

LORA = re.compile(r"(?:llama_model\.)?base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")
"""Keys of PEFT 0.2 and of newer ones, alone and inside MiniGPT-v2's model."""


@dataclass
class Original:
    """What a checkpoint holds.

    Args:
        tensors: by their original names; mapped from disk where the file's form allows, so that
            several gigabytes need little memory.
        beside: what else its file holds, such as an optimizer or the settings it was trained with.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)

    def starting(self, prefix: str) -> dict[str, str]:
        """Names that start with `prefix`, by what follows it."""
        return {name[len(prefix) :]: name for name in self.tensors if name.startswith(prefix)}


def read_original(path: Path) -> Original:
    """The tensors of one file, or of all the files of a folder that make up its model.

    Raises:
        ModelError: a file is missing, cut short, or holds objects that would run code.
    """
    original = Original()
    for file in _files(path):
        opened = _opened(file)
        if isinstance(opened.get("model"), Mapping):
            original.beside |= {name: part for name, part in opened.items() if name != "model"}
            opened = dict(opened["model"])
        for name, part in opened.items():
            if name in original.tensors:
                raise ModelError(
                    f"{file}: holds {name}, which another file of {path} holds as well; "
                    f"name one of the files instead of the folder."
                )
            if isinstance(part, Tensor):
                original.tensors[name] = part
            else:
                original.beside[name] = part
    return original


def read_settings(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON object that lies beside the weights.

    Raises:
        ModelError: it is missing or no JSON object.
    """
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise ModelError(f"{folder / name}: missing or no JSON object; copy it beside the weights.")
    return value


def merge_lora(tensors: dict[str, Tensor], adapter: Original, scale: float) -> list[str]:
    """Add a LoRA to the weights it was trained on: W + B A * scale, computed in float32.

    Args:
        tensors: of the base, by their names in a LLaMA; changed.
        adapter: holds the pairs.
        scale: alpha / r.

    Returns:
        The adapter's names that were used.

    Raises:
        ModelError: a pair is not whole or fits no weight of the base.
    """
    pairs: dict[str, dict[str, str]] = {}
    for name in adapter.tensors:
        if match := LORA.fullmatch(name):
            pairs.setdefault(match[1] + ".weight", {})[match[2]] = name
    for place, names in pairs.items():
        if len(names) < 2:
            raise ModelError(f"{next(iter(names.values()))}: its other half is missing.")
        down, up = (adapter.tensors[names[half]].float() for half in "AB")
        shapes = (up.shape[0], down.shape[1]) if up.shape[1] == down.shape[0] else None
        if place not in tensors or shapes != tuple(tensors[place].shape):
            there = tuple(tensors[place].shape) if place in tensors else "missing"
            raise ModelError(
                f"{names['A']} {tuple(down.shape)} and its other half {tuple(up.shape)} do not "
                f"fit {place} ({there}) of the base; is the adapter of another one?"
            )
        weight = tensors[place]
        tensors[place] = torch.addmm(weight.float(), up, down, alpha=scale).to(weight.dtype)
    return [name for names in pairs.values() for name in names.values()]


def tower_of(kind: Any, folder: Path) -> PreTrainedModel:
    """A vision tower of class `kind` from a folder that holds it, perhaps inside a larger model.

    `transformers` would load `Blip2VisionModel` from a BLIP-2 folder too, but with random numbers.

    Raises:
        ModelError: it is not there, or not whole.
    """
    original = read_original(folder)
    names = original.starting("vision_model.") or original.starting("")
    names = {place: name for place, name in names.items() if not place.endswith(IGNORED)}
    read_settings(folder)
    config = kind.config_class.from_pretrained(folder)
    return filled(
        kind, config, {place: original.tensors[name] for place, name in names.items()}, names
    )


def filled(
    kind: Any,
    config: PretrainedConfig,
    held: dict[str, Tensor],
    origins: dict[str, str],
    dtype: torch.dtype | None = None,
) -> PreTrainedModel:
    """A model of class `kind` with these weights, to be saved; see `fill`."""
    with torch.device("meta"):
        model: PreTrainedModel = kind(config)
    fill(model, held, origins, dtype)
    return model.eval()


def fill(
    model: Any, held: dict[str, Tensor], origins: dict[str, str], dtype: torch.dtype | None = None
) -> None:
    """Put every tensor in its place of the model, without a copy, and leave no place empty.

    Args:
        model: its own numbers are forgotten.
        held: tensors by their names in the model.
        origins: the names they had, for errors, by those in the model.
        dtype: number format; nothing: each tensor's own.

    Raises:
        ModelError: a tensor has no place or not its shape, or a place stays empty.
    """
    state = model.state_dict()
    for place, tensor in held.items():
        name = origins.get(place, place)
        if place not in state:
            raise no_place(name)
        if tensor.shape != state[place].shape:
            raise ModelError(
                f"{name} is {tuple(tensor.shape)} and its place in the model is "
                f"{tuple(state[place].shape)}; is it a part of another model?"
            )
    for place in state:
        needed(held, place)
    converted = {place: tensor.to(dtype or tensor.dtype) for place, tensor in held.items()}
    model.load_state_dict(converted, assign=True)


def needed(held: dict[str, Tensor], name: str) -> Tensor:
    """The tensor of that name.

    Raises:
        ModelError: there is none.
    """
    if name not in held:
        raise ModelError(f"{name} is missing in the checkpoint; is every file of it there?")
    return held[name]


def no_place(name: str) -> ModelError:
    """The error of a tensor that nothing in the model is waiting for."""
    return ModelError(
        f"{name} has no place in the model; the checkpoint is of another layout or a newer one."
    )


def layers_of(names: Iterable[str]) -> int:
    """How many layers `encoder.layers.N. ...` count."""
    return len({name.split(".")[2] for name in names if name.startswith("encoder.layers.")})


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ModelError(f"{path}: there is no such file or folder.")
    for name in ADAPTERS:
        if (path / name).is_file():
            beside = path / BESIDE_ADAPTER
            return [path / name, *([beside] if beside.is_file() else [])]
    for name in INDEXES:
        if (path / name).is_file():
            listed = read_settings(path, name).get("weight_map", {})
            return [path / Path(file).name for file in sorted(set(listed.values()))]
    for pattern in ("*.safetensors", "pytorch_model*.bin", "*.pth"):
        if files := sorted(path.glob(pattern)):
            return files
    raise ModelError(f"{path}: no *.safetensors, pytorch_model*.bin or *.pth in it.")


def _opened(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        mapped = zipfile.is_zipfile(file)
        opened = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise ModelError(f"{file}: missing, though its index names it; copy it too.") from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        raise ModelError(
            f"{file}: cannot be read ({first_line(error)}); was it cut short?"
        ) from None
    except (LookupError, ValueError, TypeError, AttributeError, struct.error):  # any bytes at all
        raise ModelError(f"{file}: no checkpoint of torch; was it cut short?") from None
    except torch.serialization.pickle.UnpicklingError as error:  # type: ignore[attr-defined]
        match = re.search(r"GLOBAL (\S+)", str(error))
        if match is None:
            raise ModelError(f"{file}: no checkpoint of torch; was it cut short?") from None
        raise ModelError(
            f"{file}: holds {match[1]} beside tensors, and loading that would run code, so swath "
            f"does not; where you trust the file, save its tensors alone: "
            f'torch.save({{"model": checkpoint["model"]}}, path).'
        ) from None
    if not isinstance(opened, dict):
        raise ModelError(f"{file}: holds a {type(opened).__name__} and no tensors by name.")
    return opened
