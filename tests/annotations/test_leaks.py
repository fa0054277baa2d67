from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from swath.annotations.finding import LEAKS
from swath.annotations.ground import block_of, blocks, overlapping
from swath.annotations.image import AnnotatedImage
from swath.annotations.lint import lint
from swath.annotations.splits import split_images
from swath.errors import AnnotationError

SHARES = {"train": 0.5, "test": 0.5}


@pytest.fixture
def at(tmp_path):
    """Writes a GeoTIFF of 100 x 100 pixels of 10 m at metres east and north in UTM zone 32."""

    def write(name, east, north, **more):
        path = tmp_path / f"{name}.tif"
        noise = np.random.default_rng(crc32(name.encode())).integers(0, 255, (3, 5, 5), np.uint8)
        placed = from_origin(500_000 + east, 5_000_000 + north, 10, 10)
        form = {"driver": "GTiff", "width": 100, "height": 100, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", crs="EPSG:32632", transform=placed, **form) as raster:
            raster.write(noise.repeat(20, axis=1).repeat(20, axis=2))
        return AnnotatedImage(name, str(path), (100, 100), licence="CC0-1.0", **more)

    return write


def found(images):
    return [one for one in lint(images) if one.kind in LEAKS]


def test_ground_shared_by_train_and_test_is_a_leak(at):
    one, two = at("a", 0, 0, split="train"), at("b", 600, 0, split="test")
    (leak,) = found([one, two])
    assert (leak.kind, leak.where) == ("overlap", "a")
    assert leak.what.startswith("shares 40% of its ground with b")
    assert "annotations.split_by=place" in leak.action
    assert found([one, replace(two, split="train")]) == []


def test_neighbours_that_touch_share_no_ground(at):
    assert found([at("a", 0, 0, split="train"), at("b", 1000, 0, split="test")]) == []


def test_a_scene_in_two_splits_is_told_once_and_not_for_its_ground(at):
    one = at("a", 0, 0, split="train", scene="s")
    (leak,) = found([one, at("b", 500, 0, split="test", scene="s")])
    assert leak.kind == "split scene"
    assert "annotations.split_by=scene" in leak.action


def test_a_picture_under_another_expression_in_test_is_a_leak(at):
    one = at("a", 0, 0, split="train")
    (leak,) = found([one, replace(one, id="a@test", split="test")])
    assert leak.kind == "leak"
    assert "split whole pictures, not expressions" in leak.action


def test_a_picture_under_another_expression_in_the_same_split_is_no_copy(at):
    one = at("a", 0, 0, split="train")
    assert lint([one, replace(one, id="a@2")]) == []


def test_overlap_is_a_share_of_the_smaller_one():
    shapes = [shapely.box(0, 0, 10, 10), None, shapely.box(9, 0, 11, 1), shapely.box(20, 0, 21, 1)]
    assert list(overlapping(shapes)) == [(0, 2, 0.5)]
    assert list(overlapping([None, shapes[0]])) == []


def test_blocks_are_as_wide_on_the_ground_everywhere():
    """111.2 km a degree of latitude; of longitude half of that at 60 degrees north."""
    assert block_of(0.5, 0.5, 100_000) == "block 0/0"
    assert block_of(1.5, 0.5, 100_000) == "block 0/1"
    assert block_of(1.5, 60.1, 100_000) == "block 66/0"
    assert block_of(-0.1, -0.1, 100_000) == "block -1/-1"


def test_by_place_neighbours_share_a_split(at):
    """Two groups of three, 50 km apart; one goes to train and one to test."""
    images = [at(f"{east}-{n}", east + 100 * n, 0) for east in (0, 50_000) for n in range(3)]
    assert len(set(blocks(images, 20_000))) == 2
    dealt = [one.split for one in split_images(images, SHARES, 0, "place", 20_000)]
    assert len(set(dealt[:3])) == len(set(dealt[3:])) == 1
    assert set(dealt) == {"train", "test"}


def test_by_place_images_without_georeference_are_refused(at, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    plain = AnnotatedImage("plain", str(tmp_path / "plain.png"), (8, 8))
    with pytest.raises(
        AnnotationError, match=r"1 of 2 images do not say where.*plain; split by sc"
    ):
        split_images([at("a", 0, 0), plain], SHARES, 0, "place")
