"""The proof: the model read back from disk answers as the one that was tuned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from swath.instructions.conversation import Conversation, read_conversations
from swath.models.engine import LocalEngine
from swath.models.loaded import Loaded, load_folder
from swath.models.loading import load

LONGEST = 24
"""Tokens of an answer that are compared."""


def proof_questions(conversations: Sequence[Conversation], count: int) -> list[Conversation]:
    """So many of the conversations, the tasks in turn."""
    by_task: dict[str, list[Conversation]] = {}
    for conversation in conversations:
        by_task.setdefault(conversation.task, []).append(conversation)
    in_turn = chain.from_iterable(zip_longest(*by_task.values()))
    return [conversation for conversation in in_turn if conversation][:count]


def answers_of(loaded: Loaded, questions: Sequence[Conversation]) -> list[str]:
    """What a model says to each of the questions."""
    return [answer.text for answer in LocalEngine(loaded).answer(questions, LONGEST)]


def read_back(folder: str, questions: str) -> list[str]:
    """Answers of an exported folder to a file of conversations; run by the proof's process."""
    # "auto" would be bfloat16 on an accelerator, where the exporting process computes in float32.
    loaded = load_folder(folder, folder, "float32")
    return answers_of(loaded, list(read_conversations(questions)))


def compare(
    folder: Path, questions: Sequence[Conversation], tuned: Sequence[str]
) -> dict[str, Any]:
    """How many of the tuned model's answers the finished run repeats; `load` merges adapters.

    Returns:
        `questions`, `same`, and of the first that differs its `id`, `tuned` and `read_back`.
    """
    again = answers_of(load(folder), questions)
    differs = [place for place, text in enumerate(tuned) if again[place] != text]
    proof: dict[str, Any] = {"questions": len(tuned), "same": len(tuned) - len(differs)}
    if differs:
        place = differs[0]
        proof |= {"id": questions[place].id, "tuned": tuned[place], "read_back": again[place]}
    return proof
