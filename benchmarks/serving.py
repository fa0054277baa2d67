"""Clients that ask at the same time: `swath serve` against `transformers serve`, the same model.

    python -m benchmarks.serving [--clients 8] [--questions 64] [--tokens 48] [--to serving.json]

Both serve a small random LLaVA (CLIP tower, Llama) from one folder, on the same threads, one after
the other. Every client asks its questions about pictures of its own, one after the other, greedily;
all answers have the same number of tokens. Prints questions a second, the slowest answer beside the
fastest, how many answers are the same words, and the ratio. How long an answer took is told in
seconds, and in processor seconds of the server, which other programs of the machine change less;
`at a time` compares every client's nth answer with the other clients' nth, so that a machine that
becomes slower meanwhile is not taken for an unfair server.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.measured import machine
from swath.files import write_json
from swath.models.loading import load_base
from swath.recipe import Models

START_S = 300


def model(folder: Path) -> Path:
    """A small random LLaVA, as both servers read it."""
    loaded = load_base(Models(base="llava-hf/llava-1.5-7b-hf", weights="tiny"), seed=0)
    loaded.save(folder)
    return folder


def picture(number: int, side: int = 128) -> str:
    """A data URI of a picture that no other question shows."""
    rng = np.random.default_rng(number)
    pixels = np.full((side, side, 3), 110, dtype=np.uint8)
    for _ in range(4):
        x, y = rng.integers(0, side - 30, 2)
        pixels[y : y + 30, x : x + 30] = rng.integers(0, 255, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def body(name: str, number: int, tokens: int) -> dict:
    """A question; its length differs from that of its neighbours."""
    words = "What kind of scene is this" + ", and what else do you see" * (number % 3) + "?"
    content = [
        {"type": "image_url", "image_url": {"url": picture(number)}},
        {"type": "text", "text": words},
    ]
    message = {"role": "user", "content": content}
    return {"model": name, "messages": [message], "max_tokens": tokens, "temperature": 0}


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Args:
        address: where.
        process: its number.
    """

    address: str
    process: int

    def processor_s(self) -> float:
        """Seconds that processors have spent on it."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(command: list[str], port: int, threads: int, log: Path) -> Iterator[Server]:
    """A server, from when it answers until the block ends."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["OMP_NUM_THREADS"] = str(threads)
    with (
        log.open("w") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream, env=environment) as process,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(START_S):
                try:
                    httpx.get(f"{address}/health", timeout=5)
                    break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise SystemExit(f"{command}: ended; see {log}") from None
                    time.sleep(1)
            yield Server(address, process.pid)
        finally:
            process.terminate()


def measure(server: Server, name: str, clients: int, questions: int, tokens: int) -> dict:
    """Seconds of each answer and of all, and the words."""
    address = server.address
    first = httpx.post(f"{address}/v1/chat/completions", json=body(name, 999, tokens), timeout=600)
    first.raise_for_status()
    bodies = [body(name, number, tokens) for number in range(questions)]
    seconds, words, counts = [0.0] * questions, [""] * questions, [0] * questions
    processor = [0.0] * questions

    def client(number: int) -> None:
        with httpx.Client(timeout=3600) as session:
            for question in range(number, questions, clients):
                began, spent = time.monotonic(), server.processor_s()
                response = session.post(f"{address}/v1/chat/completions", json=bodies[question])
                seconds[question] = time.monotonic() - began
                processor[question] = server.processor_s() - spent
                response.raise_for_status()
                value = response.json()
                words[question] = value["choices"][0]["message"]["content"].strip()
                counts[question] = value["usage"]["completion_tokens"]

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.monotonic() - began
    return {
        "questions_a_second": questions / whole,
        "seconds": whole,
        "at_once": at_once(seconds, clients),
        "fastest_s": min(seconds),
        "slowest_s": max(seconds),
        "each_s": seconds,
        "each_processor_s": processor,
        "tokens": sum(counts),
        "words": words,
    }


def at_once(seconds: list[float], clients: int) -> float:
    """The slowest answer beside the fastest, among the clients' nth questions; for the worst n."""
    waves = [seconds[start : start + clients] for start in range(0, len(seconds), clients)]
    return max(max(wave) / min(wave) for wave in waves)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1, help="Of each server.")
    beside = Path(sys.executable).parent / "transformers"
    parser.add_argument("--peer", default=beside, help="`transformers` of another environment.")
    parser.add_argument("--to", type=Path, help="Write what was measured as JSON.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = model(Path(temporary) / "llava")
        port = free_port()
        swath = [sys.executable, "-m", "swath", "serve", f"llava={folder}"]
        swath += ["--port", str(port), "--home", str(Path(temporary) / "home")]
        peer_port = free_port()
        peer = [str(given.peer), "serve", str(folder)]
        peer += ["--port", str(peer_port), "--host", "127.0.0.1", "--device", "cpu"]
        told = {}
        for name, command, at, served in (
            ("transformers serve", peer, peer_port, str(folder)),
            ("swath serve", swath, port, "llava"),
        ):
            log = Path(temporary) / f"{name.split()[0]}.log"
            with serving(command, at, given.threads, log) as server:
                told[name] = measure(server, served, given.clients, given.questions, given.tokens)
            row = told[name]
            processor = row["each_processor_s"]
            print(
                f"{name:20} {row['questions_a_second']:6.2f} questions/s, answers "
                f"{row['fastest_s']:.2f} to {row['slowest_s']:.2f} s "
                f"({row['slowest_s'] / row['fastest_s']:.2f} x; {row['at_once']:.2f} x at a time), "
                f"{min(processor):.2f} to {max(processor):.2f} processor seconds "
                f"({max(processor) / min(processor):.2f} x; "
                f"{at_once(processor, given.clients):.2f} x at a time); {row['tokens']} tokens"
            )
    ours, theirs = told["swath serve"], told["transformers serve"]
    same = sum(a == b for a, b in zip(ours.pop("words"), theirs.pop("words"), strict=True))
    ratio = ours["questions_a_second"] / theirs["questions_a_second"]
    print(f"swath serve answers {ratio:.1f} times as many; {same} of {given.questions} alike")
    if given.to:
        write_json(given.to, {**told, "ratio": ratio, "alike": same, "machine": machine()})


if __name__ == "__main__":
    main()
