"""What every measurement here says besides its result: which run, on which machine, how long."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import Score
from swath.evaluation.metrics.statistics import Difference
from swath.evaluation.predictions import Prediction, read_predictions
from swath.files import read_json, read_losses, write_json


def machine() -> dict[str, Any]:
    """Processor, cores, threads and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def core_seconds(run: Path) -> float:
    """Seconds of all stages of a run times the threads it ran on.

    Raises:
        EvaluationError: the run was continued after an interruption, so `run.json` lacks the time
            before it.
    """
    for before, after in pairwise(read_losses(run)):
        # The clock of a continued stage starts again in the middle of its steps.
        if after["step"] > before["step"] and after["seconds"] < before["seconds"]:
            raise EvaluationError(
                f"{run}: stage '{after['stage']}' was interrupted and continued, so its time is "
                "not known; say --core-seconds."
            )
    told = read_json(run / "run.json")
    return float(sum(stage["seconds"] for stage in told["stages"]) * told["threads"])


def tuned_predictions(run: Path, task: str) -> list[Prediction]:
    """What the tuned model of an evaluated run answered to one task.

    Raises:
        EvaluationError: it was not asked that.
    """
    path = run / "evaluation" / "tuned" / "predictions.jsonl"
    found = [one for one in read_predictions(path) if one.task == task]
    if not found:
        raise EvaluationError(f"{path}: no answer to task '{task}'; evaluate a run that has it.")
    return found


def described(run: Path) -> dict[str, Any]:
    """What a run started from and took, for the result."""
    told = read_json(run / "run.json")
    keys = ("base", "precision", "bf16", "threads", "stages", "versions")
    return {"folder": run.name, **{key: told[key] for key in keys}}


def rows(values: Mapping[str, Score] | Mapping[str, Difference]) -> dict[str, Any]:
    """Scores or differences, by metric, as JSON objects."""
    return {metric: asdict(value) for metric, value in values.items()}


def finish(result: dict[str, Any], out: Path | None) -> None:
    """Print a result as JSON, or write it where `out` says."""
    if out is None:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    write_json(out, result)
    print(f"{out}: written")
