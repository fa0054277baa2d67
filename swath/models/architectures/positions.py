"""Position tables at another image size, resized once and kept in the weights."""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import PreTrainedModel

from swath.errors import ModelError
from swath.models.family import one_side, set_side


def resize_positions(
    table: Tensor, side: int, leading: int = 1, align_corners: bool = True
) -> Tensor:
    """A table of positions for a grid of side x side patches.

    Args:
        table: (leading + n * n, width), the positions of the grid in reading order.
        side: patches a side wanted.
        leading: positions before the grid, such as the class token's; they stay as they are.
        align_corners: the outermost patches keep their positions, which is GeoChat's rule; EVA
            towers (LAVIS, MiniGPT-v2) and `transformers` resize without.

    Returns:
        (leading + side * side, width), in the number format of `table`.

    Raises:
        ModelError: the table is no square grid.

    Source: clip_interpolate_embeddings of GeoChat, interpolate_pos_embed of LAVIS; both bicubic.
    """
    first, patches = table[:leading], table[leading:]
    old = isqrt(len(patches))
    if old * old != len(patches) or not old:
        raise ModelError(
            f"a position table of {len(table)} rows is no square grid after {leading} leading "
            f"positions; only towers that read square images can be resized."
        )
    if old == side:
        return table
    grid = patches.float().T.reshape(1, -1, old, old)
    resized = interpolate(grid, (side, side), mode="bicubic", align_corners=align_corners)
    return torch.cat([first, resized.reshape(-1, side * side).T.to(table.dtype)])


@torch.no_grad()
def bake_positions(tower: PreTrainedModel, image_size: int, align_corners: bool = True) -> None:
    """Make a vision tower read another image size, its table resized into its weights.

    The tower and its configuration are changed in place; a configuration that a larger model
    keeps of the same tower is not, unless it is the same object.

    Args:
        tower: CLIP, SigLIP, BLIP-2, ViT or another with a table of learned positions.
        image_size: pixels a side wanted; a multiple of the patch.
        align_corners: see `resize_positions`.

    Raises:
        ModelError: the tower has no such table, or the size is no multiple of its patch.
    """
    config: Any = tower.config
    any_side = getattr(config, "any_side", False)
    place, name = ("", "") if any_side else _table_of(tower)
    patch = one_side(config.patch_size)
    if image_size % patch or image_size <= 0:
        raise ModelError(
            f"image size {image_size} is no multiple of the tower's patch of {patch} px; "
            f"choose {max(1, image_size // patch) * patch}."
        )
    if any_side:
        config.image_size = image_size
        return
    before = tower.get_submodule(place)
    state = before.state_dict()
    trained = {key: parameter.requires_grad for key, parameter in before.named_parameters()}
    table = state[name]
    rows = table.reshape(-1, table.shape[-1])
    leading = len(rows) - (one_side(config.image_size) // patch) ** 2
    resized = resize_positions(rows, image_size // patch, leading, align_corners)
    state[name] = resized.reshape(*table.shape[:-2], *resized.shape)
    set_side(config, image_size)
    # Built anew, so that sizes and position numbers kept beside the table fit it too.
    kind: Any = type(before)
    with table.device:
        after = kind(config).to(table.dtype)
    after.load_state_dict(state)
    for key, parameter in after.named_parameters():
        parameter.requires_grad_(trained[key])
    parent, _, child = place.rpartition(".")
    setattr(tower.get_submodule(parent), child, after.train(before.training))


def _table_of(tower: PreTrainedModel) -> tuple[str, str]:
    """Place of the embeddings in the tower, and name of the table in them."""
    for place, module in tower.named_modules():
        for name in ("position_embedding.weight", "position_embedding", "position_embeddings"):
            if place and name in dict(module.named_parameters()):
                return place, name
    raise ModelError(
        f"{type(tower).__name__} has no table of learned positions; it reads any size as it is."
    )
