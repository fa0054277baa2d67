"""Batches as both clients ask for them, and the runner that answers each request once."""

import asyncio
import json
from collections import Counter

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from swath.serving.app import create_app
from swath.serving.jobs import batch_runner
from swath.serving.jobs.batch_runner import BatchRunner
from tests.serving.asking import HERE, MISTRAL, error_of, upload
from tests.serving.chips import jsonl, line

CHAT = "/v1/chat/completions"


@pytest.fixture
def app(tiny_base, tmp_path):
    return create_app({"tiny": tiny_base}, tmp_path / "serving")


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HERE)  # nothing is answered: no runner is started


def openai_line(name, text="hello", **body):
    asked = {"model": "tiny", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": asked}


def openai_batch(client, *rows, **fields):
    file = upload(client, jsonl(*rows), "batch", "asked.jsonl")["id"]
    return client.post("/v1/batches", json={"input_file_id": file, "endpoint": CHAT, **fields})


def mistral_batch(client, **fields):
    body = {"endpoint": CHAT, "model": "tiny", **fields}
    return client.post("/v1/batch/jobs", json=body, headers=MISTRAL)


class Answering:
    """An application that answers with the question's words in capitals, and counts."""

    def __init__(self, busy=0):
        self.asked = Counter()
        self.busy = busy
        self.limit = 10**9
        self.app = Starlette(routes=[Route(CHAT, self.answer, methods=["POST"])])

    async def answer(self, request):
        body = await request.json()
        text = body["messages"][0]["content"]
        if self.busy:
            self.busy -= 1
            return JSONResponse({"message": "busy"}, 429, {"Retry-After": "0.01"})
        if len(self.asked) >= self.limit:
            await asyncio.sleep(3600)
        self.asked[text] += 1
        if text == "wrong":
            return JSONResponse({"message": "this is wrong", "object": "error"}, 400)
        return JSONResponse({"model": body["model"], "said": text.upper()})


def work_off(app, answering, until):
    """Run batches until a condition holds, then stop as a killed server would."""

    async def run():
        runner = asyncio.create_task(BatchRunner(app.state.office, answering.app, 2).run())
        for _ in range(1000):
            if runner.done() or until():
                break
            await asyncio.sleep(0.01)
        runner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await runner

    asyncio.run(run())
    assert until()


def status(client, name):
    return client.get(f"/v1/batches/{name}").json()["status"]


def rows_of(client, file):
    text = client.get(f"/v1/files/{file}/content").text
    return [json.loads(row) for row in text.splitlines()]


def test_answers_and_failures_stand_in_files_in_the_order_asked(client, app):
    rows = [openai_line(f"id-{text}", text) for text in ("b", "wrong", "a", "c")]
    batch = openai_batch(client, *rows, metadata={"team": "north"}).json()
    assert batch["object"] == "batch" and batch["status"] == "in_progress"
    assert batch["request_counts"] == {"total": 4, "completed": 0, "failed": 0}
    name = batch["id"]
    work_off(app, Answering(), lambda: status(client, name) == "completed")
    batch = client.get(f"/v1/batches/{name}").json()
    assert batch["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
    assert batch["completed_at"] >= batch["in_progress_at"] and batch["expires_at"]
    answers = rows_of(client, batch["output_file_id"])
    assert [row["custom_id"] for row in answers] == ["id-b", "id-a", "id-c"]
    assert answers[0]["response"]["status_code"] == 200 and answers[0]["error"] is None
    assert answers[0]["response"]["body"] == {"model": "tiny", "said": "B"}
    (failure,) = rows_of(client, batch["error_file_id"])
    assert failure["custom_id"] == "id-wrong" and failure["response"]["status_code"] == 400
    file = client.get(f"/v1/files/{batch['output_file_id']}").json()
    assert (file["purpose"], file["sample_type"], file["num_lines"]) == (
        "batch_output",
        "batch_result",
        3,
    )
    listed = client.get("/v1/batches", params={"limit": 5}).json()
    assert [row["id"] for row in listed["data"]] == [name] and not listed["has_more"]


def test_mistrals_batch_takes_files_with_a_model_of_its_own(client, app):
    asked = {"messages": [{"role": "user", "content": "a"}]}
    file = upload(client, jsonl({"custom_id": "x", "body": asked}, {"body": asked}), "batch")["id"]
    batch = mistral_batch(client, input_files=[file], timeout_hours=1).json()
    assert batch["status"] == "RUNNING" and batch["total_requests"] == 2
    name = batch["id"]
    work_off(app, Answering(), lambda: status(client, name) == "completed")
    batch = client.get(f"/v1/batch/jobs/{name}", headers=MISTRAL).json()
    assert batch["status"] == "SUCCESS" and batch["succeeded_requests"] == 2
    assert batch["errors"] == [] and batch["error_file"] is None
    assert [row["custom_id"] for row in rows_of(client, batch["output_file"])] == ["x", "1"]
    assert rows_of(client, batch["output_file"])[0]["response"]["body"]["model"] == "tiny"


def test_mistrals_requests_stand_in_the_body_and_come_back_in_it(client, app):
    asked = [
        {"custom_id": text, "body": {"messages": [{"role": "user", "content": text}]}}
        for text in ("a", "wrong")
    ]
    batch = mistral_batch(client, requests=asked).json()
    name = batch["id"]
    assert client.get(f"/v1/batch/jobs/{name}?inline=true").json()["outputs"] is None
    work_off(app, Answering(), lambda: status(client, name) == "completed")
    batch = client.get(f"/v1/batch/jobs/{name}", params={"inline": True}).json()
    assert [row["custom_id"] for row in batch["outputs"]] == ["a", "wrong"]
    assert batch["errors"] == [{"message": "this is wrong", "count": 1}]
    listed = client.get("/v1/batch/jobs", params={"status": ["SUCCESS"], "page": 0}).json()
    assert listed["total"] == 1 and client.delete(f"/v1/batch/jobs/{name}").json()["deleted"]
    assert error_of(client.get(f"/v1/batch/jobs/{name}"), 404)["code"] == "batch_not_found"


def test_a_batch_that_was_cut_off_goes_on_and_asks_nothing_twice(client, app):
    texts = [f"q{number}" for number in range(12)]
    name = openai_batch(client, *[openai_line(text, text) for text in texts]).json()["id"]
    answering = Answering()
    answering.limit = 5
    count = app.state.office.state.count
    work_off(app, answering, lambda: count(name)[0] == 5)
    answering.limit = 10**9
    work_off(app, answering, lambda: status(client, name) == "completed")
    batch = client.get(f"/v1/batches/{name}").json()
    assert [row["custom_id"] for row in rows_of(client, batch["output_file_id"])] == texts
    assert set(answering.asked.values()) == {1}


def test_a_busy_server_is_asked_again(client, app):
    name = openai_batch(client, openai_line("a")).json()["id"]
    work_off(app, Answering(busy=3), lambda: status(client, name) == "completed")
    assert client.get(f"/v1/batches/{name}").json()["request_counts"]["completed"] == 1


def test_a_cancelled_batch_keeps_what_was_answered(client, app):
    name = openai_batch(client, *[openai_line(f"{n}", f"{n}") for n in range(6)]).json()["id"]
    answering = Answering()
    answering.limit = 3
    count = app.state.office.state.count
    work_off(app, answering, lambda: count(name)[0] == 3)
    assert client.post(f"/v1/batches/{name}/cancel").json()["status"] == "cancelling"
    work_off(app, answering, lambda: status(client, name) == "cancelled")
    batch = client.get(f"/v1/batches/{name}").json()
    assert len(rows_of(client, batch["output_file_id"])) == 3 and batch["cancelled_at"]
    assert error_of(client.post(f"/v1/batches/{name}/cancel"), 400)["code"] == "wrong_state"


def test_requests_that_are_late_are_told_in_the_error_file(client, app, monkeypatch):
    batch = openai_batch(client, openai_line("a"), openai_line("b")).json()
    monkeypatch.setattr(batch_runner, "now", lambda: batch["expires_at"])
    work_off(app, Answering(), lambda: status(client, batch["id"]) == "expired")
    batch = client.get(f"/v1/batches/{batch['id']}").json()
    late = rows_of(client, batch["error_file_id"])
    assert [row["custom_id"] for row in late] == ["a", "b"] and batch["output_file_id"] is None
    assert late[0]["response"] is None and late[0]["error"]["code"] == "batch_expired"


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"custom_id": "2", "body": {}}, "line 2: method: missing; OpenAI's lines hold"),
        (openai_line("2") | {"url": "/v1/embeddings"}, "line 2: url: expected '/v1/chat/compl"),
        (openai_line("1"), "line 2: custom_id: '1' stands twice"),
        (openai_line(""), "line 2: custom_id: expected 1 to 512 signs"),
        (openai_line("2") | {"body": []}, "line 2: body: expected the request's object"),
        (openai_line("2", stream=True), "line 2: body.stream: answers of a batch are not"),
        (openai_line("2") | {"model": "tiny"}, "line 2: model: unknown key"),
        (line(), "line 2: messages: this is a training file"),
        ([], "line 2: expected an object"),
    ],
)
def test_a_line_that_is_no_request_is_named(client, app, row, error):
    refused = error_of(openai_batch(client, openai_line("1"), row), 400)
    assert f"asked.jsonl, {error}" in refused["message"]
    assert refused["code"] == "invalid_batch_file"
    assert list(app.state.office.batches.iterdir()) == []


def test_batches_that_cannot_be_answered_are_refused(client):
    gone = openai_batch(client, openai_line("1", model="gone"))
    assert error_of(gone, 404)["code"] == "model_not_found"
    wrong = client.post("/v1/batches", json={"input_file_id": "file-x", "endpoint": CHAT})
    assert error_of(wrong, 404)["code"] == "file_not_found"
    training = upload(client, jsonl(openai_line("1")))["id"]
    wrong = client.post("/v1/batches", json={"input_file_id": training, "endpoint": CHAT})
    assert "upload it with purpose 'batch'" in error_of(wrong, 400)["message"]
    openai = upload(client, jsonl(openai_line("1")), "batch")["id"]
    wrong = mistral_batch(client, input_files=[openai])
    assert "as in OpenAI's files" in error_of(wrong, 400)["message"]
    assert error_of(openai_batch(client, openai_line("1"), completion_window="1h"), 422)
    assert error_of(mistral_batch(client), 422)["param"] == "input_files"
