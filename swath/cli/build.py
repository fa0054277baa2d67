"""`swath check` and `build`: what is amiss with recipe and data, and the set made of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

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
    say,
    warn,
)
from swath.errors import AnnotationError

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
    plan: Annotated[bool, typer.Option(help="Try a few steps for time and memory.")] = True,
    json: Json = False,
) -> None:
    """Check recipe and data for bad rows and leaks, then plan: time, memory, disk."""
    experiment = experiment_of(recipe, overrides, home, tiny)
    with bars() as progress:
        checked = experiment.check(progress("check"))
    if not json:
        _print_findings(checked)
    planned = refusal = None
    if plan:
        try:
            with bars() as progress:
                planned = experiment.plan(progress("build"))
        except AnnotationError as error:  # told after the findings
            refusal = error
    if json:
        emit(asdict(checked) | {"plan": asdict(planned) if planned else None})
    elif planned:
        _print_plan(planned)
    if refusal:
        complain(str(refusal))
        raise typer.Exit(1)


def build(
    recipe: RecipeName, overrides: Overrides = None, home: Home = RUNS, tiny: Tiny = False
) -> None:
    """Turn images and annotations into conversations."""
    from swath.building import Building
    from swath.recipes import load_recipe

    resolved = load_recipe(recipe, overrides or [], tiny)
    print_set(Building(resolved, claimed(home / resolved.name)))


def print_set(building: Building) -> None:
    """Build a set with a bar, and print what is in it."""
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


def _print_plan(plan: Plan) -> None:
    """What tuning would train, and its time, memory and disk on this machine."""
    for stage in plan.stages:
        parts = ", ".join(f"{part.part} {part.trained:,}" for part in stage.parts if part.trained)
        minutes = stage.seconds / 60
        say(f"stage {stage.name}: {stage.steps} steps, about {minutes:.1f} minutes; trains {parts}")
    say(f"memory {plan.memory_mb:,.0f} MB, a checkpoint {plan.disk_mb:,.0f} MB")
