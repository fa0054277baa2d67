"""Pixels to the ground and back, by every way a file may say it."""

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from swath.errors import ImageryError
from swath.imagery.georeference import Georeference
from swath.imagery.opening import open_scene
from swath.imagery.tiling import Tile
from swath.imagery.windows import tile_path

UTM = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


def place(crs, transform, size_wh=(100, 50), **more):
    return Georeference("a.tif", size_wh, crs, transform, **more)


def test_the_upper_left_corner_is_where_the_transform_says():
    ground = place("EPSG:32632", UTM).to_ground([(0, 0), (100, 50), (0.5, 0.5)])
    assert ground.tolist() == [[500_000, 5_000_000], [501_000, 4_999_500], [500_005, 4_999_995]]


TURNED = rasterio.Affine(3, 4, 500_000, 4, -3, 5_000_000)
SOUTH_UP = rasterio.Affine(10, 0, 500_000, 0, 10, 4_999_000)


@pytest.mark.parametrize("transform", [UTM, TURNED, SOUTH_UP])
def test_pixels_come_back_from_ground_and_from_degrees(transform):
    where = place("EPSG:32632", transform)
    points = np.random.default_rng(0).uniform((0, 0), (100, 50), (20, 2))
    assert np.abs(where.to_pixels(where.to_ground(points)) - points).max() < 1e-6
    assert np.abs(where.from_lonlat(where.to_lonlat(points)) - points).max() < 1e-6


def test_the_central_meridian_of_a_zone_is_known():
    ((lon, _),) = place("EPSG:32632", UTM).to_lonlat([(0, 0)])
    assert lon == pytest.approx(9)


def test_control_points_are_met_and_the_way_back_is_found():
    # The ground turns and bends: no affine transform meets these five.
    known = [(0, 0, 9.0, 45.0), (99, 0, 9.1, 45.01), (0, 49, 9.01, 44.9), (99, 49, 9.12, 44.92),
             (50, 25, 9.06, 44.95)]  # fmt: skip
    points = tuple(GroundControlPoint(row=y, col=x, x=e, y=n) for x, y, e, n in known)
    where = place("EPSG:4326", None, gcps=points)
    ground = where.to_ground([(x, y) for x, y, _, _ in known])
    assert np.abs(ground - [(e, n) for _, _, e, n in known]).max() < 1e-9
    assert np.abs(where.to_pixels(ground)[4] - (50, 25)).max() < 0.5
    moved = where.part((50, 25), (10, 10))
    assert np.abs(moved.to_ground([(0, 0)]) - (9.06, 44.95)).max() < 1e-9
    assert np.abs(moved.to_pixels([(9.06, 44.95)])).max() < 0.5


@pytest.mark.parametrize(("crs", "transform", "gsd_m"), [
    ("EPSG:32632", UTM, 10.0),  # the scale of UTM's middle is 0.9996
    ("EPSG:4326", rasterio.Affine(0.001, 0, 9, 0, -0.001, 60.025), 78.9),  # 111.4 m by 55.8 m
    ("EPSG:3857", rasterio.Affine(10, 0, 0, 0, -10, 8_399_738), 5.0),  # half of it at 60 degrees
    ("EPSG:2263", rasterio.Affine(10, 0, 980_000, 0, -10, 200_000), 3.048),  # feet
])  # fmt: skip
def test_gsd_is_metres_along_the_ground_whatever_the_units(crs, transform, gsd_m):
    assert place(crs, transform).gsd_m == pytest.approx(gsd_m, rel=0.005)


def test_a_footprint_over_the_date_line_is_cut_in_two():
    shape = place("EPSG:4326", rasterio.Affine(0.1, 0, 175, 0, -0.1, 10)).footprint
    assert sorted(part.bounds for part in shape.geoms) == [(-180, 5, -175, 10), (175, 5, 180, 10)]


def test_a_footprint_round_a_pole_holds_it():
    transform = rasterio.Affine(20_000, 0, -1_000_000, 0, -40_000, 1_000_000)
    shape = place("EPSG:3413", transform).footprint
    west, south, east, north = shape.bounds
    assert (round(west), round(east), north) == (-180, 180, 90)
    assert 76 < south < 78.5  # 1,414 km from the pole at the corners


def test_the_whole_world_is_one_rectangle():
    shape = place("EPSG:4326", rasterio.Affine(3.6, 0, -180, 0, -3.6, 90)).footprint
    assert shape.bounds == (-180, -90, 180, 90) and shape.area == pytest.approx(360 * 180)


def test_a_scene_without_crs_has_no_place_on_earth():
    where = place(None, UTM)
    assert (where.gsd_m, where.footprint, where.on_earth) == (None, None, False)
    assert where.to_ground([(1, 0)]).tolist() == [[500_010, 5_000_000]]
    with pytest.raises(ImageryError, match="says no CRS, so its place on Earth is unknown; give"):
        where.to_lonlat([(0, 0)])


def written(path, driver="GTiff", **profile):
    with rasterio.open(
        path, "w", driver=driver, width=40, height=20, count=1, dtype="uint8", **profile
    ) as out:
        out.write(np.full((1, 20, 40), 9, np.uint8))
    return open_scene(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_leads_to_no_place_says_none(tmp_path):
    """A CRS alone, a transform that flattens the picture, control points on one line."""
    line = [GroundControlPoint(row=n, col=2 * n, x=9 + n, y=45 - n) for n in range(4)]
    flat = rasterio.Affine(1, 2, 0, 2, 4, 0)
    for number, profile in enumerate(({}, {"transform": flat}, {"gcps": line}, {"gcps": line[:1]})):
        scene = written(tmp_path / f"{number}.tif", crs="EPSG:4326", **profile)
        assert scene.georeference is None and scene.read_rgb().max() == 9


@pytest.mark.parametrize(("driver", "name", "world"), [
    ("PNG", "a.png", "a.pgw"), ("JPEG", "a.jpg", "a.jgw"), ("PNG", "b.png", None),
])  # fmt: skip
def test_a_picture_lies_where_the_file_beside_it_says(tmp_path, driver, name, world):
    scene = written(tmp_path / name, driver, crs="EPSG:32632", transform=UTM)
    if world:  # the centre of the first pixel; no CRS
        (tmp_path / f"{name}.aux.xml").unlink()
        assert open_scene(tmp_path / name).georeference is None
        (tmp_path / world).write_text("10\n0\n0\n-10\n500005\n4999995\n")
        scene = open_scene(tmp_path / name)
    assert scene.georeference.to_ground([(0, 0)]).tolist() == [[500_000, 5_000_000]]
    assert scene.crs == (None if world else "EPSG:32632") and scene.read_rgb().max() == 9


def test_mars_has_degrees_of_its_own():
    mars = "+proj=eqc +a=3396190 +b=3376200 +units=m +no_defs"
    where = place(mars, rasterio.Affine(100, 0, 0, 0, -100, 0))
    assert not where.on_earth
    assert where.gsd_m == pytest.approx(100, rel=0.02)
    assert np.abs(where.from_lonlat(where.to_lonlat([(7, 8)])) - (7, 8)).max() < 1e-6


def test_a_tile_lies_where_its_part_of_the_scene_does(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=100, height=50, count=1, dtype="uint8",
        crs="EPSG:32632", transform=UTM,
    ):  # fmt: skip
        pass
    tile = open_scene(tile_path(str(tmp_path / "a.tif"), Tile("a", (20, 10), (30, 30))))
    assert tile.georeference.to_ground([(0, 0)]).tolist() == [[500_200, 4_999_900]]
    assert open_scene(tmp_path / "a.tif").footprint.covers(tile.footprint)


def test_every_real_raster_leads_to_the_ground_and_back(data_folder):
    folder, seen = data_folder / "geotiffs", set()
    for path in sorted([*folder.rglob("*.tif"), *folder.rglob("*.vrt")]):
        scene = open_scene(path)
        if scene.georeference is None:
            seen.add("nowhere")
            continue
        points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * scene.size_wh
        where = scene.georeference
        assert np.abs(where.to_pixels(where.to_ground(points)) - points).max() < 0.01, path.name
        if scene.crs is None:
            seen.add("no CRS")
            continue
        assert 0.1 < scene.gsd_m < 100_000, path.name
        assert scene.footprint.is_valid and scene.footprint.area > 0, path.name
        west, south, east, north = scene.footprint.bounds
        assert -180 <= west < east <= 180 and -90 <= south < north <= 90, path.name
        kinds = {where.gcps != (): "points", where.rpcs is not None: "polynomials"}
        seen |= {kinds.get(True, "transform"), "Earth" if where.on_earth else "elsewhere"}
    assert seen == {"nowhere", "no CRS", "points", "polynomials", "transform", "Earth", "elsewhere"}


def test_known_places_of_real_rasters(data_folder):
    def scene(name):
        return open_scene(data_folder / "geotiffs" / name)

    assert [round(v) for v in scene("rio-tiler/cog_gcps.tif").footprint.bounds] == [76, 9, 78, 11]
    parts = scene("rio-tiler/cog_dateline.tif").footprint.geoms
    assert len(parts) == 2 and max(part.bounds[2] - part.bounds[0] for part in parts) < 4
    # Both say where the same picture lies, one by points, one by polynomials.
    points, polynomials = (scene(f"rasterio/RGB.byte.{kind}.vrt") for kind in ("gcp", "rpc"))
    shared = points.footprint.intersection(polynomials.footprint).area
    assert shared > 0.9 * points.footprint.area
    assert scene("rio-tiler/cog_hirise_mars.tif").georeference.on_earth is False


def test_a_planet_without_a_size_is_refused():
    place = Georeference("a.tif", (8, 8), crs="+proj=longlat +a=1e-320 +b=1e-320")
    with pytest.raises(ImageryError, match=r"a.tif: its CRS is of a planet without a size"):
        _ = place.gsd_m


def test_damaged_headers_of_real_rasters_give_scenes_or_errors_of_ours(data_folder, tmp_path):
    chance = np.random.default_rng(5)
    folder = data_folder / "geotiffs" / "rasterio"
    files = [file for file in sorted(folder.glob("*.tif")) if file.stat().st_size < 300_000]
    refused = 0
    for turn in range(150):
        file = files[turn % len(files)]
        damaged = bytearray(file.read_bytes())
        for place in chance.integers(0, min(len(damaged), 1500), 8):
            damaged[place] = chance.integers(256)
        (tmp_path / "a.tif").write_bytes(damaged)
        try:
            scene = open_scene(tmp_path / "a.tif")
            assert scene.footprint is None or scene.gsd_m is None or scene.gsd_m > 0
        except ImageryError:
            refused += 1
    assert 0 < refused < 150
