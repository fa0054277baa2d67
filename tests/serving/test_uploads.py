"""Files as both clients upload, list, read and delete them."""

import pytest
from fastapi.testclient import TestClient

from swath.serving.access import Access
from swath.serving.app import create_app
from swath.serving.jobs import uploads
from tests.serving.asking import HERE, error_of, upload
from tests.serving.chips import jsonl, line


@pytest.fixture
def app(tiny_base, tmp_path):
    return create_app({"tiny": tiny_base}, tmp_path / "serving")


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HERE)


def test_a_file_comes_back_as_it_was_sent(client):
    data = jsonl(line(), line()).rstrip()
    file = upload(client, data, name="../../chips of mine.jsonl")
    assert file["bytes"] == len(data) and file["num_lines"] == 2 and file["status"] == "processed"
    assert (file["sample_type"], file["source"]) == ("instruct", "upload")
    assert file["filename"] == "_.._chips_of_mine.jsonl"
    assert client.get(f"/v1/files/{file['id']}").json() == {**file, "deleted": False}
    assert client.get(f"/v1/files/{file['id']}/content").content == data
    address = client.get(f"/v1/files/{file['id']}/url", params={"expiry": 24}).json()["url"]
    assert client.get(address).content == data
    assert client.delete(f"/v1/files/{file['id']}").json()["deleted"]
    assert error_of(client.get(f"/v1/files/{file['id']}/content"), 404)["code"] == "file_not_found"


def test_files_are_listed_as_each_client_pages(client):
    names = [upload(client, b"{}", purpose)["id"] for purpose in ("batch", "fine-tune", "batch")]
    openai = client.get("/v1/files", params={"purpose": "batch", "limit": 1}).json()
    assert [row["id"] for row in openai["data"]] == [names[2]] and openai["has_more"]
    oldest = client.get("/v1/files", params={"order": "asc"}).json()["data"]
    assert [row["id"] for row in oldest] == names
    sent = {"page": 0, "page_size": 100, "sample_type": "instruct", "include_total": True}
    mistral = client.get("/v1/files", params=sent).json()
    assert mistral["total"] == 1 and mistral["object"] == "list"


@pytest.mark.parametrize(
    ("fields", "data", "status"),
    [
        ({"purpose": "assistants"}, b"{}", 400),
        ({"purpose": "batch"}, b"", 400),
        ({"purpose": "batch", "expires_after[seconds]": "5"}, b"{}", 400),
        ({"purpose": "batch", "expires_after[seconds]": "9" * 5000}, b"{}", 400),
    ],
)
def test_a_file_of_no_use_is_refused_and_not_kept(client, app, fields, data, status):
    response = client.post("/v1/files", data=fields, files={"file": ("a.jsonl", data)})
    error_of(response, status)
    assert list(app.state.office.files.iterdir()) == []


def test_an_upload_without_a_file_or_a_form_is_refused(client):
    error_of(client.post("/v1/files", data={"purpose": "batch"}), 422)
    error_of(client.post("/v1/files", json={}), 422)


def test_a_file_whose_time_is_over_is_gone(client, app, monkeypatch):
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = upload(client, b"{}", **fields)
    assert file["expires_at"] == file["created_at"] + 3600
    monkeypatch.setattr(uploads, "now", lambda: file["created_at"] + 3600)
    assert client.get("/v1/files").json()["data"] == []
    error_of(client.get(f"/v1/files/{file['id']}"), 404)
    uploads.sweep(app.state.office)
    assert list(app.state.office.files.iterdir()) == []


def test_an_upload_larger_than_may_be_is_refused_and_not_kept(tiny_base, tmp_path):
    app = create_app({"tiny": tiny_base}, tmp_path / "serving", Access(upload_bytes=5000))
    client = TestClient(app, base_url=HERE)
    large = {"file": ("a.jsonl", b"x" * 10_000)}
    response = client.post("/v1/files", data={"purpose": "batch"}, files=large)
    assert error_of(response, 413)["code"] == "request_too_large"
    assert list(app.state.office.files.iterdir()) == []


def test_what_a_killed_server_left_half_written_is_removed(client, app):
    kept = upload(client, b"{}")["id"]
    (app.state.office.files / ".file-1.host-9-ab").write_bytes(b"half")
    uploads.sweep(app.state.office)
    assert [path.name for path in app.state.office.files.iterdir()] == [kept]
