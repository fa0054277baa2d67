"""A suite from its folder to questions, and from predictions to the files of a result."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from swath.errors import EvaluationError, RequestError
from swath.evaluation.answering import answers_from
from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.statistics import RESAMPLES, Difference
from swath.evaluation.papers.modes import MODES, measures
from swath.evaluation.predicting import Progress
from swath.evaluation.predictions import (
    Prediction,
    Predictions,
    read_predictions,
    write_predictions,
)
from swath.evaluation.scored_tasks import SCORED, guessed
from swath.evaluation.scoring import (
    Scores,
    compare,
    read_scores,
    rows_of,
    score,
    scores_from,
    write_scores,
)
from swath.evaluation.suites import picture_layouts as pictures
from swath.evaluation.suites import question_layouts as questions
from swath.evaluation.suites.items import LAYOUTS, conversations, measured, vocabulary
from swath.evaluation.suites.table import Suite
from swath.files import Json, read_json, write_json
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.truths import AnswerTruth
from swath.instructions.tasks.words import answer_for
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

OWN = "own"
"""The prompt of the model's own recipe, in place of the suite's."""


@dataclass(frozen=True)
class Asked:
    """A suite's questions.

    Args:
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
    """A suite's result as it lies in its folder.

    Args:
        predictions: of the model that the result is about.
        scores: its.
        labels: scene classes that may be answered.
        notes: what else is to be known.
        name: of the model, as tables head it.
        others: of the other systems, by name: what they scored.
        gaps: how far the model is above each of them, paired by question.
        floors: by name, what is scored without looking, by the commonest of the true answers.
    """

    suite: Suite
    predictions: list[Prediction]
    scores: Scores
    labels: list[str]
    notes: Json
    name: str = "this model"
    others: dict[str, dict[str, Score]] = field(default_factory=dict)
    gaps: dict[str, dict[str, Difference]] = field(default_factory=dict)
    floors: dict[str, dict[str, Score]] = field(default_factory=dict)

    @property
    def modes(self) -> dict[str, dict[str, float]]:
        """What the suite's named modes give: mode to metric to value."""
        return {mode: values for mode, values in self._by_mode.items() if isinstance(values, dict)}

    @property
    def modes_not_run(self) -> dict[str, str]:
        """The suite's named modes that cannot score these answers, and why."""
        return {mode: reason for mode, reason in self._by_mode.items() if isinstance(reason, str)}

    @cached_property
    def _by_mode(self) -> dict[str, dict[str, float] | str]:
        outcomes: dict[str, dict[str, float] | str] = {}
        for mode in self.suite.modes:
            try:
                measured = measures(mode, self.predictions, self.labels)
            except EvaluationError as error:
                outcomes[mode] = str(error)
            else:
                outcomes[mode] = {name: measure.value for name, measure in measured.items()}
        return outcomes


def ask(
    suite: Suite,
    folder: Path,
    prompt: str = "",
    phrasing: str = "plain",
    limit: int | None = None,
    look: bool = True,
    frames: int = 8,
    leave: Container[str] = (),
) -> Asked:
    """The questions of a suite.

    Args:
        prompt: one of the suite's other prompts by name, or "own": that of `phrasing`.
        phrasing: the style a model was tuned in.
        limit: ask so many, evenly over the suite.
        look: measure the pictures; without, they need not be there, and only those that boxes
            are read on are measured, if all are there.
        frames: taken of a clip.
        leave: paths of pictures that nothing is to be asked of.

    Raises:
        AnnotationError: the folder is not laid out as the suite's reader expects.
        EvaluationError: it holds no question.
        RequestError: there is no such prompt.
    """
    _check(suite)
    everything = list(LAYOUTS.get(suite.reader)(folder, suite))
    items = [item for item in everything if not any(path in leave for path in item.images)]
    if not items:
        split = f" in the {suite.split} split" if suite.split else ""
        raise EvaluationError(
            f"{suite.name}: {folder} holds no question of task '{suite.task}'{split}; "
            f"is it the whole data set?"
        )
    classes, _ = vocabulary(item.fact.truth for item in everything)
    labels = list(suite.options.get("labels", classes))
    if limit and limit < len(items):
        items = [items[place * len(items) // limit] for place in range(limit)]
    wording = _wording(suite, prompt, phrasing)
    rows = conversations(suite, items, wording, labels)
    _, names = vocabulary(item.fact.truth for item in items)
    if not look and SCORED.get(suite.task).boxes == "alone":
        paths = {image.path for row in rows for image in row.images}
        look = all(Path(path).is_file() for path in paths)
    if look:
        rows = measured(suite, rows, frames)
    return Asked(suite, rows, labels, names, wording)


def _check(suite: Suite) -> None:
    """Refuse what could not be scored before anything is asked.

    Raises:
        RequestError: there is no such task, metric or mode, or a mode is of another task.
    """
    choices = {"task": list(SCORED), "metric": list(METRICS), "mode": [n for n, _ in MODES.items()]}
    words = [("task", suite.task), ("metric", suite.metric)]
    words += [("mode", mode) for mode in suite.modes]
    for kind, word in words:
        if word not in choices[kind]:
            near = did_you_mean(word, choices[kind])
            raise RequestError(f"{suite.name}: unknown {kind} '{word}'{near}")
    for mode in suite.modes:
        task = MODES.get(mode).task
        if task != suite.task:
            raise RequestError(
                f"{suite.name}: mode '{mode}' scores '{task}' answers, the suite's "
                f"task is '{suite.task}'; leave it out."
            )


def _wording(suite: Suite, prompt: str, phrasing: str) -> str:
    if not prompt:
        return suite.prompt
    if prompt == OWN:
        return PHRASINGS.get(phrasing).wordings.get(suite.task, (suite.prompt,))[0]
    if prompt not in suite.prompts:
        near = did_you_mean(prompt, [*suite.prompts, OWN])
        raise RequestError(f"{suite.name}: unknown prompt '{prompt}'{near}")
    return suite.prompts[prompt]


def answer(
    engine: Engine, asked: Asked, recipe: Recipe, progress: Progress | None = None
) -> list[Prediction]:
    """A model's answers to a suite, one a question.

    Args:
        recipe: of the model: whether classes are closed, how answers are worded, and batches.
        progress: called with (answered, all).
    """
    suite = asked.suite
    row = SCORED.get(suite.task)
    choices = {}
    if row.by_class:
        texts = {label: answer_for(label, recipe.instructions) for label in asked.labels}
        choices = {suite.task: texts}
    card = {"labels": asked.labels, "names": asked.names, "choices": choices}
    built = InstructionSet(tuple(asked.conversations), card)
    longest = max(recipe.evaluation.max_new_tokens, row.longest)
    section = recipe.evaluation.model_copy(update={"max_new_tokens": longest})
    recipe = recipe.model_copy(update={"evaluation": section})
    return answers_from(engine, asked.conversations, built, recipe, progress)


def write_result(
    folder: Path,
    asked: Asked,
    predictions: Predictions,
    notes: Json | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    name: str = "this model",
    others: Mapping[str, tuple[str, Predictions]] | None = None,
    more: Mapping[str, Score] | None = None,
) -> Result:
    """Write `predictions.jsonl`, `scores.json` and `suite.json`, and give back what they hold.

    Args:
        notes: what else is to be known, such as answers that were missing.
        others: other systems by name, each with its folder within and its predictions.
        more: scores of the model that its predictions alone do not tell.
    """
    suite = asked.suite
    task = suite.task

    def scores_of(answers: Predictions) -> Scores:
        return score(answers, asked.labels, resamples, seed)

    def write(place: Path, answers: Predictions, scores: Scores) -> None:
        write_predictions(place / "predictions.jsonl", answers)
        write_scores(place / "scores.json", answers, asked.labels, scores, resamples)

    scores = scores_of(predictions)
    scores[task] |= more or {}
    write(folder, predictions, scores)
    by_system = {}
    gaps = {}
    for system, (within, answers) in (others or {}).items():
        own_scores = scores_of(answers)
        write(folder / within, answers, own_scores)
        by_system[system] = own_scores[task]
        gaps[system] = compare(answers, predictions, asked.labels, resamples, seed)[task]

    # Guesses know the true answers, as if they had been trained on; but a false premise's kind
    # would tell them which it is.
    training = asked.conversations
    if suite.options.get("false_premise"):
        training = [replace(row, truth=AnswerTruth(row.truth.get("answer"))) for row in training]
    guesses = guessed(training, asked.conversations)
    floors = {guess: scores_of(answers)[task] for guess, answers in guesses.items()}

    result = Result(
        suite=suite,
        predictions=list(predictions),
        scores=scores,
        labels=asked.labels,
        notes=notes or {},
        name=name,
        others=by_system,
        gaps=gaps,
        floors=floors,
    )
    row = {
        "labels": asked.labels,
        "prompt": asked.prompt,
        "name": name,
        "suite": suite.model_dump(mode="json"),
        "notes": result.notes,
        "others": rows_of(by_system),
        "gaps": rows_of(gaps),
        "floors": rows_of(floors),
    }
    write_json(folder / "suite.json", row)
    return result


def read_results(folder: Path) -> list[Result]:
    """The results in the folders of a folder, by name; none where there is no such folder."""
    results = []
    for file in sorted(folder.glob("*/suite.json")):
        row = read_json(file)
        gaps = {}
        for system, metrics in row.get("gaps", {}).items():
            gaps[system] = {name: Difference(**value) for name, value in metrics.items()}
        result = Result(
            suite=Suite(**row["suite"]),
            predictions=list(read_predictions(file.with_name("predictions.jsonl"))),
            scores=read_scores(file.with_name("scores.json")),
            labels=row["labels"],
            notes=row["notes"],
            name=row.get("name", "this model"),
            others=scores_from(row.get("others", {})),
            gaps=gaps,
            floors=scores_from(row.get("floors", {})),
        )
        results.append(result)
    return results
