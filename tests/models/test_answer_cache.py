from dataclasses import replace

import numpy as np
import pytest
import torch

from swath.files import Journal
from swath.instructions.tasks.truths import LabelTruth
from swath.models.answer_cache import KIND, Contents, RememberingEngine, identity
from swath.models.engine import LocalEngine
from swath.models.family import FAMILIES
from swath.models.generating.likelihood import Likelihoods
from tests.making import asks, rectangle


class Counting(LocalEngine):
    """Counts what its model is asked, and may be killed after some questions."""

    def __init__(self, loaded, dies_after=10**9, **values):
        super().__init__(loaded, **values)
        self.asked, self.dies_after = 0, dies_after

    def _seen(self, questions):
        if self.asked >= self.dies_after:
            raise KeyboardInterrupt
        self.asked += len(questions)

    def _generate(self, asked, *rest):
        self._seen(asked)
        return super()._generate(asked, *rest)

    def _score_rows(self, rows, orientation):
        self._seen([one for row in rows for one in row])
        return super()._score_rows(rows, orientation)


@pytest.fixture
def questions(tmp_path):
    some = []
    for number in range(20):
        path = rectangle(tmp_path / f"{number}.png", (number, 4, number + 9, 20))
        some.append(replace(asks(path).question, id=f"q{number}"))
    return some


def test_what_was_answered_is_not_asked_again_and_reads_the_same(tiny, questions, tmp_path):
    plain = LocalEngine(tiny, 2)
    texts = [["a red field", "a blue field"]] * len(questions)
    steps = []
    for _ in range(2):
        counting = Counting(tiny, batch_size=2)
        engine = RememberingEngine(counting, Journal(tmp_path / "r.jsonl", KIND))
        steps.clear()
        found = engine.answer(questions, 4, lambda *step: steps.append(step))
        assert [one.text for one in found] == [one.text for one in plain.answer(questions, 4)]
        assert steps[-1] == (20, 20)
        assert np.allclose(engine.score(questions, texts), plain.score(questions, texts), atol=1e-5)
        first = engine.score(questions, texts)
    assert counting.asked == 0
    again = engine.score(questions, texts)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))  # to the last bit


def test_boxes_are_remembered(tiny, questions, tmp_path, monkeypatch):
    monkeypatch.setattr(LocalEngine, "_generate", lambda *_: ["{<25><25><75><75>|<90>}"])
    monkeypatch.setattr(Likelihoods, "of_boxes", lambda *_: (0.75,))
    found = []
    for _ in range(2):
        counting = Counting(tiny, batch_size=1)
        engine = RememberingEngine(counting, Journal(tmp_path / "r.jsonl", KIND))
        found += engine.answer(questions[:1])
    assert counting.asked == 0
    assert found[1].boxes.hbb.tolist() == [[8, 8, 24, 24]]
    assert (found[0].boxes.quads == found[1].boxes.quads).all()
    assert found[0].confidence == found[1].confidence == (0.75,)


@pytest.mark.parametrize("way", ["answer", "score"])
def test_a_killed_evaluation_goes_on_at_the_batch_where_it_was(tiny, questions, tmp_path, way):
    rest = 4 if way == "answer" else [["a red field", "a blue field"]] * len(questions)
    dying = Counting(tiny, dies_after=6, batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        getattr(RememberingEngine(dying, Journal(tmp_path / "r.jsonl", KIND)), way)(questions, rest)
    with (tmp_path / "r.jsonl").open("ab") as stream:
        stream.write(b'{"key": "cut sh')
    counting = Counting(tiny, batch_size=2)
    engine = RememberingEngine(counting, Journal(tmp_path / "r.jsonl", KIND))
    found, plain = getattr(engine, way)(questions, rest), getattr(LocalEngine(tiny, 2), way)
    assert counting.asked == 14
    for ours, theirs in zip(found, plain(questions, rest), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5) if way == "score" else ours.text == theirs.text


def test_another_option_picture_or_model_is_asked_anew(tiny, questions, tmp_path):
    def asked(some, length=4):
        counting = Counting(tiny, batch_size=2)
        journal = Journal(tmp_path / "r.jsonl", KIND)
        RememberingEngine(counting, journal).answer(some, length)
        return counting.asked

    assert asked(questions[:2]) == 2
    assert asked([replace(questions[0], id="renamed", truth=LabelTruth("x"))]) == 0
    assert asked(questions[:2], 5) == 2
    rectangle(questions[0].images[0].path, (0, 0, 3, 3))  # another picture of the same name
    assert asked(questions[:2]) == 1
    with torch.no_grad():
        next(iter(tiny.model.parameters())).view(-1)[0] += 1
    assert asked(questions[:2]) == 2


def test_an_answer_by_schema_is_another_than_a_free_one(tiny, questions, tmp_path):
    counting = Counting(tiny, batch_size=2)
    engine = RememberingEngine(counting, Journal(tmp_path / "r.jsonl", KIND))
    for schema in (None, {"enum": ["a"]}, {"enum": ["b"]}, {"enum": ["a"]}, None):
        (found,) = engine.answer(questions[:1], 4, None, schema)
        assert schema is None or found.text == f'"{schema["enum"][0]}"'
    assert counting.asked == 3


def test_the_same_picture_elsewhere_is_the_same_question(tmp_path):
    one, two = (asks(rectangle(tmp_path / name / "a.png")) for name in "ab")
    assert Contents().of(one) == Contents().of(two)
    clip = f"{one.images[0].path}#frame="
    assert Contents().of(asks(clip + "1")) != Contents().of(asks(clip + "2"))


def test_a_model_is_itself_when_loaded_again(tiny, tiny_base):
    from swath.models.loaded import load_folder

    assert identity(tiny) == identity(load_folder(tiny_base, "elsewhere"))
    other = load_folder(tiny_base, "tiny")
    other.tokenizer.chat_template += " "
    assert identity(tiny) != identity(other)


@pytest.mark.parametrize("family", [name for name, _ in FAMILIES.items()])
def test_a_model_of_any_family_has_an_identity(tiny, family):
    other = replace(tiny, family=replace(FAMILIES.get(family), image_token="<other>"))
    assert identity(replace(tiny, family=FAMILIES.get(family))) != identity(other)
