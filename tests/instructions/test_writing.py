import json

import pytest
from PIL import Image as Picture

from swath import endpoint as http
from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import EndpointError
from swath.files import read_jsonl
from swath.instructions.attributes import Looks
from swath.instructions.writing import (
    LONGEST_TOKENS,
    TRIES,
    estimate,
    facts_of,
    fault_of,
    write_conversations_about,
)
from swath.recipe import Writer
from tests.endpoints import endpoint, said

GOOD = [{"question": "What is here?", "answer": "Two ships lie at the top left."}]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def port(tmp_path):
    path = tmp_path / "port.png"
    Picture.new("RGB", (90, 90), (120, 120, 120)).save(path)
    return AnnotatedImage(
        "port", str(path), (90, 90), label="port", captions=("A quiet port.",), split="train",
        boxes=Boxes.from_hbb([[2, 2, 12, 12], [14, 2, 24, 12]]), names=("ship", "ship"),
        listed=("bridge", "ship"),
    )  # fmt: skip


def section(stand, **values):
    values = {"steps": [], "conversations": ["dialogue"], "at_once": 1} | values
    return Writer(endpoint=stand.address, model="qwen", **values)


def written(stand, port, tmp_path, **values):
    return write_conversations_about([port], section(stand, **values), Looks(), tmp_path / "run")


def rejected(tmp_path):
    return [row["reason"] for row in read_jsonl(tmp_path / "run/rejects.jsonl", "rejects")]


def test_what_is_believed_becomes_a_conversation_about_the_picture(port, tmp_path):
    kinds = ["dialogue", "detail", "reasoning"]
    with endpoint(lambda _: f"Here it is:\n{json.dumps(GOOD)}") as stand:
        rows = written(stand, port, tmp_path, conversations=kinds)["port"]
        again = written(stand, port, tmp_path, conversations=kinds)["port"]
        assert len(stand.prompts) == 3  # answers are kept
        assert all(body["max_tokens"] == LONGEST_TOKENS for _, body in stand.bodies)
    assert [row.id for row in rows] == ["port#dialogue0", "port#detail0", "port#reasoning0"]
    assert rows[0].task == "converse" and rows[0].images[0].path == port.path
    assert rows[0].text("assistant") == GOOD[0]["answer"] and rows[0].upright
    assert again == rows and rejected(tmp_path) == []


def test_the_model_is_told_facts_and_never_a_pixel(port, tmp_path):
    with endpoint(lambda _: json.dumps(GOOD)) as stand:
        written(stand, port, tmp_path)
        (prompt,) = stand.prompts
    assert "Scene: port\nCaption: A quiet port.\nObjects: 2 ships" in prompt
    assert prompt.count("Object: a gray ship at the top left") == 2
    assert "image_url" not in json.dumps(stand.bodies)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sorry, I cannot.", "no list"),
        ("[{]", "no list"),
        ("[]", "no list"),
        ('[{"question": "What?"}]', "no list"),
        ('[{"question": "What?", "answer": 3}]', "no text"),
        ('[{"question": "What?", "answer": " "}]', "empty"),
        ([("What?", "Five ships.")], "a number that was not told: 5"),
        ([("What?", "There are 12 of them.")], "a number that was not told: 12"),
        ([("What?", "A bridge and two ships.")], "a class that was not told: bridge"),
        ([("What?", "Two ships at {<1><2><3><4>}.")], "coordinates"),
        ([("What?", "A ship at [0.1, 0.2].")], "coordinates"),
        ([("这是什么？", "两艘船。")], "not in English"),
        ([("What?", "ship " * 300)], "more than 250 words"),
    ],
)
def test_what_says_more_than_the_facts_is_left_out_and_listed(port, tmp_path, text, reason):
    if isinstance(text, list):
        text = json.dumps([{"question": q, "answer": a} for q, a in text], ensure_ascii=False)
    with endpoint(lambda _: text) as stand:
        assert written(stand, port, tmp_path) == {}
        assert len(stand.prompts) == TRIES
    (listed,) = rejected(tmp_path)
    assert reason in listed


def test_a_second_answer_may_be_believed(port, tmp_path):
    answers = ["rubbish", json.dumps(GOOD)]
    with endpoint(lambda _: answers.pop(0)) as stand:
        assert len(written(stand, port, tmp_path)["port"]) == 1
    assert rejected(tmp_path) == []


def test_an_answer_that_does_not_end_is_given_up_in_time(port, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TRIES", 2)

    class Endless:
        def __enter__(self):
            import time

            time.sleep(0.6)

        def __exit__(self, *_):
            pass

    with endpoint(lambda _: json.dumps(GOOD)) as stand:
        stand.lock = Endless()
        with pytest.raises(EndpointError, match=r"port: .*gave no answer .*goes on where"):
            written(stand, port, tmp_path, timeout_s=0.2)


def test_nothing_more_is_asked_once_the_budget_is_spent(port, tmp_path):
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    with endpoint(lambda _: (200, said(json.dumps(GOOD), **usage))) as stand:
        kinds = ["dialogue", "detail", "reasoning"]
        with pytest.raises(EndpointError, match=r"cost 2\.00 and the limit is 1\.50"):
            written(stand, port, tmp_path, conversations=kinds, prices=(1.0, 1.0), max_cost=1.5)
        assert len(stand.prompts) == 2


def test_the_estimate_counts_requests_tokens_and_cost_before_anything_is_asked(port):
    values = {"steps": [], "conversations": ["dialogue", "detail"], "prices": (0.0, 1000.0)}
    about = estimate([port], Writer(endpoint="http://127.0.0.1:9/v1", model="q", **values))
    assert (about.requests, about.written) == (2, LONGEST_TOKENS)
    assert 200 < about.read < 800 and about.cost == pytest.approx(0.8)
    values["steps"] = ["join", "translate"]
    more = estimate([port], Writer(endpoint="http://127.0.0.1:9/v1", model="q", **values))
    assert more.requests == 4 and more.read > about.read and more.written > about.written


def test_chinese_is_asked_for_and_held_to(port, tmp_path):
    text = json.dumps([{"question": "这是什么？", "answer": "港口。"}], ensure_ascii=False)
    facts = facts_of(port, Looks())
    assert fault_of(json.loads(text), facts, ["bridge"], "Chinese") is None
    assert fault_of(GOOD, facts, ["bridge"], "Chinese") == "not in Chinese"
    assert fault_of(json.loads(text), facts, ["bridge"], "中文") is None


def test_a_class_that_was_not_told_is_left_out_in_chinese_too(port):
    facts = facts_of(port, Looks())
    names = ["bridge", "overpass", "ship"]
    for answer, reason in [
        ("港口里有船。", None),
        ("港口里有桥梁。", "a class that was not told: bridge"),
        ("港口里有立交桥。", "a class that was not told: overpass"),
    ]:
        assert fault_of([{"question": "有什么？", "answer": answer}], facts, names, "zh") == reason


def test_a_build_adds_what_was_written_and_counts_it_on_the_card(tmp_path):
    from swath.experiment import Experiment
    from swath.recipes import validate

    answer = [{"question": "What is it?", "answer": "A place seen from above."}]
    with endpoint(lambda _: json.dumps(answer)) as stand:
        writer = section(stand).model_dump(mode="json")
        values = {
            "name": "rs",
            "annotations": {"drawn": {"count": 4, "size_px": 48}},
            "instructions": {"tasks": ["caption"], "writer": writer},
        }
        built = Experiment(validate(values, "rs.yaml"), tmp_path / "rs").build()
    rows = [row for row in built.conversations if row.task == "converse"]
    assert built.card["written"] == {"model": "qwen", "asked": len(rows), "kept": len(rows)}
    assert len(rows) == built.card["images"]["train"]
