import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod
from rasterio.control import GroundControlPoint

from benchmarks.scene_oracle import CLASSES, oracle_model
from swath.errors import RequestError
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import _height, lay_out
from swath.inference.mapping.class_files import class_colours, write_class_files
from swath.inference.mapping.class_map import class_map
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_questions import ScanQuestion, Tuning, scan_questions
from swath.inference.scenes.scan_scene import WHOLE, ScanSettings
from swath.inference.scenes.tile_plan import CellPlan

PIXELS = ScanSettings(tile_px=50)  # 0.5 m a pixel: cells of 25 m
KINDS = ScanQuestion("Which?", "classes", "class", {"land": "a", "=water": "b"}, "Which?")


@pytest.fixture(scope="module")
def place():
    return lay_out((410, 300), seed=3)


@pytest.fixture(scope="module")
def scene(place, tmp_path_factory):
    return str(write_geotiff(place, tmp_path_factory.mktemp("scenes") / "port.tif"))


def classified(place, *scenes, settings=PIXELS, folder=None, progress=None):
    model = oracle_model(place, tuning=CLASSES, classify=True)
    return run_scan(model, [str(path) for path in scenes], settings, folder, progress=progress)


def test_cells_divide_the_scene_evenly_and_tiles_of_full_size_lie_about_them():
    plan = CellPlan("port", (0, 0, 410, 300), 50, 0)
    assert plan.cell_wh == (410 / 9, 50)
    assert plan.columns[0] == (0, 50) and plan.columns[-1] == (360, 50)
    assert plan.columns[4] == (180, 50)  # about 205
    assert CellPlan("port", (0, 0, 410, 300), 50, 25).cell_wh == (410 / 17, 25)


def test_each_cell_has_the_class_of_its_ground_and_the_tables_its_area(place, scene, tmp_path):
    scan = classified(place, scene)
    (result,) = scan.results
    left, top = np.meshgrid([start for start, _ in result.plan.columns], range(0, 300, 50))
    truth, sure = [], []
    for x, y in zip(left.ravel(), top.ravel(), strict=True):
        grid = np.arange(50) + 0.5
        wet = (_height(x + grid[None], y + grid[:, None], place.seed) < 0).mean()
        truth.append(2 if wet >= 0.5 else 1)
        sure.append(0.55 + 0.4 * abs(2 * wet - 1))
    assert result.classes.ravel().tolist() == truth and set(truth) == {1, 2}
    assert result.confidence.ravel() == pytest.approx(sure, abs=1e-4)
    # UTM near its middle meridian: 0.9996 of the ground, so areas are larger than on the map
    assert result.areas_m2.sum() == pytest.approx(410 * 300 / 4 / 0.9996**2, rel=1e-5)
    assert result.cell_m == pytest.approx((410 / 18 / 0.9996, 25 / 0.9996), rel=1e-5)
    write_scan(scan, tmp_path)
    rows = list(csv.DictReader((tmp_path / "areas.csv").open()))
    assert [row["class"] for row in rows] == ["land", "water", ""]
    assert float(rows[1]["area_m2"]) == pytest.approx(result.areas_m2[2], abs=0.1)
    assert int(rows[0]["cells"]) == truth.count(1) and rows[2]["cells"] == "0"
    record = json.loads((tmp_path / "scan.json").read_bytes())["scenes"][0]["results"][0]
    assert record["classes"][1]["area_m2"] == float(rows[1]["area_m2"])
    assert record["cell_m"] == pytest.approx([22.787, 25.01], abs=2e-3)


def test_the_tiffs_are_cogs_on_the_scenes_ground_with_names_and_colours(place, scene, tmp_path):
    scan = classified(place, scene)
    write_scan(scan, tmp_path)
    with rasterio.open(scene) as raster:
        bounds, crs = raster.bounds, raster.crs
    with rasterio.open(tmp_path / "port-classes.tif") as raster:
        assert raster.bounds == pytest.approx(bounds) and raster.crs == crs
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.nodata == 0
        tags = raster.tags(1)
        assert (tags["CLASS_1"], tags["CLASS_2"]) == ("land", "water")
        assert raster.colormap(1)[2] == (*class_colours(2)[1], 255)
        assert np.array_equal(raster.read(1), scan.results[0].classes)
    with rasterio.open(tmp_path / "port-confidence.tif") as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and np.isnan(raster.nodata)
        assert np.array_equal(raster.read(1), scan.results[0].confidence)
    assert (tmp_path / "map.html").is_file() and (tmp_path / "overview.png").is_file()


def test_what_could_not_be_asked_has_no_class_and_is_counted(place, tmp_path):
    path = write_geotiff(place, tmp_path / "cut.tif", empty_px=200)
    scan = classified(place, path)
    (result,), tally = scan.results, scan.scenes[0].tally
    assert result.classes[0, 0] == 0 and np.isnan(result.confidence[0, 0])
    assert tally.skipped["never observed"] == result.cells[0] == 6  # wholly above the diagonal
    assert result.cells.sum() == 9 * 6 and result.areas_m2[0] > 0
    assert scan.complete and "6 of 54 cells without a class" in result.told


def test_a_cell_that_was_never_observed_has_no_class_whatever_its_tile_shows(place, tmp_path):
    path = write_geotiff(place, tmp_path / "cut.tif", empty_px=200)
    scan = classified(place, path, settings=replace(PIXELS, overlap=0.5))
    (result,) = scan.results
    with rasterio.open(path) as raster:
        observed = raster.read().any(axis=0)
    x, y = (edges.tolist() for edges in result.plan.edges)
    rows = [slice(floor(top), ceil(bottom)) for top, bottom in pairwise(y)]
    columns = [slice(floor(left), ceil(right)) for left, right in pairwise(x)]
    empty = [[not observed[row, column].any() for column in columns] for row in rows]
    assert np.array_equal(result.classes == 0, empty) and 20 < np.sum(empty) < 40


def test_a_map_has_the_same_bytes_twice_and_after_a_kill(place, scene, tmp_path):
    write_scan(classified(place, scene, folder=tmp_path / "a"), tmp_path / "a")
    program = f"""
import os, signal
from tests.inference.mapping.test_class_maps import classified
from swath.imagery.terrain.place import lay_out
from pathlib import Path
def progress(done, total):
    if done == 1:
        os.kill(os.getpid(), signal.SIGKILL)
classified(lay_out((410, 300), seed=3), {scene!r}, folder=Path({str(tmp_path / "b")!r}),
           progress=progress)
"""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert not list((tmp_path / "b").glob("*.tif")) and (tmp_path / "b" / "tiles.jsonl").is_file()
    scan = classified(place, scene, folder=tmp_path / "b")
    assert 0 < len(set(scan.model.asker.engine.asked)) < 54
    write_scan(scan, tmp_path / "b")
    names = sorted(file.name for file in (tmp_path / "a").iterdir() if file.name[0] != ".")
    assert len(names) == 8
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_scenes_of_one_name_get_files_of_their_own(place, scene, tmp_path):
    (tmp_path / "again").mkdir()
    twin = str(shutil.copy(scene, tmp_path / "again" / "port.tif"))
    write_scan(classified(place, scene, twin), tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").glob("*.tif")}
    assert names == {
        "port-classes.tif", "port-confidence.tif", "port-2-classes.tif", "port-2-confidence.tif"
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out" / "areas.csv").open()))
    assert [row["scene"] for row in rows] == [scene] * 3 + [twin] * 3


def hand_made(scene, plan=None):
    plan = plan or CellPlan("port", (0, 0, *scene.size_wh), 50, 0)
    answers = [(number, {"shares": [0.25, 0.75]}) for number in range(len(plan))]
    return class_map(KINDS, scene, plan, lambda first, last: answers[first:last])


def test_only_classes_that_a_cell_has_are_told(scene):
    assert ": =water 100%; confidence" in hand_made(open_scene(scene)).told


@pytest.mark.parametrize("kind", ["turned", "points", "polynomials"])
def test_a_map_lies_where_its_scene_lies_however_that_says_so(place, tmp_path, kind):
    def ground(x, y):
        return 500_000 + 0.433 * x + 0.25 * y, 5_300_000 + 0.25 * x - 0.433 * y

    how = {"transform": Affine(0.433, 0.25, 500_000, 0.25, -0.433, 5_300_000)}
    if kind == "points":
        corners = [(0, 0), (400, 0), (400, 300), (0, 300), (200, 100)]
        how = {"gcps": [GroundControlPoint(y, x, *ground(x, y), 0) for x, y in corners]}
    if kind == "polynomials":
        polynomial = np.eye(20)
        one = polynomial[0].tolist()
        from rasterio.rpc import RPC

        how = {"crs": None, "rpcs": RPC(
            height_off=0, height_scale=1, lat_off=47, lat_scale=0.01, line_off=149.5,
            line_scale=150, long_off=9, long_scale=0.01, samp_off=204.5, samp_scale=205,
            line_num_coeff=(-polynomial[2]).tolist(), line_den_coeff=one,
            samp_num_coeff=polynomial[1].tolist(), samp_den_coeff=one,
        )}  # fmt: skip
    scene = open_scene(write_geotiff(place, tmp_path / "port.tif", **how))
    result = hand_made(scene)
    classes = open_scene(write_class_files(tmp_path, "port", scene, result)[0])
    corners = np.array([(0, 0), (410, 0), (410, 300), (0, 300), (205, 150)])
    lonlat = scene.georeference.to_lonlat(corners)
    again = classes.georeference.to_lonlat(corners / result.plan.cell_wh)
    _, _, metres = Geod(ellps="WGS84").inv(*lonlat.T, *again.T)
    assert metres.max() < 0.3  # a pixel measures half a metre, with polynomials 5 m


def test_every_raster_that_has_a_place_keeps_it_and_the_world_has_the_area_of_the_earth(
    data_folder, tmp_path
):
    placed = 0
    files = sorted((data_folder / "geotiffs").rglob("*.tif"))
    for file in [*files, *sorted((data_folder / "geotiffs").rglob("*.vrt"))]:
        scene = open_scene(file)
        if scene.crs is None:
            continue
        width, height = scene.size_wh
        plan = CellPlan(scene.id, (0, 0, width, height), max(8, max(scene.size_wh) // 6), 0)
        result = hand_made(scene, plan)
        classes = open_scene(write_class_files(tmp_path, "a", scene, result)[0])
        points = np.array([(0, 0), (width, height), (width / 2, height / 2)])
        ground = classes.georeference.to_ground(points / plan.cell_wh)
        # polynomials are inverted to a thousandth of a cell
        assert np.abs(scene.georeference.to_pixels(ground) - points).max() < 0.5, file
        if file.name == "cog_world.tif":
            assert result.areas_m2.sum() == pytest.approx(5.10065622e14, rel=1e-6)
        placed += 1
    assert placed > 45


def test_hostile_class_names_reach_no_spreadsheet_and_no_style(place, scene, tmp_path):
    hostile = '"/><script>&\x07'
    question = ScanQuestion("?", "classes", "class", {hostile: "a", "=1+1": "b"}, "?")
    placed = open_scene(scene)
    plan = CellPlan("port", (0, 0, 410, 300), 50, 0)
    result = class_map(
        question, placed, plan, lambda first, _: [(0, {"shares": [0.6, 0.4]})][first:]
    )
    style = write_class_files(tmp_path, "port", placed, result)[1]
    entries = ElementTree.parse(style).findall(".//paletteEntry")
    assert [entry.get("label") for entry in entries] == ['"/><script>& ', "=1+1"]
    from swath.inference.mapping.class_files import write_areas

    rows = list(csv.DictReader(write_areas(tmp_path, [("-s.tif", result)]).open()))
    assert rows[1]["class"] == "'=1+1" and rows[1]["scene"] == "'-s.tif"


def test_a_scene_without_a_crs_gives_shares_of_cells_and_no_areas(place, tmp_path):
    path = write_geotiff(place, tmp_path / "plain.tif", crs=None)
    (result,) = classified(place, path).results
    assert result.areas_m2 is None and result.shares.sum() == pytest.approx(1)
    assert result.table()[0]["area_m2"] is None and "m)" not in result.told


def test_cells_whose_middle_lies_outside_the_area_have_no_class(place, scene, tmp_path):
    aoi = tmp_path / "site.geojson"
    placed = open_scene(scene).georeference
    ring = placed.to_lonlat([(60, 60), (190, 60), (190, 190), (60, 190), (60, 60)]).tolist()
    feature = {"type": "Feature", "properties": {}}
    feature["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    aoi.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    settings = ScanSettings(tile_px=50, overlap=0.5, aoi=str(aoi))
    (result,) = classified(place, scene, settings=settings).results
    assert result.cells[0] == 0 and result.classes.shape == (6, 6)
    assert result.areas_m2.sum() == pytest.approx(65 * 65, rel=0.03)


@pytest.mark.parametrize(
    ("tuning", "problem"),
    [
        (Tuning(), "says no classes of its own; take the folder of a run tuned to classify"),
        (Tuning(tasks=frozenset({"caption", "refer"})), "tuned on caption, refer alone"),
        (Tuning(choices={str(n): str(n) for n in range(256)}), "256 classes, and a map holds 255"),
    ],
)
def test_a_model_that_knows_no_classes_is_refused(tuning, problem):
    with pytest.raises(RequestError, match=problem):
        scan_questions([], tuning, classify=True)


def test_boxes_and_classes_are_asked_in_one_scan(place, scene, tmp_path):
    model = oracle_model(place, "[refer] every <p>ship</p>", tuning=CLASSES, classify=True)
    scan = run_scan(model, [scene], WHOLE)
    assert set(scan.scenes[0].plans) == {"overlapping", "cells"}
    files = {file.name for file in write_scan(scan, tmp_path / "out")}
    assert {"objects.gpkg", "port-classes.tif", "areas.csv", "map.html"} <= files


@pytest.mark.parametrize("size", [100, 1500])
def test_a_disk_that_fills_leaves_no_half_map(place, scene, tmp_path, full_disk, size):
    opened = open_scene(scene)
    with full_disk(size), pytest.raises(OSError, match="cannot be written"):
        write_class_files(tmp_path, "port", opened, hand_made(opened))
    assert not any(tmp_path.glob("*.tif"))
