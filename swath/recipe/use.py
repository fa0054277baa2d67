"""Sections on what is done with a tuned model: evaluation and export."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from swath.recipe.section import Section


class Remote(Section):
    """How models behind OpenAI-compatible endpoints are asked."""

    key: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    at_once: int = Field(4, gt=0, le=64, description="Requests under way at the same time.")
    image_px: int = Field(1024, ge=16, le=8192, description="Longest side of a picture sent.")
    image_format: Literal["png", "jpeg"] = Field("png", description="`jpeg` sends less, lossily.")
    dialect: str = Field("minigpt", description="Row of the dialect table that boxes are put in.")
    logprobs: bool = Field(
        False,
        description="Closed answers (20 labels at most) by the first token's probabilities; else "
        "the labels are listed and the answer is free.",
    )
    tries: int = Field(6, gt=0, description="Requests before a busy endpoint is given up.")
    timeout_s: float = Field(180.0, gt=0, description="Longest wait for one answer.")
    prices: tuple[float, float] = Field(
        (0.0, 0.0), description="Of a million tokens read, and of a million written."
    )
    max_cost: float | None = Field(
        None, gt=0, description="Nothing more is asked of a model that has cost so much."
    )
    body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of a request; null leaves one out."
    )

    @model_validator(mode="after")
    def _counted(self) -> Remote:
        if self.max_cost is not None and not any(self.prices):
            raise ValueError("max_cost needs the prices")
        return self


class Evaluation(Section):
    """How the tuned model is measured."""

    systems: list[str] | None = Field(
        None,
        min_length=1,
        description="Who answers: `base`, `tuned`, an address as http://host/v1#model; `blind` or "
        "`few-shot` alone or before one of these. Nothing: base and tuned.",
    )
    shots: int = Field(3, gt=0, description="Examples that `few-shot` shows of each task.")
    remote: Remote = Field(default_factory=Remote, description="How addresses are asked.")
    split: Literal["train", "val", "test"] = Field("test", description="Which part is asked.")
    closed: bool = Field(
        True, description="Answer classify by scoring the labels: no answer can be invalid."
    )
    schema_bound: bool = Field(
        True,
        description="Free answers of `instructions.answer: json` keep to its schema, so that none "
        "is invalid; false lets the model err, and counts it.",
    )
    views: int = Field(
        1, ge=1, le=8, description="Turned and flipped views whose scores are averaged (closed)."
    )
    max_new_tokens: int = Field(48, gt=0, description="Longest open answer.")
    batch_size: int = Field(32, gt=0, description="Questions answered at once.")
    captions_limit: int | None = Field(None, gt=0, description="Caption at most so many images.")
    clip: str | None = Field(
        None,
        description="Folder of a CLIP checkpoint; captions then get CLIPScore and RefCLIPScore.",
    )
    resamples: int = Field(1000, gt=0, description="Bootstrap resamples behind an interval.")


class Export(Section):
    """How the model leaves swath."""

    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="Of weights.")
    prove_on: int = Field(16, gt=0, description="Questions a fresh process must answer alike.")
