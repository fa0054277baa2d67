"""Requests of all clients answered together, token by token, by one thread.

Each model has its rows, which grow by a token in every step; models take turns. A question that
came joins the rows as soon as one is free, without waiting for others to end. Clients take
turns for free rows: one with many questions does not keep another waiting behind all of them.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from swath.errors import SwathError
from swath.models.generating.growing import Growing
from swath.models.generating.rows import Rows
from swath.serving.protocol import ServeError, without_places

Result = TypeVar("Result")

JOINING = 8
"""Questions read between two steps at most, so that answers under way go on."""

FAILURES = (
    *(SwathError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, AssertionError, MemoryError, OSError),
)
"""What a model's code raises on input or memory it cannot deal with."""


@dataclass(eq=False)
class Ticket:
    """Answers that somebody waits for.

    Args:
        rows: of the model that is asked.
        answers: to one question.
        loop: of who waits.
        growing: who waits wants to see the answers grow, and not their end alone.
        client: that they are one of; clients take turns.
    """

    rows: Rows
    answers: Sequence[Growing]
    loop: asyncio.AbstractEventLoop
    growing: bool = True
    client: str = ""
    gone: bool = False
    error: ServeError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.error is not None or all(answer.finish for answer in self.answers)

    async def step(self) -> None:
        """Wait until an answer has grown, or all have ended.

        Raises:
            ServeError: the model failed.
        """
        await self.changed.wait()
        self.changed.clear()
        if self.error is not None:
            raise self.error

    def tell(self) -> None:
        """Wake who waits; called by the thread that answers."""
        try:
            self.loop.call_soon_threadsafe(self.changed.set)
        except RuntimeError:  # the loop has ended, and with it who waited
            self.gone = True


@dataclass
class Work:
    """What was done since the server began, for `/metrics`."""

    steps: int = 0
    rows: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    answers: int = 0
    left: int = 0
    failures: int = 0
    seconds: float = 0.0


class Batching:
    """The thread that answers.

    Args:
        rows: answers that grow at the same time, of each model.
        waiting: answers that wait for a row at most.
    """

    def __init__(self, rows: int, waiting: int) -> None:
        self.work = Work()
        self._most_rows, self._most_waiting = rows, waiting
        self._waiting: deque[tuple[Ticket, Growing]] = deque()
        self._growing: dict[Rows, list[tuple[Ticket, Growing]]] = {}
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="swath-batching", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether questions are answered."""
        return self._thread.is_alive() and not self._closed

    @property
    def waiting(self) -> int:
        """Answers that have not begun."""
        return len(self._waiting)

    @property
    def growing(self) -> int:
        """Answers that are under way."""
        return sum(len(pairs) for pairs in list(self._growing.values()))

    def submit(
        self, rows: Rows, answers: Sequence[Growing], growing: bool = True, client: str = ""
    ) -> Ticket:
        """Have answers begun as soon as there are rows for them; see `Ticket`.

        Raises:
            ServeError: status 429, too many wait already; or 503, the server is ending.
        """
        ticket = Ticket(rows, answers, asyncio.get_running_loop(), growing, client)
        with self._condition:
            self._check_open()
            if len(self._waiting) + len(answers) > self._most_waiting:
                raise ServeError(
                    429,
                    f"{len(self._waiting)} answers wait for their turn already; ask again later.",
                    code="queue_full",
                    headers={"Retry-After": str(self._wait_s())},
                )
            self._waiting.extend((ticket, answer) for answer in answers)
            self._condition.notify()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give up what somebody waited for; its rows are free before the next step."""
        ticket.gone = True
        with self._condition:
            self._condition.notify()

    def call(self, function: Callable[[], Result]) -> Future[Result]:
        """What a function will return that needs the models for itself, between two steps."""
        future: Future[Result] = Future()
        with self._condition:
            self._check_open()
            self._calls.append((function, future))
            self._condition.notify()
        return future

    def close(self) -> None:
        """End; who still waits is told."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _check_open(self) -> None:
        if not self.alive:
            raise ServeError(503, "The server is ending; ask again later.", code="ending")

    def _wait_s(self) -> int:
        """Seconds until the answers that wait now have begun, about."""
        each_s = self.work.seconds / max(1, self.work.answers)
        return max(1, min(600, math.ceil(each_s * len(self._waiting))))

    def _run(self) -> None:
        try:
            while self._await_work():
                self._make_calls()
                self._forget_gone()
                self._admit()
                for rows in list(self._growing):
                    self._step(rows)
        finally:  # however it ends, nobody waits for ever
            self._closed = True
            pairs = [pair for pairs in self._growing.values() for pair in pairs]
            for ticket, _ in [*self._waiting, *pairs]:
                _fail(ticket, ServeError(503, "The server ended.", code="ending"))
            for _, future in self._calls:
                future.cancel()

    def _await_work(self) -> bool:
        with self._condition:
            while not (self._closed or self._waiting or self._growing or self._calls):
                self._condition.wait()
            return not self._closed

    def _make_calls(self) -> None:
        while self._calls:
            function, future = self._calls.popleft()
            try:
                future.set_result(function())
            except FAILURES as error:
                future.set_exception(_as_failure(error))

    def _forget_gone(self) -> None:
        for rows, pairs in list(self._growing.items()):
            leaving = [answer for ticket, answer in pairs if ticket.gone]
            if leaving:
                rows.leave(leaving)
                self.work.left += len(leaving)
                self._keep(rows, [pair for pair in pairs if not pair[0].gone])
        with self._condition:
            staying = [pair for pair in self._waiting if not pair[0].gone]
            self.work.left += len(self._waiting) - len(staying)
            self._waiting = deque(staying)

    def _admit(self) -> None:
        """Let some of those who wait join, while their model has rows free."""
        waiting: dict[Rows, list[tuple[Ticket, Growing]]] = {}
        with self._condition:
            for pair in self._waiting:
                waiting.setdefault(pair[0].rows, []).append(pair)
            joining = {rows: self._next(rows, pairs) for rows, pairs in waiting.items()}
            leaving = {id(answer) for pairs in joining.values() for _, answer in pairs}
            self._waiting = deque(pair for pair in self._waiting if id(pair[1]) not in leaving)
        for rows, pairs in joining.items():
            for shows in (True, False):
                group = [pair for pair in pairs if bool(pair[1].prompt.paths) == shows]
                if group:
                    self._join(rows, group)

    def _next(
        self, rows: Rows, waiting: list[tuple[Ticket, Growing]]
    ) -> list[tuple[Ticket, Growing]]:
        """Who of those that wait for a model joins now: clients with fewer answers under way first.

        Args:
            rows: of the model.
            waiting: in the order in which they came.
        """
        growing = self._growing.get(rows, [])
        count = min(JOINING, self._most_rows - len(growing))
        under_way = Counter(ticket.client for ticket, _ in growing)
        places: list[tuple[int, int]] = []
        for place, (ticket, _) in enumerate(waiting):
            places.append((under_way[ticket.client], place))
            under_way[ticket.client] += 1
        return [waiting[place] for _, place in sorted(places)[: max(0, count)]]

    def _join(self, rows: Rows, pairs: list[tuple[Ticket, Growing]]) -> None:
        began = time.monotonic()
        try:
            rows.join([answer for _, answer in pairs])
        except FAILURES as error:
            begun = any(answer.ids for _, answer in pairs)
            if len(pairs) > 1 and not begun:  # only the one that cannot be read shall fail
                for pair in pairs:
                    self._join(rows, [pair])
                return
            self.work.failures += len(pairs)
            for ticket, _ in pairs:
                _fail(ticket, _as_failure(error))
            return
        self.work.seconds += time.monotonic() - began
        self.work.prompt_tokens += sum(len(answer.prompt.encoded.ids) for _, answer in pairs)
        self._growing.setdefault(rows, []).extend(pairs)
        self._tell(rows, pairs)

    def _step(self, rows: Rows) -> None:
        pairs = self._growing[rows]
        began = time.monotonic()
        try:
            rows.step()
        except FAILURES as error:
            rows.leave(rows.answers)
            self.work.failures += len(pairs)
            for ticket, _ in pairs:
                _fail(ticket, _as_failure(error))
            self._keep(rows, [])
            return
        self.work.steps += 1
        self.work.rows += len(pairs)
        self.work.seconds += time.monotonic() - began
        self._tell(rows, pairs)

    def _tell(self, rows: Rows, pairs: list[tuple[Ticket, Growing]]) -> None:
        """Wake those whose answers have grown, and let go what has ended."""
        self.work.new_tokens += len(pairs)
        self.work.answers += sum(answer.finish is not None for _, answer in pairs)
        growing = [pair for pair in self._growing.get(rows, ()) if pair[1].finish is None]
        self._keep(rows, growing)
        for ticket, answer in pairs:
            if answer.finish == "error":
                _fail(ticket, ServeError(500, f"The model failed: {answer.trouble}."))
        for ticket in dict.fromkeys(ticket for ticket, _ in pairs):
            if ticket.growing or ticket.ended:
                ticket.tell()

    def _keep(self, rows: Rows, pairs: list[tuple[Ticket, Growing]]) -> None:
        if pairs:
            self._growing[rows] = pairs
        else:
            self._growing.pop(rows, None)


def _fail(ticket: Ticket, error: ServeError) -> None:
    ticket.error = error
    ticket.gone = True
    ticket.tell()


def _as_failure(error: BaseException) -> ServeError:
    """What failed, as who asked is told."""
    if isinstance(error, ServeError):
        return error
    if isinstance(error, SwathError):
        return ServeError(400, without_places(str(error)))
    words = " ".join(str(error).split())[:200]
    return ServeError(500, f"The model failed: {without_places(words)}", code="model_failed")
