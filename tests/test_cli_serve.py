"""What `swath serve` refuses before it serves: one line each, and nothing is left behind."""

import builtins
import json
import socket

import pytest

from swath.cli.serve import listening, named, serve
from swath.errors import ModelError, RequestError


def test_a_port_in_use_is_one_error():
    with listening("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with pytest.raises(RequestError, match=f"port {port} .*choose another with --port"):
            listening("127.0.0.1", port)
    assert isinstance(door, socket.socket)


def test_models_go_by_their_folders_or_by_a_name_of_ones_own():
    paths = named(["runs/aid", "other=runs/old/aid"])
    assert paths == {"aid": "runs/aid", "other": "runs/old/aid"}
    with pytest.raises(RequestError, match="would both go by 'aid'"):
        named(["runs/aid", "runs/old/aid"])


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    plain = builtins.__import__

    def without(name, *how, **more):
        if name.startswith("swath.serving"):
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return plain(name, *how, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RequestError, match=r"needs fastapi; install it .* 'swath\[serve\]'"):
        serve(["swath-nano"])


def test_no_model_or_one_that_is_gone_is_one_error(tmp_path):
    with pytest.raises(RequestError, match="name a run to serve"):
        serve([], home=tmp_path / "home")
    with pytest.raises(ModelError, match="there is no such run or folder"):
        serve([str(tmp_path / "gone")], port=0, home=tmp_path / "home")


def test_a_new_key_is_shown_once_and_kept_as_a_hash(tmp_path, capsys):
    serve(home=tmp_path, new_key="anna", at_once=2)
    key = capsys.readouterr().out.splitlines()[0]
    (row,) = json.loads((tmp_path / "keys.json").read_text())["keys"]
    assert key.startswith("swath-") and key not in json.dumps(row)
    assert (row["name"], row["at_once"], row["per_minute"]) == ("anna", 2, None)
    with pytest.raises(RequestError, match="has a key already"):
        serve(home=tmp_path, new_key="anna")
