"""The page of `swath review`: served on this machine alone, behind an address no one can guess."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
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


class ReviewServer(ThreadingHTTPServer):
    """A server of one review on 127.0.0.1; requests without its token get nothing.

    Args:
        rows: in the order they are shown.
        verdicts: given so far, added to.
        port: 0 takes a free one.
        rendering: how rasters become pictures.

    `address` holds the token.
    """

    daemon_threads = True

    def __init__(
        self,
        rows: Sequence[Conversation],
        verdicts: Review,
        port: int = 0,
        rendering: Rendering = PLAIN,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.rows = list(rows)
        self.token = secrets.token_urlsafe(24)
        self.address = f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"
        self._verdicts = verdicts
        self._places = {row.id: place for place, row in enumerate(rows)}
        self._rendering = rendering.model_dump_json()
        self._lock = Lock()

    def row(self, place: int) -> dict[str, Any]:
        """What the page shows of a row."""
        with self._lock:
            return self._shown(place)

    def first_open(self) -> dict[str, Any]:
        """The first row without a verdict; the first of all where each has one."""
        with self._lock:
            return self._shown(self._next_open(0, default=0))

    def judge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a verdict; the next row without one.

        Raises:
            InstructionError: a correction is no answer.
            KeyError: the request lacks a field, or names no row.
        """
        place = self._places[request["id"]]
        with self._lock:
            verdict = request["verdict"]
            parts = parts_of(request["answer"]) if verdict == "correct" else []
            self.rows[place] = self._verdicts.give(self.rows[place], verdict, parts)
            following = min(place + 1, len(self.rows) - 1)
            return self._shown(self._next_open(place + 1, default=following))

    def picture(self, place: int, frame: int) -> bytes | None:
        """A row's picture as JPEG; None where it has none of that number.

        Raises:
            ImageryError: it cannot be opened.
        """
        images = self.rows[place].images
        return _jpeg(images[frame].path, self._rendering) if frame < len(images) else None

    def _next_open(self, start: int, default: int) -> int:
        for place in range(start, len(self.rows)):
            if self._verdicts.verdict(self.rows[place]) is None:
                return place
        return default

    def _shown(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        has_boxes = any(isinstance(part, Box) for turn in row.turns for part in turn.parts)
        questions = [written(turn) for turn in row.turns[:-1] if turn.role == "user"]
        return {
            "at": place,
            "of": len(self.rows),
            "done": sum(self._verdicts.verdict(row) is not None for row in self.rows),
            "id": row.id,
            "about": f"{row.task} · {row.split}",
            "question": "\n".join(questions),
            "answer": written(row.turns[-1]),
            "verdict": self._verdicts.verdict(row),
            "size_wh": row.images[row.frame].size_wh if row.images else None,
            "frame": row.frame if has_boxes else -1,
            "images": len(row.images),
        }


class _Handler(BaseHTTPRequestHandler):
    """Answers the page's requests."""

    server: ReviewServer
    server_version = "swath"

    def do_GET(self) -> None:
        """The page, a row, or a picture."""
        path = self._path()
        if path is None:
            return
        place = _number(path, 1)
        known = place < len(self.server.rows)
        if not path[0]:
            self._send_page()
        elif path[0] == "row" and known:
            self._send_json(200, self.server.row(place))
        elif path[0] == "next":
            self._send_json(200, self.server.first_open())
        elif path[0] == "picture" and known:
            self._send_picture(place, _number(path, 2))
        else:
            self._send(404, "text/plain", b"nothing here")

    def do_POST(self) -> None:
        """A verdict; answered with the next row."""
        path = self._path()
        if path is None:
            return
        length = _number([self.headers.get("Content-Length", "")], 0)
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        if path != ["verdict"] or not is_json or not 0 < length <= _LONGEST:
            self._send(400, "text/plain", b"expected a verdict as JSON")
            return
        try:
            request = orjson.loads(self.rfile.read(length))
            if request["verdict"] not in ("accept", "reject", "correct"):
                raise KeyError("verdict")
            self._send_json(200, self.server.judge(request))
        except InstructionError as error:
            self._send_json(422, {"error": str(error)})
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            self._send_json(400, {"error": f"expected id, verdict and answer ({error!r})"})

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line; their addresses hold the token."""

    def _path(self) -> list[str] | None:
        """The request's path below the token; None, and answered, without the token."""
        token, *path = self.path.partition("?")[0].lstrip("/").split("/")
        # Another site's page may send requests here by a name of its own.
        local = self.headers.get("Host", "").partition(":")[0] in ("127.0.0.1", "localhost")
        if local and secrets.compare_digest(token.encode(), self.server.token.encode()):
            return path or [""]
        self._send(403, "text/plain", b"open the address that `swath review` printed")
        return None

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(12)
        text = _HTML.read_text("utf-8").replace("/*CSS*/", CSS).replace("NONCE", nonce)
        self._send(200, "text/html; charset=utf-8", text.encode(), nonce)

    def _send_picture(self, place: int, frame: int) -> None:
        try:
            picture = self.server.picture(place, frame)
        except ImageryError as error:
            self._send(404, "text/plain", str(error).encode())
            return
        self._send(404 if picture is None else 200, "image/jpeg", picture or b"")

    def _send_json(self, status: int, value: dict[str, Any]) -> None:
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
