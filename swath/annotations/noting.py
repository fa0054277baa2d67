"""Notes of readers: what they leave out or choose, so that nothing passes silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from swath.annotations.finding import Finding

_USED: ContextVar[set[Path] | None] = ContextVar("used", default=None)
_NOTED: ContextVar[list[Finding] | None] = ContextVar("noted", default=None)


def note(
    kind: str,
    where: object,
    what: str,
    effect: str = "",
    count: int = 1,
    action: str = "see that it is meant so",
) -> None:
    """Say what is left out, or read otherwise than one may expect, and what swath does about it."""
    found = _NOTED.get()
    if found is not None:
        found.append(Finding(kind, str(where), what, action, count, effect))


def heard() -> bool:
    """Whether anyone collects notes; what nobody would hear of is an error."""
    return _NOTED.get() is not None


def using(file: Path) -> None:
    """Say that a file of annotations is read, so that those beside it that are not can be named."""
    used = _USED.get()
    if used is not None:
        used.add(file.absolute())


@contextmanager
def files_used() -> Iterator[set[Path]]:
    """Collects the files that readers use until the block ends."""
    used: set[Path] = set()
    token = _USED.set(used)
    try:
        yield used
    finally:
        _USED.reset(token)


@contextmanager
def noted() -> Iterator[list[Finding]]:
    """Collects what readers note until the block ends."""
    found: list[Finding] = []
    token = _NOTED.set(found)
    try:
        yield found
    finally:
        _NOTED.reset(token)
