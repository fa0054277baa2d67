"""A frozen tower is asked once a picture, whatever the epochs; losses are those of the pixels."""

import pytest
import torch

from swath.files import read_losses
from swath.models import vision_cache
from swath.models.architectures.nano import NanoTower
from swath.tuning.run import tune
from tests.making import small_set
from tests.tuning.runs import recipe, same, stage, stopping, weights

STILL = {"turn": False, "crop": 1, "colour": 0}
FROZEN = {"train": ["projector", "lora"], "steps": 9, "batch_size": 4, "augment": STILL}
FROZEN |= {"epoch_of": "images"}


@pytest.fixture
def asked(monkeypatch):
    """Keeping pays; pictures that go through the tower, call by call."""
    monkeypatch.setattr(vision_cache, "READ", 1e12)
    pictures = []
    forward = NanoTower.forward

    def counted(self, pixel_values):
        pictures.append(len(pixel_values))
        return forward(self, pixel_values)

    monkeypatch.setattr(NanoTower, "forward", counted)
    return pictures


def texts(run):
    return [row["text"] for row in read_losses(run)]


def test_an_epoch_asks_the_tower_once_a_picture_and_later_ones_not_at_all(
    tiny_base, built, tmp_path, asked, monkeypatch
):
    plan = recipe(tiny_base, stage(**FROZEN), prove=0)
    torch.manual_seed(0)
    kept = tune(built, plan, tmp_path / "kept")
    assert sum(asked) == 1 + 12  # the blank picture that every tuning begins with, and the set
    monkeypatch.setattr(vision_cache, "READ", 1.0)  # now the disk is the slower one
    del asked[:]
    torch.manual_seed(0)
    pixels = tune(built, plan, tmp_path / "pixels")
    assert sum(asked) == 1 + 9 * 4
    assert texts(kept) == pytest.approx(texts(pixels), abs=1e-5)


def test_gradients_reach_the_projector(tiny_base, built, tmp_path, asked):
    plan = recipe(tiny_base, stage(**FROZEN | {"train": ["projector"]}), prove=0)
    run = tune(built, plan, tmp_path / "run")
    before, after = weights(tiny_base), weights(run)
    name = "model.multi_modal_projector.linear_1.weight"
    assert not torch.equal(before[name], after[name])
    tower = [key for key in before if "vision_tower" in key]
    assert all(torch.equal(before[key], after[key]) for key in tower)  # its norms' statistics too


def test_a_tower_that_an_earlier_stage_tuned_is_asked_anew(tiny_base, built, tmp_path, asked):
    stages = [stage(**FROZEN), stage("tower", ["vision"], **{"steps": 2, "augment": STILL})]
    stages += [stage("again", **FROZEN | {"steps": 3})]
    plan = recipe(tiny_base, *stages, prove=0)
    run = tune(built, plan, tmp_path / "run")
    assert sum(asked) == 1 + 12 + 2 * 4 + 12
    assert len(list((run / "evaluation" / "features").iterdir())) == 2


@pytest.mark.parametrize("change", [{"turn": True}, {"crop": 0.5}, {"colour": 0.1}])
def test_views_that_change_are_not_kept(tiny_base, built, tmp_path, asked, change):
    plan = recipe(tiny_base, stage(**FROZEN | {"augment": STILL | change}), prove=0)
    run = tune(built, plan, tmp_path / "run")
    assert sum(asked) == 1 + 9 * 4
    assert not (run / "evaluation").exists()


def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(tiny_base, built, tmp_path, asked):
    plan = recipe(tiny_base, stage(**FROZEN), prove=0, save_every=2)
    whole = weights(tune(built, plan, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, tmp_path / "cut", stopping(("all", 5)))
    assert same(whole, weights(tune(built, plan, tmp_path / "cut")))


@pytest.mark.parametrize(
    "base", ["llava-hf/llava-1.5-7b-hf", "HuggingFaceTB/SmolVLM-256M-Instruct"]
)
def test_models_of_transformers_take_kept_features_too(base, tmp_path, asked, monkeypatch):
    built = small_set(tmp_path / "pictures")
    plan = recipe(base, stage(**FROZEN | {"steps": 4}), prove=0)
    plan = plan.model_copy(update={"models": plan.models.model_copy(update={"weights": "tiny"})})
    kept = tune(built, plan, tmp_path / "kept")
    assert list((kept / "evaluation" / "features").glob("*/*.safetensors"))
    monkeypatch.setattr(vision_cache, "READ", 1.0)
    pixels = tune(built, plan, tmp_path / "pixels")
    assert not (pixels / "evaluation").exists()
    assert texts(kept) == pytest.approx(texts(pixels), abs=1e-5)
