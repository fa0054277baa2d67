"""Requests for JSON of a schema, many at once, cut short at any token: is each answer valid?

    python -m benchmarks.serving_schemas [--requests 1000] [--at-once 200]

Serves swath-nano, asks four schemas in turn with `max_tokens` from 5 to 50 at temperature 1, and
reads every answer back by the type that its schema was made from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.serving import free_port, picture, serving

PICTURES = 20


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Scene(Strict):
    kind: Literal["port", "airport", "forest", "quarry"]


class Count(Strict):
    ships: int = Field(ge=0, le=99)
    certain: bool


class Words(Strict):
    caption: str = Field(max_length=60)
    tags: list[Literal["water", "road", "roof", "field"]] = Field(max_length=3)


class Damage(Strict):
    before: Count
    after: Count
    note: str | None


SCHEMAS = (Scene, Count, Words, Damage)


def body(number: int) -> dict:
    kind = SCHEMAS[number % len(SCHEMAS)]
    form = {"name": kind.__name__, "strict": True, "schema": kind.model_json_schema()}
    content = [
        {"type": "image_url", "image_url": {"url": picture(number % PICTURES)}},
        {"type": "text", "text": "Describe this scene as JSON."},
    ]
    return {
        "model": "swath-nano",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 5 + number % 46,
        "temperature": 1,
        "seed": number,
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def outcome(address: str, number: int) -> str:
    """`lost`, `invalid`, `closed early` or `whole`."""
    try:
        response = httpx.post(f"{address}/v1/chat/completions", json=body(number), timeout=3600)
        response.raise_for_status()
    except httpx.HTTPError:
        return "lost"
    choice = response.json()["choices"][0]
    try:
        SCHEMAS[number % len(SCHEMAS)].model_validate_json(choice["message"]["content"])
    except ValidationError:
        return "invalid"
    return "closed early" if choice.get("swath", {}).get("closed_early") else "whole"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        port = free_port()
        command = [sys.executable, "-m", "swath", "serve", "swath-nano", "--port", str(port)]
        command += ["--home", str(Path(temporary) / "home")]
        with (
            serving(command, port, 2, Path(temporary) / "log") as server,
            ThreadPoolExecutor(given.at_once) as pool,
        ):
            began = time.monotonic()
            outcomes = Counter(
                pool.map(lambda number: outcome(server.address, number), range(given.requests))
            )
            seconds = time.monotonic() - began
    print(f"{given.requests} requests in {seconds:.0f} s: {dict(outcomes)}")
    if outcomes["lost"] or outcomes["invalid"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
