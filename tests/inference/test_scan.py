import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from benchmarks.scene_oracle import oracle_model
from swath.boxes import Boxes, iou
from swath.errors import ImageryError, RequestError
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.calibration import Calibration
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_scene import WHOLE, ScanSettings

SHIPS = "[refer] every <p>ship</p>"
TANKS = "[refer] every <p>storage tank</p>"


@pytest.fixture(scope="module")
def place():
    borders = [*range(48, 700, 48)]
    return lay_out((700, 500), seed=3, borders_xy=(borders, borders))


@pytest.fixture(scope="module")
def scene(place, tmp_path_factory):
    return str(write_geotiff(place, tmp_path_factory.mktemp("scenes") / "port.tif"))


def recalled(found: Boxes, truth: Boxes) -> int:
    """True boxes of which one was found."""
    pairs = shapely.STRtree(shapely.polygons(found.quads)).query(shapely.polygons(truth.quads))
    overlap = iou(truth[pairs[0]], found[pairs[1]])
    return len(set(pairs[0][overlap >= 0.5]))  # the scene's own border cuts some in half


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.5])
def test_every_object_is_found_once_however_tiles_cut_it(place, scene, overlap):
    settings = ScanSettings(overlap=overlap)
    scan = run_scan(oracle_model(place, SHIPS, TANKS), [scene], settings)
    assert scan.complete
    for result, name in zip(scan.results, ("ship", "storage tank"), strict=True):
        truth = place.boxes[np.array(place.names) == name]
        assert result.count == len(truth) > 4
        assert recalled(result.boxes, truth) >= len(truth) - (overlap < 0.5)
    assert scan.scenes[0].tally.asked == scan.scenes[0].tally.planned


def test_all_questions_are_asked_of_a_tile_in_one_call(place, scene):
    model = oracle_model(place, SHIPS, TANKS)
    run_scan(model, [scene], WHOLE)
    asked = model.asker.engine.asked
    assert asked[:4] == [asked[0], asked[0], asked[2], asked[2]]
    assert len(asked) == 2 * len(set(asked))


def test_boxes_have_the_confidence_that_validation_answers_taught(place, scene, tmp_path):
    taught = Calibration(2.0, -1.0, 40, "boxes", 0.2, 0.03)
    model = replace(oracle_model(place, SHIPS, TANKS), calibrations={"ground": taught})
    scan = run_scan(model, [scene], WHOLE)
    # The oracle says 0.9, odds of 9 to 1: 81 / e to 1
    assert scan.results[0].objects.confidence == pytest.approx(81 / (81 + np.e))
    write_scan(scan, tmp_path)
    for row in json.loads((tmp_path / "scan.json").read_bytes())["scenes"][0]["results"]:
        assert row["confidence"].endswith("validation boxes: error 0.20 before, 0.03 after")
        assert row["calibration"]["steepness"] == 2.0 and row["calibration"]["answers"] == 40
    (result,) = run_scan(oracle_model(place, SHIPS), [scene], WHOLE).results
    assert result.told.endswith("confidence as the model gives it, not calibrated")
    assert (result.objects.confidence == 0.9).all()


def test_numbers_are_summed_over_tiles_that_share_nothing(place, scene):
    scan = run_scan(oracle_model(place, "How many ships are there?"), [scene], WHOLE)
    assert scan.scenes[0].plans["apart"].overlap_px is None
    (result,) = scan.results
    assert result.count == sum(result.numbers) >= place.names.count("ship")


def test_tiles_without_observed_pixels_are_skipped_and_counted(place, tmp_path):
    path = write_geotiff(place, tmp_path / "cut.tif", empty_px=400)
    scan = run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE)
    tally = scan.scenes[0].tally
    assert tally.skipped["never observed"] > 5 and scan.complete
    assert tally.asked + tally.skipped["never observed"] == tally.planned


def test_the_area_of_a_file_in_another_crs_bounds_what_is_asked_and_found(place, scene, tmp_path):
    import pyogrio.raw
    from pyproj import Transformer

    east, north = (
        500_000 + np.array([100, 300, 300, 100]) / 2,
        5_300_000 - np.array([100, 100, 300, 300]) / 2,
    )
    ring = np.stack(Transformer.from_crs(32632, 3857, always_xy=True).transform(east, north), 1)
    aoi = tmp_path / "site.gpkg"
    shapes = shapely.to_wkb(np.array([shapely.Polygon(ring)]))
    pyogrio.raw.write(aoi, shapes, [], [], layer="site", crs="EPSG:3857", geometry_type="Polygon")
    scan = run_scan(oracle_model(place, SHIPS), [scene], ScanSettings(aoi=str(aoi)))
    middles = place.boxes.quads.mean(axis=1)
    inside = ((middles > 100) & (middles < 300)).all(axis=1) & (np.array(place.names) == "ship")
    assert scan.results[0].count == inside.sum() > 0
    assert scan.scenes[0].tally.planned < 50
    elsewhere = tmp_path / "elsewhere.gpkg"
    shapes = shapely.to_wkb(np.array([shapely.Polygon(ring + 1e6)]))
    pyogrio.raw.write(
        elsewhere, shapes, [], [], layer="site", crs="EPSG:3857", geometry_type="Polygon"
    )
    with pytest.raises(RequestError, match=r"elsewhere.gpkg: lies outside"):
        run_scan(oracle_model(place, SHIPS), [scene], ScanSettings(aoi=str(elsewhere)))


class KilledError(Exception):
    pass


def test_what_was_killed_goes_on_to_the_same_bytes(place, scene, tmp_path):
    def scanned(to, kill_at=None):
        model = oracle_model(place, SHIPS, TANKS)

        def progress(done, total):
            if done == kill_at:
                raise KilledError

        scan = run_scan(model, [scene], WHOLE, to.with_suffix(".scan"), progress=progress)
        write_scan(scan, to)
        return len(model.asker.engine.asked)

    first = scanned(tmp_path / "whole" / "ships.gpkg")
    to = tmp_path / "again" / "ships.gpkg"
    with pytest.raises(KilledError):
        scanned(to, kill_at=3)
    journal = to.with_suffix(".scan") / "tiles.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # its last line was cut short
    rest = scanned(to)
    assert 0 < rest < first
    assert to.read_bytes() == (tmp_path / "whole" / "ships.gpkg").read_bytes()
    record = (tmp_path / "whole" / "ships.scan" / "scan.json").read_bytes()
    assert (to.with_suffix(".scan") / "scan.json").read_bytes() == record
    assert scanned(to) == 0  # all is known


def test_shards_put_together_are_the_undivided_scan(place, scene, tmp_path):
    whole = run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "whole")
    for shard in ("3/3", "1/3", "2/3"):
        part = run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "parts", shard)
    assert part.complete
    asked = oracle_model(place, SHIPS)
    again = run_scan(asked, [scene], WHOLE, tmp_path / "parts")
    assert asked.asker.engine.asked == []
    assert np.array_equal(again.results[0].boxes.quads, whole.results[0].boxes.quads)
    with pytest.raises(RequestError, match="--shard 4/3: write it as 1/3"):
        run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "parts", "4/3")


def test_another_question_or_a_changed_scene_does_not_go_on_with_what_is_there(place, tmp_path):
    path = write_geotiff(place, tmp_path / "port.tif")
    run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE, tmp_path / "scan")
    with pytest.raises(RequestError, match="holds another scan"):
        run_scan(oracle_model(place, TANKS), [str(path)], WHOLE, tmp_path / "scan")
    write_geotiff(place, path, dtype="uint16")
    with pytest.raises(RequestError, match="has changed since its scan began"):
        run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE, tmp_path / "scan")
    run_scan(oracle_model(place, TANKS), [str(path)], WHOLE, tmp_path / "scan", fresh=True)


def test_a_tile_that_cannot_be_read_is_told_and_asked_again(place, tmp_path):
    path = write_geotiff(place, tmp_path / "port.tif")
    whole = path.read_bytes()
    stat = path.stat()
    path.write_bytes(whole[:-2000] + bytes(2000))  # the last blocks are damaged

    def restore(data):
        import os

        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    restore(whole[:-2000] + bytes(2000))
    scan = run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE, tmp_path / "scan")
    assert not scan.complete
    failed = scan.scenes[0].tally.failed
    assert failed and "port.tif" in failed[0]["why"] and len(failed[0]["tile"]) == 4
    write_scan(scan, tmp_path / "scan")
    assert not json.loads((tmp_path / "scan" / "scan.json").read_bytes())["complete"]
    restore(whole)
    again = run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE, tmp_path / "scan")
    undamaged = run_scan(oracle_model(place, SHIPS), [str(path)], WHOLE)
    assert again.complete
    assert np.array_equal(again.results[0].boxes.quads, undamaged.results[0].boxes.quads)


def test_a_scene_that_cannot_be_opened_is_told_beside_the_others(place, scene, tmp_path):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0 but no more")
    scan = run_scan(oracle_model(place, SHIPS), [str(bad), scene], WHOLE)
    assert not scan.complete and "bad.tif" in scan.scenes[0].failure
    assert scan.results[0].count == place.names.count("ship")
    with pytest.raises(ImageryError, match=r"bad.tif"):
        run_scan(oracle_model(place, SHIPS), [str(bad)], WHOLE)


@pytest.fixture
def command(swath):
    """Runs `swath scan` and gives its exit code and what it printed."""

    def run(*words):
        code, output, errors = swath("scan", *words)
        return code, output + errors

    return run


def test_the_command_line_scans_with_a_model_and_says_what_was_wrong(
    command, tiny_base, place, scene, tmp_path
):
    small = write_geotiff(lay_out((70, 40), 1), tmp_path / "small.tif")
    to = tmp_path / "all"
    code, printed = command(tiny_base, small, SHIPS, "Describe it.", "--to", to, "--overlap", 0)
    assert code == 0 and "12 of 12 tiles asked" in printed
    assert sorted(file.name for file in to.glob("*.g*")) == [
        "answers.geojson", "answers.gpkg", "objects.geojson", "objects.gpkg",
    ]  # fmt: skip
    record = json.loads((to / "scan.json").read_bytes())
    assert record["complete"] and record["scenes"][0]["plans"]["apart"]["tile_px"] == 32
    for words, problem in [
        ([tiny_base, small, " "], "a question is empty"),
        ([tiny_base, small], "nothing is asked: put a question"),
        ([tiny_base, small, "[refer] find it all for me now"], "names no object"),
        ([tiny_base, tmp_path / "gone.tif", SHIPS, "--to", tmp_path / "new"], "gone.tif: no such"),
        ([tiny_base, small, SHIPS, "--to", tmp_path / "a.shp"], "written as .geojson or .gpkg"),
        ([tiny_base, small, SHIPS, "--overlap", 1], "--overlap 1"),
    ]:
        code, printed = command(*words)
        assert code and problem in printed and printed.count("\n") == 1, words
    assert not (tmp_path / "new").exists()  # the right name can be given to the same --to


def test_a_scene_without_a_place_is_in_pixels_only_and_says_so(command, tiny_base, tmp_path):
    from PIL import Image

    Image.new("RGB", (60, 40), "grey").save(tmp_path / "plain.png")
    code, printed = command(
        tiny_base, tmp_path / "plain.png", "Describe it.", "--to", tmp_path / "a.geojson"
    )
    assert code == 0 and "says no CRS: boxes are in pixels only" in printed
    (first, *_) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert first["geometry"] is None
    assert first["properties"]["quad_px"] == "0 0 30 0 30 20 0 20"
