"""What a model is asked about two dates, in the words that it was tuned on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.annotations.formats.masks import CHANGE, CHANGE_ASKED
from swath.annotations.image import AnnotatedImage, read_images
from swath.errors import ModelError
from swath.files import read_json
from swath.instructions.conversation import Conversation, assistant
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.base import Setting, ask
from swath.instructions.tasks.pairs import of_both_dates
from swath.instructions.tasks.truths import OtherTruth
from swath.recipe import Instructions
from swath.recipes import load_recipe

YES_NO = ("yes", "no")
UNTUNED_CAPTION = "The two images show one place at two dates. Describe what has changed."
OWN = "own"
"""Kind of a question that whoever compares asks."""


@dataclass(frozen=True, slots=True)
class PairQuestion:
    """One question about a pair.

    Args:
        kind: "caption", "ground", "changed", "damage" or `OWN`.
        words: as the model was tuned on them.
        name: class of the boxes that answer it.
    """

    kind: str
    words: str
    name: str = CHANGE

    def to_row(self) -> dict[str, str]:
        """The question as a JSON object."""
        return {"kind": self.kind, "words": self.words, "name": self.name}


class PairQuestions:
    """The questions of one model, and how they are put.

    Args:
        setting: of the set it was tuned on.
        questions: in the order in which they are asked.
    """

    def __init__(self, setting: Setting, questions: Sequence[PairQuestion]) -> None:
        self._setting = setting
        self.questions = tuple(questions)

    def about(
        self, question: PairQuestion, pictures: tuple[str, str], size_wh: tuple[int, int]
    ) -> Conversation:
        """A question about two pictures of one size, the earlier first."""
        name = f"{pictures[0]} {question.kind} {question.name}"
        image = AnnotatedImage(name, pictures[0], size_wh, frames=pictures)
        task = "question" if question.kind == "changed" else question.kind
        nothing, answer = OtherTruth(), assistant("")
        row = ask(image, task, self._setting, question.words, answer, nothing, all_frames=True)
        return row.question


def questions_of(model: Path | str, own: str | None = None) -> PairQuestions:
    """What a model is asked about a pair.

    Args:
        model: a run; any other model is asked in plain words for a caption, for boxes around what
            changed and whether anything did.
        own: a question to ask instead.

    Raises:
        ModelError: the run was tuned on single pictures, or on no question about pairs.
        FormatError: a file of the run is damaged.
    """
    folder = Path(model)
    card_file = folder / "set" / "card.json"
    section = Instructions()
    card: dict[str, Any] = {}
    if card_file.is_file():
        section = load_recipe(folder / "recipe.yaml").instructions
        card = read_json(card_file)
    phrasing = PHRASINGS.get(section.phrasing)
    labels = tuple(card.get("labels", ()))
    names = tuple(card.get("names", ()))
    setting = Setting(section, phrasing, labels, names)
    if own is not None:
        return PairQuestions(setting, [PairQuestion(OWN, own)])
    if not card:
        return PairQuestions(setting, _untuned(setting))
    if not _shows_pairs(folder / "set" / "images.jsonl"):
        raise ModelError(
            f"{model}: was tuned on single pictures, so it knows of no change; tune it on pairs "
            f"(docs/change.md), or ask a question of your own."
        )
    tasks = {task for split in card["conversations"].values() for task in split}
    questions = list(_tuned(setting, tasks))
    if not questions:
        raise ModelError(
            f"{model}: was tuned on pairs, but neither on captions nor on change or damage "
            f"(tasks: {', '.join(sorted(tasks))}); ask a question of your own."
        )
    return PairQuestions(setting, questions)


def _tuned(setting: Setting, tasks: set[str]) -> Iterator[PairQuestion]:
    """The questions about pairs that were among the tasks."""
    phrasing = setting.phrasing
    paired = [name for name in setting.names if of_both_dates(name)]
    if "question" in tasks and CHANGE in paired:
        words = phrasing.wordings["question"][0].replace("{question}", CHANGE_ASKED)
        yield PairQuestion("changed", words)
    if "ground" in tasks:
        for name in paired:
            yield _ground(setting, name)
    if "caption" in tasks:
        yield PairQuestion("caption", phrasing.wordings["caption"][0])
    if "damage" in tasks:
        yield PairQuestion("damage", phrasing.wordings["damage"][0])


def _untuned(setting: Setting) -> list[PairQuestion]:
    """What any model may understand."""
    changed = PairQuestion("changed", CHANGE_ASKED)
    caption = PairQuestion("caption", UNTUNED_CAPTION)
    return [changed, _ground(setting, CHANGE), caption]


def _ground(setting: Setting, name: str) -> PairQuestion:
    phrase = setting.phrasing.grammar.all(name)
    words = setting.phrasing.wordings["ground"][0].format(phrase=phrase)
    return PairQuestion("ground", words, name)


def _shows_pairs(images: Path) -> bool:
    """Whether any picture of a set has a later one."""
    return any(len(image.frames) > 1 for image in read_images(images))
