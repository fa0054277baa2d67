"""The table of model families: where a family keeps its parts, reads pixels and writes boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from swath.errors import ModelError
from swath.registry import Registry

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

Pixels = Literal["images", "sized", "patches", "rows", "encoder"]
"""How pixels are handed over: (images, 3, side, side) alone; with their sizes; cut into patches
with their grid; as (rows, images, 3, side, side); to an encoder beside the words."""


@dataclass(frozen=True)
class Family:
    """What swath must know of a family beyond what `transformers` says.

    Args:
        vision: the vision tower's place in the model.
        projector: the places of what lies between tower and language model.
        language: the language model's, where adapters are rooted.
        side: pixels a side the checkpoint was made for, from its config.
        patch: the side is a multiple of this, from its config.
        image_tokens: tokens one image of that side becomes, from config and side.
        image_token: text that stands for one image feature.
        written: text of a whole image, from its number of tokens.
        template: row of the template table, where the checkpoint brings none that serves.
        dialect: row of the dialect table that answers' boxes follow.
        regions: row that boxes in a question follow.
        tokens: control tokens that `written` holds beside the image's.
        mean, std: of pixel values from 0 to 1, where the checkpoint does not say.
        pixels: how they are handed over.
        image_processor: class of `transformers`' image processor, named in saved folders.
        processor: class of its processor of images and words, if it has one.
        processing: more settings of the two, "pixels" and "words", from config and side.
        any_side: the tower reads pictures of any side, without a table of positions to resize.
        shared_prefix: several questions may share one image prefix under a block mask.
        left_padding: prompts of different lengths may be answered in one batch.
        many_images: a conversation may show several images.
    """

    side: Callable[[Any], int]
    patch: Callable[[Any], int]
    image_tokens: Callable[[Any, int], int]
    template: str
    vision: str = "model.vision_tower"
    projector: tuple[str, ...] = ("model.multi_modal_projector",)
    language: str = "model.language_model"
    image_token: str = "<image>"
    dialect: str = "geochat"
    regions: str = "geochat-region"
    written: Callable[[str, int], str] = str.__mul__
    tokens: tuple[str, ...] = ()
    mean: tuple[float, float, float] = CLIP[0]
    std: tuple[float, float, float] = CLIP[1]
    pixels: Pixels = "images"
    image_processor: str = "CLIPImageProcessor"
    processor: str = ""
    processing: dict[str, Callable[[Any, int], dict[str, Any]]] = field(default_factory=dict)
    any_side: bool = False
    shared_prefix: bool = True
    left_padding: bool = True
    many_images: bool = True


FAMILIES: Registry[Family] = Registry("model family", "swath.families")


def _grid(side: int, patch: int) -> int:
    return (side // patch) ** 2


def _pixtral_rows(token: str, count: int) -> str:
    """Rows of the grid, each ended by a break, the last by an end."""
    columns = round(count**0.5)
    return "[IMG_BREAK]".join([token * columns] * columns) + "[IMG_END]"


def _smolvlm_frame(token: str, count: int) -> str:
    around = "<fake_token_around_image>"
    return f"{around}<global-img>{token * count}{around}"


FAMILIES.add(
    "swath_nano",
    Family(
        side=lambda config: int(config.image_size),
        patch=lambda config: 16,
        image_tokens=lambda config, side: _grid(side, 16),
        template="nano",
        mean=(0.4, 0.4, 0.4),
        std=(0.22, 0.22, 0.22),
    ),
)
FAMILIES.add(
    "llava",
    Family(
        side=lambda config: int(config.vision_config.image_size),
        patch=lambda config: int(config.vision_config.patch_size),
        image_tokens=lambda config, side: _grid(side, config.vision_config.patch_size),
        template="vicuna",
        processor="LlavaProcessor",
        processing={
            "words": lambda config, side: {
                "patch_size": int(config.vision_config.patch_size),
                "vision_feature_select_strategy": config.vision_feature_select_strategy,
                "num_additional_image_tokens": 1,
            }
        },
    ),
)
# LLaVA's class around Pixtral's tower: any size of image, rows of the grid ended by a token.
FAMILIES.add(
    "pixtral",
    Family(
        side=lambda config: min(512, int(config.vision_config.image_size)),
        patch=lambda config: int(config.vision_config.patch_size),
        image_tokens=lambda config, side: _grid(side, config.vision_config.patch_size),
        image_token="[IMG]",
        written=_pixtral_rows,
        tokens=("[IMG_BREAK]", "[IMG_END]"),
        template="pixtral",
        pixels="sized",
        image_processor="PixtralImageProcessor",
        processor="PixtralProcessor",
        processing={
            "pixels": lambda config, side: {
                "size": {"longest_edge": side},
                "patch_size": int(config.vision_config.patch_size),
            },
            "words": lambda config, side: {"patch_size": int(config.vision_config.patch_size)},
        },
        any_side=True,
    ),
)
FAMILIES.add(
    "swath_composed",
    Family(
        side=lambda config: int(config.image_size),
        patch=lambda config: int(config.vision_config.patch_size),
        image_tokens=lambda config, side: int(config.image_tokens),
        template="minigpt",
    ),
)
FAMILIES.add(
    "qwen2_5_vl",
    Family(
        vision="model.visual",
        projector=("model.visual.merger",),
        side=lambda config: 448,
        patch=lambda config: (
            int(config.vision_config.patch_size) * int(config.vision_config.spatial_merge_size)
        ),
        image_tokens=lambda config, side: _grid(
            side, config.vision_config.patch_size * config.vision_config.spatial_merge_size
        ),
        image_token="<|image_pad|>",
        template="qwen",
        pixels="patches",
        image_processor="Qwen2VLImageProcessor",
        processor="Qwen2_5_VLProcessor",
        processing={
            "pixels": lambda config, side: {
                "size": {"shortest_edge": side * side, "longest_edge": side * side},
                "patch_size": int(config.vision_config.patch_size),
                "merge_size": int(config.vision_config.spatial_merge_size),
                "temporal_patch_size": int(config.vision_config.temporal_patch_size),
            }
        },
        any_side=True,
        shared_prefix=False,  # an image's positions are threefold
    ),
)
for _name in ("smolvlm", "idefics3"):
    FAMILIES.add(
        _name,
        Family(
            vision="model.vision_model",
            projector=("model.connector",),
            language="model.text_model",
            side=lambda config: int(config.vision_config.image_size),
            patch=lambda config: int(config.vision_config.patch_size) * int(config.scale_factor),
            image_tokens=lambda config, side: _grid(
                side, config.vision_config.patch_size * config.scale_factor
            ),
            written=_smolvlm_frame,
            tokens=("<fake_token_around_image>", "<global-img>"),
            template="smolvlm",
            mean=HALF[0],
            std=HALF[1],
            pixels="rows",
            image_processor="SmolVLMImageProcessor",
            processor="Idefics3Processor",
            processing={
                "pixels": lambda config, side: {
                    "do_image_splitting": False,
                    "size": {"longest_edge": side},
                    "max_image_size": {"longest_edge": side},
                },
                "words": lambda config, side: {
                    "image_seq_len": _grid(
                        side, config.vision_config.patch_size * config.scale_factor
                    )
                },
            },
        ),
    )
FAMILIES.add(
    "blip-2",
    Family(
        vision="vision_model",
        projector=("qformer", "query_tokens", "language_projection"),
        language="language_model",
        side=lambda config: int(config.vision_config.image_size),
        patch=lambda config: int(config.vision_config.patch_size),
        image_tokens=lambda config, side: int(config.num_query_tokens),
        template="blip",
        dialect="minigpt",
        regions="minigpt",
        image_processor="BlipImageProcessor",
        processor="Blip2Processor",
        processing={"words": lambda config, side: {"num_query_tokens": config.num_query_tokens}},
        shared_prefix=False,  # OPT counts positions from the mask
    ),
)
# Images reach the decoder through cross-attention, so no token stands for them.
FAMILIES.add(
    "vision-encoder-decoder",
    Family(
        vision="encoder",
        projector=("enc_to_dec_proj",),
        language="decoder",
        side=lambda config: int(config.encoder.image_size),
        patch=lambda config: int(config.encoder.patch_size),
        image_tokens=lambda config, side: 0,
        image_token="",
        template="question",
        dialect="minigpt",
        regions="minigpt",
        mean=HALF[0],
        std=HALF[1],
        pixels="encoder",
        image_processor="ViTImageProcessor",
        shared_prefix=False,
        left_padding=False,
        many_images=False,
    ),
)


def family_of(config: Any) -> str:
    """The row's name for a config: its type, but Pixtral's tower inside LLaVA has its own row."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", "")
    return "pixtral" if (config.model_type, tower) == ("llava", "pixtral") else config.model_type


def family_row(config: Any, base: str) -> Family:
    """The row of a model's family.

    Raises:
        ModelError: swath does not know it.
    """
    name = family_of(config)
    if name not in FAMILIES:
        known = ", ".join(name for name, _ in FAMILIES.items())
        raise ModelError(
            f"{base} is of the family '{name}', which this swath cannot encode yet "
            f"(known: {known}); start from swath-nano with models.base=swath-nano."
        )
    return FAMILIES.get(name)
