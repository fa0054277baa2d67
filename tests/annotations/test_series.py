"""Images of one place at two times, as one annotated image and as drawn pairs."""

import numpy as np
import pytest
import rasterio

import nano  # noqa: F401 (adds the kind that a test draws)
from swath.annotations.drawn import draw_set
from swath.annotations.finding_pictures import UNMEASURED, measured
from swath.annotations.image import AnnotatedImage
from swath.annotations.lint import lint
from swath.errors import AnnotationError
from swath.imagery.opening import open_scene


def raster(path, side, x=500_000):
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, x, 0, -10, 5_000_000),
    ) as out:  # fmt: skip
        out.write(np.random.default_rng(0).integers(1, 255, (1, side, side), dtype=np.uint8))
    return str(path)


def pair(before, after):
    image = AnnotatedImage(id="a", path=before, size_wh=UNMEASURED, frames=(before, after))
    return measured([image])[0]


def test_a_pair_of_unequal_rasters_is_brought_onto_the_pixels_of_the_first(tmp_path):
    before, after = raster(tmp_path / "a.tif", 64), raster(tmp_path / "b.tif", 50, 500_100)
    (image,) = pair(before, after)
    assert image.size_wh == (64, 64)
    assert image.frames == (before, f"{after}#grid={before}")
    shown = open_scene(image.frames[1]).read_rgb()[..., 0]
    stored = open_scene(after).read_rgb()[..., 0]
    assert np.array_equal(shown[:50, 10:60], stored)
    assert "unreadable" not in {finding.kind for finding in lint([image])}


def test_a_pair_of_two_places_is_refused(tmp_path):
    before, after = raster(tmp_path / "a.tif", 64), raster(tmp_path / "b.tif", 64, 900_000)
    with pytest.raises(AnnotationError, match="shows other ground than"):
        pair(before, after)


def test_drawn_pairs_lie_beside_each_other_and_say_what_changed(tmp_path):
    images = draw_set(tmp_path / "set", ["meadow"], count=8, seed=0, size_px=48, change=True)
    assert {len(image.frames) for image in images} == {2}
    said = [image.captions[0] for image in images]
    assert all("tent" in one or one == "nothing has changed." for one in said)
    again = draw_set(tmp_path / "set", ["meadow"], count=8, seed=0, size_px=48, change=True)
    assert [image.to_row() for image in again] == [image.to_row() for image in images]
