"""The door, the errors and the list of models, as both clients see them."""

import json

import pytest
from fastapi.testclient import TestClient

from swath.errors import ModelError, RequestError
from swath.serving.access import Access, add_key, read_keys
from swath.serving.app import create_app
from swath.serving.protocol import Paging, ServeError, is_mistral, without_places
from tests.serving.conftest import HERE

JSON = "application/json"


def error_of(response, status):
    """The error in a response, once it has the shape that both clients read."""
    assert response.status_code == status
    body = response.json()
    fields = {name: body[name] for name in ("message", "type", "param", "code")}
    assert body["object"] == "error" and body["error"] == fields
    return fields


def test_models_are_listed_as_both_clients_read_them(client):
    listed = client.get("/v1/models").json()
    (card,) = listed["data"]
    assert listed["object"] == "list" and not listed["has_more"]
    assert (card["id"], card["object"], card["type"]) == ("tiny", "model", "base")
    assert card["max_context_length"] == 256 and card["capabilities"]["vision"]
    assert client.get("/v1/models/tiny").json() == card


def test_a_model_with_a_slash_in_its_name_is_found(client, app, tiny_base):
    app.state.swath.add_model("ft:tiny/aid:1", tiny_base, job="ftjob-1", root="tiny")
    for name in ("ft:tiny/aid:1", "ft:tiny%2Faid:1"):
        card = client.get(f"/v1/models/{name}").json()
        assert (card["id"], card["type"], card["job"]) == ("ft:tiny/aid:1", "fine-tuned", "ftjob-1")


def test_a_model_that_is_not_there_is_an_error_that_says_where_to_look(client):
    error = error_of(client.get("/v1/models/other"), 404)
    assert error["code"] == "model_not_found" and "GET /v1/models" in error["message"]


def test_a_path_and_a_method_that_do_not_exist_have_errors_of_the_same_shape(client):
    error_of(client.get("/v1/nothing"), 404)
    error_of(client.delete("/health"), 405)


def test_a_removed_model_is_not_served(client, app):
    app.state.swath.remove_model("tiny")
    assert client.get("/health").json() == {"status": "ok", "models": []}


def test_a_model_that_is_gone_is_one_error(tmp_path):
    with pytest.raises(ModelError, match="there is no such run or folder"):
        create_app({"gone": tmp_path / "gone"}, tmp_path / "serving")


def test_two_servers_do_not_share_a_folder(app, tiny_base, tmp_path):
    with pytest.raises(RequestError, match="another server runs on this folder"):
        create_app({"tiny": tiny_base}, tmp_path / "serving")
    app.state.swath.close()
    create_app({"tiny": tiny_base}, tmp_path / "serving").state.swath.close()


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "192.168.1.7", "[::1]:8000"])
def test_the_machines_own_addresses_are_its_names(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "", "[::1"])
def test_another_host_is_refused(client, host):
    assert error_of(client.get("/health", headers={"Host": host}), 403)["code"] == "host_refused"


def test_pages_of_another_origin_are_refused(client):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        response = client.get("/v1/models", headers={"Origin": origin})
        assert error_of(response, 403)["code"] == "origin_refused"
    assert client.get("/v1/models", headers={"Origin": HERE}).status_code == 200


def test_any_key_passes_where_none_is_set(client):
    response = client.get("/v1/models", headers={"Authorization": "Bearer EMPTY"})
    assert response.status_code == 200


def test_a_key_that_is_set_is_needed_and_kept_as_a_hash(tiny_base, tmp_path):
    key = add_key(tmp_path / "keys.json", "anna", per_minute=2)
    assert key not in (tmp_path / "keys.json").read_text()
    access = Access(keys=read_keys(tmp_path / "keys.json"))
    app = create_app({"tiny": tiny_base}, tmp_path / "serving", access)
    with TestClient(app, base_url=HERE) as client:
        assert client.get("/health").status_code == 200
        assert error_of(client.get("/v1/models"), 401)["code"] == "invalid_api_key"
        for token in ("EMPTY", key[:-1]):
            wrong = client.get("/v1/models", headers={"Authorization": f"Bearer {token}"})
            assert key not in json.dumps(error_of(wrong, 401))
        right = {"Authorization": f"Bearer {key}"}
        statuses = [client.get("/v1/models", headers=right).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert 1 <= int(client.get("/v1/models", headers=right).headers["Retry-After"]) <= 61


def test_errors_name_files_without_their_folders():
    words = "/home/anna/runs/secret/a.tif: cannot be read; see http://127.0.0.1:8000/v1/models."
    assert without_places(words) == ("a.tif: cannot be read; see http://127.0.0.1:8000/v1/models.")


def test_mistrals_client_is_known_by_its_name():
    assert is_mistral({"user-agent": "mistral-client-python/1.9.3"})
    assert not is_mistral({"user-agent": "OpenAI/Python 3.57.0"})


def test_lists_are_paged_as_both_clients_page():
    rows = [{"id": name} for name in "abcde"]
    first = Paging(limit=2).of(rows)
    assert [row["id"] for row in first["data"]] == ["a", "b"]
    assert first["has_more"] and first["last_id"] == "b" and first["total"] == 5
    assert [row["id"] for row in Paging(after="d").of(rows)["data"]] == ["e"]
    assert [row["id"] for row in Paging(page=1, page_size=3).of(rows)["data"]] == ["d", "e"]
    for wrong in ({"limit": 0}, {"page_size": 10**9}, {"page": -1}):
        with pytest.raises(ServeError):
            Paging(**wrong)
    with pytest.raises(ServeError, match="no 'x' in this list"):
        Paging(after="x").of(rows)


def test_what_a_newcomer_sends_wrongly_is_said_in_words_that_help(client):
    asked = '{"model": "tiny", "messages": [{"role": "user", "content": "x"}]}'
    form = {"content-type": "application/x-www-form-urlencoded"}  # as `curl -d` sends
    refused = client.post("/v1/chat/completions", content=asked, headers=form)
    assert "Content-Type: application/json" in error_of(refused, 422)["message"]
    cut = client.post("/v1/chat/completions", content=asked[:9], headers={"content-type": JSON})
    error = error_of(cut, 422)
    assert error["message"].startswith("The body is not valid JSON") and error["param"] is None
    elsewhere = error_of(client.post("/v1/responses", json={"model": "tiny", "input": "x"}), 404)
    assert "/v1/responses" in elsewhere["message"] and "/openapi.json" in elsewhere["message"]
    words = error_of(client.post("/v1/embeddings", json={"model": "tiny", "input": "words"}), 400)
    assert words["param"] == "input" and "is no data URI" in words["message"]
