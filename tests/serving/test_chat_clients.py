"""Chat with the clients themselves, each in an environment of its own; see `test_clients`."""

import json

import pytest

from tests.serving.conftest import uri
from tests.serving.test_clients import FOLDER, address, walk  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="SWATH_CLIENTS names no folder; `make clients` makes one"
)


@pytest.mark.parametrize("client", ["openai-1.109", "openai-3.57"])
def test_openais_client_chats(client, address):  # noqa: F811
    told = walk(client, "openai_chat.py", address, "swath-nano", uri(size_wh=(112, 112)))
    assert client == f"openai-{'.'.join(told['version'].split('.')[:2])}"
    assert told["answer"] == told["streamed"] and told["finish"] in ("stop", "length")
    assert told["finishes"][:-1] == [None] * (len(told["finishes"]) - 1)
    assert told["finishes"][-1] == told["finish"] and told["again"]
    use = told["usage"]
    assert use["total_tokens"] == use["prompt_tokens"] + use["completion_tokens"]
    assert told["streamed usage"]["total_tokens"] == use["total_tokens"]
    assert 1 <= len(told["likely"]) <= 3 and {row[2] for row in told["likely"]} == {2}
    for scene in told["parsed"]:
        assert scene["label"] in ("harbour", "forest", "bare land")
    assert len(told["several"]) == 2
    assert [row[1] for row in told["vectors"]] == pytest.approx([1, 1], abs=1e-5)
    assert told["models"] == ["swath-nano"] and told["model"]["object"] == "model"
    refused = told["refused"]
    assert refused["model"][:2] == ["NotFoundError", 404]
    assert refused["picture"][:2] == ["BadRequestError", 400]
    assert "is no data URI" in refused["picture"][2]
    assert "65 pictures, and a request may show 64" in refused["pictures"][2]
    assert refused["schema"][0] == "BadRequestError" and refused["schema"][3] == "response_format"
    assert refused["field"][:2] == ["UnprocessableEntityError", 422]
    assert refused["field"][3] == "top_k" and "top_k" in refused["field"][2]
    assert refused["embedding"][0] == "BadRequestError"
    assert refused["stream"][0] == "APIError" and "raise max_tokens" in refused["stream"][2]


@pytest.mark.parametrize("client", ["mistralai-1.9", "mistralai-2.4", "mistralai-3.7"])
def test_mistrals_client_chats(client, address):  # noqa: F811
    told = walk(client, "mistral_chat.py", address, "swath-nano", uri(size_wh=(112, 112)))
    assert client == f"mistralai-{'.'.join(told['version'].split('.')[:2])}"
    assert told["answer"] == told["streamed"] and told["finish"] == told["streamed finish"]
    assert told["usage"] == told["streamed usage"] and told["again"]
    assert json.loads(told["json"])["label"] in ("port", "forest")
    assert len(told["several"]) == 2 and told["vector"] > 0
    assert told["models"] == ["swath-nano"] and told["model"]["id"] == "swath-nano"
    assert told["refused"]["model"][1] == 404
    name, _, words = told["refused"]["field"]
    assert name == "HTTPValidationError" and "temperature" in words
