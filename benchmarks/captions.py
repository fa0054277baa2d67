"""Does the model write captions, or repeat them? A run's captions beside two that copy.

    python benchmarks/captions.py RUN [--out JSON]

RUN is a finished and evaluated run folder with captions. Beside its own captions of the test images
stand: the commonest training caption of all; the commonest one of the class that the same model
gave the image; and captions of the training image nearest by the cosine of the same model's vision
features, its first and its commonest one. Differences are paired over images.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from measured import described, finish, machine, tuned_predictions

from swath.errors import SwathError
from swath.evaluation.baselines import commonest_caption, nearest_caption
from swath.evaluation.metrics import METRICS, Score
from swath.evaluation.predictions import Prediction
from swath.evaluation.score import compare, score
from swath.evaluation.statistics import Difference
from swath.experiment import Experiment
from swath.instructions.builder import read_set
from swath.instructions.conversation import Conversation
from swath.models.encoding import by_image
from swath.models.engine import LocalEngine
from swath.models.loading import load

MODEL = "the model"


def main() -> None:
    """Read the arguments, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished and evaluated run folder")
    parser.add_argument("--out", type=Path, help="JSON to write")
    args = parser.parse_args()
    try:
        recipe = Experiment.of_run(args.run).recipe
        answers = captions(args.run)
        seed, resamples = recipe.seed, recipe.evaluation.resamples
        scores = {name: score(some, (), resamples, seed)["caption"] for name, some in answers.items()}
        gaps = {
            name: compare(some, answers[MODEL], (), resamples, seed)["caption"]
            for name, some in answers.items()
            if name != MODEL
        }
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(table(scores, gaps))
    if args.out:
        finish(
            {
                "run": described(args.run),
                "images": len(answers[MODEL]),
                "distinct": {n: len({one.answer for one in some}) for n, some in answers.items()},
                "copied": copied(args.run, answers[MODEL]),
                "scores": {
                    name: {metric: value.to_row() for metric, value in row.items()}
                    for name, row in scores.items()
                },
                "model_minus": {
                    name: {metric: value.to_row() for metric, value in row.items()}
                    for name, row in gaps.items()
                },
                "machine": machine(),
            },
            args.out,
        )


def captions(run: Path) -> dict[str, list[Prediction]]:
    """The captions to be scored, by who made them."""
    recipe = Experiment.of_run(run).recipe
    built = read_set(run / "set")
    ours = tuned_predictions(run, "caption")
    asked = {one.id: one for one in built.split(recipe.evaluation.split)}
    tested = [asked[one.id] for one in ours]
    training = [one for one in built.split("train") if one.task == "caption"]
    # A training image has a conversation for each of its captions, and all of them as its truth.
    images = [group[0] for group in by_image(training)]
    classes = {one.image: one.label for one in tuned_predictions(run, "classify")}
    engine = LocalEngine(load(run), cache_px=recipe.imagery.cache_px, threads=recipe.tuning.threads)
    known = engine.features([one.images[0].path for one in images])
    seen = engine.features([one.images[0].path for one in tested])
    return {
        "commonest of all": commonest_caption(images, tested),
        "commonest of the class the model named": commonest_caption(images, tested, classes),
        "nearest image, its first": nearest_caption(images, tested, known, seen),
        "nearest image, its commonest": nearest_caption(
            [_commonest_first(one) for one in images], tested, known, seen
        ),
        MODEL: ours,
    }


def _commonest_first(one: Conversation) -> Conversation:
    ordered = [text for text, _ in Counter(one.truth["captions"]).most_common()]
    return replace(one, truth={**one.truth, "captions": ordered})


def copied(run: Path, ours: list[Prediction]) -> float:
    """Share of the model's captions that are, word for word, a training caption."""
    known = {
        " ".join(text.split())
        for one in read_set(run / "set").split("train")
        for text in one.truth.get("captions", [])
    }
    return sum(" ".join(one.answer.split()) in known for one in ours) / len(ours)


def table(
    scores: dict[str, dict[str, Score]], gaps: dict[str, dict[str, Difference]]
) -> str:
    """Scores with 95 % intervals, then the model's lead over each with its p, in plain text."""
    names = list(scores[MODEL])
    rows = [["", *(METRICS[name].title for name in names)]]
    for who, row in scores.items():
        rows.append([who, *(_interval(name, row[name]) for name in names)])
    rows.append([])
    for who, gap in gaps.items():
        rows.append([f"{MODEL} minus {who}", *(_gap(name, gap[name]) for name in names)])
    widths = [max(len(row[i]) for row in rows if row) for i in range(len(names) + 1)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if i else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        if row
        else ""
        for row in rows
    )


def _interval(name: str, one: Score) -> str:
    scale = METRICS[name].scale
    low, high = one.low or 0.0, one.high or 0.0
    return f"{one.value * scale:.1f} ({low * scale:.1f} to {high * scale:.1f})"


def _gap(name: str, one: Difference) -> str:
    scale = METRICS[name].scale
    ends = f"({one.low * scale:+.1f} to {one.high * scale:+.1f}, p {one.p:.3f})"
    return f"{one.value * scale:+.1f} {ends}"


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to_row() for name, value in values.items()}


if __name__ == "__main__":
    main()
