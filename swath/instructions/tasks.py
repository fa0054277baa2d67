"""The table of tasks: each turns what is known of an image into questions with answers."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from swath.annotations.image import AnnotatedImage
from swath.instructions.conversation import Box, Conversation, Image, Turn, assistant, system, user
from swath.instructions.phrasing import Phrasing, plural, spoken
from swath.recipe import Instructions
from swath.registry import Registry

DIRECTIONS = re.compile(
    r"\b(left|right|top|bottom|upper|lower|north|south|east|west|above|below|vertical|horizontal)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Setting:
    """What a task knows beside the image.

    Args:
        section: the recipe's `instructions`.
        phrasing: wordings of the questions.
        labels: scene classes of the whole set, sorted.
        names: object classes of the whole set, sorted.
    """

    section: Instructions
    phrasing: Phrasing
    labels: tuple[str, ...]
    names: tuple[str, ...]


Task = Callable[[AnnotatedImage, Setting, random.Random], Iterator[Conversation]]
"""Conversations of one image; the generator is seeded by set and image."""

TASKS: Registry[Task] = Registry("task", "swath.tasks")


def classify(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Which of the set's classes the scene is."""
    if image.label is None:
        return
    question = _wording(setting.phrasing.classify, image, rng)
    answer = answer_for(image.label, setting.section)
    yield _ask(image, "classify", setting, question, assistant(answer), {"label": image.label})


def caption(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """A sentence on the whole image: in training one a caption, in a test one an image."""
    captions = [sentence for sentence in image.captions if re.search(r"\w", sentence)]
    if not captions:
        return
    truth: dict[str, object] = {"captions": captions}
    if image.label:
        truth["label"] = image.label
    kept = dict.fromkeys(captions) if image.split == "train" else captions[:1]
    for number, sentence in enumerate(list(kept)[: setting.section.captions_per_image]):
        question = _wording(setting.phrasing.caption, image, rng)
        yield _ask(image, "caption", setting, question, assistant(sentence.strip()), truth, number)


def refer(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Where the one object is that a phrase singles out."""
    phrases = [
        phrase or (f"the {spoken(name)}" if image.names.count(name) == 1 else None)
        for phrase, name in zip(image.phrases, image.names, strict=True)
    ]
    rows = [row for row, phrase in enumerate(phrases) if phrase]
    rng.shuffle(rows)
    for number, row in enumerate(rows[: setting.section.boxes_per_image]):
        wording = _wording(setting.phrasing.refer, image, rng)
        box = image.boxes[row]
        yield _ask(
            image,
            "refer",
            setting,
            wording.format(phrase=phrases[row]),
            assistant(Box(box)),
            {"boxes": np.round(box.quads.reshape(-1, 8), 3).tolist(), "name": image.names[row]},
            number,
        )


def count(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """How many objects of a class there are, and now and then of one that is absent."""
    present = sorted(set(image.names))
    words = " ".join(image.captions).lower()
    absent = [name for name in setting.names if name not in present and spoken(name) not in words]
    rng.shuffle(present)
    asked = present[: setting.section.counts_per_image]
    if absent and (not asked or rng.random() < 0.3):
        asked = [*asked[: setting.section.counts_per_image - 1], rng.choice(absent)]
    for number, name in enumerate(asked):
        wording = _wording(setting.phrasing.count, image, rng)
        total = image.names.count(name)
        yield _ask(
            image,
            "count",
            setting,
            wording.format(names=plural(spoken(name))),
            assistant(str(total)),
            {"count": total, "name": name},
            number,
        )


for _name, _task in {
    "classify": classify,
    "caption": caption,
    "refer": refer,
    "count": count,
}.items():
    TASKS.add(_name, _task)


def answer_for(label: str, section: Instructions) -> str:
    """The answer that names a class: its words, or JSON of `image_description` and `label`."""
    if section.answer == "text":
        return spoken(label)
    description = f"An aerial view of a {spoken(label)}"
    return json.dumps({"image_description": description, "label": label}, ensure_ascii=False)


def _wording(wordings: tuple[str, ...], image: AnnotatedImage, rng: random.Random) -> str:
    return rng.choice(wordings) if image.split == "train" else wordings[0]


def _ask(
    image: AnnotatedImage,
    task: str,
    setting: Setting,
    question: str,
    answer: Turn,
    truth: dict[str, object],
    number: int = 0,
) -> Conversation:
    turns = [user(Image(image.path, image.size_wh), "\n" + question), answer]
    if setting.section.system:
        labels = ", ".join(setting.labels)
        turns.insert(0, system(setting.section.system.replace("{labels}", labels)))
    words = question + " ".join(
        part.text for part in answer.parts if not isinstance(part, Image | Box)
    )
    return Conversation(
        id=f"{image.id}#{task}{number}",
        task=task,
        turns=tuple(turns),
        split=image.split,
        scene=image.scene,
        truth=dict(truth),
        upright=bool(DIRECTIONS.search(words)),
    )
