"""Systems of an evaluation: who answers its questions, and what is shown before they are asked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from swath.boxes import Floats
from swath.endpoint import host_of, is_address, split_address
from swath.errors import RequestError
from swath.files import RUN_FILE, Journal
from swath.instructions.conversation import Box, Conversation, Image, Part, Text, Turn
from swath.models.answer_cache import KIND, RememberingEngine
from swath.models.engine import Answer, Engine, LocalEngine
from swath.models.loaded import Loaded
from swath.models.loading import load, load_base
from swath.models.remote import RemoteEngine
from swath.models.vision_cache import Features
from swath.recipe import Recipe
from swath.registry import did_you_mean

_RANK = {"base": 0, "tuned": 2}
_HOW = {"blind": "tuned", "few-shot": "base"}  # of whom, unless it is said
_ABOUT = {
    "blind": " (the tuned model without pictures)",
    "few-shot": " (the base, shown examples)",
}


@dataclass(frozen=True)
class System:
    """One column of a report.

    Args:
        name: as the recipe writes it.
        how: "", "blind" (no picture) or "few-shot" (examples of training first).
        who: "base", "tuned" or an address.
    """

    name: str
    how: str
    who: str

    @property
    def title(self) -> str:
        """As tables head it: an address by its model and host."""
        if not is_address(self.who):
            return self.name
        address, model = split_address(self.who)
        return f"{self.how} {model} ({host_of(address)})".strip()

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^\w.-]+", "-", self.title).strip("-")


def system_named(name: str) -> System:
    """The system of a name: "base", "blind", "few-shot tuned", "http://host/v1#model" and the like.

    Raises:
        RequestError: there is no such system.
    """
    name = name.strip()
    how, _, who = name.partition(" ")
    if how in _HOW:
        who = who.strip() or _HOW[how]
    else:
        how, who = "", name
    if is_address(who):
        split_address(who)
    elif who not in _RANK:
        raise RequestError(
            f"evaluation.systems: '{name}' is none; models elsewhere are written as "
            f"http://host:8000/v1#model{did_you_mean(name, [*_RANK, *_HOW])}"
        )
    return System(name, how, who)


def systems_of(recipe: Recipe) -> tuple[str, ...]:
    """The systems that a recipe compares, base first and tuned last.

    Raises:
        RequestError: there is no such system, or a base is asked that knows nothing.
    """
    learnt = recipe.models.weights == "pretrained"
    usual = ["base", "tuned"] if learnt else ["tuned"]
    names = recipe.evaluation.systems or usual
    for name in names:
        if system_named(name).who == "base" and not learnt:
            raise RequestError(
                f"evaluation.systems: '{name}' asks the base, and models.weights is "
                f"{recipe.models.weights}: it has learnt nothing yet; leave it out."
            )
    return tuple(sorted(dict.fromkeys(names), key=lambda name: _RANK.get(name, 1)))


def unmeasured(recipe: Recipe, run: Path) -> list[str]:
    """What to say of systems that an honest report has and this recipe leaves out."""
    compared = systems_of(recipe)
    forms = {system_named(name).how or system_named(name).who for name in compared}
    honest = ["blind"]
    if recipe.models.weights == "pretrained":
        honest = ["base", "blind", "few-shot"]
    missing = [name for name in honest if name not in forms]
    if not missing:
        return []
    listed = ", ".join(name + _ABOUT.get(name, "") for name in missing)
    complete = ", ".join([*missing, *compared])
    them = "it" if len(missing) == 1 else "them"
    return [
        f"Not measured: {listed}. `swath evaluate {run} 'evaluation.systems=[{complete}]'` "
        f"measures {them}."
    ]


def engine(
    system: System,
    recipe: Recipe,
    run: Path,
    replies: Path,
    train: Sequence[Conversation] = (),
    loaded: Loaded | None = None,
) -> Engine:
    """What answers for a system.

    Args:
        replies: file in which its answers are kept; those beside it are looked up.
        train: conversations that few-shot examples are taken of.
        loaded: the system's model, if it is loaded already.

    Raises:
        ModelError: the model is not there.
        RequestError: few-shot, and there is no training conversation.
    """
    section = recipe.evaluation
    replies.parent.mkdir(parents=True, exist_ok=True)
    earlier = sorted(set(replies.parent.glob("replies*.jsonl")) - {replies})
    blind = system.how == "blind"
    if is_address(system.who):
        answering: Engine = RemoteEngine(
            system.who, section.remote, replies, earlier, blind, recipe.imagery.rendering
        )
        many_images = True
    else:
        loaded = loaded or loaded_of(system.who, recipe, run)
        tuned_here = (run / RUN_FILE).is_file()
        home = run / "evaluation" if tuned_here else replies.parent.parent
        features = Features(home / "features")  # systems and suites have mostly one tower
        sizes = section.batch_size, section.views, recipe.tuning.threads
        answering = RememberingEngine(
            LocalEngine(loaded, *sizes, features), Journal(replies, KIND, earlier)
        )
        many_images = loaded.family.many_images
        if blind:
            answering = Prompted(answering, _greyed(loaded, replies.parent))
    if system.how == "few-shot":
        examples = Examples(train, section.shots, recipe.seed, many_images)
        return Prompted(answering, examples)
    return answering


class Prompted:
    """An engine whose questions are changed before it is asked.

    Args:
        change: of each question.
    """

    def __init__(self, engine: Engine, change: Callable[[Conversation], Conversation]) -> None:
        self.engine = engine
        self._change = change

    @property
    def elsewhere(self) -> bool:
        """Whether it is asked over the wire."""
        return self.engine.elsewhere

    def weighs(self, candidates: int) -> bool:
        """Whether so many candidates can be scored."""
        return self.engine.weighs(candidates)

    def answer(self, questions: Sequence[Conversation], *options: Any, **more: Any) -> list[Answer]:
        """The answer to each changed question."""
        changed = [self._change(question) for question in questions]
        return self.engine.answer(changed, *options, **more)

    def score(self, questions: Sequence[Conversation], *options: Any, **more: Any) -> list[Floats]:
        """The scores of each changed question's candidates."""
        changed = [self._change(question) for question in questions]
        return self.engine.score(changed, *options, **more)


class Examples:
    """Training examples as earlier turns, the same for all questions of a task.

    Args:
        train: conversations of one question each.
        shots: examples a task.
        seed: of their choice; different answers come first.
        pictures: show theirs as well. Without, their boxes are moved to the question's frame.

    Raises:
        RequestError: there is no training conversation.
    """

    def __init__(
        self, train: Sequence[Conversation], shots: int, seed: int, pictures: bool
    ) -> None:
        if not train:
            raise RequestError("few-shot takes its examples of the train split, which is empty.")
        self._shots = shots
        self._pictures = pictures
        self._by_task: dict[str, list[Conversation]] = {}
        for example in random.Random(f"{seed}/shots").sample(train, len(train)):
            self._by_task.setdefault(example.task, []).append(example)

    def __call__(self, question: Conversation) -> Conversation:
        """The question after its task's examples."""
        system = [turn for turn in question.turns if turn.role == "system"]
        turns = list(system)
        before = 0  # pictures shown so far
        for example in self._chosen(question):
            for turn in example.turns[-2:]:
                if self._pictures:
                    turns.append(_later(turn, before))
                else:
                    turns.append(_without_pictures(turn, example, question))
            if self._pictures:
                before += len(example.images)
        for turn in question.turns:
            if turn.role != "system":
                turns.append(_later(turn, before))
        return replace(question, turns=tuple(turns))

    def _chosen(self, question: Conversation) -> list[Conversation]:
        """Examples of the question's task, those of different answers first."""
        chosen: dict[str, Conversation] = {}
        repeated = []
        for example in self._by_task.get(question.task, []):
            answer = example.text("assistant")
            if answer in chosen or not answer:
                repeated.append(example)
            else:
                chosen[answer] = example
        return [*chosen.values(), *repeated][: self._shots]


def _without_pictures(turn: Turn, example: Conversation, question: Conversation) -> Turn:
    """A turn of an example without its pictures, its boxes moved to the question's frame."""
    width, height = question.images[question.frame].size_wh
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Box):
            own_width, own_height = example.images[part.image].size_wh
            boxes = part.boxes.scaled((width / own_width, height / own_height))
            parts.append(Box(boxes, question.frame))
        elif not isinstance(part, Image):
            parts.append(part)
    if parts and isinstance(parts[0], Text):
        parts[0] = Text(parts[0].text.removeprefix("\n"))
    return Turn(turn.role, tuple(parts))


def _later(turn: Turn, by: int) -> Turn:
    """A turn whose boxes lie on pictures so many places later."""
    parts = []
    for part in turn.parts:
        parts.append(Box(part.boxes, part.image + by) if isinstance(part, Box) else part)
    return Turn(turn.role, tuple(parts))


def loaded_of(who: str, recipe: Recipe, run: Path) -> Loaded:
    """The model of "tuned", which is the run's, or of "base"."""
    if who == "tuned":
        return load(run)
    return load_base(recipe.models, (), recipe.seed, recipe.imagery)


def _greyed(loaded: Loaded, folder: Path) -> Callable[[Conversation], Conversation]:
    """Every picture replaced by one of its size in the model's mean colour."""
    colour = tuple(round(255 * value) for value in loaded.mean)

    def grey(part: Part) -> Part:
        if not isinstance(part, Image):
            return part
        width, height = part.size_wh
        file = (folder / f"grey-{width}x{height}.png").absolute()
        if not file.is_file():
            Picture.new("RGB", part.size_wh, colour).save(file)
        return replace(part, path=str(file))

    def greyed(question: Conversation) -> Conversation:
        turns = [Turn(turn.role, tuple(map(grey, turn.parts))) for turn in question.turns]
        return replace(question, turns=tuple(turns))

    return greyed
