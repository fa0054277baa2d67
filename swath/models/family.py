"""The table of model families: where a family keeps its parts and how it writes boxes."""

from __future__ import annotations

from dataclasses import dataclass

from swath.registry import Registry


@dataclass(frozen=True)
class Family:
    """What swath must know of a family beyond what `transformers` says.

    Args:
        vision: the vision tower's place in the model.
        projector: the projector's.
        language: the language model's, where adapters are rooted.
        image_token: text that stands for one image feature.
        dialect: row of the dialect table that its box text follows.
        mean, std: of pixel values from 0 to 1, subtracted and divided.
        shared_prefix: several questions may share one image prefix under a block mask.
    """

    vision: str
    projector: str
    language: str
    image_token: str
    dialect: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shared_prefix: bool


FAMILIES: Registry[Family] = Registry("model family", "swath.families")

FAMILIES.add(
    "swath_nano",
    Family(
        vision="model.vision_tower",
        projector="model.multi_modal_projector",
        language="model.language_model",
        image_token="<image>",
        dialect="geochat",
        mean=(0.4, 0.4, 0.4),
        std=(0.22, 0.22, 0.22),
        shared_prefix=True,
    ),
)
