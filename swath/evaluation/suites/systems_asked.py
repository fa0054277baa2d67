"""A model asked suites as its recipe's sides: base, tuned, blind, few-shot; whole or a shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from swath.endpoint import is_address
from swath.errors import EvaluationError, RequestError
from swath.evaluation.answering import part_of
from swath.evaluation.predicting import Progress
from swath.evaluation.predictions import Prediction
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.running import Asked, Result, answer, ask, write_result
from swath.evaluation.suites.table import Suite
from swath.evaluation.systems import Side, engine, loaded_of, side, sides
from swath.instructions.conversation import Box, Conversation, Part, Text, assistant
from swath.instructions.tasks.pairs import damage_text
from swath.instructions.tasks.truths import BoxesTruth, DamageTruth, LabelsTruth
from swath.models.loading import RUN_FILE
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
        recipe: of the run, or of evaluating; `evaluation.sides` says who answers.
        wanted: suites and the folders of their data.
        folder: of the results, a folder a suite; sides but the last have one each within.
        progress: gives the progress of a name.
        prompt: another of the suites', or "own".
        limit: ask so many of each, evenly.
        shard: "1/3" asks the first third of each.
        train: the run's training conversations, for few-shot examples of suites without any.

    Raises:
        RequestError: there is no such side, or a base is asked of what is no run.
    """
    row = recipe.instructions.phrasing, limit, True, recipe.imagery.frames
    suites = [(ask(suite, place, prompt, *row), place) for suite, place in wanted]
    answering = sides_of(model, recipe)
    found: dict[str, dict[str, list[Prediction]]] = {one.suite.name: {} for one, _ in suites}
    left: dict[str, dict[str, str]] = {one.suite.name: {} for one, _ in suites}
    who, loaded = "", None
    for one in sorted(answering, key=lambda one: one.who):  # a model is loaded once
        if one.who != who:
            who, loaded = one.who, None
            loaded = None if is_address(who) else loaded_of(who, recipe, Path(model))
        for asked, place in suites:
            name = asked.suite.name
            examples = shots(asked, place, train) if one.how == "few-shot" else []
            if one.how == "few-shot" and not examples:
                left[name][one.title] = f"no training example of task '{asked.suite.task}'"
                continue
            part = replace(asked, conversations=part_of(asked.conversations, shard or "1/1"))
            if not part.conversations:
                continue
            home = folder / name / ("" if one is answering[-1] else one.folder)
            file = f"replies-{shard.replace('/', '-of-')}.jsonl" if shard else "replies.jsonl"
            asks = engine(one, recipe, Path(model), home / file, examples, loaded)
            step = progress(f"{name} {one.title}".strip()) if progress else None
            found[name][one.title] = answer(asks, part, recipe, step)
    if shard:
        return []
    section, last = recipe.evaluation, answering[-1]
    results = []
    for asked, place in suites:
        name = asked.suite.name
        if last.title not in found[name]:
            raise RequestError(f"{name}: {last.title} was not asked: {left[name][last.title]}.")
        notes = {"model": model, "data": str(place), "limit": limit, "not asked": left[name]}
        others = {
            one.title: (one.folder, found[name][one.title])
            for one in answering[:-1]
            if one.title in found[name]
        }
        results.append(
            write_result(
                folder / name, asked, found[name][last.title], notes, section.resamples,
                recipe.seed, last.title, others,
            )
        )  # fmt: skip
    return results


def sides_of(model: str, recipe: Recipe) -> list[Side]:
    """Who is asked, the model that results are about last.

    Of what is no run, "tuned" stands for the model, alone unless the recipe names sides.

    Raises:
        RequestError: there is no such side, or a base is asked of what is no run.
    """
    if is_run(model):
        return [side(name) for name in sides(recipe)]
    named = []
    for one in map(side, recipe.evaluation.sides or ["tuned"]):
        if one.name == "base":
            raise RequestError(
                f"evaluation.sides: '{model}' is no run, so there is no base to set beside it; "
                f"name the base as MODEL in a run of its own and compare with `swath report A B`."
            )
        if not is_address(one.who):
            known = is_address(model)
            said = f"{one.how} {model if known else Path(model).name}".strip()
            one = side(said) if known else Side(said, one.how, "tuned")
        named.append(one)
    return sorted(named, key=lambda one: not one.how and one.who in ("tuned", model))


def shots(asked: Asked, place: Path, train: Sequence[Conversation] = ()) -> list[Conversation]:
    """Examples of a suite's task: of its own train part, or else a run's; no picture it asks of.

    Args:
        asked: the suite's questions.
        place: folder of its data.
        train: training conversations of a run.
    """
    suite = asked.suite
    examples = []
    if suite.split:
        tested = {image.path for row in ask(suite, place, look=False).conversations
                  for image in row.images}  # fmt: skip
        part = suite.model_copy(update={"split": "train"})
        with suppress(EvaluationError):  # it may have no such part
            examples = ask(part, place, limit=SHOTS_FROM, leave=tested).conversations
    answered = [replace(row, turns=(*row.turns, assistant(_said(row)))) for row in examples]
    return answered or [row for row in train if row.task == suite.task]


def _said(one: Conversation) -> Part:
    """The truth as an answer."""
    if isinstance(one.truth, BoxesTruth):
        return Box(one.truth.boxes)
    if isinstance(one.truth, DamageTruth):
        return Text(damage_text(one.truth.counts))
    texts = SCORED.get(one.task).texts(one.truth)
    return Text("; ".join(texts) if isinstance(one.truth, LabelsTruth) else texts[0])
