from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from swath.annotations.findings import LEAKS
from swath.annotations.footprints import block_of, blocks, overlapping
from swath.annotations.image import AnnotatedImage
from swath.annotations.leaks import kept_together
from swath.annotations.lint import lint, looks_of
from swath.annotations.splits import split_images
from swath.errors import AnnotationError

SHARES = {"train": 0.5, "test": 0.5}


@pytest.fixture
def at(tmp_path):
    """Writes a GeoTIFF of 100 x 100 pixels of 10 m at metres east and north in UTM zone 32."""

    def write(name, east, north, crs="EPSG:32632", placed=None, **more):
        path = tmp_path / f"{name}.tif"
        noise = np.random.default_rng(crc32(name.encode())).integers(0, 255, (3, 5, 5), np.uint8)
        placed = placed or from_origin(500_000 + east, 5_000_000 + north, 10, 10)
        form = {"driver": "GTiff", "width": 100, "height": 100, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", crs=crs, transform=placed, **form) as raster:
            raster.write(noise.repeat(20, axis=1).repeat(20, axis=2))
        return AnnotatedImage(name, str(path), (100, 100), licence="CC0-1.0", **more)

    return write


def found(images):
    return [one for one in lint(images) if one.kind in LEAKS]


def dealt(at, *splits):
    """Pictures of noise, all different, with these splits."""
    return [at(f"own-{row}", 5000 * row, 0, split=split) for row, split in enumerate(splits)]


def copied(image, name, split):
    """The very picture under another name."""
    path = Path(image.path).with_name(f"{name}.tif")
    path.write_bytes(Path(image.path).read_bytes())
    return replace(image, id=name, scene=name, path=str(path), split=split)


def splits_of(images, names=("train", "test")):
    return [image.split for image in kept_together(images, looks_of(images), names)]


def test_copies_that_were_dealt_apart_are_brought_together_and_shares_are_kept(at):
    images = dealt(at, *["train"] * 4, "test", "test")
    images += [copied(images[0], "a", "test"), copied(images[0], "b", "test")]
    after = splits_of(images)
    assert after[0] == after[6] == after[7] == "test"  # which lacks two, and train one
    assert after[1:6] == ["train"] * 3 + ["test"] * 2


def test_a_scene_moves_as_a_whole_with_a_copy_of_one_of_its_pictures(at):
    images = dealt(at, *["train"] * 4, "test", "test")
    images[1] = replace(images[1], scene=images[0].scene)
    images.append(copied(images[0], "a", "test"))
    after = splits_of(images)
    assert len({after[0], after[1], after[6]}) == 1


def test_pictures_beside_a_source_with_splits_move_and_its_own_stay(at):
    images = dealt(at, "train", "test", "train", "test")
    images += [copied(images[2], "a", "test"), copied(images[0], "b", "test")]
    given = {images[0].id, images[1].id}
    after = kept_together(images, looks_of(images), ("train", "test"), given)
    assert after[2].split == after[4].split
    assert [after[row].split for row in (0, 1, 5)] == ["train", "test", "test"]


def test_what_a_source_has_given_is_not_moved(at):
    images = dealt(at, "train", "train", "val", "test")
    images += [copied(images[3], "a", "train"), copied(images[0], "b", "val")]
    after = splits_of(images, ("train", "val"))  # val was carved from train, test was given
    assert after[3:5] == ["test", "train"]
    assert after[0] == after[5]


def test_a_split_is_not_emptied_to_bring_copies_together(at):
    images = dealt(at, "train", "train")
    images.append(copied(images[0], "a", "test"))
    images[1] = replace(images[1], scene=images[0].scene)
    assert splits_of(images) == ["train", "train", "test"]


def test_ground_shared_by_train_and_test_is_a_leak(at):
    one, two = at("a", 0, 0, split="train"), at("b", 600, 0, split="test")
    (leak,) = found([one, two])
    assert (leak.kind, leak.where) == ("overlap", "a")
    assert leak.what.startswith("shares 40% of its ground with b")
    assert "annotations.split_by=place" in leak.action
    assert found([one, replace(two, split="train")]) == []


def test_neighbours_that_touch_share_no_ground(at):
    assert found([at("a", 0, 0, split="train"), at("b", 1000, 0, split="test")]) == []


def test_ground_is_compared_across_crs(at):
    """9 degrees east and 45.145 north are 500,000 m east and 4,999,000 m north in UTM zone 32."""
    degrees = from_origin(9.0, 45.153, 0.0001, 0.0001)
    one, two = at("a", 0, 0, split="train"), at("b", 0, 0, "EPSG:4326", degrees, split="test")
    assert [leak.kind for leak in found([one, two])] == ["overlap"]
    far = at("c", 0, 0, "EPSG:4326", from_origin(9.5, 45.153, 0.0001, 0.0001), split="test")
    assert found([one, far]) == []


def test_ground_is_compared_across_the_date_line(at):
    """179.94 E to 179.96 W, once counted up to 180.04 and once from -180.06."""
    east, west = (from_origin(x, 1.05, 0.001, 0.001) for x in (179.94, -180.06))
    one = at("a", 0, 0, "EPSG:4326", east, split="train")
    (leak,) = found([one, at("b", 0, 0, "EPSG:4326", west, split="test")])
    assert leak.what.startswith("shares 100% of its ground with b")
    beside = from_origin(-179.9, 1.05, 0.001, 0.001)
    assert found([one, at("c", 0, 0, "EPSG:4326", beside, split="test")]) == []
    assert blocks([one], 100_000) == [block_of(179.97, 1.0, 100_000)]


MOON = 'GEOGCS["Moon",DATUM["D_Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]]'  # noqa: E501


@pytest.mark.parametrize("crs", [MOON, 'LOCAL_CS["site",UNIT["metre",1]]', None])
def test_ground_that_is_not_the_earths_is_not_compared(at, crs):
    placed = from_origin(9, 45, 0.001, 0.001)
    one, two = (
        at(name, 0, 0, crs, placed, split=split) for name, split in (("a", "train"), ("b", "test"))
    )
    assert lint([one, two]) == []
    with pytest.raises(AnnotationError, match="do not say where on the ground they lie"):
        blocks([one], 2000)


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


def test_blocks_fewer_than_splits_are_refused(at):
    with pytest.raises(AnnotationError, match=r"2 images lie in 1 block of 50000 m.*block_m"):
        split_images([at("a", 0, 0), at("b", 2000, 0)], SHARES, 0, "place", 50_000)


def test_by_place_every_split_gets_a_block_though_each_has_a_class_of_its_own(at):
    images = [at(name, 9000 * n, 0, label=name) for n, name in enumerate(("port", "farm", "mine"))]
    dealt = split_images(images, {"train": 0.5, "test": 0.5}, 0, "place", 3000)
    assert {one.split for one in dealt} == {"train", "test"}
