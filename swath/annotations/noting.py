"""Notes of readers: what they leave out or choose, so that nothing passes silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from swath.annotations.finding import Finding

_NOTED: ContextVar[list[Finding] | None] = ContextVar("noted", default=None)


def note(kind: str, where: object, what: str, effect: str, count: int = 1) -> None:
    """Say what is left out, or read otherwise than one may expect, and what swath does about it."""
    found = _NOTED.get()
    if found is not None:
        found.append(Finding(kind, str(where), what, "see that it is meant so", count, effect))


@contextmanager
def noted() -> Iterator[list[Finding]]:
    """Collects what readers note until the block ends."""
    found: list[Finding] = []
    token = _NOTED.set(found)
    try:
        yield found
    finally:
        _NOTED.reset(token)
