"""Models that a job makes on its way, taken from the trainer's checkpoints before these go."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson

from swath.files import RUN_FILE, read_json, replacing_folder, write_json
from swath.models.loaded import Loaded, processor_files, weight_digests
from swath.serving.jobs.hyperparameters import KEPT
from swath.serving.jobs.job_shapes import event_row
from swath.serving.jobs.office import Office
from swath.serving.protocol import Row

_WEIGHTS = ("model.safetensors", "config.json", "generation_config.json")
_LAST_WRITTEN = "trainer_state.json"


def take_checkpoints(office: Office, job: Row) -> None:
    """Make models of the checkpoints that a run has left, which then go.

    None is made of an adapter's checkpoint, which would hold its base once more in memory.
    """
    run = _run(office, job)
    loaded = office.served.model(job["model"]).engine.loaded
    for step, checkpoint in _checkpoints(run).items():
        if step < job["steps"] and (checkpoint / _WEIGHTS[0]).is_file():
            _take(run, checkpoint, _place(office, job, step), loaded)
            tell_checkpoint(office, job, step)
    for step in model_steps(office, job)[:-KEPT]:
        shutil.rmtree(_place(office, job, step))
    shutil.rmtree(run / "stages", ignore_errors=True)


def checkpoint_steps(office: Office, job: Row) -> list[int]:
    """Steps before the last whose weights are there: of a run under way, or of its models."""
    under_way = [step for step in _checkpoints(_run(office, job)) if step < job["steps"]]
    return sorted({*under_way, *model_steps(office, job)})


def model_steps(office: Office, job: Row) -> list[int]:
    """Steps before the last of which there are models, in order."""
    folders = (office.jobs / job["id"] / "checkpoints").glob("step-*")
    return sorted(int(folder.name.rpartition("-")[2]) for folder in folders)


def tell_checkpoint(office: Office, job: Row, step: int) -> None:
    """Tell that there is a model of a step."""
    metrics: Row = {"step": step}
    for event in office.state.events(job["id"]):
        if event["type"] == "metrics" and event["data"]["step"] == step:
            metrics = event["data"]
    data = {"checkpoint": model_name(job, step), "step": step, "metrics": metrics}
    words = f"Checkpoint created at step {step}"
    office.state.tell(job["id"], f"checkpoint/{step}", event_row(job["id"], words, "info", data))


def model_name(job: Row, step: int) -> str:
    """What the model of a step is called; that of the last step is the job's own."""
    name: str = job["tuned_name"]
    return name if step == job["steps"] else f"{name}:ckpt-step-{step}"


def serve_checkpoints(office: Office, job: Row) -> None:
    """Serve the models of a job that has succeeded.

    Raises:
        SwathError: one cannot be read.
    """
    for step in model_steps(office, job):
        place = _place(office, job, step)
        office.served.add_model(model_name(job, step), place, job["id"], job["root"])


def remove_checkpoints(office: Office, job: Row) -> None:
    """Serve them no longer."""
    for step in model_steps(office, job):
        if model_name(job, step) in office.served.models:
            office.served.remove_model(model_name(job, step))


def _place(office: Office, job: Row, step: int) -> Path:
    return office.jobs / job["id"] / "checkpoints" / f"step-{step}"


def _run(office: Office, job: Row) -> Path:
    return office.jobs / job["id"] / "run"


def _checkpoints(run: Path) -> dict[int, Path]:
    """The trainer's whole checkpoints by their steps."""
    folders = run.glob("stages/*/checkpoint-*")
    complete = [folder for folder in folders if (folder / _LAST_WRITTEN).is_file()]
    return {int(folder.name.rpartition("-")[2]): folder for folder in complete}


def _take(run: Path, checkpoint: Path, place: Path, loaded: Loaded) -> None:
    """A folder that loads as a finished run does, of the weights of a checkpoint."""
    with replacing_folder(place, RUN_FILE) as temporary:
        model = temporary / "model"
        model.mkdir()
        for name in _WEIGHTS:
            shutil.copyfile(checkpoint / name, model / name)
        loaded.tokenizer.save_pretrained(model)
        for name, values in processor_files(loaded).items():
            (model / name).write_bytes(orjson.dumps(values))
        shutil.copyfile(run / "recipe.yaml", temporary / "recipe.yaml")
        described = {"finished": True, "weights": weight_digests(temporary)}
        write_json(temporary / RUN_FILE, read_json(run / RUN_FILE) | described)
