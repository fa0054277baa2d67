import sys

import numpy as np
import pytest

from swath.errors import ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.tiling import Tile
from swath.imagery.video import frames_of
from tests.imagery.making import write_clip

av = pytest.importorskip("av", reason="needs PyAV: pip install 'swath[video]'")


def grey(name):
    return round(float(open_scene(name).read_rgb().mean()))


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_each_frame_is_the_one_it_is_named_by(tmp_path, suffix):
    clip = write_clip(tmp_path / f"clip{suffix}")
    for number in (9, 0, 1, 4, 5, 6):
        assert grey(f"{clip}#frame={number}") == pytest.approx(20 * number, abs=4)


def test_frames_are_taken_from_the_middles_of_equal_parts(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    assert frames_of(clip, 2) == [f"{clip}#frame=2", f"{clip}#frame=7"]
    assert frames_of(clip, 1) == [f"{clip}#frame=5"]


def test_a_clip_shorter_than_asked_gives_each_frame_once(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    assert frames_of(clip, 8) == [f"{clip}#frame={number}" for number in range(3)]


def test_a_frame_is_read_in_part_and_at_another_size(tmp_path):
    scene = open_scene(f"{write_clip(tmp_path / 'clip.mp4')}#frame=3")
    assert (scene.size_wh, scene.id) == ((32, 16), "clip#frame=3")
    assert scene.read_rgb(Tile(scene.id, (4, 2), (8, 6))).shape == (6, 8, 3)
    assert scene.read_rgb(size_wh=(10, 5)).shape == (5, 10, 3)


def test_a_frame_that_is_not_there_is_named_with_those_that_are(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    for number in ("10", "-1", "x", "9" * 5000):
        with pytest.raises(ImageryError, match=r"no such frame; the clip has frames 0 to 9"):
            open_scene(f"{clip}#frame={number}")


def test_absent_damaged_and_cut_clips_are_named(tmp_path):
    with pytest.raises(ImageryError, match=r"absent.mp4: no such file; check the path"):
        frames_of(tmp_path / "absent.mp4", 2)
    clip = write_clip(tmp_path / "clip.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (cut, empty):
        with pytest.raises(ImageryError, match=rf"{path.name}: .*whole"):
            open_scene(f"{path}#frame=0")


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageryError, match=r"not installed; pip install 'swath\[video\]'"):
        frames_of(tmp_path / "clip.mp4", 2)


def test_frames_of_a_real_clip_equal_those_decoded_in_order(data_folder):
    clip = data_folder / "video" / "car-detection.mp4"
    names = frames_of(clip, 3)
    assert [name.rpartition("=")[2] for name in names] == ["62", "188", "314"]
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in (62, 188, 314):
                pixels = frame.to_ndarray(format="rgb24")
                assert np.array_equal(open_scene(f"{clip}#frame={number}").read_rgb(), pixels)
