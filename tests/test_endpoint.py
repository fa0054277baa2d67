import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from swath import endpoint as http
from swath.endpoint import Endpoint, digest, host_of, is_address, split_address
from swath.errors import EndpointError, RequestError
from swath.files import Journal
from tests.endpoints import endpoint, said


def says(words):
    return {"messages": [{"role": "user", "content": words}]}


HELLO = says("hello")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def reached(stand, path=None, **values):
    return Endpoint(stand.address, "gpt", "OPENAI_API_KEY", Journal(path, "replies"), **values)


def test_an_answer_is_asked_for_once_and_again_in_another_process_not_at_all(tmp_path):
    with endpoint(lambda _: "hi") as stand:
        for _ in range(2):
            with reached(stand, tmp_path / "r.jsonl") as asked:
                assert asked.complete(HELLO, "q").answer == "hi"
        assert len(stand.bodies) == 1


def test_an_empty_answer_is_an_answer_unless_it_cannot_be_used():
    with endpoint(lambda _: "") as stand, reached(stand) as asked:
        assert asked.complete(HELLO, "q").answer == ""
        with pytest.raises(EndpointError, match="answered 3 times what cannot be used"):
            asked.complete(says("again"), "q", accept=bool)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([{"type": "thinking", "thinking": "2?"}, {"type": "text", "text": "3"}], "3"),
        ("<think>2?</think> 3", "3"),
        ("2? Or rather</think>3", "3"),  # a template that opens the thought itself
        ("<think>perhaps 2, but", ""),  # cut off before any answer
    ],
)
def test_what_a_model_thinks_aloud_is_no_answer(words, answer):
    with endpoint(lambda _: said(words)) as stand, reached(stand) as asked:
        assert asked.complete(HELLO, "q").answer == answer


def test_a_line_break_after_the_key_is_dropped_and_none_within_it_is_ever_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    with endpoint(lambda _: "hi") as stand, reached(stand) as asked:
        assert asked.complete(HELLO, "q").answer == "hi"
        assert stand.headers[0]["Authorization"] == "Bearer sk-secret"
        for key in ("sk-\nsecret", "sk-secrét"):
            monkeypatch.setenv("OPENAI_API_KEY", key)
            with pytest.raises(RequestError, match=r"OPENAI_API_KEY: .*set it anew") as caught:
                reached(stand)
            assert "sk-" not in str(caught.value)


def test_an_answer_of_more_bytes_than_a_model_writes_is_given_up(monkeypatch):
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1 << 20)
    too_much = pytest.raises(EndpointError, match="an answer of more than 1 MB")
    with endpoint(lambda _: "x" * (2 << 20)) as stand, reached(stand, tries=1) as asked, too_much:
        asked.complete(HELLO, "q")


def test_lines_of_a_stream_come_whole_and_one_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1 << 20)
    words = "data: 湾 with\r\ndata: ships\n\nlast"
    with endpoint(lambda _: words.encode()) as stand, reached(stand, tries=1) as asked:
        with asked.stream(HELLO, "q") as lines:
            assert list(lines) == ["data: 湾 with", "data: ships", "", "last"]
        stand.reply = lambda _: b"x" * (2 << 20)
        too_much = pytest.raises(EndpointError, match="an answer of more than 1 MB")
        with too_much, asked.stream(HELLO, "q") as lines:
            list(lines)


def test_an_answer_that_goes_on_for_ever_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle():
            peer, _ = server.accept()
            with peer, suppress(OSError):
                peer.recv(1 << 16)
                peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    peer.sendall(b" ")
                    time.sleep(0.01)

        threading.Thread(target=trickle, daemon=True).start()
        address, kept = f"http://127.0.0.1:{server.getsockname()[1]}/v1", Journal(None, "replies")
        asked = Endpoint(address, "gpt", "OPENAI_API_KEY", kept, tries=1, timeout_s=0.2)
        with asked, pytest.raises(EndpointError, match="its answer did not end"):
            asked.complete(HELLO, "q")


@pytest.mark.parametrize(
    "response",
    [
        {"choices": [{"message": {"content": None, "refusal": "I cannot help."}}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
        (400, {"error": {"code": "content_policy_violation", "message": "no"}}),
    ],
)
def test_a_refusal_is_told_from_an_answer_and_not_asked_again(response):
    with endpoint(lambda _: response) as stand, reached(stand) as asked:
        assert asked.complete(HELLO, "q").refused
        assert asked.complete(HELLO, "q").refused
        assert len(stand.bodies) == 1


def test_an_error_that_is_no_refusal_is_not_taken_for_one():
    body = {"error": {"message": "context of 1 token exceeded"}}
    with (
        endpoint(lambda _: (400, body)) as stand,
        reached(stand) as asked,
        pytest.raises(EndpointError, match=r"q: .*status 400 .*exceeded"),
    ):
        asked.complete(HELLO, "q")


@pytest.mark.parametrize("as_date", [False, True])
def test_a_busy_endpoint_is_asked_again_when_it_says(monkeypatch, as_date):
    after = format_datetime(datetime.now(UTC) + timedelta(seconds=60)) if as_date else "60"
    left = [(429, {}, {"Retry-After": after})]
    waits = []
    with endpoint(lambda _: left.pop() if left else "hi") as stand, reached(stand) as asked:
        monkeypatch.setattr(asked.stopped, "wait", lambda seconds: waits.append(seconds))
        assert asked.complete(HELLO, "q").answer == "hi"
    assert 50 < waits[0] <= 60


def test_a_wait_without_end_is_not_honoured(monkeypatch):
    left = [(503, {}, {"Retry-After": "999999"})]
    waits = []
    with endpoint(lambda _: left.pop() if left else "hi") as stand, reached(stand) as asked:
        monkeypatch.setattr(asked.stopped, "wait", lambda seconds: waits.append(seconds))
        asked.complete(HELLO, "q")
    assert waits == [http.LONGEST_PAUSE_S]


def test_a_slow_endpoint_is_given_up_after_the_time_that_was_said():
    gate = threading.Event()

    def reply(_):
        gate.wait(5)
        return "late"

    with endpoint(reply) as stand, reached(stand, tries=2, timeout_s=0.05) as asked:
        with pytest.raises(EndpointError, match="ReadTimeout"):
            asked.complete(HELLO, "q")
        gate.set()


def test_costs_are_counted_over_processes_and_stop_at_the_limit(tmp_path):
    # 1,000 tokens at 10 a million are 0.01, 100 written at 30 a million 0.003.
    prices = {"prices": (10.0, 30.0), "max_cost": 0.02}
    reply = said("hi", prompt_tokens=1000, completion_tokens=100)
    with endpoint(lambda _: reply) as stand:
        with reached(stand, tmp_path / "r.jsonl", **prices) as asked:
            assert asked.complete(says("1"), "a").cost == pytest.approx(0.013)
            asked.complete(says("2"), "b")
            with pytest.raises(EndpointError, match=r"c: not asked.* cost 0.03 .*limit is 0.02"):
                asked.complete(says("3"), "c")
        with reached(stand, tmp_path / "r.jsonl", **prices) as again:
            assert again.complete(says("2"), "b").answer == "hi"  # known, so free
            with pytest.raises(EndpointError, match="Raise the limit to go on"):
                again.complete(says("3"), "c")
        assert len(stand.bodies) == 2


def test_answers_that_cannot_be_used_are_paid_for_whether_or_not_a_good_one_follows(tmp_path):
    # Each reply costs 0.01: three that are given up, then one of no use before a good one.
    words = iter(["no", "no", "no", "no", "yes"])
    prices = {"prices": (10.0, 0.0), "max_cost": 1.0}
    with endpoint(lambda _: said(next(words), prompt_tokens=1000, completion_tokens=1)) as stand:
        with reached(stand, tmp_path / "r.jsonl", **prices) as asked:
            for question in ("1", "2"):
                with suppress(EndpointError):
                    asked.complete(says(question), "q", accept=lambda text: text == "yes")
            assert asked.spent == pytest.approx(0.05)
        with reached(stand, tmp_path / "r.jsonl", **prices) as again:
            assert again.spent == pytest.approx(0.05)
            assert again.complete(says("2"), "q").answer == "yes"
        assert len(stand.bodies) == 5


def test_an_endpoint_that_hides_its_tokens_cannot_be_limited():
    with (
        endpoint(lambda _: "hi") as stand,
        reached(stand, prices=(1.0, 1.0)) as asked,
        pytest.raises(EndpointError, match="does not say how many tokens"),
    ):
        asked.complete(HELLO, "q")


def test_tokens_below_nothing_do_not_lift_the_limit():
    with (
        endpoint(lambda _: said("hi", prompt_tokens=-9, completion_tokens=1)) as stand,
        reached(stand, prices=(1.0, 1.0)) as asked,
        pytest.raises(EndpointError, match="does not say how many tokens"),
    ):
        asked.complete(HELLO, "q")


def test_after_an_error_what_has_not_begun_is_not_asked():
    with endpoint(lambda _: (401, {})) as stand, reached(stand) as asked:

        def ask(number):
            return asked.complete(says(str(number)), str(number))

        with pytest.raises(EndpointError, match="does OPENAI_API_KEY hold its key"):
            asked.each(ask, list(range(50)), at_once=1)
        assert len(stand.bodies) < 5


def test_results_come_in_the_order_of_the_items():
    with endpoint(lambda prompt: prompt) as stand, reached(stand) as asked:
        steps = []
        body = [says(str(n)) for n in range(9)]
        found = asked.each(
            lambda one: asked.complete(one, "q").answer, body, 4, lambda *step: steps.append(step)
        )
    assert found == [str(n) for n in range(9)]
    assert steps == [(n, 9) for n in range(1, 10)]


def test_no_error_shows_the_key_or_the_password(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with endpoint(lambda _: (400, {"error": "wrong sk-secret"})) as stand:
        address = stand.address.replace("//", "//me:pass@")
        asked = Endpoint(address, "gpt", "OPENAI_API_KEY", Journal(None, "replies"), tries=1)
        with pytest.raises(EndpointError) as error:
            asked.complete(HELLO, "q")
    assert "sk-secret" not in str(error.value) and "pass" not in str(error.value)
    assert "127.0.0.1" in str(error.value)


def test_a_name_holds_address_and_model():
    assert split_address("http://h:8000/v1#gpt-4o") == ("http://h:8000/v1", "gpt-4o")
    assert host_of("https://me:pw@h:8000/v1#gpt") == "h:8000"
    assert is_address("https://h/v1#m") and not is_address("runs/http")
    with pytest.raises(RequestError, match=r"written as http://host:8000/v1#its-name"):
        split_address("http://h:8000/v1")
    with pytest.raises(RequestError, match=r"^'h:8000': its address holds a password; put it"):
        split_address("http://me:pw@h:8000/v1#m")


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
