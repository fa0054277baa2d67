"""Stages: which parts of a model learn, with adapters rooted at its language model."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from swath.errors import TuningError
from swath.models.loaded import Loaded
from swath.recipe import Lora, Recipe, Stage

HALF = (torch.bfloat16, torch.float16)


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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft reads a name of old
                model = get_peft_model(model, lora_config(model, loaded, stage))
    elif isinstance(model, PeftModel):
        model = model.merge_and_unload()
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            parameter.requires_grad = part_of(name, loaded) in stage.train
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TuningError(f"stage '{stage.name}' trains {stage.train}, of which nothing is there.")
    learn_in_float32(model)
    _checkpoint(model.get_base_model() if isinstance(model, PeftModel) else model, stage)
    return model


def learn_in_float32(model: nn.Module) -> None:
    """Keep layers that learn in float32, and give those that learn no more their own format back.

    A step is often smaller than the smallest change of a number in half precision: such a weight
    would never move. The norms' running statistics move as little.
    """
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        learns = any(parameter.requires_grad for parameter in parameters)
        for tensor in (*parameters, *module.buffers(recurse=False)):
            if learns and tensor.dtype in HALF:
                tensor.loaded_as = tensor.dtype  # type: ignore[attr-defined]
                tensor.data = tensor.data.float()
            elif not learns and hasattr(tensor, "loaded_as"):
                tensor.data = tensor.data.to(tensor.loaded_as)
                del tensor.loaded_as


def rest(model: nn.Module) -> None:
    """Let nothing learn any more: every part is again in the format it was loaded in."""
    model.requires_grad_(False)
    learn_in_float32(model)


def adapter_holds_all(recipe: Recipe, loaded: Loaded) -> bool:
    """Whether base and adapter together are the tuned model, so that the base need not be saved.

    The first stage decides if the adapter holds a projector; merged adapters are in none.
    """
    stages = [set(stage.train) for stage in recipe.tuning.stages]
    projector_saved = "projector" not in stages[0] or adapter_holds(loaded.model, loaded)
    adapted_only = all(
        "lora" in parts and parts <= stages[0] & {"lora", "projector"} for parts in stages
    )
    return recipe.models.weights == "pretrained" and projector_saved and adapted_only


def adapter_holds(model: nn.Module, loaded: Loaded) -> bool:
    """Whether an adapter can hold the whole projector, which may be more than layers."""
    modules = {name for name, _ in model.named_modules()}
    return set(loaded.family.projector) <= modules


def _beside(model: nn.Module, loaded: Loaded) -> list[str]:
    """Ends of the names of the projector's modules; of a list, which none can stand for, each."""
    modules = dict(model.named_modules())
    names = []
    for place in loaded.family.projector:
        end = place.split(".")[-1]
        if isinstance(module := modules.get(place), nn.ModuleList):
            names += [f"{end}.{number}" for number in range(len(module))]
        elif module is not None:
            names.append(end)
    return names


def check_rates(stage: Stage) -> None:
    """Refuse a learning rate of a part that does not learn.

    Raises:
        TuningError: there is one.
    """
    for part in stage.learning_rates:
        if part not in stage.train:
            raise TuningError(
                f"tuning.stages: stage '{stage.name}' has a learning rate for {part}, which it "
                f"does not train ({', '.join(stage.train)}); leave it out, or add it to train."
            )


def learnt(model: nn.Module) -> dict[str, Tensor]:
    """What learns in a stage, batch norm statistics too."""
    parameters = model.named_parameters()
    names = {name for name, parameter in parameters if parameter.requires_grad}
    names |= {name for name, _ in model.named_buffers()}
    state = model.state_dict()
    return {name: tensor.contiguous() for name, tensor in state.items() if name in names}


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
        use_rslora=section.kind == "rslora",
        use_dora=section.kind == "dora",
        target_modules=pattern,
        modules_to_save=_beside(model, loaded) if "projector" in stage.train else None,
    )


def part_of(name: str, loaded: Loaded) -> str:
    """The part a parameter belongs to, by its name."""
    if ".lora_" in name:
        return "lora"
    family, inside = loaded.family, name.removeprefix("base_model.model.")
    if any(inside.startswith(place) for place in family.projector):
        # peft keeps the untrained original beside the copy that learns.
        return "original" if ".original_module." in inside else "projector"
    return "vision" if inside.startswith(f"{family.vision}.") else "language"


def count_parts(model: nn.Module, loaded: Loaded) -> list[PartCount]:
    """Trained and total parameters of each part, for the table shown before a run."""
    trained: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        part = part_of(name, loaded)
        # Two numbers of four bits stand in a byte.
        packed = getattr(parameter, "quant_state", None)
        numbers = packed.shape.numel() if packed is not None else parameter.numel()
        total[part] += numbers
        trained[part] += numbers if parameter.requires_grad else 0
    del total["original"]
    return [PartCount(part, trained[part], number) for part, number in total.items()]


def _checkpoint(model: Any, stage: Stage) -> None:
    """Compute activations anew in the backward pass, or do so no more."""
    if not stage.checkpointing:
        if getattr(model, "is_activation_checkpointing", False):
            model.activation_checkpointing_disable()
    elif not getattr(model, "supports_gradient_checkpointing", False):
        raise TuningError(
            f"stage '{stage.name}': {type(model).__name__} has no layers to compute twice; "
            f"leave checkpointing out."
        )
    else:
        model.activation_checkpointing_enable({"use_reentrant": False})
