"""Questions that would be answered by their words alone are left out of a set, and counted.

Where two answers are possible, as many questions about the same classes are kept of one as of the
other, in each split. Where more are, an answer is left out while it has more than its even share
and a little of those about its classes, or of all, in the order of the images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_MORE_THAN_EVEN = 0.03
"""How much more than its even share an answer may have: one that is rare holds up no other."""


@dataclass(frozen=True)
class Asked:
    """A question's words and its answer.

    Args:
        kind: of question, as scores are told apart.
        answer: what is right.
        words: what fills the places of a wording.
        about: the classes that the words name, in their order.
        side: which of the possible answers it is, where words do not tell; nothing: `answer`.
        possible: how many answers there are to such a question.
        wording: the kind of wording, where it is not the kind itself.
    """

    kind: str
    answer: str
    words: dict[str, str] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    side: str = ""
    possible: int = 2
    wording: str = ""


Group = tuple[str | None, str, tuple[str, ...]]
"""Split, kind of question and classes: what a guess could go by."""


class Balance:
    """Which questions of a set are kept.

    Args:
        kinds: of questions that are balanced; the others are all kept.
    """

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        self.kinds = frozenset(kinds)
        self._expected: dict[Group, Counter[str]] = defaultdict(Counter)
        self._met: dict[Group, Counter[str]] = defaultdict(Counter)
        self._kept: dict[Group, Counter[str]] = defaultdict(Counter)
        self._of_kind: dict[tuple[str | None, str], Counter[str]] = defaultdict(Counter)
        self._possible: dict[str, int] = {}

    def expect(self, split: str | None, asked: Asked) -> None:
        """Count a question with two answers, before any is asked."""
        self._expected[split, asked.kind, asked.about][asked.side or asked.answer] += 1

    def keeps(self, split: str | None, asked: Asked) -> bool:
        """Whether a question is asked; each is shown once, those expected in the same order."""
        if asked.kind not in self.kinds:
            return True
        group = (split, asked.kind, asked.about)
        side = asked.side or asked.answer
        self._possible[asked.kind] = max(asked.possible, self._possible.get(asked.kind, 0))
        if asked.possible == 2:
            keeps = self._evenly(group, side)
        else:
            of_kind = self._of_kind[split, asked.kind]
            share = 1 / asked.possible + _MORE_THAN_EVEN
            keeps = all(kept[side] <= share * kept.total() for kept in (self._kept[group], of_kind))
            of_kind[side] += keeps
        self._met[group][side] += 1
        self._kept[group][side] += keeps
        return keeps

    def _evenly(self, group: Group, side: str) -> bool:
        """Of the commoner answer as many as of the other, evenly taken."""
        expected = self._expected[group]
        fewest = min(expected.values()) if len(expected) == 2 else 0
        met = self._met[group][side]
        return (met + 1) * fewest // expected[side] > met * fewest // expected[side]

    def card(self) -> dict[str, dict[str, Any]]:
        """By kind: how many questions were asked and left out, and what a guess gets right."""
        kept: Counter[str] = Counter()
        met: Counter[str] = Counter()
        for group, sides in self._met.items():
            met[group[1]] += sides.total()
            kept[group[1]] += self._kept[group].total()
        return {
            kind: {
                "asked": kept[kind],
                "left_out": met[kind] - kept[kind],
                "chance": round(1 / self._possible[kind], 3),
            }
            for kind in sorted(met)
        }


def mostly_left_out(card: Mapping[str, Mapping[str, Any]]) -> str:
    """The kinds of a balance's card that lost more than half of their questions; "" for none."""
    lost = []
    for kind, row in card.items():
        if row["left_out"] > row["asked"]:
            lost.append(f"{row['left_out']} of {row['asked'] + row['left_out']} {kind} questions")
    return ", ".join(lost)
