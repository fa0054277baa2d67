"""How a task asks: what it knows, which wording it takes, and the conversation it makes of both."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.dialect import holds_boxes
from swath.instructions.attributes import Looks
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    Part,
    Text,
    Turn,
    system,
    user,
)
from swath.instructions.language import spoken
from swath.instructions.phrasing import Phrasing
from swath.instructions.tasks.balance import Asked, Balance
from swath.instructions.tasks.truths import Truth
from swath.recipe import Instructions

DIRECTIONS = re.compile(
    r"\b(left|right|top|bottom|upper|lower|north|south|east|west|above|below|vertical|horizontal)"
    r"|[左右东西南北]|[横纵]向|[上下][方部侧边角面]|[顶底][部端]",
    re.IGNORECASE,
)
Kind = TypeVar("Kind", bound=Truth, covariant=True)
_PLACE = re.compile(r"\{(\w+)\}")
TOKEN = re.compile(r"^\[\w+\]\s*")
"""A task token before a question, such as [refer]."""


@dataclass(frozen=True)
class Setting:
    """What a task knows beside the image.

    Args:
        section: the recipe's `instructions`.
        phrasing: wordings of the questions.
        labels: scene classes of the whole set, sorted.
        names: object classes of the whole set, sorted.
        looks: what the set's objects look like.
        shown: share of the training images that a class is in, of those whose source lists it.
        balance: which questions are kept, so that words alone do not answer them.
    """

    section: Instructions
    phrasing: Phrasing
    labels: tuple[str, ...]
    names: tuple[str, ...]
    looks: Looks = field(default_factory=Looks)
    shown: Mapping[str, float] = field(default_factory=dict)
    balance: Balance = field(default_factory=Balance)

    @cached_property
    def system(self) -> str | None:
        """The instruction before the first question, its classes listed."""
        text = self.section.system
        text = text and text.replace("{labels}", ", ".join(self.labels))
        return text and text.replace("{labels;}", "; ".join(self.labels))

    @cached_property
    def spoken_labels(self) -> str:
        """The scene classes in words, as a question lists them."""
        return ", ".join(map(spoken, self.labels))


Ask = Callable[[AnnotatedImage, Setting, random.Random], Iterator[Conversation]]
"""Conversations of one image; the generator is seeded by set and image."""

Asks = Callable[[AnnotatedImage, Setting, random.Random], Sequence[Asked]]
"""Questions that could be asked about one image, before they are balanced."""


More = ParamSpec("More")
Result = TypeVar("Result")


def once_an_image(
    find: Callable[Concatenate[AnnotatedImage, More], Result],
) -> Callable[Concatenate[AnnotatedImage, More], Result]:
    """`find`, whose last result is remembered: several tasks in turn ask it of one image."""
    last: tuple[Any, ...] = ()

    @wraps(find)
    def remembered(image: AnnotatedImage, /, *more: More.args, **named: More.kwargs) -> Result:
        nonlocal last
        known = last  # another thread may be at another image
        if not known or known[0] is not image or known[1:3] != (more, named):
            known = last = (image, more, named, find(image, *more, **named))
        return known[3]

    return remembered


@dataclass(frozen=True)
class Fact(Generic[Kind]):
    """Something known of an image that can be asked, before it is put in words.

    Args:
        truth: what an answer is scored against.
        words: what fills the places of a wording, `{phrase}` and the like.
        box: boxes that the question is about, where a wording says `{box}`; pixels.
    """

    truth: Kind
    words: Mapping[str, str] = field(default_factory=dict)
    box: Boxes | None = None


@dataclass(frozen=True)
class Task:
    """A row of the table of tasks; its kind of truth is a row of `TRUTHS`.

    Args:
        ask: conversations of one image, as a set asks them.
        facts: all that an image tells of the task, in order, as benchmarks ask it.
        counts_as: the task that its rows are tuned, scored and counted as; "" for its own.
        asks: its questions, where those of all images are counted before any is asked.
    """

    ask: Ask
    facts: Callable[[AnnotatedImage], Iterable[Fact[Any]]] = lambda image: ()
    counts_as: str = ""
    asks: Asks | None = None

    def __call__(
        self, image: AnnotatedImage, setting: Setting, rng: random.Random
    ) -> Iterator[Conversation]:
        """The conversations of one image."""
        rows = self.ask(image, setting, rng)
        if not self.counts_as:
            return rows
        return (replace(conversation, task=self.counts_as) for conversation in rows)


def filled(wording: str, fact: Fact[Any], **more: str) -> list[Part]:
    """The parts of a question: a wording whose places hold a fact's words and box."""
    words = {**fact.words, **more}
    text = _PLACE.sub(lambda place: words.get(place[1], place[0]), wording)
    before, place, after = text.partition("{box}")
    if not place or fact.box is None:
        return [Text(text)]
    parts: list[Part] = [Text(before)] if before else []
    return [*parts, Box(fact.box), *([Text(after)] if after else [])]


def ask(
    image: AnnotatedImage,
    task: str,
    setting: Setting,
    question: str | Sequence[Part],
    answer: Turn,
    truth: Truth,
    number: int = 0,
    all_frames: bool = False,
) -> Conversation:
    """A question about an image with its answer.

    Args:
        image: what is asked about.
        task: the row of the task table.
        setting: of the set.
        question: words, or words and boxes.
        answer: the assistant's turn.
        truth: what the answer is scored against.
        number: of this task's questions about this image.
        all_frames: show the whole sequence, where the image is one, and not only its first frame.
    """
    first, *rest = [Text(question)] if isinstance(question, str) else question
    start = first.text if isinstance(first, Text) else ""
    if not setting.section.task_tokens:
        start = TOKEN.sub("", start)
    parts = [Text("\n" + start), *([] if isinstance(first, Text) else [first]), *rest]
    paths = (all_frames and image.frames) or (image.path,)
    turns = [user(*(Image(path, image.size_wh) for path in paths), *parts), answer]
    upright = stands_upright(turns)
    if setting.system:
        turns.insert(0, system(setting.system))
    return Conversation(
        id=f"{image.id}#{task}{number}",
        task=task,
        turns=tuple(turns),
        split=image.split,
        scene=image.scene,
        truth=truth,
        upright=upright,
    )


def stands_upright(turns: Iterable[Turn]) -> bool:
    """Whether the words of turns would be wrong beside a picture that is turned.

    They name directions, or hold boxes as a source wrote them, which do not turn with it.
    """
    texts = [part.text for turn in turns for part in turn.parts if isinstance(part, Text)]
    return _upright(" ".join(texts))


@lru_cache(maxsize=1 << 14)  # short questions come again and again
def _upright(words: str) -> bool:
    return bool(DIRECTIONS.search(words)) or holds_boxes(words)


def ask_fact(
    image: AnnotatedImage,
    task: str,
    setting: Setting,
    rng: random.Random,
    fact: Fact[Any],
    answer: Turn,
    number: int = 0,
    all_frames: bool = False,
) -> Conversation:
    """A fact put in one of the style's wordings: any in training, the first one elsewhere."""
    wordings = setting.phrasing.wordings[task]
    wording = rng.choice(wordings) if image.split == "train" else wordings[0]
    question = filled(wording, fact, labels=setting.spoken_labels)
    return ask(image, task, setting, question, answer, fact.truth, number, all_frames)
