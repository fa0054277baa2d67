"""An exported folder behind an endpoint's handler and in a container, run as these run it."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import swath
from swath.errors import SwathError
from swath.export.endpoint_files import write_endpoint_files
from swath.export.endpoint_handler import DESCRIBE, EndpointHandler
from swath.serving.app import create_app
from swath.serving.protocol import ServeError
from swath.serving.served import Limits
from tests.making import rectangle

QUESTION = "[refer] where is <p>the red field</p>?"
TOOLKIT = """
import importlib.util, json, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location("handler", folder + "/handler.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handler = module.EndpointHandler(folder)
for line in sys.stdin:
    print("ANSWER" + json.dumps(handler(json.loads(line))))
"""


@pytest.fixture(scope="module")
def folder(tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "out"
    shutil.copytree(tiny_base, folder)
    write_endpoint_files(folder, "Tiny Model")
    return folder


@pytest.fixture(scope="module")
def picture(folder):
    return rectangle(folder.parent / "field.png")


@pytest.fixture(scope="module")
def sent(picture):
    return base64.b64encode(Path(picture).read_bytes()).decode()


@pytest.fixture(scope="module")
def handler(folder):
    handler = EndpointHandler(str(folder), Limits(images=2, image_px=10_000, new_tokens=16))
    yield handler
    handler.close()


def messages(url, words=QUESTION):
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": words}]
    return [{"role": "user", "content": parts}]


def test_a_fresh_process_answers_as_the_model_and_as_the_server_do(folder, picture, sent, tmp_path):
    url = f"data:image/png;base64,{sent}"
    chat = {"messages": messages(url), "max_tokens": 12, "logprobs": True}
    plain = {"inputs": {"image": sent, "question": QUESTION}, "parameters": {"max_new_tokens": 12}}
    lines = "\n".join(map(json.dumps, (plain, chat, {"inputs": chat["messages"]})))
    done = subprocess.run(
        [sys.executable, "-c", TOOLKIT, str(folder)],
        input=lines,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line[6:]) for line in done.stdout.splitlines() if line[:6] == "ANSWER"]
    reply = swath.load(folder).ask(picture, QUESTION, max_new_tokens=12)
    boxes = [] if reply.boxes is None else reply.boxes.to_rows(2)
    ((first,), second, third) = rows
    assert first["generated_text"] == reply.text
    assert [np.ravel(box["pixels"]).tolist() for box in first["boxes"]] == boxes
    with TestClient(
        create_app({"tiny": folder}, tmp_path / "serving"), base_url="http://127.0.0.1:8000"
    ) as client:
        served = client.post("/v1/chat/completions", json={"model": "tiny", **chat}).json()
    assert second["choices"] == served["choices"] and second["usage"] == served["usage"]
    assert second["choices"][0]["message"]["content"] == reply.text
    assert third["object"] == "chat.completion"


def test_a_bare_picture_is_described_and_a_schema_is_kept(handler, picture, sent):
    (row,) = handler({"inputs": Image.open(picture), "parameters": {"max_tokens": 8}})
    (same,) = handler(
        {"inputs": {"image": sent, "question": DESCRIBE}, "parameters": {"max_tokens": 8}}
    )
    assert row == same
    schema = {"type": "object", "properties": {"kind": {"enum": ["port", "park"]}}}
    schema |= {"required": ["kind"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "kind", "schema": schema}}
    (row,) = handler({"inputs": {"image": sent}, "parameters": {"response_format": form}})
    assert json.loads(row["generated_text"])["kind"] in ("port", "park")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"inputs": {"image": "http://127.0.0.1/x.png"}}, "Picture 1 is no data URI"),
        ({"messages": messages("file:///etc/passwd")}, "Picture 1 is no data URI"),
        ({"inputs": {"image": "!!"}}, "Picture 1 is no valid base64"),
        ({"inputs": {"images": ["AA=="] * 3}}, "3 pictures, and a request may show 2"),
        ({"inputs": {"image": "AAAA"}}, "Picture 1"),
        ({"inputs": {"images": [7]}}, "messages.0.user.content"),
        ({"inputs": {"images": 7}}, "images: a list of pictures"),
        ({"inputs": 7}, "send .*inputs"),
        ({"inputs": {"picture": "AAAA"}}, "send .*inputs"),
        ({"inputs": "x", "top_k": 3}, "send .*inputs"),
        ({"messages": messages("data:,"), "stream": True}, "leave stream out"),
        ({"messages": messages("data:,"), "top_k": 3}, "top_k: Extra inputs"),
        ({"inputs": "x", "parameters": 3}, "parameters: an object"),
        ({"inputs": "x", "parameters": {"max_tokens": 0}}, "max_tokens"),
        ({"inputs": "x", "parameters": {"stop": {1}}}, "holds what JSON does not"),
        ({"inputs": "x" * (65 << 20)}, "send smaller pictures"),
        ({}, "send .*inputs"),
    ],
)
def test_what_the_server_refuses_the_handler_refuses(handler, data, words):
    with pytest.raises((ServeError, SwathError), match=words):
        handler(data)


def test_a_large_picture_is_refused_and_the_next_request_answered(handler, sent, tmp_path):
    large = Image.new("RGB", (200, 100))
    with pytest.raises(ServeError, match="has 200 x 100 pixels, and one may have 10000"):
        handler({"inputs": large})
    assert handler({"inputs": {"image": sent}, "parameters": {"max_tokens": 4}})


def test_the_container_starts_a_server_that_answers(folder, picture, sent, tmp_path):
    """No container is built here: what its last lines do is done in a folder."""
    lines = (folder / "Dockerfile").read_text().splitlines()
    (copied,) = re.findall(r"^COPY --chown=swath \. (\S+)$", "\n".join(lines), re.MULTILINE)
    shutil.copytree(folder, tmp_path / copied)
    entry = json.loads(lines[-1].removeprefix("ENTRYPOINT "))
    assert entry[0] == "swath" and "swath[serve]" in (folder / "requirements.txt").read_text()
    command = [sys.executable, "-m", *entry, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        line = next(line for line in server.stdout if "http://" in line)
        address = re.search(r"http://\S+/v1", line)[0]
        body = {"model": "tiny_model", "messages": messages(f"data:image/png;base64,{sent}")}
        answer = httpx.post(f"{address}/chat/completions", json={**body, "max_tokens": 12})
        server.terminate()
    reply = swath.load(folder).ask(picture, QUESTION, max_new_tokens=12)
    assert answer.json()["choices"][0]["message"]["content"] == reply.text
