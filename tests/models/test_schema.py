import json

import numpy as np
import pytest
import torch

from swath.errors import RequestError
from swath.models.engine import LocalEngine
from swath.models.generating.schema import Grammar, Held
from swath.models.loading import load_base
from swath.recipe import Models
from tests.making import asks, rectangle

LABELS = ["airport", "bare land", "bäume"]
SCENE = {
    "type": "object",
    "properties": {"image_description": {"type": "string"}, "label": {"enum": LABELS}},
    "required": ["image_description", "label"],
    "additionalProperties": False,
}
MIXED = {
    "type": "object",
    "properties": {
        "damaged": {"type": "integer"},
        "share": {"type": "number"},
        "flooded": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        "note": {"type": "string"},
    },
    "required": ["damaged", "share", "flooded", "names", "where"],
    "additionalProperties": False,
}


@pytest.fixture
def questions(tmp_path):
    return [
        asks(rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12)), question="What" + " now" * x)
        for x in range(2, 20, 3)
    ]


def noisy(model, strength=8.0):
    """The model's words become random ones, other in each row and step."""
    draws = torch.Generator().manual_seed(3)
    head = model.get_output_embeddings()

    def noise(module, given, logits):
        return logits + strength * torch.randn(logits.shape, generator=draws)

    return head.register_forward_hook(noise)


@pytest.mark.parametrize("longest", [1, 6, 40])
def test_no_answer_of_a_random_model_is_invalid(tiny, questions, longest):
    noisy(tiny.model)
    for schema, keys in ((SCENE, ["image_description", "label"]), (MIXED, MIXED["required"])):
        answers = LocalEngine(tiny, batch_size=4).answer(questions * 3, longest, schema=schema)
        read = [json.loads(one.text) for one in answers]
        assert all(list(one)[: len(keys)] == keys for one in read)
        assert len({one.text for one in answers}) > 2
    assert {type(one["names"]) for one in read} == {list}


def test_every_label_is_one_of_the_schema_and_all_can_be_said(tiny, questions):
    noisy(tiny.model, 20)
    answers = LocalEngine(tiny).answer(questions * 5, 4, schema=SCENE)
    assert {json.loads(one.text)["label"] for one in answers} == set(LABELS)


def test_without_the_schema_the_same_model_says_no_json(tiny, questions):
    noisy(tiny.model)
    for one in LocalEngine(tiny).answer(questions, 40):
        with pytest.raises(ValueError):
            json.loads(one.text)


def test_json_would_be_cut_if_nothing_closed_it(tiny, questions, monkeypatch):
    noisy(tiny.model)
    hold = Grammar.hold

    def open_end(self, rows, most):
        held = hold(self, rows, most)
        held.most, held.closing = most, 10**6
        return held

    monkeypatch.setattr(Grammar, "hold", open_end)
    with pytest.raises(ValueError):
        json.loads(LocalEngine(tiny).answer(questions[:1], 6, schema=SCENE)[0].text)


def test_json_is_written_as_in_training_and_ends_where_it_ends(tiny):
    grammar = Grammar(tiny, SCENE)
    said = json.dumps({"image_description": 'A "b" ß', "label": "bäume"}, ensure_ascii=False)
    end = tiny.tokenizer.convert_tokens_to_ids(tiny.end)
    for text, fits in ((said, True), (" " + said, True), (said.replace(": ", ":"), False)):
        ids = [*tiny.tokenizer(text, add_special_tokens=False)["input_ids"], end]
        held, allowed = Held(grammar, 1, 100), []
        for place, token in enumerate(ids):
            scores = held(torch.tensor([[1, *ids[:place]]]), torch.zeros(1, len(tiny.tokenizer)))
            allowed.append(bool(torch.isfinite(scores[0, token])))
            if not allowed[-1]:
                break
        assert all(allowed) is fits
        if fits:  # behind the last brace nothing else is allowed
            assert np.flatnonzero(torch.isfinite(scores[0])).tolist() == [end]


def test_every_kind_of_tokenizer_keeps_to_the_schema(tmp_path):
    """Byte-level and word-piece vocabularies, and a decoder that sees through cross-attention."""
    parts = {"vision": "google/vit-base-patch16-224-in21k", "language": "openai-community/gpt2"}
    for section in (
        Models(weights="tiny", base="Qwen/Qwen2.5-VL-3B-Instruct"),
        Models(weights="tiny", parts={**parts, "connector": "cross-attention"}),
    ):
        loaded = load_base(section, seed=1)
        noisy(loaded.model if hasattr(loaded.model, "lm_head") else loaded.model.decoder)
        some = [asks(rectangle(tmp_path / "a.png"), question=text) for text in ("a", "a b c")]
        for one in LocalEngine(loaded).answer(some, 8, schema=SCENE):
            assert json.loads(one.text)["label"] in LABELS


def test_a_schema_that_cannot_be_followed_is_refused_with_its_reason(tiny, questions):
    schema = {"type": "object", "properties": {"a": {"type": "text"}}}
    with pytest.raises(RequestError, match=r"schema cannot be followed \(.*text.*\); leave that"):
        LocalEngine(tiny).answer(questions, schema=schema)
