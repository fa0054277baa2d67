"""Questions of a scan: what each tile is asked, and what becomes of the answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from swath.errors import RequestError
from swath.files import read_json
from swath.instructions.language import spoken
from swath.instructions.phrasing import PHRASINGS, Phrasing
from swath.recipes import load_recipe

Kind = Literal["boxes", "count", "number", "words", "classes"]
"""Boxes become objects, which `count` also counts; `number` is summed over tiles that do not
overlap; `classes` become a map; `words` stay with their tile."""

OVERLAPPING, APART, CELLS = "overlapping", "apart", "cells"
"""Plans of tiles: those that share an object's length, those that share nothing, those about the
cells of a map."""

MOST_CLASSES = 255
"""Of a map: a cell is a byte."""

_BOX_TASKS = ("ground", "refer", "describe")
_PHRASE = re.compile(r"<(?:p|ref)>\s*(.+?)\s*</(?:p|ref)>")
_BOX_TOKEN = re.compile(r"^\[(?:refer|grounding|detection)\]\s*(.*)$", re.DOTALL)
_COUNT = re.compile(
    r"^(?:\[\w+\]\s*)?(?:how many|count the|what is the number of|number of)\s+(.+?)"
    r"(?:\s+(?:are|is|can|do|does|in|on)\b.*)?\s*[?.]?$",
    re.IGNORECASE | re.DOTALL,
)
_CHINESE_COUNT = re.compile(r"多少(.+?)[？?。]?$|数一数图中的(.+?)[。]?$")


@dataclass(frozen=True)
class ScanQuestion:
    """One question.

    Args:
        text: what each tile is asked.
        kind: what becomes of the answers.
        label: what the objects are called; the question itself of words.
        choices: the answers it chooses among, by the label that each stands for.
        asked: as it was put by the user.
    """

    text: str
    kind: Kind
    label: str
    choices: dict[str, str] = field(default_factory=dict)
    asked: str = ""

    @property
    def boxed(self) -> bool:
        """Whether tiles answer with boxes."""
        return self.kind in ("boxes", "count")

    @property
    def plan(self) -> str:
        """OVERLAPPING, APART where answers are summed or listed, or CELLS of a map."""
        if self.kind == "classes":
            return CELLS
        return APART if self.kind in ("number", "words") else OVERLAPPING

    @property
    def task(self) -> str:
        """The row of the task table whose answers it gets."""
        if self.boxed:
            return "ground"
        return {"number": "count", "words": "question", "classes": "classify"}[self.kind]

    def to_row(self) -> dict[str, Any]:
        """The question as `scan.json` holds it."""
        row = {"asked": self.asked, "text": self.text, "kind": self.kind, "label": self.label}
        return row | ({"choices": list(self.choices)} if self.choices else {})


@dataclass(frozen=True)
class Tuning:
    """What a run was tuned to answer.

    Args:
        tasks: of its training set; None where nobody knows, as of a model from elsewhere.
        names: objects it knows.
        choices: scene classes with the answer that names each.
        phrasing: how it was asked.
    """

    tasks: frozenset[str] | None = None
    names: tuple[str, ...] = ()
    choices: dict[str, str] = field(default_factory=dict)
    phrasing: Phrasing = field(default_factory=lambda: PHRASINGS.get("plain"))

    @classmethod
    def of_run(cls, folder: Path | str) -> Tuning:
        """As the set in a run's folder tells; one without a set tells nothing."""
        card = Path(folder) / "set" / "card.json"
        if not card.is_file():
            return cls()
        told = read_json(card)
        recipe = load_recipe(Path(folder) / "recipe.yaml")
        return cls(
            tasks=frozenset(told["conversations"].get("train", {})),
            names=tuple(told["names"]),
            choices=told["choices"].get("classify", {}),
            phrasing=PHRASINGS.get(recipe.instructions.phrasing),
        )

    def name_of(self, phrase: str) -> str:
        """The object of the run that a phrase means, as "ships" means "ship"; else the phrase."""
        letters = _letters(phrase)
        for name in self.names:
            plain = _letters(name)
            if letters in (plain, f"{plain}s", f"{plain}es", f"{plain[:-1]}ies"):
                return spoken(name)
        return phrase

    def answers(self, *tasks: str) -> bool:
        """Whether it was tuned on one of these tasks, as far as anybody knows."""
        return self.tasks is None or not self.tasks.isdisjoint(tasks)


def scan_questions(
    texts: Sequence[str], tuning: Tuning, classify: bool = False
) -> list[ScanQuestion]:
    """The questions of a scan.

    Args:
        texts: as the user puts them; a box question names its objects as `<p>ships</p>`.
        tuning: what the model can answer.
        classify: whether a map of the model's classes is wanted as well.

    Raises:
        RequestError: nothing is asked, a question names no object, or the model was not tuned to
            answer it.
    """
    questions = []
    for text in texts:
        if not text.strip():
            raise RequestError("a question is empty; say what you want to know.")
        questions.append(_question(text.strip(), tuning))
    if classify:
        questions.append(_class_question(tuning))
    if not questions:
        raise RequestError(
            "nothing is asked: put a question such as '[refer] every <p>ship</p>' or 'How many "
            "ships are there?', or say --classify."
        )
    return questions


def _class_question(tuning: Tuning) -> ScanQuestion:
    """Which of its classes a tile is, in the first wording of the run."""
    if not tuning.choices:
        reason = "this model says no classes of its own; take the folder of a run tuned to classify"
        if tuning.tasks is not None:
            reason = _tuned_on(tuning)
        raise RequestError(f"--classify: {reason}")
    if len(tuning.choices) > MOST_CLASSES:
        raise RequestError(
            f"--classify: this model was tuned on {len(tuning.choices)} classes, and a map holds "
            f"{MOST_CLASSES}; merge some with annotations.classes and tune again."
        )
    labels = ", ".join(spoken(label) for label in tuning.choices)
    text = tuning.phrasing.wordings["classify"][0].replace("{labels}", labels)
    return ScanQuestion(text, "classes", "class", tuning.choices, asked=text)


def _question(text: str, tuning: Tuning) -> ScanQuestion:
    if _PHRASE.search(text) or _BOX_TOKEN.match(text):
        if not tuning.answers(*_BOX_TASKS):
            raise RequestError(f"'{text}': {_tuned_on(tuning)}")
        label = tuning.name_of(_named_object(text, tuning))
        return ScanQuestion(text, "boxes", label, asked=text)
    counted = counted_objects(text, tuning)
    if counted is None:
        return ScanQuestion(text, "words", text, asked=text)
    if tuning.tasks is not None and "ground" in tuning.tasks:
        # One box an object is counted once, wherever tiles overlap.
        label = tuning.name_of(counted)
        pointed = tuning.phrasing.wordings["ground"][0].format(phrase=counted, name=label)
        return ScanQuestion(pointed, "count", label, asked=text)
    if not tuning.answers("count"):
        raise RequestError(f"'{text}': {_tuned_on(tuning)}")
    return ScanQuestion(text, "number", counted, asked=text)


def counted_objects(text: str, tuning: Tuning) -> str | None:
    """What a question asks the number of, as "storage tanks"; None where it asks for none."""
    for wording in tuning.phrasing.wordings["count"]:
        pattern = re.escape(wording).replace(r"\{names\}", "(.+?)")
        if found := re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return found[1]
    found = _COUNT.match(text) or _CHINESE_COUNT.search(text)
    return next(filter(None, found.groups())) if found else None


def _named_object(text: str, tuning: Tuning) -> str:
    """What a box question asks for, without the marks around it."""
    if found := _PHRASE.search(text):
        return found[1]
    for wording in (*tuning.phrasing.wordings["ground"], *tuning.phrasing.wordings["refer"]):
        pattern = re.sub(r"\\\{(?:phrase|name)\\\}", "(.+?)", re.escape(wording))
        if found := re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return found[1]
    after = _BOX_TOKEN.match(text)
    if after is None or not after[1].strip() or len(after[1].split()) > 4:
        raise RequestError(
            f"'{text}': names no object; put what you look for between <p> and </p>, as in "
            f"'[refer] every <p>ship</p>'."
        )
    return after[1].strip()


def _tuned_on(tuning: Tuning) -> str:
    tasks = ", ".join(sorted(tuning.tasks or ()))
    return f"this model was tuned on {tasks} alone; ask that, or take a run tuned for it."


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()
