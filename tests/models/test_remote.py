import base64
import io
import json

import numpy as np
import pytest
from PIL import Image as Picture

from swath import endpoint as http
from swath.boxes import Boxes
from swath.errors import EndpointError, RequestError
from swath.instructions.conversation import Box, Conversation, Image, assistant, system, user
from swath.models.remote import RemoteEngine
from swath.recipe import Remote
from tests.endpoints import endpoint
from tests.making import asks, rectangle

A = {"token": "A", "logprob": -2.0}
B = {"token": " B", "logprob": -0.5}
ODD = {"token": "The", "logprob": -3.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def picture(tmp_path):
    return rectangle(tmp_path / "wide.png", (8, 12, 40, 30), (64, 40))


def engine(stand, journal=None, blind=False, **values):
    return RemoteEngine(f"{stand.address}#gpt", Remote(**values), journal, blind=blind)


def where(path, size_wh=(64, 40), box=(16, 10, 48, 30), task="refer"):
    parts = (Image(path, size_wh), "\nwhere is ", Box(Boxes.from_hbb(box)), "?")
    return Conversation("w", task, (system("Be short."), user(*parts)))


def test_turns_pictures_and_boxes_become_a_request(picture):
    with endpoint(lambda _: "a field") as stand:
        (found,) = engine(stand, image_px=32).answer([where(picture, task="region")], 7)
    assert (found.text, found.boxes, found.refused) == ("a field", None, False)
    path, body = stand.bodies[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("gpt", 7, 0)
    first, second = body["messages"]
    assert first == {"role": "system", "content": "Be short."}
    shown, text = second["content"]
    # 16, 10, 48, 30 of 64 x 40 pixels are a quarter and three quarters.
    assert text == {"type": "text", "text": "where is {<25><25><75><75>}?"}
    kind, _, data = shown["image_url"]["url"].partition(";base64,")
    sent = Picture.open(io.BytesIO(base64.b64decode(data)))
    assert (kind, sent.size, sent.format) == ("data:image/png", (32, 20), "PNG")


def test_a_schema_is_asked_for_as_the_response_format(picture):
    schema = {"type": "object"}
    with endpoint(lambda _: "{}") as stand:
        engine(stand).answer([asks(picture)], 7, None, schema)
        engine(stand).answer([asks(picture)], 7)
    (_, bound), (_, free) = stand.bodies
    named = {"name": "answer", "schema": schema, "strict": True}
    assert bound["response_format"] == {"type": "json_schema", "json_schema": named}
    assert "response_format" not in free


def test_boxes_come_back_in_pixels_and_the_notation_is_explained(picture):
    with endpoint(lambda _: "{<25><25><75><75>}") as stand:
        (found,) = engine(stand, image_px=32).answer([where(picture)])
    assert found.boxes.hbb.tolist() == [[16, 10, 48, 30]]
    assert "Write a box as in {<25><25><75><75>}, which is the middle" in stand.prompts[0]


def test_further_fields_replace_swath_s_own(picture):
    with endpoint(lambda _: "x") as stand:
        body = {"max_tokens": None, "max_completion_tokens": 9, "seed": 4}
        engine(stand, body=body, image_format="jpeg").answer([asks(picture).question])
    sent = stand.bodies[0][1]
    assert "max_tokens" not in sent and (sent["max_completion_tokens"], sent["seed"]) == (9, 4)
    url = sent["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")


def test_blind_sends_no_picture_and_still_reads_boxes(picture):
    with endpoint(lambda _: "{<0><0><50><50>}") as stand:
        (found,) = engine(stand, blind=True).answer([where(picture)])
    assert isinstance(stand.bodies[0][1]["messages"][1]["content"], str)
    assert found.boxes.hbb.tolist() == [[0, 0, 32, 20]]


def test_answers_are_kept_by_content_and_not_asked_for_again(picture, tmp_path):
    some = [asks(picture).question, asks(picture, question="And now?").question]
    with endpoint(lambda prompt: prompt) as stand:
        for _ in range(2):
            found = engine(stand, tmp_path / "r.jsonl").answer(some)
            assert [one.text for one in found] == ["What is it?", "And now?"]
        assert len(stand.bodies) == 2
        engine(stand, tmp_path / "r.jsonl", image_px=16).answer(some[:1])
        rectangle(picture, (1, 1, 2, 2), (64, 40))
        engine(stand, tmp_path / "r.jsonl").answer(some[:1])
        assert len(stand.bodies) == 4  # another side, another picture


def test_the_cost_limit_keeps_what_was_answered(picture, tmp_path):
    reply = {"choices": [{"message": {"content": "x"}}]}
    reply["usage"] = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    some = [asks(picture, question=f"{n}?").question for n in range(5)]
    section = {"prices": (1.0, 1.0), "at_once": 1}
    with endpoint(lambda _: reply) as stand:
        with pytest.raises(EndpointError, match="answers so far are kept"):
            engine(stand, tmp_path / "r.jsonl", max_cost=2.0, **section).answer(some)
        assert len(stand.bodies) == 2
        engine(stand, tmp_path / "r.jsonl", max_cost=9.0, **section).answer(some)
        assert len(stand.bodies) == 5


def test_choices_are_weighed_by_their_letters(picture):
    reply = {"choices": [{"message": {"content": "B"}}]}
    reply["choices"][0]["logprobs"] = {"content": [{"top_logprobs": [A, B, ODD]}]}
    with endpoint(lambda _: reply) as stand:
        remote = engine(stand, logprobs=True)
        (logs,) = remote.score([asks(picture).question], [["port", "park", "pond"]])
    assert logs.tolist() == [-2.0, -0.5, -3.0]  # C is not told: the least that was
    assert "A. port\nB. park\nC. pond\nAnswer with one letter." in stand.prompts[0]
    sent = stand.bodies[0][1]
    assert (sent["max_tokens"], sent["logprobs"], sent["top_logprobs"]) == (1, True, 20)


def test_a_model_that_names_no_letter_weighs_nothing(picture):
    reply = {"choices": [{"message": {"content": "The"}}]}
    reply["choices"][0]["logprobs"] = {"content": [{"top_logprobs": [ODD]}]}
    with endpoint(lambda _: reply) as stand:
        (logs,) = engine(stand, logprobs=True).score([asks(picture).question], [["a", "b"]])
    assert not np.isfinite(logs).any()


def test_choices_that_cannot_be_weighed_are_an_error_with_advice(picture):
    question = asks(picture).question
    with endpoint(lambda _: "A") as stand:
        with pytest.raises(EndpointError, match=r"without probabilities; set .*logprobs=false"):
            engine(stand, logprobs=True).score([question], [["a", "b"]])
        with pytest.raises(EndpointError, match=r"21 choices cannot be weighed .*ask freely"):
            engine(stand, logprobs=True).score([question], [["x"] * 21])
    assert engine(stand).weighs(2) is False and engine(stand, logprobs=True).weighs(20)


def test_the_box_of_an_answer_lies_in_the_last_question_s_picture(tmp_path):
    small, large = (rectangle(tmp_path / f"{n}.png", (1, 1, 5, 5), (n, n)) for n in (20, 40))
    turns = (
        user(Image(small, (20, 20)), "\nwhere?"),
        assistant(Box(Boxes.from_hbb([5, 5, 15, 15]))),
        user(Image(large, (40, 40)), "\nand here?"),
    )
    with endpoint(lambda _: "{<25><25><75><75>}") as stand:
        (found,) = engine(stand).answer([Conversation("q", "refer", turns)])
    assert found.boxes.hbb.tolist() == [[10, 10, 30, 30]]
    assert stand.bodies[0][1]["messages"][1]["content"] == "{<25><25><75><75>}"


def test_a_name_without_a_model_is_refused():
    with pytest.raises(RequestError, match="its-name"):
        RemoteEngine("http://127.0.0.1:1/v1", Remote())


def test_an_assistant_asks_an_address_like_a_model(picture):
    import swath

    with endpoint(lambda _: "a field") as stand:
        assert str(swath.load(f"{stand.address}#gpt").ask(picture, "What is it?")) == "a field"


def events(*pieces, end="stop"):
    """A stream as OpenAI's endpoints send it."""
    chunks = [
        {"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    if end:
        chunks.append({"choices": [{"delta": {}, "finish_reason": end}]})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([": a remark\n\n", *lines, "data: [DONE]\n\n"]).encode()


def test_a_streamed_answer_grows_and_ends_with_its_boxes(tmp_path):
    question = asks(rectangle(tmp_path / "a.png"))
    with endpoint(lambda prompt: (200, events("at ", "{<25><50>", "<75><100>}"))) as stand:
        parts = [*RemoteEngine(f"{stand.address}#m", Remote()).stream(question.question)]
        assert stand.bodies[0][1]["stream"] is True
    texts = ["at ", "at {<25><50>", "at {<25><50><75><100>}"]
    assert list(dict.fromkeys(part.text for part in parts)) == texts
    assert parts[-1].boxes.hbb.tolist() == [[8, 16, 24, 32]] and parts[0].boxes is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, events("half", end=None)), "its answer broke off"),
        ((200, b'data: {"error": {"message": "out of memory"}}\n\n'), "out of memory"),
        ((503, "busy"), "status 503"),
    ],
)
def test_a_stream_that_fails_is_an_error(tmp_path, reply, words):
    question = asks(rectangle(tmp_path / "a.png"))
    with endpoint(lambda prompt: reply) as stand, pytest.raises(EndpointError, match=words):
        list(RemoteEngine(f"{stand.address}#m", Remote()).stream(question.question))
