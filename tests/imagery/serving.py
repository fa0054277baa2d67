"""A loopback server of files that answers range requests, as object stores do."""

import http.server
import json
import threading
from contextlib import contextmanager


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        said = json.dumps(self.server.posted[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _answer(self, body):
        path = self.translate_path(self.path)
        self.server.asked.append((self.path, dict(self.headers)))
        try:
            with open(path, "rb") as stream:  # noqa: PTH123
                data = stream.read()
        except OSError:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            end = min(int(last), len(data) - 1) if last else len(data) - 1
            part = data[int(first) : end + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
        else:
            part = data
            self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            self.server.sent += len(part)
            self.wfile.write(part)

    def log_message(self, *_):
        pass


@contextmanager
def served(folder):
    """The server over a folder: its `.url`, and what was `.asked` (path, headers) and `.sent`."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: _Handler(*given, directory=str(folder))
    )
    server.asked, server.bodies, server.sent = [], [], 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
