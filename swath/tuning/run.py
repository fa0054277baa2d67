"""A run: stages one after another into a folder that can be continued, loaded and reported.

`runs/<name>/` holds `recipe.yaml` (as resolved), `run.json` (base, versions, stages, fingerprint),
`losses.jsonl`, and `model/` or `adapter/` once it is finished. `stages/` exists only meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from swath.errors import TuningError
from swath.files import (
    read_json,
    read_jsonl,
    replacing,
    replacing_folder,
    write_json,
    write_jsonl,
    write_text,
)
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation
from swath.models.encoding import Encoder, by_image
from swath.models.loading import RUN_FILE, Loaded, load_base
from swath.models.pixels import PixelStore
from swath.recipe import Recipe, Stage
from swath.recipes import dump, load_recipe
from swath.tuning.objective import ImageHeads
from swath.tuning.rows import Batcher, Schedule, Targets
from swath.tuning.stages import PartCount, count_parts, prepare
from swath.tuning.trainer import Probe, Report, StageTrainer, Watch, arguments, computes_bf16

Parts = Callable[[Stage, int, list[PartCount]], None]
"""Called before each stage with its number of steps and what it trains."""


def tune(
    built: InstructionSet,
    recipe: Recipe,
    folder: Path | str,
    report: Report | None = None,
    parts: Parts | None = None,
    probe: Probe | None = None,
) -> Path:
    """Tune the recipe's model on the training split; return the run folder.

    A run that was interrupted continues from its last checkpoint, exactly as if it had not been.
    What `probe` does with the live model changes neither the run nor the seconds it records.

    Raises:
        TuningError: there is nothing to train on, the folder holds a run of another recipe or
            other data, or the loss is no longer a number.
    """
    folder = Path(folder)
    groups = by_image(built.split("train"))
    if not groups:
        raise TuningError("the set has no training rows; see annotations.split.")
    run = _open_run(folder, recipe, fingerprint(built, recipe))
    if run["finished"]:
        return folder
    tuning = Prepared(built, recipe, groups)
    loaded = tuning.loaded
    losses = _losses(folder)
    model = loaded.model
    for number, stage in enumerate(recipe.tuning.stages):
        torch.manual_seed(recipe.seed + number)
        model = prepare(model, loaded, stage)
        done = folder / "stages" / f"{number}.safetensors"
        if done.is_file():
            _restore(model, done)
            continue
        steps = tuning.steps(stage)
        if parts:
            parts(stage, steps, count_parts(model, loaded))
        place = folder / "stages" / str(number)
        last = _last_checkpoint(place)
        begun = int(last.rsplit("-", 1)[1]) if last else 0
        losses = [r for r in losses if r["stage"] != stage.name or r["step"] <= begun]
        watch = Watch(stage.name, report, losses, partial(probe, loaded) if probe else None)
        trainer = tuning.trainer(model, number, place, steps, [watch, _LossFile(folder, losses)])
        watch.trainer = trainer
        begin = time.monotonic()
        trainer.train(resume_from_checkpoint=last)
        seconds = round(watch.before + time.monotonic() - begin - watch.aside, 1)
        _write_losses(folder, losses)
        others = [one for one in run["stages"] if one["name"] != stage.name]
        run["stages"] = [*others, {"name": stage.name, "steps": steps, "seconds": seconds}]
        write_json(folder / RUN_FILE, run)
        with replacing(done) as temporary:
            save_file(_state(model), temporary)
        shutil.rmtree(place)
    _finish(folder, model, loaded, recipe, run)
    return folder


class Prepared:
    """What all stages of a recipe share: the model, the rows' groups, encoder and pixels.

    Args:
        built: the set.
        recipe: seeds, threads, precision and stages.
        groups: training conversations by image.

    Raises:
        ModelError: the base is not there.
    """

    def __init__(
        self, built: InstructionSet, recipe: Recipe, groups: Sequence[Sequence[Conversation]]
    ) -> None:
        if recipe.tuning.threads:
            torch.set_num_threads(recipe.tuning.threads)
        torch.manual_seed(recipe.seed)
        self.built, self.recipe, self.groups = built, recipe, groups
        self.loaded = load_base(recipe.models, _texts(built), recipe.seed)
        self.encoder = Encoder(
            self.loaded.tokenizer, self.loaded.family, self.loaded.image_tokens, self.loaded.longest
        )
        self.store = PixelStore(self.loaded.image_size, recipe.imagery.cache_px)

    def steps(self, stage: Stage) -> int:
        """Steps of a stage."""
        return stage.steps or max(1, round(stage.epochs * len(self.groups) / stage.batch_size))

    def trainer(
        self, model: Any, number: int, place: Path, steps: int, callbacks: list[TrainerCallback]
    ) -> StageTrainer:
        """The trainer of stage `number`, checkpointing below `place`."""
        recipe, loaded = self.recipe, self.loaded
        stage = recipe.tuning.stages[number]
        words = self.built.card["words"][: stage.image_loss.vocabulary]
        targets = Targets(tuple(self.built.labels), tuple(words))
        seed = recipe.seed * 1000 + number
        return StageTrainer(
            model=model,
            args=arguments(place, stage, recipe.tuning, steps, recipe.seed),
            train_dataset=Schedule(steps * stage.batch_size),
            data_collator=Batcher(self.groups, self.encoder, self.store, stage, targets, seed),
            callbacks=callbacks,
            stage=stage,
            tower=model.get_submodule(_inside(model, loaded.family.vision)),
            heads=_heads(loaded, stage, targets),
        )


def fingerprint(built: InstructionSet, recipe: Recipe) -> str:
    """What a run depends on: the conversations, and the recipe without its speed settings."""
    values = recipe.model_dump(mode="json")
    for key in ("evaluation", "export", "about", "name"):
        values.pop(key)
    for key in ("threads", "save_every", "keep_checkpoints"):
        values["tuning"].pop(key)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for conversation in built.conversations:
        digest.update(json.dumps(conversation.to_row(), sort_keys=True).encode())
    return digest.hexdigest()


def read_losses(folder: Path | str) -> list[dict[str, Any]]:
    """Every step's losses of a run: `stage`, `step`, `steps`, `text`, `image`, `seconds`."""
    return list(read_jsonl(Path(folder) / "losses.jsonl", "losses"))


def started(folder: Path, run: dict[str, Any]) -> bool:
    """Whether a run has learnt anything that another one would overwrite."""
    learnt = run["finished"] or run["stages"]
    return bool(learnt) or any((folder / "stages").glob("*/checkpoint-*"))


def another_run(folder: Path) -> TuningError:
    """The error of tuning into a folder that holds something else."""
    return TuningError(
        f"{folder} holds a run of another recipe or other data; give this one another name "
        f"(name=...) or start over with --fresh."
    )


class _LossFile(Watch):
    """Writes the losses whenever a checkpoint is written, so that both are continued together."""

    def __init__(self, folder: Path, losses: list[dict[str, Any]]) -> None:
        super().__init__("", None, losses)
        self.folder = folder

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Write what is known so far."""
        _write_losses(self.folder, self.losses)


def _open_run(folder: Path, recipe: Recipe, digest: str) -> dict[str, Any]:
    known = (folder / RUN_FILE).is_file()
    if not known or not started(folder, read_json(folder / RUN_FILE)):
        folder.mkdir(parents=True, exist_ok=True)
        run: dict[str, Any] = {
            "base": recipe.models.base,
            "revision": recipe.models.revision,
            "fingerprint": digest,
            "finished": False,
            "stages": [],
            "precision": recipe.tuning.precision,
            "bf16": computes_bf16(),
            "threads": recipe.tuning.threads or torch.get_num_threads(),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "versions": {
                name: version(name) for name in ("swath", "torch", "transformers", "peft", "numpy")
            },
        }
        write_text(folder / "recipe.yaml", dump(recipe))
        write_json(folder / RUN_FILE, run)
        return run
    run = read_json(folder / RUN_FILE)
    if run["fingerprint"] != digest:
        raise another_run(folder)
    old = load_recipe(folder / "recipe.yaml")
    if old != recipe:  # evaluation, export and speed may change, and the last word counts
        write_text(folder / "recipe.yaml", dump(recipe))
    return run


def _finish(folder: Path, model: Any, loaded: Loaded, recipe: Recipe, run: dict[str, Any]) -> None:
    if isinstance(model, PeftModel) and _adapter_holds_all(recipe):
        with replacing_folder(folder / "adapter") as temporary:
            model.save_pretrained(str(temporary))
    else:
        loaded.model = model.merge_and_unload() if isinstance(model, PeftModel) else model
        loaded.model.eval()
        with replacing_folder(folder / "model") as temporary:
            loaded.save(temporary)
    run["finished"] = True
    write_json(folder / RUN_FILE, run)
    shutil.rmtree(folder / "stages", ignore_errors=True)


def _adapter_holds_all(recipe: Recipe) -> bool:
    """Whether base and adapter together are the tuned model, so that the base need not be saved.

    The first stage decides if the adapter holds a projector; merged adapters are in none.
    """
    stages = [set(stage.train) for stage in recipe.tuning.stages]
    return recipe.models.weights == "pretrained" and all(
        "lora" in parts and parts <= stages[0] & {"lora", "projector"} for parts in stages
    )


def _last_checkpoint(place: Path) -> str | None:
    """The newest whole checkpoint; those cut short lack the trainer's state, written last."""
    for folder in place.glob("checkpoint-*"):
        if not (folder / "trainer_state.json").is_file():
            shutil.rmtree(folder)
    return get_last_checkpoint(str(place)) if place.is_dir() else None


def _heads(loaded: Loaded, stage: Stage, targets: Targets) -> ImageHeads | None:
    if not (stage.image_loss.label or stage.image_loss.words):
        return None
    return ImageHeads(int(loaded.model.config.widths[-1]), targets, stage.image_loss)


def _inside(model: Any, name: str) -> str:
    return f"base_model.model.{name}" if isinstance(model, PeftModel) else name


def _state(model: Any) -> dict[str, torch.Tensor]:
    shared: set[int] = set()
    state = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in shared:
            state[name] = tensor.contiguous()
            shared.add(tensor.data_ptr())
    return state


def _restore(model: Any, file: Path) -> None:
    missing, unexpected = model.load_state_dict(load_file(file), strict=False)
    tied = set(model.state_dict()) - set(_state(model))
    if unexpected or set(missing) - tied:
        raise TuningError(f"{file} does not fit the recipe's model; start over with --fresh.")


def _losses(folder: Path) -> list[dict[str, Any]]:
    return read_losses(folder) if (folder / "losses.jsonl").is_file() else []


def _write_losses(folder: Path, losses: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "losses.jsonl", "losses", losses)


def _texts(built: InstructionSet) -> list[str]:
    return [
        part.text
        for conversation in built.split("train")
        for turn in conversation.turns
        for part in turn.parts
        if hasattr(part, "text")
    ]
