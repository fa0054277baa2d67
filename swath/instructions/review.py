"""Review: what a person said of the rows of a set, kept in `review.jsonl` and replayed on building.

A verdict is kept with a digest of the row it was given on: a row that has changed since is shown
again, and the old verdict is dropped and counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import orjson

from swath.boxes import Boxes
from swath.errors import FormatError, InstructionError, ShapeError
from swath.files import Journal
from swath.instructions.conversation import Box, Conversation, Text, Turn, assistant
from swath.instructions.tasks.truths import (
    AnswerTruth,
    BoxesTruth,
    CaptionsTruth,
    CountTruth,
    DescriptionTruth,
    LabelTruth,
    NameTruth,
    Truth,
)

FILE = "review.jsonl"
"""The verdicts' file, beside a run's `set/`."""

Verdict = Literal["accept", "reject", "correct"]
_BOX = re.compile(r"\[box([^\]]*)\]")
_PHRASE = re.compile(r"<p>((?:(?!<p>).)*?)</p>")


class Review:
    """The verdicts on a set's rows.

    Args:
        path: of `review.jsonl`, begun with the first verdict.
        choices: label to the answer that names it, where classes are asked for.

    Raises:
        FormatError: the file is damaged.
    """

    def __init__(self, path: Path, choices: Mapping[str, str] | None = None) -> None:
        self.path, self.choices = path, dict(choices or {})
        self.counts: dict[str, int] = {}
        self._journal = Journal(path if path.is_file() else None, "review")

    def verdict(self, row: Conversation) -> Verdict | None:
        """What was said of a row as it is now, corrected or not; None for nothing yet."""
        given = self._journal.get(row.id)
        if given is None or digest(row) not in (given["of"], given["becomes"]):
            return None
        verdict: Verdict = given["verdict"]
        return verdict

    def standing(self, row: Conversation) -> Conversation:
        """A row as it will be built: with its answer corrected, if it was."""
        given = self._journal.get(row.id)
        if given is None or given["verdict"] != "correct" or digest(row) != given["of"]:
            return row
        return self.corrected(row, given["parts"])

    def give(
        self, row: Conversation, verdict: Verdict, parts: Sequence[Mapping[str, Any]] = ()
    ) -> Conversation:
        """Keep a verdict; return the row as it will be built.

        Args:
            row: as built, or as an earlier correction left it.
            verdict: "correct" needs `parts`.
            parts: the new answer, text and boxes as rows of `conversations.jsonl` hold them.

        Raises:
            InstructionError: the new answer is no answer to the row's task.
        """
        before = self._journal.get(row.id)
        of, kept = digest(row), list(parts)
        if before and of == before["becomes"]:  # a second look at a corrected row
            of = before["of"]
            if verdict == "accept":
                verdict, kept = before["verdict"], before["parts"]
        after = self.corrected(row, kept) if verdict == "correct" else row
        if self._journal.get(row.id) is None and not self.path.is_file():
            self._journal = Journal(self.path, "review")
        said = {"verdict": verdict, "of": of, "becomes": digest(after), "parts": kept}
        self._journal.put(row.id, said)
        return after

    def replayed(self, rows: Sequence[Conversation]) -> list[Conversation]:
        """The rows as built without those rejected, and with the answers corrected.

        Counted in `counts` are those accepted, rejected, corrected, and changed since.
        """
        kept = []
        for row in rows:
            given = self._journal.get(row.id)
            said = "" if given is None else f"{given['verdict']}ed"
            if given is not None and digest(row) != given["of"]:
                said = "changed"
            if said:
                self.counts[said] = self.counts.get(said, 0) + 1
            if said != "rejected":
                kept.append(self.standing(row))
        return kept

    def corrected(self, row: Conversation, parts: Sequence[Mapping[str, Any]]) -> Conversation:
        """The row with another answer, its truth made to agree.

        Raises:
            InstructionError: it is no answer to the row's task.
        """
        answer = {**row.to_row(), "turns": [{"role": "assistant", "parts": list(parts)}]}
        try:
            turn = Conversation.from_row(answer).turns[0]
        except FormatError as error:
            raise InstructionError(f"{row.id}: no answer ({error})") from None
        boxes = [part.boxes for part in turn.parts if isinstance(part, Box)]
        words = "".join(part.text for part in turn.parts if isinstance(part, Text)).strip()
        if not boxes and not words:
            raise InstructionError(f"{row.id}: the answer is empty; write one, or reject the row.")
        if not boxes and any(isinstance(part, Box) for part in row.turns[-1].parts):
            raise InstructionError(f"{row.id}: the answer has no box; draw one, or reject it.")
        truth = self._truth(row, turn, words, boxes)
        if isinstance(truth, LabelTruth):
            turn = assistant(self.choices[truth.label])
        return replace(row, turns=(*row.turns[:-1], Turn("assistant", turn.parts)), truth=truth)

    def _truth(self, row: Conversation, turn: Turn, words: str, boxes: Sequence[Boxes]) -> Truth:
        """The row's truth, made to agree with another answer."""
        truth = row.truth
        rows = [quad for several in boxes for quad in several.to_rows()]
        if isinstance(truth, BoxesTruth):
            return replace(truth, boxes=Boxes.from_rows(rows))
        if isinstance(truth, DescriptionTruth):
            told = " ".join(_PHRASE.sub(r"\1", words).split())
            captions = (told, *truth.captions[1:])
            phrases = tuple(_phrases(row, turn))
            return replace(truth, captions=captions, boxes=Boxes.from_rows(rows), phrases=phrases)
        if isinstance(truth, CaptionsTruth):
            return replace(truth, captions=(words, *truth.captions[1:]))
        if isinstance(truth, NameTruth):
            return NameTruth(words)
        if isinstance(truth, AnswerTruth):
            return replace(truth, answer=words)
        if isinstance(truth, LabelTruth):
            return LabelTruth(self._label(row, words))
        if not isinstance(truth, CountTruth):
            return truth
        if not words.isdecimal():
            raise InstructionError(f"{row.id}: '{words}' is no count; write a whole number.")
        return replace(truth, count=int(words))

    def _label(self, row: Conversation, words: str) -> str:
        """The class that an answer names."""
        for label, answer in self.choices.items():
            if words in (answer, label):
                return label
        raise InstructionError(
            f"{row.id}: '{words}' names no class of the set; write one of "
            f"{', '.join(sorted(self.choices.values()))}."
        )

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


def written(turn: Turn) -> str:
    """A turn as a person edits it: its words, and boxes as `[box x1 y1 x2 y2 x3 y3 x4 y4]`."""
    said = []
    for part in turn.parts:
        if isinstance(part, Text):
            said.append(part.text)
        if isinstance(part, Box):
            said += map(box_text, part.boxes.to_rows(1))
    return "".join(said).strip()


def box_text(numbers: Sequence[float]) -> str:
    """A box as a person edits it, of its corners' coordinates."""
    return f"[box {' '.join(f'{number:g}' for number in numbers)}]"


def parts_of(text: str) -> list[dict[str, Any]]:
    """The parts that `written` wrote; a box of four numbers is upright.

    Raises:
        InstructionError: a box has other than four or eight numbers.
    """
    parts: list[dict[str, Any]] = []
    for place, piece in enumerate(_BOX.split(text.strip())):
        if place % 2 == 0:
            parts += [{"text": piece}] if piece else []
            continue
        try:
            values = [float(value) for value in piece.replace(",", " ").split()]
            boxes = Boxes.from_hbb(values) if len(values) == 4 else Boxes.from_rows([values])
            if len(boxes) != 1:
                raise ValueError
        except (ValueError, ShapeError):
            raise InstructionError(
                f"'[box {piece}]' is no box; write four numbers, or eight of its corners."
            ) from None
        parts.append({"boxes": boxes.to_rows(None), "of": 0})
    return parts


def _phrases(row: Conversation, turn: Turn) -> list[str]:
    """The phrase of each box of a description: the last one marked before it."""
    phrases, last = [], ""
    for part in turn.parts:
        if isinstance(part, Text) and (marked := _PHRASE.findall(part.text)):
            last = marked[-1]
        if isinstance(part, Box):
            if not last:
                raise InstructionError(
                    f"{row.id}: a box without a phrase; write <p>words</p> before it."
                )
            phrases += [last] * len(part.boxes)
    return phrases


def state(path: Path) -> str:
    """A short digest of all verdicts in a file, "" without any."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def digest(row: Conversation) -> str:
    """A short digest of what a row says; its split and its place on the disk are left out."""
    values = row.to_row()
    parts = list(chain.from_iterable(turn["parts"] for turn in values["turns"]))
    for part in parts:
        if "image" in part:
            part["image"] = Path(part["image"]).name
    content = [values["task"], parts, values["truth"]]
    text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return hashlib.sha256(text).hexdigest()[:16]
