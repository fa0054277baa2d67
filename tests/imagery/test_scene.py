import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

import swath
from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.picture import open_image
from swath.imagery.tiling import Tile

# Rasterio warns while writing: most rasters here lie nowhere on Earth.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write_tif(path, bands, **profile):
    bands = np.asarray(bands)
    count, height, width = bands.shape
    colours = profile.pop("colours", None)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count,
        dtype=bands.dtype, **profile,
    ) as raster:  # fmt: skip
        if colours:
            raster.colorinterp = colours
        raster.write(bands)
    return path


def ramp(low, high, shape=(10, 100)):
    return np.linspace(low, high, shape[0] * shape[1]).reshape(shape)


# Pictures


def test_an_8_bit_picture_is_read_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    assert (scene.id, scene.size_wh, scene.bands, scene.dtype) == ("a", (6, 4), 3, "uint8")
    assert scene.crs is None and scene.transform is None
    assert np.array_equal(scene.read_rgb(), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_as_its_exif_says(tmp_path, orientation):
    stored = np.zeros((8, 16, 3), dtype=np.uint8)
    stored[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=100)
    scene = open_scene(tmp_path / "a.jpg")
    pixels = scene.read_rgb()
    assert scene.size_wh == ((16, 8) if orientation < 5 else (8, 16))
    assert pixels.shape[1::-1] == scene.size_wh
    # EXIF: where the stored first row and column are shown; here, where white lies.
    white = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom"}
    side = white.get(orientation, "bottom")
    half = {
        "left": pixels[:, :8], "right": pixels[:, 8:], "top": pixels[:8], "bottom": pixels[8:],
    }[side]  # fmt: skip
    assert half.mean() > 250


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_mode_of_picture_becomes_rgb(tmp_path, mode):
    suffix = ".jpg" if mode in ("CMYK", "YCbCr") else ".png"
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(path)
    pixels = open_scene(path).read_rgb()
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert pixels.min() > 250


def test_transparent_pixels_are_black_whatever_colour_lies_beneath(tmp_path):
    rgba = np.full((2, 2, 4), 200, dtype=np.uint8)
    rgba[0, 0, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert open_scene(tmp_path / "a.png").read_rgb()[..., 0].tolist() == [[0, 200], [200, 200]]


def test_a_16_bit_picture_is_stretched_between_its_percentiles(tmp_path):
    values = ramp(1000, 3000).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    assert scene.dtype == "uint16"
    shown = scene.read_rgb()[..., 0]
    assert (shown.min(), shown.max()) == (0, 255)
    assert abs(int(shown.ravel()[500]) - 128) <= 2


def test_a_window_of_a_picture_is_that_part_of_it(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    part = scene.read_rgb(Tile("a", (5, 2), (10, 8)))
    assert np.array_equal(part, pixels[2:10, 5:15])
    assert scene.read_rgb(Tile("a", (5, 2), (10, 8)), size_wh=(4, 3)).shape == (3, 4, 3)


def test_a_window_that_leaves_the_scene_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageryError, match=r"leaves the scene of 8 x 8 px; cut it with"):
        open_scene(tmp_path / "a.png").read_rgb(Tile("a", (4, 0), (8, 8)))


def test_a_smaller_read_of_a_large_jpeg_looks_like_the_whole(tmp_path):
    gradient = np.broadcast_to(np.linspace(0, 255, 512)[None, :, None], (256, 512, 3))
    Image.fromarray(gradient.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    small = open_scene(tmp_path / "a.jpg").read_rgb(size_wh=(64, 32))
    assert small.shape == (32, 64, 3)
    assert np.abs(small[16, :, 0] - np.linspace(2, 253, 64)).max() < 4


# Rasters


def test_a_geotiff_keeps_where_it_lies(tmp_path):
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 4100000)
    bands = np.full((3, 4, 5), 7, dtype=np.uint8)
    write_tif(tmp_path / "a.tif", bands, crs="EPSG:32618", transform=transform)
    scene = open_scene(tmp_path / "a.tif")
    assert (scene.crs, scene.transform) == ("EPSG:32618", transform)
    assert scene.size_wh == (5, 4)
    assert (scene.read_rgb() == 7).all()


def test_nodata_borders_do_not_pull_the_stretch(tmp_path):
    values = ramp(1000, 2000).astype(np.uint16)
    bordered = np.vstack([np.zeros((90, 100), dtype=np.uint16), values])
    plain = open_scene(write_tif(tmp_path / "plain.tif", [values])).read_rgb()
    shown = open_scene(write_tif(tmp_path / "a.tif", [bordered], nodata=0)).read_rgb()
    assert np.array_equal(shown[90:], plain)
    assert (shown[:90] == 0).all()


def test_nan_does_not_pull_the_stretch_and_is_black(tmp_path):
    values = ramp(0.1, 0.4).astype(np.float32)
    holed = values.copy()
    holed[0, :50] = np.nan
    shown = open_scene(write_tif(tmp_path / "a.tif", [holed])).read_rgb()
    assert (shown[0, :50] == 0).all()
    assert shown.max() == 255


def test_transparent_pixels_do_not_pull_the_stretch(tmp_path):
    values = ramp(1000, 2000).astype(np.uint16)
    junk = np.full_like(values, 60000)
    bands = [np.vstack([values, junk])] * 3 + [np.vstack([junk, np.zeros_like(junk)])]
    meaning = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    scene = open_scene(write_tif(tmp_path / "a.tif", bands, colours=meaning))
    shown = scene.read_rgb()
    assert scene.bands == 4
    assert shown[:10].max() == 255 and (shown[10:] == 0).all()


def test_neighbouring_tiles_share_one_stretch(tmp_path):
    values = ramp(0, 10000, (64, 64)).astype(np.uint16)
    scene = open_scene(write_tif(tmp_path / "a.tif", [values]))
    whole = scene.read_rgb()
    assert np.array_equal(scene.read_rgb(Tile("a", (32, 16), (20, 20))), whole[16:36, 32:52])


def test_bands_declared_blue_green_red_are_shown_as_colours(tmp_path):
    bands = np.stack([np.full((2, 2), value, dtype=np.uint8) for value in (10, 20, 30)])
    meaning = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    scene = open_scene(write_tif(tmp_path / "a.tif", bands, colours=meaning))
    assert scene.read_rgb()[0, 0].tolist() == [30, 20, 10]


def test_of_many_bands_the_first_three_are_shown_and_of_two_the_first(tmp_path):
    bands = np.stack([np.full((2, 2), value, dtype=np.uint8) for value in (10, 20, 30, 40, 50)])
    assert open_scene(write_tif(tmp_path / "a.tif", bands)).read_rgb()[0, 0].tolist() == [
        10, 20, 30,
    ]  # fmt: skip
    two = open_scene(write_tif(tmp_path / "b.tif", bands[:2]))
    assert two.read_rgb()[0, 0].tolist() == [10, 10, 10]


def test_a_palette_is_looked_up(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=2, height=1, count=1, dtype="uint8"
    ) as raster:
        raster.write(np.array([[[0, 1]]], dtype=np.uint8))
        raster.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 0, 255, 255)})
    assert open_scene(tmp_path / "a.tif").read_rgb().tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_a_palette_of_16_bits_is_looked_up(tmp_path):
    path = write_tif(tmp_path / "a.tif", [np.uint16([[1, 300]])], photometric="palette")
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, {1: (10, 20, 30, 255), 300: (200, 100, 50, 255)})
    assert open_scene(path).read_rgb().tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_bands_described_as_red_green_and_blue_are_shown_as_colours(tmp_path):
    values = np.full((4, 2, 2), 1, np.uint8) * np.uint8([[[10]], [[20]], [[30]], [[40]]])
    path = write_tif(tmp_path / "a.tif", values, photometric="minisblack")
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("Blue", "Green", "Red", "NIR")
    assert open_scene(path).read_rgb()[0, 0].tolist() == [30, 20, 10]


def test_a_constant_band_and_one_without_any_observation_are_black(tmp_path):
    constant = np.full((1, 4, 4), 700, dtype=np.uint16)
    assert (open_scene(write_tif(tmp_path / "a.tif", constant)).read_rgb() == 0).all()
    assert (open_scene(write_tif(tmp_path / "b.tif", constant, nodata=700)).read_rgb() == 0).all()


def test_complex_radar_values_are_shown_by_magnitude(tmp_path):
    values = (ramp(1, 100) * 1j).astype(np.complex64)
    assert open_scene(write_tif(tmp_path / "a.tif", [values])).read_rgb().max() == 255


# Bad input


def test_a_missing_file_is_named():
    with pytest.raises(ImageryError, match=r"/nowhere/a.tif: no such file; check the path"):
        open_scene("/nowhere/a.tif")


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(ImageryError, match="the file is empty; copy it again"):
        open_scene(path)


def test_a_folder_is_no_scene(tmp_path):
    with pytest.raises(ImageryError, match="a folder, expected an image file"):
        open_scene(tmp_path)


def test_text_named_as_a_picture_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    with pytest.raises(
        ImageryError, match=r"of no format that is read here.*gdal_translate -of COG"
    ):
        open_scene(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_file_cut_short_opens_but_does_not_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    if suffix == ".tif":
        write_tif(path, np.moveaxis(pixels, -1, 0))
    else:
        Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    scene = open_scene(path)
    assert scene.size_wh == (64, 64)
    with pytest.raises(ImageryError, match="was it copied whole"):
        scene.read_rgb()


def test_a_format_that_runs_a_program_is_not_opened(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(ImageryError, match="is it an image"):
        open_scene(tmp_path / "a.png")


def test_pictures_are_opened_in_one_place_only():
    root = Path(swath.__file__).parent
    opens = re.compile(r"\bImage\.open\b|\bfrom PIL\.Image import\b|\bimageio\b|\bcv2\b")
    places = [
        (str(file.relative_to(root)), line.strip())
        for file in sorted(root.rglob("*.py"))
        for line in file.read_text().splitlines()
        if opens.search(line)
    ]
    assert places == [
        ("imagery/picture.py", "picture = Image.open(file, formats=_PICTURES)"),
    ]


def test_the_limit_of_pixels_holds_where_pillow_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr("swath.imagery.picture.LARGEST_READ_PX", 63)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageryError, match="may be an attack"):
        open_image(tmp_path / "a.png")


def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(ImageryError, match="may be an attack; if you trust it, convert it"):
        open_scene(tmp_path / "a.png")


def test_a_raster_too_large_to_read_at_once_is_read_small_or_by_tile(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=40000, height=20000, count=1, dtype="uint8",
        tiled=True, sparse_ok=True, compress="deflate",
    ):  # fmt: skip
        pass
    scene = open_scene(path)
    with pytest.raises(ImageryError, match="read it tile by tile"):
        scene.read_rgb()
    assert scene.read_rgb(Tile("a", (39000, 19000), (64, 64))).shape == (64, 64, 3)


@pytest.mark.parametrize("bands", [3, 4])
def test_colours_of_16_bits_in_a_png_are_stretched_as_those_of_a_tiff(tmp_path, bands):
    values = np.tile(np.arange(40, 104, dtype=np.uint16), (bands, 8, 1))  # of 65535: nearly black
    values[3:] = 65535
    profile = {"width": 64, "height": 8, "count": bands, "dtype": "uint16"}
    with rasterio.open(tmp_path / "a.png", "w", driver="PNG", **profile) as file:
        file.write(values)
    meaning = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    png = open_scene(tmp_path / "a.png")
    tiff = open_scene(write_tif(tmp_path / "a.tif", values, colours=meaning[:bands]))
    assert (png.dtype, png.bands, png.size_wh) == ("uint16", bands, (64, 8))
    assert np.array_equal(png.read_rgb(), tiff.read_rgb())
    assert (png.read_rgb().min(), png.read_rgb().max()) == (0, 255)


def test_a_tile_of_thousands_of_digits_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageryError, match="expected #tile=x,y,width,height"):
        open_scene(f"{tmp_path}/a.png#tile=0,0,4,{'9' * 5000}")
