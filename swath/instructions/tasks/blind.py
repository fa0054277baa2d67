"""What short answers are worth to somebody who never looks: the blind baseline on a set's card."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from swath.instructions.conversation import Box, Conversation
from swath.instructions.tasks.truths import AnswerTruth

LONGEST = 60
"""Signs of an answer that somebody could guess; longer ones are sentences."""

MOST_QUESTIONS = 100_000
"""Different questions of each side that are counted; further ones only by their kind."""


class Blind:
    """Counts the answers of a set, row by row.

    The guess is the training split's commonest answer to the kind of question, and to the very same
    words; both are scored on the other splits, the first on training where there are none.
    """

    def __init__(self) -> None:
        self._by_kind: dict[bool, dict[str, Counter[str]]] = {}
        self._by_words: dict[bool, dict[tuple[str, str], Counter[str]]] = {}
        for trains in (True, False):
            self._by_kind[trains] = defaultdict(Counter)
            self._by_words[trains] = defaultdict(Counter)

    def add(self, row: Conversation) -> None:
        """Count a row, if its answer is a short one without boxes."""
        answer = row.turns[-1].parts
        if len(answer) != 1 or isinstance(answer[0], Box) or len(row.turns) > 3:
            return
        text = row.text("assistant")
        if not 0 < len(text) <= LONGEST:
            return
        kind = row.truth.kind if isinstance(row.truth, AnswerTruth) else ""
        name = f"{row.task}: {kind}" if kind else row.task
        trains = row.split == "train"
        self._by_kind[trains][name][text] += 1
        answers = self._by_words[trains]
        key = (name, row.text("user"))
        if len(answers) < MOST_QUESTIONS or key in answers:
            answers[key][text] += 1

    def card(self) -> dict[str, Any]:
        """By kind of question: rows, different answers, and what the guesses get right."""
        rows = {}
        for name, answers in sorted(self._by_kind[True].items()):
            tested = self._by_kind[False].get(name) or answers
            guess, _ = answers.most_common(1)[0]
            rows[name] = {
                "rows": tested.total(),
                "answers": len(answers | tested),
                "guess": guess,
                "right": round(tested[guess] / tested.total(), 3),
                "right_by_words": self._by_question(name, guess),
            }
        return rows

    def _by_question(self, name: str, guess: str) -> float | None:
        """The share that is right where each question gets the answer it had most often.

        None where no other split asks such questions.
        """
        trained = {key: answers for key, answers in self._by_words[True].items() if key[0] == name}
        tested = {key: answers for key, answers in self._by_words[False].items() if key[0] == name}
        right = 0
        total = 0
        for key, answers in tested.items():
            before = trained.get(key)
            best = before.most_common(1)[0][0] if before else guess
            right += answers[best]
            total += answers.total()
        return round(right / total, 3) if total else None
