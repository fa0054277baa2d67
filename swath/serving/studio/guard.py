"""The guard before the page: who has its secret passes, and nothing is loaded from outside."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swath.serving.studio.pictures import FILES

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    # Gradio's templates are functions made of text, and its styles stand in the page.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
"""What the page may load: nothing from outside, and nobody may frame it."""

_NEVER_FRAMED = {"content-security-policy": POLICY, "x-frame-options": "DENY"}
_FRAMED_BY_US = {
    "content-security-policy": POLICY.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
}
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_CLOSED = ("/file=", "/file/", "/proxy=")
"""Ways of Gradio's to files and other machines, none of which the page takes."""


class Guard:
    """An application that asks for a secret, because every program on a machine reaches its ports.

    The secret comes once in the address that the command line prints, then as a cookie.

    Args:
        app: the application.
        port: the one that it is served at.
        secret: what the address has to bring.
    """

    def __init__(self, app: ASGIApp, port: int, secret: str) -> None:
        self._app, self._secret = app, secret
        self._cookie = f"swath-studio-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no socket, and none is asked for the secret
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        answer = self._answer(request)
        framing = _FRAMED_BY_US if request.url.path.startswith(FILES) else _NEVER_FRAMED
        sending = _with_headers(send, framing | _HEADERS)
        if answer is None:
            await self._app(scope, receive, sending)
        else:
            await answer(scope, receive, sending)

    def _answer(self, request: Request) -> Response | None:
        """What is said instead of the application; None lets the request through."""
        path = request.url.path
        if self._is_secret(request.query_params.get("secret", "")):
            inside = "/" + path.lstrip("/")  # `//name` would lead to another machine
            response = RedirectResponse(inside, status_code=303)
            response.set_cookie(self._cookie, self._secret, httponly=True, samesite="lax")
            return response
        if not self._is_secret(request.cookies.get(self._cookie, "")):
            return PlainTextResponse("open the address that `swath studio` printed\n", 403)
        if any(way in path for way in _CLOSED):
            return PlainTextResponse("there is nothing for the page at this address\n", 403)
        return None

    def _is_secret(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._secret.encode())


def _with_headers(send: Send, values: Mapping[str, str]) -> Send:
    headers = [(name.encode(), value.encode()) for name, value in values.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return sending
