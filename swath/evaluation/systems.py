"""Sides of an evaluation: who answers its questions, and what is shown before they are asked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from swath.boxes import Boxes
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


@dataclass(frozen=True)
class Side:
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


def side(name: str) -> Side:
    """The side of a name: "base", "blind", "few-shot tuned", "http://host/v1#model" and the like.

    Raises:
        RequestError: there is no such side.
    """
    first, _, rest = name.strip().partition(" ")
    how, who = (first, rest.strip() or _HOW[first]) if first in _HOW else ("", name.strip())
    if is_address(who):
        split_address(who)
    elif who not in _RANK:
        raise RequestError(
            f"evaluation.sides: '{name}' is none; models elsewhere are written as "
            f"http://host:8000/v1#model{did_you_mean(name, [*_RANK, *_HOW])}"
        )
    return Side(name.strip(), how, who)


def sides(recipe: Recipe) -> tuple[str, ...]:
    """The sides that a recipe compares, base first and tuned last.

    Raises:
        RequestError: there is no such side, or a base is asked that knows nothing.
    """
    learnt = recipe.models.weights == "pretrained"
    names = recipe.evaluation.sides or (["base", "tuned"] if learnt else ["tuned"])
    for name in names:
        if side(name).who == "base" and not learnt:
            raise RequestError(
                f"evaluation.sides: '{name}' asks the base, and models.weights is "
                f"{recipe.models.weights}: it has learnt nothing yet; leave it out."
            )
    return tuple(sorted(dict.fromkeys(names), key=lambda name: _RANK.get(name, 1)))


def unmeasured(recipe: Recipe, run: Path) -> list[str]:
    """What to say of sides that an honest report has and this recipe leaves out."""
    asked = {side(name).how or side(name).who for name in sides(recipe)}
    learnt = recipe.models.weights == "pretrained"
    known = ["base", "blind", "few-shot"] if learnt else ["blind"]
    missing = [name for name in known if name not in asked]
    every = ", ".join([*missing, *sides(recipe)])
    about = {
        "blind": " (the tuned model without pictures)",
        "few-shot": " (the base, shown examples)",
    }
    named = ", ".join(name + about.get(name, "") for name in missing)
    then = f"`swath evaluate {run} 'evaluation.sides=[{every}]'` measures"
    return [f"Not measured: {named}. {then} {'them' if missing[1:] else 'it'}."] if missing else []


def engine(
    one: Side,
    recipe: Recipe,
    run: Path,
    replies: Path,
    train: Sequence[Conversation] = (),
    loaded: Loaded | None = None,
) -> Engine:
    """What answers for a side.

    Args:
        one: the side.
        recipe: of the run.
        run: its folder.
        replies: file in which its answers are kept; those beside it are looked up.
        train: conversations that few-shot examples are taken of.
        loaded: the side's model, if it is loaded already.

    Raises:
        ModelError: the model is not there.
        RequestError: few-shot, and there is no training conversation.
    """
    section = recipe.evaluation
    replies.parent.mkdir(parents=True, exist_ok=True)
    others = sorted(set(replies.parent.glob("replies*.jsonl")) - {replies})
    if is_address(one.who):
        answering: Engine = RemoteEngine(
            one.who, section.remote, replies, others, one.how == "blind", recipe.imagery.rendering
        )
        many, change = True, None
    else:
        loaded = loaded or loaded_of(one.who, recipe, run)
        tuned_here = (run / RUN_FILE).is_file()
        home = run / "evaluation" if tuned_here else replies.parent.parent
        kept = Features(home / "features")  # sides and suites have mostly one tower
        how = (section.batch_size, section.views, recipe.tuning.threads, kept)
        local = LocalEngine(loaded, *how)
        answering = RememberingEngine(local, Journal(replies, KIND, others))
        many, change = loaded.family.many_images, _greyed(loaded, replies.parent)
    if one.how == "few-shot":
        return Prompted(answering, Examples(train, section.shots, recipe.seed, many))
    return Prompted(answering, change) if one.how == "blind" and change else answering


class Prompted:
    """An engine whose questions are changed before it is asked.

    Args:
        engine: what answers.
        change: of each question.
    """

    def __init__(self, engine: Engine, change: Callable[[Conversation], Conversation]) -> None:
        self.engine, self._change = engine, change

    def answer(self, questions: Sequence[Conversation], *how: Any, **named: Any) -> list[Answer]:
        """The answer to each changed question."""
        return self.engine.answer([self._change(one) for one in questions], *how, **named)

    def score(
        self, questions: Sequence[Conversation], *how: Any, **named: Any
    ) -> list[NDArray[np.float64]]:
        """The scores of each changed question's candidates."""
        return self.engine.score([self._change(one) for one in questions], *how, **named)


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
        self._shots, self._pictures = shots, pictures
        self._by_task: dict[str, list[Conversation]] = {}
        for one in random.Random(f"{seed}/shots").sample(train, len(train)):
            self._by_task.setdefault(one.task, []).append(one)

    def __call__(self, question: Conversation) -> Conversation:
        """The question after its task's examples."""
        turns = [turn for turn in question.turns if turn.role == "system"]
        before = 0
        for shown in self._chosen(question):
            number = len(shown.images) if self._pictures else 0
            for turn in shown.turns[-2:]:
                turns.append(self._moved(turn, shown, question, before))
            before += number
        own = [turn for turn in question.turns if turn.role != "system"]
        turns += [
            Turn(turn.role, tuple(_later(part, before) for part in turn.parts)) for turn in own
        ]
        return replace(question, turns=tuple(turns))

    def _chosen(self, question: Conversation) -> list[Conversation]:
        chosen: dict[str, Conversation] = {}
        rest = []
        for one in self._by_task.get(question.task, []):
            if one.text("assistant") in chosen or not one.text("assistant"):
                rest.append(one)
            else:
                chosen[one.text("assistant")] = one
        return [*chosen.values(), *rest][: self._shots]

    def _moved(self, turn: Turn, shown: Conversation, question: Conversation, by: int) -> Turn:
        if self._pictures:
            return Turn(turn.role, tuple(_later(part, by) for part in turn.parts))
        frame = question.images[question.frame].size_wh
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Box):
                size = shown.images[part.image].size_wh
                scaled: Boxes = part.boxes.scaled((frame[0] / size[0], frame[1] / size[1]))
                parts.append(Box(scaled, question.frame))
            elif not isinstance(part, Image):
                parts.append(part)
        if parts and isinstance(parts[0], Text):
            parts[0] = Text(parts[0].text.removeprefix("\n"))
        return Turn(turn.role, tuple(parts))


def _later(part: Part, by: int) -> Part:
    return Box(part.boxes, part.image + by) if isinstance(part, Box) else part


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

    return lambda question: replace(
        question,
        turns=tuple(Turn(turn.role, tuple(map(grey, turn.parts))) for turn in question.turns),
    )
