import os
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from swath import files
from swath.errors import FormatError, RequestError
from swath.files import Journal, lock, read_jsonl, write_jsonl


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
    assert names(path) == [files.MARK, "new.txt"]
    assert names(tmp_path) == ["run"]


def test_interrupt_while_filling_a_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "run"
    files.claim(path)
    (path / "old.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(path) as temporary:
        (temporary / "new.txt").write_text("new")
        raise KeyboardInterrupt
    assert names(path) == [files.MARK, "old.txt"]
    assert names(tmp_path) == ["run"]


def test_interrupt_between_the_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "run"
    files.claim(path)
    (path / "old.txt").write_text("old")
    rename, calls = os.rename, []

    def second_is_interrupted(self, target):
        calls.append(target)
        if len(calls) == 3:  # the first puts the mark into the new folder
            raise KeyboardInterrupt
        rename(self, target)

    monkeypatch.setattr(Path, "replace", second_is_interrupted)
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(path) as temporary:
        (temporary / "new.txt").write_text("new")
    assert names(path) == [files.MARK, "old.txt"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_and_folders_have_the_permissions_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write_text(tmp_path / "text.txt", "x")
        with files.replacing_folder(tmp_path / "model") as temporary:
            (temporary / "within").mkdir()
            weights = temporary / "within" / "weights"
            weights.touch(0o600)  # as safetensors writes them
    finally:
        os.umask(before)
    model = tmp_path / "model"
    assert model.stat().st_mode & 0o777 == 0o777 & ~mask
    for file in (tmp_path / "text.txt", model / files.MARK, model / "within" / "weights"):
        assert file.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_folder_that_swath_did_not_write_is_neither_replaced_nor_claimed(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    files.refuse_foreign(path)  # empty
    (path / "mine.jpg").write_text("mine")
    (path / "run.json").write_text('{"speed_km_h": 12}')  # of somebody's jogging
    with (
        pytest.raises(RequestError, match="was not written by swath"),
        files.replacing_folder(path),
    ):
        raise AssertionError
    with pytest.raises(RequestError, match="was not written by swath"):
        files.claim(path, "run.json")
    assert names(path) == ["mine.jpg", "run.json"]
    with pytest.raises(RequestError, match="a file is there already"):
        files.claim(path / "mine.jpg")


def test_a_claimed_folder_may_be_claimed_and_filled_again(tmp_path):
    for _ in range(2):
        files.claim(tmp_path / "run")
        (tmp_path / "run" / "more.txt").write_text("x")
    files.write_json(tmp_path / "old" / "run.json", {"base": "a"})  # by an older swath
    files.claim(tmp_path / "old", "run.json")
    assert names(tmp_path / "old") == [files.MARK, "run.json"]


def test_a_file_of_another_kind_is_left_alone(tmp_path):
    path = tmp_path / "page.html"
    files.refuse_foreign_file(path, b"swath")
    path.touch()
    files.refuse_foreign_file(path, b"swath")
    path.write_text("<p>by swath</p>")
    files.refuse_foreign_file(path, b"swath")
    path.write_text("<p>my thesis</p>")
    with pytest.raises(RequestError, match="choose another name"):
        files.refuse_foreign_file(path, b"swath")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("B04", "B04"),
        ("../../x", "_.._x"),
        ("/etc/passwd", "_etc_passwd"),
        (r"C:\\x y", "C_x_y"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("影像 1", "影像_1"),
        ("a" * 300, "a" * 120),
    ],
)
def test_a_name_from_outside_is_that_of_one_file(name, safe):
    assert files.safe_name(name) == safe


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_fills_is_not(tmp_path):
    path = tmp_path / "model"
    dead = subprocess.Popen(["true"])
    dead.wait()
    start = f".model.{socket.gethostname()}-"
    (tmp_path / f"{start}{dead.pid}-0a").mkdir()
    (tmp_path / f"{start}{dead.pid}-0a" / "half").touch()
    (tmp_path / f"{start}{dead.pid}-0b").touch()
    (tmp_path / f"{start}{'9' * 30}-0e").touch()  # no process has such a number
    (tmp_path / f"{start}{os.getppid()}-0c").touch()
    (tmp_path / ".model.otherhost-1-0d").touch()
    files.claim(path)
    with files.replacing_folder(path):
        pass
    left = [".model.otherhost-1-0d", f"{start}{os.getppid()}-0c", "model"]
    assert names(tmp_path) == sorted(left)


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
    assert journal.get("a")["value"] == 1 and len(journal.rows()) == 1
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


def test_what_is_no_lock_is_one_error_and_stays_as_it_is(tmp_path):
    notes, folder = tmp_path / "notes", tmp_path / "folder"
    notes.write_text("somebody's words\n" * 100)
    folder.mkdir()
    for place in (notes, folder):
        with pytest.raises(RequestError, match="cannot be locked"):
            lock(place, "another process")
    assert notes.read_text() == "somebody's words\n" * 100
    with closing(lock(tmp_path / "lock", "")), pytest.raises(RequestError, match="another process"):
        lock(tmp_path / "lock", "another process")


def test_an_error_of_a_temporary_path_names_what_it_stands_for(tmp_path):
    target = tmp_path / "out.json"
    target.mkdir()
    with pytest.raises(OSError) as error, files.replacing(target):
        pass
    assert error.value.filename != str(target)
    assert files.target_of(error.value.filename) == str(target)
    assert files.target_of(f"{error.value.filename}/model") == f"{target}/model"
    assert files.target_of("a/.out.json.other-1-0123abcd") == "a/.out.json.other-1-0123abcd"
