import io

import numpy as np
import pytest
from PIL import Image

from swath.annotations.fingerprints import ALIKE, FORMS, NEAR_BITS, fingerprints, near_pairs

TURNS = [None, *Image.Transpose]


def picture(seed):
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((150, 150), Image.Resampling.BICUBIC)


def saved(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def near(*pictures):
    prints, thumbs = zip(*(fingerprints(np.asarray(one)) for one in pictures), strict=True)
    return list(near_pairs(np.stack(prints), np.stack(thumbs)))


def test_a_picture_is_known_again_when_resized_recompressed_or_made_darker():
    original = picture(0)
    assert near(original, saved(original, 50)) == [(0, 1, 0)]
    assert near(original, original.resize((224, 224))) == [(0, 1, 0)]
    assert near(original, original.point(lambda value: value * 0.9)) == [(0, 1, 0)]


@pytest.mark.parametrize("turn", TURNS)
def test_a_picture_is_known_again_turned_and_mirrored(turn):
    original = picture(1)
    turned = saved(original if turn is None else original.transpose(turn), 60)
    ((one, other, form),) = near(original, turned)
    assert (one, other, form == 0) == (0, 1, turn is None)


def test_each_form_is_a_way_of_its_own():
    prints, _ = fingerprints(np.asarray(picture(2)))
    assert len(set(prints.tolist())) == FORMS


def test_different_pictures_are_not_near():
    assert near(*(picture(seed) for seed in range(60))) == []


def test_pictures_of_one_colour_are_like_no_other():
    assert near(*(Image.new("RGB", (40, 40), (shade, shade, shade)) for shade in (0, 9, 9))) == []


def test_near_pairs_are_all_pairs_within_the_distance():
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2**63, (300, FORMS), dtype=np.uint64)
    for row in range(100):  # plant copies with 0 to 9 bits changed, in one of the forms
        flips = rng.choice(64, row % 10, replace=False)
        prints[row + 100, row % FORMS] = prints[row, 0] ^ np.bitwise_or.reduce(
            np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0)
        )
    ramp = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8)
    thumbs = np.stack([np.roll(ramp, 0)] * 300)
    planted = [(row, row + 100) for row in range(100) if row % 10 <= NEAR_BITS]
    found = {(one, other): form for one, other, form in near_pairs(prints, thumbs)}
    # A ramp along the diagonal looks like itself in two of eight forms: own and transposed.
    assert sorted(found) == [pair for pair in planted if pair[0] % FORMS in (0, 4)]


def test_equal_fingerprints_of_unlike_thumbnails_are_not_near():
    prints = np.zeros((2, FORMS), dtype=np.uint64)
    ramp = np.tile(np.arange(16, dtype=np.uint8), (16, 1))
    bent = ramp.copy()
    bent[:, 8:] = 0
    assert np.corrcoef(ramp.ravel(), bent.ravel())[0, 1] < ALIKE
    assert list(near_pairs(prints, np.stack([ramp, bent]))) == []
    assert list(near_pairs(prints, np.stack([ramp, ramp]))) == [(0, 1, 0)]


def test_no_fingerprints_have_no_near_pairs():
    assert list(near_pairs(np.zeros((0, 8), np.uint64), np.zeros((0, 16, 16), np.uint8))) == []


def test_of_real_scenes_only_the_file_that_is_there_twice_is_named(data_folder):
    """660 scenes, dull ones among them: desert, bare land, meadow, beach, forest, port."""
    from swath.imagery.opening import open_scene

    kinds = ("Industrial", "Desert", "BareLand", "Meadow", "Beach", "Forest")
    files = [
        file
        for kind in kinds
        for file in sorted((data_folder / f"rsicd_aid/images/{kind}").glob("*"))
    ]
    assert len(files) == 660
    seen = near(*(open_scene(file).read_rgb() for file in files))
    names = [(files[one].stem, files[other].stem, form) for one, other, form in seen]
    assert names == [("industrial_203", "industrial_205", 0)]
