"""Everything that can be configured: one section a stage, under the stage's name.

A recipe is a YAML file. It may build on another one (`extends: pixtral-aid`) and be overridden by
dotted keys (`tuning.stages.0.epochs=3`). Unknown keys are refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from swath.errors import RecipeError
from swath.registry import did_you_mean

SHIPPED = Path(__file__).parent / "recipes"


class Section(BaseModel):
    """A part of a recipe: frozen, and refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Imagery(Section):
    """How pixels reach the model."""

    cache_px: int = Field(
        128, ge=32, le=2048, description="Longest side, in pixels, at which images are held."
    )


class Drawn(Section):
    """Scenes drawn by swath itself, with everything in them known."""

    kinds: Literal["base", "quickstart"] = Field("base", description="Which scene kinds to draw.")
    count: int = Field(800, gt=0, description="How many scenes.")
    size_px: int = Field(112, ge=48, le=1024, description="Side of a scene in pixels.")


class Annotations(Section):
    """Where images and labels come from, and how they are split."""

    source: str | None = Field(
        None, description="Folder or file of the annotations; nothing when scenes are drawn."
    )
    format: str = Field("auto", description="Reader; `auto` recognises it by looking.")
    drawn: Drawn | None = Field(None, description="Draw scenes instead of reading a source.")
    classes: dict[str, str | None] = Field(
        default_factory=dict, description="Rename classes; null leaves a class out."
    )
    split: dict[str, float] = Field(
        default_factory=lambda: {"train": 0.8, "val": 0.0, "test": 0.2},
        description="Shares of the splits when the source does not bring its own.",
    )
    keep_given_split: bool = Field(True, description="Use the source's own split where it has one.")
    limit_per_class: int | None = Field(None, gt=0, description="At most so many images a class.")
    unreadable: Literal["refuse", "drop"] = Field(
        "refuse", description="What to do with images that cannot be opened; dropped are listed."
    )
    allow_leakage: bool = Field(
        False, description="Tune although identical images stand in train and test; it is reported."
    )


class Instructions(Section):
    """Which questions are asked about the images."""

    tasks: list[str] = Field(
        default_factory=lambda: ["classify", "caption", "refer", "count"],
        description="Rows of the task table; those without annotations are left out.",
    )
    phrasing: str = Field("plain", description="Row of the phrasing table: how questions are put.")
    system: str | None = Field(
        None, description="Instruction before the first question; {labels} lists the classes."
    )
    answer: Literal["text", "json"] = Field(
        "text", description="`json`: classify answers with `image_description` and `label`."
    )
    captions_per_image: int = Field(5, gt=0, description="At most so many captions an image.")
    boxes_per_image: int = Field(4, gt=0, description="At most so many refer questions an image.")
    counts_per_image: int = Field(2, gt=0, description="At most so many count questions an image.")


class Models(Section):
    """The model tuning starts from."""

    base: str = Field("swath-nano", description="`swath-nano`, a folder, a run or a Hub name.")
    revision: str | None = Field(None, description="Commit of the Hub model.")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="`random` starts from nothing, to measure what a base is worth."
    )
    tokenizer: Literal["base", "train"] = Field(
        "base", description="`train` makes a new one from the set's own words (swath-nano only)."
    )


class Lora(Section):
    """A low-rank adapter beside the language model's frozen weights."""

    rank: int = Field(16, gt=0, description="Rank of the update.")
    alpha: float = Field(32.0, gt=0, description="Scale; the update is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the update.")
    targets: list[str] = Field(
        default_factory=lambda: [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ],
        description="Layers of the language model that get an adapter.",
    )  # fmt: skip


class ImageLoss(Section):
    """Auxiliary losses on the vision tower's mean feature; their heads are thrown away after."""

    label: float = Field(0.0, ge=0, description="Weight of predicting the scene class.")
    words: float = Field(0.0, ge=0, description="Weight of predicting the caption's words.")
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing of the class.")
    vocabulary: int = Field(200, gt=0, description="How many of the commonest caption words.")
    mixup: float = Field(
        0.0, ge=0, description="Beta(a, a) of image mixing in steps without text loss; 0: none."
    )


class Augment(Section):
    """Changes to training images; boxes move with them."""

    turn: bool = Field(True, description="Quarter turns and flips, where no words name directions.")
    crop: float = Field(
        0.6, gt=0, le=1, description="Least share of the area kept, where no boxes or counts are."
    )
    colour: float = Field(0.2, ge=0, le=1, description="Strength of brightness and colour change.")


Part = Literal["vision", "projector", "language", "lora"]
"""A part of a model that a stage may train; `lora` is an adapter on the language model."""


def _adapter() -> list[Part]:
    return ["projector", "lora"]


class Stage(Section):
    """One phase of tuning."""

    name: str = Field("tune", description="As shown in the loss curve.")
    train: list[Part] = Field(default_factory=_adapter, min_length=1, description="What learns.")
    epochs: float = Field(1.0, gt=0, description="Passes over the training images.")
    steps: int | None = Field(None, gt=0, description="Exactly so many steps, whatever `epochs`.")
    learning_rate: float = Field(1e-4, gt=0, description="Peak rate, after warm-up.")
    batch_size: int = Field(32, gt=0, description="Images a step.")
    rows_per_image: int = Field(
        3, gt=0, description="Questions asked of one image in one step, on one shared prefix."
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW decay of matrices.")
    warmup: float = Field(0.04, ge=0, lt=1, description="Share of the steps to reach the peak.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="After it.")
    beta2: float = Field(0.98, gt=0, lt=1, description="AdamW's second moment.")
    clip: float = Field(2.0, gt=0, description="Largest gradient norm.")
    text_loss: float = Field(1.0, ge=0, description="Weight of the answers' loss; 0 skips words.")
    average: Literal["token", "answer"] = Field(
        "token", description="What counts the same in the text loss: each token or each answer."
    )
    image_loss: ImageLoss = Field(default_factory=ImageLoss, description="Losses on the tower.")
    augment: Augment = Field(default_factory=Augment, description="Changes to images.")
    lora: Lora = Field(default_factory=Lora, description="Adapter, where `train` names it.")

    @model_validator(mode="after")
    def _sensible(self) -> Stage:
        if self.text_loss == 0 and self.image_loss.label == 0 and self.image_loss.words == 0:
            raise ValueError("text_loss and image_loss are all 0, so nothing would be learnt")
        if {"language", "lora"} <= set(self.train):
            raise ValueError("train names both language and lora; an adapter needs it frozen")
        return self


class Tuning(Section):
    """The phases, in order, and how they run."""

    stages: list[Stage] = Field(default_factory=lambda: [Stage()], min_length=1)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="`auto`: bf16 where the processor computes it, else fp32."
    )
    threads: int | None = Field(None, gt=0, description="CPU threads; nothing: all free cores.")
    save_every: int = Field(200, gt=0, description="Steps between checkpoints to resume from.")
    keep_checkpoints: int = Field(1, ge=1, description="How many of them stay on disk.")

    @model_validator(mode="after")
    def _names_differ(self) -> Tuning:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages are called {', '.join(names)}; give each its own name")
        adapters = [stage.lora for stage in self.stages if "lora" in stage.train]
        if any(one != adapters[0] for one in adapters):
            raise ValueError("stages that train lora share one adapter; give all the same lora")
        return self


class Evaluation(Section):
    """How the tuned model is measured."""

    split: Literal["train", "val", "test"] = Field("test", description="Which part is asked.")
    closed: bool = Field(
        True, description="Answer classify by scoring the labels: no answer can be invalid."
    )
    views: int = Field(
        1, ge=1, le=8, description="Turned and flipped views whose scores are averaged (closed)."
    )
    max_new_tokens: int = Field(48, gt=0, description="Longest open answer.")
    batch_size: int = Field(32, gt=0, description="Questions answered at once.")
    captions_limit: int | None = Field(None, gt=0, description="Caption at most so many images.")
    resamples: int = Field(1000, gt=0, description="Bootstrap resamples behind an interval.")


class Export(Section):
    """How the model leaves swath."""

    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="Of weights.")
    prove_on: int = Field(16, gt=0, description="Questions a fresh process must answer alike.")


class Recipe(Section):
    """One experiment, from images to report."""

    name: str = Field(
        pattern=r"^[^/\\.\x00-\x1f][^/\\\x00-\x1f]*$",
        description="Names the run's folder: no slash, no leading dot.",
    )
    about: str = Field("", description="What it is for, in a sentence.")
    seed: int = Field(0, ge=0, description="Of drawing, splitting, phrasing and tuning.")
    imagery: Imagery = Field(default_factory=Imagery)
    annotations: Annotations = Field(default_factory=Annotations)
    instructions: Instructions = Field(default_factory=Instructions)
    models: Models = Field(default_factory=Models)
    tuning: Tuning = Field(default_factory=Tuning)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    export: Export = Field(default_factory=Export)


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or the shipped one of that name, with dotted keys replaced.

    Raises:
        RecipeError: there is no such recipe, it is not YAML, or a key or value is refused.
    """
    path = find_recipe(name)
    values = _with_base(path, seen=())
    values.setdefault("name", path.stem)
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise RecipeError(f"'{override}': an override has the form section.key=value.")
        _set(values, key.split("."), _yaml(value, f"override {key}"), override)
    return validate(values, path.name)


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path that exists, or the name of one that swath ships."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    shipped = SHIPPED / f"{name}.yaml"
    if str(name) in shipped_recipes():
        return shipped
    raise RecipeError(f"no recipe '{name}'{did_you_mean(str(name), shipped_recipes())}")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with swath."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def validate(values: dict[str, Any], where: str) -> Recipe:
    """The recipe of a mapping.

    Raises:
        RecipeError: a key is unknown (the nearest is offered) or a value does not fit.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_advice(error, where)) from None


def dump(recipe: Recipe) -> str:
    """The recipe as YAML; `load_recipe` reads it back."""
    text: str = yaml.safe_dump(
        recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return text


def describe() -> Iterable[tuple[str, str, str]]:
    """(dotted key, default, description) of everything a recipe may hold."""
    return _describe(Recipe, "")


def _describe(section: type[Section], prefix: str) -> Iterable[tuple[str, str, str]]:
    for key, field in section.model_fields.items():
        inner = _section_of(field.annotation)
        many = "[]" if "list[" in str(field.annotation) else ""
        if inner is not None:
            yield from _describe(inner, f"{prefix}{key}{many}.")
            continue
        default = (
            "(required)" if field.is_required() else field.get_default(call_default_factory=True)
        )
        yield f"{prefix}{key}", str(default), field.description or ""


def _section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_section_of(argument) for argument in getattr(annotation, "__args__", ()))
    return next((section for section in inner if section is not None), None)


def _with_base(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise RecipeError(f"{path.name}: extends itself, by way of {seen[-1].name}.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}).") from None
    values = _yaml(text, path.name)
    if not isinstance(values, dict):
        raise RecipeError(f"{path.name}: a recipe is a mapping of sections.")
    base = values.pop("extends", None)
    if base is None:
        return values
    beside = path.parent / f"{base}.yaml"
    return _merged(
        _with_base(beside if beside.is_file() else find_recipe(str(base)), (*seen, path)), values
    )


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _merged(below[key], above[key])
            if key in below and key in above
            else copy.deepcopy(above.get(key, below.get(key)))
            for key in {**below, **above}
        }
    return copy.deepcopy(above)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(
            f"{where}{line}: not valid YAML ({getattr(error, 'problem', error)})."
        ) from None


def _set(values: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    place: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise RecipeError(
                    f"'{override}': '{key}' is no item; it counts from 0 to {len(place) - 1}."
                )
            if last:
                place[int(key)] = value
            place = place[int(key)]
        elif last:
            place[key] = value
        else:
            if place.get(key) is None:
                place[key] = {}
            place = place[key]
            if not isinstance(place, dict | list):
                raise RecipeError(f"'{override}': '{key}' holds a value, not a section.")


def _advice(error: ValidationError, where: str) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            section: Any = Recipe
            for part in item["loc"][:-1]:
                if isinstance(part, str):
                    section = _section_of(section.model_fields[part].annotation)
            known = list(section.model_fields)
            lines.append(f"{key}: unknown key{did_you_mean(str(item['loc'][-1]), known)}")
        else:
            lines.append(
                f"{key}: {item['msg'].removeprefix('Value error, ')} (got {item['input']!r})"
            )
    return f"{where}: " + "; ".join(lines)
