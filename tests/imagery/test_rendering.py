"""Stored values to colours, by the recipe's rendering."""

import json

import numpy as np
import pytest
import rasterio
from PIL import Image
from pydantic import ValidationError
from rasterio.enums import ColorInterp

from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.tiling import Tile
from swath.models.pixels import PixelStore
from swath.recipe import Imagery, Rendering

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def raster(path, bands, names=(), colours=(), scales=(), offsets=(), **profile):
    bands = np.asarray(bands)
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count,
        dtype=bands.dtype, **profile,
    ) as out:  # fmt: skip
        out.write(bands)
        for key, value in (
            ("descriptions", names), ("colorinterp", colours), ("scales", scales),
            ("offsets", offsets),
        ):  # fmt: skip
            if value:
                setattr(out, key, value)
    return path


@pytest.fixture
def four(tmp_path):
    """Four bands of one value each: 10, 20, 30, 40."""
    bands = [np.full((2, 3), value, np.uint16) for value in (10, 20, 30, 40)]
    return raster(tmp_path / "a.tif", bands, ("B02", "B03, green", "B04", "B08"))


def middle(path, **rendering):
    return open_scene(path).read_rgb(rendering=Rendering(**rendering))[0, 0].tolist()


@pytest.mark.parametrize(("bands", "shown"), [
    ([4, 3, 2], [40, 30, 20]), (["B08", "b4", "B3"], [40, 30, 20]), ([3], [30, 30, 30]),
    (["B02"], [10, 10, 10]), (["B08", 1, "B08"], [40, 10, 40]),
])  # fmt: skip
def test_bands_are_chosen_by_number_and_name(four, bands, shown):
    assert middle(four, bands=bands, stretch="none") == shown


def test_false_colour_is_a_choice_of_bands_by_their_colour(tmp_path):
    bands = [np.full((2, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    meaning = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    path = raster(tmp_path / "a.tif", bands, ("", "", "", "nir"), meaning)
    assert middle(path, bands=["nir", "red", "green"]) == [40, 30, 20]


def test_a_band_that_is_not_there_is_named_beside_those_that_are(four):
    with pytest.raises(ImageryError, match=r"has no band B8A.*It has 1 B02, 2 B03, green, 3 B04"):
        middle(four, bands=["B8A"])
    with pytest.raises(ImageryError, match=r"has no band 5.*see imagery.rendering.bands"):
        middle(four, bands=[5])


def test_a_range_is_the_same_for_all_bands_or_one_a_band(four):
    assert middle(four, bands=[1, 2, 4], stretch="range", range=(0, 40)) == [64, 128, 255]
    pairs = [(10, 20), (0, 20), (0, 80)]
    assert middle(four, bands=[1, 2, 4], stretch="range", range=pairs) == [0, 255, 128]


def test_gamma_lightens_the_middle_and_leaves_black_and_white(tmp_path):
    path = raster(tmp_path / "a.tif", [np.array([[0, 64, 255]], np.uint8)])
    shown = open_scene(path).read_rgb(rendering=Rendering(gamma=2))[0, :, 0]
    assert shown.tolist() == [0, 128, 255]  # 255 * (64 / 255) ** 0.5 = 127.7


def test_percentiles_may_be_others_than_the_2nd_and_98th(tmp_path):
    path = raster(tmp_path / "a.tif", [np.arange(101, dtype=np.uint16)[None]])
    shown = open_scene(path).read_rgb(rendering=Rendering(percentiles=(25, 75)))[0, :, 0]
    assert (shown[:26] == 0).all() and shown[50] == 128 and (shown[75:] == 255).all()


def test_8_bit_values_are_stretched_when_that_is_asked(tmp_path):
    path = raster(tmp_path / "a.tif", [np.array([[100, 110, 120]], np.uint8)])
    stretched = Rendering(stretch="percentile", percentiles=(0, 100))
    assert open_scene(path).read_rgb(rendering=stretched)[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[100, 110, 120]], np.uint8)).save(tmp_path / "a.png")
    picture = open_scene(tmp_path / "a.png").read_rgb(rendering=stretched)
    assert picture[0, :, 0].tolist() == [0, 128, 255]


def test_scale_and_offset_of_the_file_make_the_units_of_a_range(tmp_path):
    values = np.array([[0, 5000, 10000]], np.int16)
    path = raster(tmp_path / "a.tif", [values], scales=(0.0001,), offsets=(1.0,))
    shown = open_scene(path).read_rgb(rendering=Rendering(stretch="range", range=(1, 2)))
    assert shown[0, :, 0].tolist() == [0, 128, 255]


def test_decibels_are_20_log_of_an_amplitude_and_10_of_a_power(tmp_path):
    path = raster(tmp_path / "a.tif", [np.array([[0, 1, 10, 100]], np.float32)])
    for kind, white in (("amplitude", 40), ("power", 20)):
        shown = open_scene(path).read_rgb(
            rendering=Rendering(decibel=kind, stretch="range", range=(-white, white))
        )
        assert shown[0, :, 0].tolist() == [0, 128, 191, 255]  # 0 has no echo: black


def test_complex_radar_is_shown_in_decibels(tmp_path):
    path = raster(tmp_path / "a.tif", [np.array([[1, 10j, -100]], np.complex64)])
    shown = open_scene(path).read_rgb(
        rendering=Rendering(decibel="amplitude", stretch="range", range=(0, 40))
    )
    assert shown[0, :, 0].tolist() == [0, 128, 255]


def test_nodata_of_one_band_blackens_that_band_alone(tmp_path):
    bands = np.array([[[0, 5]], [[7, 7]], [[9, 9]]], np.uint8)
    shown = open_scene(raster(tmp_path / "a.tif", bands, nodata=5)).read_rgb()
    assert shown[0].tolist() == [[0, 7, 9], [0, 7, 9]]


def test_short_integers_are_looked_up_to_the_same_levels(tmp_path):
    values = np.random.default_rng(0).integers(-32768, 32767, (300, 300)).astype(np.int16)
    rendering = Rendering(stretch="range", range=(-20_000, 20_000))
    path = raster(tmp_path / "a.tif", [values])
    whole = open_scene(path).read_rgb(rendering=rendering)[..., 0]
    expected = np.round(np.clip((values.astype(float) + 20_000) / 40_000, 0, 1) * 255)
    assert np.array_equal(whole, expected)
    part = open_scene(path).read_rgb(Tile("a", (5, 6), (10, 10)), rendering=rendering)
    assert np.array_equal(part[..., 0], whole[6:16, 5:15])


@pytest.mark.parametrize(("wrong", "advice"), [
    ({"bands": [1, 2]}, "one band or three"), ({"stretch": "range"}, "give both or neither"),
    ({"range": (0, 1)}, "give both or neither"), ({"percentiles": (98, 2)}, "less than white"),
    ({"percentiles": (2, 101)}, "between 0 and 100"), ({"gamma": 0}, "greater than 0"),
    ({"stretch": "range", "range": [(0, 1), (0, 2)]}, "or one for each of bands"),
])  # fmt: skip
def test_a_rendering_that_makes_no_sense_is_refused(wrong, advice):
    with pytest.raises(ValidationError, match=advice):
        Rendering(**wrong)


def test_a_rendering_comes_back_from_a_models_manifest():
    section = Imagery(rendering=Rendering(bands=["nir", 3, 2], stretch="range", range=(0, 3000)))
    assert Imagery(**json.loads(json.dumps(section.model_dump(mode="json")))) == section


def test_the_model_sees_the_bands_of_the_recipe(four):
    store = PixelStore(32, 32, rendering=Rendering(bands=[4, 3, 2], stretch="none"))
    assert store.plain(str(four)).pixels[16, 16].tolist() == [40, 30, 20]


def test_an_engine_repeats_the_rendering_its_model_came_with(tiny, four):
    from dataclasses import replace

    from swath.models.engine import LocalEngine

    section = Imagery(rendering=Rendering(bands=["B08", "B04", "B03"], stretch="none"))
    store = LocalEngine(replace(tiny, imagery=section)).store
    assert store.plain(str(four)).pixels[5, 5].tolist() == [40, 30, 20]
