"""Which conversations a stage learns from, and in which order they come, image by image.

Nothing here has state: what comes in row v depends on the seed, the stage and v alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swath.errors import TuningError
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import LabelTruth
from swath.instructions.tasks.words import TASKS
from swath.instructions.turns import CONVERSE, tasks_in_turn
from swath.models.encoding import by_image
from swath.recipe import Stage
from swath.registry import did_you_mean

Groups = list[list[Conversation]]
"""Conversations by image; a row of a batch is some of one group."""


@dataclass(frozen=True)
class Dealt:
    """What comes in a row of a batch.

    Args:
        group: all that the stage may ask of the row's image.
        task: the task to ask; None: any.
        questions: what is asked; None: any of the group, as many as a row may hold.
    """

    group: Sequence[Conversation]
    task: str | None
    questions: Sequence[Conversation] | None = None


def groups_for(stage: Stage, conversations: Sequence[Conversation]) -> Groups:
    """The conversations that a stage asks, by image.

    Raises:
        TuningError: `tasks` or `mix` name no task, or none that the set holds, or nothing has
            the class that `balance` goes by.
    """
    if not conversations:
        raise TuningError("the set has no training rows; see annotations.split.")
    held_tasks = {conversation.task for conversation in conversations}
    known_tasks = [name for name, _ in TASKS.items()] + [CONVERSE]
    where = f"tuning.stages: stage '{stage.name}'"
    for task in (*(stage.tasks or ()), *stage.mix):
        if task not in known_tasks:
            raise TuningError(f"{where} asks task '{task}'{did_you_mean(task, known_tasks)}")
    for task, share in stage.mix.items():
        if stage.tasks is not None and task not in stage.tasks:
            raise TuningError(f"{where} mixes task '{task}', which is not among its tasks.")
        if not share > 0:
            raise TuningError(f"{where} mixes {share:g} of '{task}'; leave it out or give it more.")
    # A recipe names what it would ask; data that answers some of it is data for it.
    tasks = held_tasks & set(stage.mix or stage.tasks or held_tasks)
    if not tasks:
        raise TuningError(
            f"{where} asks {', '.join(stage.mix or stage.tasks or ())}, of which the set holds no "
            f"training row; it holds {', '.join(sorted(held_tasks))}."
        )
    groups = by_image([row for row in conversations if row.task in tasks])
    lacking = ""
    if stage.balance == "sampling" and not any(map(label_of, groups)):
        lacking = "image has a class"
    if stage.balance == "loss" and not class_weights(groups):
        lacking = "row is a classify question"
    if lacking:
        raise TuningError(
            f"{where} balances by {stage.balance}, but no {lacking}; use balance=none."
        )
    return groups


def label_of(group: Sequence[Conversation]) -> str | None:
    """The scene class of an image, None where it has none."""
    for conversation in group:
        if label := conversation.truth.get("label"):
            return str(label)
    return None


def class_weights(groups: Sequence[Sequence[Conversation]]) -> dict[str, float]:
    """Weight of a classify answer by its class: the same sum for each class, and 1 on average."""
    counts: Counter[str] = Counter()
    for group in groups:
        for conversation in group:
            if isinstance(conversation.truth, LabelTruth):
                counts[conversation.truth.label] += 1
    return {label: counts.total() / (len(counts) * count) for label, count in counts.items()}


def epoch_length(groups: Sequence[Sequence[Conversation]], stage: Stage) -> int:
    """Rows of batches that an epoch of a stage takes: see `Order`."""
    if not _by_rows(stage):
        return len(groups)
    length = 0
    for task in _mixed(groups, stage):
        length += sum(_parts(group, task, stage) for group in groups)
    return length


class Order:
    """Row number of a batch to the image that comes there, and what is asked of it.

    With `epoch_of: rows` an image comes as often in an epoch as its questions need, at most
    `rows_per_image` at a time, so that each is asked once; with `images` it comes once, whatever
    is asked. Every epoch has another order. With `mix` each task has such epochs of its own over
    the images it can be asked of; with `balance: sampling` each class has, and all classes come
    equally often.

    Args:
        groups: from `groups_for`.
        stage: its mix, balance and what an epoch is.
        seed: of this stage.
    """

    def __init__(self, groups: Sequence[Sequence[Conversation]], stage: Stage, seed: int) -> None:
        self.groups, self._stage, self._seed = groups, stage, seed
        self._balance = stage.balance == "sampling"
        self._tasks = _mixed(groups, stage)
        shares = [stage.mix[task] for task in self._tasks if task is not None]
        self._deal = _Deal(shares or [1.0])
        self._places: list[list[tuple[int, int]]] = []
        self._walks = []
        for number, task in enumerate(self._tasks):
            key = (seed, number) if number or self._balance else (seed,)
            places = []
            for place, group in enumerate(groups):
                places += [(place, part) for part in range(_parts(group, task, stage))]
            self._places.append(places)
            self._walks.append(self._walk(places, key))

    def __call__(self, row: int) -> Dealt:
        """What comes in a row."""
        hand, turn = self._deal(row)
        epoch, number = self._walks[hand](turn)
        place, part = self._places[hand][number]
        group, task = self.groups[place], self._tasks[hand]
        if not _by_rows(self._stage):
            return Dealt(group, task)
        rng = np.random.default_rng((self._seed, epoch, 3, hand, place))
        questions = _of_task(group, task)
        shuffled = tasks_in_turn([questions[turn] for turn in rng.permutation(len(questions))])
        size = self._stage.rows_per_image
        return Dealt(group, task, shuffled[part * size : (part + 1) * size])

    def _walk(self, places: list[tuple[int, int]], key: tuple[int, ...]) -> _Walk | _Balanced:
        if not self._balance:
            return _Walk(range(len(places)), key)
        classes: dict[str, list[int]] = {}
        for number, (place, _) in enumerate(places):
            classes.setdefault(label_of(self.groups[place]) or "", []).append(number)
        labels = len(classes) - ("" in classes)
        # Images without a class keep their share.
        unlabelled = len(classes.get("", [])) / len(places)
        shares = [(1 - unlabelled) / labels if label else unlabelled for label in classes]
        walks = []
        for number, of_class in enumerate(classes.values()):
            walks.append(_Walk(of_class, (*key, number)))
        return _Balanced(walks, shares)


def _by_rows(stage: Stage) -> bool:
    """Whether an epoch is of rows; where no words are learnt there are images alone."""
    return stage.epoch_of == "rows" and stage.text_loss > 0


def _mixed(groups: Sequence[Sequence[Conversation]], stage: Stage) -> list[str | None]:
    """The tasks that are dealt apart, those of the mix that are there; None: all together."""
    held_tasks = {conversation.task for group in groups for conversation in group}
    return [task for task in stage.mix if task in held_tasks] or [None]


def _of_task(group: Sequence[Conversation], task: str | None) -> list[Conversation]:
    return [question for question in group if task in (None, question.task)]


def _parts(group: Sequence[Conversation], task: str | None, stage: Stage) -> int:
    """How often an image comes in an epoch."""
    questions = len(_of_task(group, task))
    return math.ceil(questions / stage.rows_per_image) if _by_rows(stage) else min(questions, 1)


class _Walk:
    """Shuffled epochs over some places: a turn to its epoch and what comes in it."""

    def __init__(self, places: Sequence[int], key: tuple[int, ...]) -> None:
        self._places = np.asarray(places)
        self._key = key
        self._epoch, self._order = -1, self._places

    def __call__(self, turn: int) -> tuple[int, int]:
        epoch, place = divmod(turn, len(self._places))
        if self._epoch != epoch:
            rng = np.random.default_rng((self._key[0], epoch, 2, *self._key[1:]))
            self._epoch, self._order = epoch, rng.permutation(self._places)
        return epoch, int(self._order[place])


class _Balanced:
    """Walks that are dealt turns by their shares."""

    def __init__(self, walks: Sequence[_Walk], shares: Sequence[float]) -> None:
        self._walks, self._deal = walks, _Deal(shares)

    def __call__(self, turn: int) -> tuple[int, int]:
        hand, own_turn = self._deal(turn)
        return self._walks[hand](own_turn)


class _Deal:
    """Deals turns to hands in proportion to their shares, evenly and without chance.

    A hand of share s takes its first, second, ... turn at the times 0.5 / s, 1.5 / s, ...
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares = np.asarray(shares, dtype=np.float64) / sum(shares)
        self._hands = self._turns = np.empty(0, dtype=np.int64)

    def __call__(self, turn: int) -> tuple[int, int]:
        """The hand that takes a turn, and how many it took before."""
        if turn >= len(self._hands):
            self._deal_until(max(1024, 2 * turn))
        return int(self._hands[turn]), int(self._turns[turn])

    def _deal_until(self, turns: int) -> None:
        # Some more than its share for each: the earliest of them all are the same for any number.
        hands, own_turns, times = [], [], []
        for hand, share in enumerate(self._shares):
            enough = math.ceil((turns + len(self._shares)) * share) + 1
            counting = np.arange(enough)
            hands.append(np.full(enough, hand))
            own_turns.append(counting)
            times.append((counting + 0.5) / share)
        order = np.argsort(np.concatenate(times), kind="stable")[:turns]
        self._hands = np.concatenate(hands)[order]
        self._turns = np.concatenate(own_turns)[order]
