import pytest
import torch
from torch.nn.functional import interpolate
from transformers import (
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)

from swath.errors import ModelError
from swath.models.architectures.positions import bake_positions, resize_positions

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}

TOWERS = [
    (CLIPVisionModel, CLIPVisionConfig, "embeddings.position_embedding.weight", 1),
    (Blip2VisionModel, Blip2VisionConfig, "embeddings.position_embedding", 1),
    (ViTModel, ViTConfig, "embeddings.position_embeddings", 1),
    (Dinov2Model, Dinov2Config, "embeddings.position_embeddings", 1),
    (SiglipVisionModel, SiglipVisionConfig, "embeddings.position_embedding.weight", 0),
]


def tower_of(model, config):
    torch.manual_seed(0)
    tower = model(config(**SIZES)).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.normal_(0, 0.2)
    return tower


def test_corners_keep_their_positions_and_the_middle_is_the_mean_of_all():
    # By rows of the grid: 0 4 / 8 12. Cubic weights half way are -1/16, 9/16, 9/16, -1/16, and
    # beyond the edge the edge is repeated, so half way is the mean of the two.
    table = torch.tensor([[100.0], [0.0], [4.0], [8.0], [12.0]])
    resized = resize_positions(table, side=3)
    assert resized.flatten().tolist() == [100, 0, 2, 4, 4, 6, 8, 8, 10, 12]


def test_without_aligned_corners_the_middle_is_the_same_and_the_corners_are_not():
    table = torch.tensor([[0.0], [4.0], [8.0], [12.0]])
    resized = resize_positions(table, side=3, leading=0, align_corners=False).flatten()
    assert resized[4] == 6
    assert (resized[0], resized[8]) != (0, 12)


def test_number_format_is_kept_and_the_class_position_untouched():
    table = torch.randn(1 + 16, 8).half()
    resized = resize_positions(table, side=6)
    assert resized.shape == (37, 8)
    assert resized.dtype == torch.float16
    assert torch.equal(resized[0], table[0])
    assert torch.equal(resized[1], table[1])
    assert torch.equal(resized[-1], table[-1])
    assert resize_positions(table, side=4) is table


def test_geochat_resizes_24_to_36_as_its_code_does():
    # clip_encoder.py of mbzuai-oryx/GeoChat: (1, n, h) to (1, h, 24, 24), bicubic, aligned.
    table = torch.randn(1 + 24 * 24, 4)
    grid = table[1:].reshape(24, 24, 4).permute(2, 0, 1)[None]
    wanted = interpolate(grid, 36, mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
    resized = resize_positions(table, side=36)
    assert torch.allclose(resized[1:].reshape(36, 36, 4), wanted, atol=1e-6)


def test_a_table_that_is_no_square_is_refused():
    with pytest.raises(ModelError, match="6 rows is no square grid after 1 leading positions; onl"):
        resize_positions(torch.zeros(6, 4), side=3)
    with pytest.raises(ModelError, match="no square grid"):
        resize_positions(torch.zeros(1, 4), side=3)


@pytest.mark.parametrize(("model", "config", "name", "leading"), TOWERS)
def test_a_baked_tower_runs_at_the_new_size_and_comes_back_from_disk(
    model, config, name, leading, tmp_path
):
    tower = tower_of(model, config)
    before = tower.get_parameter(name).detach().clone().reshape(-1, 32)
    tower.get_parameter(name).requires_grad_(False)
    bake_positions(tower, 42)
    after = tower.get_parameter(name)
    assert torch.equal(after.reshape(-1, 32), resize_positions(before, 3, leading))
    assert not after.requires_grad
    assert tower.config.image_size == 42
    pixels = torch.randn(1, 3, 42, 42)
    seen = tower(pixels).last_hidden_state
    assert seen.shape == (1, leading + 9, 32)
    tower.save_pretrained(tmp_path)
    again = model.from_pretrained(tmp_path).eval()
    assert torch.equal(again(pixels).last_hidden_state, seen)


@pytest.mark.parametrize(("model", "config"), [row[:2] for row in TOWERS[:3]])
def test_what_transformers_interpolates_on_the_fly_is_something_else(model, config):
    tower = tower_of(model, config)
    pixels = torch.randn(1, 3, 42, 42)
    on_the_fly = tower(pixels, interpolate_pos_encoding=True).last_hidden_state
    bake_positions(tower, 42)
    assert not torch.allclose(tower(pixels).last_hidden_state, on_the_fly, atol=1e-3)
    # Without aligned corners it is the same, which shows what makes the difference.
    other = tower_of(model, config)
    bake_positions(other, 42, align_corners=False)
    assert torch.allclose(other(pixels).last_hidden_state, on_the_fly, atol=1e-5)


def test_half_precision_stays():
    tower = tower_of(CLIPVisionModel, CLIPVisionConfig).half()
    bake_positions(tower, 42)
    assert {parameter.dtype for parameter in tower.parameters()} == {torch.float16}
    assert tower.embeddings.position_ids.tolist() == [list(range(10))]


def test_size_that_cuts_a_patch_names_one_that_does_not():
    with pytest.raises(ModelError, match=r"500 is no multiple .* patch of 14 px; choose 490"):
        bake_positions(tower_of(CLIPVisionModel, CLIPVisionConfig), 500)


def test_a_tower_without_a_table_is_refused():
    tower = ConvNextModel(ConvNextConfig(hidden_sizes=[8, 8], depths=[1, 1], num_stages=2))
    with pytest.raises(ModelError, match="ConvNextModel has no table of learned positions"):
        bake_positions(tower, 42)
