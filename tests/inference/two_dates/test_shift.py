import numpy as np
import pytest
from PIL import Image

from swath.imagery.opening import open_scene
from swath.imagery.synthetic import draw
from swath.inference.two_dates import shift
from swath.inference.two_dates.shift import correlated, measured_shift


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return open_scene(path)


def laid(tmp_path, right, down, size=160, kind="quarry"):
    """A window of a scene before, and the same ground in a window further left and up after."""
    pixels = draw(kind, 3, 224).pixels
    before = pixels[32 : 32 + size, 32 : 32 + size]
    after = pixels[32 - down : 32 - down + size, 32 - right : 32 - right + size]
    brighter = np.clip(after * 1.2 + 8, 0, 255).astype(np.uint8)
    return saved(tmp_path / "a.png", before), saved(tmp_path / "b.png", brighter)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (-7, 12)])
def test_the_shift_is_where_the_later_picture_shows_the_same_ground(tmp_path, right, down):
    found = measured_shift(*laid(tmp_path, right, down))
    assert (found.right_px, found.down_px) == pytest.approx((right, down), abs=0.1)
    assert found.length_px == pytest.approx(np.hypot(right, down), abs=0.15)


def test_half_a_pixel_is_measured(tmp_path):
    pixels = draw("quarry", 3, 224).pixels.astype(float)
    before, after = pixels[20:200, 20:200], (pixels[20:200, 20:200] + pixels[20:200, 19:199]) / 2
    pair = [
        saved(tmp_path / f"{n}.png", one.astype(np.uint8)) for n, one in enumerate((before, after))
    ]
    assert measured_shift(*pair).right_px == pytest.approx(0.5, abs=0.15)


def test_in_large_pictures_it_is_measured_to_the_pixel_in_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(shift, "SAMPLE_PX", 64)
    monkeypatch.setattr(shift, "WINDOW_PX", 96)
    found = measured_shift(*laid(tmp_path, 5, -3))
    assert (found.right_px, found.down_px) == pytest.approx((5, -3), abs=0.1)


def test_different_places_have_no_shift(tmp_path):
    pair = [
        saved(tmp_path / f"{kind}.png", draw(kind, 5, 160).pixels) for kind in ("quarry", "orchard")
    ]
    assert measured_shift(*pair) is None


def test_what_was_not_observed_does_not_count_and_too_little_of_it_tells_nothing(tmp_path):
    grey = draw("quarry", 3, 128).pixels.mean(axis=2)
    moved = np.roll(grey, 4, axis=1)
    moved[:, :20] = np.nan
    assert correlated(grey, moved).right_px == pytest.approx(4, abs=0.1)
    moved[:, :90] = np.nan
    assert correlated(grey, moved) is None
    assert correlated(np.ones((64, 64)), np.ones((64, 64))) is None


def test_real_pairs_on_one_grid_lie_within_a_few_pixels_or_are_not_told(data_folder):
    root = data_folder / "levir_cd_samples"
    lengths = []
    for picture in sorted((root / "A").iterdir()):
        found = measured_shift(open_scene(picture), open_scene(root / "B" / picture.name))
        if found is not None:
            lengths.append(found.length_px)
    assert len(lengths) >= 5 and max(lengths) < 3.5
