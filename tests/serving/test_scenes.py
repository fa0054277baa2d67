"""Scenes asked about, pictures embedded, and what the server counts."""

import base64

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from swath.boxes import Boxes
from swath.models.engine import Answer, LocalEngine
from tests.making import rectangle
from tests.serving.conftest import shows, uri


def scene(path, west, north, crs="EPSG:4326"):
    """A GeoTIFF of 32 x 32 pixels of a thousandth of a degree."""
    shape = {"width": 32, "height": 32, "count": 3, "dtype": "uint8"}
    grid = from_origin(west, north, 0.001, 0.001)
    with rasterio.open(path, "w", "GTiff", crs=crs, transform=grid, **shape) as file:
        file.write(np.full((3, 32, 32), 90, np.uint8))
    return path


@pytest.fixture
def boxed(monkeypatch):
    """Every answer names the left upper quarter of the picture."""
    boxes = Boxes.from_hbb([0, 0, 16, 16])
    monkeypatch.setattr(LocalEngine, "_read", lambda self, text, view: Answer(text, boxes))


def ask(client, path, **fields):
    data = {"model": "tiny", "question": "Where is the field?", "max_tokens": "4", **fields}
    with path.open("rb") as stream:
        return client.post("/v1/scenes/ask", data=data, files={"file": (path.name, stream)})


def test_boxes_of_a_scene_lie_on_the_ground_as_geojson(client, tmp_path, boxed):
    response = ask(client, scene(tmp_path / "a.tif", 14.0, 45.0))
    assert response.headers["content-type"] == "application/geo+json"
    value = response.json()
    assert value["type"] == "FeatureCollection" and value["answer"] and value["model"] == "tiny"
    (feature,) = value["features"]
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1] and len(ring) == 5
    assert {tuple(corner) for corner in np.round(ring, 6)} == {
        (14.0, 45.0), (14.016, 45.0), (14.016, 44.984), (14.0, 44.984),
    }  # fmt: skip
    assert feature["properties"]["pixels"] == [[0, 0], [16, 0], [16, 16], [0, 16]]


def test_a_box_across_the_date_line_is_cut_in_two(client, tmp_path, boxed):
    (feature,) = ask(client, scene(tmp_path / "a.tif", 179.99, 10.0)).json()["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    lons = [corner[0] for part in feature["geometry"]["coordinates"] for corner in part[0]]
    assert min(lons) == -180 and max(lons) == 180


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain.png", "does not say where it lies"),
        ("words.tif", "of no format that is read here"),
        ("cut.tif", "Picture 1"),
    ],
)
def test_a_scene_without_a_place_or_that_is_none_is_refused(client, tmp_path, name, words):
    path = tmp_path / name
    if name == "plain.png":
        rectangle(path)
    elif name == "words.tif":
        path.write_text("Hello.")
    else:
        path.write_bytes(scene(tmp_path / "a.tif", 14.0, 45.0).read_bytes()[:600])
    response = ask(client, path)
    assert response.status_code == 400 and words in response.json()["message"]
    assert str(tmp_path) not in response.text
    assert list((tmp_path / "serving" / "pictures").iterdir()) == []


def test_a_scene_without_a_field_is_refused_in_the_shape_of_both_clients(client, tmp_path):
    response = ask(client, scene(tmp_path / "a.tif", 14.0, 45.0), question="")
    assert response.status_code == 422 and response.json()["error"]["param"] == "question"


def test_pictures_are_embedded_as_numbers_and_as_their_bytes(client, tiny, tmp_path):
    path = rectangle(tmp_path / "a.png", (8, 12, 20, 20))
    (mean,) = LocalEngine(tiny).features([path])
    pictures = [uri(), {"type": "image_url", "image_url": {"url": uri((0, 0, 9, 9))}}]
    body = {"model": "tiny", "input": pictures}
    value = client.post("/v1/embeddings", json=body).json()
    assert [row["index"] for row in value["data"]] == [0, 1]
    first = np.array(value["data"][0]["embedding"])
    assert first == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert np.linalg.norm(first) == pytest.approx(1)
    packed = client.post("/v1/embeddings", json=body | {"encoding_format": "base64"}).json()
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert np.frombuffer(raw, "<f4") == pytest.approx(first)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input": "a word"}, 400),
        ({"input": []}, 422),
        ({"input": [[1, 2]]}, 422),
        ({"input": [uri()] * 4}, 400),
        ({"input": uri(), "dimensions": 8}, 422),
        ({"input": uri(), "model": "other"}, 404),
    ],
)
def test_what_cannot_be_embedded_is_refused(client, fields, status):
    response = client.post("/v1/embeddings", json={"model": "tiny", **fields})
    assert response.status_code == status and response.json()["error"]["message"]


def test_requests_and_tokens_are_counted_for_prometheus(client):
    body = {"model": "tiny", "messages": [shows(uri())], "max_tokens": 3}
    use = client.post("/v1/chat/completions", json=body).json()["usage"]
    client.get("/v1/models/none")
    client.get("/v1/anything/at/all")
    lines = client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['swath_requests_total{route="/v1/chat/completions",status="200"}'] == "1"
    assert values['swath_requests_total{route="/v1/models/{name:path}",status="404"}'] == "1"
    assert values['swath_requests_total{route="other",status="404"}'] == "1"
    assert values['swath_request_seconds_count{route="/v1/chat/completions"}'] == "1"
    assert values["swath_new_tokens_total"] == str(use["completion_tokens"])
    assert values["swath_prompt_tokens_total"] == str(use["prompt_tokens"])
    assert values["swath_answers_growing"] == "0" and values["swath_alive"] == "1"
