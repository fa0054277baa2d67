"""Is anything lost or done twice when a server and its workers are killed?

    python benchmarks/serving_kills.py job [--kills 50] [--seed 0] [--home FOLDER]
    python benchmarks/serving_kills.py batch [--kills 50] [--seed 0] [--home FOLDER]

`job` tunes swath-nano once undisturbed and once while `kill -9` hits the server, the worker or both
at random moments; the server is started again each time. Every step's loss has to be told once and
be the same, and the weights have to be the same bytes. `batch` does so with the answers of a batch.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient

from swath.annotations.drawn import draw_set
from swath.files import FormatError, read_json
from swath.imagery.synthetic import SCENE_KINDS
from swath.serving.app import create_app
from swath.serving.jobs.state import State
from swath.serving.jobs.worker import PROCESS

Row = dict[str, Any]
QUESTION = "What kind of scene is this?"
ENDED = ("succeeded", "failed", "cancelled", "completed", "expired")


class Server:
    """`swath serve`, killed and started again.

    Args:
        home: its folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "swath", "serve", "swath-nano", "--home", str(self.home)]
        self.process = subprocess.Popen(
            [*command, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        self.starts += 1
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if "http://" in line)
        address = "http://" + line.partition("http://")[2].partition("/v1")[0]
        self.client = httpx.Client(base_url=address, timeout=120)

    def kill(self) -> None:
        """End it as an empty battery would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def get(self, path: str) -> Row:
        """What it answers."""
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, body: Row) -> Row:
        """What it answers."""
        return self.client.post(path, json=body).raise_for_status().json()

    def upload(self, rows: list[Row], purpose: str) -> str:
        """The id of a file of rows."""
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        fields = {"data": {"purpose": purpose}, "files": {"file": ("rows.jsonl", data)}}
        return self.client.post("/v1/files", **fields).raise_for_status().json()["id"]


def chips(count: int, folder: Path) -> list[Row]:
    """Messages about drawn scenes, and their labels."""
    images = draw_set(folder, sorted(SCENE_KINDS.get("quickstart")), count, 7, 112, 1, None, ".jpg")
    rows = []
    for image in images:
        data = base64.b64encode(Path(image.path).read_bytes()).decode()
        picture = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
        content = [picture, {"type": "text", "text": QUESTION}]
        rows.append({"messages": [{"role": "user", "content": content}], "label": image.label})
    return rows


def kill_worker(folder: Path) -> bool:
    """Kill the process that a job's folder names; whether there was one."""
    with suppress(FormatError, ProcessLookupError):
        row = read_json(folder / PROCESS)
        command = Path(f"/proc/{row['process']}/cmdline")
        if command.is_file() and str(folder).encode() in command.read_bytes():
            os.killpg(row["process"], signal.SIGKILL)
            return True
    return False


def disturbed(
    server: Server, place: str, kills: int, longest_s: float, rng: random.Random, folder: Path
) -> tuple[Row, dict[str, int]]:
    """Kill at random moments until a thing has ended or there were enough; then let it end."""
    counts = {"server": 0, "worker": 0}
    while sum(counts.values()) < kills:
        time.sleep(rng.uniform(0, longest_s))
        if server.get(place)["status"] in ENDED:
            break
        target = rng.choice(["server", "worker", "both"])
        if target != "server" and kill_worker(folder):
            counts["worker"] += 1
        if target != "worker" or not (folder / PROCESS).is_file():
            server.kill()
            counts["server"] += 1
            server.start()
        print(counts, server.get(place)["status"], flush=True)
    while (thing := server.get(place))["status"] not in ENDED:
        time.sleep(0.5)
    return thing, counts


def job_result(server: Server, job: Row) -> Row:
    """What has to be the same: each step's loss as it was told, and the weights' digest."""
    path = f"/v1/fine_tuning/jobs/{job['id']}/events"
    events = server.get(f"{path}?limit=10000")["data"]
    steps = [event["data"] for event in events[::-1] if event["type"] == "metrics"]
    weights = server.home / "jobs" / job["id"] / "run" / "model" / "model.safetensors"
    return {
        "status": job["status"],
        "losses": [[data["step"], data["train_loss"]] for data in steps],
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "tokens": job["trained_tokens"],
    }


def kill_jobs(home: Path, kills: int, seed: int) -> Row:
    """A tuning with and without kills."""
    server, rng = Server(home), random.Random(seed)
    rows = []
    for row in chips(80, home / "drawn"):
        turn = {"role": "assistant", "content": row["label"]}
        rows.append({"messages": [*row["messages"], turn]})
    settings = {"n_epochs": 40, "batch_size": 16}
    body = {"model": "swath-nano", "training_file": server.upload(rows, "fine-tune"), "seed": 3}
    body["hyperparameters"] = settings
    results, counts = [], {}
    for number in (0, kills):
        job = server.post("/v1/fine_tuning/jobs", body)
        place, folder = f"/v1/fine_tuning/jobs/{job['id']}", home / "jobs" / job["id"]
        begin = time.monotonic()
        job, counts = disturbed(server, place, number, 40, rng, folder)
        results.append(job_result(server, job) | {"seconds": round(time.monotonic() - begin)})
    server.kill()
    return told(results, counts)


def in_a_process(work: Callable[[], None]) -> int:
    """Do some work in a process of its own, forked so that nothing is imported anew."""
    process = os.fork()
    if not process:
        work()
        os._exit(0)
    return process


def begin_batch(home: Path, lines: list[Row]) -> str:
    """The id of a batch that a server is asked for, and has not begun."""

    def ask() -> None:
        client = TestClient(create_app({"swath-nano": "swath-nano"}, home), "http://127.0.0.1")
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        fields = {"data": {"purpose": "batch"}, "files": {"file": ("rows.jsonl", data)}}
        file = client.post("/v1/files", **fields).raise_for_status().json()["id"]
        body = {"input_file_id": file, "endpoint": "/v1/chat/completions"}
        client.post("/v1/batches", json=body).raise_for_status()

    os.waitpid(in_a_process(ask), 0)
    return batches(home)[-1]["id"]


def batches(home: Path) -> list[Row]:
    """The batches, as a server's state holds them."""
    state = State(home / "state.sqlite")
    rows = state.all("batch")
    state.close()
    return rows


def serve(home: Path) -> None:
    """Be a server that works off its batches, until the process ends."""
    app = create_app({"swath-nano": "swath-nano"}, home)

    async def live() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.sleep(3600)

    asyncio.run(live())


def kill_batches(home: Path, kills: int, seed: int) -> Row:
    """A batch with and without kills of the server that answers it."""
    rng = random.Random(seed)
    lines = []
    for number, row in enumerate(chips(50, home.with_name(f"{home.name}-drawn")) * 16):
        body = {"model": "swath-nano", "messages": row["messages"], "max_tokens": 16}
        line = {"custom_id": f"chip-{number}", "method": "POST", "body": body}
        lines.append(line | {"url": "/v1/chat/completions"})
    results, count = [], 0
    for most in (0, kills):
        begin, count = time.monotonic(), 0
        name = begin_batch(home, lines)
        while (batch := batches(home)[-1])["status"] not in ENDED:
            process = in_a_process(partial(serve, home))
            if count < most:
                time.sleep(rng.uniform(0.2, 1.5))
                count += 1
            else:
                while batches(home)[-1]["status"] not in ENDED:
                    time.sleep(0.5)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        assert batch["id"] == name
        rows = [json.loads(row) for row in (home / "files" / batch["output_file"]).open("rb")]
        answers = [
            [row["custom_id"], row["response"]["body"]["choices"][0]["message"]["content"]]
            for row in rows
        ]
        seconds = round(time.monotonic() - begin)
        results.append({"counts": batch["counts"], "answers": answers, "seconds": seconds})
    return told(results, {"server": count})


def told(results: list[Row], kills: dict[str, int]) -> Row:
    """Whether a disturbed result is the undisturbed one, but for the time it took."""
    calm, disturbed_result = results
    same = all(calm[key] == disturbed_result[key] for key in calm if key != "seconds")
    rows = len(calm.get("losses", calm.get("answers", ())))
    return {"kills": kills, "same": same, "rows": rows, "seconds": [r["seconds"] for r in results]}


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["job", "batch"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    works: dict[str, Callable[[Path, int, int], Row]] = {"job": kill_jobs, "batch": kill_batches}
    home = options.home or Path(tempfile.mkdtemp(prefix="swath-kills-"))
    result = works[options.what](home, options.kills, options.seed)
    print(json.dumps(result))
    sys.exit(not result["same"])


if __name__ == "__main__":
    main()
