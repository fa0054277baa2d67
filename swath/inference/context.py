"""What was retrieved, before the words of a question: where one is asked, and in a set of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swath.inference.retrieval import open_index
from swath.instructions.conversation import Conversation, Image, Text, Turn
from swath.instructions.tasks.base import DIRECTIONS
from swath.instructions.tasks.words import TASKS
from swath.recipe import Documents


def with_context(question: Conversation, context: str) -> Conversation:
    """A question with what was retrieved for it before its words, an empty line between.

    Template `question`, satgpt's, writes what stands before the empty line in front of its prefix.
    """
    if not context:
        return question
    last = max(place for place, turn in enumerate(question.turns) if turn.role == "user")
    parts = list(question.turns[last].parts)
    pictures = [part for part in parts if isinstance(part, Image)]
    start = "\n" if pictures else ""
    place = len(pictures)  # they stand first
    words = ""
    first = parts[place]
    if isinstance(first, Text):
        words = first.text.removeprefix("\n")
        del parts[place]
    parts.insert(place, Text(f"{start}{context}\n\n{words}"))
    turns = list(question.turns)
    turns[last] = Turn("user", tuple(parts))
    upright = question.upright or bool(DIRECTIONS.search(context))
    return replace(question, turns=tuple(turns), upright=upright)


class Documented:
    """Rows of a set with what an index says of their questions before these.

    Args:
        section: the recipe's `instructions.documents`; without it rows stay as they are.

    Raises:
        FormatError: the index is absent or damaged.
        RequestError: there is no such task.
    """

    def __init__(self, section: Documents | None) -> None:
        self.digest: str | None = None
        self._tasks: tuple[str, ...] = ()
        if section is None:
            return
        for task in section.tasks:
            TASKS.get(task)
        self._tasks = section.tasks
        self._index = open_index(section.index, section.passages)
        self.digest = self._index.card["digest"]

    def __call__(self, rows: Sequence[Conversation]) -> list[Conversation]:
        """The rows, those of the section's tasks with their passages; by words alone."""
        return [self._documented(row) if row.task in self._tasks else row for row in rows]

    def _documented(self, row: Conversation) -> Conversation:
        question = row.text("user")
        retrieved = self._index.search(question)
        return with_context(row, retrieved.context)
