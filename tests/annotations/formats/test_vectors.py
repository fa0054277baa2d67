import json
import math
import sqlite3
from contextlib import closing

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin

from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError
from tests.imagery.serving import served


def raster(path, crs="EPSG:32633", origin=(500_000, 5_000_000), step=2.0, size_wh=(100, 80)):
    """A grey raster whose upper left corner lies at `origin`, pixels `step` CRS units wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=size_wh[0], height=size_wh[1], count=1, dtype="uint8",
        crs=crs, transform=from_origin(*origin, step, step),
    ) as file:  # fmt: skip
        file.write(np.full((1, size_wh[1], size_wh[0]), 90, dtype=np.uint8))
    return path


def ground(corners_px, origin=(500_000, 5_000_000), step=2.0):
    """Ground of pixels in the raster above."""
    return [[origin[0] + x * step, origin[1] - y * step] for x, y in corners_px]


SHIP = [(10, 20), (30, 20), (30, 30), (10, 30)]


def geojson(folder, name, *features, crs="EPSG:32633"):
    rows = [
        {"type": "Feature", "properties": about, "geometry": {"type": kind, "coordinates": place}}
        for kind, place, about in features
    ]
    code = crs.replace("EPSG:", "urn:ogc:def:crs:EPSG::")
    content = {"type": "FeatureCollection", "features": rows}
    if crs != "EPSG:4326":
        content["crs"] = {"type": "name", "properties": {"name": code}}
    return folder.json(name, content)


def polygon(corners):
    return [[*corners, corners[0]]]


def test_features_lie_in_pixels_of_the_raster(folder):
    raster(folder.path / "scene.tif")
    geojson(folder, "any.geojson", ("Polygon", polygon(ground(SHIP)), {"class": "ship"}))
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "vectors"
    assert image.boxes.hbb.round(6).tolist() == [[10, 20, 30, 30]]
    assert (image.names, image.size_wh) == (("ship",), (100, 80))


def test_features_in_degrees_are_brought_into_the_rasters_crs(folder):
    raster(folder.path / "scene.tif")
    way = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    corners = [list(way.transform(x, y)) for x, y in ground(SHIP)]
    geojson(folder, "a.geojson", ("Polygon", polygon(corners), {"label": "ship"}), crs="EPSG:4326")
    (image,) = read(folder.path)
    assert image.boxes.hbb.tolist() == [pytest.approx([10, 20, 30, 30], abs=1e-3)]


def test_a_turned_building_keeps_its_angle(folder):
    raster(folder.path / "scene.tif")
    diamond = [(40, 20), (50, 30), (40, 40), (30, 30)]
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(diamond)), {"building": "yes"}))
    (image,) = read(folder.path)
    assert image.boxes.areas.round(3).tolist() == [200]
    assert image.names == ("building",)


def test_parts_are_objects_and_points_are_said(folder):
    raster(folder.path / "scene.tif")
    other = [(x + 40, y) for x, y in SHIP]
    parts = [polygon(ground(SHIP)), polygon(ground(other))]
    geojson(folder, "a.geojson", ("MultiPolygon", parts, {"class": "ship"}),
            ("Point", ground([(1, 1)])[0], {"class": "buoy"}))  # fmt: skip
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert image.names == ("ship", "ship")
    assert [one.what for one in found] == ["1 features are points, lines or nothing"]


def test_features_of_a_file_of_the_rasters_name_are_that_rasters(folder):
    for name in ("one", "two"):
        raster(folder.path / f"{name}.tif")
        geojson(folder, f"{name}.geojson", ("Polygon", polygon(ground(SHIP)), {"class": name}))
    assert {image.id: image.names for image in read(folder.path)} == {
        "one": ("one",), "two": ("two",),
    }  # fmt: skip


def test_features_go_to_the_raster_they_lie_in_and_the_others_are_counted(folder):
    raster(folder.path / "west.tif")
    raster(folder.path / "east.tif", origin=(500_200, 5_000_000))
    boxes = [[(x + dx, y) for x, y in SHIP] for dx in (0, 100, 4_000)]
    geojson(folder, "all.geojson",
            *(("Polygon", polygon(ground(box)), {"class": "ship"}) for box in boxes))  # fmt: skip
    reading = read_sound(folder.path)
    found = reading.findings
    images = {image.id: image for image in reading.images}
    assert [len(images[name].boxes) for name in ("west", "east")] == [1, 1]
    assert images["east"].boxes.hbb.round(6).tolist() == [[10, 20, 30, 30]]
    assert [one.what for one in found] == ["1 features lie in no raster"]


def test_layers_of_a_geopackage_are_classes(folder):
    raster(folder.path / "scene.tif")
    shape = shapely.to_wkb(shapely.Polygon(ground(SHIP)))
    for layer in ("ships", "planes"):
        pyogrio.raw.write(folder.path / "a.gpkg", np.array([shape], dtype=object), [], [],
                          geometry_type="Polygon", crs="EPSG:32633", layer=layer,
                          append=(folder.path / "a.gpkg").exists())  # fmt: skip
    assert sorted(read(folder.path)[0].names) == ["planes", "ships"]


def test_features_that_lie_elsewhere_or_nowhere_are_refused(folder):
    raster(folder.path / "scene.tif")
    away = [(x + 4_000, y) for x, y in SHIP]
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(away)), {}))
    with pytest.raises(AnnotationError, match=r"none of 1 features lies in scene.tif; is its CRS"):
        read(folder.path)
    geojson(folder, "a.geojson", ("Point", [1, 2], {}))
    with pytest.raises(AnnotationError, match="holds no polygons"):
        read(folder.path)
    folder.text("a.geojson", json.dumps({"type": "FeatureCollection"})[:20])
    with pytest.raises(AnnotationError, match=r"a.geojson: cannot be read"):
        read(folder.path)
    (folder.path / "scene.tif").unlink()
    with pytest.raises(AnnotationError, match="no raster with a CRS"):
        read(folder.path)


def test_real_buildings_lie_over_their_raster(data_folder):
    (image,) = read(data_folder / "geotiffs" / "solaris")
    assert (image.id, set(image.names), len(image.boxes)) == ("sample_geotiff", {"building"}, 43)
    file = data_folder / "geotiffs" / "solaris" / "geotiff_labels.geojson"
    with rasterio.open(image.path) as scene:
        corners = json.loads(file.read_text())["features"][0]["geometry"]["coordinates"]
        points = np.asarray(corners[0] if np.ndim(corners) == 3 else corners[0][0])[:, :2]
        placed = np.array([~scene.transform * tuple(point) for point in points])
    assert image.boxes.hbb[0][:2] == pytest.approx(placed.min(axis=0), abs=8)


def test_features_lie_in_pixels_of_a_raster_of_control_points(folder):
    path = raster(folder.path / "scene.tif")
    with rasterio.open(path, "r+") as file:
        spots = [(0, 0), (0, 80), (100, 0), (100, 80), (40, 30)]
        points = [
            GroundControlPoint(row=y, col=x, x=place[0], y=place[1])
            for (x, y), place in zip(spots, ground(spots), strict=True)
        ]
        file.transform = rasterio.Affine.identity()
        file.gcps = (points, rasterio.CRS.from_epsg(32633))
    geojson(folder, "any.geojson", ("Polygon", polygon(ground(SHIP)), {"class": "ship"}))
    (image,) = read(folder.path)
    assert image.boxes.hbb.round(4).tolist() == [[10, 20, 30, 30]]


def test_degrees_of_a_geojson_over_mars_are_those_of_mars(folder):
    mars = "+proj=longlat +a=3396190 +b=3376200 +no_defs"
    raster(folder.path / "scene.tif", mars, (10, 5), 0.01)
    place = polygon(ground(SHIP, (10, 5), 0.01))
    geojson(folder, "any.geojson", ("Polygon", place, {"class": "dune"}), crs="EPSG:4326")
    (image,) = read(folder.path)
    assert image.boxes.hbb.round(4).tolist() == [[10, 20, 30, 30]]


@pytest.mark.parametrize("longitude", [-171, -81, 99, 150, 179.9])
def test_features_of_the_whole_world_beside_a_rasters_are_counted(folder, longitude):
    """Transverse Mercator ends a quarter of the Earth away: what lies there has no pixels."""
    raster(folder.path / "a.tif")
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    near = [to_degrees.transform(*point) for point in ground(SHIP)]
    far = [(longitude, 45), (longitude + 0.1, 45), (longitude + 0.1, 45.1)]
    rows = [("Polygon", polygon(corners), {"class": "ship"}) for corners in (far, near)]
    geojson(folder, "a.geojson", *rows, crs="EPSG:4326")
    reading = read_sound(folder.path)
    assert len(reading.images[0].boxes) == 1
    (outside,) = [finding for finding in reading.findings if finding.kind == "feature outside"]
    assert outside.count == 1


NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.mark.parametrize(
    "statements",
    [
        f"ALTER TABLE a RENAME TO b; CREATE VIEW a AS SELECT * FROM b WHERE ({NUMBERS} "
        "SELECT count(*) FROM n) > 0",
        f"ALTER TABLE gpkg_contents RENAME TO c; CREATE VIEW gpkg_contents AS {NUMBERS} "
        "SELECT c.* FROM c, n",
        "ALTER TABLE a ADD COLUMN more TEXT AS (hex(zeroblob(400000000)))",
    ],
)
def test_layers_that_are_computed_while_they_are_read_are_refused(folder, statements):
    raster(folder.path / "a.tif")
    file = folder.path / "a.gpkg"
    shapes = shapely.to_wkb(np.array([shapely.Polygon(ground([(1, 1), (9, 1), (9, 9)]))]))
    classes = [np.array(["ship"], dtype=object)]
    pyogrio.raw.write(
        file, shapes, classes, ["class"], geometry_type="Polygon", crs="EPSG:32633", driver="GPKG"
    )
    assert read(folder.path)[0].names == ("ship",)
    with closing(sqlite3.connect(file)) as base:
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            base.create_function(name, 1, lambda shape: 0)
        base.executescript(statements)
    with pytest.raises(AnnotationError, match="is computed while it is read"):
        read(folder.path)
    file.write_bytes(b"SQLite format 3\0" + b"x" * 2000)
    with pytest.raises(AnnotationError, match="cannot be read as a GeoPackage"):
        read(folder.path)


def test_a_hole_does_not_change_the_box_and_lines_and_nothing_are_counted(folder):
    raster(folder.path / "scene.tif")
    hole = ground([(12, 22), (14, 22), (14, 24), (12, 24)])
    place = [*polygon(ground(SHIP)), *polygon(hole)]
    geojson(
        folder, "any.geojson",
        ("Polygon", place, {"class": "ship"}), ("LineString", ground(SHIP), {"class": "road"}),
    )  # fmt: skip
    reading = read_sound(folder.path)
    found = reading.findings
    (image,) = reading.images
    assert image.boxes.hbb.round(4).tolist() == [[10, 20, 30, 30]]
    assert [one.what for one in found] == ["1 features are points, lines or nothing"]


def linked(kind, url):
    return {"type": kind, "properties": {"href": url, "url": url, "name": url}}


OGR_VRT = """<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{url}/a.geojson</SrcDataSource>
</OGRVRTLayer></OGRVRTDataSource>"""
WFS = "<OGRWFSDataSource><URL>{url}/wfs</URL></OGRWFSDataSource>"


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
@pytest.mark.parametrize("text", [OGR_VRT, WFS, "{url}/a.geojson", "/vsicurl/{url}/a.geojson"])
def test_text_that_names_an_address_has_nothing_fetched(folder, text, suffix):
    raster(folder.path / "scene.tif")
    geojson(folder, "served/a.geojson", ("Polygon", polygon(ground(SHIP)), {"class": "ship"}))
    with served(folder.path / "served") as server:
        features = folder.path / f"a{suffix}"
        features.write_text(text.format(url=server.url))
        with pytest.raises(AnnotationError, match="cannot be read"):
            read(features)
        assert not server.asked


@pytest.mark.parametrize("kind", ["link", "URL", "link+", "l\\u0069nk", "\\u0075rl"])
@pytest.mark.parametrize("key", ["crs", "CRS", "c\\u0072s"])
def test_a_crs_that_is_an_address_is_refused_and_not_fetched(folder, key, kind):
    raster(folder.path / "scene.tif")
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(SHIP)), {"class": "ship"}))
    features = folder.path / "a.geojson"
    with served(folder.path) as server:
        text = json.dumps(json.loads(features.read_text()) | {"crs": linked("KIND", server.url)})
        text = text.replace('"crs"', f'"{key}"').replace("KIND", kind)
        for start in ("", "\ufeff"):
            features.write_text(start + text)
            with pytest.raises(AnnotationError, match="its CRS is an address"):
                read(folder.path)
        assert not server.asked


def test_fields_that_hold_addresses_are_read(folder):
    raster(folder.path / "scene.tif")
    about = {"class": "ship", "url": "http://a", "type": "link", "name": "caf\xe9 A"}
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(SHIP)), about))
    (image,) = read(folder.path)
    assert image.names == ("ship",)


def test_an_empty_file_is_named(folder):
    raster(folder.path / "scene.tif")
    (folder.path / "a.geojson").touch()
    with pytest.raises(AnnotationError, match=r"a\.geojson: cannot be read"):
        read(folder.path)


def test_a_geojson_in_metres_or_in_a_national_encoding_says_so_in_a_line(folder):
    raster(folder.path / "scene.tif")
    square = polygon([(500010, 4999980), (500040, 4999980), (500040, 4999970), (500010, 4999970)])
    geojson(folder, "a.geojson", ("Polygon", square, {"class": "field"}), crs="EPSG:4326")
    with pytest.raises(AnnotationError, match=r"means degrees, but its coordinates reach 4999980"):
        read(folder.path)
    text = (folder.path / "a.geojson").read_text().replace("field", "for\xeat")
    (folder.path / "a.geojson").write_bytes(text.encode("latin-1"))
    with pytest.raises(AnnotationError, match=r"a.geojson: cannot be read .*UTF-8"):
        read(folder.path)


def test_the_class_is_in_the_one_property_of_words_or_in_that_the_recipe_names(folder):
    raster(folder.path / "scene.tif")
    about = {"landuse": "farm", "owner": 7}
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(SHIP)), about))
    reading = read_sound(folder.path)
    assert reading.images[0].names == ("farm",)
    assert [(one.kind, one.effect) for one in reading.findings] == [
        ("class field", "'landuse' is taken")
    ]
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(SHIP)), about | {"crop": "rye"}))
    reading = read_sound(folder.path)
    assert reading.images[0].names == ("object",)
    assert reading.findings[0].what.endswith("there are landuse, owner, crop")
    named = read_sound(folder.path, class_field="Crop")
    assert (named.images[0].names, named.findings) == (("rye",), [])
    with pytest.raises(AnnotationError, match=r"no property 'kind' \(annotations.class_field\)"):
        read_sound(folder.path, class_field="kind")


@pytest.mark.parametrize("rings", [[], [[[15.0, 45.0]]], [[]]])
def test_an_empty_or_broken_outline_beside_a_sound_one_is_counted(folder, rings):
    raster(folder.path / "scene.tif")
    geojson(folder, "a.geojson", ("Polygon", polygon(ground(SHIP)), {"class": "ship"}))
    content = json.loads((folder.path / "a.geojson").read_text())
    shape = {"type": "Polygon", "coordinates": rings}
    content["features"].append({"type": "Feature", "properties": {"class": "x"}, "geometry": shape})
    folder.json("a.geojson", content)
    reading = read_sound(folder.path)
    assert reading.images[0].names == ("ship",)
    assert [(one.kind, one.count) for one in reading.findings] == [("no area", 1)]


def test_an_outline_with_a_corner_that_is_no_number_lies_in_no_raster(folder):
    raster(folder.path / "scene.tif")
    beyond = [[14.99, 45.15], [math.nan, 45.15], [15.0, 45.16], [14.99, 45.15]]
    shapes = [
        ("Polygon", polygon(ground(SHIP)), {"class": "ship"}),
        ("Polygon", [beyond], {"class": "x"}),
    ]
    geojson(folder, "a.geojson", *shapes)
    reading = read_sound(folder.path)
    assert reading.images[0].names == ("ship",)
    assert [(one.kind, one.count) for one in reading.findings] == [("feature outside", 1)]


def test_words_of_a_shapefile_are_utf8_or_as_it_says(folder):
    raster(folder.path / "scene.tif")
    shape = np.array([shapely.to_wkb(shapely.Polygon(ground(SHIP)))], dtype=object)
    names = [np.array(["\u6c34\u7530"], dtype=object)]
    pyogrio.raw.write(folder.path / "a.shp", shape, names, ["class"], geometry_type="Polygon",
                      crs="EPSG:32633", encoding="GBK")  # fmt: skip
    assert read(folder.path)[0].names == ("\u6c34\u7530",)
    (folder.path / "a.cpg").unlink()
    table = folder.path / "a.dbf"
    table.write_bytes(table.read_bytes()[:29] + b"\0" + table.read_bytes()[30:])
    with pytest.raises(AnnotationError, match=r"not UTF-8; .*encoding of a Shapefile in a .cpg"):
        read(folder.path)
