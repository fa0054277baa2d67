import json
import sqlite3

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.scenes.ground import on_ground, plain, world_shapes
from swath.inference.scenes.layers import Layer, Part, _written, write_layer


def boxes_in(size_wh, count=20):
    rng = np.random.default_rng(0)
    middles = rng.uniform(0.1, 0.9, (count, 2)) * size_wh
    side = np.full(count, min(size_wh) / 20)
    return Boxes.from_rotated(
        np.column_stack([middles, side, side / 2, rng.uniform(0, 180, count)])
    )


def layer_of(scene, boxes) -> Layer:
    return Layer("objects", [Part(scene, boxes, {"label": "ship"})])


def test_lengths_areas_and_directions_are_measured_on_the_ground(tmp_path):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    ground = on_ground(scene, Boxes.from_hbb([[20, 20, 60, 30]]))
    assert ground.length_m[0] == pytest.approx(20, rel=1e-3)  # 40 px of half a metre
    assert ground.width_m[0] == pytest.approx(5, rel=1e-3)
    assert ground.area_m2[0] == pytest.approx(100, rel=1e-3)
    assert ground.azimuth_deg[0] == pytest.approx(90, abs=0.5)


def test_numbers_are_told_in_sensible_digits_and_pixels_in_all_of_theirs():
    told = [plain(value) for value in (2.62e-17, 0.0298, 0.5, 23.34, 113.6, 12345.6, 100_000)]
    assert told == ["0", "0.03", "0.5", "23.3", "114", "12,300", "100,000"]
    assert _written(Boxes.from_hbb([[20012.25, 5, 123456.78, 8]]))[0].startswith("20012.25 5 1234")


def test_the_same_boxes_give_the_same_bytes_and_the_style_lies_inside(tmp_path):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    layer = layer_of(scene, boxes_in(scene.size_wh))
    for name in ("one.gpkg", "two.gpkg", "one.geojson", "two.geojson"):
        write_layer(tmp_path / name, layer)
    for suffix in (".gpkg", ".geojson"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    with sqlite3.connect(tmp_path / "one.gpkg") as file:
        assert file.execute("pragma user_version").fetchone() == (10200,)
        style = "select f_table_name, useAsDefault, styleQML from layer_styles"
        table, default, qml = file.execute(style).fetchone()
    assert (table, default) == ("objects", 1) and "renderer-v2" in qml


def test_a_layer_written_in_pieces_is_the_whole_one(tmp_path, monkeypatch):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    rows = np.arange(20) / 10
    layer = Layer("objects", [Part(scene, boxes_in(scene.size_wh), {"confidence": rows})])
    read = []
    for name, together in (("whole", 20), ("pieces", 7)):
        monkeypatch.setattr("swath.inference.scenes.layers.TOGETHER", together)
        for suffix in (".geojson", ".gpkg"):
            write_layer(tmp_path / f"{name}{suffix}", layer)
        _, _, shapes, columns = pyogrio.raw.read(tmp_path / f"{name}.gpkg", "objects")
        assert columns[0].tolist() == list(range(1, 21))
        read.append([shapes.tolist(), *(column.tolist() for column in columns)])
    assert read[0] == read[1] and read[0][2] == rows.tolist()
    texts = [(tmp_path / f"{name}.geojson").read_bytes() for name in ("whole", "pieces")]
    assert texts[0] == texts[1]


def test_geojson_is_in_degrees_counter_clockwise_and_says_no_crs(tmp_path):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    write_layer(tmp_path / "a.geojson", layer_of(scene, boxes_in(scene.size_wh)))
    written = json.loads((tmp_path / "a.geojson").read_text())
    assert "crs" not in written and len(written["features"]) == 20
    for feature in written["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.exterior.is_ccw and abs(shape.centroid.x - 9) < 0.01


def test_what_crosses_the_180th_meridian_is_cut_there(tmp_path):
    grid = Affine(0.001, 0, 179.95, 0, -0.001, 10.05)  # of degrees
    path = write_geotiff(lay_out((100, 100), 0), tmp_path / "date.tif", "EPSG:4326", grid)
    scene = open_scene(path)
    ground = on_ground(scene, Boxes.from_hbb([[40, 40, 60, 50], [10, 10, 20, 20]]))
    across, west = world_shapes(ground.lonlat)
    assert across.geom_type == "MultiPolygon" and west.geom_type == "Polygon"
    assert across.bounds[0] == -180 and across.bounds[2] == 180
    assert ground.length_m[0] == pytest.approx(2190, rel=0.02)


def test_a_file_of_someone_else_is_not_replaced(tmp_path):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    layer = layer_of(scene, boxes_in(scene.size_wh))
    (tmp_path / "mine.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(RequestError, match="was not written by swath"):
        write_layer(tmp_path / "mine.geojson", layer)
    write_layer(tmp_path / "ours.gpkg", layer)
    write_layer(tmp_path / "ours.gpkg", layer)
    with pytest.raises(RequestError, match=r"written as \.geojson or \.gpkg"):
        write_layer(tmp_path / "a.shp", layer)


def test_middles_come_back_within_a_pixel_of_every_raster_that_has_a_place(data_folder, tmp_path):
    files = sorted((data_folder / "geotiffs").rglob("*.tif"))
    files += sorted((data_folder / "geotiffs").rglob("*.vrt"))
    placed = 0
    for file in files:
        scene = open_scene(file)
        if scene.crs is None:
            continue
        boxes = boxes_in(scene.size_wh)
        for suffix in (".gpkg", ".geojson"):
            write_layer(tmp_path / f"a{suffix}", layer_of(scene, boxes))
        truth = boxes.quads.mean(axis=1)
        _, _, shapes, _ = pyogrio.raw.read(tmp_path / "a.gpkg", layer="objects")
        corners = [shapely.get_coordinates(shapely.from_wkb(shape))[:4] for shape in shapes]
        back = scene.georeference.to_pixels(np.mean(corners, axis=1))
        assert np.abs(back - truth).max() < 1, file
        _, _, shapes, _ = pyogrio.raw.read(tmp_path / "a.geojson")
        for shape, middle in zip(shapes, truth, strict=True):
            outline = None if shape is None else shapely.from_wkb(shape)
            if outline is None or outline.geom_type != "Polygon":
                continue  # off the planet, or cut at the date line
            corners = scene.georeference.from_lonlat(shapely.get_coordinates(outline)[:4])
            assert np.abs(corners.mean(axis=0) - middle).max() < 1, file
        placed += 1
    assert placed > 45


def test_on_a_full_disk_a_geopackage_is_whole_or_not_there(tmp_path, full_disk, monkeypatch):
    scene = open_scene(write_geotiff(lay_out((200, 100), 0), tmp_path / "a.tif"))
    monkeypatch.setattr("swath.inference.scenes.layers.TOGETHER", 150)
    columns = {"text": "x" * 50}
    layer = Layer("objects", [Part(scene, boxes_in(scene.size_wh, 400), columns)])
    write_layer(tmp_path / "whole.gpkg", layer)
    whole = (tmp_path / "whole.gpkg").read_bytes()
    refused = 0
    for size in range(8192, len(whole) + 8192, 8192):
        file = tmp_path / f"{size}.gpkg"
        try:
            with full_disk(size):
                write_layer(file, layer)
        except OSError:
            refused += 1
            assert not file.exists()
        else:
            assert file.read_bytes() == whole
    assert refused > 10
