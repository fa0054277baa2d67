import json
import re

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from benchmarks.scene_oracle import oracle_model
from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.mapping import map_page
from swath.inference.mapping.map_page import scan_data, write_map
from swath.inference.mapping.overview import write_overview
from swath.inference.mapping.scene_view import COLOURS, placing_of
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_scene import WHOLE

SHIPS = "[refer] every <p>ship</p>"
HOSTILE = "[refer] every <p>ship</p></script><script>alert(1)</script><img src=x onerror=alert(1)>"
TURNED = Affine(0.433, 0.25, 500_000, 0.25, -0.433, 5_300_000)


@pytest.fixture(scope="module")
def place():
    return lay_out((300, 200), seed=10, share=0.8)


def scanned(place, folder, *questions, **how):
    path = write_geotiff(place, folder / "port.tif", **how)
    return run_scan(oracle_model(place, *questions), [str(path)], WHOLE)


def page_data(path):
    text = path.read_text("utf-8")
    return json.loads(re.search(r'id="scan">(.*?)</script>', text, re.DOTALL)[1])


def test_the_overview_shows_the_scene_enlarged_with_every_box_in_its_colour(place, tmp_path):
    scan = scanned(place, tmp_path, SHIPS)
    write_overview(tmp_path / "overview.png", scan)
    pixels = np.asarray(Image.open(tmp_path / "overview.png").convert("RGB"))
    assert pixels.shape[1] == 1200 + 2 * 14 and len(scan.results[0].boxes) >= 4
    for corner in scan.results[0].boxes.quads[:, 0]:
        x, y = np.clip(corner * 4, 3, (1196, 796)).astype(int) + 14
        around = pixels[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3)
        assert (around == COLOURS[0]).all(axis=1).any()


@pytest.mark.parametrize(
    ("how", "first_xy"),
    [
        ({}, (-75, -50)),  # north up: the first corner lies west and north of the middle
        ({"transform": Affine(0.5, 0, 500_000, 0, 0.5, 5_300_000)}, (-75, 50)),
        # turned by 30 degrees anticlockwise: (-75, -50) turned on a page whose y points down
        ({"transform": TURNED}, (-75 * 0.866 - 50 * 0.5, 75 * 0.5 - 50 * 0.866)),
    ],
)
def test_a_scene_is_placed_by_its_corners_however_it_lies(place, tmp_path, how, first_xy):
    path = write_geotiff(place, tmp_path / "port.tif", **how)
    placing = placing_of(open_scene(path))
    assert placing.matrix[4:] == pytest.approx(first_xy, abs=0.5)  # metres, of a scene of 150 x 100
    assert placing.corners.shape == (4, 2) and not placing.note


def test_what_no_flat_map_holds_is_shown_as_stored_and_says_so(place, tmp_path):
    world = Affine(360 / 300, 0, -180, 0, -180 / 200, 90)
    path = write_geotiff(place, tmp_path / "world.tif", crs="EPSG:4326", transform=world)
    assert "too much of a planet" in placing_of(open_scene(path)).note
    path = write_geotiff(place, tmp_path / "plain.tif", crs=None)
    placing = placing_of(open_scene(path))
    assert "no CRS" in placing.note and placing.matrix == (1, 0, 0, 1, 0, 0)


def test_the_map_holds_the_results_and_asks_no_server(place, tmp_path):
    scan = scanned(place, tmp_path, SHIPS, "How many ships are there?")
    write_map(tmp_path / "map.html", scan)
    text = (tmp_path / "map.html").read_text("utf-8")
    assert "://" not in text and "@import" not in text and "default-src 'none'" in text
    assert re.findall(r'(?:src|href)="[^"]*"', text) == []
    (scene,) = page_data(tmp_path / "map.html")["scenes"]
    ships, numbers = scene["layers"]
    assert scene["picture"].startswith("data:image/jpeg;base64,")
    assert len(ships["quads"]) == scan.results[0].count == len(ships["facts"]["length m"])
    assert set(ships["facts"]["confidence"]) == {0.9} and set(ships["facts"]["class"]) == {"ship"}
    assert numbers["facts"]["answer"][0].isdecimal()


def test_layers_beyond_what_a_page_holds_share_its_room(place, tmp_path, monkeypatch):
    monkeypatch.setattr(map_page, "MOST_SHAPES", 8)
    monkeypatch.setattr(map_page, "PAGE_LAYERS", 1)
    tanks = SHIPS.replace("ship", "storage tank")
    layers = scan_data(scanned(place, tmp_path, SHIPS, tanks))["scenes"][0]["layers"]
    found = len(scanned(place, tmp_path, SHIPS).results[0].boxes)
    assert found > 4 and len(layers[0]["quads"]) == 4  # half of 8
    assert layers[0]["note"] == f"the 4 surest of {found}"


def test_the_pages_are_the_same_bytes_when_written_again(place, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    scan = scanned(place, tmp_path, SHIPS)
    for folder in ("a", "b"):
        write_scan(scan, tmp_path / folder)
    for name in ("overview.png", "map.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_scene_that_cannot_be_shown_whole_is_grey_and_the_pages_say_why(
    place, tmp_path, monkeypatch
):
    scan = scanned(place, tmp_path, SHIPS)

    def broken(*arguments, **more):
        raise ImageryError("port.tif: was cut short")

    monkeypatch.setattr(type(scan.scenes[0].scene), "read_rgb", broken)
    assert "port.tif: was cut short" in scan_data(scan)["scenes"][0]["notes"]
    write_overview(tmp_path / "overview.png", scan)


def test_the_map_works_in_a_browser_without_a_network_whatever_a_class_is_called(
    chromium, place, tmp_path
):
    scan = scanned(place, tmp_path, HOSTILE, transform=TURNED)
    write_map(tmp_path / "map.html", scan)
    page = chromium.new_page(viewport={"width": 1000, "height": 700})
    page.context.set_offline(True)
    requests, faults = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("console", lambda line: faults.append(line.text))
    page.goto((tmp_path / "map.html").as_uri())
    assert HOSTILE in page.inner_text("#layers")
    page.wait_for_function("picture.complete")
    middle = scan.results[0].boxes.quads[0].mean(axis=0).tolist()
    x, y = page.evaluate(
        """([x, y]) => { const [east, south] = toGround(scene.matrix, x, y);
        return [(east - view.x) * view.zoom + canvas.clientWidth / 2,
                (south - view.y) * view.zoom + canvas.clientHeight / 2]; }""",
        middle,
    )
    page.mouse.click(x, y)
    told = page.inner_text("#popup")
    assert "0.9" in told and "latitude" in told and HOSTILE in told
    shown = page.screenshot()
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    assert page.screenshot() != shown
    assert not faults and [url[:5] for url in requests if url[:5] != "data:"] == ["file:"]
    page.close()
