"""What the tabs share: the folder of experiments, the models, the pictures, and how they listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from swath.errors import RequestError, SwathError
from swath.serving.studio.assistants import Assistants
from swath.serving.studio.failure_desk import FailureDesk
from swath.serving.studio.pictures import Pictures
from swath.serving.studio.review_desk import ReviewDesk
from swath.serving.studio.run_desk import RunDesk
from swath.serving.studio.work_desk import WorkDesk

_BEGINS = ("click", "load", "submit", "tick", "upload")
"""Events that begin something: while it goes on, another is not taken. Of all others, which say how
something now stands, the last is always taken."""


@dataclass(frozen=True)
class Desk:
    """What is on the page's desk.

    Args:
        home: folder of the experiments.
        assistants: the models.
        runs: the experiments.
        reviews: their sets, to be judged.
        failures: their answers, as evaluated.
        first: the experiment whose set is shown first; "" for the one last built.
        scans: of scenes.
        comparisons: of two dates.
        pictures: what the page may show.
    """

    home: Path
    assistants: Assistants
    runs: RunDesk
    reviews: ReviewDesk
    failures: FailureDesk
    scans: WorkDesk
    comparisons: WorkDesk
    first: str = ""
    pictures: Pictures = field(default_factory=Pictures)

    @classmethod
    def of(cls, home: Path, first: str = "") -> Desk:
        """The desk of a folder of experiments."""
        home = home.absolute()
        return cls(
            home,
            Assistants(home),
            RunDesk(home),
            ReviewDesk(home),
            FailureDesk(home),
            WorkDesk(home / "scans", "scan"),
            WorkDesk(home / "comparisons", "compare"),
            first,
        )


def listen(
    events: Sequence[Any],
    act: Callable[..., Any],
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    notice: Any = None,
    waiting: Any = None,
) -> None:
    """Let a function answer events of the page, and nobody else.

    Args:
        events: of components, as `button.click`.
        act: gives the values of `outputs`, as a tuple where there are several.
        inputs: components whose values it is given.
        outputs: components that it changes.
        notice: says what it refuses; the outputs then stay as they are.
        waiting: the component that shows that the function is at work.
    """
    targets = list(outputs)
    if notice is not None:
        targets.append(notice)
        act = _noticing(act, len(outputs))
    for event in events:
        event(
            act,
            inputs=list(inputs),
            outputs=targets,
            api_visibility="private",  # else it would be a public endpoint
            trigger_mode="once" if event.event_name in _BEGINS else "always_last",
            show_progress="hidden" if waiting is None else "full",
            show_progress_on=waiting,
        )


def needed(value: str | None, refusal: str) -> str:
    """What was chosen or typed.

    Raises:
        RequestError: nothing was; the refusal says of what.
    """
    if not value or not value.strip():
        raise RequestError(refusal)
    return value.strip()


def choose_among(
    choice: gr.Dropdown,
    page: gr.Blocks,
    names: Callable[[], list[str]],
    first: Callable[[list[str]], str | None] = lambda names: next(iter(names), None),
) -> None:
    """Let a choice offer what there is now, and begin with the first of it.

    Args:
        choice: of one name.
        page: on whose loading it begins.
        names: what there is, the likeliest first.
        first: with which of them it begins.
    """

    def begin() -> gr.Dropdown:
        known = names()
        return gr.Dropdown(choices=known, value=first(known))

    listen([page.load], begin, [], [choice])
    listen([choice.focus], lambda: gr.Dropdown(choices=names()), [], [choice])


def _noticing(act: Callable[..., Any], outputs: int) -> Callable[..., Any]:
    """The function with one more result: what it refuses, in words."""

    @wraps(act)
    def noticing(*values: Any) -> Any:
        try:
            results = act(*values)
        except SwathError as error:
            unchanged = [gr.skip()] * outputs
            return (*unchanged, str(error))
        if outputs == 1:
            return (results, "")
        return (*results, "")

    return noticing
