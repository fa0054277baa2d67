"""Models by name: the embedded base, a folder or run, or the Hub; and their way back to disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
)
from transformers.utils import logging as transformers_logging

from swath.errors import ModelError
from swath.files import read_json
from swath.models.family import FAMILIES, Family
from swath.models.nano import NanoConfig, NanoForConditionalGeneration
from swath.models.vocabulary import train_tokenizer
from swath.recipe import Imagery, Models
from swath.recipes import load_recipe

transformers_logging.disable_progress_bar()  # the command line shows its own

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of swath-nano's weights, shipped with the package."""

MANIFEST = "swath.json"
"""In an exported folder: what swath needs beside what `transformers` saves."""

RUN_FILE = "run.json"
"""Marks a folder as a run; names the base its adapter stands on."""


@dataclass
class Loaded:
    """A model with all that is needed to ask it.

    Args:
        model: in evaluation mode, on the CPU or the first accelerator.
        tokenizer: with its chat template.
        family: the row of the family table.
        base: the name it was loaded by, for cards and errors.
        imagery: how it was shown pixels, which is how it is shown them again.
    """

    model: Any
    tokenizer: Any
    family: Family
    base: str
    imagery: Imagery = field(default_factory=Imagery)

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures the model reads."""
        return int(self.model.config.image_size)

    @property
    def image_tokens(self) -> int:
        """Tokens one picture becomes."""
        return int(self.model.config.image_tokens)

    @property
    def longest(self) -> int:
        """Tokens the model reads at most."""
        return int(self.model.config.text_config.max_position_embeddings)

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer so that `load_folder` reads them back."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_base(section: Models, texts: Iterable[str] = (), seed: int = 0) -> Loaded:
    """The model a recipe starts from.

    Args:
        section: the recipe's `models`.
        texts: what a new tokenizer learns from, where the recipe asks for one.
        seed: of random weights.

    Raises:
        ModelError: it is not there, cannot be fetched or is of an unknown family.
    """
    if section.base == "swath-nano":
        return _nano(section, texts, seed)
    if section.tokenizer == "train":
        raise ModelError(
            f"models.tokenizer: train is for swath-nano alone; {section.base} brings its own."
        )
    loaded = load(section.base, section.revision, fetch=True)
    if section.weights == "random":
        torch.manual_seed(seed)
        loaded.model = AutoModelForImageTextToText.from_config(loaded.model.config).eval()
    return loaded


def load(name: str | Path, revision: str | None = None, fetch: bool = False) -> Loaded:
    """A model by the name of a run, a folder or "swath-nano"; a base may lie on the Hub as well.

    Args:
        name: of the model.
        revision: commit of a Hub repository.
        fetch: ask the Hub for what is not here; a mistyped run is never sent there.

    Raises:
        ModelError: it is not there, cannot be fetched or is of an unknown family.
    """
    if str(name) == "swath-nano":
        return load_folder(EMBEDDED, "swath-nano")
    folder = Path(name)
    if (folder / RUN_FILE).is_file():
        return _load_run(folder)
    if folder.is_dir():
        return load_folder(folder, str(name))
    if not fetch:
        raise ModelError(f"'{name}': there is no such run or folder; `swath tune` makes a run.")
    if str(name).count("/") != 1 or folder.parent.is_dir():
        raise ModelError(f"'{name}': there is no such run or folder, and it is no Hub name either.")
    return load_folder(_fetched(str(name), revision), str(name))


def load_folder(folder: Path | str, base: str) -> Loaded:
    """A model saved in Hugging Face's form.

    Raises:
        ModelError: files are missing or damaged, or the family is unknown.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json, so this is no model folder and no run.")
    try:
        config = AutoConfig.from_pretrained(folder)
        family = _family(config.model_type, base)
        read: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder}: cannot be loaded ({_first_line(error)}).") from None
    model, report = read
    if report["missing_keys"]:  # transformers would go on with random numbers there
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ModelError(
            f"{folder}: its weights are not whole, {missing} is missing; copy it anew."
        )
    return Loaded(model.eval(), tokenizer, family, base, _imagery(folder))


def _imagery(folder: Path) -> Imagery:
    file = folder / MANIFEST
    return Imagery(**read_json(file).get("imagery", {})) if file.is_file() else Imagery()


def _family(model_type: str, base: str) -> Family:
    if model_type not in FAMILIES:
        known = ", ".join(name for name, _ in FAMILIES.items())
        raise ModelError(
            f"{base} is of the family '{model_type}', which this swath cannot encode yet "
            f"(known: {known}); start from swath-nano with models.base=swath-nano."
        )
    return FAMILIES.get(model_type)


def _nano(section: Models, texts: Iterable[str], seed: int) -> Loaded:
    if section.weights == "pretrained" and section.tokenizer == "base":
        return load_folder(EMBEDDED, "swath-nano")
    if section.weights == "pretrained":
        raise ModelError(
            "models.tokenizer: train would give pretrained weights other words; "
            "use it with models.weights: random."
        )
    new = section.tokenizer == "train"
    tokenizer: Any = train_tokenizer(texts) if new else AutoTokenizer.from_pretrained(EMBEDDED)
    torch.manual_seed(seed)
    config = NanoConfig()
    config.text_config.vocab_size = len(tokenizer)
    model = NanoForConditionalGeneration(config).eval()
    return Loaded(model, tokenizer, FAMILIES.get("swath_nano"), "swath-nano")


def _load_run(folder: Path) -> Loaded:
    run = read_json(folder / RUN_FILE)
    if not run.get("finished"):
        raise ModelError(
            f"{folder}: this run has not finished; `swath tune` with the same recipe continues it."
        )
    imagery = load_recipe(folder / "recipe.yaml").imagery
    if (folder / "model" / "config.json").is_file():
        return replace(load_folder(folder / "model", str(folder)), imagery=imagery)
    loaded = load(str(run["base"]), run.get("revision"), fetch=True)
    try:
        model = PeftModel.from_pretrained(loaded.model, str(folder / "adapter"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder}/adapter does not fit its base {run['base']} ({_first_line(error)})."
        ) from None
    merged = model.merge_and_unload().eval()
    return replace(loaded, model=merged, base=str(folder), imagery=imagery)


def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
    try:
        # The small file first: a family that swath cannot encode is refused before gigabytes.
        config = PretrainedConfig.get_config_dict(
            hf_hub_download(name, "config.json", revision=revision)
        )[0]
        _family(str(config.get("model_type")), name)
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise ModelError(
            f"'{name}': there is no such folder or run, and it is no Hub name either."
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"'{name}' is no folder here and cannot be fetched from the Hub "
            f"({_first_line(error)}); with no network, use models.base=swath-nano or a folder."
        ) from None


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]
