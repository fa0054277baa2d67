"""A suite from its folder to questions, and from predictions to the files of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError, RequestError
from swath.evaluation.asking import answers_from
from swath.evaluation.modes import measures
from swath.evaluation.predictions import Prediction, read_predictions, write_predictions
from swath.evaluation.runner import Progress
from swath.evaluation.score import Scores, read_scores, score, write_scores
from swath.evaluation.statistics import RESAMPLES
from swath.evaluation.suites import pictures, questions
from swath.evaluation.suites.items import LAYOUTS, conversations, measured
from swath.evaluation.suites.table import Suite
from swath.files import read_json, write_json
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks import answer_for
from swath.models.engine import Engine
from swath.recipe import Recipe
from swath.registry import did_you_mean

__all__ = [
    "Asked",
    "Result",
    "answer",
    "ask",
    "pictures",
    "questions",
    "read_results",
    "write_result",
]

LONG = {"ground": 256, "describe": 256, "damage": 128, "classes": 128}
"""Tokens that answers of some tasks may need, whatever a recipe says."""

OWN = "own"
"""The prompt of the model's own recipe, in place of the suite's."""


@dataclass(frozen=True)
class Asked:
    """A suite's questions.

    Args:
        suite: the row.
        conversations: with truth.
        labels: scene classes that may be answered.
        names: objects that may be answered.
        prompt: the wording, before its places were filled.
    """

    suite: Suite
    conversations: list[Conversation]
    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    prompt: str = ""


@dataclass(frozen=True)
class Result:
    """A suite's result as it lies in its folder."""

    suite: Suite
    predictions: list[Prediction]
    scores: Scores
    labels: list[str]
    notes: dict[str, Any]

    @property
    def modes(self) -> dict[str, dict[str, float]]:
        """What the suite's named modes give: mode to metric to value."""
        return {
            mode: {name: one.value for name, one in found.items()}
            for mode in self.suite.modes
            for found in [measures(mode, self.predictions, self.labels)]
        }


def ask(
    suite: Suite,
    folder: Path,
    prompt: str = "",
    phrasing: str = "plain",
    limit: int | None = None,
    look: bool = True,
    frames: int = 8,
) -> Asked:
    """The questions of a suite.

    Args:
        suite: the row.
        folder: of its data.
        prompt: one of the suite's other prompts by name, or "own": that of `phrasing`.
        phrasing: the style a model was tuned in.
        limit: ask so many, evenly over the suite.
        look: measure the pictures; without, they need not be there.
        frames: taken of a clip.

    Raises:
        AnnotationError: the folder is not laid out as the suite's reader expects.
        EvaluationError: it holds no question.
        RequestError: there is no such prompt.
    """
    items = list(LAYOUTS.get(suite.reader)(folder, suite))
    if not items:
        raise EvaluationError(
            f"{suite.name}: {folder} holds no question of task '{suite.task}'"
            f"{f' in the {suite.split} split' if suite.split else ''}; is it the whole data set?"
        )
    found = {str(item.truth["label"]) for item in items if "label" in item.truth}
    found |= {label for item in items for label in item.truth.get("labels", ())}
    labels = [*suite.options.get("labels", sorted(found))]
    if limit and limit < len(items):
        items = [items[place * len(items) // limit] for place in range(limit)]
    wording = _wording(suite, prompt, phrasing)
    asked = conversations(suite, items, wording, labels)
    names = sorted({str(item.truth["name"]) for item in items if suite.task == "identify"})
    return Asked(suite, measured(suite, asked, frames) if look else asked, labels, names, wording)


def _wording(suite: Suite, prompt: str, phrasing: str) -> str:
    if not prompt:
        return suite.prompt
    if prompt == OWN:
        own = getattr(PHRASINGS.get(phrasing), suite.task, (suite.prompt,))
        return str(own[0])
    if prompt not in suite.prompts:
        known = did_you_mean(prompt, [*suite.prompts, OWN])
        raise RequestError(f"{suite.name}: unknown prompt '{prompt}'{known}")
    return suite.prompts[prompt]


def answer(
    engine: Engine, asked: Asked, recipe: Recipe, progress: Progress | None = None
) -> list[Prediction]:
    """A model's answers to a suite, one a question.

    Args:
        engine: what answers.
        asked: the suite's questions.
        recipe: of the model: whether classes are closed, how answers are worded, and batches.
        progress: called with (answered, all).
    """
    classes = {label: answer_for(label, recipe.instructions) for label in asked.labels}
    card = {
        "labels": asked.labels,
        "names": asked.names,
        "choices": {"classify": classes} if asked.suite.task == "classify" else {},
    }
    built = InstructionSet(tuple(asked.conversations), card)
    longest = max(recipe.evaluation.max_new_tokens, LONG.get(asked.suite.task, 0))
    section = recipe.evaluation.model_copy(update={"max_new_tokens": longest})
    own = recipe.model_copy(update={"evaluation": section})
    return answers_from(engine, asked.conversations, built, own, progress)


def write_result(
    folder: Path,
    asked: Asked,
    predictions: Sequence[Prediction],
    notes: dict[str, Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Write `predictions.jsonl`, `scores.json` and `suite.json`, and give back what they hold.

    Args:
        folder: of the result.
        asked: the suite's questions.
        predictions: one a question.
        notes: what else is to be known, such as answers that were missing.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    scores = score(predictions, asked.labels, resamples, seed)
    write_predictions(folder / "predictions.jsonl", predictions)
    write_scores(folder / "scores.json", predictions, asked.labels, scores, resamples)
    row = asked.suite.model_dump(mode="json")
    about = {"labels": asked.labels, "prompt": asked.prompt, "notes": notes or {}}
    write_json(folder / "suite.json", {"suite": row, **about})
    return Result(asked.suite, list(predictions), scores, asked.labels, notes or {})


def read_results(folder: Path) -> list[Result]:
    """The results in the folders of a folder, by name; none where there is no such folder."""
    results = []
    for file in sorted(folder.glob("*/suite.json")):
        row = read_json(file)
        results.append(
            Result(
                Suite(**row["suite"]),
                list(read_predictions(file.parent / "predictions.jsonl")),
                read_scores(file.parent / "scores.json"),
                row["labels"],
                row["notes"],
            )
        )
    return results
