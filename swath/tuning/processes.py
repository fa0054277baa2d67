"""Several processes of one tuning, as `torchrun` starts them: who writes, and what all agree on.

In a single process nothing waits, and everybody agrees.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
from accelerate import PartialState
from torch import distributed, nn

PATIENCE = timedelta(days=2)
"""How long processes wait for one another: the first builds the set and proves the run."""


def join() -> None:
    """Meet the other processes, each on its own GPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def count() -> int:
    """How many processes tune together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first() -> bool:
    """Whether this process is the one that writes, prints and asks."""
    return number() == 0


def wait() -> None:
    """Go on when all are here."""
    if count() > 1:
        distributed.barrier()


def agreed(value: Any) -> Any:
    """The first process's value, for all of them."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gathered(value: Any) -> list[Any]:
    """The value of every process, in order."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def mean_of(parts: dict[str, float]) -> dict[str, float]:
    """The mean of each value over the processes; who lacks one counts as 0."""
    totals: dict[str, float] = {}
    for part in gathered(parts):
        for name, value in part.items():
            totals[name] = totals.get(name, 0.0) + value
    return {name: total / count() for name, total in totals.items()}


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean gradient of parameters that the trainer does not share."""
    if count() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= count()
