"""A model behind an OpenAI-compatible address: asked until it answers, and never twice the same."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import orjson

from swath.errors import EndpointError, RequestError
from swath.files import Journal
from swath.recipe import Remote

TRIES = 6
"""Requests made before an endpoint that is busy or away is given up."""
ASKS = 3
"""Answers taken before a model that writes what cannot be used is given up."""
PAUSE_S = 1.0
"""Wait after the first failed request; each further wait is twice as long."""
LONGEST_PAUSE_S = 120.0
"""Wait at most, whatever the endpoint's `Retry-After` asks for."""
TIMEOUT_S = 180.0
LARGEST_ANSWER = 64 << 20
"""Bytes of an answer; who sends more is no model."""
LIST_TIMEOUT_S = 10.0
"""Longest wait for the list of models."""

THOUGHT = re.compile(
    r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A(?:(?!<think).)*</think(?:ing)?>"
    r"|◁think▷.*?(?:◁/think▷|\Z)|\[think\].*?(?:\[/think\]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
"""What a reasoning model writes before its answer."""
_REFUSALS = ("content_filter", "content_policy_violation")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Completion:
    """What came back.

    Args:
        answer: the words, what a model thinks aloud left out.
        refused: the model, or a filter before it, would not answer.
        cost: of this answer, in the currency of the prices; earlier ones that could not be used are
            kept apart.
        logprobs: the likeliest first tokens with their log-probabilities, where they were asked.
        boxes: that the answer names, where a server of swath's says so: rows of eight pixels of the
            picture sent.
    """

    answer: str
    refused: bool = False
    cost: float = 0.0
    logprobs: dict[str, float] = field(default_factory=dict)
    boxes: list[list[float]] | None = None


class Endpoint:
    """A model that answers chat messages.

    Args:
        address: as in `http://127.0.0.1:8000/v1`.
        model: its name there.
        key: environment variable that holds the key; it may be unset. Space around it is dropped.
        journal: where answers are kept and looked up.
        tries, timeout_s: requests made in all, and the longest wait for each to go on, and to end.
        prices: of a million tokens read and of a million written.
        max_cost: nothing more is asked once the journal's answers have cost so much; requests
            under way are still paid for.
        path: what is asked below the address.

    Once `stopped` is set, nobody waits for a busy endpoint any more.

    Raises:
        RequestError: the key holds signs that no header can.
    """

    def __init__(
        self,
        address: str,
        model: str,
        key: str,
        journal: Journal,
        tries: int | None = None,
        timeout_s: float | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
        max_cost: float | None = None,
        path: str = "/chat/completions",
    ) -> None:
        self.model, self.url = model, address.rstrip("/") + path
        self.where = re.sub(r"//[^/@]*@", "//", self.url)  # without user and password
        self.stopped = threading.Event()
        self.spent = sum(row.get("cost", 0.0) for row in journal.rows())
        self._journal, self._tries = journal, tries or TRIES
        self._prices, self._max_cost = prices, max_cost
        self._variable, self._key = key, os.environ.get(key, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise RequestError(f"{key}: its key holds a line break or foreign sign; set it anew.")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._timeout_s = timeout_s or TIMEOUT_S
        self._client = httpx.Client(headers=headers, timeout=self._timeout_s)
        self._lock = threading.Lock()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._journal.close()

    def complete(
        self,
        body: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        about: str,
        key: str = "",
        accept: Callable[[str], bool] | None = None,
    ) -> Completion:
        """The answer to a request, from the journal if it is there.

        Args:
            body: the request without its model, or what makes it, if that takes time.
            about: what is asked about, for errors.
            key: under which the answer is kept; by default the request's own hash.
            accept: whether words can be used; by default any can. One that cannot is asked anew.

        Raises:
            EndpointError: it refuses, stays away, answers rubbish, or has cost too much.
        """
        if not key or not callable(body):
            body = body() if callable(body) else body
            key = key or digest({"model": self.model, **body})
        if remembered := self._journal.get(key):
            return Completion(
                **{name: value for name, value in remembered.items() if name != "key"}
            )
        request = {"model": self.model, **(body() if callable(body) else body)}
        reply = ""
        for _ in range(ASKS):
            self._check_cost(about)
            reply = self.posted(request, about)
            completion = self._read(reply, about)
            if completion is not None:
                with self._lock:
                    self.spent += completion.cost
                if completion.refused or accept is None or accept(completion.answer):
                    self._journal.put(key, asdict(completion))
                    return completion
                if completion.cost:  # paid for, though of no use
                    self._journal.put(f"{key} unused {uuid4().hex}", {"cost": completion.cost})
        raise EndpointError(
            f"{about}: {self.model} at {self.where} answered {ASKS} times what cannot be used, "
            f"last '{self._shown(reply)}'; look at its own log, or take another model. Answers so "
            f"far are kept."
        )

    @contextmanager
    def stream(self, body: Mapping[str, Any], about: str) -> Iterator[Iterator[str]]:
        """Lines of a streamed answer as they come; asked once, and not kept.

        Raises:
            EndpointError: it refuses, stays away or breaks off, or the block raises a ValueError
                about what came.
        """
        fields = {"model": self.model, **body, "stream": True}
        try:
            with self._client.stream("POST", self.url, json=fields) as response:
                if not response.is_success:
                    response.read()
                    raise ValueError(f"status {response.status_code}: {_message_of(response.text)}")
                yield _lines(response)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            trouble = str(error) or type(error).__name__
            raise self._failed(trouble, about, "Ask again.") from None

    def each(
        self,
        ask: Callable[[Item], Result],
        items: Sequence[Item],
        at_once: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Result]:
        """`ask` of every item, in their order, some at the same time.

        After an error or an interrupt, what has not begun is not asked.
        """
        results: dict[int, Result] = {}
        with ThreadPoolExecutor(at_once) as pool:
            jobs = {pool.submit(ask, item): place for place, item in enumerate(items)}
            try:
                for job in as_completed(jobs):
                    results[jobs[job]] = job.result()
                    if progress is not None:
                        progress(len(results), len(jobs))
            finally:
                if len(results) < len(jobs):
                    self.stopped.set()
                    pool.shutdown(wait=False, cancel_futures=True)
        return [results[place] for place in range(len(items))]

    def posted(self, request: Mapping[str, Any], about: str) -> str:
        """The body of the first response that is neither busy nor broken.

        Raises:
            EndpointError: it refuses or stays away.
        """
        wait, wished_wait, trouble = PAUSE_S, 0.0, ""
        for attempt in range(self._tries):
            if attempt:
                if self.stopped.wait(min(max(wait, wished_wait), LONGEST_PAUSE_S)):
                    break
                wait *= 2
            wished_wait = 0.0
            try:
                response, text = self._post(request)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                trouble = f"{type(error).__name__}: {error}"
                if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
                    break
                continue
            if response.is_success or (response.status_code == 400 and _names_a_filter(text)):
                return text
            trouble = f"status {response.status_code} {text}"
            if response.status_code not in (408, 429) and response.status_code < 500:
                break
            wished_wait = _seconds(response.headers.get("Retry-After", ""))
        raise self._failed(trouble, about)

    def _failed(
        self, trouble: str, about: str, advice: str = "The same command goes on where it stopped."
    ) -> EndpointError:
        return EndpointError(
            f"{about}: {self.where} gave no answer ({self._shown(trouble)}); is it running, does "
            f"it know the model '{self.model}', and does {self._variable} hold its key? {advice}"
        )

    def _post(self, request: Mapping[str, Any]) -> tuple[httpx.Response, str]:
        """A response and its body, which must end in time: some send spaces while they think."""
        until, body = time.monotonic() + self._timeout_s, bytearray()
        with self._client.stream("POST", self.url, json=request) as response:
            for part in _within_limit(response):
                body += part
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("its answer did not end")
        return response, body.decode("utf-8", "replace")

    def _read(self, body: str, about: str) -> Completion | None:
        """A chat completion; None for anything else."""
        try:
            value = orjson.loads(body)
            if "choices" not in value and _names_a_filter(body):
                return Completion("", refused=True)
            choice = value["choices"][0]
            message = choice["message"]
            content = message.get("content") or ""
            if isinstance(content, list):  # in parts, of which thoughts are some
                texts = [part["text"] for part in content if part.get("type") == "text"]
                content = "".join(texts)
            refusal = message.get("refusal") or ""
            filtered = choice.get("finish_reason") == "content_filter"
            first = ((choice.get("logprobs") or {}).get("content") or [{}])[0]
            logs = {
                token["token"]: float(token["logprob"]) for token in first.get("top_logprobs") or ()
            }
            boxes = boxes_beside(choice)
            text = " ".join(THOUGHT.sub("", content).split())
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        cost = self._cost(value.get("usage"), about)
        if refusal or filtered:
            return Completion(text or str(refusal), True, cost)
        return Completion(text, False, cost, logs, boxes)

    def _cost(self, usage: Any, about: str) -> float:
        if not any(self._prices):
            return 0.0
        try:
            tokens = (usage["prompt_tokens"], usage["completion_tokens"])
            if min(tokens) < 0:  # would lift the limit
                raise TypeError
            return sum(n * price for n, price in zip(tokens, self._prices, strict=True)) / 1e6
        except (LookupError, TypeError):
            raise EndpointError(
                f"{about}: {self.where} does not say how many tokens it used, so what it costs "
                f"cannot be counted; leave prices and limit out."
            ) from None

    def _check_cost(self, about: str) -> None:
        if self._max_cost is not None and self.spent >= self._max_cost:
            raise EndpointError(
                f"{about}: not asked, because {self.model} has cost {self.spent:.2f} and the limit "
                f"is {self._max_cost:.2f}; answers so far are kept. Raise the limit to go on."
            )

    def _shown(self, text: str) -> str:
        """The beginning of a text, never with the key."""
        short = " ".join((text.replace(self._key, "***") if self._key else text).split())
        return short[:160] + ("..." if len(short) > 160 else "")


def reach(name: str, section: Remote, journal: Journal) -> Endpoint:
    """The endpoint of `http://host:8000/v1#model`, asked as a recipe says.

    Raises:
        RequestError: the name holds no model.
    """
    address, model = split_address(name)
    limits = (section.tries, section.timeout_s, section.prices, section.max_cost)
    return Endpoint(address, model, section.key, journal, *limits)


def request(section: Remote, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """A request at temperature 0, with the recipe's further fields over its own."""
    fields = {"temperature": 0, **options, **section.body}
    return {"messages": messages} | {k: value for k, value in fields.items() if value is not None}


def is_address(name: object) -> bool:
    """Whether a model's name is one behind an endpoint, as in `http://host:8000/v1#gpt-4o`."""
    return str(name).startswith(("http://", "https://"))


def split_address(name: str) -> tuple[str, str]:
    """Address and model of `http://host:8000/v1#gpt-4o`.

    Raises:
        RequestError: it names no model, or holds a password, which files and reports would show.
    """
    address, _, model = name.partition("#")
    if "@" in address:
        raise RequestError(
            f"'{host_of(address)}': its address holds a password; put it into the environment "
            f"variable that evaluation.remote.key names."
        )
    if not model or not is_address(address):
        raise RequestError(
            f"'{name}': a model behind an endpoint is written as http://host:8000/v1#its-name."
        )
    return address, model


def _within_limit(response: httpx.Response) -> Iterator[bytes]:
    """The parts of a body as they come.

    Raises:
        httpx.ReadError: they are more than `LARGEST_ANSWER`.
    """
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise httpx.ReadError(f"an answer of more than {LARGEST_ANSWER >> 20} MB")
        yield part


def _lines(response: httpx.Response) -> Iterator[str]:
    """The lines of a body as they come, whose last may lack its end."""
    begun = bytearray()
    for part in _within_limit(response):
        first, *further = part.split(b"\n")
        begun += first
        for line in further:
            yield begun.decode("utf-8", "replace").rstrip("\r")
            begun = bytearray(line)
    if begun:
        yield begun.decode("utf-8", "replace").rstrip("\r")


def models_at(address: str, key: str = Remote().key) -> list[dict[str, Any]]:
    """The models that an address serves, as it lists them; each has an `id`.

    Args:
        address: as in `http://127.0.0.1:8000/v1`.
        key: environment variable that holds the key; it may be unset.

    Raises:
        EndpointError: nothing answers there, or with no such list.
    """
    secret = os.environ.get(key, "").strip()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    url = address.rstrip("/") + "/models"
    try:
        with httpx.stream("GET", url, headers=headers, timeout=LIST_TIMEOUT_S) as response:
            response.raise_for_status()
            rows = orjson.loads(b"".join(_within_limit(response)))["data"]
        return [row for row in rows if isinstance(row["id"], str)]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        words = " ".join(str(error).split()).partition(" For more information")[0]
        raise EndpointError(
            f"{host_of(address)}: {url} lists no models ({words[:160]}); is a server running "
            f"there, and does {key} hold its key?"
        ) from None


def notation_at(address: str, model: str) -> str:
    """The row of the dialect table that regions are put in: a server of swath's reads its own."""
    try:
        cards = models_at(address)
    except EndpointError:  # not every endpoint lists what it serves
        return Remote().dialect
    ours = any(card["id"] == model and card.get("owned_by") == "swath" for card in cards)
    return "swath" if ours else Remote().dialect


def boxes_beside(choice: Mapping[str, Any]) -> list[list[float]] | None:
    """Boxes that a server of swath's names beside an answer's words; None of any other server.

    Returns:
        Rows of eight pixels of the picture sent.

    Raises:
        LookupError, TypeError, ValueError: it says something else.
    """
    notes = choice.get("swath")
    if notes is None:
        return None
    rows = []
    for box in notes["boxes"]:
        (x1, y1), (x2, y2), (x3, y3), (x4, y4) = box["pixels"]
        rows.append([float(value) for value in (x1, y1, x2, y2, x3, y3, x4, y4)])
    return rows


def host_of(address: str) -> str:
    """Host and port of an address, without user and password."""
    return re.sub(r"^\w+://(?:[^/@]*@)?|[/#].*", "", address)


def digest(value: Any) -> str:
    """A hash that is the same for the same value, whatever the order of its keys."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return hashlib.sha256(orjson.dumps(value, option=options)).hexdigest()


def _message_of(body: str) -> str:
    """What an error says, of a body in the shape of OpenAI's or any other."""
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return body


def _names_a_filter(body: str) -> bool:
    """Whether a filter before the model refused the request."""
    return any(name in body for name in _REFUSALS)


def _seconds(retry_after: str) -> float:
    """Seconds that a `Retry-After` header asks to wait: a number, or until a date."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
