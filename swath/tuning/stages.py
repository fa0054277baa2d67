"""Stages: which parts of a model learn, with adapters rooted at its language model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from swath.errors import TuningError
from swath.models.loading import Loaded
from swath.recipe import Lora, Stage


@dataclass(frozen=True)
class PartCount:
    """Parameters of one part of a model.

    Args:
        part: "vision", "projector", "language" or "lora".
        trained: parameters that learn in the stage.
        total: all of its parameters.
    """

    part: str
    trained: int
    total: int


def prepare(model: Any, loaded: Loaded, stage: Stage) -> Any:
    """The model with exactly the stage's parts learning; wrapped in an adapter where it asks.

    An adapter of an earlier stage goes on learning if this stage names `lora`, else it is merged.
    """
    if "lora" in stage.train:
        if not isinstance(model, PeftModel):
            model = get_peft_model(model, lora_config(model, loaded, stage))
    elif isinstance(model, PeftModel):
        model = model.merge_and_unload()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = part_of(name, loaded) in stage.train
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TuningError(f"stage '{stage.name}' trains {stage.train}, of which nothing is there.")
    return model


def lora_config(model: nn.Module, loaded: Loaded, stage: Stage) -> LoraConfig:
    """The adapter of a stage: named layers of the language model, and no other part of the model.

    A projector that learns beside it is saved with the adapter.

    Raises:
        TuningError: no layer has one of the names.
    """
    section: Lora = stage.lora
    root = re.escape(loaded.family.language)
    pattern = rf".*{root}\..*\.({'|'.join(map(re.escape, section.targets))})"
    if not any(re.fullmatch(pattern, name) for name, _ in model.named_modules()):
        raise TuningError(
            f"tuning.stages: no layer under {loaded.family.language} is called "
            f"{', '.join(section.targets)}; name layers of {loaded.base} in lora.targets."
        )
    return LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha,  # type: ignore[arg-type]
        lora_dropout=section.dropout,
        target_modules=pattern,
        modules_to_save=[loaded.family.projector.split(".")[-1]]
        if "projector" in stage.train
        else None,
    )


def part_of(name: str, loaded: Loaded) -> str:
    """The part a parameter belongs to, by its name."""
    if ".lora_" in name:
        return "lora"
    family = loaded.family
    if f"{family.vision}." in name:
        return "vision"
    if f"{family.projector}." in name:
        # peft keeps the untrained original beside the copy that learns.
        return "original" if ".original_module." in name else "projector"
    return "language"


def count_parts(model: nn.Module, loaded: Loaded) -> list[PartCount]:
    """Trained and total parameters of each part, for the table shown before a run."""
    trained: dict[str, int] = {}
    total: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = part_of(name, loaded)
        total[part] = total.get(part, 0) + parameter.numel()
        if parameter.requires_grad:
            trained[part] = trained.get(part, 0) + parameter.numel()
    return [
        PartCount(part, trained.get(part, 0), number)
        for part, number in total.items()
        if part != "original"
    ]
