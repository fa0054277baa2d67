"""Notes of readers: what they leave out or choose, so that nothing passes silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from swath.annotations.findings import Finding

_USED: ContextVar[set[Path] | None] = ContextVar("used", default=None)
_NOTED: ContextVar[list[Finding] | None] = ContextVar("noted", default=None)

Kept = TypeVar("Kept")


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


def files_used() -> AbstractContextManager[set[Path]]:
    """Collects the files that readers use until the block ends."""
    return _collecting(_USED, set())


def noted() -> AbstractContextManager[list[Finding]]:
    """Collects what readers note until the block ends."""
    return _collecting(_NOTED, [])


@contextmanager
def _collecting(where: ContextVar[Kept | None], kept: Kept) -> Iterator[Kept]:
    token = where.set(kept)
    try:
        yield kept
    finally:
        where.reset(token)
