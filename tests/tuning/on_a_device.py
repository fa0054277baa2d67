"""Every tensor is made where the model computes: tuning and asking on a device beside the CPU.

A device stays registered as long as the process lives, so `test_device.py` runs this in its own.
"""

import sys

import pytest
import torch

from swath.files import read_losses
from swath.models import vision_cache
from swath.models.engine import LocalEngine
from swath.models.loading import load_base
from swath.recipe import Models
from swath.recipes import load_recipe
from swath.tuning.run import tune
from tests.elsewhere import DEVICE, elsewhere
from tests.making import small_set, tiny_recipe
from tests.models.test_family import FAMILIES
from tests.tuning.runs import stage, without_times

sys.modules["bitsandbytes"] = None  # peft would import it, which takes as long as torch

LABELS = ["red land", "green land", "blue land"]
LIKE_OTHERS = {"mistral3": "pixtral", "glm4v": "qwen", "internvl": "gemma3"}
"""Families that are handed pictures and words by the same lines of swath as another."""


@pytest.fixture
def built(tmp_path):
    return small_set(tmp_path / "pictures")


def test_the_device_refuses_what_stayed_behind(monkeypatch):
    with elsewhere(monkeypatch):
        here, there = torch.ones(3), torch.ones(3, device=DEVICE)
        assert float((there + there.sum()).cpu()[0]) == 4
        with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
            there + here
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("name", ["captions", "pixtral-aid-nano"])
def test_stages_of_a_recipe_learn_the_same_on_a_device(built, tmp_path, monkeypatch, name):
    short = [f"tuning.stages.{n}.{key}" for n in (0, 1) for key in ("steps=2", "batch_size=4")]
    recipe = load_recipe(name, [*short, "tuning.threads=1", "tuning.precision=fp32"])
    here = tune(built, recipe, tmp_path / "here")
    with elsewhere(monkeypatch):
        there = tune(built, recipe, tmp_path / "there")
    pairs = zip(without_times(read_losses(there)), without_times(read_losses(here)), strict=True)
    for row, expected in pairs:
        # Losses are written to five decimals; the last may round either way.
        assert {**row, "stage": ""} == pytest.approx({**expected, "stage": ""}, abs=2e-5)
        assert row["stage"] == expected["stage"]


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in LIKE_OTHERS])
def test_a_family_learns_answers_and_scores_on_a_device(built, tmp_path, monkeypatch, name):
    section = {"base": "tiny", "weights": "tiny", **FAMILIES[name]}
    parts = ["vision", "projector", "language"]
    quiet = {"steps": 1, "text_loss": 0, "image_loss": {"label": 1}}
    stages = [stage("see", ["vision"], **quiet), stage("all", parts, steps=1, batch_size=2)]
    if name != "encoder-decoder":
        stages.append(stage("adapt", ["projector", "lora"], steps=1, batch_size=2))
    recipe = tiny_recipe("tiny", models=section, tuning={"stages": stages})
    with elsewhere(monkeypatch):
        losses = read_losses(tune(built, recipe, tmp_path / "run"))
    assert len(losses) == len(stages)
    questions = built.split("test")[:5]
    loaded = load_base(Models(**section), seed=1)
    here = LocalEngine(loaded).score(questions, [LABELS] * 5)
    with elsewhere(monkeypatch):
        local = LocalEngine(loaded)
        there = local.score(questions, [LABELS] * 5)
        assert len(local.answer(questions, 4)) == 5
        paths = [question.images[0].path for question in questions]
        assert len(local.features(paths)) == 5
        monkeypatch.setattr(vision_cache, "READ", float("inf"))  # so keeping them pays
        kept = LocalEngine(loaded, kept=vision_cache.Features(tmp_path / "kept"))
        assert [list(s) for s in kept.score(questions, [LABELS] * 5)] == [list(s) for s in there]
    for scores, others in zip(here, there, strict=True):
        assert list(scores) == pytest.approx(list(others), abs=1e-4)
