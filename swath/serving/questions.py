"""A request's messages as a conversation, as `swath ask` would put it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

from swath.errors import ModelError, RequestError
from swath.imagery.georeference import Georeference
from swath.imagery.scene import Scene
from swath.inference.ask import question_parts
from swath.instructions.conversation import Conversation, Image, Part, Text, Turn, system
from swath.models.generating.choosing import Wishes
from swath.models.generating.growing import Prompt
from swath.models.generating.schema import Grammar, Schema
from swath.serving.asking import (
    ChatRequest,
    ImagePart,
    Message,
    SchemaFormat,
    SystemMessage,
    TextPart,
    UserMessage,
)
from swath.serving.jobs.training_files import arranged
from swath.serving.protocol import ServeError
from swath.serving.served import Limits, Served, ServedModel

Show = Callable[[str], Image]


@dataclass(frozen=True)
class Question:
    """A question that a model can be asked.

    Args:
        prompt: as the model reads it.
        place: where the picture lies in which boxes of the answer lie, if it says so.
    """

    prompt: Prompt
    place: Georeference | None


def question_of(served: Served, model: ServedModel, messages: Sequence[Message]) -> Question:
    """Messages as a model reads them; their pictures' files are gone afterwards.

    Raises:
        ServeError: the messages make no conversation, or a picture is none.
        InstructionError: they are longer than the model reads, or steer it.
    """
    with _scenes(served, messages) as scenes:
        return question_about(model, messages, scenes)


def question_about(
    model: ServedModel, messages: Sequence[Message], scenes: Sequence[Scene]
) -> Question:
    """Messages whose pictures are these scenes, in their order; raises as `question_of`."""
    ahead = iter(scenes)

    def show(_: str) -> Image:
        scene = next(ahead)
        return Image(str(scene.path), scene.size_wh)

    conversation = conversation_of(messages, show, model.engine.loaded.system)
    if not scenes and not model.engine.loaded.family.image_token:
        raise ServeError(400, f"{model.name} needs a picture; send one.", "messages")
    with model.reading:
        try:
            prompt = model.engine.prompt(conversation)
        except ModelError as error:
            raise ServeError(400, str(error), "messages", "invalid_image") from None
    frame = scenes[conversation.frame] if scenes else None
    located = frame is not None and frame.footprint is not None
    return Question(prompt, frame.georeference if frame is not None and located else None)


def conversation_of(
    messages: Sequence[Message], show: Show, instruction: str | None
) -> Conversation:
    """Messages as turns; neighbours of one role are one turn.

    Args:
        messages: of a request.
        show: gives the image of a picture's address, in the order in which they stand.
        instruction: that the model was tuned with; it stands before a question that brings none.

    Raises:
        ServeError: they do not go to and fro, or the last one asks nothing.
    """
    instructions = [message for message in messages if isinstance(message, SystemMessage)]
    turns = [message for message in messages if not isinstance(message, SystemMessage)]
    if list(messages[: len(instructions)]) != instructions:
        raise _wrong("a system message stands behind the first question; put it first")
    if not turns or not isinstance(turns[0], UserMessage):
        raise _wrong("the first message after the instruction is the user's")
    if not isinstance(turns[-1], UserMessage):
        raise _wrong("the last message is the user's, which is answered")
    words = "\n".join(_words(message) for message in instructions).strip()
    opening = words or (instruction or "")
    spoken = [system(opening)] if opening else []
    for role, group in groupby(turns, key=lambda message: message.role):
        parts: list[Part] = []
        for message in group:
            parts += [Text("\n")] if parts else []
            parts += _parts(message, show)
        spoken.append(Turn(role, tuple(parts)))
        if role == "user":
            spoken[-1] = _with_regions(spoken)
    conversation = Conversation("request", "ask", tuple(spoken))
    if not conversation.text("user") and not _shows(spoken[-1]):
        raise _wrong("the question is empty; say what you want to know")
    return conversation


def wishes_of(request: ChatRequest, model: ServedModel, prompt: Prompt, limits: Limits) -> Wishes:
    """How an answer is wanted.

    Raises:
        ServeError: there is no room for one, or two fields do not go together.
        RequestError: the schema cannot be followed.
    """
    if request.top_logprobs is not None and not request.logprobs:
        raise ServeError(400, "top_logprobs needs logprobs: true.", "top_logprobs")
    grammar = _grammar(request, model)
    room = model.engine.loaded.longest - len(prompt.encoded.ids)
    if room < 1:
        raise ServeError(
            400,
            f"The question has {len(prompt.encoded.ids)} tokens and leaves no room for an answer "
            f"of {model.name}, which reads {model.engine.loaded.longest}; ask for less.",
            "messages",
            "context_length_exceeded",
        )
    most = min(request.most_tokens or limits.new_tokens, limits.new_tokens, room)
    if grammar:
        most = max(1, min(most, room - grammar.usual))
    seed = request.seed if request.seed is not None else request.random_seed
    return Wishes(
        max_new_tokens=most,
        temperature=request.temperature or 0.0,
        top_p=request.top_p or 1.0,
        seed=seed,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        stop=request.stops,
        grammar=grammar,
        room=room,
    )


def each_of(wishes: Wishes, count: int) -> list[Wishes]:
    """The same wishes of several answers, each with a seed of its own."""
    if wishes.seed is None:
        return [wishes] * count
    return [replace(wishes, seed=wishes.seed + number) for number in range(count)]


@contextmanager
def _scenes(served: Served, messages: Sequence[Message]) -> Iterator[list[Scene]]:
    """The pictures of messages, in their order."""
    parts = [part for message in messages for part in _listed(message)]
    urls = [part.url for part in parts if isinstance(part, ImagePart)]
    if len(urls) > served.limits.images:
        raise ServeError(
            400,
            f"{len(urls)} pictures, and a request may show {served.limits.images}; send fewer.",
            "messages",
            "too_many_images",
        )
    with ExitStack() as stack:
        scenes = []
        for number, url in enumerate(urls, 1):
            content = served.pictures.content(url, number)
            scenes.append(stack.enter_context(served.pictures.opened(content, number)))
        yield scenes


def _with_regions(spoken: Sequence[Turn]) -> Turn:
    """The last turn with `[box x1 y1 x2 y2]` in its words as a box of the picture in sight."""
    conversation = Conversation("request", "ask", tuple(spoken))
    if not conversation.images:
        return spoken[-1]
    parts: list[Part] = []
    for part in spoken[-1].parts:
        if isinstance(part, Text) and "[box" in part.text:
            start = "\n" if part.text.startswith("\n") else ""
            parts += question_parts(start, part.text, conversation.frame)
        else:
            parts.append(part)
    return Turn("user", tuple(parts))


def _parts(message: Message, show: Show) -> list[Part]:
    """What a message says and shows, in the order in which models are tuned."""
    parts: list[Part] = []
    for part in _listed(message):
        parts.append(show(part.url) if isinstance(part, ImagePart) else Text(part.text))
    return list(arranged(parts)) or [Text("")]


def _listed(message: Message) -> list[TextPart | ImagePart]:
    """The parts of a message, a plain text being one."""
    if isinstance(message.content, str):
        return [TextPart(type="text", text=message.content)]
    return list(message.content)


def _words(message: Message) -> str:
    return "\n".join(part.text for part in _listed(message) if isinstance(part, TextPart))


def _shows(turn: Turn) -> bool:
    return any(isinstance(part, Image) for part in turn.parts)


def _grammar(request: ChatRequest, model: ServedModel) -> Grammar | None:
    """What the answer is held to, if it is to be JSON."""
    form = request.response_format
    if form is None or form.type == "text":
        return None
    schema: Schema = {"type": "object"}
    if isinstance(form, SchemaFormat):
        schema = form.json_schema.schema_
    try:
        return Grammar(model.engine.loaded, schema, model.words)
    except (RequestError, RecursionError, UnicodeEncodeError) as error:
        words = str(error) if isinstance(error, RequestError) else "the schema cannot be read"
        raise ServeError(400, words, "response_format", "invalid_json_schema") from None


def _wrong(words: str) -> ServeError:
    return ServeError(400, f"messages: {words}.", "messages", "invalid_messages")
