import os
import shutil
from pathlib import Path

import pytest

from swath.annotations.contents import refuse_changed, write_with_contents
from swath.annotations.image import read_images, write_images
from swath.errors import AnnotationError, FormatError
from swath.files import FORMATS, write_jsonl
from tests.making import annotated


@pytest.fixture
def built(tmp_path):
    """The `images.jsonl` of three pictures, and their paths."""
    images = annotated(tmp_path / "own", count=3, test=1)
    file = tmp_path / "set" / "images.jsonl"
    assert write_with_contents(file, images) == 3
    return file, [image.path for image in images]


def test_pictures_that_stayed_are_compared_without_a_word(built):
    file, paths = built
    assert refuse_changed(file, paths) == ""
    assert [image.path for image in read_images(file)] == paths
    assert file.read_text().startswith('{"format":2,')


def test_a_replaced_picture_of_the_same_size_and_time_is_named(built):
    file, (first, second, _) = built
    times = Path(first).stat().st_mtime_ns
    content = bytearray(Path(first).read_bytes())
    content[-20] ^= 1
    Path(first).write_bytes(content)
    os.utime(first, ns=(times, times))
    with pytest.raises(AnnotationError, match=f"1 of 2 .*{first} holds another picture; put"):
        refuse_changed(file, [first, second])
    assert refuse_changed(file, [second]) == ""


def test_pictures_that_changed_places_and_one_that_is_gone_are_told_apart(built):
    file, (first, second, third) = built
    shutil.move(first, first + ".kept")
    shutil.move(second, first)
    shutil.move(first + ".kept", second)
    Path(third).unlink()
    with pytest.raises(AnnotationError) as error:
        refuse_changed(file, [first, second, third])
    words = str(error.value)
    assert f"{first} holds what {second} held" in words
    assert f"{second} holds what {first} held" in words
    assert f"{third} is gone" in words


def test_a_tile_is_compared_by_the_scene_it_is_cut_from(built):
    file, (first, *_) = built
    assert refuse_changed(file, [f"{first}#tile=0,0,8,8"]) == ""
    Path(first).write_bytes(Path(first).read_bytes() + b"x")
    with pytest.raises(AnnotationError, match="1 of 1 pictures"):
        refuse_changed(file, [f"{first}#tile=0,0,8,8"])


def test_a_file_of_an_older_swath_says_that_nothing_is_known(built, tmp_path):
    file, paths = built
    write_images(file, list(read_images(file)))
    assert "says nothing of what 3 of 3 pictures held" in refuse_changed(file, paths)


def test_damaged_contents_and_a_newer_format_are_refused(tmp_path):
    file = tmp_path / "images.jsonl"
    write_jsonl(file, "images", [{"id": "a", "files": [1]}])
    with pytest.raises(FormatError, match="image row a: damaged"):
        refuse_changed(file, [])
    file.write_text('{"format":3,"kind":"images"}\n')
    with pytest.raises(FormatError, match="reads up to 2"):
        refuse_changed(file, [])
    assert FORMATS == {"images": 2}
