import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from swath.errors import ImageryError, RequestError
from swath.imagery.synthetic import draw
from swath.inference.two_dates.alignment import aligned

GRID = Affine(2.0, 0, 500_000, 0, -2.0, 5_300_000)


def ground(size=320):
    return draw("quarry", 3, size).pixels


def raster(path, pixels, transform=GRID, crs="EPSG:32633"):
    height, width = pixels.shape[:2]
    shape = {"width": width, "height": height, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", transform=transform, crs=crs, **shape) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return str(path)


def picture(path, pixels):
    Image.fromarray(pixels).save(path)
    return str(path)


def test_a_later_raster_on_another_grid_comes_onto_the_earlier_ones_pixels(tmp_path):
    pixels = ground()
    before = raster(tmp_path / "a.tif", pixels[:200, :200])
    moved = GRID * Affine.translation(60, 40)
    after = raster(tmp_path / "b.tif", pixels[40:240, 60:260], moved)
    pair = aligned(before, after, tmp_path / "scratch")
    assert pair.shift.length_px < 0.2
    assert pair.region == (60, 40, 140, 160)
    assert (pair.after.read_rgb()[45:195, 65:195] == pixels[45:195, 65:195]).mean() > 0.99
    assert pair.after.read_rgb()[:39].max() == 0  # the later one does not reach there


def test_a_raster_that_says_it_lies_elsewhere_is_refused_or_moved_there(tmp_path):
    pixels = ground()
    before = raster(tmp_path / "a.tif", pixels[20:220, 20:220])
    after = raster(tmp_path / "b.tif", pixels[26:226, 10:210])  # shows what lies 10 left, 6 down
    with pytest.raises(RequestError, match=r"lies 11\.[67] px \(23\.\d m\) beside .*--align"):
        aligned(before, after, tmp_path / "scratch")
    pair = aligned(before, after, tmp_path / "scratch", align=True)
    assert (pair.shift.right_px, pair.shift.down_px) == pytest.approx((10, -6), abs=0.2)
    assert pair.residual.length_px < 0.2
    assert "it was moved" in pair.words()
    assert (tmp_path / "b.tif").stat().st_size > 0  # and stays as it was
    assert aligned(before, after, tmp_path / "scratch", limit_px=20).residual is None


def test_no_shift_is_no_length(tmp_path):
    before = raster(tmp_path / "a.tif", ground())
    words = aligned(before, before, tmp_path / "scratch").words()
    assert words == "the later picture lies 0.0 px (0 m) beside the earlier one"


def test_pictures_are_moved_by_pixels(tmp_path):
    pixels = ground()
    before = picture(tmp_path / "a.png", pixels[20:220, 20:220])
    after = picture(tmp_path / "b.png", pixels[26:226, 10:210])
    pair = aligned(before, after, tmp_path / "scratch", align=True)
    assert pair.residual.length_px < 0.2
    shown = pair.after.read_rgb()
    assert abs(shown[60:160, 60:160].astype(int) - pixels[80:180, 80:180]).mean() < 3


def test_two_places_two_sizes_and_one_without_a_place_are_refused(tmp_path):
    pixels = ground(200)
    before = raster(tmp_path / "a.tif", pixels)
    elsewhere = raster(tmp_path / "b.tif", pixels, GRID * Affine.translation(5000, 0))
    with pytest.raises(ImageryError, match="shows other ground"):
        aligned(before, elsewhere, tmp_path)
    with pytest.raises(ImageryError, match=r"c.png: says not where it lies"):
        aligned(before, picture(tmp_path / "c.png", pixels), tmp_path)
    with pytest.raises(ImageryError, match="two pictures of one size"):
        aligned(str(tmp_path / "c.png"), picture(tmp_path / "d.png", pixels[:150]), tmp_path)


def test_dates_with_nothing_in_common_are_said_and_cannot_be_moved(tmp_path):
    before = picture(tmp_path / "a.png", draw("quarry", 3, 160).pixels)
    after = picture(tmp_path / "b.png", draw("orchard", 4, 160).pixels)
    pair = aligned(before, after, tmp_path)
    assert pair.shift is None and "cannot be measured" in pair.words()
    with pytest.raises(RequestError, match="compare without --align"):
        aligned(before, after, tmp_path, align=True)
