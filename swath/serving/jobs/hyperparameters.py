"""Requests for a tuning in OpenAI's and in Mistral's words, and the recipe that both become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from swath.recipe import Recipe
from swath.recipes import validate
from swath.serving.asking import Fields
from swath.serving.protocol import ServeError
from swath.serving.served import ServedModel

WHOLE_BELOW = 100_000_000
"""Models of fewer parameters learn as a whole, others through an adapter."""
RATES = {"whole": 8e-4, "adapter": 1e-4}
"""Peak learning rates; OpenAI's multiplier is of these."""
AUTO_ROWS = 3000
"""Rows that a tuning sees about, where the request leaves the epochs to us: 3 to 20 epochs."""
AUTO_BATCH = 32
KEPT = 3
"""Checkpoints of which there are models to choose from, as OpenAI keeps them."""
MOST_CHECKPOINTS = 10
"""Resume points of a tuning about; never more than 200 steps apart."""

Count = Annotated[int, Field(gt=0)] | Literal["auto"]
Suffix = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
Name = Annotated[str, Field(max_length=512)]


class OpenAIHyperparameters(Fields):
    """OpenAI's."""

    n_epochs: Count = "auto"
    batch_size: Count = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=1000)] | Literal["auto"] = "auto"


class Supervised(Fields):
    """Settings of `method.type` "supervised"."""

    hyperparameters: OpenAIHyperparameters = OpenAIHyperparameters()


class Method(Fields):
    """How OpenAI's job learns."""

    type: Literal["supervised"]
    supervised: Supervised = Supervised()


class OpenAIJob(Fields):
    """The body of OpenAI's `fine_tuning.jobs.create`."""

    model: Name
    training_file: Name
    validation_file: Name | None = None
    hyperparameters: OpenAIHyperparameters | None = None
    method: Method | None = None
    suffix: Suffix | None = None
    seed: int | None = Field(None, ge=0, lt=2**31)
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = Field(None, max_length=0)


class MistralHyperparameters(Fields):
    """Mistral's."""

    training_steps: int | None = Field(None, gt=0, le=10_000_000)
    epochs: float | None = Field(None, gt=0, le=10_000)
    learning_rate: float = Field(1e-4, gt=0, le=1)
    weight_decay: float | None = Field(None, ge=0, le=1)
    warmup_fraction: float | None = Field(None, ge=0, lt=1)
    seq_len: int | None = Field(None, gt=0)
    fim_ratio: Literal[0] | None = None


class WeighedFile(Fields):
    """One of Mistral's training files."""

    file_id: Name
    weight: float = Field(1, gt=0)


class MistralJob(Fields):
    """The body of Mistral's `fine_tuning.jobs.create`."""

    model: Name
    hyperparameters: MistralHyperparameters
    training_files: list[WeighedFile] = Field(min_length=1, max_length=100)
    validation_files: list[Name] | None = Field(None, max_length=100)
    suffix: Suffix | None = None
    auto_start: bool | None = None
    invalid_sample_skip_percentage: float = Field(0, ge=0, lt=1)
    job_type: Literal["completion"] | None = None
    integrations: list[Any] | None = Field(None, max_length=0)
    repositories: list[Any] | None = Field(None, max_length=0)
    classifier_targets: list[Any] | None = Field(None, max_length=0)


Body = TypeVar("Body", bound=Fields)


def parsed(body: type[Body], values: Any) -> Body:
    """A request's body.

    Raises:
        RequestValidationError: a field is missing, unknown, or of another type or size.
    """
    try:
        return body.model_validate(values)
    except ValidationError as error:
        rows = [{**row, "loc": ("body", *row["loc"])} for row in error.errors()]
        raise RequestValidationError(rows) from None


@dataclass(frozen=True)
class Wish:
    """A tuning that is asked for, whoever's words it came in.

    Args:
        style: "openai" or "mistral".
        model: name of the model to be tuned.
        training, validation: ids of files.
        suffix: of the tuned model's name.
        seed: of the recipe.
        metadata: kept with the job.
        skip: share of a file's lines that may be bad.
        auto_start: whether it begins by itself.
        epochs, steps, batch_size, rate, multiplier: None where they are left to us.
        further: other keys of the recipe's stage.
        longest: tokens of a row.
    """

    style: str
    model: str
    training: tuple[str, ...]
    validation: tuple[str, ...] = ()
    suffix: str | None = None
    seed: int = 0
    metadata: Mapping[str, str] | None = None
    skip: float = 0.0
    auto_start: bool = True
    epochs: float | None = None
    steps: int | None = None
    batch_size: int | None = None
    rate: float | None = None
    multiplier: float | None = None
    further: Mapping[str, float] | None = None
    longest: int | None = None


def openai_wish(values: Any) -> Wish:
    """What a body of OpenAI's asks for.

    Raises:
        RequestValidationError: see `parsed`.
    """
    body = parsed(OpenAIJob, values)
    settings = body.hyperparameters or OpenAIHyperparameters()
    if body.method is not None:
        settings = body.method.supervised.hyperparameters
    multiplier = _number(settings.learning_rate_multiplier)
    size = _number(settings.batch_size)
    return Wish(
        "openai",
        body.model,
        (body.training_file,),
        (body.validation_file,) if body.validation_file else (),
        body.suffix,
        body.seed or 0,
        body.metadata,
        epochs=_number(settings.n_epochs),
        batch_size=None if size is None else int(size),
        multiplier=multiplier,
    )


def mistral_wish(values: Any) -> Wish:
    """What a body of Mistral's asks for.

    Raises:
        RequestValidationError: see `parsed`.
        ServeError: weights of files differ.
    """
    body = parsed(MistralJob, values)
    settings = body.hyperparameters
    if len({file.weight for file in body.training_files}) > 1:
        raise ServeError(
            422,
            "The weights of training files differ, and every line is learnt from alike here; "
            "repeat lines instead.",
            "training_files",
        )
    further = {"weight_decay": settings.weight_decay, "warmup": settings.warmup_fraction}
    return Wish(
        "mistral",
        body.model,
        tuple([file.file_id for file in body.training_files]),
        tuple(body.validation_files or ()),
        body.suffix,
        skip=body.invalid_sample_skip_percentage,
        auto_start=body.auto_start is not False,
        epochs=settings.epochs,
        steps=settings.training_steps,
        rate=settings.learning_rate,
        further={key: value for key, value in further.items() if value is not None},
        longest=settings.seq_len,
    )


def recipe_of(
    wish: Wish, model: ServedModel, training: list[Path], validation: list[Path], rows: int
) -> Recipe:
    """The recipe that `swath tune` runs.

    Args:
        wish: what is asked for.
        model: that is tuned.
        training, validation: the files, where they lie.
        rows: lines to learn from.

    Raises:
        RecipeError: a value is refused.
    """
    loaded = model.engine.loaded
    count = sum(parameter.numel() for parameter in loaded.model.parameters())
    full = count < WHOLE_BELOW
    size = wish.batch_size or min(AUTO_BATCH, rows)
    epochs = wish.epochs or min(20, max(3, round(AUTO_ROWS / rows)))
    steps = wish.steps or max(1, round(epochs * rows / size))
    rate = wish.rate or RATES["whole" if full else "adapter"] * (wish.multiplier or 1)
    interval = max(1, min(200, steps // MOST_CHECKPOINTS))
    stage = {
        "train": ["vision", "projector", "language"] if full else ["projector", "lora"],
        "steps": steps,
        "batch_size": size,
        "learning_rate": rate,
        # Words of a file may name places in its pictures.
        "augment": {"turn": False, "crop": 1},
        **(wish.further or {}),
    }
    conversations = {
        "train": [str(path) for path in training],
        "val": [str(path) for path in validation],
        "style": wish.style,
        "skip_invalid": wish.skip,
    }
    embedded = str(model.path) == "swath-nano"
    base = "swath-nano" if embedded else str(model.path.absolute())
    values = {
        "name": "run",
        "about": f"A tuning of {model.name}, asked for in {wish.style}'s words.",
        "seed": wish.seed,
        "imagery": loaded.imagery.model_dump(mode="json"),
        "instructions": {"conversations": conversations},
        "models": {"base": base, "longest": wish.longest},
        "tuning": {
            "stages": [stage],
            "save_every": interval,
            "keep_checkpoints": KEPT + 1,  # the last one is the model itself
            "checkpoints_stay": full,
            "validate_every": interval if validation else None,
        },
    }
    return validate(values, "the job's recipe")


def _number(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
