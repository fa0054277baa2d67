import os
from pathlib import Path

import numpy as np
import pytest

from swath import files
from swath.errors import FormatError
from swath.files import Journal, read_jsonl, write_jsonl


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, OSError])
def test_interrupt_while_writing_leaves_the_old_file(tmp_path, interrupt):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(interrupt), files.replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise interrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["scores.json"]


def test_interrupt_between_rows_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    files.write_jsonl(path, "rows", [{"n": 1}])

    def rows():
        yield {"n": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_jsonl(path, "rows", rows())
    assert list(files.read_jsonl(path, "rows")) == [{"n": 1}]
    assert names(tmp_path) == ["rows.jsonl"]


def test_file_is_replaced_when_the_block_ends_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "deep" / "text.txt"
    files.write_text(path, "één")
    files.write_text(path, "twee")
    assert path.read_text(encoding="utf-8") == "twee"
    assert names(path.parent) == ["text.txt"]


def test_written_files_can_be_read_by_others(tmp_path):
    files.write_text(tmp_path / "text.txt", "x")
    assert (tmp_path / "text.txt").stat().st_mode & 0o777 == 0o644


def test_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "run"
    for content in ("old", "new"):
        with files.replacing_folder(path) as temporary:
            (temporary / f"{content}.txt").write_text(content)
    assert names(path) == ["new.txt"]
    assert names(tmp_path) == ["run"]


def test_interrupt_while_filling_a_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(path) as temporary:
        (temporary / "new.txt").write_text("new")
        raise KeyboardInterrupt
    assert names(path) == ["old.txt"]
    assert names(tmp_path) == ["run"]


def test_interrupt_between_the_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "run"
    path.mkdir()
    (path / "old.txt").write_text("old")
    rename, calls = os.rename, []

    def second_is_interrupted(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(self, target)

    monkeypatch.setattr(Path, "replace", second_is_interrupted)
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(path) as temporary:
        (temporary / "new.txt").write_text("new")
    assert names(path) == ["old.txt"]
    assert names(tmp_path) == ["run"]


def test_object_comes_back_with_its_format_number(tmp_path):
    path = tmp_path / "card.json"
    files.write_json(path, {"rows": 3, "sizes": np.array([1, 2])})
    assert files.read_json(path) == {"format": files.FORMAT, "rows": 3, "sizes": [1, 2]}


def test_rows_come_back_in_order(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"n": 1, "text": "línea\n"}, {"n": 2}]
    assert files.write_jsonl(path, "rows", iter(rows)) == 2
    assert list(files.read_jsonl(path, "rows")) == rows


def test_no_rows_are_a_file_too(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert files.write_jsonl(path, "rows", []) == 0
    assert list(files.read_jsonl(path, "rows")) == []


def test_newer_format_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text('{"format": 999, "kind": "rows"}\n{"n": 1}\n')
    with pytest.raises(FormatError, match=r"file:1: format 999, .* update swath"):
        list(files.read_jsonl(path, "rows"))
    path.write_text('{"format": 999}')
    with pytest.raises(FormatError, match=r"file: format 999, .* update swath"):
        files.read_json(path)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("", "empty; expected a header of kind 'rows'"),
        ('{"format": 1, "kind": "images"}\n', ":1: expected a header of kind 'rows'"),
        ('{"kind": "rows"}\n', ":1: no format number"),
        ("[1]\n", ":1: expected a JSON object, got list"),
        ('{"format": 1, "kind": "rows"}\n{"n": 1}\n{"n": 2', ":3: not valid JSON .* cut short"),
        ('{"format": 1, "kind": "rows"}\n\n{"n": 1}\n', ":2: not valid JSON"),
        ('{"format": 1, "kind": "rows"}\n{"n": 1}\n7\n', ":3: expected a JSON object, got int"),
    ],
)
def test_damaged_rows_are_named_with_their_line(tmp_path, content, advice):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(FormatError, match=f"rows.jsonl.*{advice}"):
        list(files.read_jsonl(path, "rows"))


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ('{"format": 1, "a"', "not valid JSON .* cut short"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "no format number; this is not a file swath wrote"),
    ],
)
def test_damaged_object_is_named(tmp_path, content, advice):
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=f"card.json: {advice}"):
        files.read_json(path)


def test_absent_file_asks_for_the_stage_before(tmp_path):
    with pytest.raises(FormatError, match="no such file; has the stage before been run"):
        list(files.read_jsonl(tmp_path / "rows.jsonl", "rows"))
    with pytest.raises(FormatError, match="no such file"):
        files.read_json(tmp_path / "card.json")


def test_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(FormatError, match="cannot be read: Is a directory"):
        list(files.read_jsonl(tmp_path, "rows"))
    with pytest.raises(FormatError, match="cannot be read: Is a directory"):
        files.read_json(tmp_path)


def test_a_journal_goes_on_after_its_last_whole_row(tmp_path):
    path = tmp_path / "j.jsonl"
    Journal(path, "replies").put("a", {"value": 0.1})
    with path.open("ab") as stream:
        stream.write(b'{"key": "b", "val')
    again = Journal(path, "replies")
    again.put("c", {"value": [1, 2]})
    again.close()
    assert [row["key"] for row in read_jsonl(path, "replies")] == ["a", "c"]
    assert again.get("a") == {"key": "a", "value": 0.1} and again.get("b") is None


def test_a_journal_knows_the_rows_of_others_and_leaves_their_files_alone(tmp_path):
    other = tmp_path / "other.jsonl"
    Journal(other, "replies").put("a", {"value": 1})
    with other.open("ab") as stream:
        stream.write(b'{"key": "being wri')  # by another process, just now
    before = other.read_bytes()
    journal = Journal(tmp_path / "j.jsonl", "replies", [other])
    assert journal.get("a")["value"] == 1 and len(journal) == 1
    journal.put("b", {"value": 2})
    assert other.read_bytes() == before
    assert [row["key"] for row in read_jsonl(tmp_path / "j.jsonl", "replies")] == ["b"]


def test_a_journal_of_another_kind_is_refused_and_one_without_a_file_forgets(tmp_path):
    write_jsonl(tmp_path / "j.jsonl", "images", [])
    with pytest.raises(FormatError, match="kind 'replies'"):
        Journal(tmp_path / "j.jsonl", "replies")
    journal = Journal(None, "replies")
    journal.put("a", {"value": 1})
    assert journal.rows() == [{"key": "a", "value": 1}]
    journal.close()
