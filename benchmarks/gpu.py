"""What a graphics card does with the systems' recipes: one command, random weights of true size.

    make gpu                                  # or: python benchmarks/gpu.py --out gpu.json
    python benchmarks/gpu.py --tiny           # the same walk with small models, on a processor

Nothing is fetched: configurations come with swath, weights are random, scenes are drawn. For each
system it tells whether the first steps run and the losses fall, what is held beside the plan, rows
a second beside a plain `transformers.Trainer` on the same model and batches, and tokens a second of
answering and scoring; then whether tiny models compute the same on the processor and the card.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measured import finish, machine
from transformers import AutoModelForImageTextToText, Trainer

from swath.experiment import Experiment
from swath.instructions.builder import InstructionSet
from swath.models.engine import LocalEngine
from swath.models.family import family_row
from swath.models.inputs import to_device
from swath.models.loaded import Loaded, compute_device, fitted, number_format
from swath.models.quantized import quantize
from swath.models.tiny import _tokenizer, config_of, tiny
from swath.recipe import Recipe
from swath.recipes import load_recipe
from swath.tuning import setup
from swath.tuning.memory import free_memory
from swath.tuning.plan import batch_shape
from swath.tuning.rehearsal import rehearse
from swath.tuning.stages import prepare
from swath.tuning.trainer import Watch, arguments

SYSTEMS = {
    "geochat": {"rows": 8, "quantize": "none"},
    "pixtral-aid": {"rows": 4, "quantize": "4bit"},
    "skyeyegpt": {"rows": 4, "quantize": "none"},
}
STEPS = 8
SECONDS = 510  # of nine minutes; what has not begun by then is left out, and said to be
QUESTIONS = 16
NEW_TOKENS = 32


def recipe_of(name: str, is_tiny: bool) -> Recipe:
    """The system's recipe on drawn scenes: its first stage that trains an adapter, a few steps."""
    drawn = ["annotations.drawn.kinds=quickstart", "annotations.drawn.count=24"]
    recipe = load_recipe(name, drawn, is_tiny)
    stage = next(stage for stage in recipe.tuning.stages if "lora" in stage.train)
    changes = {"steps": STEPS, "epochs": 1, "accumulate": 1, "tasks": None, "mix": {}}
    changes |= {"learning_rate": 1e-3, "warmup": 0, "schedule": "constant"}
    changes |= {"batch_size": 2 if is_tiny else SYSTEMS[name]["rows"]}
    stage = type(stage).model_validate(stage.model_dump() | changes)
    # What fits without it is measured without it: the plan is to be right in both cases.
    tuning = recipe.tuning.model_copy(update={"stages": [stage]})
    models = recipe.models.model_copy(update={"longest": None, "quantize": "none"})
    return recipe.model_copy(update={"tuning": tuning, "models": models})


def model_of(name: str, recipe: Recipe, is_tiny: bool) -> Loaded:
    """A random model of the recipe's true size on the card, or a tiny one."""
    torch.manual_seed(0)
    if is_tiny:
        return fitted(tiny(recipe.models, recipe.imagery, 0), recipe.models, recipe.imagery)
    config = config_of(recipe.models, recipe.imagery, 0)
    family = family_row(config, name)
    tokenizer, ids = _tokenizer(family, recipe.models)
    config.image_token_id = ids["image_token_id"]
    dtype = number_format("auto")
    with torch.device(compute_device()):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    loaded = Loaded(model.eval(), tokenizer, family, name, dtype=dtype)
    loaded = fitted(loaded, recipe.models, recipe.imagery)
    kind = SYSTEMS[name]["quantize"]
    return loaded if kind == "none" else quantize(loaded, str(kind))


def measure(name: str, is_tiny: bool, folder: Path) -> dict[str, Any]:
    """One system: steps, losses, memory, speeds."""
    recipe = recipe_of(name, is_tiny)
    built = Experiment(recipe, folder / name).set()
    loaded = model_of(name, recipe, is_tiny)
    setup.load_base = lambda *given: loaded  # the model is here and nowhere else
    prepared = setup.Prepared(built, recipe, setup.stage_groups(built, recipe))
    stage = recipe.tuning.stages[0]
    model = prepare(loaded.model, loaded, stage)
    batches = prepared.batches(model, 0)
    rows: list[dict[str, Any]] = []
    watch = Watch(stage.name, None, rows)
    watch.trainer = prepared.trainer(model, 0, batches, folder / f"{name}-steps", STEPS)
    watch.trainer.add_callback(watch)
    batcher: Any = watch.trainer.data_collator
    shape = batch_shape(batcher, batches.rows)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    watch.trainer.train()
    losses = [row["loss"] for row in rows]
    result: dict[str, Any] = {
        "shape": vars(shape),
        "losses": losses,
        "losses_fall": statistics.mean(losses[-3:]) < statistics.mean(losses[:3]),
        "rows_per_second": shape.rows / _step_seconds([row["seconds"] for row in rows]),
    }
    quantized = loaded.quantized or "none"
    half = prepared.format != "fp32"
    dtype = loaded.dtype or torch.float32
    planned = rehearse(loaded.model.config, stage, shape, dtype, half, quantized)
    result["planned_gb"] = planned.memory.total / 1e9
    if torch.cuda.is_available():
        result["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        result["peak_over_plan"] = result["peak_gb"] / result["planned_gb"]
    result["plain_trainer"] = _plain(prepared, model, batcher, shape.rows, folder / f"{name}-plain")
    watch.trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    result |= _asked(replace(loaded, model=model.eval()), built)
    return result


def _step_seconds(ends: list[float]) -> float:
    """Of a step, the first two aside."""
    return max(1e-3, statistics.median(ends[n] - ends[n - 1] for n in range(2, len(ends))))


class _Clock(Trainer):
    """A plain trainer that keeps the end of each of its steps."""

    ends: list[float]

    def training_step(self, *given: Any, **named: Any) -> Any:
        loss = super().training_step(*given, **named)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.monotonic())
        return loss


def _plain(
    prepared: setup.Prepared, model: Any, batcher: Any, rows: int, folder: Path
) -> dict[str, Any]:
    """Rows a second of `transformers.Trainer` on the same batches, words computed everywhere."""
    recipe = prepared.recipe
    stage = recipe.tuning.stages[0]
    beside = ("segments", "weights", "scenes", "words")

    def collate(places: list[int]) -> dict[str, Any]:
        batch = batcher(places)
        return {name: value for name, value in batch.items() if name not in beside}

    size = (int(stage.batch_size), 1)
    clock = _Clock(
        model=model,
        args=arguments(folder, stage, size, recipe.tuning, STEPS, 0, prepared.format),
        train_dataset=range(STEPS * size[0]),
        data_collator=collate,
    )
    clock.ends = []
    clock.train()
    clock.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    return {"rows_per_second": rows / _step_seconds(clock.ends)}


def _asked(loaded: Loaded, built: InstructionSet) -> dict[str, float]:
    """Tokens a second of answering greedily, and of scoring every class."""
    engine = LocalEngine(loaded, batch_size=8)
    questions = [row.question for row in built.split("train") if row.images][:QUESTIONS]
    engine.answer(questions[:2], max_new_tokens=2)
    begin = time.monotonic()
    answers = engine.answer(questions, max_new_tokens=NEW_TOKENS)
    answering = time.monotonic() - begin
    told = sum(len(loaded.tokenizer(answer.text).input_ids) for answer in answers)
    labels = built.labels or ["airport", "port", "farm"]
    begin = time.monotonic()
    engine.score(questions, [labels] * len(questions))
    scoring = time.monotonic() - begin
    scored = sum(len(loaded.tokenizer(label).input_ids) for label in labels) * len(questions)
    return {
        "answer_tokens_per_second": told / answering,
        "score_tokens_per_second": scored / scoring,
    }


def parity(name: str, folder: Path) -> dict[str, float]:
    """Largest difference of a tiny model's logits on the processor and the card, in float32."""
    recipe = recipe_of(name, True)
    built = Experiment(recipe, folder / f"{name}-parity").set()
    loaded = model_of(name, recipe, True)
    loaded = replace(loaded, model=loaded.model.float(), dtype=torch.float32)
    setup.load_base = lambda *given: loaded
    prepared = setup.Prepared(built, recipe, setup.stage_groups(built, recipe))
    trainer = prepared.trainer(loaded.model, 0, setup.Batches(2, 1), folder / "parity", 1)
    batch: dict[str, Any] = trainer.data_collator([0, 1])  # type: ignore[arg-type]
    inputs = {name: batch[name] for name in batch if name not in ("labels", "segments", "weights")}
    logits = {}
    for device in (torch.device("cpu"), compute_device()):
        model = loaded.model.to(device).eval()
        with torch.no_grad():
            logits[device] = model(**to_device(inputs, device), use_cache=False).logits.cpu()
    first, last = logits[torch.device("cpu")], logits[compute_device()]
    return {"largest_difference": float((first - last).abs().max())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="small models, on any machine")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    chosen = parser.parse_args()
    if not chosen.tiny and not torch.cuda.is_available():
        print(
            "no GPU here: this measures one of 80 GB or more; --tiny walks through it on a "
            "processor.",
            file=sys.stderr,
        )
        sys.exit(2)
    torch.backends.cuda.matmul.allow_tf32 = False
    begin = time.monotonic()
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    result: dict[str, Any] = {"card": card, "tiny": chosen.tiny, "machine": machine()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts: list[tuple[str, str, Callable[[], dict[str, Any]]]] = []
        for name in SYSTEMS:
            parts.append(("parity", name, lambda name=name: parity(name, folder)))
        for name in SYSTEMS:
            parts.append(("systems", name, lambda name=name: measure(name, chosen.tiny, folder)))
        for section, name, work in parts:
            rows = result.setdefault(section, {})
            if time.monotonic() - begin > SECONDS:
                rows[name] = {"left_out": "no time was left"}
                continue
            print(f"{section}: {name}", file=sys.stderr)
            started = time.monotonic()
            try:
                rows[name] = work()
            except torch.OutOfMemoryError as error:
                rows[name] = {"out_of_memory": str(error).splitlines()[0]}
            rows[name]["seconds"] = round(time.monotonic() - started, 1)
            free_memory()
    result["seconds"] = round(time.monotonic() - begin, 1)
    finish(result, chosen.out)


if __name__ == "__main__":
    main()
