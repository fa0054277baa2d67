import io

import numpy as np
from PIL import Image

from swath.annotations.duplicates import NEAR_BITS, fingerprint, near_pairs


def picture(seed):
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((150, 150), Image.Resampling.BICUBIC)


def bits_apart(one, other):
    return bin(int(fingerprint(np.asarray(one)) ^ fingerprint(np.asarray(other)))).count("1")


def test_a_fingerprint_survives_resizing_recompression_and_brightness():
    original = picture(0)
    stream = io.BytesIO()
    original.save(stream, "JPEG", quality=50)
    assert bits_apart(original, Image.open(stream)) <= NEAR_BITS
    assert bits_apart(original, original.resize((224, 224))) <= NEAR_BITS
    assert bits_apart(original, original.point(lambda value: value * 0.9)) <= NEAR_BITS


def test_fingerprints_of_different_pictures_lie_far_apart():
    assert min(bits_apart(picture(0), picture(seed)) for seed in range(1, 20)) > 2 * NEAR_BITS


def test_near_pairs_are_all_pairs_within_the_distance():
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for row in range(100):  # plant copies with 0 to 9 bits changed
        flips = rng.choice(64, row % 10, replace=False)
        prints[row + 100] = prints[row] ^ np.bitwise_or.reduce(
            np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0)
        )
    every = [
        (one, other)
        for one in range(300)
        for other in range(one + 1, 300)
        if bin(int(prints[one] ^ prints[other])).count("1") <= NEAR_BITS
    ]
    assert len(every) == 70
    assert list(near_pairs(prints)) == every


def test_no_fingerprints_have_no_near_pairs():
    assert list(near_pairs(np.array([], dtype=np.uint64))) == []
