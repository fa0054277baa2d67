"""What the tabs share: the folder of experiments, the models, the pictures, and how they listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from swath.errors import SwathError
from swath.serving.studio.assistants import Assistants
from swath.serving.studio.pictures import Pictures


@dataclass(frozen=True)
class Desk:
    """What is on the page's desk.

    Args:
        home: folder of the experiments.
        assistants: the models.
        pictures: what the page may show.
    """

    home: Path
    assistants: Assistants
    pictures: Pictures = field(default_factory=Pictures)

    @classmethod
    def of(cls, home: Path) -> Desk:
        """The desk of a folder of experiments."""
        return cls(home, Assistants(home))


def listen(
    events: Sequence[Callable[..., Any]],
    act: Callable[..., Any],
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    notice: Any = None,
    **options: Any,
) -> None:
    """Let a function answer events of the page, and nobody else.

    Args:
        events: of components, as `button.click`.
        act: gives the values of `outputs`, as a tuple where there are several.
        inputs: components whose values it is given.
        outputs: components that it changes.
        notice: says what it refuses; the outputs then stay as they are.
        options: further ones of Gradio's.
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
            **options,
        )


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
