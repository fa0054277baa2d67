"""The planner's memory beside what a tuning on this processor is measured to hold.

    python benchmarks/memory.py nano     # swath-nano, all of it learns
    python benchmarks/memory.py llava    # a LLaVA of eight layers of width 512, an adapter learns

Measured is the largest resident size in three steps of training above that before the model was
loaded; planned is `swath.tuning.rehearsal` on the same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from measured import machine

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
        "measured_mb": measured / 1e6,
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
