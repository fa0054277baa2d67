import pytest
import torch
from peft import PeftModel

from swath.errors import TuningError
from swath.recipe import Stage
from swath.tuning.stages import count_parts, part_of, prepare


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
