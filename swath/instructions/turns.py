"""Conversations of several turns, joined from training rows about the same image."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from swath.instructions.conversation import Conversation, Image, Part, Text, Turn
from swath.instructions.tasks.truths import OtherTruth

CONVERSE = "converse"
"""Task of a joined row; it is learnt from and never scored."""


def join_turns(rows: Sequence[Conversation], turns: int, seed: int) -> Iterator[Conversation]:
    """One `converse` row for each image of the rows that can be asked two questions or more.

    Args:
        rows: of one scene or several, of any split; only training rows are joined.
        turns: at most so many questions, of different tasks as far as there are.
        seed: of the choice; each image has its own stream.
    """
    groups: dict[tuple[Image, ...], list[Conversation]] = {}
    for row in rows:
        if row.split == "train":
            groups.setdefault(row.images, []).append(row)
    for place, group in enumerate(groups.values()):
        name = group[0].id.rpartition("#")[0]
        rng = random.Random(f"{seed}/{name}/converse{place}")
        chosen = _different(rng.sample(group, len(group)))[:turns]
        if len(chosen) > 1:
            yield _joined(chosen, f"{name}#converse{place}")


def tasks_in_turn(rows: Iterable[Conversation]) -> list[Conversation]:
    """The rows in an order in which every task comes once before any comes a second time."""
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, Conversation]] = []
    for row in rows:
        seen[row.task] += 1
        ranked.append((seen[row.task], row))
    return [row for _, row in sorted(ranked, key=lambda entry: entry[0])]


def _different(rows: Sequence[Conversation]) -> list[Conversation]:
    """Those of the rows that ask different things, their tasks in turn."""
    asked: dict[str, Conversation] = {}
    for row in rows:
        asked.setdefault(str(row.to_row()["turns"][-2]), row)
    return tasks_in_turn(asked.values())


def _joined(rows: Sequence[Conversation], name: str) -> Conversation:
    """The rows one after the other; the image stands in the first question alone."""
    turns = list(rows[0].turns)
    for row in rows[1:]:
        question, answer = row.turns[-2:]
        turns += [Turn("user", _without_image(question)), answer]
    values: dict[str, object] = {}
    for row in rows:
        values = row.truth.to_row() | values
    return replace(
        rows[0],
        id=name,
        task=CONVERSE,
        turns=tuple(turns),
        truth=OtherTruth(values),
        upright=any(row.upright for row in rows),
    )


def _without_image(question: Turn) -> tuple[Part, ...]:
    parts = [part for part in question.parts if not isinstance(part, Image)]
    if isinstance(parts[0], Text):
        parts[0] = Text(parts[0].text.removeprefix("\n"))
    return tuple(part for part in parts if part != Text(""))
