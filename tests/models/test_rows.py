"""Answers that grow in one cache are those that each question gets alone, in every family."""

import itertools
import math

import pytest
import torch

from swath.instructions.conversation import Conversation, Image, user
from swath.models.engine import LocalEngine
from swath.models.generating import rows as growing_rows
from swath.models.generating.choosing import Wishes
from swath.models.generating.rows import Rows
from tests.making import asks, rectangle
from tests.models.test_family import FAMILIES, _made

pytestmark = pytest.mark.numeric

LONGEST = 8


@pytest.fixture(params=FAMILIES)
def model(request):
    """A tiny model of each family; tests do not change it."""
    return _made(request.param)


@pytest.fixture
def questions(tmp_path):
    """Six questions of different length about different pictures."""
    return [
        asks(rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12)), question="What" + " now" * x)
        for x in (9, 2, 14, 5, 1, 11)
    ]


def alone(engine, question, wishes):
    """An answer whose row has no other beside it."""
    rows = Rows(engine.inputs)
    answer = rows.answer(engine.prompt(question), wishes)
    rows.join([answer])
    while answer.finish is None:
        rows.step()
    return answer


def one_by_one(engine, questions, wishes):
    """Answers of rows that join one after another, a step apart."""
    rows = Rows(engine.inputs)
    answers = [rows.answer(engine.prompt(question), wishes) for question in questions]
    for answer in answers:
        rows.join([answer])
        rows.step()
    while rows.answers:
        rows.step()
    return answers


def test_rows_that_join_later_grow_as_the_engine_answers(model, questions):
    engine = LocalEngine(model, batch_size=1)
    expected = [answer.text for answer in engine.answer(questions, LONGEST)]
    answers = one_by_one(engine, questions, Wishes(LONGEST))
    assert [answer.text for answer in answers] == expected
    assert all(len(answer.ids) <= LONGEST for answer in answers)


def test_probabilities_of_rows_together_are_those_alone(model, questions):
    engine, wishes = LocalEngine(model), Wishes(LONGEST, logprobs=2)
    for question, answer in zip(questions, one_by_one(engine, questions, wishes), strict=True):
        single = alone(engine, question, wishes)
        assert answer.ids == single.ids
        for step, expected in zip(answer.steps, single.steps, strict=True):
            assert step.logprob == pytest.approx(expected.logprob, abs=1e-3)
            assert step.likeliest[0][0] == step.token


def test_parity_fails_when_padding_is_seen(tiny, questions, monkeypatch):
    engine, wishes = LocalEngine(tiny), Wishes(LONGEST, logprobs=1)
    right = one_by_one(engine, questions, wishes)
    seen = growing_rows.Rows.step

    def step(self):
        self._mask = torch.ones_like(self._mask)
        seen(self)

    monkeypatch.setattr(growing_rows.Rows, "step", step)
    wrong = one_by_one(engine, questions, wishes)
    assert off(right, wrong) > 1e-2


def test_parity_fails_when_places_are_those_of_the_longest_row(tiny, questions, monkeypatch):
    engine, wishes = LocalEngine(tiny), Wishes(LONGEST, logprobs=1)
    right = one_by_one(engine, questions, wishes)
    counted = growing_rows.Rows.step

    def step(self):
        self._places = torch.full_like(self._places, int(self._places.max()))
        counted(self)

    monkeypatch.setattr(growing_rows.Rows, "step", step)
    assert off(right, one_by_one(engine, questions, wishes)) > 1e-2


def off(answers, others):
    """How far the log-probabilities of two runs are apart, at most."""
    pairs = [
        abs(step.logprob - other.logprob)
        for left, right in zip(answers, others, strict=True)
        for step, other in zip(left.steps, right.steps, strict=False)
    ]
    return max(pairs)


def test_a_row_that_leaves_changes_no_other(tiny, questions):
    engine, wishes = LocalEngine(tiny), Wishes(LONGEST)
    expected = [alone(engine, question, wishes).ids for question in questions]
    rows = Rows(engine.inputs)
    answers = [rows.answer(engine.prompt(question), wishes) for question in questions]
    rows.join(answers)
    rows.step()
    rows.leave([answers[2], answers[0]])
    while rows.answers:
        rows.step()
    stayed = [1, 3, 4, 5]
    assert [answers[i].ids for i in stayed] == [expected[i] for i in stayed]
    assert len(answers[0].ids) == 2 and answers[0].finish is None


def test_rows_with_several_pictures_and_with_none_grow_together(tiny, tmp_path, questions):
    paths = [rectangle(tmp_path / f"s{x}.png", (x, x, x + 9, x + 9)) for x in (1, 15)]
    images = [Image(path, (32, 32)) for path in paths]
    both = Conversation("both", "ask", (user(*images, "\nWhat changed?"),))
    bare = Conversation("bare", "ask", (user("What kind of scene?"),))
    engine, wishes = LocalEngine(tiny), Wishes(LONGEST)
    mixed = [bare, both, questions[0]]
    rows = Rows(engine.inputs)
    answers = [rows.answer(engine.prompt(question), wishes) for question in mixed]
    rows.join(answers)
    while rows.answers:
        rows.step()
    assert [answer.ids for answer in answers] == [
        alone(engine, question, wishes).ids for question in mixed
    ]


def test_a_picture_goes_through_the_tower_once(tiny, questions):
    engine, looks = LocalEngine(tiny), []
    tiny.model.model.vision_tower.register_forward_hook(lambda *given: looks.append(1))
    rows = Rows(engine.inputs)
    for _ in range(3):
        rows.join([rows.answer(engine.prompt(questions[0]), Wishes(4))])
    assert looks == [1]


def test_a_stream_grows_to_the_engines_answer(tiny, questions):
    engine = LocalEngine(tiny)
    parts = list(engine.stream(questions[0], LONGEST))
    (expected,) = engine.answer(questions[:1], LONGEST)
    assert parts[-1].text == expected.text and len(parts) > 1
    for earlier, later in itertools.pairwise(parts):
        assert later.text.startswith(earlier.text)


def test_a_seed_draws_the_same_again_and_another_differently(tiny, questions):
    engine = LocalEngine(tiny)

    def drawn(seed):
        return alone(engine, questions[0], Wishes(LONGEST, temperature=1.5, seed=seed)).ids

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(5)}) > 2


def test_a_small_top_p_leaves_the_likeliest_token(tiny, questions):
    engine = LocalEngine(tiny)
    drawn = alone(engine, questions[0], Wishes(LONGEST, temperature=2.0, top_p=1e-6, seed=3))
    assert drawn.ids == alone(engine, questions[0], Wishes(LONGEST)).ids


def test_told_probabilities_are_those_of_a_plain_pass(tiny, questions):
    engine = LocalEngine(tiny)
    prompt = engine.prompt(questions[0])
    answer = alone(engine, questions[0], Wishes(2, logprobs=3))
    with torch.inference_mode():
        pixels = engine.inputs.tensor([prompt.view])
        ids = torch.tensor([prompt.encoded.ids])
        logits = tiny.model(input_ids=ids, pixel_values=pixels).logits[0, -1]
    logs = logits.log_softmax(-1)
    assert answer.steps[0].logprob == pytest.approx(float(logs.max()), abs=1e-4)
    assert [log for _, log in answer.steps[0].likeliest] == pytest.approx(
        logs.topk(3).values.tolist(), abs=1e-4
    )
    assert math.exp(answer.steps[0].logprob) <= 1


def test_an_answer_ends_before_a_stop_text_and_never_shows_its_beginning(tiny, questions):
    engine = LocalEngine(tiny)
    whole = alone(engine, questions[0], Wishes(12)).text
    stop = whole[4:7]
    rows = Rows(engine.inputs)
    answer = rows.answer(engine.prompt(questions[0]), Wishes(12, stop=(stop, "never said")))
    rows.join([answer])
    shown = [answer.text]
    while answer.finish is None:
        rows.step()
        shown.append(answer.text)
    assert answer.finish == "stop"
    assert answer.text == whole[: whole.index(stop)].rstrip()
    assert all(answer.text.startswith(text) for text in shown)
