import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from swath.errors import EndpointError, ModelError, RequestError
from swath.inference.embedding import open_embedder
from tests.endpoints import endpoint
from tests.making import write_tiny_model


def vectors_of(body):
    """Vectors of an answer, in another order than their texts': how long each text is, and 1."""
    data = [{"index": n, "embedding": [len(text), 1]} for n, text in enumerate(body["input"])]
    return 200, {"data": data[::-1]}


def test_an_address_is_asked_in_batches_and_its_vectors_come_back_in_order_and_normed():
    with endpoint(vectors_of, whole=True) as stand:
        embedder = open_embedder(f"{stand.address}#texts")
        vectors = embedder(["a" * (n + 1) for n in range(70)])
    assert [path for path, _ in stand.bodies] == ["/v1/embeddings"] * 2
    assert stand.bodies[0][1]["model"] == "texts"
    assert vectors.shape == (70, 2)
    assert vectors[2] == pytest.approx([3 / 10**0.5, 1 / 10**0.5])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(70))


@pytest.mark.parametrize(
    "answer",
    [
        "not JSON",
        json.dumps({"data": []}),
        json.dumps({"data": [{"index": 0, "embedding": ["x"]}]}),
        json.dumps({"data": [{"index": 0, "embedding": [1e999]}]}),
    ],
)
def test_an_address_that_gives_no_vectors_is_refused(answer):
    with endpoint(lambda body: (200, answer.encode()), whole=True) as stand:
        embedder = open_embedder(f"{stand.address}#texts")
        with pytest.raises(EndpointError, match="gave no 1 vectors"):
            embedder(["a"])


def test_an_address_without_a_model_is_refused():
    with pytest.raises(RequestError, match="its-name"):
        open_embedder("http://127.0.0.1:1/v1")


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT with the tokenizer of the tiny model."""
    write_tiny_model(tmp_path / "words")
    place = tmp_path / "texts"
    place.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (place / file).write_bytes((tmp_path / "words" / file).read_bytes())
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "max_position_embeddings": 64, "vocab_size": 1000}
    BertModel(BertConfig(**sizes)).eval().save_pretrained(place)
    return place


def pooled(folder, **how):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(how))
    return open_embedder(str(folder))


def test_a_folder_averages_tokens_and_padding_changes_nothing(folder):
    embedder = pooled(folder, pooling_mode_mean_tokens=True)
    alone = embedder(["a pier"])[0]
    together = embedder(["a pier", "a much longer text about a pier"])[0]
    assert np.linalg.norm(alone) == pytest.approx(1)
    assert together == pytest.approx(alone, abs=1e-5)


def test_the_first_token_counts_where_the_folder_says_so(folder):
    first = pooled(folder, pooling_mode_cls_token=True)(["a pier"])[0]
    mean = pooled(folder, pooling_mode_mean_tokens=True)(["a pier"])[0]
    assert not np.allclose(first, mean, atol=1e-3)


def test_a_folder_that_is_no_embedder_or_pools_otherwise_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match="no embedder here"):
        open_embedder(str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="pools neither"):
        pooled(folder, pooling_mode_max_tokens=True, pooling_mode_mean_tokens=False)
