"""Chat templates of others, rendered in a process that has little time and room."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from threading import Lock, Timer
from typing import Any

from swath.errors import ModelError
from swath.models.foreign_templates import template_program

_SECONDS = 5
_ROOM = 1 << 30
_ADVICE = "take the template out of its folder, and choose one of swath's with models.template."


class TemplateError(ModelError):
    """A checkpoint's own chat template cannot frame some turns."""


def rendered(order: dict[str, Any], where: str) -> str:
    """The text of a template, its messages and its words, as `transformers` renders it.

    Raises:
        TemplateError: the template fails on these messages.
        ModelError: it takes more than `_SECONDS` or `_ROOM`.
    """
    return _renderer(os.getpid()).render(order, where)


class _Renderer:
    """A process for templates of others: no budget within their language holds for all of it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None

    def render(self, order: dict[str, Any], where: str) -> str:
        with self._lock:
            line = self._answer(json.dumps(order))
            if "text" in line:
                return line["text"]
            if "refusal" not in line:
                self.close()
        problem = line.get("refusal") or line.get("error", "")
        if not problem or problem.startswith(("MemoryError", "RecursionError")):
            raise ModelError(
                f"{where}: its own chat template takes more than {_SECONDS} s, {_ROOM >> 20} MB or "
                f"a thousand steps into one another for one conversation; {_ADVICE}"
            )
        raise TemplateError(
            f"{where}: its own chat template cannot frame a conversation ({problem}); {_ADVICE}"
        )

    def _answer(self, order: str) -> dict[str, str]:
        process = self._process = self._process or _started()
        assert process.stdin is not None and process.stdout is not None
        timer = Timer(_SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(order + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        return json.loads(line) if line.endswith("\n") else {}

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _started() -> subprocess.Popen[str]:
    """A process that is ready, whose start counts towards no limit."""
    process = subprocess.Popen(
        [sys.executable, "-I", template_program.__file__, str(_ROOM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise ModelError(
            f"{sys.executable} does not start, which renders a checkpoint's own chat template; "
            f"choose one of swath's with models.template."
        )
    return process


@cache
def _renderer(process_id: int) -> _Renderer:
    """The renderer of this process: one that was forked must not share its parent's."""
    renderer = _Renderer()
    atexit.register(renderer.close)
    return renderer
