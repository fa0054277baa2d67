"""`/v1/files`: what is learnt from and asked in batches, and what came of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from swath.files import replacing, safe_name
from swath.serving.jobs.office import Office, Working
from swath.serving.protocol import Paging, Row, ServeError, new_id, not_found, now

router = APIRouter(prefix="/v1/files")

SCAN = "scan"

PURPOSES = {"fine-tune": "instruct", "batch": "batch_request", SCAN: "scene"}
"""What files may be uploaded for, and what Mistral calls what they hold."""
SHORTEST_S, LONGEST_S = 3600, 30 * 24 * 3600
"""Seconds after which a file may be asked to go."""
_PIECE = 1 << 20  # bytes
_KINDS = {
    ".jsonl": "application/jsonl",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".gpkg": "application/geopackage+sqlite3",
    ".tif": "image/tiff",
    ".png": "image/png",
    ".csv": "text/csv",
    ".html": "text/html",
}


@router.post("")
async def upload(request: Request, office: Working) -> Row:
    """Keep a file."""
    async with request.form(max_files=1, max_fields=8) as form:
        file, purpose = form.get("file"), str(form.get("purpose", "fine-tune"))
        if not isinstance(file, UploadFile):
            raise ServeError(422, "file: send the file itself, as multipart/form-data.", "file")
        if purpose not in PURPOSES:
            wanted = " or ".join(PURPOSES)
            raise ServeError(400, f"purpose: files are kept for {wanted}.", "purpose")
        seconds = form.get("expires_after[seconds]")
        expires = _expiry(str(seconds)) if seconds is not None else None
        return await run_in_threadpool(keep, office, file, purpose, expires)


@router.get("")
def list_files(
    office: Working,
    purpose: str | None = None,
    sample_type: Annotated[list[str] | None, Query()] = None,
    search: str | None = None,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    limit: int = 10_000,
    page: int | None = None,
    page_size: int = 100,
) -> Row:
    """The files, newest first."""
    rows = [row for row in office.state.all("file") if not is_over(row)]
    if purpose:
        rows = [row for row in rows if row["purpose"] == purpose]
    if sample_type:
        rows = [row for row in rows if row["sample_type"] in sample_type]
    if search:
        rows = [row for row in rows if search in row["filename"]]
    if order == "desc":
        rows.reverse()
    return Paging(after, limit, page, page_size).of(rows)


@router.get("/{name}")
def get_file(name: str, office: Working) -> Row:
    """What is known of a file."""
    return {**file_row(office, name), "deleted": False}


@router.delete("/{name}")
def delete_file(name: str, office: Working) -> Row:
    """Forget a file; jobs that learn from it have their own copy."""
    file_row(office, name)
    remove(office, name)
    return {"id": name, "object": "file", "deleted": True}


@router.get("/{name}/content")
def content(name: str, office: Working) -> FileResponse:
    """The file itself."""
    row = file_row(office, name)
    return FileResponse(
        place(office, name), media_type="application/octet-stream", filename=row["filename"]
    )


@router.get("/{name}/url")
def address(name: str, request: Request, office: Working, expiry: int = 24) -> Row:
    """Where the file itself is; whoever asks there needs a key, as everywhere."""
    file_row(office, name)
    return {"url": str(request.url_for("content", name=name))}


def file_row(office: Office, name: str) -> Row:
    """A file that is there.

    Raises:
        ServeError: status 404, there is none.
    """
    row = office.state.get("file", name)
    if row is None or is_over(row):
        raise not_found("file", name)
    return row


def place(office: Office, name: str) -> Path:
    """Where a file lies, which goes by its id: names that clients send are no paths here."""
    return office.files / name


def own_copy(office: Office, name: str, path: Path) -> None:
    """Put a copy of a file at a path, which stays when the file is deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    copy(place(office, name), path)


def copy(source: Path, path: Path) -> None:
    """A file's content under another name as well, without its bytes where the disk can do so."""
    try:
        os.link(source, path)
    except OSError:  # file systems without links
        shutil.copyfile(source, path)


def sweep(office: Office) -> None:
    """Remove files whose time is over, and what a killed server left half written."""
    for row in office.state.all("file"):
        if is_over(row):
            remove(office, row["id"])
    names = {row["id"] for row in office.state.all("file")}
    for path in office.files.iterdir():
        if path.name not in names:
            path.unlink()


def new_row(name: str, filename: str, purpose: str, sample_type: str, source: str) -> Row:
    """A file as both clients read it; its size and lines are still to be counted."""
    return {
        "id": name,
        "object": "file",
        "bytes": 0,
        "created_at": now(),
        "expires_at": None,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
        "sample_type": sample_type,
        "source": source,
        "num_lines": None,
        "mimetype": _KINDS.get(Path(filename).suffix.lower(), "application/octet-stream"),
        "signature": None,
    }


def remove(office: Office, name: str) -> None:
    """Forget a file."""
    office.state.remove(name)
    place(office, name).unlink(missing_ok=True)


def is_over(row: Row) -> bool:
    """Whether a file's time is over."""
    return row["expires_at"] is not None and row["expires_at"] <= now()


def keep(office: Office, file: UploadFile, purpose: str, expires: int | None = None) -> Row:
    """Write an upload to its place, whole or not at all, and count its lines.

    Raises:
        ServeError: status 400, it is empty.
    """
    name = new_id("file")
    row = new_row(name, safe_name(file.filename or ""), purpose, PURPOSES[purpose], "upload")
    with replacing(place(office, name)) as temporary, temporary.open("wb") as stream:
        size, lines = 0, 0
        last = b"\n"
        for piece in _pieces(file):
            stream.write(piece)
            size += len(piece)
            lines += piece.count(b"\n")
            last = piece[-1:]
        if not size:
            raise ServeError(400, "file: it is empty.", "file", "empty_file")
        stream.flush()
        os.fsync(stream.fileno())
    lines += last != b"\n"
    expires_at = row["created_at"] + expires if expires else None
    counted = {"bytes": size, "num_lines": None if purpose == SCAN else lines}
    return office.state.add("file", row | counted | {"expires_at": expires_at})


def _pieces(file: UploadFile) -> Iterator[bytes]:
    while piece := file.file.read(_PIECE):
        yield piece


def _expiry(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or not SHORTEST_S <= int(text) <= LONGEST_S:
        raise ServeError(
            400,
            f"expires_after: give {SHORTEST_S} to {LONGEST_S} seconds.",
            "expires_after[seconds]",
        )
    return int(text)
