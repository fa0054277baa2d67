import pytest

from swath import registry
from swath.errors import RequestError
from swath.registry import Registry, did_you_mean


def table() -> Registry[int]:
    rows: Registry[int] = Registry("reader")
    rows.add("yolo", 1)
    rows.add("dota", 2)
    return rows


def test_rows_are_found_by_name_in_the_order_added():
    rows = table()
    assert rows.get("dota") == 2
    assert list(rows.items()) == [("yolo", 1), ("dota", 2)]
    assert "yolo" in rows and "coco" not in rows


def test_unknown_name_offers_the_nearest():
    with pytest.raises(RequestError, match=r"unknown reader 'doat'; did you mean dota\?"):
        table().get("doat")


def test_name_like_none_lists_all():
    with pytest.raises(RequestError, match=r"unknown reader 'parquet'; known: yolo, dota\."):
        table().get("parquet")
    assert did_you_mean("x", []) == "; none is known."


def test_taken_name_is_refused():
    with pytest.raises(RequestError, match="reader 'yolo' is already there; choose another name"):
        table().add("yolo", 3)


def test_plugins_add_rows_once_at_the_first_look_up(monkeypatch):
    calls = []

    class Entry:
        def load(self):
            return lambda rows: (calls.append(rows), rows.add("mine", 7))

    def entry_points(group):
        assert group == "swath.readers"
        return [Entry()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    rows: Registry[int] = Registry("reader", "swath.readers")
    rows.add("yolo", 1)
    assert calls == []
    assert rows.get("mine") == 7
    assert [name for name, _ in rows.items()] == ["yolo", "mine"]
    assert calls == [rows]
