from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

from swath.errors import RequestError, TuningError
from swath.models import shrink
from swath.models.architectures.nano import NanoConfig
from swath.recipe import Stage
from swath.recipes import load_recipe
from swath.tuning.plan import CARDS, plan, plan_on
from swath.tuning.rehearsal import Shape, rehearse
from swath.tuning.run import tune
from tests.making import small_set, tiny_recipe

AUTHORS = {
    "geochat": ("A100-40G", 3),  # arXiv:2311.15826, section 4
    "skyeyegpt": ("3090", 4),  # arXiv:2401.09712
    "remoteglm": ("3090", 8),  # eight consumer cards, in four bits
    "pixtral-aid": ("A100-80G", 1),  # tuned by a service; the card is ours
    "satgpt": ("T4", 1),  # no card is named; that of free notebooks
}


@cache
def planned_by_authors(name):
    """The plan of a system's recipe on its authors' cards: seconds of rehearsing seven billion."""
    return plan_on(*AUTHORS[name], load_recipe(name))


@pytest.mark.parametrize("name", AUTHORS)
def test_a_systems_recipe_fits_the_cards_that_its_authors_name(name):
    planned = planned_by_authors(name)
    assert planned.fits, f"{name}: {planned.memory_mb:,.0f} of {planned.room_mb:,.0f} MB"


def test_a_tower_that_cannot_be_rehearsed_is_told():
    for name in AUTHORS:
        (stage, *_) = planned_by_authors(name).stages
        assert stage.tower_counted == (name != "pixtral-aid"), name


def test_geochat_takes_steps_of_its_papers_144_rows():
    (first, second) = planned_by_authors("geochat").stages
    assert [stage.rows * stage.batches * 3 for stage in (first, second)] == [144, 144]


SHAPE = Shape(images=4, rows=4, tokens=60, answers=10)


def nano(**text):
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}
    sizes |= {"num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": 500}
    return NanoConfig(32, stem_width=8, widths=(8, 16, 16), text_config=LlamaConfig(**sizes | text))


def rehearsed(config, shape=SHAPE, quantized="none", half=False, **stage):
    dtype = torch.bfloat16 if half else torch.float32
    learns = Stage(train=stage.pop("train", ["vision", "projector", "language"]), **stage)
    return rehearse(config, learns, shape, dtype, half, quantized)


def test_weights_gradients_and_moments_are_counted_by_what_learns():
    everything = rehearsed(nano())
    trained = sum(part.trained for part in everything.parts)
    assert everything.memory.gradients == 4 * trained
    assert everything.memory.optimizer == 8 * trained
    half = rehearsed(nano(), half=True, train=["lora"], lora={"rank": 4})
    (lora,) = (part.trained for part in half.parts if part.part == "lora")
    others = sum(part.total for part in half.parts if part.part != "lora")
    assert half.memory.gradients == 4 * lora
    assert half.memory.weights == pytest.approx(2 * others + 4 * lora, rel=0.01)  # and buffers


def test_four_bits_shrink_the_language_models_matrices_alone():
    full = rehearsed(nano(), half=True, train=["lora"]).memory.weights
    four = rehearsed(nano(), half=True, train=["lora"], quantized="4bit").memory.weights
    matrices = 2 * (4 * 64 * 64 + 3 * 64 * 128)  # two layers
    assert full - four == int(matrices * (2 - 0.5625))


def test_what_many_layers_hold_follows_from_few():
    deep = nano(num_hidden_layers=9)
    few = [rehearsed(nano(num_hidden_layers=n)).memory.activations for n in (3, 4)]
    told = rehearsed(deep).memory.activations
    assert told == pytest.approx(few[1] + 5 * (few[1] - few[0]), rel=0.02)


def test_computing_twice_holds_less_and_takes_longer():
    shape = Shape(8, 8, 200, 20)
    deep = nano(num_hidden_layers=4)
    plain, twice = (
        rehearsed(deep, shape, train=["projector", "language"], checkpointing=again)
        for again in (False, True)
    )
    assert twice.memory.activations < 0.6 * plain.memory.activations
    assert twice.flops > 1.2 * plain.flops


def test_a_card_too_small_is_told_with_what_would_fit(tmp_path):
    recipe = load_recipe("skyeyegpt", ["tuning.stages.0.checkpointing=false"])
    planned = plan_on("L4", 1, recipe.model_copy(update={"tuning": _first(recipe)}))
    assert not planned.fits
    assert planned.advice[0] == "tuning.stages.0.checkpointing=true"


def _first(recipe):
    return recipe.tuning.model_copy(update={"stages": recipe.tuning.stages[:1]})


def test_cards_that_cannot_share_a_step_and_unknown_cards_are_refused():
    with pytest.raises(TuningError, match=r"144 rows .* which 5 cards cannot share evenly"):
        plan_on("A100-40G", 5, load_recipe("geochat"))
    with pytest.raises(RequestError, match="unknown card 'A100-40'; did you mean A100-40G"):
        plan_on("A100-40", 1, load_recipe("geochat"))
    assert all(card.mib > 10_000 and card.tflops > 20 for _, card in CARDS.items())


@pytest.mark.parametrize("model", ["nano", "llava"])
def test_the_plan_is_near_what_training_holds_here(model, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    memory = import_module("memory")
    monkeypatch.setattr(memory, "STEPS", 2)  # the second has the optimiser's moments too
    for size in ("LAYERS", "TEXT_WIDTH"):
        monkeypatch.setattr(shrink, size, getattr(shrink, size))  # put back what it changes
    recipe, tiny, changes = memory.RECIPES[model]
    fewer = {**changes, "batch_size": changes["batch_size"] // 4}
    monkeypatch.setitem(memory.RECIPES, model, (recipe, tiny, fewer))
    row = memory.measure(model, tmp_path)
    assert row["planned_mb"] == pytest.approx(row["held_mb"], rel=0.2)


def test_kept_features_are_planned_at_their_size_on_disk(tmp_path):
    built = small_set(tmp_path / "pictures")
    still = {"turn": False, "crop": 1, "colour": 0}
    frozen = {"name": "frozen", "train": ["projector"], "batch_size": 4, "epochs": 1}
    recipe = tiny_recipe("swath-nano", tuning={"stages": [frozen | {"augment": still}]})
    (stage,) = plan(built, recipe).stages
    tune(built, recipe, tmp_path / "run")
    files = list((tmp_path / "run" / "evaluation" / "features").glob("*/*.safetensors"))
    kept = sum(load_file(file)["features"].nbytes for file in files)
    assert stage.features_mb == pytest.approx(kept / 1e6) and kept

    recipe = tiny_recipe("swath-nano", tuning={"stages": [frozen | {"augment": {"crop": 0.8}}]})
    assert plan(built, recipe).stages[0].features_mb is None
