import hashlib
import io
import json
import sys

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
import pytest
from PIL import Image as Picture

from swath import parquet_shards
from swath.annotations.readers import read
from swath.errors import AnnotationError, RequestError
from swath.instructions.conversation import write_conversations
from swath.instructions.interchange import convert, read_rows
from swath.parquet_shards import rows_in, shards_in, write_shards
from tests.instructions.test_interchange import rows_of
from tests.making import rectangle


def picture(seed=0, side=16):
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def row(number=0, content=None, name="a.png"):
    words = [("user", f"<image>\nWhich {number}?"), ("assistant", "a port")]
    messages = [{"role": role, "content": text} for role, text in words]
    return {
        "id": f"r{number}",
        "messages": messages,
        "images": [{"bytes": picture() if content is None else content, "path": name}],
    }


def shard_of(file, rows):
    arrow.parquet.write_table(arrow.Table.from_pylist(rows), file)
    return file


@pytest.fixture
def shards(tmp_path):
    """A set of one picture of 200 x 100 px, two rows to train on and one to test, as shards."""
    path = rectangle(tmp_path / "set" / "a.png", (20, 20, 60, 40), (200, 100))
    write_conversations(tmp_path / "set" / "conversations.jsonl", rows_of(path))
    assert convert(tmp_path / "set", tmp_path / "shards", "parquet", writes="geochat") == 3
    return tmp_path / "shards"


def digests(folder):
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_words_and_pictures_come_back_as_they_were(shards, tmp_path):
    convert(tmp_path / "set", tmp_path / "llava", "llava", writes="geochat")
    convert(shards, tmp_path / "back", "llava")
    for name in ("train.json", "test.json"):
        ours = json.loads((tmp_path / "back" / name).read_text())
        theirs = json.loads((tmp_path / "llava" / name).read_text())
        for entries in (ours, theirs):
            for entry in entries:
                del entry["image"]  # a picture from a row is named by its content
        assert ours == theirs
    digest = hashlib.sha256((tmp_path / "set/a.png").read_bytes()).hexdigest()
    assert digests(tmp_path / "back/images") == digests(tmp_path / "llava/images") == {digest}
    assert [row.split for row in read_rows(shards, tmp_path / "p")] == ["test", "train", "train"]


def test_the_hub_takes_the_column_for_pictures(shards):
    names = sorted(file.name for file in (shards / "data").iterdir())
    assert names == ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]
    schema = arrow.parquet.read_schema(shards / "data" / names[1])
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["images"] == [{"_type": "Image"}]
    assert str(schema.field("images").type.value_type) == "struct<bytes: binary, path: string>"
    (image,) = arrow.parquet.read_table(shards / "data" / names[1]).to_pylist()[0]["images"]
    assert Picture.open(io.BytesIO(image["bytes"])).size == (200, 100)
    assert image["path"].startswith("a-") and image["path"].endswith(".png")
    assert "path: data/train-*.parquet" in (shards / "README.md").read_text()


def test_tuning_learns_from_shards_as_from_a_source(shards, tmp_path):
    (shards / "data/test-00000-of-00001.parquet").unlink()  # of the picture that is trained on
    for source in (shards, shards / "data/train-00000-of-00001.parquet"):
        (image,) = read(source, pictures=tmp_path / "pictures")
        assert image.size_wh == (200, 100) and image.split == "train"
        assert [len(turns) for turns in image.dialogues] == [1, 2]


def test_shards_are_no_larger_than_they_may_be_and_rows_are_taken_one_at_a_time(tmp_path):
    content = picture(side=100)  # 30 kB
    largest = 10 * len(content)
    waiting = 0
    most_waiting = 0

    def rows():
        nonlocal waiting, most_waiting
        for number in range(25):
            waiting = number - 9 * len(list((tmp_path / "data").iterdir()))
            most_waiting = max(most_waiting, waiting)
            yield row(number, content)

    # Nine pictures and their words fit into 300 kB, ten do not.
    assert write_shards(tmp_path, "train", rows(), largest) == 3
    files = shards_in(tmp_path)
    assert [file.name for file in files] == [f"train-{n:05d}-of-00003.parquet" for n in range(3)]
    assert [arrow.parquet.read_metadata(file).num_rows for file in files] == [9, 9, 7]
    assert max(file.stat().st_size for file in files) < 1.05 * largest
    assert most_waiting <= 10
    ids = [entry["id"] for file in files for _, entry in rows_in(file)]
    assert ids == [f"r{number}" for number in range(25)]


def test_a_shard_that_is_missing_among_its_numbers_is_told(tmp_path):
    write_shards(tmp_path, "train", (row(n) for n in range(4)), 100)
    (tmp_path / "data/train-00002-of-00004.parquet").unlink()
    with pytest.raises(AnnotationError, match=r"train-00002-of-00004\.parquet: not there"):
        list(read_rows(tmp_path, tmp_path / "pictures"))


def test_a_file_cut_short_is_told_and_one_of_another_kind_is_left_alone(shards, tmp_path):
    shard_of(shards / "data" / "prices.parquet", [{"price": 3}])
    assert len(list(read_rows(shards, tmp_path / "p"))) == 3
    file = shards / "data/train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:300])  # the names of its columns stand near its end
    with pytest.raises(AnnotationError, match=r"train-00000.*cannot be read as Parquet.*cut short"):
        list(read_rows(shards, tmp_path / "p"))


def test_a_damaged_page_is_one_error(shards, tmp_path):
    file = shards / "data/train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    content[4:80] = b"\xff" * 76  # the head of the first page
    file.write_bytes(content)
    with pytest.raises(AnnotationError, match="cannot be read as Parquet"):
        list(read_rows(file, tmp_path / "p"))


def test_a_file_without_turns_names_the_columns_it_has(tmp_path):
    file = shard_of(tmp_path / "x.parquet", [{"text": "a", "image": "b"}])
    with pytest.raises(AnnotationError, match=r"no column `messages` .* among text, image"):
        list(read_rows(file))


@pytest.mark.parametrize(
    ("picture_of_row", "problem"),
    [
        ({"bytes": None, "path": "../secret.png"}, r"row 1: the picture '\.\./secret\.png' is not"),
        ({"bytes": None, "path": "/etc/hostname"}, "row 1: the picture '/etc/hostname' is not in"),
        ({"bytes": None, "path": "https://a.b/c.png"}, "lies on the web"),
        ({"bytes": b"#!/bin/sh", "path": "a.png"}, "neither PNG, JPEG, WebP nor GIF"),
        ({"bytes": b"\x89PNG" + b"0" * (21 << 20), "path": "a.png"}, "more than 20 MB in a row"),
    ],
)
def test_no_row_names_a_file_outside_or_holds_what_is_no_picture(tmp_path, picture_of_row, problem):
    rectangle(tmp_path / "secret.png")
    (tmp_path / "set").mkdir()
    hostile = row() | {"images": [picture_of_row]}
    file = shard_of(tmp_path / "set" / "train.parquet", [hostile])
    with pytest.raises(AnnotationError, match=problem):
        list(read_rows(file, tmp_path / "pictures"))
    assert not (tmp_path / "pictures").exists()


def test_a_name_in_a_row_names_no_file_that_is_written(tmp_path):
    file = shard_of(tmp_path / "train.parquet", [row(name="../../escaped.png")])
    (read_row,) = read_rows(file, tmp_path / "in" / "pictures")
    (path,) = (tmp_path / "in" / "pictures").iterdir()
    assert read_row.pictures == (str(path),) and not list(tmp_path.rglob("escaped*"))


def test_rows_and_groups_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    zeros = row() | {"images": [{"bytes": b"\x89PNG" + b"0" * 300_000, "path": "a"}]}
    file = shard_of(tmp_path / "train.parquet", [row(), zeros])
    assert file.stat().st_size < 100_000
    monkeypatch.setattr(parquet_shards, "LARGEST_ROW", 200_000)
    with pytest.raises(AnnotationError, match=r"row 2: 0 MB, and swath takes 0; show fewer"):
        list(rows_in(file))
    monkeypatch.setattr(parquet_shards, "LARGEST_GROUP", 250_000)
    with pytest.raises(AnnotationError, match=r"group 0 of its rows unpacks to"):
        next(rows_in(file))


def test_without_pyarrow_the_error_names_the_extra(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RequestError, match=r"pip install 'swath\[parquet\]'"):
        convert(tmp_path / "set", tmp_path / "again", "parquet", writes="geochat")
    assert not (tmp_path / "again").exists()
    with pytest.raises(RequestError, match=r"pip install 'swath\[parquet\]'"):
        list(read_rows(shards))


def test_words_that_repeat_are_counted_before_they_take_memory(tmp_path):
    words = "x" * (8 << 20)
    messages = [{"role": "user", "content": words}] * 40  # 320 MB of a file of some kilobytes
    file = shard_of(tmp_path / "train.parquet", [{"id": "1", "messages": messages}])
    assert file.stat().st_size < 1 << 20
    pool = arrow.default_memory_pool()
    before = pool.max_memory()
    held = pool.bytes_allocated()
    with pytest.raises(AnnotationError, match="row 1: 320 MB, and swath takes 128"):
        list(rows_in(file))
    assert pool.max_memory() <= max(before, held + (64 << 20))


@pytest.mark.parametrize("kind", ["large", "fixed", "map"])
def test_lists_of_every_kind_count_what_they_hold(kind):
    words = arrow.array(["x" * 1000]).dictionary_encode().indices
    repeated = arrow.DictionaryArray.from_arrays(arrow.array([0] * 300, words.type), ["x" * 1000])
    lists = {
        "large": lambda: arrow.LargeListArray.from_arrays([0, 300], repeated),
        "fixed": lambda: arrow.FixedSizeListArray.from_arrays(repeated, 300),
        "map": lambda: arrow.MapArray.from_arrays([0, 300], arrow.array(range(300)), repeated),
    }
    assert parquet_shards._size(lists[kind]()) >= 300_000


def test_rows_of_endless_lists_are_refused_by_their_count(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_shards, "MOST_VALUES", 30)
    file = shard_of(tmp_path / "train.parquet", [row(number) for number in range(20)])
    with pytest.raises(AnnotationError, match="holds 40 values in a column"):
        list(rows_in(file))
