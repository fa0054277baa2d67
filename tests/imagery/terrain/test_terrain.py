import numpy as np
import rasterio
from affine import Affine

from swath.annotations.prepare import gather
from swath.boxes import Boxes
from swath.imagery.opening import open_scene
from swath.imagery.terrain.geotiff import draw_places, write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.imagery.tiling import Tile
from swath.recipe import Annotations


def test_a_window_drawn_alone_is_what_the_whole_shows_there():
    place = lay_out((300, 200), seed=3)
    whole = place.pixels(Tile("", (0, 0), (300, 200)))
    part = place.pixels(Tile("", (130, 50), (96, 96)))
    assert np.array_equal(part, whole[50:146, 130:226])


def test_half_of_the_objects_lie_where_tiles_end_and_none_touches_another():
    place = lay_out((1000, 1000), seed=1, borders_xy=([250, 500, 750], [500]))
    hbb = place.boxes.hbb
    across_x = [((hbb[:, 0] < x) & (hbb[:, 2] > x)) for x in (250, 500, 750)]
    across_y = (hbb[:, 1] < 500) & (hbb[:, 3] > 500)
    assert 0.4 < np.any([*across_x, across_y], axis=0).mean() < 0.8
    middles = place.boxes.quads.mean(axis=1)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    assert apart[np.triu_indices(len(middles), 1)].min() >= 56


def test_ships_lie_on_water_and_tanks_on_land_in_other_colours_than_the_ground():
    place = lay_out((400, 400), seed=4)
    assert set(place.names) == {"ship", "storage tank"}
    shown = place.pixels(Tile("", (0, 0), (400, 400))).astype(int)
    bare = type(place)(place.size_wh, place.seed, Boxes.empty(), (), ())
    ground = bare.pixels(Tile("", (0, 0), (400, 400))).astype(int)
    x, y = place.boxes.quads.mean(axis=1).astype(int).T
    red, _, blue = ground[y, x].T
    floating = np.array(place.names) == "ship"
    assert ((blue > red) == floating).mean() > 0.8  # on the shore the two are mixed
    assert (np.abs(shown[y, x] - ground[y, x]).max(axis=1) > 10).mean() > 0.9


def test_a_turned_geotiff_of_16_bits_and_5_bands_shows_the_same_objects(tmp_path):
    place = lay_out((200, 150), seed=4)
    turned = Affine(1.6, 1.2, 1000, 1.2, -1.6, 2000)
    names = ("nir", "blue", "green", "red", "pan")
    path = write_geotiff(
        place, tmp_path / "turned.tif", "EPSG:32633", turned, names, "uint16", empty_px=40
    )
    scene = open_scene(path)
    assert (scene.bands, scene.dtype, scene.size_wh) == (5, "uint16", (200, 150))
    assert scene.transform.almost_equals(turned) and abs(scene.gsd_m - 2) < 0.01
    with rasterio.open(path) as file:
        stored = file.read()
    truth = place.pixels(Tile("", (0, 0), (200, 150)))
    assert np.array_equal(stored[3, 100:], truth[100:, :, 0].astype("uint16") * 22 + 300)
    assert not stored[:, 0, :40].any() and stored[:, 0, 40].all()


def test_places_lie_side_by_side_on_the_ground_and_are_drawn_once(tmp_path):
    first = draw_places(tmp_path / "drawn", 2, seed=5, size_px=128)
    changed = (tmp_path / "drawn" / "0000.tif").stat().st_mtime_ns
    again = draw_places(tmp_path / "drawn", 2, seed=5, size_px=128)
    assert [path for path, _ in again] == [path for path, _ in first]
    assert np.array_equal(again[1][1].boxes.quads, first[1][1].boxes.quads)
    assert (tmp_path / "drawn" / "0000.tif").stat().st_mtime_ns == changed
    left, right = (open_scene(path).transform for path, _ in first)
    assert right.c - left.c == 128 * 0.5
    draw_places(tmp_path / "drawn", 1, seed=6, size_px=128)
    assert (tmp_path / "drawn" / "0000.tif").stat().st_mtime_ns != changed


def test_a_recipe_learns_where_nothing_is_from_tiles_of_drawn_places(tmp_path):
    section = Annotations(
        drawn={"places": True, "count": 2, "size_px": 300}, tile_px=96, cut_off="ignored"
    )
    images = gather(section, 0, tmp_path / "drawn").images
    assert len(images) == 2 * 16 and {image.size_wh for image in images} == {(96, 96)}
    assert {image.listed for image in images} == {("ship", "storage tank")}
    assert any(image.names for image in images) and not all(image.names for image in images)
