import threading
from dataclasses import replace

import pytest
from pydantic import ValidationError

from swath import endpoint as http
from swath.annotations.image import AnnotatedImage
from swath.errors import EndpointError
from swath.instructions.rewriting import note, rewrite_captions
from swath.recipe import Writer
from tests.endpoints import endpoint, said

FIVE = ("A plane.", "One plane parks.", "Planes.", "An airport.", "Grass.")


def images(count=3):
    return [
        AnnotatedImage(f"airport_{n}", f"/{n}.png", (9, 9), captions=(*FIVE[:4], f"Gate {n}."))
        for n in range(count)
    ]


def section(stand, **values):
    return Writer(endpoint=stand.address + "/", model="qwen", **values)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def translator(prompt):
    return "停机坪上有飞机。" if "Translate" in prompt else "Planes and grass."


def test_five_captions_are_joined_and_translated(tmp_path):
    bare = AnnotatedImage("bare", "/b.png", (9, 9))
    seen = []
    with endpoint(translator) as stand:
        written = rewrite_captions(
            [*images(2), bare], section(stand), tmp_path / "w.jsonl", lambda *n: seen.append(n)
        )
    assert [one.captions for one in written] == [("停机坪上有飞机。",)] * 2 + [()]
    assert [one.id for one in written] == ["airport_0", "airport_1", "bare"]
    assert seen == [(1, 2), (2, 2)]
    joined = next(prompt for prompt in stand.prompts if "Gate 0." in prompt)
    assert "\n".join(FIVE[:4]) in joined
    # Two images, one joining each; the translation of the same text is asked at least once.
    assert 3 <= len(stand.prompts) <= 4
    path, body = stand.bodies[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"]) == ("qwen", 0)


def test_captions_are_put_one_after_the_other_and_missing_ones_repeated(tmp_path):
    (image,) = images(1)
    three = replace(image, captions=("A.", "B.", " ", "C."))
    with endpoint(lambda prompt: "飞机：" + prompt.rpartition("\n")[2]) as stand:
        steps = section(stand, steps=["concatenate", "translate"], captions=5)
        (written,) = rewrite_captions([three], steps, tmp_path / "w.jsonl")
    assert written.captions == ("飞机：A. B. C. A. B.",)
    assert len(stand.prompts) == 1  # no model is asked to join


def test_rewriting_keeps_each_caption_and_takes_the_recipe_s_prompt(tmp_path):
    with endpoint(lambda prompt: prompt.upper()) as stand:
        given = section(stand, steps=["rewrite"], prompt="Vary: {text}")
        (one,) = rewrite_captions(images(1), given, tmp_path / "w.jsonl")
    assert one.captions[0] == "VARY: A PLANE." and len(one.captions) == 5


def test_captions_are_rewritten_within_the_budget(tmp_path):
    answer = said("A plane.", prompt_tokens=1_000_000, completion_tokens=0)
    with endpoint(lambda _: (200, answer)) as stand:
        steps = section(stand, steps=["join"], at_once=1, prices=(1.0, 1.0), max_cost=1.5)
        with pytest.raises(EndpointError, match=r"cost 2\.00 and the limit is 1\.50"):
            rewrite_captions(images(3), steps, tmp_path / "w.jsonl")
        assert len(stand.prompts) == 2
        with pytest.raises(ValidationError, match="max_cost needs the prices"):
            section(stand, max_cost=1.5)


def test_thinking_aloud_is_left_out(tmp_path):
    with endpoint(lambda _: "<think>hm\nhm</think>\n\nA  plane.\n") as stand:
        (one,) = rewrite_captions(images(1), section(stand, steps=["join"]), tmp_path / "w.jsonl")
    assert one.captions == ("A plane.",)


def test_an_endpoint_that_fails_twice_is_asked_again(tmp_path):
    left = [500, 429]

    def reply(prompt):
        return (left.pop(), {"error": "busy"}) if left else translator(prompt)

    with endpoint(reply) as stand:
        given = section(stand, steps=["join"])
        (one,) = rewrite_captions(images(1), given, tmp_path / "w.jsonl")
    assert one.captions == ("Planes and grass.",)
    assert len(stand.prompts) == 3


def test_an_endpoint_that_stays_away_is_given_up(tmp_path):
    with endpoint(lambda _: (503, {"error": "loading"})) as stand:
        given = section(stand, at_once=1)
        with pytest.raises(EndpointError, match=r"airport_0: .*status 503.*goes on where it"):
            rewrite_captions(images(1), given, tmp_path / "w.jsonl")
        assert len(stand.prompts) == http.TRIES
    with pytest.raises(EndpointError, match=r"gave no answer .*is it running"):
        rewrite_captions(images(1), given, tmp_path / "w.jsonl")


def test_a_refused_key_or_model_is_not_asked_again(tmp_path):
    with endpoint(lambda _: (401, {"error": "bad key"})) as stand:
        with pytest.raises(EndpointError, match="does OPENAI_API_KEY hold its key"):
            rewrite_captions(images(1), section(stand), tmp_path / "w.jsonl")
        assert len(stand.prompts) == 1


@pytest.mark.parametrize("address", ["ftp://x/v1", "127.0.0.1/v1", "http://[::1/v1"])
def test_an_address_that_is_none_is_named_at_once(tmp_path, address):
    given = Writer(endpoint=address, model="qwen")
    with pytest.raises(EndpointError, match="gave no answer"):
        rewrite_captions(images(1), given, tmp_path / "w.jsonl")


@pytest.mark.parametrize(
    "rubbish",
    [
        "", " \n", "<think>only this</think>", b"<html>hello</html>", {"choices": []}, {"no": 1},
        [1], {"choices": [{"message": {"content": None}}]}, "A plane, in English.",
    ],
)  # fmt: skip
def test_rubbish_is_one_error_that_names_the_image(tmp_path, rubbish):
    with endpoint(lambda _: (200, rubbish) if not isinstance(rubbish, str) else rubbish) as stand:
        given = section(stand, steps=["translate"], at_once=1)
        with pytest.raises(EndpointError, match=r"^airport_0: qwen at .*3 times.*take another"):
            rewrite_captions(images(1), given, tmp_path / "w.jsonl")
        assert len(stand.prompts) == http.ASKS
    assert len((tmp_path / "w.jsonl").read_text().splitlines()) == 1  # the header alone


def test_long_rubbish_is_shortened(tmp_path):
    rubbish = (200, ("x" * 5000).encode())
    with endpoint(lambda _: rubbish) as stand, pytest.raises(EndpointError) as error:
        rewrite_captions(images(1), section(stand), tmp_path / "w.jsonl")
    assert len(str(error.value)) < 500


def test_another_language_may_use_any_script(tmp_path):
    with endpoint(lambda _: "Ein Flugzeug.") as stand:
        given = section(stand, steps=["translate"], language="German")
        (one,) = rewrite_captions(images(1), given, tmp_path / "w.jsonl")
    assert set(one.captions) == {"Ein Flugzeug."}


def test_a_stopped_build_goes_on_without_asking_again(tmp_path):
    cache = tmp_path / "w.jsonl"
    asked = []

    def dies_at_the_third(prompt):
        asked.append(prompt)
        return (400, {}) if len(asked) > 2 else f"Text {len(asked)}."

    with endpoint(dies_at_the_third) as stand, pytest.raises(EndpointError):
        rewrite_captions(images(4), section(stand, steps=["join"], at_once=1), cache)
    with cache.open("ab") as stream:
        stream.write(b'{"key": "cut sh')  # as a killed process leaves it
    with endpoint(lambda _: "Later.") as stand:
        written = rewrite_captions(images(4), section(stand, steps=["join"]), cache)
        assert len(stand.prompts) == 2
    assert [one.captions[0] for one in written] == ["Text 1.", "Text 2.", "Later.", "Later."]
    away = Writer(endpoint="http://127.0.0.1:9/v1", model="qwen", steps=["join"])
    again = rewrite_captions(images(4), away, cache)
    assert [one.captions for one in again] == [one.captions for one in written]


def test_another_model_is_asked_anew(tmp_path):
    with endpoint(lambda _: "One.") as stand:
        rewrite_captions(images(1), section(stand, steps=["join"]), tmp_path / "w.jsonl")
        other = section(stand, steps=["join"]).model_copy(update={"model": "glm"})
        rewrite_captions(images(1), other, tmp_path / "w.jsonl")
        assert len(stand.prompts) == 2


def test_the_key_is_sent_and_never_shown(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", "sk-secret-42")
    with endpoint(lambda _: (400, {"error": "wrong key sk-secret-42"})) as stand:
        caplog.set_level("DEBUG")
        with pytest.raises(EndpointError) as error:
            rewrite_captions(images(1), section(stand, key="MY_KEY"), tmp_path / "w.jsonl")
    assert stand.headers[0]["Authorization"] == "Bearer sk-secret-42"
    assert "sk-secret" not in str(error.value) and "***" in str(error.value)
    assert "sk-secret" not in caplog.text
    assert "sk-secret" not in (tmp_path / "w.jsonl").read_text()
    with endpoint(lambda _: "fine") as stand:
        rewrite_captions(images(1), section(stand, steps=["join"]), tmp_path / "w.jsonl")
        assert "Authorization" not in stand.headers[0]


def test_requests_are_under_way_at_the_same_time(tmp_path):
    both = threading.Barrier(2, timeout=5)

    def reply(_):
        return "fine"

    with endpoint(reply) as stand:
        stand.lock = _Meeting(both)
        rewrite_captions(images(2), section(stand, steps=["join"], at_once=2), tmp_path / "w.jsonl")
    assert not both.broken


class _Meeting:
    """Stands where the lock stood: each request waits until the other has come."""

    def __init__(self, barrier):
        self.barrier = barrier

    def __enter__(self):
        self.barrier.wait()

    def __exit__(self, *_):
        pass


def test_the_card_says_who_wrote_the_captions():
    given = Writer(endpoint="https://me:pw@llm.example.org:8443/v1", model="qwen")
    assert note(given) == "captions written by qwen at llm.example.org: join, translate"


def test_a_build_writes_its_captions_once_and_says_so_on_the_card(tmp_path):
    from swath.annotations.image import read_images
    from swath.experiment import Experiment
    from swath.recipes import validate

    def experiment(stand):
        given = section(stand).model_dump(mode="json")
        values = {
            "name": "rs",
            "annotations": {"drawn": {"count": 4, "size_px": 48}},
            "instructions": {"tasks": ["caption"], "phrasing": "chinese", "writer": given},
        }
        return Experiment(validate(values, "rs.yaml"), tmp_path / "rs")

    with endpoint(translator) as stand:
        built = experiment(stand).build()
        first = len(stand.prompts)
        again = experiment(stand).build()
        assert len(stand.prompts) == first >= 5
    assert {one.text("assistant") for one in built.conversations} == {"停机坪上有飞机。"}
    assert built.card["captions"] == ("captions written by qwen at 127.0.0.1: join, translate")
    assert [one.to_row() for one in again.conversations] == [
        one.to_row() for one in built.conversations
    ]
    kept = list(read_images(tmp_path / "rs" / "set" / "images.jsonl"))
    assert all(image.captions == ("停机坪上有飞机。",) for image in kept)
