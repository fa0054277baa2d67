"""The application: every path that is served, behind one door, with errors of one shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from swath.errors import SwathError
from swath.serving import completions, embeddings, measures, models, scenes
from swath.serving.access import Access, Doorman
from swath.serving.fetching import Fetcher
from swath.serving.jobs import batch_jobs, tuned_models, tuning_jobs, uploads
from swath.serving.jobs.batch_runner import BatchRunner
from swath.serving.jobs.office import Office
from swath.serving.jobs.tuning_queue import TuningQueue
from swath.serving.protocol import ServeError, as_invalid, as_refusal
from swath.serving.scans import scan_jobs
from swath.serving.scans.scan_queue import ScanQueue
from swath.serving.served import Limits, Served

ROUTERS = [
    models.router,
    completions.router,
    embeddings.router,
    scenes.router,
    measures.router,
    uploads.router,
    tuning_jobs.router,
    tuned_models.router,
    batch_jobs.openai,
    batch_jobs.mistral,
    scan_jobs.router,
]


def create_app(
    paths: Mapping[str, Path | str],
    folder: Path,
    access: Access | None = None,
    limits: Limits | None = None,
    allow_urls: bool = False,
    price: tuple[float, str] | None = None,
) -> FastAPI:
    """An application that serves models by name; its `state.swath` is a `Served`.

    Args:
        paths: of each name, a run, an exported folder or "swath-nano".
        folder: where the server keeps files, jobs and batches.
        access: who may ask.
        limits: of requests.
        allow_urls: pictures may be named by public addresses, which the server then reads.
        price: of an hour of this machine and its currency, for what a tuning would cost.

    Raises:
        ModelError: there is no such model, or it is damaged.
        RequestError: the folder is in use, or is not a server's.
    """
    access = access or Access()
    fetch = Fetcher(access.body_bytes) if allow_urls else None
    served = Served(folder, limits, fetch)
    served.add_models(paths)
    office = Office(served, price)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        uploads.sweep(office)
        queues = (TuningQueue(office), ScanQueue(office))
        for queue in queues:
            await run_in_threadpool(queue.restore)
            queue.start()
        runner = BatchRunner(office, app, max(1, served.limits.rows // 2))
        batches = asyncio.create_task(runner.run())
        yield
        batches.cancel()
        for queue in queues:
            queue.close()
        office.state.close()
        served.close()

    # The interactive pages would fetch their scripts from elsewhere.
    app = FastAPI(
        title="swath", version=version("swath"), lifespan=living, docs_url=None, redoc_url=None
    )
    app.state.swath = served
    app.state.office = office
    app.state.measures = measures.Measures()
    app.add_middleware(Doorman, access=access)
    app.add_middleware(measures.Counting, measures=app.state.measures)
    app.add_exception_handler(ServeError, _answer_refusal)
    app.add_exception_handler(SwathError, _answer_failure)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_plain)
    app.add_exception_handler(Exception, _answer_unforeseen)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _response(error: ServeError) -> JSONResponse:
    return JSONResponse(error.body, error.status, dict(error.headers))


async def _answer_refusal(_: Request, error: Any) -> JSONResponse:
    return _response(error)


async def _answer_failure(_: Request, error: Any) -> JSONResponse:
    return _response(as_refusal(error))


async def _answer_invalid(_: Request, error: Any) -> JSONResponse:
    return _response(as_invalid(error.errors()))


async def _answer_plain(request: Request, error: Any) -> JSONResponse:
    """What the framework itself refuses: no such path, another method, a body that is no JSON."""
    if error.status_code == 404:
        words = f"There is no path {request.url.path[:200]} here; GET /openapi.json lists them."
        return _response(ServeError(404, words, code="path_not_found"))
    return _response(ServeError(error.status_code, str(error.detail), headers=error.headers or {}))


async def _answer_unforeseen(_: Request, error: Any) -> JSONResponse:
    """What nobody foresaw; the server's log holds the rest."""
    words = "The server failed at this request; its log says why."
    return _response(ServeError(500, words, code="internal_error"))
