"""`/v1/scans`: a whole scene asked tile by tile as a job; its layers, map and record are files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from swath.errors import AnnotationError, ImageryError, RequestError, TilingError
from swath.files import safe_name
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import ScanSettings, opened_scene
from swath.inference.scenes.tile_plan import TunedOn
from swath.serving.asking import Fields
from swath.serving.jobs.hyperparameters import Name, parsed
from swath.serving.jobs.office import Office, Working
from swath.serving.jobs.tuning_jobs import MOST_METADATA, body_of
from swath.serving.jobs.uploads import SCAN, file_row, keep, own_copy, remove
from swath.serving.protocol import (
    Paging,
    Row,
    ServeError,
    new_id,
    not_found,
    now,
    without_places,
)
from swath.serving.served import Served, ServedModel

router = APIRouter(prefix="/v1/scans")

KIND = "scan"
ENDED = ("succeeded", "incomplete", "failed", "cancelled")
"""States that last; all but the first can be resumed."""

MOST_TILES = 1_000_000
MOST_OPEN = 100
"""Scans of a server that wait or are at work."""

_PRIVATE = ("arguments", "starts")

Question = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]


class Scan(Fields):
    """The body of a scan that is asked for."""

    model: Name
    input_file_id: Name
    questions: list[Question] = Field(default_factory=list, max_length=16)
    classify: bool = False
    aoi: dict[str, Any] | None = None
    gsd_m: float | None = Field(None, ge=1e-4, le=1e6)
    overlap: float | None = Field(None, ge=0, le=0.9)
    tile_px: int | None = Field(None, ge=8, le=1_000_000)
    metadata: dict[str, str] | None = Field(None, max_length=MOST_METADATA)


@router.post("")
async def create(request: Request, office: Working) -> Row:
    """Check what is asked of a scene, uploaded before or with the request, and queue it."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await run_in_threadpool(_create, office, parsed(Scan, await body_of(request)))
    async with request.form(max_files=2, max_fields=64) as form:
        apart = ("file", "aoi", "question")
        values: Row = {key: value for key, value in form.items() if key not in apart}
        values["questions"] = form.getlist("question")
        if "aoi" in form:
            values["aoi"] = await _geojson(form["aoi"])
        return await run_in_threadpool(_create_of, office, values, form.get("file"))


@router.get("")
def list_scans(office: Working, after: str | None = None, limit: int = 20) -> Row:
    """The scans, newest first."""
    rows = office.state.all(KIND)[::-1]
    return Paging(after, limit).of([_shaped(row) for row in rows])


@router.get("/{name}")
def get_scan(name: str, office: Working) -> Row:
    """A scan: how far it is, and the files of its results."""
    return _shaped(_scan(office, name))


@router.post("/{name}/cancel")
def cancel(name: str, office: Working) -> Row:
    """Stop a scan; the tiles that are finished are kept."""
    return _moved(office, name, "cancelled", ("queued", "running"), finished_at=now())


@router.post("/{name}/resume")
def resume(name: str, office: Working) -> Row:
    """Go on with a scan that was stopped or has failed, asking the tiles that failed once more."""
    before = ("incomplete", "failed", "cancelled")
    return _moved(office, name, "queued", before, error=None, finished_at=None, starts=0)


def folder_of(office: Office, name: str) -> Path:
    """Where a scan's inputs, log and results lie."""
    return office.jobs / name


async def _geojson(value: UploadFile | str) -> Any:
    """Polygons as they are sent in a form: a file, or its words."""
    text = await value.read() if isinstance(value, UploadFile) else value
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ServeError(400, f"aoi: not valid GeoJSON ({error}).", "aoi") from None


def _create_of(office: Office, values: Row, file: UploadFile | str | None) -> Row:
    """Keep the scene that came with a request, and queue its scan."""
    if not isinstance(file, UploadFile):
        raise ServeError(422, "file: send the scene itself, or input_file_id as JSON.", "file")
    asked = parsed(Scan, values | {"input_file_id": ""})
    uploaded = keep(office, file, SCAN)
    try:
        return _create(office, asked.model_copy(update={"input_file_id": uploaded["id"]}))
    except ServeError:
        remove(office, uploaded["id"])
        raise


def _create(office: Office, asked: Scan) -> Row:
    """Check what is asked for, and queue it.

    Raises:
        ServeError: status 404, the file or the model is not there; 400, the scene cannot be read,
            lies elsewhere, or the model was not tuned to answer; 429, too many scans wait.
    """
    model = office.served.model(asked.model)
    file = file_row(office, asked.input_file_id)
    waiting = [row for row in office.state.all(KIND) if row["status"] not in ENDED]
    if len(waiting) >= MOST_OPEN:
        words = f"{MOST_OPEN} scans wait or are at work; send it again when one has ended."
        raise ServeError(429, words, None, "queue_full", {"Retry-After": "60"})
    name = new_id(KIND)
    folder = folder_of(office, name)
    scene = folder / "scene" / safe_name(file["filename"])
    area = None if asked.aoi is None else folder / "area" / "aoi.geojson"
    try:
        own_copy(office, file["id"], scene)
        if area is not None:
            area.parent.mkdir()
            area.write_bytes(orjson.dumps(asked.aoi))
        _check(office.served, model, asked, scene, area)
        arguments = _arguments(model, asked, folder, scene, area)
    except (RequestError, ImageryError, AnnotationError, TilingError) as error:
        shutil.rmtree(folder)
        raise ServeError(400, without_places(str(error)), None, "invalid_scan") from None
    except ServeError:
        shutil.rmtree(folder)
        raise
    row = office.state.add(
        KIND,
        {
            "id": name,
            "object": KIND,
            "status": "queued",
            "model": model.name,
            **asked.model_dump(exclude={"model", "aoi"}),
            "created_at": now(),
            "started_at": None,
            "finished_at": None,
            "tiles": dict.fromkeys(("planned", "asked", "skipped", "failed"), 0),
            "complete": False,
            "results": [],
            "result_files": {},
            "error": None,
            "starts": 0,
            "arguments": arguments,
        },
    )
    office.changed.set()
    return _shaped(row)


def _check(served: Served, model: ServedModel, asked: Scan, scene: Path, area: Path | None) -> None:
    """Refuse what could only fail, before it waits for its turn.

    Raises:
        ServeError: the scene is too large or names other files, or the area lies elsewhere.
        RequestError: the model was not tuned to answer that.
        ImageryError: the scene cannot be opened.
    """
    if scene.suffix.lower() == ".vrt":
        raise ServeError(400, "A VRT names other files; send the raster itself.", "file")
    questions = scan_questions(asked.questions, Tuning.of_run(model.path), asked.classify)
    tuned = TunedOn.of_run(model.path, model.engine.loaded.image_size)
    aoi = None if area is None else str(area)
    settings = ScanSettings(asked.gsd_m, asked.overlap, asked.tile_px, aoi)
    planned = opened_scene(str(scene), tuned, settings, {question.plan for question in questions})
    if planned.scene is None:
        raise ImageryError(planned.failure)
    width, height = planned.scene.size_wh
    if width * height > served.limits.scene_px:
        most = served.limits.scene_px
        raise ServeError(400, f"The scene has {width} x {height} pixels, and one may have {most}.")
    if area is not None and planned.area.is_empty:
        raise ServeError(400, "aoi: lies outside the scene; is it the right place?", "aoi")
    tiles = sum(len(plan) for plan in planned.plans.values())
    if tiles > MOST_TILES:
        words = f"That makes {tiles} tiles, and a scan may have {MOST_TILES}; take larger ones."
        raise ServeError(400, words, "tile_px")


def _arguments(
    model: ServedModel, asked: Scan, folder: Path, scene: Path, area: Path | None
) -> list[str]:
    """Of `swath scan`, in the scan's folder: its record then tells no place on this machine."""
    named = str(model.path)
    if model.path.is_dir():
        link = folder / "model" / safe_name(model.name)
        link.parent.mkdir()
        link.symlink_to(model.path.absolute(), target_is_directory=True)
        named = str(link.relative_to(folder))
    arguments = ["scan", "--json", "--to", "result"]
    options: dict[str, object] = {"--gsd": asked.gsd_m, "--overlap": asked.overlap}
    options |= {"--tile-px": asked.tile_px, "--aoi": area and area.relative_to(folder)}
    for option, value in options.items():
        if value is not None:
            arguments += [option, str(value)]
    if asked.classify:
        arguments.append("--classify")
    # What stands behind the two dashes is never taken for an option.
    return [*arguments, "--", named, str(scene.relative_to(folder)), *asked.questions]


def _scan(office: Office, name: str) -> Row:
    row = office.state.get(KIND, name)
    if row is None:
        raise not_found(KIND, name)
    return row


def _moved(office: Office, name: str, status: str, before: tuple[str, ...], **fields: Any) -> Row:
    """A scan in another state, of which its worker hears.

    Raises:
        ServeError: status 404, there is no such scan; 400, it is in a state that does not allow it.
    """
    with office.state.transaction():
        row = _scan(office, name)
        if row["status"] not in before:
            words = f"Scan {name} is {row['status']}, not {' or '.join(before)}."
            raise ServeError(400, words, code="wrong_state")
        row = office.state.change(KIND, name, status=status, **fields)
    office.changed.set()
    return _shaped(row)


def _shaped(row: Row) -> Row:
    """A scan as it is answered."""
    return {key: value for key, value in row.items() if key not in _PRIVATE}
