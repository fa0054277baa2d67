"""What a folder that someone sent can make the page begin."""

import pytest

pytest.importorskip("gradio", reason="the extra `studio` is not installed")

from swath.errors import RequestError
from swath.files import claim, write_json
from swath.serving.jobs.worker import Worker
from swath.serving.studio.run_desk import RunDesk
from swath.serving.studio.work_desk import COMMAND, WorkDesk

FOREIGN = ["quickstart", "instructions.writer.endpoint=http://evil.example/v1"]


@pytest.fixture
def begun(monkeypatch):
    """Arguments of the verbs that were begun; none is."""
    begun = []
    monkeypatch.setattr(
        Worker, "start", lambda self, arguments, output=None: begun.append(arguments)
    )
    return begun


def test_a_run_whose_file_names_an_address_goes_on_by_a_persons_command_alone(tmp_path, begun):
    claim(tmp_path / "sent")
    write_json(tmp_path / "sent" / COMMAND, {"arguments": FOREIGN})
    with pytest.raises(RequestError, match=r"not you, names an address.*swath tune quickstart"):
        RunDesk(tmp_path).resume("sent")
    desk = RunDesk(tmp_path)
    desk.tune("own", FOREIGN)  # typed into this page
    desk.resume("own")
    assert begun == [["tune", *FOREIGN]] * 2


def test_a_scan_whose_file_names_an_address_goes_on_by_a_persons_command_alone(tmp_path, begun):
    claim(tmp_path / "sent")
    write_json(tmp_path / "sent" / COMMAND, {"arguments": ["--", "m", "http://10.0.0.1/a.tif"]})
    with pytest.raises(RequestError, match="names an address"):
        WorkDesk(tmp_path, "scan").resume("sent")
    assert not begun
