"""A system asked as a recipe says: its answers, and the one number that tuning stops by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swath.errors import EvaluationError, RequestError
from swath.evaluation.metrics.base import METRICS
from swath.evaluation.metrics.clipscore import with_clip
from swath.evaluation.predicting import Progress, predict
from swath.evaluation.predictions import Prediction
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.scoring import score
from swath.evaluation.systems import Prompted
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation, Text, Turn
from swath.instructions.language import spoken
from swath.instructions.tasks.words import answer_schema
from swath.models.engine import Engine, LocalEngine
from swath.models.inputs import plain
from swath.models.loaded import Loaded
from swath.models.vision_cache import Features
from swath.recipe import Recipe


def answers_of(
    loaded: Loaded,
    asked: Sequence[Conversation],
    built: InstructionSet,
    recipe: Recipe,
    progress: Progress | None = None,
    kept: Features | None = None,
) -> list[Prediction]:
    """A loaded model's answers to questions of a set, one a question, in their order."""
    section = recipe.evaluation
    engine = LocalEngine(loaded, section.batch_size, section.views, recipe.tuning.threads, kept)
    return answers_from(engine, asked, built, recipe, progress)


def answers_from(
    engine: Engine,
    asked: Sequence[Conversation],
    built: InstructionSet,
    recipe: Recipe,
    progress: Progress | None = None,
) -> list[Prediction]:
    """An engine's answers to questions of a set, one a question, in their order.

    Tasks that the recipe closes are answered freely by an engine that cannot weigh the choices;
    one elsewhere is then told the classes. `Prediction.closed` says which it was.
    """
    section = recipe.evaluation
    choices: dict[str, Mapping[str, str]] = {}
    for task, texts in built.choices.items() if section.closed else ():
        if engine.weighs(len(texts)):
            choices[task] = texts
    if engine.elsewhere and "classify" not in choices:
        engine = Prompted(engine, lambda question: _listing(question, built.labels))
    schemas = {}
    if section.schema_bound:
        schema = answer_schema(built.labels, recipe.instructions)
        schemas = {"classify": schema} if schema else {}
    predictions = predict(
        engine,
        asked,
        built.labels,
        choices,
        section.max_new_tokens,
        progress,
        built.card["names"],
        schemas,
    )
    if section.clip:
        return with_clip(predictions, section.clip, recipe.imagery.rendering)
    return predictions


MOST_BOXED = 1_000
"""Validation questions about boxes that are asked: free answers take long."""


def held_questions(built: InstructionSet, closed: bool) -> list[Conversation]:
    """Questions of the validation split from whose answers it is learned how sure a model is.

    Args:
        closed: whether tasks are closed, so that choices have a probability.
    """
    rows = built.split("val")
    weighed = [row for row in rows if closed and row.task in built.choices]
    boxed = [row for row in rows if row.task == "ground"]
    return weighed + evenly(boxed, MOST_BOXED)


def evenly(rows: Sequence[Conversation], most: int) -> list[Conversation]:
    """At most so many of a set's rows, spread over it: its order is often that of the classes."""
    count = min(most, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]


def part_of(asked: Sequence[Conversation], shard: str) -> list[Conversation]:
    """The questions of a shard, "2/3" being the second third.

    Raises:
        RequestError: there is no such shard.
    """
    number, _, of = shard.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise RequestError(f"--shard {shard}: write it as 1/3, 2/3 or 3/3.")
    first = len(asked) * (int(number) - 1) // int(of)
    last = len(asked) * int(number) // int(of)
    return list(asked[first:last])


def _listing(question: Conversation, labels: Sequence[str]) -> Conversation:
    """A classify question that names the classes, unless it does so anyway."""
    names = [spoken(label) for label in labels]
    words = question.text("system") + question.text("user")
    if question.task != "classify" or all(name in words for name in names):
        return question
    last = question.turns[-1]
    more = Text(f"\nAnswer with one of these and nothing else: {', '.join(names)}.")
    turns = (*question.turns[:-1], Turn(last.role, (*last.parts, more)))
    return replace(question, turns=turns)


def stop_score(
    built: InstructionSet, recipe: Recipe, features: Path
) -> Callable[[Loaded], float] | None:
    """The headline score of `tuning.stop`'s task, turned so that more is better; None without.

    Args:
        features: folder that keeps what a frozen tower made of the pictures.

    Raises:
        EvaluationError: the split has no question of that task.
    """
    stop = recipe.tuning.stop
    if stop is None:
        return None
    task = stop.task
    questions = [question for question in built.split(stop.split) if question.task == task]
    if task not in SCORED or not questions:
        lack = f"no question in the '{stop.split}' split" if task in SCORED else "no score"
        raise EvaluationError(
            f"tuning.stop: task '{task}' has {lack}; see annotations.split, tuning.stop.split "
            f"and tuning.stop.task."
        )
    metric = SCORED.get(task).headline
    sign = 1 if METRICS[metric].rising else -1
    asked = evenly(questions, stop.questions)

    def headline(loaded: Loaded) -> float:
        tower = plain(loaded.model).get_submodule(loaded.family.vision)
        tuned = any(parameter.requires_grad for parameter in tower.parameters())
        remembered = None if tuned else Features(features)
        answers = answers_of(loaded, asked, built, recipe, kept=remembered)
        return sign * score(answers, built.labels, resamples=0)[task][metric].value

    return headline
