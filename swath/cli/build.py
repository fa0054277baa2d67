"""`swath check` and `build`: what is amiss with recipe and data, and the set made of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import (
    RUNS,
    Home,
    Json,
    Overrides,
    RecipeName,
    Tiny,
    bars,
    claimed,
    complain,
    emit,
    experiment_of,
    refuse_unnamed_writer,
    say,
    warn,
)
from swath.errors import AnnotationError, RequestError

if TYPE_CHECKING:
    from swath.annotations.findings import Finding
    from swath.building import Building, Checked
    from swath.tuning.plan import Plan

_EXAMPLES = 5  # findings of a kind that are shown


def check(
    recipe: RecipeName,
    overrides: Overrides = None,
    home: Home = RUNS,
    tiny: Tiny = False,
    plan: Annotated[bool, typer.Option(help="Plan memory, time and disk.")] = True,
    card: Annotated[
        str | None, typer.Option(help="Plan for this graphics card, such as A100-40G, not here.")
    ] = None,
    cards: Annotated[int, typer.Option(min=1, help="How many such cards share a step.")] = 1,
    price_hour: Annotated[
        float | None, typer.Option(min=0, help="What one card costs an hour.")
    ] = None,
    json: Json = False,
) -> None:
    """Check recipe and data for bad rows and leaks, then plan: time, memory, disk."""
    if card is not None:
        from swath.tuning.plan import CARDS

        CARDS.get(card)  # an unknown one is told before the data are read
    elif cards > 1:
        raise RequestError("--cards: of which kind? Name it with --card, such as A100-40G.")
    experiment = experiment_of(recipe, overrides, home, tiny)
    with bars() as progress:
        checked = experiment.check(progress("check"))
    if not json:
        _print_findings(checked)
    planned = refusal = None
    if plan:
        try:
            with bars() as progress:
                planned = experiment.plan(progress("build"), card, cards)
        except AnnotationError as error:  # told after the findings
            refusal = error
    if json:
        emit(asdict(checked) | {"plan": _plan_row(planned, price_hour) if planned else None})
    elif planned:
        _print_plan(planned, price_hour)
    if refusal:
        complain(str(refusal))
        raise typer.Exit(1)


def _plan_row(plan: Plan, price_hour: float | None) -> dict[str, Any]:
    row = asdict(plan) | {"fits": plan.fits}
    if price_hour is not None:
        row["cost"] = plan.seconds / 3600 * plan.cards * price_hour
    return row


def build(
    recipe: RecipeName, overrides: Overrides = None, home: Home = RUNS, tiny: Tiny = False
) -> None:
    """Turn images and annotations into conversations."""
    from swath.building import Building
    from swath.recipes import load_recipe

    resolved = load_recipe(recipe, overrides or [], tiny)
    refuse_unnamed_writer(resolved, overrides or [])
    print_set(Building(resolved, claimed(home / resolved.name)))


def print_set(building: Building) -> None:
    """Build a set with a bar, and print what is in it."""
    from swath.instructions.tasks.balance import mostly_left_out

    section = building.recipe.instructions.writer
    if section is not None and section.conversations:
        _print_estimate(building)
    with bars() as progress:
        built = building.build(progress("build"))
    if written := built.card.get("written"):
        rejects = building.folder / "rejects.jsonl"
        say(f"written by {written['model']}: {written['kept']} of {written['asked']} believed")
        say(f"the others and why: {rejects}")
    for split, tasks in built.card["conversations"].items():
        counts = ", ".join(f"{count} {task}" for task, count in tasks.items())
        say(f"{split}: {built.card['images'][split]} images, {counts}")
    if lost := mostly_left_out(built.card["balance"]):
        say(f"left out, because words alone would answer them: {lost}")
    warn(building.notes)


def _print_estimate(building: Building) -> None:
    """What writing will take, before anything is asked."""
    about = building.estimate()
    cost = f", about {about.cost:.2f} at the prices given" if about.cost else ""
    say(
        f"writer: {about.requests} requests, about {about.read:,} tokens read and "
        f"{about.written:,} written{cost}; answers so far are kept and not asked again"
    )


def _print_findings(checked: Checked) -> None:
    """How many images there are and what lint says of them, a few of each kind."""
    say(f"images: {', '.join(f'{count} {split}' for split, count in checked.images.items())}")
    kinds: dict[str, list[Finding]] = {}
    for finding in checked.findings:
        kinds.setdefault(finding.kind, []).append(finding)
    for kind, findings in kinds.items():
        rows = sum(finding.count for finding in findings)
        effect = findings[0].effect
        say(f"{kind}: {len(findings)} ({rows} row{'s' * (rows != 1)}; {effect})")
        for finding in findings[:_EXAMPLES]:
            say(f"  {finding.where}: {finding.what}; {finding.action}")
        if len(findings) > _EXAMPLES:
            say(f"  ... and {len(findings) - _EXAMPLES} more (--json lists all)")
    if not checked.findings:
        say("nothing to complain about")


def _print_plan(plan: Plan, price_hour: float | None) -> None:
    """What tuning would train, and its memory, time and disk, here or on cards."""
    for stage in plan.stages:
        parts = ", ".join(f"{part.part} {part.trained:,}" for part in stage.parts if part.trained)
        say(
            f"stage {stage.name}: {stage.steps:,} steps, {_duration(stage.seconds)}, "
            f"{stage.tokens / 1e6:,.1f} million tokens; trains {parts}"
        )
        held = stage.memory
        say(
            f"  batches of {stage.rows}: weights {held.weights / 1e6:,.0f} MB, gradients "
            f"{held.gradients / 1e6:,.0f}, optimiser {held.optimizer / 1e6:,.0f}, activations "
            f"{held.activations / 1e6:,.0f}"
        )
        frozen = not any(part.part == "vision" and part.trained for part in stage.parts)
        if stage.features_mb:
            say(f"  a picture is seen by the tower once and kept: {stage.features_mb:,.0f} MB")
        elif frozen and stage.features_mb is None:
            say("  the frozen tower sees changed pictures in every epoch, so nothing of it is kept")
        if not stage.tower_counted:
            say("  the vision tower's own activations are not counted for this family: leave room")
    say(f"memory {plan.memory_mb:,.0f} MB, a checkpoint {plan.disk_mb:,.0f} MB")
    if plan.features_mb:
        say(
            f"kept features of the test pictures, where the tower is frozen: "
            f"{plan.features_mb:,.0f} MB"
        )
    if plan.card is not None:
        verdict = "fits" if plan.fits else "does not fit"
        say(f"{verdict}: {plan.cards} x {plan.card} of {plan.room_mb:,.0f} MB")
        if not plan.fits:
            advice = " ".join(plan.advice) or "none that swath knows; take a larger card"
            say(f"what would fit: {advice}")
        say("time is guessed from the card's matrix rate, of which a third is taken to be reached")
    if price_hour is not None:
        cost = plan.seconds / 3600 * plan.cards * price_hour
        say(f"cost at {price_hour:g} an hour: {cost:,.2f}")


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"about {minutes:.1f} minutes" if minutes < 120 else f"about {minutes / 60:.1f} hours"
