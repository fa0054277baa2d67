"""How a task asks: what it knows, which wording it takes, and the conversation it makes of both."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from swath.annotations.image import AnnotatedImage
from swath.instructions.attributes import Looks
from swath.instructions.conversation import Conversation, Image, Part, Text, Turn, system
from swath.instructions.phrasing import Phrasing
from swath.recipe import Instructions

DIRECTIONS = re.compile(
    r"\b(left|right|top|bottom|upper|lower|north|south|east|west|above|below|vertical|horizontal)"
    r"|[左右东西南北]|[上下][方部侧边角面]|[顶底][部端]",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"^\[\w+\]\s*")


@dataclass(frozen=True)
class Setting:
    """What a task knows beside the image.

    Args:
        section: the recipe's `instructions`.
        phrasing: wordings of the questions.
        labels: scene classes of the whole set, sorted.
        names: object classes of the whole set, sorted.
        looks: what the set's objects look like.
    """

    section: Instructions
    phrasing: Phrasing
    labels: tuple[str, ...]
    names: tuple[str, ...]
    looks: Looks = field(default_factory=Looks)

    @property
    def system(self) -> str | None:
        """The instruction before the first question, its classes listed."""
        text = self.section.system
        return text and text.replace("{labels}", ", ".join(self.labels))


Task = Callable[[AnnotatedImage, Setting, random.Random], Iterator[Conversation]]
"""Conversations of one image; the generator is seeded by set and image."""


def wording(wordings: tuple[str, ...], image: AnnotatedImage, rng: random.Random) -> str:
    """Any wording in training, the first one elsewhere."""
    return rng.choice(wordings) if image.split == "train" else wordings[0]


def ask(
    image: AnnotatedImage,
    task: str,
    setting: Setting,
    question: str | Sequence[Part | str],
    answer: Turn,
    truth: Mapping[str, object],
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
        truth: what metrics need.
        number: of this task's questions about this image.
        all_frames: show the whole sequence, where the image is one, and not only its first frame.
    """
    given = [question] if isinstance(question, str) else question
    parts = [Text(part) if isinstance(part, str) else part for part in given]
    if isinstance(parts[0], Text):
        start = parts[0].text
        parts[0] = Text("\n" + (start if setting.section.task_tokens else _TOKEN.sub("", start)))
    else:
        parts.insert(0, Text("\n"))
    paths = (all_frames and image.frames) or (image.path,)
    shown = [Image(path, image.size_wh) for path in paths]
    turns = [Turn("user", (*shown, *parts)), answer]
    if setting.system:
        turns.insert(0, system(setting.system))
    words = " ".join([part.text for part in (*parts, *answer.parts) if isinstance(part, Text)])
    return Conversation(
        id=f"{image.id}#{task}{number}",
        task=task,
        turns=tuple(turns),
        split=image.split,
        scene=image.scene,
        truth=dict(truth),
        upright=bool(DIRECTIONS.search(words)),
    )
