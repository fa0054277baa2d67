"""The AID notebook's walk, and chat, with the clients themselves, in environments of their own.

`make clients` makes the environments; SWATH_CLIENTS names their folder. CI has a client of each
dialect that has jobs, and the one that lost them; `make test-clients` has all five.
"""

import base64
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import nano  # noqa: F401 (draws the kinds that swath-nano knows)
from swath.annotations.drawn import draw_set
from swath.models.loading import load_base
from swath.recipe import Models
from tests.serving.conftest import uri

FOLDER = os.environ.get("SWATH_CLIENTS")
WALKS = Path(__file__).parent / "clients"
KINDS = ["airport", "beach", "farmland", "forest", "port"]
TRAINED, TESTED = 120, 40
QUESTION = "What kind of scene is this? Answer with one word."

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="SWATH_CLIENTS names no folder; `make clients` makes one"
)


def lines(image, style):
    """What is asked about a drawn scene, and its label in AID's spelling."""
    data = base64.b64encode(Path(image.path).read_bytes()).decode()
    address = f"data:image/jpeg;base64,{data}"
    shown = address if style == "mistral" else {"url": address}
    content = [{"type": "image_url", "image_url": shown}, {"type": "text", "text": QUESTION}]
    return [{"role": "user", "content": content}], image.label.title().replace(" ", "")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return draw_set(folder, KINDS, TRAINED + TESTED, 7, 112, 1, None, ".jpg")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of swath-nano and a tiny model that needs a picture, as a user starts it."""
    folder = tmp_path_factory.mktemp("serving")
    parts = {"vision": "google/vit-base-patch16-224-in21k", "language": "openai-community/gpt2"}
    seeing = Models(weights="tiny", parts={**parts, "connector": "cross-attention"})
    load_base(seeing, seed=1).save(folder / "seeing")
    models = ["swath-nano", str(folder / "seeing")]
    command = [sys.executable, "-m", "swath", "serve", *models, "--home", str(folder / "home")]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        place = next(line for line in server.stdout if "http://" in line)
        found = place.partition("http://")[2].partition("/v1")[0]
        yield f"http://{found}"
        server.terminate()


@pytest.fixture
def folder(images, tmp_path, request):
    style = request.param
    with (tmp_path / "train.jsonl").open("w") as stream:
        for image in images[:TRAINED]:
            messages, label = lines(image, style)
            turn = {"role": "assistant", "content": label}
            stream.write(json.dumps({"messages": [*messages, turn]}) + "\n")
    with (tmp_path / "test.jsonl").open("w") as stream:
        for image in images[TRAINED:]:
            messages, label = lines(image, style)
            stream.write(json.dumps({"label": label, "messages": messages}) + "\n")
    return tmp_path


def walk(client, script, address, folder, *arguments):
    """What a walk tells, made with the client of that environment."""
    python = Path(FOLDER) / client / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"{python} is not there; `make clients` makes it")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, WALKS / script, address, folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def right(confusion):
    return sum(count for label, answer, count in confusion if label == answer)


def check_matrices(told):
    """No row is lost, and the tuned model is right where the base is not."""
    for matrix in (told["base"], told["tuned"]):
        assert sum(count for *_, count in matrix) == TESTED
    assert right(told["base"]) == 0 and right(told["tuned"]) >= 0.9 * TESTED
    assert told["answer"][0] == told["answer"][1]


def check_losses(told):
    steps = [step for step, _ in told["losses"]]
    assert steps == list(range(1, len(steps) + 1))
    assert told["losses"][-1][1] < 0.2 * told["losses"][0][1]


@pytest.mark.parametrize("folder", ["openai"], indirect=True)
@pytest.mark.parametrize("client", ["openai-1.109", "openai-3.57"])
def test_the_walk_with_openais_client(client, address, folder):
    told = walk(client, "openai_walk.py", address, folder)
    assert client == f"openai-{'.'.join(told['version'].split('.')[:2])}"
    assert told["same"] and told["listed"] and told["deleted"] and told["found"]
    assert told["broken"][0] == "BadRequestError"
    assert "broken.jsonl, line 1: messages[0].content" in told["broken"][1]
    assert told["other dialect"][0] == "BadRequestError"
    assert "create the job with Mistral's client" in told["other dialect"][1]
    assert told["gone"][0] == told["no file"][0] == told["after"][0] == "NotFoundError"
    assert told["acts"] == ["paused", "queued", "cancelled"] and told["again"]
    job = told["job"]
    assert job["status"] == "succeeded" and job["trained_tokens"] > 0
    assert told["events"][0] == told["events"][1] > len(told["losses"]) > 0
    check_losses(told)
    assert told["model"]["id"] == job["fine_tuned_model"] in told["models"]
    assert [row["request_counts"]["completed"] for row in told["batches"]] == [TESTED, TESTED]
    check_matrices(told)


@pytest.fixture(scope="module")
def tuned():
    """Models that a walk has tuned, for the walk that cannot."""
    return []


@pytest.mark.parametrize("folder", ["mistral"], indirect=True)
@pytest.mark.parametrize("client", ["mistralai-1.9", "mistralai-2.4"])
def test_the_walk_with_mistrals_client(client, address, folder, tuned):
    told = walk(client, "mistral_walk.py", address, folder)
    assert client == f"mistralai-{'.'.join(told['version'].split('.')[:2])}"
    assert told["listed"] and told["found"] and told["file"]["num_lines"] == TRAINED
    assert "broken.jsonl, line 1: messages[0].content" in told["broken"][1]
    assert "OpenAI's word; Mistral's files say 'system'" in told["other dialect"][1]
    assert "There is no model 'gone'" in told["gone"][1] and told["unknown"] and told["acts"]
    assert told["validated"][0] == "VALIDATED" and told["validated"][1] > 0
    job = told["job"]
    assert job["status"] == "SUCCESS" and len(told["losses"]) == 40
    states = [event["data"]["status"] for event in job["events"]]
    assert states == ["SUCCESS", "RUNNING", "QUEUED", "VALIDATED", "VALIDATING"]
    check_losses(told)
    assert (told["model"]["type"], told["model"]["name"]) == ("fine-tuned", "aid")
    assert [row["succeeded_requests"] for row in told["batches"]] == [TESTED, TESTED]
    check_matrices(told)
    tuned.append(job["fine_tuned_model"])


@pytest.mark.parametrize("folder", ["mistral"], indirect=True)
def test_the_walk_with_a_client_that_lost_its_jobs(address, folder, tuned):
    assert tuned, "the walks before this one make the model"
    told = walk("mistralai-3.7", "mistral_walk.py", address, folder, tuned[-1])
    assert told["version"].startswith("3.7") and told["model"]["type"] == "fine-tuned"
    check_matrices(told)
    assert "There is no file 'file-x'" in told["no file"][1]


# Chat


UNUSABLE = {
    "picture": "is no data URI",
    "pictures": "65 pictures, and a request may show 64",
    "no picture": "seeing needs a picture",
    "bomb": "which may be an attack",
    "text": "Picture 1 cannot be used: of no format that is read",
    "schema": "cannot be followed (Unimplemented keys: [",
}
"""Requests that nobody can answer, and of what the clients' own errors speak."""


def asked():
    """Models and pictures, one of them of a gigapixel that is a few bytes long."""
    png = bytearray(base64.b64decode(uri().partition(",")[2]))
    png[16:24] = struct.pack(">II", 40_000, 40_000)  # the header's width and height
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    bomb_uri = "data:image/png;base64," + base64.b64encode(png).decode()
    return "swath-nano", "seeing", uri(size_wh=(112, 112)), bomb_uri


@pytest.mark.parametrize("client", ["openai-1.109", "openai-3.57"])
def test_openais_client_chats(client, address):
    told = walk(client, "openai_chat.py", address, *asked())
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
    assert told["models"][:2] == ["swath-nano", "seeing"] and told["model"]["object"] == "model"
    assert told["words"] in ("stop", "length")
    refused = told["refused"]
    for what, words in UNUSABLE.items():
        assert refused[what][:2] == ["BadRequestError", 400] and words in refused[what][2]
    assert refused["model"][:2] == ["NotFoundError", 404]
    assert refused["schema"][3] == "response_format"
    assert refused["field"][:2] == ["UnprocessableEntityError", 422]
    assert refused["field"][3] == "top_k" and "top_k" in refused["field"][2]
    assert refused["embedding"][0] == "BadRequestError"
    assert refused["stream"][0] == "APIError" and "raise max_tokens" in refused["stream"][2]


@pytest.mark.parametrize("client", ["mistralai-1.9", "mistralai-2.4", "mistralai-3.7"])
def test_mistrals_client_chats(client, address):
    told = walk(client, "mistral_chat.py", address, *asked())
    assert client == f"mistralai-{'.'.join(told['version'].split('.')[:2])}"
    assert told["answer"] == told["streamed"] and told["finish"] == told["streamed finish"]
    assert told["usage"] == told["streamed usage"] and told["again"]
    assert json.loads(told["json"])["label"] in ("port", "forest")
    assert len(told["several"]) == 2 and told["vector"] > 0
    assert told["models"][:2] == ["swath-nano", "seeing"] and told["model"]["id"] == "swath-nano"
    assert told["words"] in ("stop", "length") and told["refused"]["model"][1] == 404
    for what, words in UNUSABLE.items():
        name, status, message = told["refused"][what]
        assert name == "SDKError" and status == 400 and words in message, what
    name, _, words = told["refused"]["field"]
    assert name == "HTTPValidationError" and "temperature" in words
