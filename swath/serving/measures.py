"""`/metrics`: what the server does, as Prometheus reads it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swath.serving.models import Serving

router = APIRouter()

BOUNDS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Seconds within which answers are counted."""

KIND = "text/plain; version=0.0.4"


class Measures:
    """Counts of requests by route and status, and of the seconds they took."""

    def __init__(self) -> None:
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._within: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._statuses[route, status] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]
        for bound in BOUNDS_S:
            self._within[route, bound] += seconds <= bound

    def lines(self) -> Iterator[str]:
        """What was counted."""
        yield "# TYPE swath_requests_total counter"
        for (route, status), count in sorted(self._statuses.items()):
            yield f'swath_requests_total{{route="{route}",status="{status}"}} {count}'
        yield "# TYPE swath_request_seconds histogram"
        for route, seconds in sorted(self._seconds.items()):
            count = sum(n for (of, _), n in self._statuses.items() if of == route)
            for bound in BOUNDS_S:
                within = self._within[route, bound]
                yield f'swath_request_seconds_bucket{{route="{route}",le="{bound}"}} {within}'
            yield f'swath_request_seconds_bucket{{route="{route}",le="+Inf"}} {count}'
            yield f'swath_request_seconds_sum{{route="{route}"}} {seconds:.6f}'
            yield f'swath_request_seconds_count{{route="{route}"}} {count}'


class Counting:
    """Counts the requests to an application.

    Args:
        app: it.
        measures: where they are counted.
    """

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app, self._measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when its answer has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def watching(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            # What no route answers is counted together: its paths are without end.
            route = getattr(scope.get("route"), "path", "other")
            self._measures.add(route, status, time.monotonic() - began)


@router.get("/metrics")
async def metrics(request: Request, served: Serving) -> PlainTextResponse:
    """Counts since the server began, and what it is at now."""
    batching = served.batching
    lines = list(request.app.state.measures.lines())
    for name, value in asdict(batching.work).items():
        lines += [f"# TYPE swath_{name}_total counter", f"swath_{name}_total {value}"]
    now = {
        "answers_waiting": batching.waiting,
        "answers_growing": batching.growing,
        "models": len(served.models),
        "alive": int(batching.alive),
    }
    for name, value in now.items():
        lines += [f"# TYPE swath_{name} gauge", f"swath_{name} {value}"]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=KIND)
