"""Everything that can be configured: one section a stage, under the stage's name.

A recipe is a YAML file. It may build on another one (`extends: pixtral-aid`) and be overridden by
dotted keys (`tuning.stages.0.epochs=3`), see `swath.recipes`. Unknown keys are refused.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swath.recipe.data import (
    Annotations,
    Conversations,
    Documents,
    Drawn,
    Imagery,
    Instructions,
    Rendering,
    Writer,
)
from swath.recipe.learning import Augment, ImageLoss, Lora, Models, Part, Parts, Stage, Stop, Tuning
from swath.recipe.section import Section
from swath.recipe.use import Evaluation, Export, Remote

__all__ = [
    "Annotations",
    "Augment",
    "Conversations",
    "Documents",
    "Drawn",
    "Evaluation",
    "Export",
    "ImageLoss",
    "Imagery",
    "Instructions",
    "Lora",
    "Models",
    "Part",
    "Parts",
    "Recipe",
    "Remote",
    "Rendering",
    "Section",
    "Stage",
    "Stop",
    "Tuning",
    "Writer",
]


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
    tiny: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys that --tiny changes, for a small random model of the same architecture.",
    )
