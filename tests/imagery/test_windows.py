import os

import numpy as np
import pytest
from PIL import Image

from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_frame
from swath.imagery.tiling import Tile
from swath.imagery.windows import tile_path


@pytest.fixture
def picture(tmp_path):
    pixels = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    return str(tmp_path / "a.png"), pixels


def test_a_tile_of_a_picture_is_a_scene_of_its_own(picture):
    path, pixels = picture
    name = tile_path(path, Tile("a", (10, 20), (30, 15)))
    assert name == f"{path}#tile=10,20,30,15"
    assert is_frame(name)
    tile = open_scene(name)
    assert tile.size_wh == (30, 15)
    assert np.array_equal(tile.read_rgb(), pixels[20:35, 10:40])
    inner = tile.read_rgb(Tile("a", (5, 5), (4, 3)))
    assert np.array_equal(inner, pixels[25:28, 15:19])
    assert tile.read_rgb(size_wh=(10, 5)).shape == (5, 10, 3)


def test_a_tile_shows_16_bit_values_with_the_contrast_of_the_whole(tmp_path):
    import rasterio

    values = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64) * 16
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", width=64, height=64, count=1,
                       dtype="uint16") as raster:  # fmt: skip
        raster.write(values)
    whole = open_scene(tmp_path / "a.tif").read_rgb()
    part = open_scene(f"{tmp_path}/a.tif#tile=32,32,32,32").read_rgb()
    assert np.array_equal(part, whole[32:, 32:])


@pytest.mark.parametrize("numbers", ["1,2,3", "a,b,c,d", "-1,0,5,5"])
def test_a_tile_without_four_numbers_is_refused(picture, numbers):
    with pytest.raises(ImageryError, match="expected #tile=x,y,width,height in pixels"):
        open_scene(f"{picture[0]}#tile={numbers}")


def test_a_tile_outside_its_scene_is_refused(picture):
    with pytest.raises(ImageryError, match="leaves the scene of 60 x 40 px"):
        open_scene(f"{picture[0]}#tile=50,0,20,20")


def test_a_pipe_of_a_pictures_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageryError, match="is a pipe and no file"):
        open_scene(tmp_path / "a.png")
