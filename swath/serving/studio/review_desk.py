"""Rows of a set for a person to judge: found, shown with their boxes, and the verdict kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.instructions.builder import InstructionSet, read_set
from swath.instructions.conversation import Box, Conversation
from swath.instructions.review import FILE, Review, Verdict, box_text, parts_of, written
from swath.instructions.turns import CONVERSE
from swath.recipe import Rendering

_BOX = re.compile(r"\[box[^\]]*\]")


@dataclass(frozen=True)
class ReviewRow:
    """A row as a person judges it.

    Args:
        place: among the rows that are looked through.
        count: of these.
        done: how many have a verdict.
        row: as it would be built now.
        verdict: what was said of it.
    """

    place: int
    count: int
    done: int
    row: Conversation
    verdict: Verdict | None


@dataclass
class ReviewDesk:
    """The sets of a folder of experiments, judged row by row.

    Args:
        home: the folder.

    Verdicts go where those of `swath review` go, and each is on the disk when it is given.
    """

    home: Path
    _sets: dict[str, tuple[int, InstructionSet]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def names(self) -> list[str]:
        """Experiments that have a set, the one that was last built first."""
        cards = sorted(self.home.glob("*/set/card.json"), key=_changed_ns, reverse=True)
        return [card.parent.parent.name for card in cards]

    def built(self, name: str) -> InstructionSet:
        """The set of an experiment, read again where it was built anew.

        Raises:
            RequestError: there is none.
            FormatError: it is damaged.
        """
        card = self.home / name / "set" / "card.json"
        if not card.is_file():
            raise RequestError(f"{card.parent}: no set here; `swath build RECIPE` makes one.")
        changed_ns = _changed_ns(card)
        with self._lock:
            if self._sets.get(name, (0, None))[0] != changed_ns:
                self._sets = {name: (changed_ns, read_set(card.parent))}
            return self._sets[name][1]

    def rendering(self, name: str) -> Rendering:
        """How the set's rasters are shown."""
        return Rendering(**self.built(name).card.get("rendering", {}))

    def row(self, name: str, task: str, split: str, place: int, only_open: bool) -> ReviewRow:
        """A row by its place, or the first from there on that has no verdict.

        Args:
            name: of the experiment.
            task: rows of this one alone; "" for all.
            split: rows of this one alone; "" for all.
            place: where to look; beyond the ends it is the first or the last row.
            only_open: pass over rows that have a verdict.

        Raises:
            RequestError: there is no set, or no such row.
        """
        rows = self._rows(name, task, split)
        with self._review(name) as review:
            verdicts = [review.verdict(row) for row in rows]
            place = min(max(place, 0), len(rows) - 1)
            if only_open:
                following = [*range(place, len(rows)), *range(place)]
                place = next((at for at in following if verdicts[at] is None), place)
            row = review.standing(rows[place])
        done = len(rows) - verdicts.count(None)
        return ReviewRow(place, len(rows), done, row, verdicts[place])

    def judge(
        self, name: str, task: str, split: str, place: int, verdict: Verdict, answer: str
    ) -> None:
        """Keep a verdict on a row; what was edited is accepted as a correction.

        Raises:
            InstructionError: a corrected answer is none.
        """
        row = self._rows(name, task, split)[place]
        with self._review(name) as review:
            edited = answer.strip() != written(review.standing(row).turns[-1])
            if verdict == "accept" and edited:
                verdict = "correct"
            parts = parts_of(answer) if verdict == "correct" else []
            review.give(review.standing(row), verdict, parts)

    def counts(self, name: str) -> dict[str, list[str]]:
        """Tasks and splits that can be chosen."""
        rows = self._rows(name, "", "")
        tasks = sorted({row.task for row in rows})
        splits = sorted({str(row.split) for row in rows})
        return {"tasks": tasks, "splits": splits}

    def _rows(self, name: str, task: str, split: str) -> list[Conversation]:
        rows = []
        for row in self.built(name).conversations:
            if row.task != CONVERSE and task in ("", row.task) and split in ("", row.split):
                rows.append(row)
        if not rows:
            raise RequestError(f"{self.home / name}: no rows of that task and split.")
        return rows

    @contextmanager
    def _review(self, name: str) -> Iterator[Review]:
        choices = self.built(name).choices.get("classify")
        with self._lock:
            review = Review(self.home / name / FILE, choices)
            try:
                yield review
            finally:
                review.close()


def boxes_in(text: str) -> list[list[float]]:
    """The boxes of an answer as it is edited, rows of eight pixel values.

    Raises:
        InstructionError: one has other than four or eight numbers.
    """
    rows = []
    for part in parts_of(text):
        rows += Boxes.from_rows(part["boxes"]).to_rows(1) if "boxes" in part else []
    return rows


def with_boxes(text: str, boxes: Sequence[Sequence[float]]) -> str:
    """The answer with other boxes: each in the place of the old one, new ones behind, none left."""
    waiting = map(box_text, boxes)
    text = _BOX.sub(lambda _: next(waiting, ""), text)
    return "".join([text, *waiting]).strip()


def questions_of(row: Conversation) -> str:
    """What is asked, turn by turn."""
    return "\n".join(written(turn) for turn in row.turns[:-1] if turn.role == "user")


def asked_boxes(row: Conversation) -> list[list[float]]:
    """The boxes within the questions."""
    return [quad for turn in row.turns[:-1] for quad in boxes_in(written(turn))]


def has_boxes(row: Conversation) -> bool:
    """Whether boxes belong to the answer."""
    return any(isinstance(part, Box) for part in row.turns[-1].parts)


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns
