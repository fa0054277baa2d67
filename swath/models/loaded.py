"""`Loaded`: a model ready to be asked, with its tokenizer and family; read from its folder."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub.utils import enable_progress_bars  # type: ignore[attr-defined]
from pydantic import TypeAdapter, ValidationError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    VisionEncoderDecoderModel,
)
from transformers.utils import logging as transformers_logging

import swath.models.architectures.composed  # noqa: F401 (registers itself with transformers)
from swath.errors import ModelError
from swath.files import MANIFEST, read_json, sha256_of
from swath.models.family import Family, family_row, set_side
from swath.models.hub import reading
from swath.models.templates import TEMPLATES, ending, serves
from swath.recipe import Imagery, Models

transformers_logging.disable_progress_bar()  # of loading weights: the command line shows its own
enable_progress_bars()  # of downloads, which the line above switched off as well

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of swath-nano's weights, shipped with the package."""

PROCESSOR = "preprocessor_config.json"
"""Hugging Face's file on pixel values."""


class Adapter(Protocol):
    """An adapter among several on the same weights."""

    def active(self, computing: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """A block in which it is the active one, and `computing` holds."""


@dataclass
class Loaded:
    """A model with all that is needed to ask it.

    Args:
        model: in evaluation mode, on the CPU.
        tokenizer: with its chat template.
        family: the row of the family table.
        base: the name it was loaded by, for cards and errors.
        imagery: how it was shown pixels, which is how it is shown them again.
        mean, std: of pixel values, subtracted and divided.
        limit: tokens a row may have, where that is less than the model can read.
        system: the instruction it was tuned with, for whoever asks it.
        dtype: number format it was loaded in; while a part learns, that part is float32.
        quantized: "4bit" or "8bit", where the language model's matrices are held so.
        base_digest: `digest` as it was before that.
        adapter: the one that is active while it computes, where several share its weights.
    """

    model: Any
    tokenizer: Any
    family: Family
    base: str
    imagery: Imagery = field(default_factory=Imagery)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    limit: int | None = None
    system: str | None = None
    dtype: torch.dtype | None = None
    quantized: str | None = None
    base_digest: str | None = None
    adapter: Adapter | None = None

    def __post_init__(self) -> None:
        self.mean = self.mean or self.family.mean
        self.std = self.std or self.family.std
        self.dtype = self.dtype or self.model.dtype

    def computing(self) -> AbstractContextManager[Any]:
        """One format to compute in, where what learns is float32 beside frozen half precision.

        Its own adapter is active then, where several share the weights.
        """
        format_held = self._one_format()
        return self.adapter.active(format_held) if self.adapter else format_held

    def _one_format(self) -> AbstractContextManager[Any]:
        parameters = self.model.parameters()
        formats = {parameter.dtype for parameter in parameters if parameter.is_floating_point()}
        if len(formats) == 1:
            return nullcontext()
        return torch.autocast(self.model.device.type, self.dtype)

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures the model reads."""
        return self.imagery.image_px or self.family.side(self.model.config)

    @property
    def image_tokens(self) -> int:
        """Tokens one picture becomes."""
        return self.family.image_tokens(self.model.config, self.image_size)

    @property
    def longest(self) -> int:
        """Tokens the model reads at most."""
        return min(int(self.text_config.max_position_embeddings), self.limit or sys.maxsize)

    @property
    def text_config(self) -> Any:
        """What the model's config says of its language model."""
        config = self.model.config
        return getattr(config, "decoder", None) or config.get_text_config()

    @property
    def end(self) -> str:
        """The token that ends an answer."""
        return ending(self.tokenizer)

    @property
    def digest(self) -> str:
        """A hash of the first numbers of each weight of the language model.

        It is the same in bf16 and float32, so that the base of an adapter is known again.
        """
        if self.base_digest is not None:
            return self.base_digest
        return self._digest_of(self.family.language)

    @property
    def tower_digest(self) -> str:
        """The same of the vision tower, and of how it is shown pictures."""
        settings = [self.imagery.model_dump_json(), self.image_size, *self.mean, *self.std]
        return self._digest_of(self.family.vision, f"{settings}")

    def _digest_of(self, part: str, begin: str = "") -> str:
        hashed = hashlib.sha256(begin.encode())
        for name, weight in self.model.get_submodule(part).named_parameters():
            first = weight.detach().flatten()[:64].to(torch.bfloat16).view(torch.int16)
            hashed.update(f"{name} {list(weight.shape)}".encode() + first.cpu().numpy().tobytes())
        return hashed.hexdigest()

    def save(self, folder: Path) -> None:
        """Write weights, tokenizer and processor so that swath and `transformers` read them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        for name, values in processor_files(self).items():
            text = json.dumps(values, indent=2) + "\n"
            (folder / name).write_text(text, encoding="utf-8")


def processor_files(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """What `transformers`' own processor must know to hand over a square picture as swath does."""
    family, config, side = loaded.family, loaded.model.config, loaded.image_size
    pixels: dict[str, Any] = {
        "image_processor_type": family.image_processor,
        "size": {"height": side, "width": side},
        "do_center_crop": False,
        "image_mean": list(loaded.mean),
        "image_std": list(loaded.std),
    }
    pixels |= family.processing.get("pixels", lambda config, side: {})(config, side)
    if not family.processor:
        return {PROCESSOR: pixels}
    words = {"processor_class": family.processor}
    words |= family.processing.get("words", lambda config, side: {})(config, side)
    return {
        PROCESSOR: pixels | {"processor_class": family.processor},
        "processor_config.json": words,
    }


def weight_digests(folder: Path) -> dict[str, str | None]:
    """SHA-256 of each file of weights of a run or a model, by its path in the folder."""
    return {name: sha256_of(folder / name) for name in _weight_files(folder)}


def _weight_files(folder: Path) -> list[str]:
    """What weights of a run or a model are read from, by the path in the folder."""
    files = []
    for place in ("", "model", "adapter"):
        for suffix in ("*.safetensors", "*.bin"):
            files += [file for file in sorted((folder / place).glob(suffix)) if file.is_file()]
    return [file.relative_to(folder).as_posix() for file in files]


def refuse_damaged(folder: Path, digests: object) -> None:
    """Compare weights with what was kept of them when they were written; once a process.

    Args:
        folder: of a run or a model.
        digests: by file, see `weight_digests`; an older swath kept none.

    Raises:
        ModelError: a file holds other bits, is gone, or was put there since.
    """
    if not isinstance(digests, dict):
        raise ModelError(f"{folder}: its `weights` are no digests by file; copy it anew.")
    files = _weight_files(folder)
    for name in files if digests else ():
        if name not in digests:
            raise ModelError(
                f"{folder / name}: weights that were not there when swath wrote this folder; take "
                f"the file out."
            )
    for name, digest in digests.items():
        if name not in files or sha256_of(folder / name) != digest:
            raise ModelError(
                f"{folder / name}: not the bits that swath wrote (their SHA-256 differs); copy it "
                f"anew, or tune or export anew."
            )


def load_folder(folder: Path | str, base: str, dtype: str = "auto") -> Loaded:
    """A model saved in Hugging Face's form.

    Raises:
        ModelError: files are missing or damaged, or the family is unknown.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json, so this is no model folder and no run.")
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    refuse_damaged(folder, manifest.get("weights", {}))
    with reading(folder):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        family = family_row(config, base)
        model = read_weights(folder, config, dtype)
    with reading(folder, "its tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    finish_tokenizer(tokenizer, family, folder)
    try:
        imagery = Imagery(**manifest.get("imagery", {}))
        section = Models(**manifest.get("models", {}))
        system = TypeAdapter(str | None).validate_python(manifest.get("system"))
    except (TypeError, ValidationError):
        raise ModelError(
            f"{folder / MANIFEST}: its imagery, models or system are not what swath writes; export "
            f"anew."
        ) from None
    loaded = Loaded(model, tokenizer, family, base, imagery, *colours_of(folder))
    _check_tokens(loaded)
    return replace(fitted(loaded, section, imagery), system=system)


def read_weights(
    folder: Path, config: PretrainedConfig, dtype: str, kind: Any = None, new: str | None = None
) -> Any:
    """The weights of a folder in evaluation mode; none may be missing.

    Args:
        config: its configuration.
        dtype: see `number_format`.
        kind: class to read them with; nothing: the family's.
        new: what the names of weights hold that may be missing, and are random then.

    Raises:
        ModelError: weights are missing or of another shape.
    """
    kind = kind or (
        VisionEncoderDecoderModel
        if config.model_type == "vision-encoder-decoder"
        else AutoModelForImageTextToText
    )
    model, report = kind.from_pretrained(
        folder,
        config=config,
        dtype=number_format(dtype),
        output_loading_info=True,
        trust_remote_code=False,
        weights_only=True,  # of a .bin file, which is a pickle, no code is run
        ignore_mismatched_sizes=True,  # they are refused here
    )
    lost = sorted(key for key in report["missing_keys"] if new is None or new not in key)
    lost += sorted(key for key, *_ in report["mismatched_keys"])
    if lost:  # transformers would go on with random numbers there
        missing = ", ".join(lost[:3])
        raise ModelError(
            f"{folder}: its weights are not whole or of another architecture, {missing} is "
            f"missing or of another shape; copy it anew."
        )
    return model.eval()


def compute_device() -> torch.device:
    """Where models compute: this process's GPU, Apple's, or the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def number_format(name: str) -> torch.dtype:
    """The format of weights that a recipe names.

    Args:
        name: "float32", "bfloat16", "float16"; or "auto": the half precision in which the GPU
            multiplies, else float32.
    """
    if name != "auto":
        return getattr(torch, name)
    if not torch.cuda.is_available():
        return torch.float32
    # Cards before Ampere say that they know bf16 and then emulate it.
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def finish_tokenizer(tokenizer: Any, family: Family, where: Path | str) -> None:
    """Give a tokenizer what tuning needs: a template that serves, and padding.

    Raises:
        ModelError: it has neither a padding nor an end token, or its template does not come to an
            end.
    """
    if tokenizer.chat_template is None or not serves(tokenizer, family.image_token):
        tokenizer.chat_template = TEMPLATES.get(family.template).jinja
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"{where}: its tokenizer has neither a padding nor an end token, so rows of "
                f"different lengths cannot be joined; set pad_token in tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked, so any token does


def _check_tokens(loaded: Loaded) -> None:
    token, words = loaded.family.image_token, max(loaded.tokenizer.get_vocab().values())
    vocabulary = loaded.text_config.vocab_size
    if words >= vocabulary:
        raise ModelError(
            f"{loaded.base}: its tokenizer counts {words + 1} tokens and its model knows "
            f"{vocabulary}; the two do not belong together."
        )
    image_token = getattr(loaded.model.config, "image_token_id", None)
    number = loaded.tokenizer.convert_tokens_to_ids(token) if token else None
    if token and number != image_token:
        raise ModelError(
            f"{loaded.base}: its tokenizer reads '{token}' as {number} and its model expects "
            f"{image_token} for an image; the two do not belong together."
        )


def colours_of(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of pixel values as a model's folder says; empty where it does not."""
    file = folder / PROCESSOR
    values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return tuple(values.get("image_mean", ())), tuple(values.get("image_std", ()))


def fitted(loaded: Loaded, section: Models, imagery: Imagery) -> Loaded:
    """The model as a recipe uses it: its template chosen, its pictures of the recipe's side.

    Raises:
        ModelError: the family cannot read pictures of that side.
        RequestError: there is no such template.
    """
    if section.template is not None:
        loaded.tokenizer.chat_template = TEMPLATES.get(section.template).jinja
    family, side = loaded.family, imagery.image_px
    if side is not None and side % family.patch(loaded.model.config):
        raise ModelError(
            f"imagery.image_px: {side} is no multiple of {family.patch(loaded.model.config)}, the "
            f"pixels a side of one patch of {loaded.base}."
        )
    if side is not None and side != family.side(loaded.model.config) and not family.any_side:
        from swath.models.architectures.positions import bake_positions

        vision = loaded.model.get_submodule(family.vision)
        if family.fixed_side or not hasattr(vision, "config"):
            raise ModelError(
                f"imagery.image_px: {loaded.base} reads pictures of "
                f"{family.side(loaded.model.config)} px a side and no others; leave the key out."
            )
        # GeoChat keeps the corners of CLIP's table in place; towers of EVA's kind do not.
        bake_positions(vision, side, vision.config.model_type == "clip_vision_model")
        tower = getattr(loaded.model.config, "vision_config", None) or loaded.model.config.encoder
        set_side(tower, side)
    if section.dialect is not None:
        regions = section.dialect if section.dialect != family.dialect else family.regions
        family = replace(family, dialect=section.dialect, regions=regions)
    return replace(loaded, family=family, imagery=imagery, limit=section.longest)
