"""The builder: annotated images in, conversations and a data card out."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from swath.annotations.contents import refuse_changed, write_with_contents
from swath.annotations.image import AnnotatedImage
from swath.errors import InstructionError
from swath.files import read_json, read_lines, replacing_folder, write_json
from swath.imagery.rendering import PLAIN
from swath.instructions.attributes import Looks
from swath.instructions.conversation import (
    Conversation,
    read_conversations,
    write_conversations,
)
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.balance import Balance, mostly_left_out
from swath.instructions.tasks.base import Setting
from swath.instructions.tasks.blind import Blind
from swath.instructions.tasks.words import ASKED_BY, DIALOGUE, TASKS, answer_for, unused
from swath.instructions.turns import join_turns
from swath.recipe import Instructions, Rendering

Review = Callable[[list[Conversation]], list[Conversation]]
Rows = Callable[[AnnotatedImage], list[Conversation]]
ROWS = "conversations.jsonl"
IMAGES = "images.jsonl"


@dataclass(frozen=True)
class InstructionSet:
    """Conversations and what is known of them.

    Args:
        conversations: of all splits, in the order of their images.
        card: counts, labels, choices, sources and licences; `card.json`.
    """

    conversations: Sequence[Conversation]
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


class Kept(Sequence[Conversation]):
    """The rows of a `conversations.jsonl`, read when they are first looked at.

    Args:
        path: of the file, held open: what is put in its place later is another set.
        called: where it will be moved to.
    """

    def __init__(self, path: Path, called: Path) -> None:
        self._path, self._stream = called, path.open("rb")

    @cached_property
    def rows(self) -> tuple[Conversation, ...]:
        """All of them."""
        with self._stream:
            rows = read_lines(self._stream, self._path, "conversations")
            return tuple(map(Conversation.from_row, rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]

    def __eq__(self, other: object) -> bool:
        return self.rows == (other.rows if isinstance(other, Kept) else other)

    __hash__ = None  # type: ignore[assignment]


def build(
    images: Sequence[AnnotatedImage],
    section: Instructions,
    seed: int,
    notes: dict[str, Any] | None = None,
    review: Review = list,
) -> InstructionSet:
    """Ask every task of every image.

    Args:
        images: with their splits.
        section: the recipe's `instructions`.
        seed: of wordings and choices; each image has its own stream, so adding one image
            leaves the others' questions alone, save sizes and absent classes, which depend on all.
        notes: further entries of the card, such as lint findings.
        review: what is kept of an image's rows, before they are joined into conversations.

    Raises:
        InstructionError: no task found anything to ask.
    """
    asking = _Asking(images, section, seed, review)
    conversations = tuple(asking)
    return InstructionSet(conversations, asking.card(notes or {}))


def build_into(
    folder: Path | str,
    images: Sequence[AnnotatedImage],
    section: Instructions,
    seed: int,
    notes: dict[str, Any] | None = None,
    review: Review = list,
    check: Callable[[InstructionSet], None] = lambda built: None,
    rendering: Rendering = PLAIN,
    rows: Rows | None = None,
    written: Mapping[str, Sequence[Conversation]] = MappingProxyType({}),
) -> InstructionSet:
    """`build`, each row written as it is made and none held; a set that was there is replaced.

    Args:
        check: looks at the set before it takes its place, and may add to the card or refuse.
        rendering: how rasters become the colours that are named.
        rows: an image's conversations, where they are known already and no task asks.
        written: further conversations by the image's id, beside those that the tasks ask.

    Raises:
        InstructionError: see `build`; what `folder` held stays.
    """
    asking = _Asking(images, section, seed, review, rendering, rows, written)
    with replacing_folder(folder, "card.json") as temporary:
        write_with_contents(temporary / IMAGES, images)
        write_conversations(temporary / ROWS, asking)
        built = InstructionSet(
            Kept(temporary / ROWS, Path(folder) / ROWS), asking.card(notes or {})
        )
        check(built)
        write_json(temporary / "card.json", built.card)
    return built


def read_set(folder: Path | str) -> InstructionSet:
    """The set that `build_into` wrote.

    Raises:
        FormatError: a file is absent or damaged.
    """
    folder = Path(folder)
    card = read_json(folder / "card.json")
    return InstructionSet(tuple(read_conversations(folder / ROWS)), card)


def same_pictures(folder: Path | str, conversations: Iterable[Conversation]) -> str:
    """Refuse pictures that changed since the set was built; return what could not be compared.

    Args:
        folder: of the set.
        conversations: whose pictures are about to be read.

    Raises:
        AnnotationError: some were replaced, changed places, or are gone.
        FormatError: `images.jsonl` is absent or damaged.
    """
    pictures = {image.path for row in conversations for image in row.images}
    return refuse_changed(Path(folder) / IMAGES, pictures)


class _Asking:
    """The conversations about some images, made one by one, and then their card."""

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        section: Instructions,
        seed: int,
        review: Review,
        rendering: Rendering = PLAIN,
        rows: Rows | None = None,
        written: Mapping[str, Sequence[Conversation]] = MappingProxyType({}),
    ) -> None:
        self.written = written
        phrasing = PHRASINGS.get(section.phrasing)
        self.images = [phrasing.prepare(image) for image in images]
        if "caption" in section.tasks:
            _refuse_other_languages(self.images, section.phrasing)
        self.seed, self.review, self.rows = seed, review, rows or self._ask
        self.tasks = {name: TASKS.get(name) for name in section.tasks}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.blind = Blind()
        labels = {image.label for image in self.images if image.label is not None}
        self.setting = Setting(
            section,
            phrasing,
            labels=tuple(sorted(labels)),
            names=tuple(sorted({name for image in self.images for name in image.names})),
            looks=Looks(
                (image for image in self.images if image.split == "train"),
                rendering,
                section.colours,
            ),
            shown=_shown(self.images),
            balance=Balance(section.balance),
        )

    def __iter__(self) -> Iterator[Conversation]:
        section, seed = self.setting.section, self.seed
        if self.rows == self._ask:
            self._expect()
        for listed in self.images:
            image = _as_kept(listed)
            rows = self.review([*self.rows(image), *self.written.get(image.id, ())])
            if section.turns > 1 and not self._told(image):
                rows = [*rows, *join_turns(rows, section.turns, seed)]
            for row in rows:
                self.counts[row.split or "none", row.task] += 1
                self.blind.add(row)
            yield from rows
        if not self.counts:
            held = unused(self.images, section.tasks)
            lost = mostly_left_out(self.setting.balance.card())
            advice = "do they have labels, captions or boxes? `swath check` says what is left out."
            if held:
                content = " and ".join(f"{count} {kind}" for kind, count in held.items())
                tasks = ", ".join(ASKED_BY[kind][0] for kind in held)
                advice = f"they have {content}: say instructions.tasks=[{tasks}]."
            if lost:
                advice = (
                    f"{lost} were left out, which words alone would answer (instructions.balance)."
                )
            raise InstructionError(
                f"none of the tasks {', '.join(section.tasks)} found anything to ask about "
                f"{len(self.images)} images; {advice}"
            )

    def _ask(self, image: AnnotatedImage) -> list[Conversation]:
        """What the tasks ask about an image."""
        rows: list[Conversation] = []
        for name, task in self.tasks.items():
            if self._told(image) and name != DIALOGUE:
                continue
            rows += task(image, self.setting, self._rng(image, name))
        return rows

    def _rng(self, image: AnnotatedImage, task: str) -> random.Random:
        return random.Random(f"{self.seed}/{image.id}/{task}")

    def _expect(self) -> None:
        """Count the questions with two answers of all images, before any is asked."""
        asking = {name: task.asks for name, task in self.tasks.items() if task.asks is not None}
        for listed in self.images if asking else ():
            image = _as_kept(listed)
            for name, asks in asking.items():
                if self._told(image):
                    continue
                for asked in asks(image, self.setting, self._rng(image, name)):
                    self.setting.balance.expect(image.split, asked)

    def _told(self, image: AnnotatedImage) -> bool:
        """Whether its source's own conversations are learnt, and nothing is asked anew."""
        return DIALOGUE in self.tasks and bool(image.dialogues)

    def card(self, notes: dict[str, Any]) -> dict[str, Any]:
        """What is known of the set once all rows are made."""
        images, setting = self.images, self.setting
        by_split = Counter(image.split or "none" for image in images)
        licences = Counter(image.licence or "not stated" for image in images)
        asks_label = any(task == "classify" for _, task in self.counts)
        answers = {label: answer_for(label, setting.section) for label in setting.labels}
        return {
            "images": dict(sorted(by_split.items())),
            "conversations": {
                split: {task: n for (of, task), n in sorted(self.counts.items()) if of == split}
                for split in sorted(by_split)
            },
            "labels": list(setting.labels),
            "names": list(setting.names),
            "choices": {"classify": answers} if asks_label else {},
            "blind": self.blind.card(),
            "balance": setting.balance.card(),
            "words": common_words(images),
            "sources": sorted({image.source for image in images}),
            "licences": dict(sorted(licences.items())),
            "system": setting.system,
            "instructions": setting.section.model_dump(mode="json"),
            "seed": self.seed,
            **notes,
        }


def _as_kept(image: AnnotatedImage) -> AnnotatedImage:
    """The image with its boxes as files hold them."""
    return replace(image, boxes=image.boxes.rounded())


def _refuse_other_languages(images: Sequence[AnnotatedImage], phrasing: str) -> None:
    """Refuse captions that would answer in another language than they are asked for in.

    Raises:
        InstructionError: there are some.
    """
    speaks = PHRASINGS.get(phrasing).grammar.speaks
    foreign = []
    for image in images:
        foreign += [
            (image.id, text) for text in image.captions if text.strip() and not speaks(text)
        ]
    if foreign:
        where, text = foreign[0]
        raise InstructionError(
            f"{where}: '{text[:80]}' is not in the language that phrasing '{phrasing}' asks in "
            f"({len(foreign)} captions in all); have captions translated (instructions.writer), "
            f"or choose another instructions.phrasing."
        )


def _shown(images: Iterable[AnnotatedImage]) -> dict[str, float]:
    """Of the training images whose source lists a class, the share that shows it."""
    listing: Counter[str] = Counter()
    showing: Counter[str] = Counter()
    for image in images:
        if image.split == "train":
            listing.update(image.listed)
            showing.update(set(image.names))
    return {name: showing[name] / count for name, count in listing.items()}


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
