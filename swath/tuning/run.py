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
from dataclasses import replace
from functools import partial
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
from swath.models.loaded import Loaded
from swath.models.loading import RUN_FILE
from swath.models.proof import answers_of, compare, proof_questions
from swath.recipe import Recipe, Stage
from swath.recipes import dump, load_recipe
from swath.tuning.setup import Prepared, Score, stage_groups
from swath.tuning.stages import PartCount, adapter_holds, count_parts, prepare, rest
from swath.tuning.tracking import trackers
from swath.tuning.trainer import Probe, Report, Watch, computes_bf16

LOSSES = "losses.jsonl"
UNLEARNT = (
    "threads", "save_every", "keep_checkpoints", "validate_every", "track", "prove", "sample_every",
)  # fmt: skip
"""Keys of `tuning` that do not change what is learnt."""

Parts = Callable[[Stage, int, list[PartCount]], None]
"""Called before each stage with its number of steps and what it trains."""


def tune(
    built: InstructionSet,
    recipe: Recipe,
    folder: Path | str,
    report: Report | None = None,
    parts: Parts | None = None,
    probe: Probe | None = None,
    score: Score | None = None,
) -> Path:
    """Tune the recipe's model on the training split; return the run folder.

    A run that was interrupted continues from its last checkpoint, exactly as if it had not been.
    What `probe` does with the live model changes neither the run nor the seconds it records.
    `score` is what `tuning.stop` goes by.

    Raises:
        TuningError: there is nothing to train on, to validate on or to stop by, the folder holds
            a run of another recipe or other data, or the loss is no longer a number.
    """
    folder = Path(folder)
    groups = stage_groups(built, recipe)
    if recipe.tuning.stop and score is None:
        raise TuningError("tuning.stop goes by a score, and none is given; use `swath tune`.")
    run = _open_run(folder, recipe, fingerprint(built, recipe))
    if run["finished"]:
        if "unproven" in run:
            _prove(folder, run, Prepared(built, recipe, groups).conversations)
        return folder
    tuning = Prepared(built, recipe, groups)
    loaded = tuning.loaded
    if run.setdefault("base_digest", loaded.digest) != loaded.digest:
        raise TuningError(
            f"{folder}: {run['base']} holds other weights than when this run began; put those "
            f"back, or start over with --fresh."
        )
    run["left_out"] = tuning.left_out
    losses = _losses(folder)
    model = loaded.model
    for number, stage in enumerate(recipe.tuning.stages):
        torch.manual_seed(recipe.seed + number)
        model = prepare(model, loaded, stage)
        done = folder / "stages" / f"{number}.safetensors"
        if done.is_file():
            _restore(model, done)
            continue
        size = run["batch_sizes"].get(stage.name) or tuning.batch_size(model, number)
        run["batch_sizes"][stage.name] = size
        write_json(folder / RUN_FILE, run)
        steps = tuning.steps(number, size)
        if parts:
            parts(stage, steps, count_parts(model, loaded))
        place = folder / "stages" / str(number)
        last = _last_checkpoint(place)
        begun = int(last.rsplit("-", 1)[1]) if last else 0
        losses = [r for r in losses if r["stage"] != stage.name or r["step"] <= begun]
        write_jsonl(folder / LOSSES, "losses", losses)
        trainer = tuning.trainer(model, number, size, place, steps)
        checks = tuning.checks(trainer, number, size, losses, score)
        probed = partial(probe, replace(loaded, model=model)) if probe else None
        tracked = bool(recipe.tuning.track)
        appending = partial(_append_loss, folder, report)
        watch = Watch(stage.name, appending, losses, probed, checks, tracked)
        watch.trainer = trainer
        for callback in (watch, *trackers(recipe.tuning.track, folder / "track" / stage.name)):
            trainer.add_callback(callback)
        begin = time.monotonic()
        if not checks.over:
            trainer.train(resume_from_checkpoint=last)
        # The trainer leaves the model's forward computing in its own precision.
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        seconds = round(watch.before + time.monotonic() - begin - watch.aside, 1)
        record = {"name": stage.name, "steps": losses[-1]["step"], "seconds": seconds}
        record |= checks.restore(model)
        run["stages"] = [row for row in run["stages"] if row["name"] != stage.name] + [record]
        run["warnings"] = [row["warning"] for row in losses if "warning" in row]
        write_json(folder / RUN_FILE, run)
        with replacing(done) as temporary:
            save_file(_state(model), temporary)
        if not recipe.tuning.checkpoints_stay:
            shutil.rmtree(place)
    rest(model)
    asked = proof_questions(tuning.conversations, recipe.tuning.prove)
    said = answers_of(replace(loaded, model=model.eval()), asked)
    if asked:
        run["unproven"] = said
    _finish(folder, model, loaded, recipe, run)
    if asked:
        _prove(folder, run, tuning.conversations)
    return folder


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
        digest.update(json.dumps(conversation.to_row(), sort_keys=True).encode())
    return digest.hexdigest()


def read_losses(folder: Path | str) -> list[dict[str, Any]]:
    """Losses of every step so far: stage, step, steps, text, image, tokens, seconds."""
    return list(read_jsonl(Path(folder) / LOSSES, "losses", whole=True))


def started(folder: Path, run: dict[str, Any]) -> bool:
    """Whether a run has learnt anything that another one would overwrite."""
    return bool(run["finished"] or run["stages"]) or any((folder / "stages").glob("*/checkpoint-*"))


def another_run(folder: Path) -> TuningError:
    """The error of tuning into a folder that holds something else."""
    return TuningError(
        f"{folder} holds a run of another recipe or other data; give this one another name "
        f"(name=...) or start over with --fresh."
    )


def _open_run(folder: Path, recipe: Recipe, digest: str) -> dict[str, Any]:
    known = (folder / RUN_FILE).is_file()
    if not known or not started(folder, read_json(folder / RUN_FILE)):
        folder.mkdir(parents=True, exist_ok=True)
        run: dict[str, Any] = {
            "base": recipe.models.name,
            "revision": recipe.models.revision,
            "fingerprint": digest,
            "finished": False,
            "stages": [],
            "batch_sizes": {},
            "warnings": [],
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
    if isinstance(model, PeftModel) and _adapter_holds_all(recipe, loaded):
        with replacing_folder(folder / "adapter") as temporary:
            model.save_pretrained(str(temporary))
    else:
        loaded.model = model.merge_and_unload() if isinstance(model, PeftModel) else model
        loaded.model.eval()
        with replacing_folder(folder / "model") as temporary:
            loaded.save(temporary)
    run["finished"] = True
    write_json(folder / RUN_FILE, run)
    if not recipe.tuning.checkpoints_stay:
        shutil.rmtree(folder / "stages", ignore_errors=True)


def _prove(folder: Path, run: dict[str, Any], conversations: Sequence[Conversation]) -> None:
    """Compare a finished run with the answers of its live model, kept in case it is killed here."""
    answers = run["unproven"]
    run["proof"] = compare(folder, proof_questions(conversations, len(answers)), answers)
    del run["unproven"]
    write_json(folder / RUN_FILE, run)


def _adapter_holds_all(recipe: Recipe, loaded: Loaded) -> bool:
    """Whether base and adapter together are the tuned model, so that the base need not be saved.

    The first stage decides if the adapter holds a projector; merged adapters are in none.
    """
    stages = [set(stage.train) for stage in recipe.tuning.stages]
    whole = "projector" not in stages[0] or adapter_holds(loaded.model, loaded)
    return (
        recipe.models.weights == "pretrained"
        and whole
        and all("lora" in parts and parts <= stages[0] & {"lora", "projector"} for parts in stages)
    )


def _last_checkpoint(place: Path) -> str | None:
    """The newest whole checkpoint; those cut short lack the whole trainer's state, written last."""
    for folder in place.glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_bytes())
        except (FileNotFoundError, ValueError):  # absent, empty or half written
            shutil.rmtree(folder)
    return get_last_checkpoint(str(place)) if place.is_dir() else None


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
    return read_losses(folder) if (folder / LOSSES).is_file() else []


def _append_loss(folder: Path, report: Report | None, row: dict[str, Any]) -> None:
    """Add a step to the file, so that whoever watches the run reads it there at once."""
    with (folder / LOSSES).open("ab", buffering=0) as stream:
        stream.write(orjson.dumps(row) + b"\n")
    if report:
        report(row)
