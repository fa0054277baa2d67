"""A run's folder while it is tuned: recipe, record, losses, and where each stage ended.

`runs/<name>/` holds `recipe.yaml` (as resolved), `run.json` (base, versions, stages, fingerprint),
`losses.jsonl`, and `model/` or `adapter/` once it is finished. `stages/` exists only meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers.trainer_utils import get_last_checkpoint

from swath.errors import TuningError
from swath.files import (
    LOSSES,
    RUN_FILE,
    read_json,
    read_losses,
    read_record,
    replacing,
    replacing_folder,
    write_json,
    write_jsonl,
    write_text,
)
from swath.instructions.builder import InstructionSet
from swath.models.loaded import Loaded, weight_digests
from swath.recipe import Recipe
from swath.recipes import dump, load_recipe
from swath.sent_folders import refuse_link
from swath.tuning import processes
from swath.tuning.memory import can_run_out
from swath.tuning.setup import Batches
from swath.tuning.stages import adapter_holds_all, learnt
from swath.tuning.trainer import computes_bf16

START = "start.safetensors"

UNLEARNT = (
    "threads", "save_every", "keep_checkpoints", "validate_every", "track", "prove", "sample_every",
)  # fmt: skip
"""Keys of `tuning` that do not change what is learnt."""

PACKAGES = ("swath", "torch", "transformers", "peft", "numpy")


class RunFolder:
    """The folder of one run; of several processes the first alone writes to it.

    Args:
        path: `runs/<name>`.
        record: what `run.json` holds.
        losses: a row a step.
    """

    def __init__(self, path: Path, record: dict[str, Any], losses: list[dict[str, Any]]) -> None:
        self.path, self.record, self.losses = path, record, losses

    @classmethod
    def open(cls, path: Path, recipe: Recipe, digest: str) -> RunFolder:
        """The folder as an earlier call left it, or a new one.

        Args:
            digest: of what the run depends on, see `fingerprint`.

        Raises:
            TuningError: it holds a run of another recipe, of other data, or one that another
                number of processes began.
        """
        if processes.first():
            _begin_or_check(path, recipe, digest)
        processes.wait()
        losses = read_losses(path) if (path / LOSSES).is_file() else []
        record = {"accumulate": {}, **read_record(path)}
        return cls(path, record, losses)

    @property
    def warnings(self) -> list[str]:
        """What was told on the way."""
        keys = ("note", "warning")
        return [row[key] for row in self.losses for key in keys if key in row]

    def save(self) -> None:
        """Write the record."""
        if processes.first():
            write_json(self.path / RUN_FILE, self.record)

    def add_loss(self, row: dict[str, Any]) -> None:
        """Write a step's row at once, for whoever watches the run; `losses` has it already."""
        refuse_link(self.path / LOSSES)
        with (self.path / LOSSES).open("ab", buffering=0) as stream:
            stream.write(orjson.dumps(row) + b"\n")

    def forget_losses(self, stage: str, after: int) -> None:
        """Drop the rows of a stage behind a step: they are learnt again."""
        self.losses[:] = [
            row for row in self.losses if row["stage"] != stage or row["step"] <= after
        ]
        if processes.first():
            write_jsonl(self.path / LOSSES, "losses", self.losses)

    def check_base(self, loaded: Loaded) -> None:
        """Refuse other base weights than those the run began with.

        Raises:
            TuningError: they are others.
        """
        if self.record.setdefault("base_digest", loaded.digest) != loaded.digest:
            raise TuningError(
                f"{self.path}: {self.record['base']} holds other weights than when this run "
                f"began; put those back, or start over with --fresh."
            )

    def batches(self, stage: str) -> Batches | None:
        """How a stage that has begun learns a step's rows."""
        rows = self.record["batch_sizes"].get(stage)
        count = self.record["accumulate"].get(stage)
        return Batches(rows, count) if rows and count else None

    def set_batches(self, stage: str, batches: Batches) -> None:
        """Keep how a stage learns a step's rows, for when it goes on."""
        self.record["batch_sizes"][stage] = batches.rows
        self.record["accumulate"][stage] = batches.count
        self.save()

    def stage_folder(self, number: int) -> Path:
        """Where the checkpoints of a stage lie meanwhile."""
        return self.path / "stages" / str(number)

    def stage_file(self, number: int) -> Path:
        """What a stage has learnt, once it is over."""
        return self.path / "stages" / f"{number}.safetensors"

    def last_checkpoint(self, number: int) -> str | None:
        """The newest whole checkpoint of a stage; those cut short are removed."""
        folder = self.stage_folder(number)
        if processes.first():
            _remove_cut_short(folder)
        processes.wait()
        return get_last_checkpoint(str(folder)) if folder.is_dir() else None

    def keep_start(self, number: int, model: Any) -> None:
        """Keep what learns as it is at the start, where a GPU may run out of memory later."""
        file = self.stage_folder(number) / START
        if can_run_out() and processes.count() == 1 and not file.is_file():
            with replacing(file) as temporary:
                save_file(learnt(model), temporary)

    def go_back(self, number: int, model: Any) -> None:
        """Give what learns the numbers of the start; a checkpoint, if there is one, comes after."""
        model.load_state_dict(load_file(self.stage_folder(number) / START), strict=False)
        model.zero_grad()

    def end_stage(self, number: int, model: Any, checkpoints_stay: bool) -> None:
        """Keep what a stage has learnt, and its checkpoints only if they shall stay."""
        if processes.first():
            with replacing(self.stage_file(number)) as temporary:
                save_file(learnt(model), temporary)
            if not checkpoints_stay:
                shutil.rmtree(self.stage_folder(number))
        processes.wait()

    def restore_stage(self, number: int, model: Any) -> None:
        """Give the model what a stage has learnt, which is prepared as for that stage.

        Raises:
            TuningError: it is not this model's.
        """
        file = self.stage_file(number)
        tensors = load_file(file)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != {name: tensor.shape for name, tensor in learnt(model).items()}:
            raise TuningError(f"{file} does not fit the recipe's model; start over with --fresh.")
        model.load_state_dict(tensors, strict=False)

    def finish(self, model: Any, loaded: Loaded, recipe: Recipe) -> None:
        """Write the tuned model, or its adapter where base and adapter are all of it."""
        if processes.first():
            if isinstance(model, PeftModel) and adapter_holds_all(recipe, loaded):
                with replacing_folder(self.path / "adapter") as temporary:
                    model.save_pretrained(str(temporary))
            else:
                loaded.model = model.merge_and_unload() if isinstance(model, PeftModel) else model
                loaded.model.eval()
                with replacing_folder(self.path / "model") as temporary:
                    loaded.save(temporary)
        self.record["finished"] = True
        self.record["weights"] = weight_digests(self.path)
        self.save()
        if processes.first() and not recipe.tuning.checkpoints_stay:
            shutil.rmtree(self.path / "stages", ignore_errors=True)


def fingerprint(built: InstructionSet, recipe: Recipe) -> str:
    """What a run depends on: the conversations, and the recipe without its speed settings."""
    # Without defaults: a key that a later swath brings does not make this another run.
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    for key in ("evaluation", "export", "about", "name"):
        values.pop(key, None)
    for key in UNLEARNT:
        values.get("tuning", {}).pop(key, None)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for conversation in built.conversations:
        row = json.dumps(conversation.to_row(), sort_keys=True)
        digest.update(row.encode())
    return digest.hexdigest()


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


def _begin_or_check(path: Path, recipe: Recipe, digest: str) -> None:
    file = path / RUN_FILE
    if not file.is_file() or not started(path, read_json(file)):
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / "recipe.yaml", dump(recipe))
        write_json(file, _new_record(recipe, digest))
        return
    record = read_json(file)
    if record["fingerprint"] != digest:
        raise another_run(path)
    begun_by = record.get("processes", 1)
    if not record["finished"] and begun_by != processes.count():
        raise TuningError(
            f"{path}: {begun_by} process{'es' if begun_by > 1 else ''} began this run and "
            f"{processes.count()} would go on, with other batches; start as many again "
            f"(torchrun --nproc-per-node), or start over with --fresh."
        )
    if load_recipe(path / "recipe.yaml") != recipe:
        # Evaluation, export and speed may change, and the last word counts.
        write_text(path / "recipe.yaml", dump(recipe))


def _new_record(recipe: Recipe, digest: str) -> dict[str, Any]:
    return {
        "base": recipe.models.name,
        "revision": recipe.models.revision,
        "fingerprint": digest,
        "finished": False,
        "stages": [],
        "batch_sizes": {},
        "accumulate": {},
        "warnings": [],
        "precision": recipe.tuning.precision,
        "bf16": computes_bf16(),
        "threads": recipe.tuning.threads or torch.get_num_threads(),
        "processes": processes.count(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {package: version(package) for package in PACKAGES},
    }


def _remove_cut_short(folder: Path) -> None:
    """Remove checkpoints that lack the trainer's state, which is written last, or a process's."""
    for checkpoint in folder.glob("checkpoint-*"):
        states = list(checkpoint.glob("rng_state*.pth"))
        try:
            json.loads((checkpoint / "trainer_state.json").read_bytes())
        except (FileNotFoundError, ValueError):  # absent, empty or half written
            states = []
        if len(states) < processes.count():
            shutil.rmtree(checkpoint)
