"""Sections on what learns, and how: models and tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from swath.recipe.section import Section


class Parts(Section):
    """A model put together from a vision tower, a connector and a language model."""

    vision: str = Field(description="Folder or Hub name of the vision tower.")
    language: str = Field(description="Folder or Hub name of the language model.")
    connector: Literal[
        "linear", "multi-linear", "mlp2x_gelu", "merge4", "qformer", "none", "cross-attention"
    ] = Field(
        "mlp2x_gelu", description="Between them; `cross-attention` makes a vision encoder-decoder."
    )
    vision_revision: str | None = Field(None, description="Commit of the tower's repository.")
    language_revision: str | None = Field(
        None, description="Commit of the language model's repository."
    )


class Models(Section):
    """The model tuning starts from."""

    base: str = Field("swath-nano", description="`swath-nano`, a folder, a run or a Hub name.")
    parts: Parts | None = Field(None, description="Put a model together instead of a base.")
    revision: str | None = Field(None, description="Commit of the Hub model.")
    weights: Literal["pretrained", "random", "tiny"] = Field(
        "pretrained",
        description="`random` starts from nothing; `tiny`, as --tiny does, also makes it small.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Of frozen weights; `auto`: half precision on a GPU, else float32. "
        "What learns is float32 whatever it says.",
    )
    quantize: Literal["none", "4bit", "8bit"] = Field(
        "none",
        description="The language model's frozen matrices in so many bits, while an adapter "
        "learns (extra `qlora`).",
    )
    longest: int | None = Field(
        None, gt=0, description="Rows of more tokens are left out; nothing: all the model can read."
    )
    dialect: str | None = Field(
        None, description="Row of the dialect table for box text; nothing: the family's."
    )
    template: str | None = Field(
        None, description="Row of the template table; nothing: the checkpoint's own, if it serves."
    )
    tokenizer: Literal["base", "train"] = Field(
        "base", description="`train` makes a new one from the set's own words (swath-nano only)."
    )

    @model_validator(mode="after")
    def _one_revision_each(self) -> Models:
        if self.parts is not None and self.revision is not None:
            raise ValueError(
                "revision is of a base; parts have vision_revision and language_revision"
            )
        return self

    @property
    def name(self) -> str:
        """What the model is called: its base, or its parts."""
        if self.parts is None:
            return self.base
        return f"{self.parts.vision} + {self.parts.connector} + {self.parts.language}"


class Lora(Section):
    """A low-rank adapter beside the language model's frozen weights."""

    kind: Literal["lora", "rslora", "dora"] = Field(
        "lora", description="`rslora` scales by the root of the rank, `dora` learns lengths apart."
    )
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
    contrast: float = Field(
        0.0, ge=0, description="Weight of telling which caption of the batch is whose, as in CLIP."
    )
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing of the class.")
    vocabulary: int = Field(200, gt=0, description="How many of the commonest caption words.")
    mixup: float = Field(
        0.0, ge=0, description="Beta(a, a) of image mixing in steps without text loss; 0: none."
    )

    @property
    def wanted(self) -> bool:
        """Whether any of the losses has a weight."""
        return bool(self.label or self.words or self.contrast)


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
    epochs: float = Field(1.0, gt=0, description="Passes over what `epoch_of` says.")
    epoch_of: Literal["rows", "images"] = Field(
        "rows",
        description="What an epoch shows once: `rows` every question, `images` every image with "
        "`rows_per_image` of its questions, chosen anew each time. Without text loss: images.",
    )
    steps: int | None = Field(None, gt=0, description="Exactly so many steps, whatever `epochs`.")
    tasks: list[str] | None = Field(None, description="Tasks asked here; nothing: all of the set.")
    mix: dict[str, float] = Field(
        default_factory=dict,
        description="Share of the batch each task gets; nothing: all in turn.",
    )
    balance: Literal["none", "sampling", "loss"] = Field(
        "none", description="Rare classes: drawn more often, or weighing more in the loss."
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak rate, after warm-up.")
    learning_rates: dict[Part, float] = Field(
        default_factory=dict, description="Other peak rates for some of the parts."
    )
    batch_size: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        32, description="Images a batch; `auto`: what memory holds, tried on the longest rows."
    )
    accumulate: int = Field(
        1,
        gt=0,
        description="Batches whose gradients make one step. Several processes share the step's "
        "images; of `auto` each has its own.",
    )
    checkpointing: bool = Field(
        False, description="Compute activations twice instead of holding them."
    )
    rows_per_image: int = Field(
        3, gt=0, description="Questions asked of one image at once, at most, on one shared prefix."
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
        if self.text_loss == 0 and not self.image_loss.wanted:
            raise ValueError("text_loss and image_loss are all 0, so nothing would be learnt")
        if {"language", "lora"} <= set(self.train):
            raise ValueError("train names both language and lora; an adapter needs it frozen")
        return self


class Stop(Section):
    """Early stopping on a task's score over held-out questions; the best weights are kept."""

    task: str = Field(description="Task whose headline score counts.")
    split: Literal["train", "val"] = Field("val", description="Where its questions are taken.")
    questions: int = Field(100, gt=0, description="How many are asked.")
    every: int = Field(100, gt=0, description="Steps between two scores.")
    patience: int = Field(3, gt=0, description="Scores without a better one before stopping.")


class Tuning(Section):
    """The phases, in order, and how they run."""

    stages: list[Stage] = Field(default_factory=lambda: [Stage()], min_length=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Of multiplications; `auto`: the frozen weights' half precision, or bf16 "
        "where the processor computes it, else fp32.",
    )
    stop: Stop | None = Field(None, description="Stop a stage early and keep its best weights.")
    validate_every: int | None = Field(
        None, gt=0, description="Steps between two losses on the val split."
    )
    track: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        default_factory=list, description="Where else losses are shown."
    )
    threads: int | None = Field(None, gt=0, description="CPU threads; nothing: all free cores.")
    save_every: int = Field(200, gt=0, description="Steps between checkpoints to resume from.")
    keep_checkpoints: int = Field(1, ge=1, description="How many of them stay on disk.")
    checkpoints_stay: bool = Field(False, description="Whether these outlive the run, in stages/.")
    sample_every: int | None = Field(
        None,
        gt=0,
        description="Steps between answers to a few held-out questions, kept to be seen.",
    )
    prove: int = Field(
        8, ge=0, description="Questions asked of the model as tuned and as read back from disk."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Tuning:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages are called {', '.join(names)}; give each its own name")
        adapters = [stage.lora for stage in self.stages if "lora" in stage.train]
        if any(adapter != adapters[0] for adapter in adapters):
            raise ValueError("stages that train lora share one adapter; give all the same lora")
        return self
