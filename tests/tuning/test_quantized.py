"""An adapter beside a language model whose matrices stand in four or eight bits."""

import sys

import pytest
import torch

from swath.errors import ModelError, TuningError
from swath.files import read_json, read_losses
from swath.models.engine import LocalEngine
from swath.models.loading import load, load_base
from swath.recipe import Models
from swath.tuning.run import tune
from swath.tuning.stages import count_parts
from tests.making import tiny_recipe
from tests.tuning.runs import stage, stopping, without_times

LABELS = ["red land", "green land", "blue land"]
ADAPTED = {"train": ["projector", "lora"], "lora": {"rank": 8, "alpha": 32}}


def plan(base, kind, *stages, **tuning):
    models = {"base": str(base), "quantize": kind}
    return tiny_recipe(base, models=models, tuning={"stages": list(stages), **tuning})


def scores(loaded, questions):
    rows = LocalEngine(loaded).score(questions, [LABELS] * len(questions))
    return torch.tensor([list(row) for row in rows])


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_an_adapter_learns_beside_quantised_matrices_and_goes_on(tiny_base, built, tmp_path, kind):
    recipe = plan(tiny_base, kind, stage(**ADAPTED, steps=12, batch_size=8), save_every=4)
    run = tune(built, recipe, tmp_path / "run")
    losses = read_losses(run)
    assert losses[-1]["text"] < 0.9 * losses[0]["text"]
    assert (run / "adapter").is_dir() and not (run / "model").exists()
    assert read_json(run / "run.json")["proof"] == {"questions": 8, "same": 8}
    with pytest.raises(KeyboardInterrupt):
        tune(built, recipe, tmp_path / "again", report=stopping(("all", 6)))
    tune(built, recipe, tmp_path / "again")
    assert without_times(read_losses(tmp_path / "again")) == without_times(losses)


@pytest.mark.parametrize(("kind", "bytes_each"), [("4bit", 0.5), ("8bit", 1)])
def test_only_the_language_model_s_matrices_are_quantised(tiny, tiny_base, kind, bytes_each):
    loaded = load_base(Models(base=str(tiny_base), quantize=kind))
    assert loaded.digest == tiny.digest  # the base of an adapter is known again
    plain = dict(tiny.model.named_parameters())
    for name, parameter in loaded.model.named_parameters():
        if name.endswith("proj.weight"):
            assert parameter.numel() * parameter.itemsize == bytes_each * plain[name].numel()
        else:
            assert parameter.dtype == torch.float32, name
    counts = {part.part: part.total for part in count_parts(loaded.model, loaded)}
    assert counts == {part.part: part.total for part in count_parts(tiny.model, tiny)}


def test_a_quantised_run_is_merged_in_full_for_export(tiny_base, built, tmp_path):
    learning = stage(**ADAPTED, steps=8, learning_rate=1e-2)
    run = tune(built, plan(tiny_base, "4bit", learning), tmp_path / "run")
    questions = built.split("test")[:6]
    tuned, merged = load(run), load(run, quantized=False)
    assert tuned.quantized == "4bit" and merged.quantized is None
    assert {parameter.dtype for parameter in merged.model.parameters()} == {torch.float32}
    base = load(tiny_base)
    # Four bits round the base by a tenth; what was learnt is more than that.
    rounding = (scores(merged, questions) - scores(tuned, questions)).abs().mean()
    learning = (scores(merged, questions) - scores(base, questions)).abs().mean()
    assert rounding < 0.5 * learning


@pytest.mark.parametrize("train", [["language"], ["vision", "lora"], ["projector"]])
def test_what_four_bits_cannot_hold_is_refused(tiny_base, built, tmp_path, train):
    with pytest.raises(TuningError, match=r"4bit matrices cannot learn.*let every stage tra"):
        tune(built, plan(tiny_base, "4bit", stage(train=train)), tmp_path / "run")


def test_without_bitsandbytes_the_extra_is_named(tiny_base, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"pip install 'swath\[qlora\]'"):
        load_base(Models(base=str(tiny_base), quantize="4bit"))


def test_a_language_model_without_plain_matrices_is_refused():
    parts = {
        "vision": "google/vit-base-patch16-224-in21k",
        "language": "openai-community/gpt2",
        "connector": "cross-attention",
    }
    with pytest.raises(ModelError, match="no plain matrices to hold in 4bit"):
        load_base(Models(weights="tiny", parts=parts, quantize="4bit"))
