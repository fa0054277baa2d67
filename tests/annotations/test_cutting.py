import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from swath.annotations.cutting import cut, shown
from swath.annotations.image import AnnotatedImage, Question
from swath.boxes import Boxes, iou
from swath.dialect import DIALECTS
from swath.imagery.opening import open_scene
from swath.imagery.tiling import Tile, tiles


def test_a_tile_keeps_what_it_shows_enough_of():
    """Of 100 x 100 px: a box half in the left tile, one wholly in the right."""
    boxes = Boxes.from_hbb([[40, 10, 60, 20], [60, 60, 70, 70], [45, 80, 55, 81]])
    whole = AnnotatedImage("s", "/s.png", (100, 100), "Port", ("a port",), boxes, ("a", "b", "c"),
                           split="test", questions=(Question("?", "!"),))  # fmt: skip
    made = list(cut([whole], 50, visible=0.6))
    assert [one.id for one in made] == ["s@0,0", "s@50,0", "s@0,50", "s@50,50"]
    assert [one.names for one in made] == [(), (), (), ("b",)]
    assert made[3].boxes.hbb.tolist() == [[10, 10, 20, 20]]
    assert made[3].path == "/s.png#tile=50,50,50,50"
    assert {(one.label, one.split, one.scene, one.captions) for one in made} == {
        ("Port", "test", "s", ())
    }
    assert [one.names for one in cut([whole], 50, visible=0.5)] == [
        ("a",),
        ("a",),
        ("c",),
        ("b", "c"),
    ]


def test_a_class_is_not_listed_where_a_tile_shows_a_part_of_one_too_small_to_keep():
    """Of 100 x 50 px in tiles of 50: a car of which the left tile shows 30 %, the right 70 %."""
    boxes = Boxes.from_hbb([[44, 10, 64, 20], [0, 0, 10, 10]])
    whole = AnnotatedImage("s", "/s.png", (100, 50), None, (), boxes, ("car", "bus"),
                           listed=("bus", "car", "truck"))  # fmt: skip
    made = list(cut([whole], 50))
    assert [(one.names, one.listed) for one in made] == [
        (("bus",), ("bus", "truck")),
        (("car",), ("bus", "car", "truck")),
    ]
    assert {one.listed for one in cut([whole], 50, unlists=False)} == {whole.listed}


def test_an_image_no_larger_than_a_tile_stays_as_it_is():
    image = AnnotatedImage("s", "/s.png", (100, 80), captions=("a port",))
    assert list(cut([image], 100)) == [image]


def test_the_share_shown_of_an_oriented_box_is_that_of_its_own_area():
    diamond = Boxes(np.array([[[50, 40], [60, 50], [50, 60], [40, 50]]]))
    assert shown(diamond, Tile("s", (0, 0), (50, 50)))[0] == pytest.approx(0.25)
    assert shown(diamond, Tile("s", (0, 0), (100, 100)))[0] == pytest.approx(1)
    assert shown(Boxes.from_hbb([5, 5, 5, 9]), Tile("s", (0, 0), (50, 50)))[0] == 0


def test_every_object_is_in_some_tile_if_neighbours_overlap_by_its_size():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 960, (50, 2))
    boxes = Boxes.from_hbb(np.concatenate([corners, corners + rng.uniform(5, 40, (50, 2))], 1))
    image = AnnotatedImage(
        "s", "/s.png", (1000, 1000), boxes=boxes, names=tuple(map(str, range(50)))
    )
    made = list(cut([image], 256, overlap_px=40, visible=1 - 1e-9))
    assert {name for one in made for name in one.names} == set(image.names)


@pytest.mark.parametrize("seed", range(20))
def test_ground_to_tile_to_text_and_back_is_the_same_place(tmp_path, seed):
    """Within a step of the text's 0 to 100 grid on a tile of 512 px, turned by any angle."""
    rng = np.random.default_rng(seed)
    size, gsd = (rng.integers(900, 2000), rng.integers(900, 2000)), rng.uniform(0.1, 30)
    placed = from_origin(*rng.uniform(300_000, 700_000, 2), gsd, gsd)
    placed = placed @ placed.rotation(rng.uniform(-180, 180))
    path = tmp_path / "scene.tif"
    form = {"driver": "GTiff", "width": size[0], "height": size[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=placed, sparse_ok=True, **form):
        pass
    scene = open_scene(path)
    where = rng.uniform(60, np.array(size) - 60)
    given = Boxes.from_rotated([[*where, *rng.uniform(20, 60, 2), rng.uniform(0, 90)]])
    ground = scene.georeference.to_ground(given.quads.reshape(-1, 2))
    pixels = Boxes(scene.georeference.to_pixels(ground).reshape(-1, 4, 2))
    assert np.abs(pixels.quads - given.quads).max() < 1e-4
    for tile in tiles("scene", scene.size_wh, 512, 64):
        if shown(pixels, tile)[0] < 1 - 1e-9:
            continue
        x, y = tile.origin_xy
        inside = pixels.shifted((-x, -y))
        dialect = DIALECTS.get("minigpt")
        back = dialect.read(dialect.write(inside, tile.size_wh), tile.size_wh).shifted((x, y))
        assert np.abs(back.hbb - given.hbb).max() <= 512 / 100
        oriented = DIALECTS.get("geochat")
        text = oriented.write(inside, tile.size_wh)
        again = oriented.read(text, tile.size_wh).shifted((x, y))
        assert iou(again, given)[0] > 0.6  # its grid has 100 steps and whole degrees
        part = open_scene(f"{path}#tile={','.join(map(str, (*tile.origin_xy, *tile.size_wh)))}")
        there = part.georeference.to_ground(inside.quads.reshape(-1, 2))
        assert np.abs(there - ground).max() < 1e-6 * gsd + 1e-6
