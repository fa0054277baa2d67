"""In which number formats a stage learns and computes."""

from json import dumps
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from swath.errors import TuningError
from swath.files import read_json, read_losses
from swath.recipes import load_recipe
from swath.tuning.run import tune
from swath.tuning.setup import Batches, Prepared, stage_groups
from swath.tuning.stages import learnt, prepare, rest
from swath.tuning.trainer import computing_format
from tests.making import small_set, tiny_recipe
from tests.tuning.runs import STOPPING, same, stage, stopping, weights, without_times

STEPS = 3


def stage_of(name, dtype, built):
    """The first of a system's own stages, over a tiny model of its architecture."""
    recipe = load_recipe(name)
    first = recipe.tuning.stages[0].model_dump(mode="json")
    first |= {"steps": STEPS, "batch_size": 2, "accumulate": 1, "warmup": 0}
    first |= {"tasks": None, "mix": {}, "augment": {"turn": False, "crop": 1, "colour": 0}}
    overrides = [f"models.dtype={dtype}", "models.weights=tiny", f"tuning.stages={dumps([first])}"]
    overrides += ["tuning.threads=1", "imagery.cache_px=84", "models.quantize=none"]
    if recipe.imagery.image_px:
        overrides.append("imagery.image_px=84")
    recipe = load_recipe(name, overrides)
    return Prepared(built, recipe, stage_groups(built, recipe))


def share_changed(prepared, folder):
    """Share of the numbers that learn which a few steps change."""
    model = prepare(prepared.loaded.model, prepared.loaded, prepared.recipe.tuning.stages[0])
    before = {name: tensor.clone() for name, tensor in learnt(model).items()}
    prepared.trainer(model, 0, Batches(2, 1), Path(folder), STEPS).train()
    changed = sum(int((before[name] != after).sum()) for name, after in learnt(model).items())
    return changed / sum(tensor.numel() for tensor in before.values())


@pytest.mark.parametrize("name", ["skyeyegpt", "satgpt", "remoteglm"])
def test_as_many_weights_learn_beside_frozen_half_precision_as_in_float32(name, tmp_path):
    built = small_set(tmp_path / "pictures", tasks=["classify", "caption"])
    shares = {}
    for dtype in ("float32", "bfloat16"):
        shares[dtype] = share_changed(stage_of(name, dtype, built), tmp_path / dtype)
    assert shares["float32"] > 0.8  # SatGPT has places that no row is long enough for
    assert shares["bfloat16"] == pytest.approx(shares["float32"], abs=0.02)


def test_frozen_parts_keep_the_format_that_was_asked_for(tmp_path):
    built = small_set(tmp_path / "pictures", tasks=["classify", "caption"])
    prepared = stage_of("skyeyegpt", "bfloat16", built)
    stage = prepared.recipe.tuning.stages[0]
    model = prepare(prepared.loaded.model, prepared.loaded, stage)
    formats = {parameter.requires_grad: parameter.dtype for parameter in model.parameters()}
    assert formats == {True: torch.float32, False: torch.bfloat16}
    whole = stage.model_copy(update={"train": ["vision"]})
    model = prepare(model, prepared.loaded, whole)
    for name, parameter in model.named_parameters():
        learns = "vision_tower" in name
        assert parameter.dtype == (torch.float32 if learns else torch.bfloat16), name
    rest(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("train", [["vision", "projector", "language"], ["projector", "lora"]])
def test_a_run_beside_half_precision_goes_on_scores_and_is_read_back_the_same(
    tiny_base, built, worse, tmp_path, train
):
    one = stage(train=train, steps=6, image_loss={"label": 1})
    stop = {**STOPPING, "patience": 9}
    models = {"base": str(tiny_base), "dtype": "bfloat16"}
    tuning = {"stages": [one], "precision": "auto", "save_every": 2, "stop": stop}
    plan = tiny_recipe(tiny_base, models=models, tuning=tuning)
    whole = tune(built, plan, tmp_path / "whole", score=worse)
    again = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, again, report=stopping(("all", 5)), score=worse)
    tune(built, plan, again, score=worse)
    assert without_times(read_losses(again)) == without_times(read_losses(whole))
    assert same(weights(again), weights(whole))
    if "lora" not in train:  # an adapter merged into half precision is rounded
        assert read_json(whole / "run.json")["proof"] == {"questions": 8, "same": 8}
        kept = load_file(whole / "model" / "model.safetensors")
        assert {tensor.dtype for tensor in kept.values()} <= {torch.bfloat16, torch.int64}


@pytest.mark.parametrize(
    ("precision", "dtype", "computes"),
    [
        ("auto", torch.bfloat16, "bf16"),
        ("bf16", torch.float32, "bf16"),
        ("fp32", torch.float32, "fp32"),
    ],
)
def test_multiplications_follow_the_frozen_weights(precision, dtype, computes):
    assert computing_format(precision, dtype) == computes


def test_a_precision_against_the_frozen_weights_is_refused():
    with pytest.raises(TuningError, match=r"fp32 cannot compute with weights kept in bf16 .*auto"):
        computing_format("fp32", torch.bfloat16)


def test_fp16_without_a_gpu_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TuningError, match="fp16 learns on a GPU only; use fp32 or bf16 here"):
        computing_format("fp16", torch.float32)
