"""Who may ask, and how much: Host and Origin, keys, and the bytes of a body.

A page in somebody's browser may send requests to this machine. It cannot choose the `Host` that its
browser sends: a name that is not ours is refused, so a name made to point here (DNS rebinding) does
not reach us. Addresses in numbers cannot be made to point elsewhere and pass.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swath.errors import FormatError, RequestError
from swath.files import read_json, write_json
from swath.serving.protocol import ServeError

INSIDE = "swath.inside"
"""Key of an ASGI scope that the server itself made, for the requests of a batch."""

_CLIENT = "swath.client"

OPEN_PATHS = ("/health",)
"""Asked by what watches over servers, without a key."""


@dataclass
class Key:
    """One key's limits; the key itself is not kept.

    Args:
        name: whose it is, for logs and metrics.
        sha256: of the key, in hexadecimal digits.
        at_once: requests under way at the same time; None: as many as the server takes.
        per_minute: requests within a minute; None: as many as the server takes.
    """

    name: str
    sha256: str
    at_once: int | None = None
    per_minute: int | None = None
    active: int = field(default=0, compare=False)
    starts: deque[float] = field(default_factory=deque, compare=False)

    def enter(self) -> None:
        """Count a request.

        Raises:
            ServeError: there are too many.
        """
        moment = time.monotonic()
        while self.starts and self.starts[0] <= moment - 60:
            self.starts.popleft()
        if self.at_once is not None and self.active >= self.at_once:
            raise _busy(f"this key may have {self.at_once} requests under way", 1)
        if self.per_minute is not None and len(self.starts) >= self.per_minute:
            wait_s = int(self.starts[0] + 60 - moment) + 1
            raise _busy(f"this key may send {self.per_minute} requests a minute", wait_s)
        self.active += 1
        if self.per_minute is not None:
            self.starts.append(moment)


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        hosts: names by which the server is reached, beside `localhost` and addresses in numbers.
        origins: further origins whose pages may ask, as in "https://maps.example.org".
        keys: keys that may ask; without one, everybody who reaches the server may.
        body_bytes: of a request.
        upload_bytes: of a request that uploads files (multipart).
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    keys: tuple[Key, ...] = ()
    body_bytes: int = 64 << 20
    upload_bytes: int = 512 << 20

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse what was not sent to one of our names, or by a page that is not ours.

        Raises:
            ServeError: status 403.
        """
        host = headers.get("host", "")
        if not self._is_ours(_hostname(f"//{host}")):
            raise ServeError(
                403,
                f"The server does not go by the name '{host[:100]}'; reach it by its address, or "
                f"start it with --known-as.",
                code="host_refused",
            )
        origin = headers.get("origin")
        if origin is None or origin in self.origins:
            return
        if urlsplit(origin).netloc != host:
            raise ServeError(
                403,
                f"Pages of '{origin[:100]}' may not ask this server; start it with --origin.",
                code="origin_refused",
            )

    def key_of(self, headers: Mapping[str, str]) -> Key | None:
        """The key that was sent; None where none is needed, whatever was sent.

        Raises:
            ServeError: status 401.
        """
        if not self.keys:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        digest = hashed(token.strip() if scheme.lower() == "bearer" else "")
        matching = [key for key in self.keys if hmac.compare_digest(key.sha256, digest)]
        if not matching:
            raise ServeError(
                401,
                "The API key is missing or not known here; send it as 'Authorization: Bearer KEY'.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return matching[0]

    def _is_ours(self, name: str) -> bool:
        if name == "localhost" or name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def client_of(scope: Scope) -> str:
    """Who asks: the holder of a key, the server for its batches, or an address."""
    client: str = scope.get(_CLIENT, "")
    return client


class Doorman:
    """Checks every request before the application reads it, and counts its body while it does.

    Args:
        app: behind the door.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan" or INSIDE in scope:
            scope[_CLIENT] = "batch"
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = None
        try:
            self._access.check_host(headers)
            if scope["path"] not in OPEN_PATHS:
                key = self._access.key_of(headers)
            limit = self._limit(headers)
            if key is not None:
                key.enter()
        except ServeError as error:
            await _refuse(error, scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        scope[_CLIENT] = f"key {key.name}" if key else f"address {address}"
        try:
            await self._app(scope, _counted(receive, limit), send)
        finally:
            if key is not None:
                key.active -= 1

    def _limit(self, headers: Headers) -> int:
        kind = headers.get("content-type", "")
        uploads = kind.startswith("multipart/form-data")
        limit = self._access.upload_bytes if uploads else self._access.body_bytes
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"\d{1,15}", length) or int(length) > limit:
            raise _too_large(limit)
        return limit


def hashed(key: str) -> str:
    """A key as it is kept: keys are random and long, so one round of SHA-256 hides them."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """Keys of a file that `add_key` wrote.

    Raises:
        FormatError: it is absent or damaged.
        RequestError: it holds no key.
    """
    rows = read_json(path).get("keys")
    if not rows:
        raise RequestError(f"{path}: holds no key; `swath serve --new-key NAME` adds one.")
    try:
        return tuple([Key(**row) for row in rows])
    except TypeError as error:
        raise FormatError(f"{path}: a key cannot be read ({error}); add it anew.") from None


def add_key(path: Path, name: str, **limits: int | None) -> str:
    """A new key, whose hash is added to a file; it is shown this once."""
    rows: list[dict[str, Any]] = read_json(path)["keys"] if path.is_file() else []
    if any(row["name"] == name for row in rows):
        raise RequestError(f"{path}: '{name}' has a key already; take its row out first.")
    key = f"swath-{secrets.token_urlsafe(32)}"
    rows.append({"name": name, "sha256": hashed(key), **limits})
    write_json(path, {"keys": rows})
    return key


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _counted(receive: Receive, limit: int) -> Receive:
    """A body that ends with an error once it is larger than it may be."""
    size = 0

    async def counting() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:  # of the framework's own class, which its parsers let through
            raise HTTPException(413, _too_large(limit).message)
        return message

    return counting


async def _refuse(error: ServeError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.code or ""})
        return
    await JSONResponse(error.body, error.status, dict(error.headers))(scope, receive, send)


def _too_large(limit: int) -> ServeError:
    words = f"The request is larger than the {limit >> 20} MiB that the server takes."
    return ServeError(413, words, code="request_too_large")


def _busy(words: str, wait_s: int) -> ServeError:
    headers = {"Retry-After": str(wait_s)}
    return ServeError(429, f"Too many requests: {words}.", None, "rate_limit_exceeded", headers)
