"""Rasters elsewhere, rasters that name others, rasters too large; and images of one place."""

import ctypes
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
import rasterio._env
import rasterio.warp

from swath.errors import ImageryError
from swath.imagery import raster
from swath.imagery.drivers import RASTERS, VECTORS
from swath.imagery.opening import open_scene
from swath.imagery.raster import allow
from swath.imagery.series import coregistered
from swath.imagery.tiling import Tile
from swath.recipe import Rendering
from tests.imagery.serving import served

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
VRT = """<VRTDataset rasterXSize="64" rasterYSize="64">
<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{source}<SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


def write(path, pixels, **profile):
    pixels = np.asarray(pixels)
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count, dtype=pixels.dtype,
        **profile,
    ) as out:  # fmt: skip
        out.write(pixels)
    return str(path)


def noise(side=64, seed=0):
    return np.random.default_rng(seed).integers(1, 255, (1, side, side), dtype=np.uint8)


# Elsewhere


def test_a_window_of_a_large_raster_elsewhere_fetches_little_of_it(tmp_path):
    path = write(tmp_path / "a.tif", noise(2048), tiled=True, blockxsize=256, blockysize=256)
    with served(tmp_path) as server:
        scene = open_scene(allow(f"{server.url}/a.tif"))
        part = scene.read_rgb(Tile("a", (1000, 900), (50, 40)))
        assert server.sent < 700_000 < 2048 * 2048
    assert np.array_equal(part, open_scene(path).read_rgb(Tile("a", (1000, 900), (50, 40))))


def test_s3_is_read_with_the_keys_of_the_environment(tmp_path, monkeypatch):
    (tmp_path / "bucket").mkdir()
    path = write(tmp_path / "bucket" / "a.tif", noise())
    with served(tmp_path) as server:
        for key, value in {
            "AWS_S3_ENDPOINT": server.url.removeprefix("http://"), "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():  # fmt: skip
            monkeypatch.setenv(key, value)
        scene = open_scene(allow("s3://bucket/a.tif"))
        assert np.array_equal(scene.read_rgb(), open_scene(path).read_rgb())
        assert "Credential=me/" in server.asked[0][1]["Authorization"]


def test_an_address_without_a_raster_is_named(tmp_path):
    (tmp_path / "page.tif").write_text("<html>")
    with served(tmp_path) as server:
        for name in ("absent.tif", "page.tif"):
            with pytest.raises(ImageryError, match=rf"{name}: cannot be read"):
                open_scene(allow(f"{server.url}/{name}"))


# Rasters that name others


def test_a_vrt_shows_the_files_beside_it(tmp_path):
    write(tmp_path / "a.tif", noise())
    source = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
    (tmp_path / "b.vrt").write_text(VRT.format(source=source))
    shown = open_scene(tmp_path / "b.vrt").read_rgb()
    assert np.array_equal(shown[..., 0], noise()[0])


@pytest.mark.parametrize("name", [
    "{url}/a.tif", "/vsicurl/{url}/a.tif", "/vsis3/bucket/a.tif", "WMS:{url}/a",
    "/vsizip//vsicurl/{url}/a.zip", "/etc/hostname", "absent.tif",
])  # fmt: skip
@pytest.mark.parametrize("form", [
    "<SourceFilename>{name}</SourceFilename>", "<sourcefilename>{name}</sourcefilename>",
    '<Inner SourceFilename="{name}"/>',
])  # fmt: skip
def test_a_vrt_cannot_have_anything_else_opened(tmp_path, name, form):
    write(tmp_path / "a.tif", noise())
    with served(tmp_path) as server:
        source = form.format(name=name.format(url=server.url))
        (tmp_path / "b.vrt").write_text(VRT.format(source=source))
        with pytest.raises(ImageryError):
            open_scene(tmp_path / "b.vrt")
        assert not server.asked


@pytest.mark.parametrize("more", ["http://host/x.tif", "/vsicurl/http://host/x.tif"])
def test_a_vrt_names_no_address_in_its_other_parts_either(tmp_path, more):
    write(tmp_path / "a.tif", noise())
    source = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
    for part in (f"<DEMPath>{more}</DEMPath>", f'<MDI key="X_DATASET">{more}</MDI>'):
        (tmp_path / "b.vrt").write_text(VRT.format(source=source + part))
        with pytest.raises(ImageryError, match="is no file"):
            open_scene(tmp_path / "b.vrt")
    remark = '<MDI key="TIFFTAG_COPYRIGHT">https://host/terms</MDI>'
    (tmp_path / "b.vrt").write_text(VRT.format(source=source + remark))
    assert open_scene(tmp_path / "b.vrt").size_wh == (64, 64)


def test_a_vrts_source_with_an_overview_of_another_format_is_refused(tmp_path):
    write(tmp_path / "a.tif", noise())
    source = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
    (tmp_path / "b.vrt").write_text(VRT.format(source=source))
    (tmp_path / "a.tif.ovr").write_text("<MRF_META/>")
    with pytest.raises(ImageryError, match=r"a.tif.ovr: is no TIFF"):
        open_scene(tmp_path / "b.vrt")


def test_a_vrt_with_entities_or_in_a_circle_is_refused(tmp_path):
    source = '<SourceFilename relativeToVRT="1">b.vrt</SourceFilename>'
    (tmp_path / "b.vrt").write_text(VRT.format(source=source))
    with pytest.raises(ImageryError, match="nested too deep"):
        open_scene(tmp_path / "b.vrt")
    bomb = '<!DOCTYPE a [<!ENTITY b "b">]>' + VRT.format(source="&b;")
    (tmp_path / "b.vrt").write_text(bomb)
    with pytest.raises(ImageryError, match="declares entities"):
        open_scene(tmp_path / "b.vrt")


READ = """
import sys
import rasterio
with rasterio.open(sys.argv[2]) as first:  # as a script of someone's may have done
    first.read()
from swath.errors import ImageryError
from swath.imagery.opening import open_scene
try:
    open_scene(sys.argv[1]).read_rgb(size_wh=(64, 64))
except ImageryError:
    pass
"""
TILED = """<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}</ServerUrl></Service><DataWindow>
<UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>300</LowerRightX><LowerRightY>300
</LowerRightY><SizeX>300</SizeX><SizeY>300</SizeY><TileLevel>0</TileLevel></DataWindow>
<BandsCount>1</BandsCount></GDAL_WMS>"""


def read_apart(path, before):
    """Read a raster small in a process of its own, in which GDAL opened another before."""
    subprocess.run([sys.executable, "-c", READ, path, before], check=True, timeout=60)


def name_overviews(path, how, text):
    if how == "in the file":
        with rasterio.open(path, "r+") as out:
            out.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=text)
    else:
        Path(f"{path}.aux.xml").write_text(
            f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{escape(text)}'
            f"</MDI></Metadata></PAMDataset>"
        )


@pytest.mark.parametrize("how", ["in the file", "beside it", "overviews"])
def test_a_tiff_cannot_have_its_overviews_fetched(tmp_path, how):
    (tmp_path / "served").mkdir()
    other = write(tmp_path / "served" / "a.tif", noise(600))
    path = write(tmp_path / "b.tif", noise(600))
    with served(tmp_path / "served") as server:
        if how == "overviews":
            (tmp_path / "b.tif.ovr").write_text(TILED.format(url=server.url))
        else:
            name_overviews(path, how, f"{server.url}/a.tif")
        read_apart(path, other)
        assert not server.asked


MRF = """<MRF_META><CachedSource><Source>{source}</Source></CachedSource><Raster>
<Size x="64" y="64" c="1"/><PageSize x="64" y="64" c="1"/><Compression>NONE</Compression>
<DataFile>{to}.bin</DataFile><IndexFile>{to}.idx</IndexFile></Raster></MRF_META>"""


@pytest.mark.parametrize("guard", ["formats", "names", "both"])
@pytest.mark.parametrize("how", ["in the file", "beside it", "overviews", "mask"])
def test_a_tiff_cannot_have_files_written(tmp_path, how, guard):
    source = write(tmp_path / "a.tif", noise())
    path = write(tmp_path / "b.tif", noise(128))
    text = MRF.format(source=source, to=tmp_path / "written")
    if how in ("in the file", "beside it"):
        name_overviews(path, how, text)
    else:
        Path(path + {"overviews": ".ovr", "mask": ".msk"}[how]).write_text(text)
    unguarded = {
        "formats": "raster._check_side_files = raster._check_overviews = lambda *_: None",
        "names": "raster.keep_safe_drivers = lambda *_: None",
        "both": "",
    }[guard]
    script = f"from swath.imagery import raster\n{unguarded}\n{READ}"
    subprocess.run([sys.executable, "-c", script, path, source], check=True, timeout=60)
    assert not [*tmp_path.glob("written*")]


def test_the_cache_of_the_attack_above_is_written_by_an_unguarded_reader(tmp_path):
    source = write(tmp_path / "a.tif", noise())
    path = write(tmp_path / "b.tif", noise(128))
    name_overviews(path, "in the file", MRF.format(source=source, to=tmp_path / "written"))
    script = (
        "import rasterio, sys\n"
        "with rasterio.open(sys.argv[1], driver='GTiff') as file: file.read(out_shape=(1, 64, 64))"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)
    assert (tmp_path / "written.bin").read_bytes() == noise().tobytes()


def test_formats_that_act_are_gone_even_where_others_registered_them_again(tmp_path):
    path = write(tmp_path / "a.tif", noise())
    for _ in range(2):
        open_scene(path)
        with rasterio.Env() as env:
            assert env.drivers().keys() <= {*RASTERS, *VECTORS, "MEM", "Memory"}
        ctypes.CDLL(rasterio._env.__file__).GDALAllRegister()
        with rasterio.Env() as env:
            assert "MRF" in env.drivers()
    open_scene(path)


def test_overviews_in_an_imagine_file_beside_a_tiff_are_read(tmp_path):
    path = write(tmp_path / "a.tif", noise(256))
    with rasterio.Env(USE_RRD="YES"), rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4])
    assert (tmp_path / "a.aux").is_file() and open_scene(path).overviews == (2, 4)


def test_bands_of_several_types_in_a_vrt_are_shown_together(tmp_path):
    for name, kind in (("a", np.uint8), ("b", np.uint16), ("c", np.float32)):
        write(tmp_path / f"{name}.tif", (np.arange(4096) % 200).reshape(1, 64, 64).astype(kind))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{name}.tif</SourceFilename></SimpleSource></VRTRasterBand>'
        for band, (name, kind) in enumerate([("a", "Byte"), ("b", "UInt16"), ("c", "Float32")], 1)
    )
    size = 'rasterXSize="64" rasterYSize="64"'
    (tmp_path / "m.vrt").write_text(f"<VRTDataset {size}>{bands}</VRTDataset>")
    shown = open_scene(tmp_path / "m.vrt").read_rgb()
    assert (shown == shown[..., :1]).all() and shown.max() == 255


# Too large


def test_a_huge_raster_without_overviews_is_not_gone_through_for_a_thumbnail(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", noise(512), tiled=True, blockxsize=128, blockysize=128)
    monkeypatch.setattr(raster, "LARGEST_SCAN_PX", 300 * 300)
    with pytest.raises(ImageryError, match="add overviews with `gdaladdo FILE`"):
        open_scene(path).read_rgb(size_wh=(64, 64))
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4])
    assert open_scene(path).read_rgb(size_wh=(64, 64)).shape == (64, 64, 3)


def test_a_raster_stored_in_one_enormous_piece_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", noise(512), compress="deflate", blockysize=512)
    monkeypatch.setattr(raster, "LARGEST_READ_PX", 300 * 300)
    with pytest.raises(ImageryError, match="bring it into tiles with `gdal_translate -of COG"):
        open_scene(path)


STREAM = """
import resource, sys
from swath.imagery.opening import open_scene
from swath.imagery.tiling import tiles
scene = open_scene(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
scene.read_rgb(tiles(scene.id, scene.size_wh, 1024)[0])
before = peak()
seen = 0
for tile in tiles(scene.id, scene.size_wh, 4096):
    pixels = scene.read_rgb(tile)
    seen += pixels.shape[0] * pixels.shape[1]
print(scene.read_rgb(size_wh=(448, 224)).shape, seen >= 36_000 * 18_000, peak() - before)
"""


def test_36000_by_18000_pixels_stream_without_being_held(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=36_000, height=18_000, count=1, dtype="uint8",
        tiled=True, blockxsize=512, blockysize=512, sparse_ok=True, compress="deflate",
    ) as out:  # fmt: skip
        out.write(noise(512), window=rasterio.windows.Window(1024, 1024, 512, 512))
    done = subprocess.run(
        [sys.executable, "-c", STREAM, str(path)], capture_output=True, text=True, check=True
    )
    shape, whole, grown_mb = done.stdout.rsplit(maxsplit=2)
    assert (shape, whole) == ("(224, 448, 3)", "True")
    assert int(grown_mb) < 400  # the whole, in colours, is 1,944 MB


# Images of one place


def placed(path, pixels, x=500_000, y=5_000_000, size=10, crs="EPSG:32632", **more):
    transform = rasterio.Affine(size, 0, x, 0, -size, y)
    return write(path, pixels, crs=crs, transform=transform, **more)


def test_a_later_image_is_shown_on_the_pixels_of_the_first(tmp_path):
    field = noise(100)
    before = placed(tmp_path / "a.tif", field[:, :64, :64])
    # Begins 20 pixels further east and 10 further south, and is 50 pixels wide.
    after = placed(tmp_path / "b.tif", field[:, 10:60, 20:70], 500_200, 4_999_900)
    names = coregistered([before, after])
    assert names == (before, f"{after}#grid={before}")
    one, other = (open_scene(name) for name in names)
    assert (other.size_wh, other.transform) == (one.size_wh, one.transform)
    shown = other.read_rgb()[..., 0]
    assert np.array_equal(shown[10:60, 20:64], field[0, 10:60, 20:64])
    assert (shown[:10] == 0).all() and (shown[:, :20] == 0).all()


def test_a_coarser_image_in_another_crs_is_brought_over(tmp_path):
    ramp = np.broadcast_to(np.arange(1, 201, dtype=np.uint8), (1, 200, 200))
    before = placed(tmp_path / "a.tif", ramp)
    with rasterio.open(before) as source:
        kind = {"driver": "GTiff", "count": 1, "dtype": "uint8", "width": 120, "height": 120}
        bounds = rasterio.warp.transform_bounds("EPSG:32632", "EPSG:4326", *source.bounds)
        to = rasterio.transform.from_bounds(*bounds, 120, 120)
        with rasterio.open(
            tmp_path / "b.tif", "w", crs="EPSG:4326", transform=to, **kind
        ) as target:
            rasterio.warp.reproject(
                rasterio.band(source, 1), rasterio.band(target, 1), resampling=1
            )
    _, name = coregistered([before, str(tmp_path / "b.tif")])
    shown = open_scene(name).read_rgb()[..., 0].astype(int)
    assert np.abs(shown[20:-20, 20:-20] - ramp[0, 20:-20, 20:-20].astype(int)).max() <= 2


def test_images_already_on_one_grid_and_plain_pictures_keep_their_names(tmp_path):
    one, other = placed(tmp_path / "a.tif", noise()), placed(tmp_path / "b.tif", noise(seed=1))
    assert coregistered([one, other]) == (one, other)
    plain = write(tmp_path / "c.tif", noise(32))
    assert coregistered([one, plain]) == (one, plain)
    assert coregistered([plain, one]) == (plain, one)


def test_images_of_two_places_are_no_series(tmp_path):
    one = placed(tmp_path / "a.tif", noise())
    other = placed(tmp_path / "b.tif", noise(), x=600_000)
    with pytest.raises(ImageryError, match=r"shows other ground than .*is it the same place"):
        coregistered([one, other])
    assert coregistered([one, other], apart=True) == (one, other)
    with pytest.raises(ImageryError, match="cannot be brought onto one grid"):
        open_scene(f"{one}#grid={write(tmp_path / 'c.tif', noise())}")


def test_the_real_years_of_a_lake_lie_on_one_grid(data_folder):
    folder = data_folder / "geotiffs" / "opengeos" / "naip"
    names = coregistered([str(path) for path in sorted(folder.glob("*.tif"))])
    before, after = (open_scene(name) for name in names)
    assert "#grid=" in names[1] and after.size_wh == before.size_wh == (934, 724)
    false_colour = Rendering(bands=[4, 1, 2])
    assert after.read_rgb(rendering=false_colour)[100:-100].min(axis=2).mean() > 5


def test_every_real_raster_opens_and_shows_or_says_why_not(data_folder):
    folder, failed, black, seen = data_folder / "geotiffs", {}, set(), 0
    for path in sorted([*folder.rglob("*.tif"), *folder.rglob("*.vrt"), *folder.rglob("*.jpg")]):
        scene, seen = open_scene(path), seen + 1
        assert len(scene.names) == max(scene.bands, len(scene.shown))
        width, height = scene.size_wh
        corner = Tile(scene.id, (0, 0), (min(width, 512), min(height, 512)))
        try:
            for rendering in (Rendering(), Rendering(bands=[1], stretch="percentile", gamma=1.5)):
                shown = scene.read_rgb(size_wh=(64, 48), rendering=rendering)
                assert shown.shape == (48, 64, 3)
                if shown.max() == 0:
                    black.add(path.stem)
                assert scene.read_rgb(corner, rendering=rendering).dtype == np.uint8
        except ImageryError as error:
            failed[path.name] = str(error)
    assert seen == 54
    # Nothing was observed in two; the others hold one value, which has no contrast.
    assert black == {"all-nodata", "inverted_lat", "RGBA.uint16", "shade", "cog_world"}
    assert list(failed) == ["corrupt.tif"] and "was it copied whole" in failed["corrupt.tif"]
