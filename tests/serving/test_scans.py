"""Scans as jobs: a scene uploaded, asked tile by tile, its layers and map fetched."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from rasterio.transform import from_origin

from swath.files import read_json, write_json
from swath.serving.app import create_app
from swath.serving.jobs import job_queue
from swath.serving.jobs.worker import PROCESS
from swath.serving.scans.scan_queue import ScanQueue
from tests.serving.asking import HERE, error_of, upload
from tests.serving.test_tuning_jobs import Hand

SCANS = "/v1/scans"
ENDED = ("succeeded", "incomplete", "failed", "cancelled")


def scene(path, side_px=64, crs="EPSG:32633"):
    """A GeoTIFF of noise, of a metre a pixel."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, side_px, side_px), np.uint8)
    shape = {"width": side_px, "height": side_px, "count": 3, "dtype": "uint8", "crs": crs}
    with rasterio.open(path, "w", "GTiff", transform=from_origin(5e5, 5e6, 1, 1), **shape) as file:
        file.write(pixels)
    return path


def square(west, south, side):
    ring = [[west, south], [west + side, south], [west + side, south + side], [west, south + side]]
    return {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
        "features": [
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
        ],
    }


@pytest.fixture
def app(tiny_base, tmp_path):
    return create_app({"tiny": tiny_base}, tmp_path / "serving")


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HERE)  # nothing is worked off: the queue is not started


@pytest.fixture
def queue(app, monkeypatch):
    class Placed(Hand):
        def start(self, arguments, output=None, within=None):
            self.started.append(arguments)

    monkeypatch.setattr(job_queue, "Worker", Placed)
    monkeypatch.setattr(Hand, "started", [])
    return ScanQueue(app.state.office)


def ask(client, path, **fields):
    file = upload(client, path.read_bytes(), "scan", path.name)
    body = {"model": "tiny", "input_file_id": file["id"], "questions": ["What is it?"], **fields}
    return client.post(SCANS, json=body)


def ended(client, name, seconds=600):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        scan = client.get(f"{SCANS}/{name}").json()
        if scan["status"] in ENDED:
            return scan
        time.sleep(0.3)
    raise AssertionError(f"the scan did not end: {scan}")


def test_a_scan_is_asked_watched_and_its_results_are_files(tiny_base, tmp_path):
    app = create_app({"tiny": tiny_base}, tmp_path / "serving")
    with TestClient(app, base_url=HERE) as client:
        path = scene(tmp_path / "port.tif")
        questions = ["What is it?", "--to=/tmp/elsewhere"]
        asked = ask(client, path, questions=questions, tile_px=32).json()
        assert asked["object"] == "scan" and asked["status"] in ("queued", "running")
        scan = ended(client, asked["id"])
        assert scan["status"] == "succeeded" and scan["complete"], scan["error"]
        assert scan["tiles"] == {"planned": 4, "asked": 4, "skipped": 0, "failed": 0}
        assert [result["question"] for result in scan["results"]] == questions
        names = {"answers.geojson", "answers.gpkg", "map.html", "overview.png", "scan.json"}
        assert set(scan["result_files"]) == names
        contents = {
            key: client.get(f"/v1/files/{file}/content").content
            for key, file in scan["result_files"].items()
        }
        features = json.loads(contents["answers.geojson"])["features"]
        assert len(features) == 8 and contents["overview.png"].startswith(b"\x89PNG")
        record = json.loads(contents["scan.json"])
        assert record["model"] == "model/tiny" and record["scenes"][0]["path"] == "scene/port.tif"
        place = str(tmp_path).encode()
        assert not any(place in content for content in contents.values())
        assert list(app.state.office.jobs.iterdir()) == []  # what is finished leaves nothing else
        row = client.get(f"/v1/files/{scan['result_files']['scan.json']}").json()
        assert (row["purpose"], row["mimetype"]) == ("scan_output", "application/json")
        assert row["bytes"] == len(contents["scan.json"])
        assert client.get(SCANS).json()["data"] == [scan]


def test_a_scene_can_come_with_the_request_and_within_an_area(client, app, tmp_path):
    path = scene(tmp_path / "port.tif")
    with path.open("rb") as stream:
        response = client.post(
            SCANS,
            data={
                "model": "tiny",
                "question": ["[refer] every <p>ship</p>", "What is it?"],
                "tile_px": "16",
                "aoi": json.dumps(square(5e5, 5e6 - 16, 16)),
            },
            files={"file": (path.name, stream)},
        )
    row = app.state.office.state.get("scan", response.json()["id"])
    assert row["arguments"] == [
        *("scan", "--json", "--to", "result", "--tile-px", "16", "--aoi", "area/aoi.geojson"),
        *("--", "model/tiny", "scene/port.tif", "[refer] every <p>ship</p>", "What is it?"),
    ]
    assert client.get("/v1/files").json()["data"][0]["num_lines"] is None
    assert "arguments" not in response.json()


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"questions": []}, 400, "nothing is asked"),
        ({"questions": [" "]}, 400, "a question is empty"),
        ({"questions": ["a\x00b"]}, 422, "questions.0"),
        ({"questions": [], "classify": True}, 400, "says no classes of its own"),
        ({"aoi": square(0, 0, 5)}, 400, "lies outside"),
        ({"aoi": {"type": "FeatureCollection", "features": []}}, 400, "aoi.geojson"),
        ({"overlap": 1.0}, 422, "overlap"),
        ({"model": "gone"}, 404, "There is no model"),
        ({"input_file_id": "file-x"}, 404, "There is no file"),
        ({"to": "/tmp"}, 422, "to"),
    ],
)
def test_what_could_only_fail_is_refused_before_it_waits(
    client, app, tmp_path, fields, status, words
):
    response = ask(client, scene(tmp_path / "port.tif"), **fields)
    assert words in error_of(response, status)["message"]
    assert str(tmp_path) not in response.text
    assert list(app.state.office.jobs.iterdir()) == [] == client.get(SCANS).json()["data"]


@pytest.mark.parametrize("name", ["words.tif", "cut.tif", "all.vrt"])
def test_what_is_no_scene_is_refused_and_not_kept(client, app, tmp_path, name):
    whole = scene(tmp_path / "port.tif").read_bytes()
    content = {"words.tif": b"Hello.", "cut.tif": whole[:60], "all.vrt": b"<VRTDataset/>"}[name]
    data = {"model": "tiny", "question": "What is it?"}
    response = client.post(SCANS, data=data, files={"file": (name, content)})
    assert error_of(response, 400)["message"] and str(tmp_path) not in response.text
    assert client.get("/v1/files").json()["data"] == [] == list(app.state.office.jobs.iterdir())


def test_a_scene_of_too_many_pixels_or_tiles_is_refused(client, app, tmp_path, monkeypatch):
    path = scene(tmp_path / "port.tif")
    monkeypatch.setattr("swath.serving.scans.scan_jobs.MOST_TILES", 63)
    assert "64 tiles" in error_of(ask(client, path, tile_px=8, overlap=0), 400)["message"]
    object.__setattr__(app.state.swath.limits, "scene_px", 4095)
    assert "64 x 64 pixels" in error_of(ask(client, path), 400)["message"]


def test_too_many_scans_are_told_to_wait(client, tmp_path, monkeypatch):
    monkeypatch.setattr("swath.serving.scans.scan_jobs.MOST_OPEN", 1)
    path = scene(tmp_path / "port.tif")
    name = ask(client, path).json()["id"]
    refused = ask(client, path)
    assert refused.headers["retry-after"] and error_of(refused, 429)["code"] == "queue_full"
    client.post(f"{SCANS}/{name}/cancel")
    assert ask(client, path).status_code == 200


def test_states_change_in_order(client, queue, tmp_path):
    first, second = [ask(client, scene(tmp_path / "port.tif")).json()["id"] for _ in range(2)]
    queue.look()
    status = {name: client.get(f"{SCANS}/{name}").json()["status"] for name in (first, second)}
    assert status == {first: "running", second: "queued"} and len(Hand.started) == 1
    assert client.post(f"{SCANS}/{first}/cancel").json()["status"] == "cancelled"
    assert error_of(client.post(f"{SCANS}/{first}/cancel"), 400)["code"] == "wrong_state"
    assert client.post(f"{SCANS}/{first}/resume").json()["status"] == "queued"
    assert error_of(client.get(f"{SCANS}/scan-x"), 404)["code"] == "scan_not_found"


def test_a_failed_tile_leaves_a_scan_incomplete_until_it_is_resumed(client, app, queue, tmp_path):
    name = ask(client, scene(tmp_path / "port.tif")).json()["id"]
    queue.look()
    result = app.state.office.jobs / name / "result"
    write_json(result / "scan.json", {"complete": False, "scenes": [{"results": []}]})
    queue.look()
    scan = client.get(f"{SCANS}/{name}").json()
    assert (scan["status"], scan["complete"]) == ("incomplete", False)
    (file,) = scan["result_files"].values()
    client.post(f"{SCANS}/{name}/resume")
    queue.look()
    assert len(Hand.started) == 2 and not (result / "scan.json").exists()
    assert client.get(f"/v1/files/{file}").status_code == 404  # it told of the time before


def test_a_worker_that_says_why_it_failed_is_not_started_again(
    client, queue, tmp_path, monkeypatch
):
    name = ask(client, scene(tmp_path / "port.tif")).json()["id"]
    queue.look()
    monkeypatch.setattr(Hand, "error", "/secret/place/tiny: no model here.")
    queue.look()
    scan = client.get(f"{SCANS}/{name}").json()
    assert (scan["status"], scan["error"]["message"]) == ("failed", "tiny: no model here.")
    assert len(Hand.started) == 1


class Server:
    """`swath serve` of the tiny model, to be killed."""

    def __init__(self, model, home):
        self.home = home
        command = [sys.executable, "-m", "swath", "serve", f"tiny={model}", "--home", str(home)]
        self.process = subprocess.Popen(
            [*command, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        line = next(line for line in self.process.stdout if "http://" in line)
        address = re.search(r"http://[^/]+", line)[0]
        self.client = httpx.Client(base_url=address, timeout=60)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.client.close()

    def kill_worker(self, name):
        os.killpg(read_json(self.home / "jobs" / name / PROCESS)["process"], signal.SIGKILL)

    def results(self, name):
        scan = ended(self.client, name)
        assert scan["status"] == "succeeded", scan["error"]
        return scan["tiles"], {
            key: self.client.get(f"/v1/files/{file}/content").content
            for key, file in scan["result_files"].items()
        }

    def until_asked(self, name, tiles):
        until = time.monotonic() + 300
        while time.monotonic() < until:
            scan = self.client.get(f"{SCANS}/{name}").json()
            if scan["tiles"]["asked"] >= tiles:
                return scan["status"]
            time.sleep(0.02)
        raise AssertionError(f"nothing was asked: {scan}")


def test_killing_worker_and_server_changes_no_byte_of_the_results(tiny_base, tmp_path):
    path = scene(tmp_path / "port.tif", 120)
    server = Server(tiny_base, tmp_path / "serving")
    try:
        undisturbed = server.results(ask(server.client, path, tile_px=8, overlap=0).json()["id"])
        name = ask(server.client, path, tile_px=8, overlap=0).json()["id"]
        assert server.until_asked(name, 32) == "running"
        server.kill_worker(name)
        assert server.until_asked(name, 64) == "running"
        server.kill()
        server.kill_worker(name)
        server = Server(tiny_base, tmp_path / "serving")
        assert server.results(name) == undisturbed
    finally:
        server.kill()
