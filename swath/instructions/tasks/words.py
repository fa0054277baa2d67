"""The table of tasks: each turns what is known of an image into questions with answers."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from swath.annotations.image import AnnotatedImage, Question
from swath.instructions.conversation import Conversation, assistant
from swath.instructions.language import plural, spoken
from swath.instructions.tasks import box_questions
from swath.instructions.tasks.base import Fact, Setting, Task, ask_fact
from swath.instructions.tasks.boxes import (
    classes_of,
    describe,
    described,
    ground,
    grounded,
    group,
    identified,
    identify,
    refer,
    referred,
    region,
)
from swath.instructions.tasks.dialogues import dialogue
from swath.instructions.tasks.pairs import damage, of_both_dates
from swath.instructions.tasks.truths import AnswerTruth, CaptionsTruth, CountTruth, LabelTruth
from swath.recipe import Instructions
from swath.registry import Registry

DIALOGUE = "dialogue"
"""The task of a source's own conversations."""


def classify(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """Which of the set's classes the scene is."""
    for fact in _classes(image):
        answer = assistant(answer_for(fact.truth.label, setting.section))
        yield ask_fact(image, "classify", setting, rng, fact, answer, all_frames=True)


def _classes(image: AnnotatedImage) -> Iterator[Fact[LabelTruth]]:
    if image.label:
        yield Fact(LabelTruth(image.label))


def caption(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """A sentence on the whole image: in training one a caption, in a test one an image."""
    for fact in _captions(image):
        captions = fact.truth.captions
        chosen = list(dict.fromkeys(captions)) if image.split == "train" else captions[:1]
        for number, sentence in enumerate(chosen[: setting.section.captions_per_image]):
            answer = assistant(sentence.strip())
            yield ask_fact(image, "caption", setting, rng, fact, answer, number, all_frames=True)


def _captions(image: AnnotatedImage) -> Iterator[Fact[CaptionsTruth]]:
    captions = tuple(sentence for sentence in image.captions if re.search(r"\w", sentence))
    if captions:
        yield Fact(CaptionsTruth(captions, image.label or None))


def count(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """How many objects of a class there are, and now and then of one that is absent."""
    most = setting.section.counts_per_image
    present = sorted(set(image.names) & set(image.listed))
    absent = box_questions.absent_classes(image)
    rng.shuffle(present)
    names = present[:most]
    if absent and (not names or rng.random() < 0.3):
        names = [*names[: most - 1], rng.choice(absent)]
    for number, name in enumerate(names):
        fact = _counted(image, name)
        answer = assistant(str(fact.truth.count))
        both = of_both_dates(name)
        yield ask_fact(image, "count", setting, rng, fact, answer, number, both)


def _counted(image: AnnotatedImage, name: str) -> Fact[CountTruth]:
    return Fact(CountTruth(image.names.count(name), name), {"names": plural(spoken(name))})


def question(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """What the source itself asks about the image; of objects, whether there are any of a class."""
    facts = _questions(image.questions)
    for asked in box_questions.presence(image, setting, rng):
        if setting.balance.keeps(image.split, asked):
            facts.append(Fact(AnswerTruth(asked.answer, asked.kind), asked.words))
    for number, fact in enumerate(facts):
        answer = assistant(fact.truth.answer.strip())
        yield ask_fact(image, "question", setting, rng, fact, answer, number, all_frames=True)


def _questions(given: Iterable[Question]) -> list[Fact[AnswerTruth]]:
    facts = []
    for asked in given:
        truth = AnswerTruth(asked.answer, asked.kind)
        facts.append(Fact(truth, {"question": asked.question.strip()}))
    return facts


TASKS: Registry[Task] = Registry(
    "task",
    "swath.tasks",
    {
        "classify": Task(classify, _classes),
        "caption": Task(caption, _captions),
        "refer": Task(refer, referred),
        "count": Task(count, lambda image: [_counted(image, name) for name in classes_of(image)]),
        "ground": Task(ground, grounded),
        "group": Task(group, counts_as="ground"),
        "identify": Task(identify, identified),
        "region": Task(region, described),
        "describe": Task(describe),
        "question": Task(
            question, lambda image: _questions(image.questions), asks=box_questions.presence
        ),
        "comparison": box_questions.task_of(box_questions.comparison, two_answers=True),
        "area": box_questions.task_of(box_questions.area, two_answers=True),
        "rural_urban": box_questions.task_of(box_questions.rural_urban, two_answers=True),
        "position": box_questions.task_of(box_questions.position),
        "relation": box_questions.task_of(box_questions.relation),
        "premise": box_questions.task_of(box_questions.premise, two_answers=True),
        "resolution": box_questions.task_of(box_questions.resolution),
        "sensor": box_questions.task_of(box_questions.sensor),
        "classes": Task(box_questions.classes),
        "damage": Task(damage),
        DIALOGUE: Task(dialogue),
    },
)
"""Every task that a set can ask; a plugin adds rows through the entry point `swath.tasks`."""


ASKED_BY = {
    "questions": ("question",),
    "captions": ("caption",),
    "scene classes": ("classify", "rural_urban"),
    "boxes": (
        *("refer", "count", "ground", "group", "identify", "region", "describe", "question"),
        *("damage", "comparison", "area", "position", "relation", "premise", "classes"),
    ),
}
"""What images may hold, and the tasks that ask for it, the commonest first."""

_OF_NO_KIND = {DIALOGUE, "resolution", "sensor"}


def unused(images: Iterable[AnnotatedImage], tasks: Sequence[str]) -> dict[str, int]:
    """How much of the images' content no task asks for, by kind; a plugin's task may ask for any.

    Args:
        images: of a source.
        tasks: of the recipe.
    """
    ours = _OF_NO_KIND.union(*ASKED_BY.values())
    if not ours.issuperset(tasks):
        return {}
    counts: Counter[str] = Counter()
    for image in images:
        if DIALOGUE in tasks and image.dialogues:  # all that its source says
            continue
        counts["questions"] += len(image.questions)
        counts["captions"] += len(image.captions)
        counts["scene classes"] += image.label is not None
        counts["boxes"] += len(image.boxes)
    idle = [kind for kind, names in ASKED_BY.items() if not set(names).intersection(tasks)]
    return {kind: counts[kind] for kind in idle if counts[kind]}


def answer_for(label: str, section: Instructions) -> str:
    """The answer that names a class: its words, or JSON of `image_description` and `label`.

    JSON stands bare, or in a fence as `fenced` has it.
    """
    if section.answer == "text":
        return spoken(label)
    description = f"An aerial view of a {spoken(label)}"
    values = {"image_description": description, "label": label}
    text = json.dumps(values, ensure_ascii=False)
    return f"```json\n{text}\n```" if section.answer == "fenced" else text


def answer_schema(labels: Sequence[str], section: Instructions) -> dict[str, Any] | None:
    """The JSON schema of an answer that names one of the classes; None where it is in words."""
    if section.answer == "text":
        return None
    keys = {"image_description": {"type": "string"}, "label": {"enum": list(labels)}}
    closed = {"required": list(keys), "additionalProperties": False}
    return {"type": "object", "properties": keys, **closed}
