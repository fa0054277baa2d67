"""`swath chat` in a terminal of its own: keys are sent, and the screen is read."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="the extra `dev` is not installed")
pyte = pytest.importorskip("pyte", reason="the extra `dev` is not installed")

WAIT_S = 120  # of a machine on which other tests run
COLUMNS, LINES = 110, 40


class Terminal:
    """A running `swath chat`.

    Args:
        folder: it runs here, and is the home of who types.
        arguments: of the verb.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        environment = {
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "TERM": "linux",
            "LC_ALL": "C.UTF-8",
        }
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "swath", "chat", *arguments],
            cwd=str(folder),
            env=environment,
            dimensions=(LINES, COLUMNS),
            timeout=WAIT_S,
            # Ignored where the tests run in a shell's background, and that would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def look(self, seconds: float = 0.2) -> list[str]:
        """The rows of the screen now; a sign of two columns has an empty one behind it."""
        with suppress(pexpect.TIMEOUT, pexpect.EOF):
            self._stream.feed(self.process.read_nonblocking(65_536, seconds))
        return [row.rstrip() for row in self.screen.display]

    def until(self, shows: Callable[[list[str]], object]) -> list[str]:
        """The rows with something in them, once they show what is waited for."""
        end = time.monotonic() + WAIT_S
        while True:
            rows = [row for row in self.look() if row]
            if shows(rows):
                return rows
            if time.monotonic() > end or not self.process.isalive():
                raise AssertionError("not on the screen:\n" + "\n".join(rows))

    def types(self, keys: str) -> None:
        self.process.send(keys)

    def quits(self) -> int:
        """Type /quit; the exit code."""
        self.types("/quit\r")
        self.process.expect(pexpect.EOF, timeout=WAIT_S)
        self.process.close()
        return self.process.exitstatus

    def says(self, line: str) -> str:
        """Type a line at the prompt; what it leads to, up to the next prompt."""
        self.until(lambda rows: rows and rows[-1] == ">")
        self.types("\x0c")  # Ctrl-L clears the screen
        self.until(lambda rows: rows == [">"])
        self.types(f"{line}\r")
        rows = self.until(lambda rows: len(rows) > 1 and rows[-1] == ">")
        return "\n".join(rows[1:-1])


@pytest.fixture
def terminal(tmp_path):
    running = []

    def start(*arguments: str) -> Terminal:
        running.append(Terminal(tmp_path, *arguments))
        return running[-1]

    yield start
    for each in running:
        if each.process.isalive():
            each.process.kill(signal.SIGKILL)
            each.process.wait()


class Slow:
    """A server whose answers stop after their first word until it is let go on."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers, self.on, self.asked = answers, threading.Event(), []
        slow = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                rows = [{"id": name, "owned_by": "somebody"} for name in slow.answers]
                self.reply(json.dumps({"data": rows}).encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                slow.asked.append(body)
                self.reply(b"")
                for number, word in enumerate(slow.answers[body["model"]]):
                    if number:
                        slow.on.wait(WAIT_S)
                    choice = {"delta": {"content": word}, "finish_reason": None}
                    self.event({"choices": [choice]})
                self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})

            def reply(self, body):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def event(self, value):
                with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
                    self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def slow():
    servers = []

    def start(answers):
        servers.append(Slow(answers))
        return servers[-1]

    yield start
    for each in servers:
        each.on.set()
        each.server.shutdown()
        each.server.server_close()
