import os
import signal
from functools import partial

import pytest

from benchmarks.scene_oracle import oracle_model
from swath.errors import RequestError
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.cluster import ray_workers
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_scene import WHOLE

SHIPS = "[refer] every <p>ship</p>"


@pytest.fixture
def place():
    return lay_out((700, 500), seed=3)


def test_two_workers_of_whom_one_is_killed_leave_the_bytes_of_one_process(place, tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'swath[cluster]'")
    path = str(write_geotiff(place, tmp_path / "port.tif"))
    pids = tmp_path / "pids"
    pids.mkdir()

    def load():
        (pids / str(os.getpid())).touch()
        return oracle_model(place, SHIPS)

    killed = []

    def progress(done, total):
        if done > 1 and not killed:
            killed.extend(pids.iterdir())
            os.kill(int(killed[0].name), signal.SIGKILL)

    ask = ray_workers("ray", load, [path], WHOLE, workers=2)
    for name, more in (("here", {}), ("there", {"ask": ask, "progress": progress})):
        scan = run_scan(oracle_model(place, SHIPS), [path], WHOLE, tmp_path / name, **more)
        assert scan.complete
        write_scan(scan, tmp_path / name)
    for name in ("objects.geojson", "objects.gpkg", "map.html", "overview.png", "scan.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert len(list(pids.iterdir())) > len(killed)  # another took its place


def test_another_cluster_and_an_absent_ray_are_told(place, monkeypatch):
    load = partial(oracle_model, place, SHIPS)
    with pytest.raises(RequestError, match="--cluster slurm: the only kind is 'ray'"):
        ray_workers("slurm", load, [], WHOLE)
    monkeypatch.setattr("swath.inference.cluster.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'swath\[cluster\]'"):
        ray_workers("ray", load, [], WHOLE)
