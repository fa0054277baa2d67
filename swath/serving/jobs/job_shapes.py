"""A tuning job as it is kept, and as OpenAI's client and Mistral's read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swath.recipe import Recipe
from swath.serving.jobs.hyperparameters import Wish
from swath.serving.protocol import Row, new_id, now
from swath.serving.served import ServedModel

OPENAI_STATUS = {"validating": "validating_files", "ready": "paused"}
"""OpenAI's words where they differ from ours."""
MISTRAL_STATUS = {
    "validating": "VALIDATING",
    "ready": "VALIDATED",
    "queued": "QUEUED",
    "running": "RUNNING",
    "paused": "VALIDATED",
    "succeeded": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
MOST_POINTS = 500
"""Points of the loss curve that Mistral's client is sent with a job, evenly spread."""


def job_row(name: str, wish: Wish, model: ServedModel, recipe: Recipe) -> Row:
    """A new job as it is kept."""
    stage = recipe.tuning.stages[0]
    return {
        "id": name,
        "created_at": now(),
        "modified_at": now(),
        "started_at": None,
        "finished_at": None,
        "status": "validating",
        "moves": 0,
        "style": wish.style,
        "model": wish.model,
        "root": model.root or model.name,
        "training_files": list(wish.training),
        "validation_files": list(wish.validation),
        "suffix": wish.suffix,
        "seed": wish.seed,
        "metadata": dict(wish.metadata) if wish.metadata else None,
        "auto_start": wish.auto_start,
        "steps": stage.steps,
        "epochs": wish.epochs,
        "batch_size": stage.batch_size,
        "learning_rate": stage.learning_rate,
        "multiplier": wish.multiplier,
        "weight_decay": stage.weight_decay,
        "warmup": stage.warmup,
        "longest": wish.longest,
        "fine_tuned_model": None,
        "model_state": "served",
        "notes": {},
        "error": None,
        "step": 0,
        "tokens": 0,
        "starts": 0,
        "seconds": None,
        "ends_at": None,
    }


def tuned_name(root: str, suffix: str | None, job: str) -> str:
    """What the tuned model is called, as OpenAI calls its own."""
    return f"ft:{root}:swath:{suffix or ''}:{job[-8:]}"


def event_row(job: str, message: str, level: str, data: Row | None, kind: str = "message") -> Row:
    """An event of a job as it is kept, and as OpenAI's client reads it."""
    return {
        "id": new_id("ftevent"),
        "object": "fine_tuning.job.event",
        "created_at": now(),
        "level": level,
        "message": message,
        "type": kind,
        "data": data,
    }


def openai_job(job: Row) -> Row:
    """A job as OpenAI's client reads it."""
    settings = {
        "n_epochs": job["epochs"] or "auto",
        "batch_size": job["batch_size"],
        "learning_rate_multiplier": job["multiplier"] or "auto",
    }
    return {
        "id": job["id"],
        "object": "fine_tuning.job",
        "created_at": job["created_at"],
        "finished_at": job["finished_at"],
        "status": OPENAI_STATUS.get(job["status"], job["status"]),
        "model": job["model"],
        "fine_tuned_model": job["fine_tuned_model"],
        "organization_id": "swath",
        "training_file": job["training_files"][0],
        "validation_file": next(iter(job["validation_files"]), None),
        "result_files": [],
        "hyperparameters": settings,
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}},
        "seed": job["seed"],
        "suffix": job["suffix"],
        "metadata": job["metadata"],
        "integrations": [],
        "trained_tokens": job["tokens"] if job["status"] == "succeeded" else None,
        "error": job["error"],
        "estimated_finish": job["ends_at"],
    }


def mistral_job(
    job: Row, events: Sequence[Row] | None = None, price: tuple[float, str] | None = None
) -> Row:
    """A job as Mistral's client reads it, with events and losses where they are given."""
    settings = {
        "training_steps": job["steps"],
        "epochs": job["epochs"],
        "learning_rate": job["learning_rate"],
        "weight_decay": job["weight_decay"],
        "warmup_fraction": job["warmup"],
        "seq_len": job["longest"],
    }
    shape = {
        "id": job["id"],
        "object": "job",
        "job_type": "completion",
        "auto_start": job["auto_start"],
        "status": _mistral_status(job),
        "model": job["model"],
        "fine_tuned_model": job["fine_tuned_model"],
        "created_at": job["created_at"],
        "modified_at": job["modified_at"],
        "training_files": job["training_files"],
        "validation_files": job["validation_files"],
        "hyperparameters": settings,
        "suffix": job["suffix"],
        "integrations": [],
        "repositories": [],
        "trained_tokens": job["tokens"] if job["status"] == "succeeded" else None,
        "metadata": _cost(job, price),
    }
    if events is not None:
        shape["events"] = [_mistral_event(event) for event in events if _is_move(event)][::-1]
        shape["checkpoints"] = _curve([event for event in events if event["type"] == "metrics"])
    return shape


def _mistral_status(job: Row) -> str:
    if job["status"] == "failed" and job["started_at"] is None:
        return "FAILED_VALIDATION"
    return MISTRAL_STATUS[job["status"]]


def is_checkpoint(event: Row) -> bool:
    """Whether an event tells of a model."""
    return "checkpoint" in (event["data"] or {})


def model_checkpoint(job: Row, event: Row) -> Row:
    """A model that a job made, as OpenAI's client reads it."""
    data = event["data"]
    return {
        "id": event["id"].replace("ftevent", "ftckpt"),
        "object": "fine_tuning.job.checkpoint",
        "created_at": event["created_at"],
        "fine_tuned_model_checkpoint": data["checkpoint"],
        "fine_tuning_job_id": job["id"],
        "step_number": data["step"],
        "metrics": data["metrics"],
    }


def _is_move(event: Row) -> bool:
    return "status" in (event["data"] or {})


def _mistral_event(event: Row) -> Row:
    data: Row = {"status": MISTRAL_STATUS[event["data"]["status"]]}
    if event["level"] == "error":
        data["error"] = event["message"]
    return {"name": "status-updated", "created_at": event["created_at"], "data": data}


def _curve(events: Sequence[Row]) -> list[Row]:
    """Losses by step, newest first."""
    count = min(len(events), MOST_POINTS)
    points = [events[(place + 1) * len(events) // count - 1] for place in range(count)]
    return [_point(event) for event in points[::-1]]


def _point(event: Row) -> Row:
    data: dict[str, Any] = event["data"]
    metrics = {"train_loss": data["train_loss"], "valid_loss": data.get("valid_loss")}
    return {
        "step_number": data["step"],
        "created_at": event["created_at"],
        "metrics": {**metrics, "valid_mean_token_accuracy": None},
    }


def _cost(job: Row, price: tuple[float, str] | None) -> Row:
    seconds, step = job["seconds"], job["step"]
    each = round(job["tokens"] / step) if step else None
    cost = currency = None
    if price is not None and seconds is not None:
        cost, currency = round(seconds / 3600 * price[0], 4), price[1]
    return {
        "expected_duration_seconds": None if seconds is None else round(seconds),
        "cost": cost,
        "cost_currency": currency,
        "train_tokens_per_step": each,
        "train_tokens": each and each * job["steps"],
        "data_tokens": None,
        "estimated_start_time": None,
    }
