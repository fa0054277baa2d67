"""What a server must not forget."""

import sqlite3

import pytest

from swath.errors import FormatError
from swath.serving.jobs.state import State


def test_things_are_kept_changed_and_forgotten(tmp_path):
    state = State(tmp_path / "state.sqlite")
    for name in ("b", "a"):
        state.add("file", {"id": name, "bytes": 1})
    state.change("file", "b", bytes=2)
    state.remove("a")
    state.close()
    again = State(tmp_path / "state.sqlite")
    assert again.all("file") == [{"id": "b", "bytes": 2}]
    assert again.get("file", "a") is None and again.get("job", "b") is None
    with pytest.raises(KeyError):
        again.change("job", "b", bytes=3)


def test_changes_happen_together_or_not_at_all(tmp_path):
    state = State(tmp_path / "state.sqlite")
    with pytest.raises(RuntimeError), state.transaction():
        state.add("job", {"id": "a"})
        state.tell("a", "created", {"id": 1})
        raise RuntimeError
    assert state.all("job") == [] and state.events("a") == []


def test_events_and_answers_are_kept_once(tmp_path):
    state = State(tmp_path / "state.sqlite")
    for loss in (0.5, 0.6):
        state.tell("job", "step/1", {"loss": loss})
        state.answer("batch", 7, {"answer": loss}, failed=False)
    assert state.events("job") == [{"loss": 0.5}]
    assert list(state.answers("batch", failed=False)) == [{"answer": 0.5}]


def test_many_answers_come_in_the_order_of_their_lines(tmp_path):
    state = State(tmp_path / "state.sqlite")
    with state.transaction():
        for line in range(250, 0, -1):
            state.answer("batch", line, {"line": line}, failed=line % 2 == 0)
    lines = [row["line"] for row in state.answers("batch", failed=False)]
    assert lines == list(range(1, 251, 2))
    assert state.answered("batch") == set(range(1, 251))
    assert state.count("batch") == (125, 125) and state.count("other") == (0, 0)


def test_a_memory_that_is_damaged_or_newer_is_refused(tmp_path):
    (tmp_path / "damaged").write_bytes(b"no database" * 100)
    with pytest.raises(FormatError, match="is it a server's"):
        State(tmp_path / "damaged")
    with sqlite3.connect(tmp_path / "newer") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(FormatError, match="a newer swath wrote it"):
        State(tmp_path / "newer")
