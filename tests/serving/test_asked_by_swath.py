"""A server of swath's, asked by swath: regions and boxes are the same as without a server."""

import threading
import time

import pytest
import uvicorn

import swath
from swath.cli.serve import listening
from swath.endpoint import models_at, notation_at
from tests.making import rectangle

REGION = "[identify] what is at [box 8 12 20 12 20 20 8 20]?"


@pytest.fixture
def address(app):
    """Where the application of the tiny model listens."""
    with listening("127.0.0.1", 0) as door:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()


def test_a_region_and_the_boxes_of_an_answer_are_those_of_the_model_itself(
    address, app, tiny_base, tmp_path, monkeypatch
):
    picture = rectangle(tmp_path / "field.png")
    near, far = swath.load(tiny_base), swath.load(f"{address}#tiny")
    elsewhere = "[identify] what is at [box 0 0 4 4]?"
    for question in (REGION, elsewhere):
        assert far.ask(picture, question, max_new_tokens=12).text == (
            near.ask(picture, question, max_new_tokens=12).text
        )
    assert near.ask(picture, REGION).text != near.ask(picture, elsewhere).text

    # the server reads its own family's boxes, of whatever notation, and says them in pixels
    engine = app.state.swath.model("tiny").engine
    read = engine.read
    monkeypatch.setattr(engine, "read", lambda text, prompt: read("{<25><25><75><50>}", prompt))
    whole = far.ask(picture, "[refer] where?", max_new_tokens=4)
    *_, grown = far.stream(picture, "[refer] where?", max_new_tokens=4)
    for reply in (whole, grown):
        assert reply.boxes.hbb.tolist() == [[8, 8, 24, 16]]


def test_a_server_tells_its_models_and_whose_it_is(address):
    assert [card["id"] for card in models_at(address)] == ["tiny"]
    assert (notation_at(address, "tiny"), notation_at(address, "other")) == ("swath", "minigpt")
