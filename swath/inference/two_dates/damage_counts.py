"""Damage counted tile by tile, in sums that agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from swath.instructions.tasks.pairs import DAMAGE

DEGREES = DAMAGE[1:]


@dataclass(frozen=True)
class DamageCounts:
    """Buildings of one tile or of all, by damage.

    Args:
        counts: a number for each key of `DAMAGE`; `count_before` is the sum of the others.
        corrected: answers whose own `count_before` was another number.
    """

    counts: Mapping[str, int]
    corrected: int = 0

    def to_row(self) -> dict[str, int]:
        """The counts as a JSON object, with how many answers were corrected."""
        return {**self.counts, "corrected": self.corrected}

    @classmethod
    def of_answer(cls, answer: Mapping[str, int]) -> DamageCounts:
        """The counts of an answer; its degrees are believed, and their sum.

        A model counts twice: all buildings, and those of each degree. Where the two differ, what
        it said of single degrees says more than their number.
        """
        total = sum(answer[degree] for degree in DEGREES)
        counts = {"count_before": total}
        for degree in DEGREES:
            counts[degree] = answer[degree]
        return cls(counts, int(answer["count_before"] != total))


def summed(tiles: Iterable[DamageCounts]) -> DamageCounts:
    """The counts of several tiles together."""
    counts = dict.fromkeys(DAMAGE, 0)
    corrected = 0
    for tile in tiles:
        for key in DAMAGE:
            counts[key] += tile.counts[key]
        corrected += tile.corrected
    return DamageCounts(counts, corrected)
