"""A stand-in for a model behind an OpenAI-compatible endpoint, on this machine."""

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stand:
    """What was asked of it; `address` is where it stands."""

    def __init__(self, reply):
        self.reply, self.bodies, self.headers = reply, [], []
        self.lock = threading.Lock()
        self.address = ""

    @property
    def prompts(self):
        return [words_of(body) for _, body in self.bodies]


def words_of(body):
    """The words of a request's last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


@contextmanager
def endpoint(reply, whole=False):
    """An endpoint at `stand.address`.

    Args:
        reply: gives the answer to a prompt: text, a (status, body) or (status, body, headers)
            tuple, or a whole response object.
        whole: `reply` is given the request's body instead of the words of its last message.
    """
    stand = Stand(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stand.lock:
                stand.bodies.append((self.path, body))
                stand.headers.append(dict(self.headers))
                reply = stand.reply(body if whole else words_of(body))
            status, answer, *more = reply if isinstance(reply, tuple) else (200, reply)
            if isinstance(answer, str) and status == 200:
                answer = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has gone
                self.wfile.write(raw)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stand.address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stand
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(text, **usage):
    """A response with its use of tokens."""
    value = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    return value | ({"usage": usage} if usage else {})
