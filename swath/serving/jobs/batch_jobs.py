"""`/v1/batches` of OpenAI's client and `/v1/batch/jobs` of Mistral's: many requests in one file."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field

from swath.serving.asking import Fields
from swath.serving.jobs.batch_files import batch_lines
from swath.serving.jobs.hyperparameters import Name
from swath.serving.jobs.office import Office, Working
from swath.serving.jobs.uploads import LONGEST_S, SHORTEST_S, file_row, own_copy, place
from swath.serving.protocol import Paging, Row, ServeError, new_id, not_found, now

openai = APIRouter(prefix="/v1/batches")
mistral = APIRouter(prefix="/v1/batch/jobs")

WINDOW_S = 24 * 3600
ENDED = ("completed", "failed", "expired", "cancelled")
MISTRAL_STATUS = {
    "in_progress": "RUNNING",
    "finalizing": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
}
MOST_INLINE = 10_000
_MOST_MESSAGES = 20

Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]


class Expiry(Fields):
    """When OpenAI's output files are to go."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=SHORTEST_S, le=LONGEST_S)


class OpenAIBatch(Fields):
    """The body of OpenAI's `batches.create`."""

    input_file_id: Name
    endpoint: Endpoint
    completion_window: Literal["24h"] = "24h"
    metadata: dict[str, str] | None = Field(None, max_length=16)
    output_expires_after: Expiry | None = None


class InlineRequest(Fields):
    """A request that stands in Mistral's body itself."""

    body: dict[str, Any]
    custom_id: str | None = None


class MistralBatch(Fields):
    """The body of Mistral's `batch.jobs.create`."""

    endpoint: Endpoint
    input_files: list[Name] | None = Field(None, max_length=100)
    requests: list[InlineRequest] | None = Field(None, max_length=MOST_INLINE)
    model: Name | None = None
    agent_id: None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    timeout_hours: int = Field(24, ge=1, le=7 * 24)


@openai.post("")
def create_openai(body: OpenAIBatch, office: Working) -> Row:
    """Check a file of requests, and begin to answer them."""
    row = _row("openai", body.endpoint, (body.input_file_id,), body.metadata, WINDOW_S)
    if body.output_expires_after:
        row["files_live_s"] = body.output_expires_after.seconds
    return openai_batch(office, _create(office, row))


@openai.get("")
def list_openai(office: Working, after: str | None = None, limit: int = 20) -> Row:
    """The batches, newest first."""
    rows = office.state.all("batch")[::-1]
    return Paging(after, limit).of([openai_batch(office, row) for row in rows])


@openai.get("/{name}")
def get_openai(name: str, office: Working) -> Row:
    """A batch."""
    return openai_batch(office, _batch(office, name))


@openai.post("/{name}/cancel")
def cancel_openai(name: str, office: Working) -> Row:
    """Ask no more of a batch; what was answered is kept."""
    return openai_batch(office, _cancelled(office, name))


@mistral.post("")
def create_mistral(body: MistralBatch, office: Working) -> Row:
    """Check files of requests, or requests themselves, and begin to answer them."""
    if bool(body.input_files) == bool(body.requests):
        raise ServeError(422, "Give either input_files or requests.", "input_files")
    files, limit_s = tuple(body.input_files or ()), body.timeout_hours * 3600
    row = _row("mistral", body.endpoint, files, body.metadata, limit_s, body.model)
    requests = [request.model_dump() for request in body.requests or ()]
    return mistral_batch(office, _create(office, row, requests))


@mistral.get("")
def list_mistral(
    request: Request,
    office: Working,
    page: int = 0,
    page_size: int = 100,
    model: str | None = None,
    status: Annotated[list[str] | None, Query()] = None,
    created_after: datetime | None = None,
    order_by: Literal["created", "-created"] = "-created",
) -> Row:
    """The batches."""
    rows = [mistral_batch(office, row) for row in office.state.all("batch")]
    if model:
        rows = [row for row in rows if row["model"] == model]
    if status:
        rows = [row for row in rows if row["status"] in status]
    if created_after:
        rows = [row for row in rows if row["created_at"] > created_after.timestamp()]
    if order_by == "-created":
        rows.reverse()
    return Paging(page=page, page_size=page_size).of(rows)


@mistral.get("/{name}")
def get_mistral(name: str, office: Working, inline: bool = False) -> Row:
    """A batch, with what came of its requests if that is asked for."""
    row = _batch(office, name)
    shape = mistral_batch(office, row)
    if inline:
        shape["outputs"] = _outputs(office, row)
    return shape


@mistral.post("/{name}/cancel")
def cancel_mistral(name: str, office: Working) -> Row:
    """Ask no more of a batch; what was answered is kept."""
    return mistral_batch(office, _cancelled(office, name))


@mistral.delete("/{name}")
def delete_mistral(name: str, office: Working) -> Row:
    """Forget a batch that has ended; its files stay."""
    row = _batch(office, name)
    if row["status"] not in ENDED:
        raise ServeError(400, f"Batch {name} is {row['status']}; cancel it first.")
    office.state.remove(name)
    shutil.rmtree(folder_of(office, name), ignore_errors=True)
    return {"id": name, "object": "batch", "deleted": True}


def folder_of(office: Office, name: str) -> Path:
    """Where a batch's own copies of its files lie."""
    return office.batches / name


def inputs_of(office: Office, name: str) -> list[Path]:
    """A batch's own copies of its files, in order."""
    return sorted(folder_of(office, name).iterdir(), key=lambda path: int(path.name.split("-")[0]))


def openai_batch(office: Office, row: Row) -> Row:
    """A batch as OpenAI's client reads it."""
    succeeded, failed = _counts(office, row)
    moments = {f"{status}_at": row["moments"].get(status) for status in _OPENAI_MOMENTS}
    return {
        "id": row["id"],
        "object": "batch",
        "endpoint": row["endpoint"],
        "errors": None,
        "input_file_id": next(iter(row["input_files"]), None),
        "completion_window": "24h",
        "status": row["status"],
        "output_file_id": row["output_file"],
        "error_file_id": row["error_file"],
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
        **moments,
        "request_counts": {"total": row["total"], "completed": succeeded, "failed": failed},
        "metadata": row["metadata"],
    }


def mistral_batch(office: Office, row: Row) -> Row:
    """A batch as Mistral's client reads it."""
    succeeded, failed = _counts(office, row)
    ended = [row["moments"][status] for status in ENDED if status in row["moments"]]
    return {
        "id": row["id"],
        "object": "batch",
        "input_files": row["input_files"],
        "endpoint": row["endpoint"],
        "model": row["model"],
        "agent_id": None,
        "metadata": row["metadata"],
        "status": MISTRAL_STATUS[row["status"]],
        "errors": row["errors"],
        "output_file": row["output_file"],
        "error_file": row["error_file"],
        "outputs": None,
        "created_at": row["created_at"],
        "started_at": row["moments"].get("in_progress"),
        "completed_at": ended[0] if ended else None,
        "total_requests": row["total"],
        "completed_requests": succeeded + failed,
        "succeeded_requests": succeeded,
        "failed_requests": failed,
    }


def at_status(row: Row, status: str) -> Row:
    """Fields of a batch that has come to another state now."""
    return {"status": status, "moments": row["moments"] | {status: now()}}


def summary(errors: Counter[str]) -> list[Row]:
    """What went wrong how often, the commonest first."""
    common = errors.most_common(_MOST_MESSAGES)
    return [{"message": message, "count": count} for message, count in common]


_OPENAI_MOMENTS = ("in_progress", "finalizing", *ENDED, "cancelling")


def _row(
    style: str,
    endpoint: str,
    files: tuple[str, ...],
    metadata: dict[str, str] | None,
    limit_s: int,
    model: str | None = None,
) -> Row:
    """A new batch as it is kept."""
    created = now()
    return {
        "id": new_id("batch").replace("-", "_"),
        "created_at": created,
        "expires_at": created + limit_s,
        "moments": {},
        "status": "in_progress",
        "style": style,
        "endpoint": endpoint,
        "input_files": list(files),
        "model": model,
        "metadata": metadata,
        "total": 0,
        "counts": None,
        "errors": [],
        "output_file": None,
        "error_file": None,
        "files_live_s": None,
    }


def _create(office: Office, row: Row, requests: list[Row] | None = None) -> Row:
    """Check a batch's requests, and keep it.

    Raises:
        ServeError: status 404, a file or a model is not there; 400, a line is no request.
    """
    folder = folder_of(office, row["id"])
    folder.mkdir(parents=True)
    try:
        for number, name in enumerate(row["input_files"]):
            _take(office, name, folder, number)
        if requests:
            text = b"".join(orjson.dumps(request) + b"\n" for request in requests)
            (folder / "0-requests").write_bytes(text)
        for line in batch_lines(inputs_of(office, row["id"]), row["style"], row["endpoint"]):
            office.served.model(str(line.body.get("model") or row["model"]))
            row["total"] += 1
        if not row["total"]:
            raise ServeError(400, "The batch has no requests.", "input_file_id", "empty_file")
    except ServeError:
        shutil.rmtree(folder)
        raise
    return office.state.add("batch", row | at_status(row, "in_progress"))


def _take(office: Office, name: str, folder: Path, number: int) -> None:
    """A batch's own copy of a file, whose name an error may show."""
    file = file_row(office, name)
    if file["purpose"] != "batch":
        raise ServeError(
            400,
            f"{name} was uploaded for '{file['purpose']}'; upload it with purpose 'batch'.",
            "input_file_id",
        )
    own_copy(office, name, folder / f"{number}-{file['filename']}")


def _batch(office: Office, name: str) -> Row:
    row = office.state.get("batch", name)
    if row is None:
        raise not_found("batch", name)
    return row


def _cancelled(office: Office, name: str) -> Row:
    with office.state.transaction():
        row = _batch(office, name)
        if row["status"] in ENDED:
            raise ServeError(400, f"Batch {name} is {row['status']} already.", code="wrong_state")
        return office.state.change("batch", name, **at_status(row, "cancelling"))


def _counts(office: Office, row: Row) -> tuple[int, int]:
    """Requests of a batch that were answered, and that failed."""
    if row["counts"] is not None:
        succeeded, failed = row["counts"]
        return succeeded, failed
    return office.state.count(row["id"])


def _outputs(office: Office, row: Row) -> list[Row] | None:
    """What came of a batch's requests, from its files."""
    if row["status"] not in ENDED:
        return None
    outputs: list[Row] = []
    for name in (row["output_file"], row["error_file"]):
        if name and place(office, name).is_file():
            lines = place(office, name).read_bytes().splitlines()
            outputs += [orjson.loads(line) for line in lines]
    return outputs
