"""`swath data`: what there is, how to get it, and scenes of a catalogue; `swath ask` on rasters."""

import json

import numpy as np
import pytest
import rasterio
import shapely

from swath.imagery.opening import open_scene
from tests.imagery.serving import served


def write(path, bands, side):
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=bands, dtype="uint16",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        tiled=True, compress="deflate", sparse_ok=True,
    ) as raster:  # fmt: skip
        size = min(side, 256)
        values = np.random.default_rng(0).integers(1, 9999, (bands, size, size), dtype=np.uint16)
        raster.write(values, window=rasterio.windows.Window(0, 0, size, size))
    return path


def test_every_set_and_format_is_listed_with_source_size_licence_and_steps(swath):
    from swath.annotations.readers import READERS
    from swath.evaluation.suites.table import shipped

    code, out, _ = swath("data", "list", "--json")
    told = json.loads(out)
    assert code == 0
    assert set(shipped()) < set(told["sets"])
    assert set(told["formats"]) == {name for name, _ in READERS.items()}
    for row in told["sets"].values():
        assert row["where"] and row["licence"] and len(row["steps"]) == 3
        assert row["steps"][1].partition(": ")[2].strip("."), "how its folder has to look"
    code, out, _ = swath("data", "list")
    assert code == 0 and "dota" in out and "commercial use prohibited" in out
    assert "DIOR-RSVG, 17,402 images, 38,320 expressions; 7,500 asked" in out
    assert "Boxes of your own data; licence: yours" in out


def test_one_set_is_told_step_by_step(swath):
    code, out, _ = swath("data", "list", "dota")
    assert code == 0
    assert "licence: academic purposes only," in out and "size:    2,806 images" in out
    assert "1. Get it from captain-whu.github.io/DOTA." in out
    assert "3. swath quickstart FOLDER/dota" in out
    _, out, _ = swath("data", "list", "xbd-change")
    assert "2. Put it in FOLDER/xbd: labels/<name>_{pre,post}_disaster.json, images/" in out
    assert "swath evaluate RUN --suite xbd-change --data FOLDER; to tune on it: swath" in out
    _, out, _ = swath("data", "list", "cowc")  # its form is no reader's
    assert "tune" not in out
    code, _, err = swath("data", "list", "dotta")
    assert code == 2 and "did you mean dota" in err


def test_scenes_are_searched_and_their_aoi_is_fetched(swath, tmp_path):
    pytest.importorskip("pystac_client", reason="needs pystac-client: pip install 'swath[stac]'")
    shape = open_scene(write(tmp_path / "may.tif", 2, 100)).footprint
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "../may", "bbox": list(shape.bounds),
        "geometry": json.loads(shapely.to_geojson(shape)), "links": [],
        "properties": {"datetime": "2024-05-03T10:00:00Z", "eo:cloud_cover": 5},
        "assets": {"data": {"href": "./may.tif", "type": "image/tiff"}},
    }  # fmt: skip
    root = {
        "type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "one",
        "links": [{"rel": "item", "href": "./may.json"}],
    }  # fmt: skip
    (tmp_path / "may.json").write_text(json.dumps(item))
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    inner = shape.buffer(-0.003).bounds
    with served(tmp_path) as server:
        code, out, err = swath(
            "data", "stac", f"{server.url}/catalog.json", "--dates", "2024-05", "--clouds", "10",
            "--aoi", ",".join(map(str, inner)), "--to", tmp_path / "out",
        )  # fmt: skip
    assert code == 0, err
    assert "../may  2024-05-03  5 % clouds  data" in out and "1 scenes." in out
    (written,) = (tmp_path / "out").rglob("*.tif")
    assert written.parent.parent == tmp_path / "out"  # whatever the id would like
    assert open_scene(written).size_wh[0] < 100
    code, _, err = swath("data", "stac", tmp_path / "catalog.json", "--to", tmp_path / "out")
    assert code == 2 and "name one with --aoi" in err


def test_a_question_is_asked_about_many_bands_many_pixels_and_an_address(
    swath, tiny_base, tmp_path
):
    write(tmp_path / "many.tif", 12, 64)
    write(tmp_path / "large.tif", 1, 30_000)
    for name in ("many.tif", "large.tif"):
        code, _, err = swath("ask", tiny_base, tmp_path / name, "What is this?")
        assert code == 0, err
    with served(tmp_path) as server:
        code, _, err = swath("ask", tiny_base, f"{server.url}/many.tif", "What is this?")
        assert code == 0, err
        assert server.asked
