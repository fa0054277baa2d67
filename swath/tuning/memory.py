"""How many rows a step can hold: tried on the longest, never guessed."""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from swath.errors import TuningError

SHARE = 0.8
"""Of the free memory; the rest is left for what a trial does not see."""

MOST = 64
"""Rows at most, however much memory there is."""


def fitting(step: Callable[[int], None], most: int, reserved: int = 0) -> int:
    """The largest of 1, 2, 4, ... rows whose step fits into 80 % of the free memory.

    Args:
        step: a step's forward and backward pass on so many rows.
        most: rows at most.
        reserved: bytes that steps will hold beside what is tried: the optimiser's.

    Raises:
        TuningError: not even one row fits.
    """
    _forget_peak()
    before = peak_memory()
    free = SHARE * available_memory() - reserved
    size = 1
    while True:
        try:
            step(size)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            if size == 1:
                raise TuningError(
                    "not even one row fits into memory; set tuning.stages checkpointing, train "
                    "lora, or lower rows_per_image or imagery.image_px."
                ) from None
            return size // 2
        # Weights' gradients do not grow with the rows, so this is careful.
        if 2 * size > min(most, MOST) or 2 * (peak_memory() - before) > free:
            return size
        size *= 2


def free_memory() -> None:
    """Give back what nobody refers to any more, to the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def can_run_out() -> bool:
    """Whether a step that needs too much is told so, as on a GPU, and may be tried otherwise."""
    return torch.cuda.is_available()


def peak_memory() -> int:
    """The most bytes this process has held, on the GPU if there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available_memory() -> int:
    """Bytes that can still be had, on the GPU if there is one.

    Raises:
        TuningError: this system does not say.
    """
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        raise TuningError(
            "batch_size: auto cannot tell how much memory is free here; give a number."
        ) from None
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = Path("/sys/fs/cgroup")  # a container may hold less than its machine
    with contextlib.suppress(OSError, ValueError):
        most = int((group / "memory.max").read_text())
        free = min(free, most - int((group / "memory.current").read_text()))
    return free


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # Linux alone knows how; elsewhere the peak stands
            Path("/proc/self/clear_refs").write_text("5")
