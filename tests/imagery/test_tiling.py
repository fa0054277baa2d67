import numpy as np
import pytest

from swath.errors import TilingError
from swath.imagery.tiling import Tile, starts, tiles


def test_last_tile_slides_back_to_end_on_the_edge():
    assert starts(length=4000, size=1024, overlap=128) == [0, 896, 1792, 2688, 2976]


def test_an_edge_that_tiles_fit_exactly_gets_no_extra_tile():
    assert starts(length=1920, size=1024, overlap=128) == [0, 896]
    assert starts(length=2048, size=1024) == [0, 1024]


def test_an_edge_shorter_than_a_tile_gets_one_tile():
    assert starts(length=500, size=1024, overlap=128) == [0]


def test_every_pixel_of_a_scene_is_in_a_tile_and_no_tile_leaves_it():
    covered = np.zeros((70, 100), dtype=int)
    for tile in tiles("a", (100, 70), tile_px=32, overlap_px=8):
        (x, y), (width, height) = tile.origin_xy, tile.size_wh
        assert covered[y : y + height, x : x + width].shape == (32, 32)
        covered[y : y + height, x : x + width] += 1
    assert covered.min() == 1


def test_a_scene_smaller_than_a_tile_is_one_tile_of_its_own_size():
    assert tiles("a", (20, 10), tile_px=32) == [Tile("a", (0, 0), (20, 10))]


@pytest.mark.parametrize("overlap", [-1, 1024, 2000])
def test_an_overlap_that_would_not_advance_is_refused_with_the_range_to_choose_from(overlap):
    with pytest.raises(TilingError, match="choose an overlap from 0 to 1023"):
        starts(length=4000, size=1024, overlap=overlap)


def test_a_scene_without_pixels_is_refused():
    with pytest.raises(TilingError, match="must be 1 or more"):
        starts(length=0, size=8)
