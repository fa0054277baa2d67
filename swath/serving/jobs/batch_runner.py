"""The runner of batches: sends each request through the application, and keeps each answer once.

What is answered stands in the state before anything else happens, so a server that is killed asks
the others alone when it is started again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from swath.files import replacing
from swath.serving.access import INSIDE
from swath.serving.jobs.batch_files import BatchLine, answer_row, batch_lines, unanswered_row
from swath.serving.jobs.batch_jobs import at_status, inputs_of, summary
from swath.serving.jobs.office import Office
from swath.serving.jobs.uploads import new_row, place
from swath.serving.protocol import Row, ServeError, now, without_places

TICK_S = 0.3
_LONGEST_WAIT_S = 30.0  # before a request is sent again that found the server busy
_BUSY = (429, 503)
_LATE = "The batch's time was over before this request was asked."


class BatchRunner:
    """Answers the batches of an office, one after another, some requests at a time.

    Args:
        office: whose batches.
        app: that answers.
        at_once: requests under way; fewer than the server takes, so that others get their turn.
    """

    def __init__(self, office: Office, app: ASGIApp, at_once: int) -> None:
        self._office, self._at_once = office, at_once
        transport = httpx.ASGITransport(_inside(app), raise_app_exceptions=False)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", timeout=None
        )

    async def run(self) -> None:
        """Answer batches until the task is cancelled; the next runner goes on."""
        async with self._client:
            while True:
                batches = await run_in_threadpool(self._office.state.all, "batch")
                waiting = [row for row in batches if row["status"] in _OPEN]
                if waiting:
                    await self._work(waiting[0])
                else:
                    await asyncio.sleep(TICK_S)

    async def _work(self, batch: Row) -> None:
        """Answer a batch and write its files; one whose own copies were damaged has failed."""
        try:
            await self._answer(batch)
            await run_in_threadpool(self._finish, batch)
        except (ServeError, OSError) as error:
            words = without_places(str(error))
            fields = {**at_status(batch, "failed"), "errors": [{"message": words, "count": 1}]}
            self._office.state.change("batch", batch["id"], **fields)

    async def _answer(self, batch: Row) -> None:
        """Send what was not answered yet, some at a time."""
        gate = asyncio.Semaphore(self._at_once)
        lines = self._remaining(batch)
        async with asyncio.TaskGroup() as group:
            while not self._is_to_end(batch):
                await gate.acquire()
                line = await run_in_threadpool(next, lines, None)
                if line is None:
                    break
                group.create_task(self._send(batch, line, gate))

    def _remaining(self, batch: Row) -> Iterator[BatchLine]:
        answered = self._office.state.answered(batch["id"])
        for line in _lines_of(self._office, batch):
            if line.number not in answered:
                yield line

    def _is_to_end(self, batch: Row) -> bool:
        row = self._office.state.get("batch", batch["id"])
        return row is None or row["status"] != "in_progress" or row["expires_at"] <= now()

    async def _send(self, batch: Row, line: BatchLine, gate: asyncio.Semaphore) -> None:
        try:
            answer = await self._ask(batch, line)
            if answer is not None:
                status, body = answer
                row = answer_row(line, batch["id"], status, body)
                keep = self._office.state.answer
                await run_in_threadpool(keep, batch["id"], line.number, row, status >= 400)
        finally:
            gate.release()

    async def _ask(self, batch: Row, line: BatchLine) -> tuple[int, Any] | None:
        """Status and body of the answer; None where the batch ended before the server had time."""
        body = {"model": batch["model"], **line.body} if batch["model"] else line.body
        headers = {"Content-Type": "application/json", "User-Agent": f"{batch['style']}-batch"}
        while True:
            response = await self._client.post(
                batch["endpoint"], content=orjson.dumps(body), headers=headers
            )
            if response.status_code not in _BUSY:
                return response.status_code, orjson.loads(response.content)
            wait_s = float(response.headers.get("Retry-After", 1))
            await asyncio.sleep(min(wait_s, _LONGEST_WAIT_S))
            if self._is_to_end(batch):
                return None

    def _finish(self, batch: Row) -> None:
        """Put answers into files and the batch into its last state: all of it, or nothing."""
        office, name = self._office, batch["id"]
        row = office.state.get("batch", name)
        if row is None:
            return
        status = "cancelled" if row["status"] == "cancelling" else "completed"
        if status == "completed" and row["expires_at"] <= now():
            status = self._expire(batch)
        messages: Counter[str] = Counter(
            _message(answer) for answer in office.state.answers(name, failed=True)
        )
        counts = office.state.count(name)
        files = [self._write(row, failed) if counts[failed] else None for failed in (False, True)]
        with office.state.transaction():
            for file in files:
                if file is not None:
                    office.state.add("file", file)
            office.state.change(
                "batch",
                name,
                **at_status(row, status),
                counts=counts,
                errors=summary(messages),
                output_file=files[0] and files[0]["id"],
                error_file=files[1] and files[1]["id"],
            )
            office.state.forget_answers(name)

    def _expire(self, batch: Row) -> str:
        """Enter as failed what was not asked in time; the state the batch comes to."""
        late = list(self._remaining(batch))
        with self._office.state.transaction():
            for line in late:
                row = unanswered_row(line, batch["id"], "batch_expired", _LATE)
                self._office.state.answer(batch["id"], line.number, row, failed=True)
        return "expired" if late else "completed"

    def _write(self, batch: Row, failed: bool) -> Row:
        """The file of a batch's answers, or of its failures; its row is still to be kept."""
        office, kind = self._office, "error" if failed else "output"
        name = f"file-{batch['id'].removeprefix('batch_')}-{kind}"
        sample_type = "batch_error" if failed else "batch_result"
        row = new_row(name, f"{batch['id']}_{kind}.jsonl", "batch_output", sample_type, "mistral")
        lines = 0
        with replacing(place(office, name)) as temporary, temporary.open("wb") as stream:
            for answer in office.state.answers(batch["id"], failed):
                stream.write(orjson.dumps(answer) + b"\n")
                lines += 1
            size = stream.tell()
        live_s = batch["files_live_s"]
        expires_at = row["created_at"] + live_s if live_s else None
        return row | {"bytes": size, "num_lines": lines, "expires_at": expires_at}


_OPEN = ("in_progress", "cancelling")


def _lines_of(office: Office, batch: Row) -> Iterator[BatchLine]:
    return batch_lines(inputs_of(office, batch["id"]), batch["style"], batch["endpoint"])


def _message(answer: Row) -> str:
    """Why a request failed."""
    if answer["error"]:
        return str(answer["error"]["message"])
    return str(answer["response"]["body"].get("message", "failed"))


def _inside(app: ASGIApp) -> ASGIApp:
    """The application, asked by the server itself: nothing a client sends can say so."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, INSIDE: True}, receive, send)

    return ask
