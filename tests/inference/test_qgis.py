"""Every kind of file that scans and comparisons write, opened by QGIS as a user opens it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scene_oracle import CLASSES, oracle_model
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.mapping.class_files import class_colours
from swath.inference.scan import run_scan
from swath.inference.scenes.layers import Layer, Part, write_layer
from swath.inference.scenes.qgis_style import OUTLINE
from swath.inference.scenes.scan_outputs import write_scan
from swath.inference.scenes.scan_scene import WHOLE
from swath.inference.two_dates.change_outputs import CHANGES

PYTHON = "/usr/bin/python3"  # Debian's own, for which `python3-qgis` is made

OPENING = """
import json, sys
from qgis.core import QgsApplication, QgsRasterLayer, QgsVectorLayer
application = QgsApplication([], False)
application.initQgis()
for path in sys.argv[1:]:
    if path.endswith(".tif"):
        layer = QgsRasterLayer(path, "raster")
        centre = layer.extent().center()
        renderer = layer.renderer()
        palette = renderer.classes() if renderer.type() == "paletted" else []
        rows = [[int(row.value), row.color.name(), row.label] for row in palette]
    else:
        layer = QgsVectorLayer(path, "vector", "ogr")
        centre = layer.extent().center()
        outline = layer.renderer().symbol().symbolLayer(0).strokeColor().name()
        rows = [layer.featureCount(), outline]
    told = [layer.isValid(), layer.crs().authid(), [centre.x(), centre.y()], rows]
    print(json.dumps(told), flush=True)
    del layer
application.exitQgis()
"""


def opened_in_qgis(paths, home):
    """Of each file: whether it opens, its CRS, the middle of its extent, what its style shows."""
    importing = [PYTHON, "-c", "import qgis.core"]
    if not Path(PYTHON).exists() or subprocess.run(importing, capture_output=True).returncode:
        pytest.skip("needs QGIS: apt-get install python3-qgis")
    run = subprocess.run(
        [PYTHON, "-c", OPENING, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin", "HOME": str(home)},
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_qgis_opens_all_that_is_written_styled_and_in_its_place(tmp_path):
    place = lay_out((410, 300), seed=3)
    path = str(write_geotiff(place, tmp_path / "port.tif"))
    model = oracle_model(place, "[refer] every <p>ship</p>", tuning=CLASSES, classify=True)
    scan = run_scan(model, [path], WHOLE)
    write_scan(scan, tmp_path / "out")
    scene = open_scene(path)
    ships = next(result for result in scan.results if result.question.label == "ship")
    changes = Layer(CHANGES, [Part(scene, ships.boxes, {"class": "change"})])
    write_layer(tmp_path / "change.gpkg", changes)
    names = ["out/objects.gpkg", "out/objects.geojson", "change.gpkg"]
    names += ["out/port-classes.tif", "out/port-confidence.tif"]
    files = opened_in_qgis([tmp_path / name for name in names], tmp_path)
    objects, degrees, changed, classes, confidence = files
    assert all(file[0] for file in files) and ships.count > 1
    systems = [file[1] for file in files]
    assert systems == ["EPSG:32632", "EPSG:4326", *["EPSG:32632"] * 3]
    pink = "#{:02x}{:02x}{:02x}".format(*OUTLINE)
    assert objects[3] == changed[3] == [ships.count, pink] and degrees[3][0] == ships.count
    # Corners of all ships, and of the scene, as swath itself places them.
    corners = scene.georeference.to_ground(ships.boxes.quads.reshape(-1, 2))
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    assert np.allclose([objects[2], changed[2]], middle, atol=0.01)
    longitude, latitude = scene.georeference.to_lonlat(ships.boxes.quads.reshape(-1, 2)).T
    assert degrees[2][0] == pytest.approx((longitude.min() + longitude.max()) / 2, abs=1e-6)
    assert degrees[2][1] == pytest.approx((latitude.min() + latitude.max()) / 2, abs=1e-6)
    whole = scene.georeference.to_ground([(205, 150)])[0]
    assert np.allclose([classes[2], confidence[2]], whole, atol=0.01)
    colours = ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in class_colours(2)]
    assert classes[3] == [[1, colours[0], "land"], [2, colours[1], "water"]]
    assert confidence[3] == []
