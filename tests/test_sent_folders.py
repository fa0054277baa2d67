"""What a folder from elsewhere may not do by being looked at or gone on with."""

import sqlite3
import struct
from contextlib import closing

import pytest

from swath.annotations.fingerprints import _opened
from swath.errors import FormatError, ModelError, RequestError
from swath.files import Journal, lock, write_json
from swath.models.loading import base_of
from swath.serving.jobs.state import State
from swath.serving.jobs.worker import LOCK, LOG, Worker
from swath.serving.studio.work_desk import COMMAND, WorkDesk

OPENERS = {
    "lock": lambda file: lock(file, "held").close(),
    "worker": lambda file: Worker(file.parent).alive,
    "looks": lambda file: _opened(file).close(),
    "state": lambda file: State(file).close(),
}


def armed(database, victim):
    """A database with a journal of a transaction over several files, which names another one."""
    with closing(sqlite3.connect(database)) as base:
        base.execute("CREATE TABLE anything (number)")
        base.commit()
    name = str(victim).encode()
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name
    tail += struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    database.with_name(f"{database.name}-journal").write_bytes(b"\x01" * 512 + tail)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_journal_that_came_with_a_folder_deletes_nothing(tmp_path, opener):
    victim = tmp_path / "mine.txt"
    victim.write_text("mine")
    database = tmp_path / "sent" / LOCK
    database.parent.mkdir()
    armed(database, victim)
    OPENERS[opener](database)
    assert victim.read_text() == "mine"


def test_nothing_is_written_through_a_link_of_a_folder(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("whole\nand the rest")
    sent = tmp_path / "sent"
    (sent / "base").mkdir(parents=True)
    (sent / "base" / "replies.jsonl").symlink_to(mine)
    with pytest.raises(RequestError, match=r"replies.jsonl: a link"):
        Journal(sent / "base" / "replies.jsonl", "replies")
    (sent / LOG).symlink_to(mine)
    with pytest.raises(RequestError, match=r"log.txt: a link"):
        Worker(sent).start(["--help"])
    (sent / LOG).unlink()
    (sent / "check").symlink_to(tmp_path)
    with pytest.raises(RequestError, match=r"check: a link"):
        Worker(sent).start(["--help"], sent / "check" / "mine.txt")
    assert mine.read_text() == "whole\nand the rest"


def test_a_file_of_another_kind_is_not_cut_short(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("whole\nand the rest")
    with pytest.raises(FormatError):
        Journal(mine, "replies")
    assert mine.read_text() == "whole\nand the rest"


def test_no_model_is_asked_because_an_exported_folder_names_it(tmp_path):
    write_json(tmp_path / "swath.json", {"made_from": "http://10.0.0.1:8000/v1#model"})
    with pytest.raises(ModelError, match="is no run, so what it was tuned from is not at hand"):
        base_of(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["quickstart", "name=best", "--fresh"],
        ["quickstart", "--home", "../../elsewhere"],
        ["m", "a.tif", "--to=../../elsewhere/a.gpkg"],
    ],
)
def test_work_is_not_gone_on_with_by_arguments_that_lead_out_of_its_home(tmp_path, arguments):
    write_json(tmp_path / "sent" / COMMAND, {"arguments": arguments})
    with pytest.raises(RequestError, match="not you, names an address or another folder"):
        WorkDesk(tmp_path, "tune").resume("sent")
