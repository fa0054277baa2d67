import pytest
import torch
from peft import PeftModel

from swath.errors import TuningError
from swath.recipe import Stage
from swath.tuning.stages import check_rates, count_parts, learnt, part_of, prepare


def learning(model, loaded):
    """Parts of which something learns."""
    return {part_of(name, loaded) for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    "parts",
    [
        ["vision"],
        ["projector"],
        ["language"],
        ["vision", "projector", "language"],
        ["lora"],
        ["projector", "lora"],
        ["vision", "lora"],
    ],
)
def test_exactly_the_named_parts_learn(tiny, parts):
    assert learning(prepare(tiny.model, tiny, Stage(train=parts)), tiny) == set(parts)


def test_parts_are_told_by_name(tiny):
    named = {
        "model.vision_tower.stem.weight": "vision",
        "model.multi_modal_projector.linear_1.weight": "projector",
        "model.language_model.layers.0.mlp.up_proj.weight": "language",
        "model.language_model.embed_tokens.weight": "language",
    }
    existing = dict(tiny.model.named_parameters())
    for name, part in named.items():
        assert name in existing
        assert part_of(name, tiny) == part


def test_an_adapter_lies_under_the_language_model_only(tiny):
    model = prepare(tiny.model, tiny, Stage(train=["lora"]))
    adapted = [name for name, _ in model.named_parameters() if ".lora_" in name]
    assert len(adapted) == 2 * 7 * 2  # A and B of seven layers in two blocks
    assert all(".language_model.layers." in name for name in adapted)


def test_an_adapter_goes_on_learning_in_the_next_stage_and_is_merged_when_not_named(tiny):
    first = prepare(tiny.model, tiny, Stage(train=["lora"]))
    assert prepare(first, tiny, Stage(train=["lora"])) is first
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in first.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    ids = torch.tensor([[1, 5, 30, 31]])
    with torch.inference_mode():
        before = first(input_ids=ids).logits
        merged = prepare(first, tiny, Stage(train=["vision"]))
        after = merged(input_ids=ids).logits
    assert not isinstance(merged, PeftModel)
    assert torch.allclose(before, after, atol=1e-3)
    assert learning(merged, tiny) == {"vision"}


def test_an_adapter_may_begin_to_learn_beside_the_projector(tiny):
    first = prepare(tiny.model, tiny, Stage(train=["lora"]))
    second = prepare(first, tiny, Stage(train=["projector", "lora"]))
    assert learning(second, tiny) == {"projector", "lora"}


def test_layers_that_are_not_there_are_named(tiny):
    stage = Stage(train=["lora"], lora={"targets": ["query", "key"]})
    with pytest.raises(TuningError, match=r"no layer under model.language_model is called query, "):
        prepare(tiny.model, tiny, stage)


def test_layers_of_the_tower_get_no_adapter_by_their_name(tiny):
    stage = Stage(train=["lora"], lora={"targets": ["conv1"]})
    with pytest.raises(TuningError, match=r"no layer under model.language_model is called conv1"):
        prepare(tiny.model, tiny, stage)


def test_what_learns_is_counted_a_part(tiny):
    model = prepare(tiny.model, tiny, Stage(train=["projector", "lora"], lora={"rank": 2}))
    counts = {one.part: one for one in count_parts(model, tiny)}
    # 4 places x 16, 16 x 64 + 64, 64 x 32 + 32
    assert counts["projector"].trained == counts["projector"].total == 64 + 1088 + 2080
    # Rank 2: q, k, v, o are 32 x 32; gate, up and down 32 x 48; two blocks.
    assert counts["lora"].trained == 2 * (4 * 2 * 64 + 3 * 2 * 80)
    assert counts["vision"].trained == counts["language"].trained == 0
    assert set(counts) == {"vision", "projector", "language", "lora"}


# Kinds of adapter


def adapters(model):
    return [m for m in model.modules() if hasattr(m, "lora_A") and "default" in m.lora_A]


@pytest.mark.parametrize(("kind", "scale"), [("lora", 32 / 10), ("rslora", 32 / 10**0.5)])
def test_a_root_of_the_rank_scales_where_asked(tiny, kind, scale):
    stage = Stage(train=["lora"], lora={"rank": 10, "alpha": 32, "kind": kind})
    layers = adapters(prepare(tiny.model, tiny, stage))
    assert len(layers) == 14
    assert all(layer.scaling["default"] == pytest.approx(scale) for layer in layers)


def test_lengths_are_learnt_apart_where_asked(tiny):
    stage = Stage(train=["lora"], lora={"rank": 2, "kind": "dora"})
    model = prepare(tiny.model, tiny, stage)
    assert learning(model, tiny) == {"lora"}
    counts = {one.part: one for one in count_parts(model, tiny)}
    lengths = 4 * 32 + 2 * 48 + 32  # one a row of q, k, v, o, gate and up, and down
    assert counts["lora"].trained == 2 * (4 * 2 * 64 + 3 * 2 * 80 + lengths)


# Rates and what is kept


def test_a_rate_of_a_part_that_does_not_learn_is_refused():
    check_rates(Stage(train=["projector"], learning_rates={"projector": 2e-5}))
    stage = Stage(name="align", train=["projector"], learning_rates={"vision": 2e-5})
    with pytest.raises(TuningError, match=r"stage 'align' has a learning rate for vision.*\(proj"):
        check_rates(stage)


def test_what_was_learnt_is_what_learns_and_the_statistics_of_norms(tiny):
    model = prepare(tiny.model, tiny, Stage(train=["projector"]))
    kept = set(learnt(model))
    assert {part_of(name, tiny) for name in kept if "running" not in name} >= {"projector"}
    assert "model.vision_tower.norm.running_mean" in kept
    assert not any("language_model.layers" in name for name in kept)


# Activations twice


def test_checkpointing_is_put_on_and_taken_off_stage_by_stage(tiny):
    def marked(model):
        return [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]

    model = prepare(tiny.model, tiny, Stage(train=["lora"], checkpointing=True))
    assert len(marked(model)) >= 2
    assert not marked(prepare(model, tiny, Stage(train=["lora"])))


def test_a_model_that_cannot_compute_twice_is_named(tiny, monkeypatch):
    monkeypatch.setattr(type(tiny.model), "supports_gradient_checkpointing", False)
    with pytest.raises(TuningError, match="no layers to compute twice; leave checkpointing out"):
        prepare(tiny.model, tiny, Stage(train=["language"], checkpointing=True))
