"""The builder: annotated images in, conversations and a data card out."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swath.annotations.image import AnnotatedImage, write_images
from swath.errors import InstructionError
from swath.files import read_json, replacing_folder, write_json
from swath.instructions.asking import Setting
from swath.instructions.attributes import Looks
from swath.instructions.conversation import (
    Conversation,
    read_conversations,
    write_conversations,
)
from swath.instructions.mixing import join_turns
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks import TASKS, answer_for
from swath.recipe import Instructions


@dataclass(frozen=True)
class InstructionSet:
    """Conversations and what is known of them.

    Args:
        conversations: of all splits, in the order of their images.
        card: counts, labels, choices, sources and licences; `card.json`.
    """

    conversations: tuple[Conversation, ...]
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Scene classes, sorted."""
        return list(self.card["labels"])

    @property
    def choices(self) -> dict[str, dict[str, str]]:
        """Task to label to the answer that names it, for closed answers."""
        return dict(self.card["choices"])

    def split(self, name: str) -> list[Conversation]:
        """Conversations of one split."""
        return [one for one in self.conversations if one.split == name]


def build(
    images: Sequence[AnnotatedImage],
    section: Instructions,
    seed: int,
    notes: dict[str, Any] | None = None,
    review: Callable[[list[Conversation]], list[Conversation]] = list,
) -> InstructionSet:
    """Ask every task of every image.

    Args:
        images: with their splits.
        section: the recipe's `instructions`.
        seed: of wordings and choices; each image has its own stream, so adding one image
            leaves the others' questions alone.
        notes: further entries of the card, such as lint findings.
        review: what is kept of an image's rows, before they are joined into conversations.

    Raises:
        InstructionError: no task found anything to ask.
    """
    phrasing = PHRASINGS.get(section.phrasing)
    images = [phrasing.prepare(image) for image in images]
    setting = Setting(
        section,
        phrasing,
        labels=tuple(sorted({image.label for image in images if image.label is not None})),
        names=tuple(sorted({name for image in images for name in image.names})),
        looks=Looks(image for image in images if image.split == "train"),
    )
    tasks = {name: TASKS.get(name) for name in section.tasks}
    conversations: list[Conversation] = []
    for image in images:
        rows = [
            conversation
            for name, task in tasks.items()
            for conversation in task(image, setting, random.Random(f"{seed}/{image.id}/{name}"))
        ]
        rows = review(rows)
        conversations += rows
        if section.turns > 1:
            conversations += join_turns(rows, section.turns, seed)
    if not conversations:
        raise InstructionError(
            f"none of the tasks {', '.join(section.tasks)} found anything to ask about "
            f"{len(images)} images; do they have labels, captions or boxes?"
        )
    return InstructionSet(
        tuple(conversations), _card(images, conversations, setting, seed, notes or {})
    )


def write_set(folder: Path | str, images: Iterable[AnnotatedImage], built: InstructionSet) -> None:
    """Write `images.jsonl`, `conversations.jsonl` and `card.json`, all or none."""
    with replacing_folder(folder) as temporary:
        write_images(temporary / "images.jsonl", images)
        write_conversations(temporary / "conversations.jsonl", built.conversations)
        write_json(temporary / "card.json", built.card)


def read_set(folder: Path | str) -> InstructionSet:
    """The set that `write_set` wrote.

    Raises:
        FormatError: a file is absent or damaged.
    """
    folder = Path(folder)
    card = read_json(folder / "card.json")
    return InstructionSet(tuple(read_conversations(folder / "conversations.jsonl")), card)


def _card(
    images: Sequence[AnnotatedImage],
    conversations: Sequence[Conversation],
    setting: Setting,
    seed: int,
    notes: dict[str, Any],
) -> dict[str, Any]:
    by_split = Counter(image.split or "none" for image in images)
    by_task = Counter((one.split or "none", one.task) for one in conversations)
    asks_label = any(one.task == "classify" for one in conversations)
    return {
        "images": dict(sorted(by_split.items())),
        "conversations": {
            split: {task: n for (of, task), n in sorted(by_task.items()) if of == split}
            for split in sorted(by_split)
        },
        "labels": list(setting.labels),
        "names": list(setting.names),
        "choices": {
            "classify": {label: answer_for(label, setting.section) for label in setting.labels}
        }
        if asks_label
        else {},
        "words": common_words(images),
        "sources": sorted({image.source for image in images}),
        "licences": dict(
            sorted(Counter(image.licence or "not stated" for image in images).items())
        ),
        "system": setting.system,
        "instructions": setting.section.model_dump(mode="json"),
        "seed": seed,
        **notes,
    }


def common_words(images: Iterable[AnnotatedImage], most: int = 300) -> list[str]:
    """The commonest words of the training captions, by how many images use them."""
    counts: Counter[str] = Counter()
    for image in images:
        if image.split == "train":
            counts.update(words_of(" ".join(image.captions)))
    # Ties by the alphabet: a set's own order changes from process to process.
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [word for word in ranked[:most] if counts[word] > 1]


def words_of(text: str) -> set[str]:
    """The words of a text that say something, lower case."""
    return {word for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in STOP_WORDS}


STOP_WORDS = frozenset(
    ("the", "and", "are", "with", "some", "this", "that", "there", "from", "has", "have", "its")
)
