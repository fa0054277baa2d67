"""The table of tasks: each turns what is known of an image into questions with answers."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from swath.annotations.image import AnnotatedImage, Question
from swath.instructions.conversation import Conversation, assistant
from swath.instructions.language import plural, spoken
from swath.instructions.tasks.base import Setting, Task, ask, wording
from swath.instructions.tasks.boxes import describe, ground, identify, refer, region
from swath.instructions.tasks.pairs import damage, of_both_dates
from swath.recipe import Instructions
from swath.registry import Registry


def classify(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Which of the set's classes the scene is."""
    if image.label is None:
        return
    worded = wording(setting.phrasing.classify, image, rng)
    question = worded.replace("{labels}", ", ".join(spoken(label) for label in setting.labels))
    answer = assistant(answer_for(image.label, setting.section))
    yield ask(image, "classify", setting, question, answer, {"label": image.label}, all_frames=True)


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
        asked = wording(setting.phrasing.caption, image, rng)
        answer = assistant(sentence.strip())
        yield ask(image, "caption", setting, asked, answer, truth, number, all_frames=True)


def count(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """How many objects of a class there are, and now and then of one that is absent."""
    present, absent = sorted(set(image.names) & set(image.listed)), _absent(image)
    rng.shuffle(present)
    asked = present[: setting.section.counts_per_image]
    if absent and (not asked or rng.random() < 0.3):
        asked = [*asked[: setting.section.counts_per_image - 1], rng.choice(absent)]
    for number, name in enumerate(asked):
        worded = wording(setting.phrasing.count, image, rng).format(names=plural(spoken(name)))
        total = image.names.count(name)
        truth = {"count": total, "name": name}
        both = of_both_dates(name)
        yield ask(image, "count", setting, worded, assistant(str(total)), truth, number, both)


def question(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """What the source itself asks about the image; of objects, whether there are any of a class."""
    for number, one in enumerate(image.questions or _presence(image, setting, rng)):
        worded = wording(setting.phrasing.question, image, rng)
        asked = worded.replace("{question}", one.question.strip())
        truth: dict[str, object] = {"answer": one.answer, "kind": one.kind}
        answer = assistant(one.answer.strip())
        yield ask(image, "question", setting, asked, answer, truth, number, all_frames=True)


def _presence(image: AnnotatedImage, setting: Setting, rng: random.Random) -> list[Question]:
    """Of a class that is there and of one that is not, where boxes tell."""
    grammar, present = setting.phrasing.grammar, sorted(set(image.names))
    if not present:
        return []
    asked = [(rng.choice(present), grammar.yes)]
    if absent := _absent(image):
        asked.append((rng.choice(absent), grammar.no))
    return [Question(grammar.is_there(name), answer, "presence") for name, answer in asked]


def _absent(image: AnnotatedImage) -> list[str]:
    """Classes its source boxes wherever they are, and neither its boxes nor its captions name."""
    words = " ".join(image.captions).lower()
    return [name for name in image.listed if name not in image.names and spoken(name) not in words]


_TASKS = (classify, caption, refer, count, ground, identify, region, describe, question, damage)
TASKS: Registry[Task] = Registry("task", "swath.tasks", {one.__name__: one for one in _TASKS})


def answer_for(label: str, section: Instructions) -> str:
    """The answer that names a class: its words, or JSON of `image_description` and `label`."""
    if section.answer == "text":
        return spoken(label)
    description = f"An aerial view of a {spoken(label)}"
    return json.dumps({"image_description": description, "label": label}, ensure_ascii=False)


def answer_schema(labels: Sequence[str], section: Instructions) -> dict[str, Any] | None:
    """The JSON schema of an answer that names one of the classes; None where it is in words."""
    if section.answer == "text":
        return None
    keys = {"image_description": {"type": "string"}, "label": {"enum": list(labels)}}
    closed = {"required": list(keys), "additionalProperties": False}
    return {"type": "object", "properties": keys, **closed}
