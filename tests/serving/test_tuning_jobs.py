"""Tuning jobs as OpenAI's and Mistral's clients ask for them, and the queue that works them off."""

import time
from typing import ClassVar

import pytest
from fastapi.testclient import TestClient

from swath.files import write_json, write_jsonl
from swath.recipes import load_recipe
from swath.serving.app import create_app
from swath.serving.jobs import hyperparameters, job_queue
from swath.serving.jobs.job_queue import MOST_STARTS
from swath.serving.jobs.tuning_queue import TuningQueue
from tests.serving.asking import HERE, MISTRAL, error_of, upload
from tests.serving.chips import coloured_lines, jsonl, line, said, uri

JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture
def app(tiny_base, tmp_path):
    return create_app({"tiny": tiny_base}, tmp_path / "serving")


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HERE)  # nothing is worked off: the queue is not started


def openai_job(client, **fields):
    file = upload(client, jsonl(*coloured_lines()))
    return client.post(JOBS, json={"model": "tiny", "training_file": file["id"], **fields})


def mistral_job(client, rows=None, hyperparameters=None, **fields):
    file = upload(client, jsonl(*(rows or coloured_lines())))
    body = {"model": "tiny", "training_files": [{"file_id": file["id"], "weight": 1}]}
    body["hyperparameters"] = hyperparameters or {"training_steps": 4}
    return client.post(JOBS, json=body | fields, headers=MISTRAL)


def recipe_of(app, name):
    return load_recipe(app.state.office.jobs / name / "recipe.yaml")


# Asked for


def test_openais_words_become_a_recipe(client, app):
    settings = {"n_epochs": 4, "batch_size": 3, "learning_rate_multiplier": 0.5}
    method = {"type": "supervised", "supervised": {"hyperparameters": settings}}
    metadata = {"team": "north"}
    job = openai_job(client, method=method, seed=5, suffix="aid", metadata=metadata).json()
    assert job["object"] == "fine_tuning.job" and job["status"] == "queued"
    assert job["hyperparameters"] == settings and job["metadata"] == metadata
    recipe = recipe_of(app, job["id"])
    stage = recipe.tuning.stages[0]
    assert (stage.steps, stage.batch_size, stage.learning_rate) == (8, 3, 4e-4)  # 4 * 6 / 3
    assert stage.train == ["vision", "projector", "language"] and recipe.seed == 5
    assert not stage.augment.turn and stage.augment.crop == 1


def test_mistrals_words_become_a_recipe(client, app):
    settings = {"training_steps": 7, "learning_rate": 2e-4, "weight_decay": 0.1}
    settings |= {"warmup_fraction": 0.2, "seq_len": 200}
    job = mistral_job(client, hyperparameters=settings).json()
    assert job["object"] == "job" and job["status"] == "QUEUED" and job["job_type"] == "completion"
    assert settings.items() <= job["hyperparameters"].items()
    recipe = recipe_of(app, job["id"])
    stage = recipe.tuning.stages[0]
    assert (stage.steps, stage.learning_rate, stage.weight_decay) == (7, 2e-4, 0.1)
    assert (stage.warmup, recipe.models.longest) == (0.2, 200)
    assert recipe.instructions.conversations.style == "mistral"


def test_a_job_is_read_by_either_client(client):
    name = openai_job(client).json()["id"]
    assert client.get(f"{JOBS}/{name}").json()["status"] == "queued"
    job = client.get(f"{JOBS}/{name}", headers=MISTRAL).json()
    assert job["status"] == "QUEUED" and job["checkpoints"] == []
    assert job["events"][0] == {
        "name": "status-updated",
        "created_at": job["created_at"],
        "data": {"status": "QUEUED"},
    }


def test_jobs_are_listed_newest_first_and_by_metadata(client):
    names = [openai_job(client, metadata={"team": team}).json()["id"] for team in ("a", "b", "a")]
    listed = client.get(JOBS, params={"limit": 2}).json()
    assert [job["id"] for job in listed["data"]] == names[:0:-1] and listed["has_more"]
    after = client.get(JOBS, params={"after": names[1]}).json()
    assert [job["id"] for job in after["data"]] == names[:1]
    of_a = client.get(JOBS, params={"metadata[team]": "a"}).json()["data"]
    assert [job["id"] for job in of_a] == [names[2], names[0]]
    mistral = client.get(JOBS, params={"page": 0, "page_size": 2}, headers=MISTRAL).json()
    assert mistral["total"] == 3 and mistral["data"][0]["object"] == "job"


# Refused


def test_a_model_or_a_file_that_is_not_there_is_said(client):
    file = upload(client, jsonl(line()))["id"]
    gone = client.post(JOBS, json={"model": "gone", "training_file": file})
    assert error_of(gone, 404)["code"] == "model_not_found"
    gone = client.post(JOBS, json={"model": "tiny", "training_file": "file-x"})
    assert error_of(gone, 404)["code"] == "file_not_found"


def test_a_bad_line_is_named_before_anything_is_queued(client, app):
    file = upload(client, jsonl(line(), {"messages": []}), name="my chips.jsonl")["id"]
    refused = client.post(JOBS, json={"model": "tiny", "training_file": file})
    error = error_of(refused, 400)
    assert error["param"] == "training_file" and error["code"] == "invalid_training_file"
    assert "my_chips.jsonl, line 2: messages: expected a list of messages" in error["message"]
    assert client.get(JOBS).json()["data"] == [] and list(app.state.office.jobs.iterdir()) == []


def test_words_that_steer_the_model_are_not_learnt(client, app):
    token = app.state.swath.model("tiny").engine.loaded.tokenizer.eos_token
    file = upload(client, jsonl(line(answer=f"farm{token}")))["id"]
    refused = client.post(JOBS, json={"model": "tiny", "training_file": file})
    assert (
        f"line 1: messages[1].content: the answer holds '{token}'"
        in error_of(refused, 400)["message"]
    )


def test_a_picture_in_training_and_validation_is_refused(client):
    rows = coloured_lines()
    train, val, alone = (
        upload(client, jsonl(*part))["id"] for part in (rows[:4], rows[3:5], rows[5:])
    )
    body = {"model": "tiny", "training_file": train, "validation_file": val}
    assert (
        "stands in the training files as well"
        in error_of(client.post(JOBS, json=body), 400)["message"]
    )
    error_of(client.post(JOBS, json=body | {"validation_file": train}), 400)
    assert client.post(JOBS, json=body | {"validation_file": alone}).json()["validation_file"]


def test_a_file_of_the_other_dialect_is_refused(client):
    string = line({"type": "image_url", "image_url": uri()}, said("?"))
    assert mistral_job(client, [string]).status_code == 200
    file = upload(client, jsonl(string))["id"]
    refused = client.post(JOBS, json={"model": "tiny", "training_file": file})
    assert "as in Mistral's files" in error_of(refused, 400)["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"rank": 8}}, "hyperparameters.rank"),
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"suffix": "a/b"}, "suffix"),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
    ],
)
def test_what_is_not_kept_is_refused_by_its_name(client, fields, param):
    assert error_of(openai_job(client, **fields), 422)["param"].startswith(param)


def test_weights_that_differ_are_refused(client):
    files = [upload(client, jsonl(line()))["id"] for _ in range(2)]
    body = {"model": "tiny", "hyperparameters": {"training_steps": 1}}
    body["training_files"] = [
        {"file_id": files[0], "weight": 1},
        {"file_id": files[1], "weight": 2},
    ]
    refused = client.post(JOBS, json=body, headers=MISTRAL)
    assert refused.status_code == 422 and refused.json()["detail"][0]["loc"][0] == "body"


def test_a_body_that_is_no_json_is_refused(client):
    assert "not valid JSON" in error_of(client.post(JOBS, content=b"{" * 9999), 400)["message"]


# States


def status(client, name):
    return client.get(f"{JOBS}/{name}").json()["status"]


def test_a_job_is_paused_resumed_and_cancelled_once(client):
    name = openai_job(client).json()["id"]
    for act, after in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert client.post(f"{JOBS}/{name}/{act}").json()["status"] == after
    for act in ("pause", "resume", "cancel"):
        assert error_of(client.post(f"{JOBS}/{name}/{act}"), 400)["code"] == "wrong_state"
    assert error_of(client.post(f"{JOBS}/ftjob-x/cancel"), 404)["code"] == "job_not_found"


def test_a_job_of_mistrals_waits_to_be_started(client):
    name = mistral_job(client, auto_start=False).json()["id"]
    assert client.get(f"{JOBS}/{name}", headers=MISTRAL).json()["status"] == "VALIDATING"
    started = client.post(f"{JOBS}/{name}/start", headers=MISTRAL).json()
    assert started["status"] == "QUEUED"


# Worked off


class Hand:
    """A worker whose folder the test fills."""

    alive = False
    error = None
    last_words = ("Killed",)
    started: ClassVar[list] = []

    def __init__(self, folder):
        self.folder = folder

    def start(self, arguments, output=None):
        self.started.append(arguments[0])

    def stop(self):
        self.alive = False


@pytest.fixture
def queue(app, monkeypatch):
    monkeypatch.setattr(job_queue, "Worker", Hand)
    monkeypatch.setattr(Hand, "started", [])
    return TuningQueue(app.state.office)


def losses(app, name, *steps):
    rows = [
        {"stage": "tune", "step": n, "steps": 4, "text": 1 / n, "tokens": 50, "seconds": n}
        for n in steps
    ]
    write_jsonl(app.state.office.jobs / name / "run" / "losses.jsonl", "losses", rows)


def test_steps_that_are_computed_again_are_told_once(client, app, queue):
    name = openai_job(client).json()["id"]
    queue.look()
    assert status(client, name) == "running" and Hand.started == ["tune"]
    losses(app, name, 1, 2, 3)
    queue.look()
    losses(app, name, 1, 2)  # the worker was killed and went on from step 2
    queue.look()
    losses(app, name, 1, 2, 3, 4)
    queue.look()
    events = client.get(f"{JOBS}/{name}/events", params={"limit": 100}).json()["data"]
    told = [event["data"]["step"] for event in events if event["type"] == "metrics"]
    assert told == [4, 3, 2, 1]
    assert events[-1]["message"].startswith("Created") and len({e["id"] for e in events}) == 8
    job = client.get(f"{JOBS}/{name}", headers=MISTRAL).json()
    assert [point["metrics"]["train_loss"] for point in job["checkpoints"]] == [
        1 / 4,
        1 / 3,
        0.5,
        1,
    ]
    assert job["metadata"]["expected_duration_seconds"] == 4
    assert job["metadata"]["train_tokens_per_step"] == 50


def test_a_tuning_costs_its_hours_at_the_price_of_the_machine(client, app, queue):
    app.state.office.price = (1800.0, "EUR")
    name = openai_job(client).json()["id"]
    queue.look()
    losses(app, name, 1, 2)
    queue.look()
    metadata = client.get(f"{JOBS}/{name}", headers=MISTRAL).json()["metadata"]
    assert metadata["expected_duration_seconds"] == 4  # a second a step
    assert (metadata["cost"], metadata["cost_currency"]) == (2.0, "EUR")


def test_a_worker_that_dies_without_a_word_is_started_so_often(client, app, queue):
    name = openai_job(client).json()["id"]
    for _ in range(MOST_STARTS + 2):
        queue.look()
    assert Hand.started == ["tune"] * (MOST_STARTS + 1)
    error = client.get(f"{JOBS}/{name}").json()["error"]
    assert "died 10 times without a step more: Killed" in error["message"]


def test_a_worker_that_says_why_it_failed_is_not_started_again(client, app, queue, monkeypatch):
    name = openai_job(client).json()["id"]
    queue.look()
    monkeypatch.setattr(Hand, "error", "/secret/place/run: the loss is nan.")
    queue.look()
    job = client.get(f"{JOBS}/{name}").json()
    assert job["status"] == "failed" and job["error"]["message"] == "run: the loss is nan."
    assert Hand.started == ["tune"]
    events = client.get(f"{JOBS}/{name}/events").json()["data"]
    assert events[0]["level"] == "error"


def test_a_run_that_cannot_be_read_is_a_failed_job(client, app, queue):
    name = openai_job(client).json()["id"]
    queue.look()
    write_json(app.state.office.jobs / name / "run" / "run.json", {"finished": True})
    queue.look()
    assert status(client, name) == "failed"


def test_a_full_disk_is_told_and_jobs_go_on_when_there_is_room(client, app, queue, monkeypatch):
    name = openai_job(client).json()["id"]
    full = OSError(28, "No space left on device")

    def start(self, arguments, output=None):
        monkeypatch.setattr(Hand, "start", lambda self, arguments, output=None: None)
        raise full

    monkeypatch.setattr(Hand, "start", start)
    troubles = []
    monkeypatch.setattr(
        app.state.office.changed,
        "wait",
        lambda seconds: troubles.append(app.state.office.troubles.get("job")),
    )
    monkeypatch.setattr(queue._ending, "is_set", lambda: len(troubles) == 2)
    queue.run()
    assert "No space left" in troubles[0] and troubles[1] is None
    app.state.office.troubles["job"] = troubles[0]
    assert "No space left" in client.get("/health").json()["jobs"]
    assert status(client, name) == "running"


def test_one_job_runs_at_a_time(client, queue):
    names = [openai_job(client).json()["id"] for _ in range(2)]
    queue.look()
    assert [status(client, name) for name in names] == ["running", "queued"]


def events_at(events, step):
    (data,) = [e["data"] for e in events if e["type"] == "metrics" and e["data"]["step"] == step]
    return data


def test_a_job_is_tuned_and_its_model_served_at_once(tiny_base, tmp_path):
    app = create_app({"tiny": tiny_base}, tmp_path / "serving")
    with TestClient(app, base_url=HERE) as client:
        settings = {"hyperparameters": {"n_epochs": 2, "batch_size": 3}}
        name = openai_job(client, suffix="colours", **settings).json()["id"]
        until = time.monotonic() + 600
        while status(client, name) in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.5)
        job = client.get(f"{JOBS}/{name}").json()
        assert job["status"] == "succeeded", job["error"]
        model = job["fine_tuned_model"]
        assert model == f"ft:tiny:swath:colours:{name[-8:]}"
        card = client.get(f"/v1/models/{model}").json()
        assert (card["type"], card["job"], card["root"]) == ("fine-tuned", name, "tiny")
        events = client.get(f"{JOBS}/{name}/events", params={"limit": 100}).json()["data"]
        steps = [event["data"]["step"] for event in events if event["type"] == "metrics"]
        assert steps == [4, 3, 2, 1] and job["trained_tokens"] > 4 * 3 * 10
        checkpoints = client.get(f"{JOBS}/{name}/checkpoints").json()["data"]
        made = [row["fine_tuned_model_checkpoint"] for row in checkpoints]
        assert made == [model, *(f"{model}:ckpt-step-{step}" for step in (3, 2, 1))]
        assert checkpoints[1]["metrics"]["train_loss"] == events_at(events, 3)["train_loss"]
        assert client.get(f"/v1/models/{made[3]}").json()["job"] == name
        naming = {"name": "colours", "description": "names colours"}
        patched = client.patch(f"/v1/fine_tuning/models/{model}", json=naming).json()
        assert patched["name"] == "colours" and patched["model_type"] == "completion"
        assert client.post(f"/v1/fine_tuning/models/{model}/archive").json()["archived"]
        error_of(client.get(f"/v1/models/{model}"), 404)
        assert not client.delete(f"/v1/fine_tuning/models/{model}/archive").json()["archived"]
        assert client.get(f"/v1/models/{model}").json()["description"] == "names colours"
        assert error_of(client.delete("/v1/models/tiny"), 403)["code"] == "not_tuned"
    again = create_app({"tiny": tiny_base}, tmp_path / "serving")
    with TestClient(again, base_url=HERE) as client:
        assert client.get(f"/v1/models/{model}").json()["job"] == name
        assert client.delete(f"/v1/models/{model}").json()["deleted"]
        for gone in (client.get, client.delete):
            error_of(gone(f"/v1/models/{model}"), 404)
        assert [row["id"] for row in client.get("/v1/models").json()["data"]] == ["tiny"]


def test_a_job_that_learns_an_adapter_is_served_on_the_base_it_was_tuned_from(
    tiny_base, tmp_path, monkeypatch
):
    monkeypatch.setattr(hyperparameters, "WHOLE_BELOW", 0)
    app = create_app({"tiny": tiny_base}, tmp_path / "serving")
    served = app.state.swath
    weights = {
        weight.data_ptr() for weight in served.model("tiny").engine.loaded.model.parameters()
    }
    with TestClient(app, base_url=HERE) as client:
        body = {"model": "tiny", "messages": [line()["messages"][0]], "max_tokens": 8}
        before = client.post("/v1/chat/completions", json=body).json()["choices"]
        settings = {"hyperparameters": {"n_epochs": 1, "learning_rate_multiplier": 300}}
        name = openai_job(client, **settings).json()["id"]
        until = time.monotonic() + 600
        while status(client, name) in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.5)
        job = client.get(f"{JOBS}/{name}").json()
        assert job["status"] == "succeeded", job["error"]
        tuned = served.model(job["fine_tuned_model"]).engine.loaded
        assert weights <= {weight.data_ptr() for weight in tuned.model.parameters()}
        answers = [
            client.post("/v1/chat/completions", json=body | {"model": model}).json()["choices"]
            for model in ("tiny", job["fine_tuned_model"], "tiny")
        ]
        assert answers[0] == answers[2] == before and answers[1] != before
