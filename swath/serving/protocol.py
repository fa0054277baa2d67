"""Shapes that both clients read: errors, lists, names; and which of the two asks.

OpenAI's client checks nothing, Mistral's checks types and drops unknown keys, so one object that
holds the fields of both serves both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from swath.errors import ImageryError, InstructionError, RequestError, SwathError

Row = dict[str, Any]

LONGEST_PAGE = 10_000

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_PLACE = re.compile(r"(?<![\w:/.])(?:/[^\s/:;,'\"()]+)+/([^\s/:;,'\"()]+)")


@dataclass(eq=False)
class ServeError(SwathError):
    """A request that is refused, or failed: what both clients raise as their own error.

    Args:
        status: of HTTP.
        message: what was wrong, where, and what to do; without paths and keys.
        param: the request's field at fault.
        code: a word for programs, as in "model_not_found".
        headers: of the response, such as Retry-After.
        detail: rows of `loc`, `msg` and `type`, which Mistral's client reads at status 422.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: Sequence[Row] = ()

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> Row:
        """The error as both clients read it."""
        server_failed = self.status >= 500
        kind = "server_error" if server_failed else "invalid_request_error"
        fields = {
            "message": self.message,
            "type": _KINDS.get(self.status, kind),
            "param": self.param,
            "code": self.code,
        }
        body: Row = {"object": "error", **fields, "error": fields}
        if self.status == 422:
            where = ["body"] + (self.param.split(".") if self.param else [])
            row = {"loc": where, "msg": self.message, "type": self.code or "value_error"}
            body["detail"] = list(self.detail) or [row]
        return body


def not_found(kind: str, name: str) -> ServeError:
    """What is answered about something that is not there.

    Args:
        kind: of the thing, as in "file" or "model".
        name: that was sent.
    """
    advice = f"GET /v1/{kind}s lists what there is." if kind in ("model", "file") else "List them."
    return ServeError(
        404, f"There is no {kind} '{name[:200]}'. {advice}", kind, f"{kind}_not_found"
    )


def without_places(words: str) -> str:
    """A message in which files go by their names: who asks need not know where they lie."""
    return _PLACE.sub(r"\1", words)


def as_refusal(error: SwathError) -> ServeError:
    """An error of swath as the server tells it: whose fault it was, and no path in it."""
    if isinstance(error, ServeError):
        return error
    asked_wrongly = isinstance(error, RequestError | ImageryError | InstructionError)
    return ServeError(400 if asked_wrongly else 500, without_places(str(error)))


def as_invalid(problems: Iterable[Mapping[str, Any]]) -> ServeError:
    """Fields that are missing, unknown or of another type; what was sent is not sent back.

    Args:
        problems: as pydantic lists them, their places beginning with "body".
    """
    rows: list[Row] = []
    for problem in problems:
        where = [part if isinstance(part, int) else str(part) for part in problem["loc"]]
        rows.append({"loc": where, "msg": str(problem["msg"]), "type": str(problem["type"])})
    first = rows[0]
    if first["type"] == "json_invalid":
        words = f"The body is not valid JSON (at character {first['loc'][-1]})."
        return ServeError(422, words, code="json_invalid", detail=rows)
    if (
        first["loc"] == ["body"] and first["type"] == "model_attributes_type"
    ):  # curl -d sends a form
        words = "The body is no JSON object; send one, with 'Content-Type: application/json'."
        return ServeError(422, words, code="no_json", detail=rows)
    param = ".".join(str(part) for part in first["loc"][1:])
    words = f"{param}: {first['msg']}" if param else first["msg"]
    return ServeError(422, f"{words}.", param or None, first["type"], detail=rows)


def is_mistral(headers: Mapping[str, str]) -> bool:
    """Whether Mistral's client asks, by its User-Agent (`mistral-client-python/1.9.3`)."""
    agent = headers.get("user-agent", "").lower()
    return "mistral" in agent


def new_id(prefix: str) -> str:
    """A name that nothing else has, as in `chatcmpl-4f...`."""
    return f"{prefix}-{uuid4().hex[:24]}"


def now() -> int:
    """Seconds since 1970, whole, as `created` and `created_at` count."""
    return int(time.time())


@dataclass(frozen=True)
class Paging:
    """Which part of a list is asked for, as OpenAI's client asks or as Mistral's does.

    Args:
        after: the id behind which rows are taken.
        limit: rows at most.
        page: number of the page, from 0, where Mistral's client asks.
        page_size: rows of each page.

    Raises:
        ServeError: a number is out of range.
    """

    after: str | None = None
    limit: int = 20
    page: int | None = None
    page_size: int = 100

    def __post_init__(self) -> None:
        for name in ("limit", "page_size"):
            if not 1 <= getattr(self, name) <= LONGEST_PAGE:
                raise ServeError(400, f"{name} is 1 to {LONGEST_PAGE}.", name, "out_of_range")
        if self.page is not None and not 0 <= self.page <= 2**31:
            raise ServeError(400, "page counts from 0.", "page", "out_of_range")

    def of(self, rows: Sequence[Row]) -> Row:
        """A list as both clients read it, in the order of `rows`.

        Raises:
            ServeError: `after` names no row.
        """
        start, size = 0, self.limit
        if self.page is not None:
            start, size = self.page * self.page_size, self.page_size
        elif self.after is not None:
            places = [place for place, row in enumerate(rows) if row["id"] == self.after]
            if not places:
                raise ServeError(400, f"after: no '{self.after[:200]}' in this list.", "after")
            start = places[0] + 1
        part = list(rows[start : start + size])
        return {
            "object": "list",
            "data": part,
            "has_more": start + size < len(rows),
            "first_id": part[0]["id"] if part else None,
            "last_id": part[-1]["id"] if part else None,
            "total": len(rows),
        }


def model_card(
    name: str, created: int, longest: int, job: str | None = None, root: str | None = None
) -> Row:
    """A model as both clients read it.

    Args:
        name: by which it is asked.
        created: seconds since 1970.
        longest: tokens it reads.
        job: id of the fine-tuning job that made it.
        root: name of the model that the job tuned.
    """
    card: Row = {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "swath",
        "type": "fine-tuned" if job else "base",
        "root": root or name,
        "name": name,
        "description": None,
        "max_context_length": longest,
        "aliases": [],
        "deprecation": None,
        "archived": False,
        "capabilities": {
            "completion_chat": True,
            "completion_fim": False,
            "function_calling": False,
            "fine_tuning": True,
            "vision": True,
        },
    }
    return card | ({"job": job} if job else {})
