"""Catalogues of real GeoTIFFs, static and behind an API, all on loopback."""

import json

import numpy as np
import pytest
import rasterio
import shapely

from swath.errors import ImageryError, RequestError
from swath.imagery.catalog import clip, place_of, search
from swath.imagery.opening import open_scene
from swath.imagery.raster import allow
from tests.imagery.serving import served

pytest.importorskip("pystac_client", reason="needs pystac-client: pip install 'swath[stac]'")

SCENES = {"may": ("2024-05-03T10:00:00Z", 5.0), "june": ("2024-06-07T10:00:00Z", 60.0)}


def write_scene(path, level):
    """A 100 x 50 px raster of 10 m from (500 000, 5 000 000) on in UTM zone 32."""
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=50, count=2, dtype="uint16", nodata=0,
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as raster:  # fmt: skip
        raster.write(np.arange(2 * 50 * 100, dtype=np.uint16).reshape(2, 50, 100) + level)
        raster.descriptions = ("B04", "B08")


def item(name, root, **more):
    taken, clouds = SCENES[name]
    shape = json.loads(shapely.to_geojson(open_scene(root / f"{name}.tif").footprint))
    raster = {"href": f"./{name}.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": shape,
        "bbox": list(shapely.from_geojson(json.dumps(shape)).bounds), "collection": "s2",
        "properties": {"datetime": taken, "eo:cloud_cover": clouds},
        "assets": {"data": raster, "look": {"href": "./look.jpg", "type": "image/jpeg"}},
        "links": [], **more,
    }  # fmt: skip


@pytest.fixture
def catalogue(tmp_path):
    """Folder of a static catalogue with two scenes, a month apart."""
    links = [
        {"rel": "item", "href": f"./{name}.json", "type": "application/json"} for name in SCENES
    ]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "two scenes"}
    for number, name in enumerate(SCENES):
        write_scene(tmp_path / f"{name}.tif", 1 + 100 * number)
        (tmp_path / f"{name}.json").write_text(json.dumps(item(name, tmp_path)))
    (tmp_path / "catalog.json").write_text(json.dumps(root | {"links": links}))
    return tmp_path


def ids(found):
    return [one.id for one in found]


def test_scenes_are_found_by_place_dates_and_clouds(catalogue):
    path = str(catalogue / "catalog.json")
    here, elsewhere = shapely.Point(9.005, 45.15).buffer(0.001), shapely.box(10, 45, 11, 46)
    assert ids(search(path)) == ["may", "june"]
    assert ids(search(path, aoi=here)) == ["may", "june"]
    assert ids(search(path, aoi=elsewhere)) == []
    assert ids(search(path, dates="2024-05-01/2024-05-31")) == ["may"]
    assert ids(search(path, dates="2024-06")) == ["june"]
    assert ids(search(path, dates="2024-05-03")) == ["may"]
    assert ids(search(path, dates="../2024-05-31")) == ["may"]
    assert ids(search(path, dates="2024-05-04/..")) == ["june"]
    assert ids(search(path, clouds=20)) == ["may"]
    assert ids(search(path, limit=1)) == ["may"]
    with pytest.raises(RequestError, match=r"no scene there has the assets B99; some have data"):
        search(path, assets=["B99"])
    assert ids(search(path, collections=["s2"])) == ["may", "june"]
    assert ids(search(path, collections=["landsat"])) == []
    (catalogue / "june.json").unlink()
    assert ids(search(path, limit=1)) == ["may"]  # nothing beyond the limit is fetched


def test_an_asset_is_a_scene_and_pictures_for_looking_are_left_out(catalogue):
    (may, _) = search(str(catalogue / "catalog.json"))
    assert set(may.assets) == {"data"}
    scene = may.scene("data")
    assert (scene.size_wh, scene.crs, round(scene.gsd_m, 1)) == ((100, 50), "EPSG:32632", 10.0)


def test_a_static_catalogue_behind_an_address_is_read_in_pieces(catalogue):
    with served(catalogue) as server:
        (may, _) = search(f"{server.url}/catalog.json")
        assert may.assets["data"] == f"{server.url}/may.tif"
        assert may.scene("data").read_rgb().shape == (50, 100, 3)


def test_an_api_is_asked_for_place_and_dates(catalogue):
    with served(catalogue) as server:
        api = {
            "type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "an API",
            "conformsTo": ["https://api.stacspec.org/v1.0.0/core",
                           "https://api.stacspec.org/v1.0.0/item-search"],
            "links": [{"rel": "search", "href": f"{server.url}/search", "method": "POST",
                       "type": "application/geo+json"},
                      {"rel": "self", "href": f"{server.url}/api.json"}],
        }  # fmt: skip
        (catalogue / "api.json").write_text(json.dumps(api))
        found = []
        for name in SCENES:
            row = item(name, catalogue)
            row["assets"]["data"]["href"] = f"{server.url}/{name}.tif"
            found.append(row)
        found[1]["assets"]["data"]["href"] = "/etc/hostname"
        server.posted = {"/search": {"type": "FeatureCollection", "features": found, "links": []}}
        place = shapely.box(9, 45.1, 9.1, 45.2)
        # The second one names a file of this machine, so nothing of it is left.
        assert ids(search(f"{server.url}/api.json", place, "2024")) == ["may"]
        asked = json.loads(server.bodies[0])
    assert asked["intersects"]["type"] == "Polygon"
    assert asked["datetime"].startswith("2024-01-01")


def test_a_clip_keeps_values_bands_and_place(catalogue):
    (may, _) = search(str(catalogue / "catalog.json"))
    scene = may.scene("data")
    # From the 20th to the 40th column and the 10th to the 15th row.
    corners = scene.georeference.to_lonlat([(20.3, 10.3), (39.7, 10.3), (39.7, 14.7), (20.3, 14.7)])
    path = clip(scene, shapely.Polygon(corners), catalogue / "out" / "may.tif")
    part = open_scene(path)
    assert part.size_wh == (20, 5)
    assert part.names[0][0] == "B04"
    assert part.transform[2] == 500_200 and part.transform[5] == 4_999_900
    with rasterio.open(path) as new, rasterio.open(catalogue / "may.tif") as old:
        assert np.array_equal(new.read(), old.read()[:, 10:15, 20:40])
        assert new.nodata == 0


def test_a_clip_of_other_ground_is_refused(catalogue):
    with pytest.raises(ImageryError, match="shows other ground than the AOI"):
        clip(open_scene(catalogue / "may.tif"), shapely.box(1, 1, 2, 2), catalogue / "no.tif")
    assert not (catalogue / "no.tif").exists()


def test_a_catalogue_that_does_not_answer_is_told_in_one_short_line():
    with pytest.raises(ImageryError) as told:
        search("http://127.0.0.1:9/stac")
    assert str(told.value) == (
        "http://127.0.0.1:9/stac: cannot be read (nothing answers there); "
        "is it a STAC API or catalog.json?"
    )


def test_what_is_no_catalogue_or_no_date_is_named(catalogue):
    (catalogue / "bad.json").write_text("{}")
    for name in ("bad.json", "absent.json"):
        with pytest.raises(ImageryError, match=r"is it a STAC API or catalog.json"):
            search(str(catalogue / name))
    with pytest.raises(RequestError, match="expected a day, month or year"):
        search(str(catalogue / "catalog.json"), dates="last May")


def test_an_aoi_is_four_degrees_or_a_geojson_file(tmp_path):
    assert place_of("1,2,3,4").bounds == (1, 2, 3, 4)
    across = place_of("170,-5,-170,5")  # twenty degrees about the date line
    assert across.area == 200
    assert across.contains(shapely.Point(179, 0))
    assert not across.contains(shapely.Point(0, 0))
    feature = {"type": "Feature", "properties": {}, "geometry": json.loads(
        shapely.to_geojson(shapely.box(5, 6, 7, 8)))}  # fmt: skip
    path = tmp_path / "aoi.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert place_of(str(path)).bounds == (5, 6, 7, 8)
    metres = tmp_path / "metres.geojson"
    metres.write_text(shapely.to_geojson(shapely.box(5e5, 5e6, 6e5, 6e6)))
    for wrong in ("1,2,3", "1,4,3,2", "200,0,210,1", "here", str(metres)):
        with pytest.raises(RequestError, match="expected a GeoJSON file or west,south,east,north"):
            place_of(wrong)


def test_an_address_may_be_read_once_it_was_allowed(catalogue):
    with served(catalogue) as server:
        address = f"{server.url}/may.tif"
        with pytest.raises(ImageryError, match="reads only those named on its command line"):
            open_scene(address)
        assert not server.asked
        assert open_scene(allow(address)).id == "may"


def test_real_scenes_of_several_years_are_found_by_date(data_folder, tmp_path):
    folder = data_folder / "geotiffs" / "opengeos" / "landsat"
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "landsat", "description": "Pucallpa"}
    links = []
    for path in sorted(folder.glob("*.tif")):
        shape = json.loads(shapely.to_geojson(open_scene(path).footprint))
        row = {
            "type": "Feature", "stac_version": "1.0.0", "id": path.stem, "geometry": shape,
            "bbox": [-75, -9, -74, -8], "properties": {"datetime": f"{path.stem}-07-01T00:00:00Z"},
            "assets": {"rgb": {"href": str(path), "type": "image/tiff"}}, "links": [],
        }  # fmt: skip
        (tmp_path / f"{path.stem}.json").write_text(json.dumps(row))
        links.append({"rel": "item", "href": f"./{path.stem}.json"})
    (tmp_path / "catalog.json").write_text(json.dumps(root | {"links": links}))
    river = shapely.box(-74.5, -8.5, -74.4, -8.4)
    found = search(str(tmp_path / "catalog.json"), river, "1990/2010")
    assert ids(found) == ["1995", "2005"]
    cut = open_scene(clip(found[0].scene("rgb"), river, tmp_path / "cut.tif"))
    assert cut.bands == 4 and cut.footprint.covers(river.buffer(-1e-6))
