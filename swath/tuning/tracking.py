"""Where else losses are shown: TensorBoard and its like, through `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from swath.errors import TuningError


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose package is not there.

    Raises:
        TuningError: one is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            package = "'swath[track]'" if name == "tensorboard" else name
            raise TuningError(
                f"tuning.track: {name} is not installed; `pip install {package}`, or leave it out "
                f"(the extra `track` brings tensorboard)."
            )


def trackers(names: Sequence[str], folder: Path) -> list[TrainerCallback]:
    """What sends a stage's losses on.

    Args:
        names: the recipe's `tuning.track`.
        folder: TensorBoard's files are written there.
    """
    services = [name for name in names if name != "tensorboard"]
    callbacks = [tracker() for tracker in get_reporting_integration_callbacks(services)]
    if "tensorboard" in names:
        from torch.utils.tensorboard import SummaryWriter

        callbacks.append(TensorBoardCallback(SummaryWriter(str(folder))))
    return callbacks
