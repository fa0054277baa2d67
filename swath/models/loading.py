"""Models by name: the embedded base, a folder or run, or the Hub; and their way back to disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer

from swath.errors import ModelError, first_line
from swath.files import BASE_OF, RUN_FILE, read_json, read_record, refuse_no_model
from swath.models.architectures.nano import NanoConfig, NanoForConditionalGeneration
from swath.models.architectures.vocabulary import train_tokenizer
from swath.models.convert.weights import read_settings
from swath.models.family import FAMILIES
from swath.models.hub import fetched
from swath.models.loaded import (
    EMBEDDED,
    Loaded,
    fitted,
    load_folder,
    number_format,
    refuse_damaged,
)
from swath.models.quantized import quantize
from swath.recipe import Imagery, Models, Recipe
from swath.recipes import load_recipe

if TYPE_CHECKING:
    from peft import PeftModel


def load_base(
    section: Models, texts: Iterable[str] = (), seed: int = 0, imagery: Imagery | None = None
) -> Loaded:
    """The model a recipe starts from.

    Args:
        section: the recipe's `models`.
        texts: what a new tokenizer learns from, where the recipe asks for one.
        seed: of random weights.
        imagery: the recipe's section, for the side of the pictures.

    Raises:
        ModelError: it is not there, cannot be fetched or is of an unknown family.
    """
    imagery = imagery or Imagery()
    loaded = fitted(_base(section, texts, seed, imagery), section, imagery)
    return loaded if section.quantize == "none" else quantize(loaded, section.quantize)


def _base(section: Models, texts: Iterable[str], seed: int, imagery: Imagery) -> Loaded:
    if section.weights == "tiny":
        from swath.models.tiny import tiny

        return _converted(tiny(section, imagery, seed), section)
    if section.parts is not None:
        from swath.models.assembling import put_together

        return put_together(section.parts, section, imagery, seed)
    if section.base == "swath-nano":
        return _converted(_nano(section, texts, seed), section)
    if section.tokenizer == "train":
        raise ModelError(
            f"models.tokenizer: train is for swath-nano alone; {section.base} brings its own."
        )
    loaded = load(section.base, section.revision, fetch=True, dtype=section.dtype)
    if section.weights == "random":
        torch.manual_seed(seed)
        loaded.model = type(loaded.model)._from_config(loaded.model.config).eval()
        loaded = _converted(loaded, section)
    return loaded


def models_of(recipe: Recipe) -> Models:
    """The recipe's `models`; on a GPU `dtype: auto` follows a precision that is asked for."""
    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
    dtype = names.get(recipe.tuning.precision)
    if dtype is None or recipe.models.dtype != "auto" or not torch.cuda.is_available():
        return recipe.models
    return recipe.models.model_copy(update={"dtype": dtype})


def load(
    name: str | Path,
    revision: str | None = None,
    fetch: bool = False,
    dtype: str = "auto",
    quantized: bool = True,
) -> Loaded:
    """A model by the name of a run, a folder or "swath-nano"; a base may lie on the Hub as well.

    Args:
        name: of the model; "base:runs/captions" is what that run was tuned from, asked as it is.
        revision: commit of a Hub repository.
        fetch: ask the Hub for what is not here; a mistyped run is never sent there.
        dtype: number format of the weights, see the recipe's `models.dtype`.
        quantized: a run of `models.quantize` stands on its quantised base, as it was tuned; else
            its adapter is merged into the base in full.

    Raises:
        ModelError: it is not there, cannot be fetched or is of an unknown family.
    """
    name = str(name)
    if name == "swath-nano":
        return load_folder(EMBEDDED, name)
    if not fetch:
        refuse_no_model(name)
    if name.startswith(BASE_OF):
        run = read_run(Path(name.removeprefix(BASE_OF)), quantized)
        return replace(run.load_base(), system=run.system)
    folder = Path(name)
    if (folder / RUN_FILE).is_file():
        return _load_run(folder, quantized)
    return load_folder(folder if folder.is_dir() else fetched(name, revision), name, dtype)


def base_of(name: Path | str) -> str:
    """The name by which `load` gives what a run was tuned from.

    Raises:
        ModelError: it is no run; what an exported folder says of its base is only a name.
    """
    if (Path(name) / RUN_FILE).is_file():
        return f"{BASE_OF}{name}"
    raise ModelError(f"'{name}' is no run, so what it was tuned from is not at hand; name a model.")


def _converted(loaded: Loaded, section: Models) -> Loaded:
    dtype = number_format(section.dtype)
    return replace(loaded, model=loaded.model.to(dtype), dtype=dtype)


def _nano(section: Models, texts: Iterable[str], seed: int) -> Loaded:
    new = section.tokenizer == "train"
    if section.weights == "pretrained" and new:
        raise ModelError(
            "models.tokenizer: train would give pretrained weights other words; "
            "use it with models.weights: random."
        )
    if section.weights == "pretrained":
        return load("swath-nano")
    tokenizer: Any = train_tokenizer(texts) if new else AutoTokenizer.from_pretrained(EMBEDDED)
    torch.manual_seed(seed)
    config = NanoConfig()
    config.text_config.vocab_size = len(tokenizer)
    model = NanoForConditionalGeneration(config).eval()
    return Loaded(model, tokenizer, FAMILIES.get("swath_nano"), "swath-nano")


@dataclass(frozen=True)
class AdapterRun:
    """A finished run whose adapter lies beside its base.

    Args:
        folder: of the run.
        base: name of what it stands on.
        digest: of that base's weights; None where an older swath did not note it.
        recipe: that it was tuned by.
        section: how the base is loaded.
        system: the instruction it was tuned with.
    """

    folder: Path
    base: str
    digest: str | None
    recipe: Recipe
    section: Models
    system: str | None

    def load_base(self) -> Loaded:
        """What it stands on.

        Raises:
            ModelError: its weights are others than they were.
        """
        loaded = load_base(self.section, (), self.recipe.seed, self.recipe.imagery)
        if self.digest not in (None, loaded.digest):
            raise ModelError(
                f"{self.folder}/adapter was tuned on other weights than {self.base} holds now; put "
                f"back the base it was tuned on, or tune anew."
            )
        return loaded

    def put_on(self, model: Any, name: str = "default") -> PeftModel:
        """Put the adapter on its base, under a name.

        Args:
            model: the base, or the `PeftModel` of an earlier adapter, which stays.
            name: by which it is made the active one.

        Raises:
            ModelError: the two do not fit.
        """
        from peft import PeftModel  # takes as long to load as torch; a full model needs none

        # Of a relative path without weights, peft would ask the Hub for a model of that name.
        place = str((self.folder / "adapter").absolute())
        # Of another kind of adapter, peft would ask the Hub for what its settings name.
        if read_settings(Path(place), "adapter_config.json").get("peft_type") != "LORA":
            raise ModelError(f"{place}: no LoRA adapter, as swath tunes them; tune anew.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft reads a name of old
                if isinstance(model, PeftModel):
                    model.load_adapter(place, name)
                    return model
                return PeftModel.from_pretrained(model, place, name)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{place} does not fit its base {self.base} ({first_line(error)}); put back the "
                f"base it was tuned on, or tune anew."
            ) from None


def read_run(folder: Path, quantized: bool = True) -> AdapterRun:
    """A finished run; that its adapter is there is not looked at.

    Raises:
        ModelError: it has not finished.
    """
    run = read_record(folder)
    if not run.get("finished"):
        raise ModelError(
            f"{folder}: this run has not finished; `swath tune` with the same recipe continues it."
        )
    refuse_damaged(folder, run.get("weights", {}))
    recipe = load_recipe(folder / "recipe.yaml")
    card = folder / "set" / "card.json"
    system = read_json(card).get("system") if card.is_file() else None
    section = models_of(recipe).model_copy(update={} if quantized else {"quantize": "none"})
    return AdapterRun(folder, run["base"], run.get("base_digest"), recipe, section, system)


def _load_run(folder: Path, quantized: bool) -> Loaded:
    run = read_run(folder, quantized)
    if (folder / "model" / "config.json").is_file():
        full = load_folder(folder / "model", str(folder), run.section.dtype)
        return replace(fitted(full, run.section, run.recipe.imagery), system=run.system)
    loaded = run.load_base()
    model = run.put_on(loaded.model)
    # Merged into four bits, what was learnt would be rounded away.
    tuned: Any = model.get_base_model() if loaded.quantized else model.merge_and_unload()
    return replace(loaded, model=tuned.eval(), base=str(folder), system=run.system)
