from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swath.annotations.image import AnnotatedImage
from swath.annotations.readers import read, recognise
from swath.annotations.writers import WRITERS, write
from swath.boxes import Boxes, iou
from swath.errors import AnnotationError, RequestError
from tests.annotations.formats.test_vectors import raster


def made(folder, splits=("train", "test")):
    """Two pictures of 64 x 48 px, one with an upright and a turned ship, one with a plane."""
    boxes = Boxes.from_rotated([(20, 20, 10, 6, 90), (40, 30, 12, 4.5, 30)])
    plane = Boxes.from_hbb([2, 3, 9, 11.25])
    sets = ((boxes, ("cargo ship", "cargo ship")), (plane, ("plane",)))
    return [
        AnnotatedImage(
            id=f"port/{name}", path=str(folder.picture(f"port/{name}.png", (64, 48))),
            size_wh=(64, 48), boxes=own, names=names, split=split,
        )
        for name, (own, names), split in zip("ab", sets, splits, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reader"), [("coco", "coco"), ("yolo-obb", "yolo"), ("dota", "dota")]
)
@pytest.mark.parametrize("splits", [("train", "test"), (None, None)])
def test_what_is_written_is_read_back(folder, tmp_path, name, reader, splits):
    images = made(folder, splits)
    assert write(tmp_path / "out", images, name) == 3
    assert recognise(tmp_path / "out").name == reader
    back = sorted(read(tmp_path / "out"), key=lambda image: image.id)
    for one, other in zip(images, sorted(back, key=lambda image: image.path[-5:]), strict=True):
        assert (one.split, one.size_wh) == (other.split, other.size_wh)
        assert other.names == tuple(n.replace(" ", "-") if name == "dota" else n for n in one.names)
        assert iou(one.boxes, other.boxes).min() > 0.999


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize("name", ["geojson", "geopackage"])
def test_boxes_go_to_the_ground_and_back(folder, tmp_path, name, crs):
    place = ((15, 45), 1e-5) if crs == "EPSG:4326" else ((500_000, 5_000_000), 2.0)
    path = raster(folder.path / "scene.tif", crs, *place)
    boxes = Boxes.from_rotated([(20, 20, 10, 6, 90), (40, 30, 12, 4.5, 30)])
    image = AnnotatedImage("scene", str(path), (100, 80), boxes=boxes, names=("ship", "plane"),
                           phrases=("the ship", None))  # fmt: skip
    write(tmp_path / "out", [image], name)
    (back,) = read(tmp_path / "out")
    assert (back.names, back.phrases) == (image.names, image.phrases)
    assert iou(image.boxes, back.boxes).min() > 0.999


def test_a_picture_without_a_place_on_earth_has_no_geojson(folder, tmp_path):
    with pytest.raises(AnnotationError, match=r"lies nowhere on Earth.*write coco"):
        write(tmp_path / "out", made(folder), "geojson")
    assert not (tmp_path / "out").exists()


def test_unknown_formats_and_images_without_boxes_are_refused(folder, tmp_path):
    with pytest.raises(RequestError, match="unknown writer 'yolo-oob'; did you mean yolo-obb"):
        write(tmp_path / "out", made(folder), "yolo-oob")
    image = AnnotatedImage("a", str(folder.picture("a.png")), (16, 12))
    with pytest.raises(AnnotationError, match="none of 1 images has a box"):
        write(tmp_path / "out", [image], "coco")


def test_every_writer_has_a_reader():
    assert [name for name, _ in WRITERS.items()] == [
        "coco", "yolo", "yolo-obb", "dota", "geojson", "geopackage",
    ]  # fmt: skip


def test_real_oriented_boxes_survive_dota_and_yolo(data_folder, tmp_path):
    images = read(data_folder / "dota_samples")
    for name, reader in (("dota", "dota"), ("yolo-obb", "yolo")):
        write(tmp_path / name, images, name)
        back = read(tmp_path / name, reader)
        for one, other in zip(images, back, strict=True):
            assert np.abs(one.boxes.quads - other.boxes.quads).max() < 1e-3
            assert one.names == other.names


def test_yolo_holds_the_upright_box_around_an_oriented_one(folder, tmp_path):
    images = made(folder)
    write(tmp_path / "out", images, "yolo")
    back = {image.path[-5:]: image for image in read(tmp_path / "out")}
    for image in images:
        assert back[image.path[-5:]].boxes.hbb == pytest.approx(image.boxes.hbb, abs=1e-3)
    assert (tmp_path / "out/test/labels/port/b.txt").read_text().split()[0] == "1"
    assert back["a.png"].boxes.areas[0] == pytest.approx(60)  # 6 x 10, upright


@pytest.mark.parametrize("name", ["coco", "yolo-obb", "dota"])
def test_two_pictures_that_would_take_one_place_are_refused(folder, tmp_path, name):
    images = made(folder, (None, None))
    other = folder.picture("port/images/a.png", (64, 48))
    alike = replace(images[0], id="port/images/a", path=str(other))
    with pytest.raises(AnnotationError, match=r"port/a\.png and .*images/a\.png would both be"):
        write(tmp_path / "out", [*images, alike], name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["geojson", "geopackage"])
def test_on_a_full_disk_no_labels_are_written(folder, tmp_path, full_disk, name):
    path = raster(folder.path / "scene.tif", "EPSG:32633", (500_000, 5_000_000), 2.0)
    boxes = Boxes.from_hbb([[place, 2, place + 3, 6] for place in range(90)])
    image = AnnotatedImage("scene", str(path), (100, 80), boxes=boxes, names=("ship",) * 90)
    with full_disk(Path(path).stat().st_size + 100), pytest.raises(OSError, match="File too large"):
        write(tmp_path / "out", [image], name)
    assert not (tmp_path / "out").exists()
