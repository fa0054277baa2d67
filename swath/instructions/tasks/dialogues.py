"""Conversations that a source brings, word for word: their boxes read, their tasks recognised."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from swath.annotations.formats.llava import task_of
from swath.annotations.image import AnnotatedImage
from swath.annotations.parsing import class_of
from swath.boxes import Boxes
from swath.dialect import DELIMITER, ORIENTED, from_grid, numbers
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
from swath.instructions.tasks.base import TOKEN, Setting, stands_upright
from swath.instructions.tasks.truths import (
    AnswerTruth,
    BoxesTruth,
    CaptionsTruth,
    DescriptionTruth,
    NameTruth,
    OtherTruth,
    Truth,
)
from swath.instructions.turns import CONVERSE

_FRAMING = re.compile(r"</?s>|\[/?INST\]|<Img>|</Img>|<ImageHere>|<(?:image|video)>")
"""What a family's own template writes, and a file may hold."""
_SEVERAL = re.compile(
    rf"{ORIENTED.pattern}(?:\s*(?:{DELIMITER})?\s*{ORIENTED.pattern})*", ORIENTED.flags
)


def dialogue(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """The image's own conversations; outside training each question stands alone, to be scored."""
    for number, pairs in enumerate(image.dialogues):
        name = f"{image.id}#dialogue{number}"
        if image.split == "train":
            yield _conversation(image, setting, name, pairs)
            continue
        for place, pair in enumerate(pairs):
            yield _conversation(image, setting, f"{name}.{place}", [pair])


def _conversation(
    image: AnnotatedImage, setting: Setting, name: str, pairs: Sequence[tuple[str, str]]
) -> Conversation:
    """Questions and answers as one conversation, of their task where all are of one."""
    shown = [Image(path, image.size_wh) for path in image.frames or (image.path,)]
    turns: list[Turn] = []
    tasks = [_task(question, answer, image) for question, answer in pairs]
    for place, (question, answer) in enumerate(pairs):
        words = _FRAMING.sub("", question).strip()
        if not setting.section.task_tokens:
            words = TOKEN.sub("", words)
        first = place == 0
        parts = _parts(("\n" if first else "") + words, image)
        turns.append(user(*(shown if first else ()), *parts))
        turns.append(Turn("assistant", _parts(_FRAMING.sub("", answer).strip(), image)))
    upright = stands_upright(turns)
    if setting.system:
        turns.insert(0, system(setting.system))
    truths = [_truth(task, pair[1], image) for task, pair in zip(tasks, pairs, strict=True)]
    values: dict[str, object] = {}
    for truth in truths:
        values = truth.to_row() | values
    of_one_task = len(set(tasks)) == 1
    return Conversation(
        id=name,
        task=tasks[0] if of_one_task else CONVERSE,
        turns=tuple(turns),
        split=image.split,
        scene=image.scene,
        truth=truths[0] if of_one_task else OtherTruth(values),
        upright=upright,
    )


def _task(question: str, answer: str, image: AnnotatedImage) -> str:
    """Of a region: what it is called, where that is one of the image's classes."""
    task = task_of(question, answer)
    names_object = class_of(" ".join(answer.split())) in image.names
    return "region" if task == "identify" and not names_object else task


def _parts(text: str, image: AnnotatedImage) -> tuple[Part, ...]:
    """Words and boxes in their order; boxes that follow one another are one part."""
    parts: list[Part] = []
    end = 0
    for match in _SEVERAL.finditer(text):
        if before := text[end : match.start()]:
            parts.append(Text(before))
        parts.append(Box(_boxes(match.group(), image)))
        end = match.end()
    if after := text[end:]:
        parts.append(Text(after))
    return tuple(parts)


def _boxes(text: str, image: AnnotatedImage) -> Boxes:
    """Boxes in pixels of the picture, rounded as files hold those of a set."""
    boxes = from_grid(numbers(ORIENTED, text), image.size_wh)
    return Boxes.from_rows(boxes.to_rows())


def _truth(task: str, answer: str, image: AnnotatedImage) -> Truth:
    plain = " ".join(answer.split())
    if task in ("refer", "ground"):
        return BoxesTruth(_boxes(answer, image))
    if task == "describe":
        words = " ".join(_SEVERAL.sub(" ", answer).split())
        return DescriptionTruth((words,), _boxes(answer, image))
    if task in ("caption", "region"):
        return CaptionsTruth((plain,))
    return NameTruth(class_of(plain)) if task == "identify" else AnswerTruth(plain)
