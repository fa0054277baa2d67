"""The page of `swath review`: served on this machine alone, behind an address no one can guess."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from swath.errors import ImageryError, InstructionError
from swath.evaluation.report.gallery import rendered
from swath.evaluation.report.style import CSS
from swath.imagery.rendering import PLAIN
from swath.instructions.conversation import Box, Conversation
from swath.instructions.review import Review, parts_of, written
from swath.recipe import Rendering

PICTURE_PX = 1024
"""Longest side of a picture as it is shown."""

_LONGEST = 1 << 20  # bytes of a request's body
_HTML = Path(__file__).with_name("review.html")


def serve(
    rows: Sequence[Conversation],
    given: Review,
    port: int,
    say: Callable[[str], None],
    rendering: Rendering = PLAIN,
) -> None:
    """Serve the page until interrupted.

    Args:
        rows: in the order they are shown.
        given: the verdicts so far, added to.
        port: 0 takes a free one.
        say: told the address.
        rendering: how rasters become pictures.
    """
    with server(rows, given, port, rendering) as running:
        say(f"Review {len(rows)} rows at {running.address} (Ctrl-C ends).")
        running.serve_forever()


class Server(ThreadingHTTPServer):
    """A server of one review; requests without its token get nothing."""

    daemon_threads = True
    address = ""


def server(
    rows: Sequence[Conversation], given: Review, port: int = 0, rendering: Rendering = PLAIN
) -> Server:
    """The server, bound to 127.0.0.1, not yet serving; `address` holds its token."""
    token, lock = secrets.token_urlsafe(24), Lock()
    places = {row.id: place for place, row in enumerate(rows)}
    now, shown_as = list(rows), rendering.model_dump_json()

    def shown(place: int) -> dict[str, Any]:
        row = now[place]
        boxes = any(isinstance(part, Box) for turn in row.turns for part in turn.parts)
        return {
            "at": place,
            "of": len(now),
            "done": sum(given.verdict(one) is not None for one in now),
            "id": row.id,
            "about": f"{row.task} · {row.split}",
            "question": "\n".join(written(t) for t in row.turns[:-1] if t.role == "user"),
            "answer": written(row.turns[-1]),
            "verdict": given.verdict(row),
            "size_wh": row.images[row.frame].size_wh if row.images else None,
            "frame": row.frame if boxes else -1,
            "images": len(row.images),
        }

    def judged(said: dict[str, Any]) -> dict[str, Any]:
        place = places[said["id"]]
        with lock:
            parts = parts_of(said["answer"]) if said["verdict"] == "correct" else []
            now[place] = given.give(now[place], said["verdict"], parts)
            left = (n for n in range(place + 1, len(now)) if given.verdict(now[n]) is None)
            return shown(next(left, min(place + 1, len(now) - 1)))

    class Handler(BaseHTTPRequestHandler):
        """Answers the page's requests."""

        server_version = "swath"

        def do_GET(self) -> None:
            """The page, a row, or a picture."""
            path = self._path()
            if path is None:
                return
            if not path[0]:
                nonce = secrets.token_urlsafe(12)
                text = _HTML.read_text("utf-8").replace("/*CSS*/", CSS).replace("NONCE", nonce)
                self._send(200, "text/html; charset=utf-8", text.encode(), nonce)
            elif path[0] == "row" and _number(path, 1) < len(now):
                with lock:
                    self._json(200, shown(_number(path, 1)))
            elif path[0] == "next":
                with lock:
                    left = (n for n, row in enumerate(now) if given.verdict(row) is None)
                    self._json(200, shown(next(left, 0)))
            elif path[0] == "picture" and _number(path, 1) < len(now):
                images, number = now[_number(path, 1)].images, _number(path, 2)
                try:
                    picture = _jpeg(images[number].path, shown_as) if number < len(images) else b""
                    self._send(200 if picture else 404, "image/jpeg", picture)
                except ImageryError as error:
                    self._send(404, "text/plain", str(error).encode())
            else:
                self._send(404, "text/plain", b"nothing here")

        def do_POST(self) -> None:
            """A verdict; answered with the next row."""
            path = self._path()
            if path is None:
                return None
            length = _number([self.headers.get("Content-Length", "")], 0)
            json = self.headers.get("Content-Type", "").startswith("application/json")
            if path != ["verdict"] or not json or not 0 < length <= _LONGEST:
                return self._send(400, "text/plain", b"expected a verdict as JSON")
            try:
                said = orjson.loads(self.rfile.read(length))
                if said["verdict"] not in ("accept", "reject", "correct"):
                    raise KeyError("verdict")
                self._json(200, judged(said))
            except InstructionError as error:
                self._json(422, {"error": str(error)})
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                self._json(400, {"error": f"expected id, verdict and answer ({error!r})"})

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are not worth a line; their addresses hold the token."""

        def _path(self) -> list[str] | None:
            """What is asked for, below the token; None, and answered, without the token."""
            first, *rest = self.path.partition("?")[0].lstrip("/").split("/")
            # Another site's page may send requests here by a name of its own.
            own = self.headers.get("Host", "").partition(":")[0] in ("127.0.0.1", "localhost")
            if own and secrets.compare_digest(first.encode(), token.encode()):
                return rest or [""]
            self._send(403, "text/plain", b"open the address that `swath review` printed")
            return None

        def _json(self, status: int, value: dict[str, Any]) -> None:
            self._send(status, "application/json", orjson.dumps(value))

        def _send(self, status: int, kind: str, body: bytes, nonce: str = "none") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header(
                "Content-Security-Policy",
                "default-src 'none'; img-src 'self'; connect-src 'self'; form-action 'none'; "
                f"style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; frame-ancestors 'none'",
            )
            self.end_headers()
            self.wfile.write(body)

    made = Server(("127.0.0.1", port), Handler)
    made.address = f"http://127.0.0.1:{made.server_address[1]}/{token}/"
    return made


def _number(path: Sequence[str], place: int) -> int:
    """A number in a path; one too large for anything where there is none."""
    text = path[place] if place < len(path) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 1 << 62


@lru_cache(maxsize=16)
def _jpeg(path: str, rendering: str) -> bytes:
    stream = io.BytesIO()
    picture = rendered(path, Rendering.model_validate_json(rendering), PICTURE_PX)
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()
