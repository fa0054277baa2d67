"""The plan: what a tuning would train and how long it would take, from a few real steps."""

from __future__ import annotations

import itertools
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.instructions.builder import InstructionSet
from swath.recipe import Recipe
from swath.tuning.setup import Prepared, stage_groups
from swath.tuning.stages import PartCount, count_parts, prepare
from swath.tuning.trainer import Watch

TRIED = 6
"""Steps that are run; the fastest counts, as the first ones warm up and others may be disturbed."""


@dataclass(frozen=True)
class StagePlan:
    """One stage as it would run here.

    Args:
        name: of the stage.
        steps: it would take.
        seconds: it would take, from the steps tried.
        parts: what would learn.
    """

    name: str
    steps: int
    seconds: float
    parts: tuple[PartCount, ...]


@dataclass(frozen=True)
class Plan:
    """A tuning as it would run here.

    Args:
        stages: in order.
        memory_mb: peak of this process while trying, megabytes of 10^6 bytes.
        disk_mb: of weights, heads and optimiser in one checkpoint, megabytes.
    """

    stages: tuple[StagePlan, ...]
    memory_mb: float
    disk_mb: float


def plan(built: InstructionSet, recipe: Recipe) -> Plan:
    """Try a few steps of every stage on a throw-away copy of the model.

    Raises:
        TuningError: there is nothing to train on.
        ModelError: the base is not there.
    """
    prepared = Prepared(built, recipe, stage_groups(built, recipe))
    model, stages, disk = prepared.loaded.model, [], 0.0
    for number, stage in enumerate(recipe.tuning.stages):
        model = prepare(model, prepared.loaded, stage)
        rows: list[dict[str, Any]] = []
        watch = Watch(stage.name, None, rows)
        with tempfile.TemporaryDirectory() as folder:
            batches = prepared.batches(model, number)
            watch.trainer = prepared.trainer(model, number, batches, Path(folder), TRIED)
            watch.trainer.add_callback(watch)
            watch.trainer.train()
            files = [file for file in Path(folder).rglob("*") if file.is_file()]
            disk = max(disk, sum(file.stat().st_size for file in files) / 1e6)
        ends = [row["seconds"] for row in rows]
        each = min(after - before for before, after in itertools.pairwise(ends))
        steps = prepared.steps(number, batches)
        parts = tuple(count_parts(model, prepared.loaded))
        stages.append(StagePlan(stage.name, steps, steps * each, parts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = peak / 1e6 if sys.platform == "darwin" else peak / 1e3
    return Plan(tuple(stages), memory, disk)
