from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath.annotations.drawn import LICENCE, draw_set
from swath.errors import AnnotationError, RequestError
from swath.imagery.synthetic import QUICKSTART_KINDS

KINDS = list(QUICKSTART_KINDS[:3])


def rows(images):
    return [image.to_row() for image in images]


def test_a_set_lies_in_a_folder_a_kind_and_says_everything_about_each_picture(tmp_path):
    images = draw_set(tmp_path / "set", KINDS, count=7, seed=0, size_px=48)
    assert Counter(Path(image.path).parent.name for image in images) == {
        KINDS[0].replace(" ", "-"): 3,
        KINDS[1].replace(" ", "-"): 2,
        KINDS[2].replace(" ", "-"): 2,
    }
    for image in images:
        assert Image.open(image.path).size == image.size_wh == (48, 48)
        assert image.id == Path(image.path).relative_to(tmp_path / "set").with_suffix("").as_posix()
        assert image.label and image.captions and image.split is None
        assert image.licence == LICENCE


def test_the_same_seed_draws_the_same_files_and_another_seed_others(tmp_path):
    def files(folder, seed):
        return [
            Path(image.path).read_bytes()
            for image in draw_set(tmp_path / folder, KINDS, count=4, seed=seed, size_px=32)
        ]

    assert files("a", 0) == files("b", 0)
    assert not set(files("a", 0)) & set(files("c", 1))


def test_a_larger_set_begins_with_the_smaller_one(tmp_path):
    small = draw_set(tmp_path / "a", KINDS, count=3, seed=0, size_px=32)
    large = draw_set(tmp_path / "b", KINDS, count=6, seed=0, size_px=32)
    for one, other in zip(small, large, strict=False):
        assert np.array_equal(Image.open(one.path), Image.open(other.path))


def test_a_whole_set_is_read_back_and_not_drawn_again(tmp_path):
    first = draw_set(tmp_path / "set", KINDS, count=3, seed=0, size_px=32)
    written = Path(first[0].path).stat().st_mtime_ns
    again = draw_set(tmp_path / "set", KINDS, count=3, seed=0, size_px=32)
    assert rows(again) == rows(first)
    assert Path(first[0].path).stat().st_mtime_ns == written


def test_other_arguments_draw_the_set_anew(tmp_path):
    draw_set(tmp_path / "set", KINDS, count=3, seed=0, size_px=32)
    draw_set(tmp_path / "set", KINDS[:1], count=2, seed=0, size_px=32)
    assert len(list((tmp_path / "set").rglob("*.png"))) == 2


def test_a_set_that_was_interrupted_is_drawn_whole(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_set(tmp_path / "set", KINDS, count=4, seed=0, size_px=32, progress=interrupt)
    assert not (tmp_path / "set/images.jsonl").exists()
    assert len(draw_set(tmp_path / "set", KINDS, count=4, seed=0, size_px=32)) == 4


def test_a_set_that_was_moved_is_found_where_it_is(tmp_path):
    (first, _) = draw_set(tmp_path / "set", KINDS, count=2, seed=0, size_px=32)
    written = Path(first.path).stat().st_mtime_ns
    (tmp_path / "set").rename(tmp_path / "moved")
    images = draw_set(tmp_path / "moved", KINDS, count=2, seed=0, size_px=32)
    assert Path(images[0].path).stat().st_mtime_ns == written
    assert all(Path(image.path).is_relative_to(tmp_path / "moved") for image in images)


def test_processes_draw_what_one_draws(tmp_path):
    told = []
    one = draw_set(tmp_path / "a", KINDS, count=4, seed=0, size_px=32)
    two = draw_set(
        tmp_path / "b", KINDS, count=4, seed=0, size_px=32, workers=2,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for first, second in zip(one, two, strict=True):
        assert first.captions == second.captions
        assert Path(first.path).read_bytes() == Path(second.path).read_bytes()


def test_jpegs_are_written_on_request(tmp_path):
    (image,) = draw_set(tmp_path / "set", KINDS, count=1, seed=0, size_px=32, suffix=".jpg")
    assert Image.open(image.path).format == "JPEG"


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/mine.png").touch()
    with pytest.raises(AnnotationError, match="swath did not draw; choose an empty or a new"):
        draw_set(tmp_path, KINDS, count=1, seed=0)
    assert (tmp_path / "images/mine.png").exists()


@pytest.mark.parametrize("more", [{"count": 0}, {"kinds": []}, {"suffix": ".gif"}])
def test_nothing_to_draw_is_refused(tmp_path, more):
    asked = {"kinds": KINDS, "count": 1, "seed": 0, **more}
    with pytest.raises(RequestError, match=r"ask for at least one scene and one kind, as .png or"):
        draw_set(tmp_path / "set", **asked)


def test_sequences_lie_beside_each_other_and_are_found_again(tmp_path):
    images = draw_set(tmp_path / "set", KINDS[:1], count=2, seed=0, size_px=48, frames=3)
    kind = KINDS[0].replace(" ", "-")
    folder = tmp_path / "set" / "images" / kind
    names = ["00000.png", "00000-2.png", "00000-3.png"]
    assert [Path(path) for path in images[0].frames] == [folder / name for name in names]
    assert images[0].path == images[0].frames[0]
    assert all("balloon" in caption for caption in images[0].captions)
    (tmp_path / "set").rename(tmp_path / "moved")
    again = draw_set(tmp_path / "moved", KINDS[:1], count=2, seed=0, size_px=48, frames=3)
    assert all(Path(path).is_file() for image in again for path in image.frames)
    assert again[1].captions == images[1].captions
    single = draw_set(tmp_path / "moved", KINDS[:1], count=2, seed=0, size_px=48)
    assert [image.frames for image in single] == [(), ()]


def test_a_sequence_that_lost_a_frame_is_drawn_again(tmp_path):
    def drawn():
        return draw_set(tmp_path, KINDS[:1], count=1, seed=0, size_px=48, frames=2)[0]

    lost = Path(drawn().frames[1])
    lost.unlink()
    assert Path(drawn().frames[1]) == lost and lost.is_file()
