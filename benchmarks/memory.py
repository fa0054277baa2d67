"""The planner's memory beside what a tuning on this processor is measured to hold.

    python benchmarks/memory.py nano     # swath-nano, all of it learns
    python benchmarks/memory.py llava    # a LLaVA of eight layers of width 512, an adapter learns

Planned is `swath.tuning.rehearsal` on the rows of three steps of training. Held is the most bytes
of tensors alive at once in these steps, whatever else the machine does; resident is the largest
size of the process above that before the model was loaded: the allocator keeps what was freed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import weakref
from pathlib import Path

import torch
from measured import machine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from swath.experiment import Experiment
from swath.models import shrink
from swath.recipes import load_recipe
from swath.tuning.memory import free_memory, peak_memory
from swath.tuning.plan import batch_shape
from swath.tuning.rehearsal import rehearse
from swath.tuning.setup import Prepared, stage_groups
from swath.tuning.stages import prepare

STEPS = 3

RECIPES = {
    "nano": ("quickstart", False, {"batch_size": 64, "image_loss": {}}),
    "llava": ("geochat", True, {"batch_size": 16, "train": ["lora"], "checkpointing": False}),
}


class LiveTensors(TorchDispatchMode):
    """While it is on, the bytes of all tensors that operators take or make are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages: set[int] = set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        made = operator(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, made)):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._storages:
            return
        self._storages.add(storage._cdata)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())

    def _free(self, storage: int, size: int) -> None:
        self._storages.discard(storage)
        self.live -= size


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(name: str, folder: Path) -> dict[str, object]:
    """Planned and measured megabytes of a model's stage."""
    recipe_name, tiny, changes = RECIPES[name]
    if name == "llava":
        shrink.LAYERS, shrink.TEXT_WIDTH = 8, 512
    recipe = load_recipe(recipe_name, ["annotations.drawn.count=80"], tiny)
    stage = recipe.tuning.stages[-1].model_copy(update={"accumulate": 1})
    stage = type(stage).model_validate(stage.model_dump() | changes)
    tuning = recipe.tuning.model_copy(update={"stages": [stage], "precision": "fp32"})
    recipe = recipe.model_copy(update={"tuning": tuning})
    built = Experiment(recipe, folder / "run").set()
    groups = stage_groups(built, recipe)
    warm = torch.randn(64, 64, requires_grad=True)  # libraries that are loaded when first used
    (warm @ warm).sum().backward()
    free_memory()
    before = resident()
    prepared = Prepared(built, recipe, groups)
    model = prepare(prepared.loaded.model, prepared.loaded, stage)
    batches = prepared.batches(model, 0)
    trainer = prepared.trainer(model, 0, batches, folder / "steps", STEPS)
    shape = batch_shape(trainer.data_collator, batches.rows)
    Path("/proc/self/clear_refs").write_text("5")
    with LiveTensors() as tensors:
        trainer.train()
    measured = peak_memory() - before
    memory = rehearse(
        prepared.loaded.model.config, stage, shape, torch.float32, False, "none"
    ).memory
    return {
        "model": name,
        "shape": vars(shape),
        "planned_mb": memory.total / 1e6,
        "planned": {part: size / 1e6 for part, size in vars(memory).items()},
        "held_mb": tensors.peak / 1e6,
        "resident_mb": measured / 1e6,
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=RECIPES)
    chosen = parser.parse_args().model
    with tempfile.TemporaryDirectory() as folder:
        row = measure(chosen, Path(folder))
    json.dump(row, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
