"""A model asked as a recipe says: its answers, and the one number that tuning stops by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swath.errors import EvaluationError
from swath.evaluation.metrics import HEADLINE, METRICS
from swath.evaluation.predictions import Prediction
from swath.evaluation.runner import Progress, predict
from swath.evaluation.score import score
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation
from swath.models.engine import LocalEngine
from swath.models.loading import Loaded
from swath.recipe import Recipe


def answers_of(
    loaded: Loaded,
    asked: Sequence[Conversation],
    built: InstructionSet,
    recipe: Recipe,
    progress: Progress | None = None,
) -> list[Prediction]:
    """A model's answers to questions of a set, one a question, in their order."""
    section = recipe.evaluation
    engine = LocalEngine(
        loaded,
        batch_size=section.batch_size,
        views=section.views,
        threads=recipe.tuning.threads,
    )
    choices = built.choices if section.closed else {}
    names, longest = built.card["names"], section.max_new_tokens
    return predict(engine, asked, built.labels, choices, longest, progress, names)


def stop_score(built: InstructionSet, recipe: Recipe) -> Callable[[Loaded], float] | None:
    """The headline score of `tuning.stop`'s task, turned so that more is better; None without.

    Raises:
        EvaluationError: the split has no question of that task.
    """
    stop = recipe.tuning.stop
    if stop is None:
        return None
    task, name = stop.task, HEADLINE.get(stop.task)
    found = [one for one in built.split(stop.split) if one.task == task]
    if name is None or not found:
        what = "no score" if name is None else f"no question in the '{stop.split}' split"
        raise EvaluationError(
            f"tuning.stop: task '{task}' has {what}; see annotations.split, tuning.stop.split "
            f"and tuning.stop.task."
        )
    count = min(stop.questions, len(found))
    # Evenly over the set, whose order is often that of the classes.
    asked = [found[place * len(found) // count] for place in range(count)]
    sign = 1 if METRICS[name].rising else -1

    def headline(loaded: Loaded) -> float:
        answers = answers_of(loaded, asked, built, recipe)
        return sign * score(answers, built.labels, resamples=0)[task][name].value

    return headline
