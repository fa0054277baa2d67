import json

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from swath.errors import ModelError
from swath.models.architectures.efficientnet import (
    Block,
    ConvNorm,
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
)
from swath.models.inputs import Inputs
from swath.models.loaded import EMBEDDED, load_folder
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.recipe import Imagery, Models
from tests.making import rectangle

SMALL = {"image_size": 64, "groups": [[1, 3, 1, 1, 8], [2, 5, 2, 6, 8]], "hidden_size": 16}


@pytest.fixture
def tower():
    torch.manual_seed(0)
    # Of four strides of 2 two are there, so a feature stands for 4 x 4 pixels.
    return EfficientNetLiteModel(EfficientNetLiteConfig(patch_size=4, **SMALL)).eval()


def test_where_padding_is_odd_more_of_it_is_on_the_right_and_below():
    layer = ConvNorm(1, 1, kernel=3, stride=2).eval()
    with torch.no_grad():
        layer.conv.weight.fill_(1)
        summed = layer(torch.ones(1, 1, 4, 4)) * (1 + 1e-3) ** 0.5
    # Windows begin in rows and columns 0 and 2; the last row and column of two of them is padding.
    assert torch.allclose(summed[0, 0], torch.tensor([[9.0, 6.0], [6.0, 4.0]]))


def test_a_block_adds_what_it_was_given_where_sizes_stay():
    torch.manual_seed(0)
    block, pixels = Block(8, 8, 3, 1, 6).eval(), torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        block.project.norm.weight.zero_()
        assert torch.equal(block(pixels), pixels)
    assert not Block(8, 16, 3, 1, 6).residual
    assert not Block(8, 8, 3, 2, 6).residual


def test_features_stand_in_reading_order(tower):
    pixels = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        before = tower(pixels).last_hidden_state
        pixels[:, :, :4, 56:60] = 3  # seen first by the feature in row 0, column 14 of 16
        changed = (tower(pixels).last_hidden_state - before).abs().sum(dim=2)[0]
    assert before.shape == (1, 256, 16)
    assert int(changed.argmax()) == 14
    assert changed[128:].max() == 0


@pytest.fixture
def parts(tower, tmp_path):
    """Folders of a small tower and a small language model."""
    tower.save_pretrained(tmp_path / "tower")
    values = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "tower" / "preprocessor_config.json").write_text(json.dumps(values))
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_attention_heads=2, max_position_embeddings=512, **sizes
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "language")
    tokenizer.save_pretrained(tmp_path / "language")
    folders = {"vision": str(tmp_path / "tower"), "language": str(tmp_path / "language")}
    return Models(parts={**folders, "connector": "merge4"})


def test_its_folder_is_a_part_like_any_towers_and_reads_other_sides(parts, tmp_path):
    loaded = load_base(parts, imagery=Imagery(image_px=32))
    assert (loaded.image_size, loaded.image_tokens) == (32, 16)  # 8 x 8 features, joined by fours
    assert (loaded.mean, loaded.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    view = PixelStore(32, 32).plain(rectangle(tmp_path / "a.png"))
    with torch.no_grad():
        values = Inputs(loaded).tensor([view])
        features = loaded.model.get_image_features(values)
        loaded.save(tmp_path / "saved")
        again = load_folder(tmp_path / "saved", "saved")
        assert torch.equal(again.model.get_image_features(values), features)
    assert features.shape == (1, 16, 24)
    assert (again.mean, again.std, again.image_size) == (loaded.mean, loaded.std, 32)


def test_a_side_that_its_patch_does_not_divide_is_refused(parts):
    with pytest.raises(ModelError, match=r"no multiple of the tower's patch of 4 px; choose 28"):
        load_base(parts, imagery=Imagery(image_px=30))


def test_the_published_weights_give_what_the_published_code_gives(weights_folder):
    """Numbers of `efficientnet-lite-pytorch` 0.1.0 (`extract_features`) with the same weights."""
    tower = AutoModel.from_pretrained(weights_folder / "efficientnet-lite0").eval()
    pixels = torch.sin(torch.arange(3 * 64 * 64) * 0.1).reshape(1, 3, 64, 64)
    with torch.no_grad():
        features = tower(pixels).last_hidden_state[0]  # (4 places, 1280)
    assert features.mean().item() == pytest.approx(0.775949, abs=1e-5)
    assert features.std().item() == pytest.approx(1.630823, abs=1e-5)
    assert features[:, 100].tolist() == pytest.approx(
        [4.66249, 4.99795, 5.48231, 5.24241], abs=1e-4
    )
    assert features[:, 102].tolist() == pytest.approx([3.09476, 2.94411, 3.1708, 2.41958], abs=1e-4)
    assert features.mean(0)[5:7].tolist() == pytest.approx([0.32179, 4.67835], abs=1e-4)
