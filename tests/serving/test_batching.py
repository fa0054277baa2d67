"""Answers to several clients at once: none is lost, none waits for ever, rows are free at once."""

import asyncio
import json
import threading
import time

import httpx
import pytest

from swath.models.engine import LocalEngine
from swath.models.generating.choosing import Wishes
from swath.models.generating.rows import Rows
from swath.serving.batching import Batching
from swath.serving.protocol import ServeError
from tests.making import asks, rectangle
from tests.serving.conftest import HERE, shows, uri


@pytest.fixture
def engine(tiny):
    return LocalEngine(tiny)


@pytest.fixture
def questions(tmp_path):
    return [
        asks(rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12)), question="What" + " now" * x)
        for x in (9, 2, 14, 5)
    ]


@pytest.fixture
def batching():
    batching = Batching(rows=4, waiting=8)
    yield batching
    batching.close()


async def ended(ticket):
    while not ticket.ended:
        await ticket.step()
    if ticket.error is not None:
        raise ticket.error


def test_questions_that_come_together_are_answered_in_the_same_steps(engine, questions, batching):
    rows = Rows(engine.inputs)
    expected = [answer.text for answer in engine.answer(questions, 8)]

    async def all_at_once():
        answers = [rows.answer(engine.prompt(question), Wishes(8)) for question in questions]
        tickets = [batching.submit(rows, [answer]) for answer in answers]
        await asyncio.gather(*map(ended, tickets))
        return [answer.text for answer in answers]

    assert asyncio.run(all_at_once()) == expected
    assert batching.work.answers == 4 and batching.growing == 0
    assert batching.work.steps <= 7 + 3  # one by one they would take 28


def test_a_client_with_many_questions_lets_others_have_their_turn(engine, questions, monkeypatch):
    batching, rows = Batching(rows=2, waiting=20), Rows(engine.inputs)
    began, join = [], Rows.join

    def watched(self, answers):
        began.extend(answers)
        join(self, answers)

    monkeypatch.setattr(Rows, "join", watched)

    async def ask():
        prompt = engine.prompt(questions[0])
        answers = [rows.answer(prompt, Wishes(8)) for _ in range(9)]
        clients = ["many"] * 8 + ["one"]
        tickets = [
            batching.submit(rows, [answer], client=client)
            for answer, client in zip(answers, clients, strict=True)
        ]
        await asyncio.gather(*map(ended, tickets))
        return answers

    answers = asyncio.run(ask())
    batching.close()
    places = [next(p for p, other in enumerate(began) if other is answer) for answer in answers]
    assert sorted(places) == list(range(9))
    assert places[-1] <= 2  # it came last, and two may have begun before it came
    assert places[:-1] == sorted(places[:-1])


def test_a_full_queue_says_when_to_come_again(engine, questions, batching):
    rows = Rows(engine.inputs)

    async def too_many():
        asked = rows.answer(engine.prompt(questions[0]), Wishes(8))
        with pytest.raises(ServeError) as refused:
            batching.submit(rows, [asked] * 9)
        return refused.value

    error = asyncio.run(too_many())
    assert error.status == 429 and int(error.headers["Retry-After"]) >= 1


def test_who_leaves_frees_its_row_before_the_next_step(engine, questions, batching, monkeypatch):
    rows = Rows(engine.inputs)
    counts, step = [], Rows.step
    left = threading.Event()

    def watched(self):
        counts.append((left.is_set(), len(self.answers)))
        time.sleep(0.01)
        step(self)

    monkeypatch.setattr(Rows, "step", watched)

    async def leave_early():
        answers = [rows.answer(engine.prompt(question), Wishes(20)) for question in questions]
        tickets = [batching.submit(rows, [answer]) for answer in answers]
        while len(answers[0].ids) < 3:
            await tickets[0].step()
        batching.leave(tickets[0])
        left.set()
        await asyncio.gather(*map(ended, tickets[1:]))
        return answers

    answers = asyncio.run(leave_early())
    after = [count for was_left, count in counts if was_left]
    assert after[0] <= 4 and set(after[1:]) == {3}  # one step may have been under way
    assert answers[0].finish is None and batching.work.left == 1


def test_what_a_model_cannot_do_is_told_and_the_next_question_is_answered(
    engine, questions, batching, monkeypatch
):
    rows = Rows(engine.inputs)
    step = Rows.step

    def failing(self):
        raise RuntimeError("out of memory at /home/anna/model")

    async def ask():
        answer = rows.answer(engine.prompt(questions[0]), Wishes(8))
        await ended(batching.submit(rows, [answer]))
        return answer.text

    monkeypatch.setattr(Rows, "step", failing)
    with pytest.raises(ServeError, match="The model failed: out of memory at model") as failed:
        asyncio.run(ask())
    assert failed.value.status == 500
    monkeypatch.setattr(Rows, "step", step)
    assert asyncio.run(ask()) == engine.answer(questions[:1], 8)[0].text


def test_a_question_that_cannot_be_read_fails_alone(engine, questions, batching, monkeypatch):
    rows, join = Rows(engine.inputs), Rows.join

    def picky(self, answers):
        if any(answer.wishes.max_new_tokens == 7 for answer in answers):
            raise ValueError("no")
        join(self, answers)

    monkeypatch.setattr(Rows, "join", picky)

    async def ask():
        wishes = [Wishes(8), Wishes(7), Wishes(8)]
        answers = [
            rows.answer(engine.prompt(question), each)
            for question, each in zip(questions, wishes, strict=False)
        ]
        tickets = [batching.submit(rows, [answer]) for answer in answers]
        return await asyncio.gather(*map(ended, tickets), return_exceptions=True)

    results = asyncio.run(ask())
    assert [type(result) for result in results] == [type(None), ServeError, type(None)]


def test_who_waits_is_told_when_the_server_ends(engine, questions, monkeypatch):
    batching, rows = Batching(rows=4, waiting=8), Rows(engine.inputs)
    monkeypatch.setattr(Rows, "step", lambda self: time.sleep(0.01))  # never ends

    async def ask():
        ticket = batching.submit(rows, [rows.answer(engine.prompt(questions[0]), Wishes(8))])
        await ticket.step()
        threading.Thread(target=batching.close).start()
        await ended(ticket)

    with pytest.raises(ServeError, match="The server ended"):
        asyncio.run(ask())


def body(number, **fields):
    message = shows(
        uri((number % 20, 2, number % 20 + 9, 12)), words="What" + " now" * (number % 5)
    )
    return {"model": "tiny", "messages": [message], "max_tokens": 6, **fields}


def talking(app, talk):
    """What a function of a client returns, of an application that runs meanwhile."""

    async def run():
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=HERE, timeout=300) as client,
        ):
            return await talk(client)

    return asyncio.run(run())


def test_of_many_requests_none_is_lost(app):
    async def talk(client):
        async def one(number):
            while True:
                response = await client.post("/v1/chat/completions", json=body(number))
                if response.status_code != 429:
                    return response
                await asyncio.sleep(0.05)

        return await asyncio.gather(*map(one, range(60)))

    responses = talking(app, talk)
    assert {response.status_code for response in responses} == {200}
    texts = [response.json()["choices"][0]["message"]["content"] for response in responses]
    # Pictures and words come again after 20: they are answered alike, whoever stood beside them.
    assert texts[:20] == texts[20:40] == texts[40:]


def test_streams_of_several_clients_grow_side_by_side(app):
    async def talk(client):
        order = []

        async def one(number):
            fields = body(number, stream=True, max_tokens=12)
            async with client.stream("POST", "/v1/chat/completions", json=fields) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        order.append((number, json.loads(line[6:])["choices"][0]["finish_reason"]))

        await asyncio.gather(*map(one, range(4)))
        return order

    order = talking(app, talk)
    ends = [place for place, (_, finish) in enumerate(order) if finish]
    assert len(ends) == 4
    assert app.state.swath.batching.work.rows > 1.5 * app.state.swath.batching.work.steps


def test_a_client_that_hangs_up_leaves_no_row_behind(app):
    async def talk(client):
        fields = body(1, max_tokens=64)

        async def hang_up():
            async with asyncio.timeout(0.2):
                await client.post("/v1/chat/completions", json=fields)

        with pytest.raises(TimeoutError):
            await hang_up()
        batching = app.state.swath.batching
        for _ in range(1000):
            if batching.work.left and not batching.growing:
                return batching.work
            await asyncio.sleep(0.02)
        return None

    step = Rows.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rows, "step", lambda self: (time.sleep(0.03), step(self)))
        work = talking(app, talk)
    assert work is not None and work.left == 1 and work.answers == 0
