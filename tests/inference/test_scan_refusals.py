"""What a scan is asked and cannot do: one clear error, and what is finished is kept."""

import errno
import os
from pathlib import Path

import pytest

from benchmarks.scene_oracle import CLASSES, oracle_model
from swath.errors import ImageryError, RequestError
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_scene import WHOLE

SHIPS = "[refer] every <p>ship</p>"


@pytest.fixture(scope="module")
def place():
    return lay_out((700, 500), seed=3)


@pytest.fixture
def scene(place, tmp_path):
    return str(write_geotiff(place, tmp_path / "port.tif"))


def test_a_journal_that_finds_no_room_names_itself_and_goes_on_later(
    place, scene, tmp_path, full_disk
):
    whole = run_scan(oracle_model(place, SHIPS), [scene], WHOLE)
    with full_disk(3_000), pytest.raises(OSError, match=r"tiles\.jsonl") as refused:
        run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "scan")
    assert refused.value.errno == errno.EFBIG
    model = oracle_model(place, SHIPS)
    again = run_scan(model, [scene], WHOLE, tmp_path / "scan")
    assert 0 < len(model.asker.engine.asked) < len(again.scenes[0].plans["overlapping"])
    assert again.results[0].boxes.quads.tolist() == whole.results[0].boxes.quads.tolist()


@pytest.mark.parametrize(
    ("most", "name"),
    [(2_000, "objects.geojson"), (50_000, "objects.gpkg"), (200_000, "overview.png")],
)
def test_a_file_that_finds_no_room_is_named_and_written_later(
    place, scene, tmp_path, full_disk, most, name
):
    scan = run_scan(oracle_model(place, SHIPS), [scene], WHOLE)
    with full_disk(most), pytest.raises(OSError, match=rf"scan/{name}"):
        write_scan(scan, tmp_path / "scan")
    assert not (tmp_path / "scan" / name).exists()
    write_scan(scan, tmp_path / "scan")
    assert (tmp_path / "scan" / name).stat().st_size > most


def test_a_map_of_classes_that_finds_no_room_is_told(place, scene, tmp_path, full_disk):
    model = oracle_model(place, side_px=8, tuning=CLASSES, classify=True)
    scan = run_scan(model, [scene], WHOLE)
    with full_disk(1_000), pytest.raises(OSError, match=r"cannot be written .*is the disk full"):
        write_scan(scan, tmp_path / "scan")


def test_a_scene_that_changes_while_it_is_scanned_stops_the_scan(place, scene, tmp_path):
    def progress(done, total):
        if done == 1:
            os.utime(scene, ns=(1, 1))

    with pytest.raises(ImageryError, match=r"port\.tif: changed while it was scanned; .*--fresh"):
        run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "scan", progress=progress)
    with pytest.raises(RequestError, match=r"port\.tif: has changed since its scan began"):
        run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "scan")
    again = run_scan(oracle_model(place, SHIPS), [scene], WHOLE, tmp_path / "scan", fresh=True)
    assert again.complete


def test_a_tiff_cut_short_fails_tile_by_tile_or_where_nothing_is_left_as_a_whole(place, scene):
    path = Path(scene)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3_000])
    scan = run_scan(oracle_model(place, SHIPS), [scene], WHOLE)
    tally = scan.scenes[0].tally
    assert not scan.complete and tally.asked and "port.tif" in tally.failed[0]["why"]
    path.write_bytes(whole[:200])
    with pytest.raises(ImageryError, match=r"port\.tif"):
        run_scan(oracle_model(place, SHIPS), [scene], WHOLE)


@pytest.mark.parametrize(
    ("asked", "tasks", "classify", "problem"),
    [
        ([SHIPS], {"classify"}, False, "was tuned on classify alone; ask that"),
        (["How many ships are there?"], {"caption"}, False, "was tuned on caption alone"),
        ([], {"ground"}, True, "--classify: this model was tuned on ground alone"),
        (["[refer] all the big white ones there"], {"ground"}, False, "names no object; put what"),
        (["[detection]"], {"ground"}, False, "names no object"),
        ([], {"ground"}, False, "nothing is asked: put a question"),
    ],
)
def test_what_a_model_was_not_tuned_for_is_refused(asked, tasks, classify, problem):
    with pytest.raises(RequestError, match=problem):
        scan_questions(asked, Tuning(tasks=frozenset(tasks)), classify)
