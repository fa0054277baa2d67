"""`/v1/chat/completions`: a question about pictures, answered whole or as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from swath.models.generating.growing import Growing
from swath.serving.access import client_of
from swath.serving.answers import Head, choice, logprobs, notes_of, piece, usage
from swath.serving.asking import ChatRequest
from swath.serving.batching import Ticket
from swath.serving.models import Serving
from swath.serving.protocol import Row, ServeError, is_mistral, new_id, now
from swath.serving.questions import Question, each_of, question_of, wishes_of
from swath.serving.served import Served, ServedModel

router = APIRouter()

GONE = 499
"""Status of an answer that nobody waits for any more; nobody reads it."""


@dataclass(frozen=True)
class Asked:
    """A question that is being answered.

    Args:
        head: of the answer.
        model: that answers.
        question: it.
        answers: of which there may be several to one question.
    """

    head: Head
    model: ServedModel
    question: Question
    answers: list[Growing]

    def notes(self, answer: Growing) -> Row:
        """What an answer says beyond its words."""
        prompt = self.question.prompt
        read = self.model.engine.read(answer.text, prompt)
        return notes_of(read.boxes, prompt.frame, self.question.place, answer.closed_early)

    def probabilities(self, answer: Growing, start: int, end: int) -> Row | None:
        """Of some of an answer's tokens, where they are wanted."""
        return logprobs(answer, answer.steps[start:end], self.model.engine.loaded.tokenizer)


@router.post("/v1/chat/completions")
async def complete(body: ChatRequest, request: Request, served: Serving) -> Response:
    """Answer a question."""
    asked = await run_in_threadpool(ask, served, body)
    rows, stream = asked.model.rows, bool(body.stream)
    ticket = served.batching.submit(rows, asked.answers, stream, client_of(request.scope))
    if stream:
        ending = _usage_at_end(body, request)
        events = _events(asked, watched(request, served, ticket), ending)
        return StreamingResponse(events, media_type="text/event-stream")
    async for _ in watched(request, served, ticket):
        pass
    if ticket.gone:
        return Response(status_code=GONE)
    return Response(orjson.dumps(completion_of(asked)), media_type="application/json")


def ask(served: Served, body: ChatRequest) -> Asked:
    """Read a request: everything that can be wrong with it is said here.

    Raises:
        ServeError: a field is at fault.
        SwathError: a picture or the words cannot be read.
    """
    model = served.model(body.model)
    count = body.n or 1
    if count > served.limits.choices:
        raise ServeError(400, f"n is 1 to {served.limits.choices}.", "n", "out_of_range")
    question = question_of(served, model, body.messages)
    wishes = wishes_of(body, model, question.prompt, served.limits)
    answers = [model.rows.answer(question.prompt, each) for each in each_of(wishes, count)]
    return Asked(Head(new_id("chatcmpl"), now(), model.name), model, question, answers)


def completion_of(asked: Asked) -> Row:
    """The answers to a question, once they have ended, as both clients read them.

    Raises:
        ServeError: JSON of one did not come to its end.
    """
    tokenizer = asked.model.engine.loaded.tokenizer
    choices = []
    for number, answer in enumerate(asked.answers):
        check_whole(answer)
        choices.append(choice(number, answer, tokenizer, asked.notes(answer)))
    return asked.head.body("chat.completion", choices, usage=usage(asked.answers))


def check_whole(answer: Growing) -> None:
    """Refuse JSON that did not come to an end: what is sent is never invalid.

    Raises:
        ServeError: it did not, within the tokens that a schema is given to close.
    """
    if not answer.whole:
        raise ServeError(
            400,
            f"The schema asks for more than {len(answer.ids)} tokens; raise max_tokens.",
            "max_tokens",
            "schema_not_completed",
        )


async def watched(request: Request, served: Served, ticket: Ticket) -> AsyncIterator[None]:
    """A step of the answers at a time, until they end or nobody waits for them."""
    watcher = asyncio.create_task(_notice_leaving(request, ticket))
    try:
        ended = False
        while not ended:
            await ticket.step()
            if ticket.gone:
                return
            ended = ticket.ended  # before the words are looked at, which then are the last
            yield
        if ticket.error is not None:
            raise ticket.error
    finally:
        watcher.cancel()
        if not ticket.ended:
            served.batching.leave(ticket)


async def _notice_leaving(request: Request, ticket: Ticket) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.gone = True
    ticket.changed.set()


def _usage_at_end(body: ChatRequest, request: Request) -> str:
    """Where a stream tells its tokens: Mistral's client reads them with the last piece."""
    if is_mistral(request.headers):
        return "with"
    options = body.stream_options
    return "after" if options and options.include_usage else "never"


@dataclass
class _Sent:
    """How much of an answer was sent."""

    signs: int = 0
    steps: int = 0
    ended: bool = False


async def _events(asked: Asked, steps: AsyncIterator[None], ending: str) -> AsyncIterator[bytes]:
    """A stream of server-sent events; one that fails says so before it ends."""
    answers, head = asked.answers, asked.head
    sent = [_Sent() for _ in answers]
    told = {"usage": None} if ending == "after" else {}
    for number in range(len(answers)):
        opening = piece(number, {"role": "assistant", "content": ""}, None, None)
        yield _event(head.body("chat.completion.chunk", [opening], **told))
    try:
        async for _ in steps:
            for number, answer in enumerate(answers):
                for part in _new_pieces(asked, number, answer, sent[number]):
                    last = all(each.ended for each in sent)
                    use = {"usage": usage(answers)} if last and ending == "with" else told
                    yield _event(head.body("chat.completion.chunk", [part], **use))
    except ServeError as error:
        yield _event(error.body)
        return
    if not all(each.ended for each in sent):  # nobody reads it
        return
    if ending == "after":
        yield _event(head.body("chat.completion.chunk", [], usage=usage(answers)))
    yield b"data: [DONE]\n\n"


def _new_pieces(asked: Asked, number: int, answer: Growing, sent: _Sent) -> list[Row]:
    """What an answer has grown by since it was last looked at.

    Raises:
        ServeError: its JSON did not come to an end.
    """
    finish = answer.finish  # before the words, which another thread adds to
    text, steps = answer.text, len(answer.steps)
    if sent.ended or (finish is None and len(text) == sent.signs):
        return []
    pieces = []
    if finish is not None:
        check_whole(answer)
    if len(text) > sent.signs or steps > sent.steps:
        probabilities = asked.probabilities(answer, sent.steps, steps)
        pieces.append(piece(number, {"content": text[sent.signs :]}, probabilities, None))
        sent.signs, sent.steps = len(text), steps
    if finish is not None:
        sent.ended = True
        pieces.append(piece(number, {}, None, finish) | {"swath": asked.notes(answer)})
    return pieces


def _event(body: Row) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"
