import json
import tracemalloc

import pytest

from swath.annotations import large_json as streaming
from swath.annotations import tables as listings
from swath.annotations.large_json import Rows, load_large
from swath.annotations.readers import read
from swath.errors import AnnotationError


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED", 1)
    monkeypatch.setattr(streaming, "LARGEST_PIECE", 400)
    monkeypatch.setattr(streaming, "_CHUNK", 16)
    listings.forget()


CONTENT = {
    "info": {"über": 1.5, "none": None},
    "images": [{"id": 1, "name": 'a"]},{\\'}, [2, [3]], "船" * 9, 4.25, -17, True, None],
    "empty": [],
    "year": 2026,
}


@pytest.mark.parametrize("indent", (None, 2))
@pytest.mark.parametrize("ascii", (True, False))
@pytest.mark.parametrize("start", ("", "\ufeff", " \n"))
def test_a_large_file_holds_what_a_small_one_would(tmp_path, indent, ascii, start):
    file = tmp_path / "a.json"
    text = json.dumps(CONTENT, indent=indent, ensure_ascii=ascii)
    file.write_text(start + text, encoding="utf-8")
    found = load_large(file)
    assert found.keys() == CONTENT.keys()
    assert (found["info"], found["year"], found["empty"][:]) == (CONTENT["info"], 2026, [])
    rows = found["images"]
    assert isinstance(rows, Rows) and len(rows) == 7 and not found["empty"]
    assert [*rows] == list(rows) == [*tuple(rows)] == CONTENT["images"]
    assert (rows[0], rows[-1], rows[:2]) == (CONTENT["images"][0], None, CONTENT["images"][:2])
    with pytest.raises(IndexError):
        found["empty"][0]


def test_a_list_at_the_top_is_rows_and_a_lone_value_itself(tmp_path):
    file = tmp_path / "a.json"
    for text, held in (
        ("[1, 22 ]", [1, 22]),
        ("1234567890123456789", 1234567890123456789),
    ):
        file.write_text(text)
        found = load_large(file)
        assert (list(found) if isinstance(found, Rows) else found) == held


@pytest.mark.parametrize(
    ("text", "why"),
    {
        '[{"a": 1}, {"a"': "premature EOF.*was it cut short",
        '{"a": [1, 2], "b"': "was it cut short",
        "[1 2]": "I expect ',' or ']'",
        "[1, 2]]": "trailing garbage",
        "[1, nul]": "not valid JSON",
        "[" * 100_000: "in one piece|lists within lists without end",
        "[" * 300: "was it cut short",
        "": "not valid JSON",
        json.dumps([{"a": "x" * 500}]): "in one piece .*write it as JSON Lines",
        json.dumps({str(n): "x" * 50 for n in range(20)}): "in one piece .*JSON Lines",
    }.items(),
)
def test_what_is_no_list_of_rows_says_why(tmp_path, text, why):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(AnnotationError, match=why):
        load_large(file)


def test_a_row_that_is_not_utf8_or_holds_a_number_of_too_many_digits_says_so(tmp_path):
    file = tmp_path / "a.json"
    for content, why in ((b'[{"a": "\xff\xfe"}]', "UTF-?8"), (b"[" + b"9" * 99 + b"]", "overflow")):
        file.write_bytes(content)
        with pytest.raises(AnnotationError, match=rf"a\.json: not valid JSON .*{why}"):
            list(load_large(file))


def test_a_file_that_grows_between_two_readings_says_so(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("[1, 2]")
    rows = load_large(file)
    assert list(rows) == [1, 2]
    file.write_text("[1, 2, 3]")
    with pytest.raises(AnnotationError, match="changed while it was read; begin again"):
        list(rows)


def test_every_kind_of_list_of_rows_is_read_alike_however_large(folder, monkeypatch):
    folder.picture("a.png")
    folder.picture("b.png")
    kinds = (
        [{"image": "a.png", "captions": ["a pier"]}, {"image": "b.png", "captions": ["a ship"]}],
        {"images": [{"filename": "a.png", "sentences": [{"raw": "a pier"}], "split": "test"}]},
        {"port": [{"filename": "b.png", "raw": "a ship", "raw_1": "ships"}]},
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 16, "height": 12}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 3, "name": "ship"}],
        },
        [
            {
                "image": "a.png",
                "conversations": [
                    {"from": "human", "value": "<image>\nwhat?"},
                    {"from": "gpt", "value": "a ship"},
                ],
            }
        ],
    )
    for content in kinds:
        folder.json("rows.json", content)
        found = []
        for streamed in (1, 1 << 40):
            monkeypatch.setattr(streaming, "STREAMED", streamed)
            listings.forget()
            found.append([one.to_row() for one in read(folder.path / "rows.json")])
        assert found[0] == found[1] and found[0]


def test_rows_of_a_large_file_are_not_held(folder, monkeypatch):
    monkeypatch.setattr(streaming, "_CHUNK", 1 << 12)
    peaks = []
    for total in (300, 6000):
        row = {"filename": "a.png", "split": "train", "sentences": [{"raw": "a pier " * 5}] * 5}
        rows = load_large(folder.json("dataset.json", {"images": [row] * total}))["images"]
        tracemalloc.start()
        assert sum(len(row["sentences"]) for row in rows) == 5 * total
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # the rows of 6000 would be 20 MB
