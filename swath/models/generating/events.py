"""Streams of server-sent events, as OpenAI-compatible endpoints send an answer while it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson


def growing_text(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """The words so far and the choice that added to them, up to the one that ends the answer.

    Raises:
        ValueError: an event is an error or no part of an answer, or the stream ends too soon.
    """
    text = ""
    for line in lines:
        if not line.startswith("data:") or line.endswith("[DONE]"):
            continue
        event = orjson.loads(line.removeprefix("data:"))
        try:
            choice = event["choices"][0] if event["choices"] else {"delta": {}}
            text += choice["delta"].get("content") or ""
        except (LookupError, TypeError, AttributeError):
            raise ValueError(line) from None
        yield text, choice
        if choice.get("finish_reason"):
            return
    raise ValueError("its answer broke off")
