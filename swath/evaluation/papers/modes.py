"""Named modes: the rule by which one paper's code scores a task, where it is not ours.

A score of a mode is comparable with that paper's and with nothing else. Some modes leave answers
out of the denominator; the metric `refused` says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from swath.errors import EvaluationError
from swath.evaluation.papers import protocols
from swath.evaluation.papers import reading_rules as rules
from swath.evaluation.papers.protocols import Measures
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


MODES: Registry[Mode] = Registry("mode", "swath.modes")
"""Every named mode."""

_LR = partial(rules.rsvqa_label, ranges=True)
_HR = partial(rules.rsvqa_label, ranges=False)

# fmt: off
for _name, _row in {
    "cookbook": Mode("classify", "mistralai/cookbook",
        "only a ```json block of both strings is read; macro-F1 has a class more",
        protocols.cookbook),
    "vleo-scene": Mode("classify", "vleo-bench, fMoW and PatternNet",
        "first label of the list that is part of the answer; an apology that names a label is a "
        "refusal", protocols.vleo_scene),
    "geochat-scene": Mode("classify", "GeoChat batch_geochat_scene.py",
        "spaces and full stops dropped, then equal; a line break makes it wrong",
        partial(protocols.same, key="label")),
    "vrsbench": Mode("refer", "VRSBench compute_metrics.ipynb",
        "first four runs of digits, inclusive pixels (+1) on a grid of 100; cumulative IoU without "
        "unread answers", protocols.vrsbench),
    "vleo-refer": Mode("refer", "vleo-bench, DIOR-RSVG",
        "first list, pixels; IoU above 0.5; answers without a box left out", protocols.vleo_refer),
    "vleo-refer-qwen": Mode("refer", "vleo-bench, DIOR-RSVG",
        "as vleo-refer, of one `<box>` from 0 to 1000, cut to whole pixels",
        partial(protocols.vleo_refer, qwen=True)),
    "clip": Mode("refer", "RSVG and MGVLF forks", "answers and truths cut at the border",
        protocols.clip),
    "anticlockwise": Mode("ground", "GeoChat demo, EarthDial", "angles turn against the clock",
        protocols.anticlockwise),
    "earthdial-boxes": Mode("ground", "EarthDial rs_detection",
        "any truth will do, as often as it is hit; angles turn against the clock",
        protocols.earthdial_boxes),
    "unscored-ap": Mode("ground", "DOTA task 1, area",
        "boxes as a detector's, all equally sure: the order written decides", protocols.unscored),
    "vleo-count": Mode("count", "vleo-bench counting.py",
        "digits within words; R2 is the squared correlation; relative error divides by 2e-16 where "
        "the truth is 0", protocols.vleo_counts),
    "vleo-damage": Mode("damage", "vleo-bench xview2.py",
        'keys by parts of their names, so "minor" overwrites "no damage"; missing counts are 0; '
        "errors as vleo-count", protocols.vleo_damage),
    "rsvqa-lr": Mode("question", "RSVQA VocabEncoder", "counts and areas as ranges on both sides",
        partial(protocols.same, normal=_LR, of_truth=_LR)),
    "rsvqa-hr": Mode("question", "RSVQA VocabEncoder", "areas as ranges on both sides",
        partial(protocols.same, normal=_HR, of_truth=_HR)),
    "geochat-question": Mode("question", "GeoChat-style scripts",
        "spaces and full stops dropped from the answer only, so a truth of several words is never "
        "met", protocols.same),
    "earthmind": Mode("question", "EarthMind evaluate_hrben",
        "spaces and full stops dropped from both",
        partial(protocols.same, of_truth=rules.squeezed)),
    "teochat": Mode("question", "TEOChat", "punctuation dropped from the answer, spaces kept",
        partial(protocols.same, normal=rules.unpunctuated)),
    "earthdial-question": Mode("question", "EarthDial rs_vqa",
        "share of the truth's tokens in the answer", protocols.earthdial_words),
    "meteor": Mode("caption", "METEOR 1.5, pycocoevalcap", "METEOR by its Java program",
        protocols.with_meteor),
    "levir-change": Mode("caption", "RSICC eval.py", "change or none, by five fixed sentences",
        protocols.levir_change),
}.items():
    MODES.add(_name, _row)
# fmt: on


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
