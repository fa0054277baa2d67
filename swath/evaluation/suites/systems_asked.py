"""A model asked suites as its recipe's systems: base, tuned, blind, few-shot; whole or a shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from swath.endpoint import is_address
from swath.errors import EvaluationError, RequestError
from swath.evaluation.answering import part_of
from swath.evaluation.predicting import Progress
from swath.evaluation.predictions import Grouped
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.running import Asked, Result, answer, ask, write_result
from swath.evaluation.suites.table import Suite
from swath.evaluation.systems import System, engine, loaded_of, system_named, systems_of
from swath.files import RUN_FILE
from swath.instructions.conversation import Box, Conversation, Part, Text, assistant
from swath.instructions.tasks.pairs import damage_text
from swath.instructions.tasks.truths import BoxesTruth, DamageTruth, LabelsTruth
from swath.recipe import Recipe

SHOTS_FROM = 200
"""Training questions of a suite among which few-shot examples are chosen."""

Named = Callable[[str], Progress]


def is_run(model: str) -> bool:
    """Whether a model's name is the folder of a run."""
    return (Path(model) / RUN_FILE).is_file()


def evaluate(
    model: str,
    recipe: Recipe,
    wanted: Sequence[tuple[Suite, Path]],
    folder: Path,
    progress: Named | None = None,
    prompt: str = "",
    limit: int | None = None,
    shard: str | None = None,
    train: Sequence[Conversation] = (),
) -> list[Result]:
    """Results of a model on suites, each in its folder; none of a shard, which keeps replies only.

    What was answered before, whole or in shards, is not asked again. All suites are read before
    the first is asked.

    Args:
        model: a run's folder, a model's name or folder, or an address.
        recipe: of the run, or of evaluating; `evaluation.systems` says who answers.
        wanted: suites and the folders of their data.
        folder: of the results, a folder a suite; systems but the last have one each within.
        progress: gives the progress of a name.
        prompt: another of the suites', or "own".
        limit: ask so many of each, evenly.
        shard: "1/3" asks the first third of each.
        train: the run's training conversations, for few-shot examples of suites without any.

    Raises:
        RequestError: there is no such system, or a base is asked of what is no run.
    """
    suites = []
    for suite, place in wanted:
        phrasing = recipe.instructions.phrasing
        frames = recipe.imagery.frames
        suites.append((ask(suite, place, prompt, phrasing, limit, frames=frames), place))
    systems = systems_asked(model, recipe)
    last = systems[-1]
    answers: dict[str, Grouped] = {row.suite.name: {} for row, _ in suites}
    not_asked: dict[str, dict[str, str]] = {row.suite.name: {} for row, _ in suites}
    who, loaded = "", None
    for system in sorted(systems, key=lambda system: system.who):  # a model is loaded once
        if system.who != who:
            who, loaded = system.who, None  # frees the one before
            if not is_address(who):
                loaded = loaded_of(who, recipe, Path(model))
        for asked, place in suites:
            name = asked.suite.name
            examples: list[Conversation] = []
            if system.how == "few-shot":
                examples = shots(asked, place, train)
                if not examples:
                    lack = f"no training example of task '{asked.suite.task}'"
                    not_asked[name][system.title] = lack
                    continue
            part = replace(asked, conversations=part_of(asked.conversations, shard or "1/1"))
            if not part.conversations:
                continue
            home = folder / name
            if system is not last:
                home = home / system.folder
            file = f"replies-{shard.replace('/', '-of-')}.jsonl" if shard else "replies.jsonl"
            answering = engine(system, recipe, Path(model), home / file, examples, loaded)
            step = progress(f"{name} {system.title}".strip()) if progress else None
            answers[name][system.title] = answer(answering, part, recipe, step)
    if shard:
        return []
    results = []
    for asked, place in suites:
        name = asked.suite.name
        of_suite = answers[name]
        if last.title not in of_suite:
            raise RequestError(
                f"{name}: {last.title} was not asked: {not_asked[name][last.title]}."
            )
        others = {
            system.title: (system.folder, of_suite[system.title])
            for system in systems[:-1]
            if system.title in of_suite
        }
        result = write_result(
            folder / name,
            asked,
            of_suite[last.title],
            {"model": model, "data": str(place), "limit": limit, "not asked": not_asked[name]},
            recipe.evaluation.resamples,
            recipe.seed,
            last.title,
            others,
        )
        results.append(result)
    return results


def systems_asked(model: str, recipe: Recipe) -> list[System]:
    """Who is asked, the model that results are about last.

    Of what is no run, "tuned" stands for the model, alone unless the recipe names systems.

    Raises:
        RequestError: there is no such system, or a base is asked of what is no run.
    """
    if is_run(model):
        return [system_named(name) for name in systems_of(recipe)]
    systems = []
    for name in recipe.evaluation.systems or ["tuned"]:
        system = system_named(name)
        if system.name == "base":
            raise RequestError(
                f"evaluation.systems: '{model}' is no run, so there is no base to set beside it; "
                f"name the base as MODEL in a run of its own and compare with `swath report A B`."
            )
        if not is_address(system.who):
            if is_address(model):
                system = system_named(f"{system.how} {model}".strip())
            else:
                title = f"{system.how} {Path(model).name}".strip()
                system = System(title, system.how, "tuned")
        systems.append(system)
    # The model as it is comes last.
    return sorted(systems, key=lambda system: not system.how and system.who in ("tuned", model))


def shots(asked: Asked, place: Path, train: Sequence[Conversation] = ()) -> list[Conversation]:
    """Examples of a suite's task: of its own train part, or else a run's; no picture it asks of.

    Args:
        train: training conversations of a run.
    """
    suite = asked.suite
    examples = []
    if suite.split:
        tested: set[str] = set()
        for row in ask(suite, place, look=False).conversations:
            tested.update(image.path for image in row.images)
        part = suite.model_copy(update={"split": "train"})
        with suppress(EvaluationError):  # it may have no such part
            examples = ask(part, place, limit=SHOTS_FROM, leave=tested).conversations
    if examples:
        return [replace(row, turns=(*row.turns, assistant(_answer(row)))) for row in examples]
    return [row for row in train if row.task == suite.task]


def _answer(question: Conversation) -> Part:
    """The truth as an answer."""
    truth = question.truth
    if isinstance(truth, BoxesTruth):
        return Box(truth.boxes)
    if isinstance(truth, DamageTruth):
        return Text(damage_text(truth.counts))
    texts = SCORED.get(question.task).texts(truth)
    return Text("; ".join(texts) if isinstance(truth, LabelsTruth) else texts[0])
