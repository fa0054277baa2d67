"""The table of model families: where a family keeps its parts, reads pixels and writes boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from swath.errors import ModelError
from swath.registry import Registry

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Pixels = Literal["images", "sized", "crops", "patches", "rows", "encoder"]
"""How pixels are handed over: (images, 3, side, side) alone; with their sizes; as a picture and its
only crop, with their sizes; cut into patches with their grid; as (rows, images, 3, side, side); to
an encoder beside the words."""


def one_side(size: Any) -> int:
    """A side of a square that a config gives as a number, or as height and width."""
    return int(size[0] if isinstance(size, list | tuple) else size)


def set_side(tower: Any, side: int) -> None:
    """Give a tower's config the side in pixels of its pictures, in the form it has."""
    pair = isinstance(tower.image_size, list | tuple)
    tower.image_size = [side, side] if pair else side


def _side(config: Any) -> int:
    return one_side(config.vision_config.image_size)


def _patch(config: Any) -> int:
    return one_side(config.vision_config.patch_size)


def _patches(config: Any, side: int) -> int:
    return (side // _patch(config)) ** 2


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
        image_types: the tensor in which the model wants image tokens marked with 1; without it,
            most models go on in silence with other answers.
        whole_question: all that stands before the first answer is read as a whole, each word by
            all others.
        stacked: the features of all images are taken as one tensor, not as a list.
        any_side: the tower reads pictures of any side, without a table of positions to resize.
        fixed_side: it reads pictures of its own side and no others.
        shared_prefix: several questions may share one image prefix under a block mask.
        left_padding: prompts of different lengths may be answered in one batch.
        many_images: a conversation may show several images.
    """

    template: str
    side: Callable[[Any], int] = _side
    patch: Callable[[Any], int] = _patch
    image_tokens: Callable[[Any, int], int] = _patches
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
    image_types: str = ""
    whole_question: bool = False
    stacked: bool = False
    any_side: bool = False
    fixed_side: bool = False
    shared_prefix: bool = True
    left_padding: bool = True
    many_images: bool = True


def _pixtral_rows(token: str, count: int) -> str:
    """Rows of the grid, each ended by a break, the last by an end."""
    columns = round(count**0.5)
    return "[IMG_BREAK]".join([token * columns] * columns) + "[IMG_END]"


def _smolvlm_frame(token: str, count: int) -> str:
    around = "<fake_token_around_image>"
    return f"{around}<global-img>{token * count}{around}"


def _qwen_processing(config: Any, side: int) -> dict[str, Any]:
    vision = config.vision_config
    # GLM's processor counts a picture's pixels once a frame.
    frames = int(vision.temporal_patch_size) if config.model_type == "glm4v" else 1
    area = frames * side * side
    return {
        "size": {"shortest_edge": area, "longest_edge": area},
        "patch_size": _patch(config),
        "merge_size": int(vision.spatial_merge_size),
        "temporal_patch_size": int(vision.temporal_patch_size),
    }


def _gemma_frame(token: str, count: int) -> str:
    return f"\n\n<start_of_image>{token * count}<end_of_image>\n\n"


def _qwen_patch(config: Any) -> int:
    return _patch(config) * int(config.vision_config.spatial_merge_size)


def _mistral_patch(config: Any) -> int:
    return _patch(config) * int(config.spatial_merge_size)


def _internvl_patch(config: Any) -> int:
    return round(_patch(config) / config.downsample_ratio)


def _squares_of(patch: Callable[[Any], int]) -> Callable[[Any, int], int]:
    """Tokens of an image of which each square of so many pixels becomes one."""
    return lambda config, side: (side // patch(config)) ** 2


def _smolvlm_patch(config: Any) -> int:
    return _patch(config) * int(config.scale_factor)


_SMOLVLM = Family(
    vision="model.vision_model",
    projector=("model.connector",),
    language="model.text_model",
    patch=_smolvlm_patch,
    image_tokens=_squares_of(_smolvlm_patch),
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
        "words": lambda config, side: {"image_seq_len": (side // _smolvlm_patch(config)) ** 2},
    },
)

# LLaVA's class around Pixtral's tower: any size of image, rows of the grid ended by a token.
_PIXTRAL = Family(
    side=lambda config: min(512, _side(config)),
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
            "patch_size": _patch(config),
        },
        "words": lambda config, side: {"patch_size": _patch(config)},
    },
    any_side=True,
)

_QWEN = Family(
    vision="model.visual",
    projector=("model.visual.merger",),
    side=lambda config: 448,
    patch=_qwen_patch,
    image_tokens=_squares_of(_qwen_patch),
    image_token="<|image_pad|>",
    template="qwen",
    dialect="qwen2.5-vl",
    regions="qwen2.5-vl",
    pixels="patches",
    image_processor="Qwen2VLImageProcessor",
    processor="Qwen2_5_VLProcessor",
    processing={"pixels": _qwen_processing},
    image_types="mm_token_type_ids",
    any_side=True,
    shared_prefix=False,  # an image's positions are threefold
)

_FAMILIES = {
    "swath_nano": Family(
        side=lambda config: int(config.image_size),
        patch=lambda config: 16,
        image_tokens=lambda config, side: (side // 16) ** 2,
        template="nano",
        mean=(0.4, 0.4, 0.4),
        std=(0.22, 0.22, 0.22),
    ),
    "llava": Family(
        template="vicuna",
        processor="LlavaProcessor",
        processing={
            "words": lambda config, side: {
                "patch_size": _patch(config),
                "vision_feature_select_strategy": config.vision_feature_select_strategy,
                "num_additional_image_tokens": 1,
            }
        },
    ),
    "pixtral": _PIXTRAL,
    "mistral3": replace(
        _PIXTRAL,
        side=lambda config: min(504, _side(config)),
        patch=_mistral_patch,
        image_tokens=_squares_of(_mistral_patch),
        processing={
            **_PIXTRAL.processing,
            "words": lambda config, side: {
                "patch_size": _patch(config),
                "spatial_merge_size": int(config.spatial_merge_size),
            },
        },
    ),
    "internvl": Family(
        template="internvl",
        patch=_internvl_patch,
        image_tokens=_squares_of(_internvl_patch),
        image_token="<IMG_CONTEXT>",
        written=lambda token, count: f"<img>{token * count}</img>",
        tokens=("<img>", "</img>"),
        dialect="internvl",
        regions="internvl",
        mean=IMAGENET[0],
        std=IMAGENET[1],
        image_processor="GotOcr2ImageProcessor",
        processor="InternVLProcessor",
        processing={
            "words": lambda config, side: {
                "image_seq_length": (side // _internvl_patch(config)) ** 2
            }
        },
        stacked=True,
    ),
    "paligemma": Family(
        template="paligemma",
        dialect="paligemma",
        regions="paligemma",
        mean=HALF[0],
        std=HALF[1],
        image_processor="SiglipImageProcessor",
        processor="PaliGemmaProcessor",
        processing={"pixels": lambda config, side: {"image_seq_length": _patches(config, side)}},
        whole_question=True,
        stacked=True,
        shared_prefix=False,  # words before an answer see all others
    ),
    "gemma3": Family(
        template="gemma",
        image_tokens=lambda config, side: int(config.mm_tokens_per_image),
        image_token="<image_soft_token>",
        written=_gemma_frame,
        tokens=("<start_of_image>", "<end_of_image>"),
        mean=HALF[0],
        std=HALF[1],
        image_processor="Gemma3ImageProcessor",
        processor="Gemma3Processor",
        processing={
            "words": lambda config, side: {"image_seq_length": int(config.mm_tokens_per_image)}
        },
        image_types="token_type_ids",
        stacked=True,
        fixed_side=True,
        shared_prefix=False,  # tokens of an image see each other, and some layers a window
    ),
    # A picture of the tower's own side is read twice, as a whole and as its only crop, whose rows
    # end with a token of their own: what its processor makes of such a picture.
    "llava_onevision": Family(
        template="chatml",
        projector=("model.multi_modal_projector", "model.image_newline"),
        image_tokens=lambda config, side: 2 * _patches(config, side) + side // _patch(config),
        mean=HALF[0],
        std=HALF[1],
        pixels="crops",
        image_processor="LlavaOnevisionImageProcessor",
        processor="LlavaOnevisionProcessor",
        processing={
            "pixels": lambda config, side: {"image_grid_pinpoints": [[side, side]]},
            "words": lambda config, side: {
                "num_image_tokens": _patches(config, side),
                "vision_feature_select_strategy": config.vision_feature_select_strategy,
            },
        },
        fixed_side=True,
    ),
    "swath_composed": Family(
        side=lambda config: int(config.image_size),
        image_tokens=lambda config, side: int(config.image_tokens),
        template="minigpt",
    ),
    "qwen2_5_vl": _QWEN,
    # Its tower's features of three layers reach as many layers of the language model.
    "qwen3_vl": replace(
        _QWEN,
        projector=("model.visual.merger", "model.visual.deepstack_merger_list"),
        mean=HALF[0],
        std=HALF[1],
        dialect="qwen3-vl",
        regions="qwen3-vl",
        processor="Qwen3VLProcessor",
    ),
    "glm4v": replace(
        _QWEN,
        image_token="<|image|>",
        template="glm4v",
        dialect="glm-4v",
        regions="glm-4v",
        image_processor="Glm4vImageProcessor",
        processor="Glm4vProcessor",
    ),
    "smolvlm": _SMOLVLM,
    "idefics3": _SMOLVLM,
    "blip-2": Family(
        vision="vision_model",
        projector=("qformer", "query_tokens", "language_projection"),
        language="language_model",
        image_tokens=lambda config, side: int(config.num_query_tokens),
        template="blip",
        dialect="minigpt",
        regions="minigpt",
        image_processor="BlipImageProcessor",
        processor="Blip2Processor",
        processing={"words": lambda config, side: {"num_query_tokens": config.num_query_tokens}},
        shared_prefix=False,  # OPT counts positions from the mask
    ),
    # Images reach the decoder through cross-attention, so no token stands for them.
    "vision-encoder-decoder": Family(
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
        processor="DonutProcessor",  # takes a picture and the decoder's prefix
        shared_prefix=False,
        left_padding=False,
        many_images=False,
    ),
}

FAMILIES: Registry[Family] = Registry("model family", "swath.families", _FAMILIES)


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
        names = ", ".join(name for name, _ in FAMILIES.items())
        raise ModelError(
            f"{base} is of the family '{name}', which this swath cannot encode yet "
            f"(known: {names}); start from swath-nano with models.base=swath-nano."
        )
    return FAMILIES.get(name)
