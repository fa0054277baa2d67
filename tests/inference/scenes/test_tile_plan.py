import numpy as np
import pytest

from swath.annotations.image import AnnotatedImage, write_images
from swath.boxes import Boxes
from swath.errors import TilingError
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.scenes.tile_plan import TilePlan, TunedOn, tile_plan


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "half_metre.tif"
    return open_scene(write_geotiff(lay_out((1100, 700), 0), path))


@pytest.mark.parametrize("size_wh", [(1000, 1000), (1024, 1024), (1100, 700), (60, 500), (96, 96)])
@pytest.mark.parametrize("overlap_px", [None, 0, 24, 95])
def test_every_pixel_is_covered_and_no_tile_leaves_the_scene(size_wh, overlap_px):
    plan = TilePlan("scene", (0, 0, *size_wh), 96, overlap_px)
    looked_at = np.zeros(size_wh[::-1], dtype=bool)
    for tile in plan:
        (x, y), (width, height) = tile.origin_xy, tile.size_wh
        assert min(x, y) >= 0 and x + width <= size_wh[0] and y + height <= size_wh[1]
        looked_at[y : y + height, x : x + width] = True
    assert looked_at.all()


def test_the_last_tile_slides_back_to_the_edge_of_the_region():
    plan = TilePlan("scene", (100, 200, 300, 96), 96, 16)
    assert plan.columns == [(100, 96), (180, 96), (260, 96), (304, 96)]
    assert plan.rows == [(200, 96)]
    assert plan[3].origin_xy == (304, 200) and len(plan) == 4


def test_tiles_whose_counts_are_summed_share_no_pixel():
    plan = TilePlan("scene", (0, 0, 250, 96), 96, None)
    assert plan.columns == [(0, 83), (83, 83), (166, 84)] and plan.rows == [(0, 96)]


def test_a_tile_shows_as_much_ground_as_a_picture_of_the_set(scene):
    tuned = TunedOn(side_px=100, gsd_m=2.0, object_share=0.2)  # 200 m a side
    plan = tile_plan(scene, tuned)
    assert plan.tile_px == 400  # of half a metre
    assert plan.overlap_px == 80  # an object's length
    assert tile_plan(scene, tuned, gsd_m=1.0).tile_px == 200
    assert tile_plan(scene, TunedOn(100, None, None)).tile_px == 100
    assert tile_plan(scene, TunedOn(100, 2.0, 0.9)).overlap_px == 200  # half a tile at most


def test_the_set_of_a_run_tells_what_its_pictures_were_like(tmp_path, scene):
    boxes = Boxes.from_hbb([[0, 0, 110, 30], [0, 0, 20, 20]])
    image = AnnotatedImage("a", str(scene.path), scene.size_wh, boxes=boxes, names=("ship",) * 2)
    write_images(tmp_path / "set" / "images.jsonl", [image])
    tuned = TunedOn.of_run(tmp_path, image_px=96)
    assert tuned.side_px == 1100 and tuned.gsd_m == pytest.approx(0.5, rel=1e-3)
    assert tuned.object_share == pytest.approx(0.1, abs=0.002)
    assert TunedOn.of_run(tmp_path / "exported", 96) == TunedOn(96)


def test_a_scene_far_too_coarse_is_refused(scene):
    with pytest.raises(TilingError, match="a tile would have 2 px; take a sharper scene"):
        tile_plan(scene, TunedOn(side_px=100, gsd_m=0.01))
    with pytest.raises(TilingError, match="--overlap 1"):
        tile_plan(scene, TunedOn(100), overlap=1.0)
