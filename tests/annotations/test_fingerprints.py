import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath.annotations import fingerprints as looks
from swath.annotations.fingerprints import fingerprints, looks_of
from swath.annotations.image import AnnotatedImage
from swath.errors import AnnotationError


@pytest.fixture
def decoded(monkeypatch):
    """Ids of the images that were decoded, in order."""
    ids, look = [], looks.look
    monkeypatch.setattr(looks, "look", lambda image: ids.append(image.id) or look(image))
    return ids


def noise(folder, id, seed=0, size_wh=(64, 48)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size_wh[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(folder / f"{id}.png")
    return AnnotatedImage(id, str(folder / f"{id}.png"), size_wh)


def test_a_look_holds_digest_fingerprints_and_thumbnail_in_one_piece(tmp_path):
    (seen,) = looks_of([noise(tmp_path, "a")])
    prints, thumb = fingerprints(np.asarray(Image.open(tmp_path / "a.png")))
    assert len(seen.packed) == 32 + 8 * 8 + 16 * 16
    assert (seen.prints == prints).all() and (seen.thumb == thumb).all()
    assert len(seen.digest) == 32 and seen.ground is None


def test_pictures_are_decoded_once_however_often_they_are_looked_at(tmp_path, decoded):
    images = [noise(tmp_path, name, seed) for seed, name in enumerate("abc")]
    first = looks_of(images[:2], memory=tmp_path / "run" / "looks.sqlite")
    again = looks_of(images, memory=tmp_path / "run" / "looks.sqlite")
    assert decoded == ["a", "b", "c"]
    assert again[:2] == first and again == looks_of(images)


@pytest.mark.parametrize("same_time", [False, True])
def test_a_picture_that_has_changed_is_decoded_again(tmp_path, decoded, same_time):
    image = noise(tmp_path, "a", 0)
    at = Path(image.path).stat()
    before = looks_of([image], memory=tmp_path / "looks.sqlite")
    noise(tmp_path, "a", 1)
    if same_time:
        os.utime(image.path, ns=(at.st_atime_ns, at.st_mtime_ns))
    after = looks_of([image], memory=tmp_path / "looks.sqlite")
    assert decoded == ["a", "a"] and after != before and after == looks_of([image])


def test_a_picture_that_is_damaged_or_gone_is_told_each_time(tmp_path):
    image = noise(tmp_path, "a")
    looks_of([image], memory=tmp_path / "looks.sqlite")
    whole = Path(image.path).read_bytes()
    Path(image.path).write_bytes(whole[:-2000])
    for _ in range(2):
        (seen,) = looks_of([image], memory=tmp_path / "looks.sqlite")
        assert "truncated" in seen
    Path(image.path).unlink()
    (seen,) = looks_of([image], memory=tmp_path / "looks.sqlite")
    assert "no such file; check the path" in seen


def test_a_picture_that_is_given_its_place_is_looked_at_again(tmp_path):
    image, memory = noise(tmp_path, "a"), tmp_path / "looks.sqlite"
    (before,) = looks_of([image], memory=memory)
    (tmp_path / "a.png.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:4326</SRS>"
        "<GeoTransform>8, 0.0001, 0, 50, 0, -0.0001</GeoTransform></PAMDataset>"
    )
    (after,) = looks_of([image], memory=memory)
    assert before.ground is None and after.ground.bounds == pytest.approx((8, 49.9952, 8.0064, 50))
    (tmp_path / "a.png.aux.xml").unlink()
    assert looks_of([image], memory=memory) == [before]


def test_a_damaged_memory_is_begun_anew(tmp_path, decoded):
    image, memory = noise(tmp_path, "a"), tmp_path / "looks.sqlite"
    memory.write_bytes(b"no database" * 100)
    assert looks_of([image], memory=memory) == looks_of([image], memory=memory)
    assert decoded == ["a"]


NUMBERS_WITHOUT_END = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.mark.parametrize(
    "statements",
    [
        f"CREATE VIEW looks AS {NUMBERS_WITHOUT_END} SELECT 'a' path, 'b' stamp, i packed FROM n",
        "CREATE TABLE looks (path TEXT PRIMARY KEY, stamp TEXT, packed BLOB);"
        "CREATE TRIGGER t AFTER INSERT ON looks BEGIN DELETE FROM looks WHERE "
        f"({NUMBERS_WITHOUT_END} SELECT count(*) FROM n) = 0; END",
        "CREATE TABLE looks (path TEXT PRIMARY KEY, stamp TEXT, packed INT AS (1))",
        "CREATE TABLE other (a TEXT)",
    ],
)
def test_a_memory_that_somebody_else_made_is_begun_anew(tmp_path, decoded, statements):
    image, memory = noise(tmp_path, "a"), tmp_path / "looks.sqlite"
    with closing(sqlite3.connect(memory)) as base:
        base.executescript(statements)
    assert looks_of([image], memory=memory) == looks_of([image], memory=memory)
    assert decoded == ["a"]


def test_a_memory_whose_rows_are_of_another_kind_is_not_believed(tmp_path, decoded):
    image, memory = noise(tmp_path, "a"), tmp_path / "looks.sqlite"
    (before,) = looks_of([image], memory=memory)
    for packed in ("text" * 88, b"short", None, 7):
        with closing(sqlite3.connect(memory)) as base, base:
            base.execute("UPDATE looks SET packed = ?", (packed,))
        assert looks_of([image], memory=memory) == [before]
    assert decoded == ["a"] * 5


def test_a_pipe_in_place_of_a_memory_is_taken_away(tmp_path):
    image = noise(tmp_path, "a")
    os.mkfifo(tmp_path / "looks.sqlite")
    assert len(looks_of([image], memory=tmp_path / "looks.sqlite")) == 1


def test_a_memory_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "looks.sqlite").mkdir()
    with pytest.raises(AnnotationError, match=r"looks\.sqlite: cannot be written"):
        looks_of([], memory=tmp_path / "looks.sqlite")


def test_a_disk_that_fills_while_looks_are_kept_is_one_error(tmp_path, full_disk):
    images = [noise(tmp_path, f"{number}", number) for number in range(40)]
    looks_of(images[:1], memory=tmp_path / "looks.sqlite")
    with (
        full_disk((tmp_path / "looks.sqlite").stat().st_size),
        pytest.raises(AnnotationError, match=r"looks\.sqlite: cannot be written"),
    ):
        looks_of(images, memory=tmp_path / "looks.sqlite")
