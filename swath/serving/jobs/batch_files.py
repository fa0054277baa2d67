"""Batch files: a request a line, as OpenAI or Mistral has it written, and what came of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from swath.serving.protocol import Row, ServeError

MOST_LINES = 50_000
LONGEST_ID = 512
_KEYS = {"openai": {"custom_id", "method", "url", "body"}, "mistral": {"custom_id", "body"}}


@dataclass(frozen=True)
class BatchLine:
    """One request of a batch.

    Args:
        number: counted from 0 over all files of the batch.
        custom_id: by which its answer is known.
        body: of the request.
    """

    number: int
    custom_id: str
    body: Row


class _FieldError(Exception):
    """Field and reason of what is wrong in a line, while it is read."""


def batch_lines(paths: Sequence[Path], style: str, endpoint: str) -> Iterator[BatchLine]:
    """The requests of a batch's files.

    Args:
        paths: of the files.
        style: "openai" or "mistral": whose notation they have to be in.
        endpoint: that all of them go to.

    Raises:
        ServeError: status 400, a line is no request; file, line, field and reason are named.
    """
    ids: set[str] = set()
    number = 0
    for path in paths:
        with path.open("rb") as stream:
            for place, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    request = _request(line, number, style, endpoint)
                    if request.custom_id in ids:
                        raise _FieldError("custom_id", f"'{request.custom_id[:80]}' stands twice")
                    if number >= MOST_LINES:
                        raise _FieldError("", f"a batch has at most {MOST_LINES} requests")
                except _FieldError as error:
                    field, reason = error.args
                    where = f"{path.name}, line {place}: {field}{': ' if field else ''}{reason}"
                    raise ServeError(
                        400, f"{where}.", "input_file_id", "invalid_batch_file"
                    ) from None
                ids.add(request.custom_id)
                number += 1
                yield request


def _request(line: bytes, number: int, style: str, endpoint: str) -> BatchLine:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _FieldError("", f"not valid JSON ({error})") from None
    if not isinstance(row, dict):
        raise _FieldError("", "expected an object")
    if "messages" in row:
        raise _FieldError("messages", "this is a training file; put a request into 'body'")
    _check_keys(row, style)
    if style == "openai":
        _require(row, "method", "POST")
        _require(row, "url", endpoint)
    name = row.get("custom_id")
    if name is None and style == "mistral":
        name = str(number)
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_ID:
        raise _FieldError("custom_id", f"expected 1 to {LONGEST_ID} signs")
    body = row.get("body")
    if not isinstance(body, dict):
        raise _FieldError("body", "expected the request's object")
    if body.get("stream"):
        raise _FieldError("body.stream", "answers of a batch are not streamed")
    return BatchLine(number, name, body)


def _check_keys(row: dict[str, Any], style: str) -> None:
    for key in row:
        if key in _KEYS[style]:
            continue
        if key in _KEYS["openai"]:
            raise _FieldError(key, "as in OpenAI's files; Mistral's lines hold custom_id and body")
        raise _FieldError(key[:80], "unknown key; take it out")


def _require(row: dict[str, Any], key: str, value: str) -> None:
    if key not in row:
        raise _FieldError(
            key, f"missing; OpenAI's lines hold custom_id, method, url ({value}), body"
        )
    if row[key] != value:
        raise _FieldError(key, f"expected '{value}', got '{str(row[key])[:80]}'")


def answer_row(line: BatchLine, batch: str, status: int, body: Any) -> Row:
    """What came of a request, as both clients read it."""
    name = f"batch_req_{batch.rpartition('_')[2]}_{line.number}"
    response = {"status_code": status, "request_id": name, "body": body}
    return {"id": name, "custom_id": line.custom_id, "response": response, "error": None}


def unanswered_row(line: BatchLine, batch: str, code: str, message: str) -> Row:
    """A request that was not asked any more."""
    row = answer_row(line, batch, 0, None)
    return row | {"response": None, "error": {"code": code, "message": message}}
