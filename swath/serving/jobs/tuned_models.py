"""Models that jobs made: named, set aside, taken back and deleted, as both clients ask."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from swath.serving.asking import Fields
from swath.serving.jobs.checkpoint_models import remove_checkpoints, serve_checkpoints
from swath.serving.jobs.office import Office, Working
from swath.serving.protocol import Row, ServeError, not_found

router = APIRouter(prefix="/v1")

SERVED, ARCHIVED, DELETED = "served", "archived", "deleted"


class Naming(Fields):
    """The body of Mistral's `models.update`."""

    name: str | None = Field(None, max_length=200)
    description: str | None = Field(None, max_length=2000)


@router.delete("/models/{name:path}")
def delete_model(name: str, office: Working) -> Row:
    """Serve a tuned model no longer; its run stays in the server's folder."""
    if name in office.served.models and not office.served.models[name].job:
        raise ServeError(
            403, f"'{name}' was not tuned here; start the server without it.", code="not_tuned"
        )
    _keep(office, _job(office, name), DELETED)
    return {"id": name, "object": "model", "deleted": True}


@router.patch("/fine_tuning/models/{name:path}")
def name_model(name: str, body: Naming, office: Working) -> Row:
    """Give a tuned model a name and a description for people."""
    job = _job(office, name)
    notes = job["notes"] | body.model_dump(exclude_unset=True)
    office.state.change("job", job["id"], notes=notes)
    model = office.served.models.get(name)
    if model is not None:
        model.notes = notes
    return _card(office, job | {"notes": notes})


@router.post("/fine_tuning/models/{name:path}/archive")
def archive(name: str, office: Working) -> Row:
    """Serve a tuned model no longer, until it is taken back."""
    _keep(office, _job(office, name), ARCHIVED)
    return {"id": name, "object": "model", "archived": True}


@router.delete("/fine_tuning/models/{name:path}/archive")
def unarchive(name: str, office: Working) -> Row:
    """Serve a tuned model again."""
    _keep(office, _job(office, name), SERVED)
    return {"id": name, "object": "model", "archived": False}


def serve(office: Office, job: Row) -> None:
    """Serve a job's model, and those it made on its way.

    Raises:
        SwathError: it cannot be read.
    """
    run = office.jobs / job["id"] / "run"
    model = office.served.add_model(job["tuned_name"], run, job["id"], job["root"])
    model.notes = job["notes"]
    serve_checkpoints(office, job)


def _keep(office: Office, job: Row, state: str) -> None:
    name = job["tuned_name"]
    office.state.change("job", job["id"], model_state=state)
    if state == SERVED:
        serve(office, job)
    elif name in office.served.models:
        office.served.remove_model(name)
        remove_checkpoints(office, job)


def _job(office: Office, name: str) -> Row:
    """The job that made a model.

    Raises:
        ServeError: status 404, none did.
    """
    for job in office.state.all("job"):
        if job["fine_tuned_model"] == name and job["model_state"] != DELETED:
            return job
    raise not_found("model", name)


def _card(office: Office, job: Row) -> Row:
    """A tuned model as Mistral's client reads it."""
    card: dict[str, Any] = {
        "id": job["tuned_name"],
        "object": "model",
        "created": job["finished_at"],
        "owned_by": "swath",
        "workspace_id": "swath",
        "root": job["root"],
        "root_version": "1",
        "archived": job["model_state"] == ARCHIVED,
        "job": job["id"],
        "model_type": "completion",
        "capabilities": {"completion_chat": True, "fine_tuning": True},
    }
    return card | job["notes"]
