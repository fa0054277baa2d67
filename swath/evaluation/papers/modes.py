"""Named modes: the rule by which one paper's code scores a task, where it is not ours.

A score of a mode is comparable with that paper's and with nothing else. Some modes leave answers
out of the denominator; the metric `refused` says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import Measures
from swath.evaluation.papers import protocols
from swath.evaluation.papers import reading_rules as rules
from swath.evaluation.predictions import Predictions
from swath.registry import Registry


@dataclass(frozen=True)
class Mode:
    """A row of the table.

    Args:
        task: the task it scores.
        source: whose code it follows.
        differs: in what it differs from our rule.
        measures: of predictions of that task and a label set.
    """

    task: str
    source: str
    differs: str
    measures: Callable[[Predictions, Sequence[str]], Measures]


_LR = partial(rules.rsvqa_label, ranges=True)
_HR = partial(rules.rsvqa_label, ranges=False)
_MEASURES: dict[str, Callable[..., Measures]] = {
    "cookbook": protocols.cookbook,
    "vleo-scene": protocols.vleo_scene,
    "geochat-scene": partial(protocols.same, key="label"),
    "vrsbench": protocols.vrsbench,
    "vleo-refer": protocols.vleo_refer,
    "vleo-refer-qwen": partial(protocols.vleo_refer, qwen=True),
    "clip": protocols.clip,
    "anticlockwise": protocols.anticlockwise,
    "earthdial-boxes": protocols.earthdial_boxes,
    "unscored-ap": protocols.unscored,
    "vleo-count": protocols.vleo_counts,
    "vleo-damage": protocols.vleo_damage,
    "rsvqa-lr": partial(protocols.same, normal=_LR, of_truth=_LR),
    "rsvqa-hr": partial(protocols.same, normal=_HR, of_truth=_HR),
    "geochat-question": protocols.same,
    "earthmind": partial(protocols.same, of_truth=rules.squeezed),
    "teochat": partial(protocols.same, normal=rules.unpunctuated),
    "earthdial-question": protocols.earthdial_words,
    "meteor": protocols.with_meteor,
    "levir-change": protocols.levir_change,
}
_ROWS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

MODES: Registry[Mode] = Registry(
    "mode",
    "swath.modes",
    {name: Mode(**row, measures=_MEASURES[name]) for name, row in _ROWS.items()},
)
"""Every named mode."""


def measures(name: str, predictions: Predictions, labels: Sequence[str] = ()) -> Measures:
    """What a mode measures.

    Raises:
        RequestError: there is no such mode.
        EvaluationError: the predictions are of another task.
    """
    mode = MODES.get(name)
    for prediction in predictions:
        if prediction.task != mode.task:
            raise EvaluationError(
                f"mode '{name}' scores '{mode.task}' answers, got '{prediction.task}'; leave the "
                f"mode out."
            )
    return mode.measures(predictions, labels)
