"""Losses of a run as a curve of few points, read on as the run writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from swath.errors import FormatError
from swath.files import LOSSES

MOST_POINTS = 500
"""Of a curve: what a screen shows and a browser draws at once."""


class LossFile:
    """The losses of a run, kept in memory; each reading takes the lines that are new.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOSSES
        self._begin(number=0)

    def read(self) -> bool:
        """Take what was written since; whether there was anything.

        Raises:
            FormatError: a line is no JSON, or lacks a loss.
        """
        if not self.path.is_file():
            return False
        with self.path.open("rb") as stream:
            number = os.fstat(stream.fileno()).st_ino
            if number != self._file:
                self._begin(number)
                stream.readline()  # the header
                self._offset = stream.tell()
            stream.seek(self._offset)
            text = stream.read()
        whole_lines = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole_lines)
        for line in whole_lines.splitlines():
            self._take(line)
        return bool(whole_lines)

    def curve(self) -> dict[str, Any]:
        """Points (step, value) of `loss`, `val` and `score`; `stages`, (name, steps before it)."""
        return {
            "loss": _means(self._losses),
            "val": _thinned(self._validations),
            "score": _thinned(self._scores),
            "stages": self._stages,
        }

    @property
    def steps(self) -> int:
        """How many steps are done, over all stages."""
        return len(self._losses)

    @property
    def stages(self) -> int:
        """How many stages have begun."""
        return len(self._stages)

    @property
    def seconds_left(self) -> float | None:
        """Of the stage that runs, by its last steps; None while that is not known."""
        if len(self._times) < 2:
            return None
        each = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return each * (self.last["steps"] - self.last["step"])

    def _begin(self, number: int) -> None:
        """Forget all: a continued run writes a new file, of another number in the file system."""
        self.last: dict[str, Any] = {}
        self._file = number
        self._offset = 0
        self._losses: list[float] = []
        self._validations: list[tuple[int, float]] = []
        self._scores: list[tuple[int, float]] = []
        self._stages: list[tuple[str, int]] = []  # name, steps before it
        self._times: list[float] = []  # seconds at the last steps

    def _take(self, line: bytes) -> None:
        try:
            row = orjson.loads(line)
            # What answers cost; a stage that learns no words has only the whole.
            self._losses.append(float(row.get("text", row["loss"])))
            if row["stage"] != self.last.get("stage"):
                self._stages.append((row["stage"], len(self._losses) - 1))
                self._times = []
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{self.path}: a line cannot be read ({error!r}).") from None
        if "val" in row:
            self._validations.append((len(self._losses), row["val"]))
        if "score" in row:
            self._scores.append((len(self._losses), row["score"]))
        self._times = [*self._times[-20:], row["seconds"]]
        self.last = row


def _means(values: list[float]) -> list[tuple[int, float]]:
    """Means of so many neighbouring values that few points remain."""
    size = max(1, -(-len(values) // MOST_POINTS))
    points = []
    for start in range(0, len(values), size):
        part = values[start : start + size]
        points.append((start + len(part), round(sum(part) / len(part), 5)))
    return points


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every so many of the points, the last among them."""
    size = max(1, -(-len(points) // MOST_POINTS))
    return points[::-1][::size][::-1]
