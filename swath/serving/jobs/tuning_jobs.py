"""`/v1/fine_tuning/jobs`: tunings asked for, watched and ended, by OpenAI's client or Mistral's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from swath.errors import InstructionError, RecipeError
from swath.files import write_text
from swath.models.encoding import control_tokens
from swath.recipes import dump
from swath.serving.jobs.checkpoint_models import checkpoint_steps, model_name
from swath.serving.jobs.hyperparameters import Wish, mistral_wish, openai_wish, recipe_of
from swath.serving.jobs.job_shapes import (
    event_row,
    is_checkpoint,
    job_row,
    mistral_job,
    model_checkpoint,
    openai_job,
    tuned_name,
)
from swath.serving.jobs.office import Office, Working
from swath.serving.jobs.training_files import TrainingFile, in_memory
from swath.serving.jobs.uploads import file_row, own_copy
from swath.serving.protocol import Paging, Row, ServeError, is_mistral, new_id, not_found, now
from swath.serving.served import ServedModel

router = APIRouter(prefix="/v1/fine_tuning/jobs")

ENDED = ("succeeded", "failed", "cancelled")
MOST_METADATA = 16
_METADATA_KEY = re.compile(r"metadata\[(.+)\]")


def _speaks_mistral(request: Request) -> bool:
    return is_mistral(request.headers)


Mistral = Annotated[bool, Depends(_speaks_mistral)]
"""A route's parameter: whether Mistral's client asks."""


@router.post("")
async def create(request: Request, office: Working, mistral: Mistral) -> Row:
    """Check a tuning's files, and queue it."""
    values = await body_of(request)
    wish = mistral_wish(values) if mistral else openai_wish(values)
    row = await run_in_threadpool(_create, office, wish)
    return _shaped(office, row, mistral)


@router.get("")
def list_jobs(
    request: Request,
    office: Working,
    mistral: Mistral,
    after: str | None = None,
    limit: int = 20,
    page: int | None = None,
    page_size: int = 100,
    model: str | None = None,
    status: str | None = None,
    suffix: str | None = None,
) -> Row:
    """The jobs, newest first."""
    rows = office.state.all("job")[::-1]
    for key, value in request.query_params.items():
        field = _METADATA_KEY.fullmatch(key)
        if field:
            rows = [row for row in rows if (row["metadata"] or {}).get(field[1]) == value]
    if model:
        rows = [row for row in rows if row["model"] == model]
    if suffix:
        rows = [row for row in rows if row["suffix"] == suffix]
    shapes = [_shaped(office, row, mistral) for row in rows]
    if status:
        shapes = [shape for shape in shapes if shape["status"] == status]
    return Paging(after, limit, page, page_size).of(shapes)


@router.get("/{name}")
def get_job(name: str, office: Working, mistral: Mistral) -> Row:
    """A job; for Mistral's client with its events and losses."""
    return _shaped(office, _job(office, name), mistral, whole=True)


@router.get("/{name}/events")
def list_events(name: str, office: Working, after: str | None = None, limit: int = 20) -> Row:
    """What happened in a job, and the losses of its steps, newest first."""
    _job(office, name)
    return Paging(after, limit).of(office.state.events(name)[::-1])


@router.get("/{name}/checkpoints")
def list_checkpoints(name: str, office: Working, after: str | None = None, limit: int = 10) -> Row:
    """The models that a job has made on its way, newest first."""
    job = _job(office, name)
    names = {model_name(job, step) for step in (*checkpoint_steps(office, job), job["steps"])}
    events = [event for event in office.state.events(name) if is_checkpoint(event)]
    rows = [model_checkpoint(job, event) for event in events[::-1]]
    rows = [row for row in rows if row["fine_tuned_model_checkpoint"] in names]
    return Paging(after, limit).of(rows)


@router.post("/{name}/cancel")
def cancel(name: str, office: Working, mistral: Mistral) -> Row:
    """End a job; it stays ended."""
    row = _changed(
        office, name, "cancelled", ("validating", "ready", "queued", "running", "paused")
    )
    return _shaped(office, row, mistral, whole=True)


@router.post("/{name}/pause")
def pause(name: str, office: Working, mistral: Mistral) -> Row:
    """Stop a job's worker; it can be continued from its last checkpoint."""
    row = _changed(office, name, "paused", ("queued", "running"))
    return _shaped(office, row, mistral)


@router.post("/{name}/resume")
def resume(name: str, office: Working, mistral: Mistral) -> Row:
    """Continue a job that was paused."""
    row = _changed(office, name, "queued", ("paused", "ready"))
    return _shaped(office, row, mistral)


@router.post("/{name}/start")
def start(name: str, office: Working, mistral: Mistral) -> Row:
    """Begin a job that did not begin by itself, or continue it."""
    row = _changed(office, name, "queued", ("paused", "ready", "validating"))
    return _shaped(office, row, mistral, whole=True)


async def body_of(request: Request) -> Any:
    """A request's JSON.

    Raises:
        ServeError: status 400, it is not JSON.
    """
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise ServeError(400, f"The body is not valid JSON: {error}.") from None


def _shaped(office: Office, job: Row, mistral: bool, whole: bool = False) -> Row:
    if mistral:
        return mistral_job(job, office.state.events(job["id"]) if whole else None, office.price)
    return openai_job(job)


def _job(office: Office, name: str) -> Row:
    row = office.state.get("job", name)
    if row is None:
        raise not_found("job", name)
    return row


def _changed(office: Office, name: str, status: str, before: tuple[str, ...]) -> Row:
    """A job in another state, of which its worker hears.

    Raises:
        ServeError: status 404, there is no such job; 400, it is in a state that does not allow it.
    """
    with office.state.transaction():
        job = _job(office, name)
        if job["status"] not in before:
            raise ServeError(
                400,
                f"Job {name} is {job['status']}; only one that is {' or '.join(before)} can become "
                f"{status}.",
                code="wrong_state",
            )
        row = move(office, job, status)
    office.changed.set()
    return row


def move(office: Office, job: Row, status: str, message: str = "", **fields: Any) -> Row:
    """A job that has come to another state, and the event that says so."""
    with office.state.transaction():
        moves = job["moves"] + 1
        ended_at = now() if status in ENDED else None
        fields = {"status": status, "moves": moves, "modified_at": now(), **fields}
        row = office.state.change("job", job["id"], finished_at=ended_at, **fields)
        level = "error" if status == "failed" else "info"
        event = event_row(job["id"], message or f"The job is {status}.", level, {"status": status})
        office.state.tell(job["id"], f"move/{moves}", event)
    return row


def _create(office: Office, wish: Wish) -> Row:
    """Check what is asked for, and queue it.

    Raises:
        ServeError: status 404, a file or the model is not there; 400, a file cannot be learnt from.
    """
    model = office.served.model(wish.model)
    if wish.metadata and len(wish.metadata) > MOST_METADATA:
        raise ServeError(400, f"metadata: at most {MOST_METADATA} keys.", "metadata")
    name = new_id("ftjob")
    folder = office.jobs / name
    try:
        recipe = recipe_of(wish, model, *_learnt_from(office, wish, model, folder))
        write_text(folder / "recipe.yaml", dump(recipe))
    except (ServeError, RecipeError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    row = job_row(name, wish, model, recipe)
    row["tuned_name"] = tuned_name(model.root or model.name, wish.suffix, name)
    checked = ", ".join((*wish.training, *wish.validation))
    with office.state.transaction():
        office.state.add("job", row)
        for key, words in (
            ("created", f"Created fine-tuning job: {name}"),
            ("validated", f"Validated training file: {checked}"),
        ):
            office.state.tell(name, key, event_row(name, words, "info", None))
        row = move(office, row, "queued" if wish.auto_start else "validating")
    office.changed.set()
    return row


def _learnt_from(
    office: Office, wish: Wish, model: ServedModel, folder: Path
) -> tuple[list[Path], list[Path], int]:
    """A job's own copies of the training and validation files, and how many pictures train.

    Raises:
        ServeError: a file is not there, stands twice, cannot be learnt from, or a picture is in
            training and validation.
    """
    files = (*wish.training, *wish.validation)
    if len(set(files)) < len(files):
        raise ServeError(400, "A file stands twice among those of the job.", "training_file")
    training = [_taken(office, file, folder / "training") for file in wish.training]
    validation = [_taken(office, file, folder / "validation") for file in wish.validation]
    trained: set[tuple[str, ...]] = set()
    for path in training:
        trained |= _checked(path, wish, model, "training_file")
    pictures_known = {picture for pictures in trained for picture in pictures}
    for path in validation:
        for pictures in _checked(path, wish, model, "validation_file"):
            if pictures_known & set(pictures):
                raise ServeError(
                    400,
                    f"{path.name}: a picture of it stands in the training files as well, so the "
                    f"validation loss would say nothing; take it out of one of them.",
                    "validation_file",
                    "invalid_training_file",
                )
    return training, validation, len(trained)


def _taken(office: Office, name: str, folder: Path) -> Path:
    """A job's own copy of a file, whose name an error may show."""
    row = file_row(office, name)
    path = folder / name / row["filename"]
    own_copy(office, name, path)
    return path


def _checked(path: Path, wish: Wish, model: ServedModel, field: str) -> set[tuple[str, ...]]:
    """The pictures of each line of a file that can be learnt from.

    Raises:
        ServeError: status 400, it cannot; file, line, field and reason stand in the message.
    """
    loaded = model.engine.loaded
    control = control_tokens(loaded.tokenizer)
    source = TrainingFile(path, path.name, wish.style, wish.skip, control)
    several = loaded.family.many_images
    asked_before: set[tuple[str, ...]] = set()
    try:
        for example in source.examples(in_memory):
            images = tuple([image.path for image in example.images])
            if len(images) > 1 and not several:
                raise InstructionError(
                    f"{path.name}, line {example.number}: {len(images)} pictures, and {model.name} "
                    f"reads one at a time."
                )
            asked_before.add(images)
    except InstructionError as error:
        raise ServeError(400, str(error), field, "invalid_training_file") from None
    return asked_before
