"""Is anything lost or done twice when a server and its workers are killed?

    python benchmarks/serving_kills.py job [--kills 50] [--seed 0] [--seconds S] [--home FOLDER]
    python benchmarks/serving_kills.py batch [--kills 50] [--seed 0] [--seconds S] [--home FOLDER]

`job` tunes a tiny model once undisturbed and once while `kill -9` hits the server, the worker or
both at random moments; the server is started again each time. Every step's loss has to be told once
and be the same, and the weights have to be the same bytes. `batch` does so with the answers of
swath-nano to a batch. After `--seconds` nothing more is killed. Servers are forked, so that nothing
is imported anew; a job's worker is a process of its own, as always.
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
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from swath.annotations.drawn import draw_set
from swath.files import LOSSES, FormatError, read_json
from swath.imagery.synthetic import SCENE_KINDS
from swath.models.loading import load_base
from swath.recipe import Models
from swath.serving.app import create_app
from swath.serving.jobs.state import State
from swath.serving.jobs.worker import PROCESS

Row = dict[str, Any]
QUESTION = "What kind of scene is this?"
ENDED = ("succeeded", "failed", "cancelled", "completed", "expired")


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


def in_a_process(work: Callable[[], None]) -> int:
    """Do some work in a process of its own, forked so that nothing is imported anew."""
    process = os.fork()
    if not process:
        work()
        os._exit(0)
    return process


@dataclass(frozen=True)
class Home:
    """A server's folder, and what is asked of the server.

    Args:
        folder: its state lies here.
        kind: "job" or "batch".
        models: what is served, by name.
    """

    folder: Path
    kind: str
    models: dict[str, str]

    def begin(self, rows: list[Row], purpose: str, path: str, field: str, body: Row) -> None:
        """Upload rows and post a body whose field names them; a server has yet to do the work."""

        def ask() -> None:
            client = TestClient(create_app(self.models, self.folder), "http://127.0.0.1")
            data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            fields = {"data": {"purpose": purpose}, "files": {"file": ("rows.jsonl", data)}}
            file = client.post("/v1/files", **fields).raise_for_status().json()["id"]
            client.post(path, json={**body, field: file}).raise_for_status()

        os.waitpid(in_a_process(ask), 0)

    @property
    def latest(self) -> Row:
        """The job or batch that was begun last."""
        return self.read(lambda state: state.all(self.kind))[-1]

    def read(self, what: Callable[[State], list[Row]]) -> list[Row]:
        """Rows of the server's state."""
        state = State(self.folder / "state.sqlite")
        rows = what(state)
        state.close()
        return rows

    def serve(self) -> None:
        """Be a server that works off what it was asked for, until the process ends."""
        app = create_app(self.models, self.folder)

        async def live() -> None:
            async with app.router.lifespan_context(app):
                await asyncio.sleep(3600)

        asyncio.run(live())

    @property
    def has_ended(self) -> bool:
        """Whether the last thing has."""
        return self.latest["status"] in ENDED

    def finish(self, kills: int, disturb: Callable[[Row], list[str]], until: float) -> Counter[str]:
        """Serve until the last thing has ended; how often what was killed on the way.

        Args:
            kills: at most so many.
            disturb: waits, and says which of "server" and "worker" are killed.
            until: no kills after this moment.
        """
        counts: Counter[str] = Counter()
        server = 0
        while not self.has_ended:
            server = server or in_a_process(self.serve)
            if counts.total() >= kills or time.monotonic() > until:
                time.sleep(0.2)
                continue
            targets = disturb(self.latest)
            folder = self.folder / "jobs" / self.latest["id"]
            counts["worker"] += "worker" in targets and kill_worker(folder)
            if "server" in targets:
                end(server)
                server = 0
                counts["server"] += 1
            print(dict(counts), self.latest["status"], self.latest.get("step"), flush=True)
        if server:
            end(server)
        return counts


def end(process: int) -> None:
    """End a server as an empty battery would."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def kill_worker(folder: Path) -> bool:
    """Kill the process that a job's folder names; whether there was one."""
    with suppress(FormatError, ProcessLookupError):
        row = read_json(folder / PROCESS)
        command = Path(f"/proc/{row['process']}/cmdline")
        if command.is_file() and str(folder).encode() in command.read_bytes():
            os.killpg(row["process"], signal.SIGKILL)
            return True
    return False


def kill_jobs(home: Path, kills: int, rng: random.Random, seconds: float) -> Row:
    """A tuning with and without kills of its worker and its server."""
    load_base(Models(weights="tiny"), seed=1).save(home / "tiny")
    place = Home(home / "serving", "job", {"tiny": str(home / "tiny")})
    rows = []
    for row in chips(80, home / "drawn"):
        turn = {"role": "assistant", "content": row["label"]}
        rows.append({"messages": [*row["messages"], turn]})

    def disturb(job: Row) -> list[str]:
        """Kill while the worker starts, or after so many steps that it got to a checkpoint or not.

        A worker that dies ten times without a step more has failed, and is right to.
        """
        losses = place.folder / "jobs" / job["id"] / "run" / LOSSES
        before, begin = steps_in(losses), time.monotonic()
        longest = rng.choice([3.0, 60.0, 60.0])
        steps = rng.randint(0, 60)  # 40 from checkpoint to checkpoint
        while steps_in(losses) - before < steps and time.monotonic() - begin < longest:
            if place.has_ended:
                return []
            before = min(before, steps_in(losses))  # it went on from its checkpoint
            time.sleep(0.1)
        return rng.choice([["server"], ["worker"], ["server", "worker"]])

    results, counts = [], Counter[str]()
    for most in (0, kills):
        begin = time.monotonic()
        settings = {"n_epochs": 20, "batch_size": 4}
        body = {"model": "tiny", "seed": 3, "hyperparameters": settings}
        place.begin(rows, "fine-tune", "/v1/fine_tuning/jobs", "training_file", body)
        counts = place.finish(most, disturb, begin + seconds)
        results.append(job_result(place) | {"seconds": round(time.monotonic() - begin)})
    return told(results, counts)


def job_result(home: Home) -> Row:
    """What has to be the same: each step's loss as it was told, and the weights' digest."""
    job = home.latest
    events = home.read(lambda state: state.events(job["id"]))
    steps = [event["data"] for event in events if event["type"] == "metrics"]
    weights = home.folder / "jobs" / job["id"] / "run" / "model" / "model.safetensors"
    return {
        "status": job["status"],
        "losses": [[data["step"], data["train_loss"]] for data in steps],
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "tokens": job["tokens"],
    }


def steps_in(losses: Path) -> int:
    """Lines of a run's file of losses."""
    return losses.read_bytes().count(b"\n") if losses.is_file() else 0


def kill_batches(home: Path, kills: int, rng: random.Random, seconds: float) -> Row:
    """A batch with and without kills of the server that answers it."""
    place = Home(home / "serving", "batch", {"swath-nano": "swath-nano"})
    lines = []
    for number, row in enumerate(chips(50, home / "drawn") * 16):
        body = {"model": "swath-nano", "messages": row["messages"], "max_tokens": 16}
        line = {"custom_id": f"chip-{number}", "method": "POST", "body": body}
        lines.append(line | {"url": "/v1/chat/completions"})

    def disturb(_: Row) -> list[str]:
        time.sleep(rng.uniform(0.2, 1.5))
        return ["server"]

    results, counts = [], Counter[str]()
    for most in (0, kills):
        begin = time.monotonic()
        body = {"endpoint": "/v1/chat/completions"}
        place.begin(lines, "batch", "/v1/batches", "input_file_id", body)
        counts = place.finish(most, disturb, begin + seconds)
        batch = place.latest
        rows = [json.loads(row) for row in (place.folder / "files" / batch["output_file"]).open()]
        answers = [
            [row["custom_id"], row["response"]["body"]["choices"][0]["message"]["content"]]
            for row in rows
        ]
        taken = round(time.monotonic() - begin)
        results.append({"counts": batch["counts"], "answers": answers, "seconds": taken})
    return told(results, counts)


def told(results: list[Row], kills: Counter[str]) -> Row:
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
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="swath-kills-"))
    work = {"job": kill_jobs, "batch": kill_batches}[options.what]
    result = work(home, options.kills, random.Random(options.seed), options.seconds)
    print(json.dumps(result))
    sys.exit(not result["same"])


if __name__ == "__main__":
    main()
