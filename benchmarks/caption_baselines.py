"""Does the model write captions, or repeat them? A run's captions beside some that copy.

    python benchmarks/caption_baselines.py RUN [--out JSON]

RUN is a finished and evaluated run folder with captions. Beside its own captions of the test images
stand: the commonest training caption of all; the commonest one of the class that the same model
gave the image; and that of the training image nearest by the cosine of the same model's vision
features. Differences are paired over images. Where images have classes, it also says how often
people name the class in their test captions, and how often the commonest training caption of the
true class does.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measured import described, finish, machine, rows, tuned_predictions
from numpy.typing import NDArray

from swath.errors import SwathError
from swath.evaluation.baselines import commonest_caption
from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.caption_scores import names_class
from swath.evaluation.metrics.statistics import Difference
from swath.evaluation.predicting import unanswered
from swath.evaluation.predictions import Prediction
from swath.evaluation.scoring import compare, score
from swath.experiment import Experiment
from swath.instructions.builder import read_set
from swath.instructions.conversation import Conversation
from swath.models.encoding import by_image
from swath.models.engine import LocalEngine
from swath.models.loading import load

MODEL = "the model"
Features = NDArray[np.floating]
Scores = dict[str, dict[str, Score]]
Gaps = dict[str, dict[str, Difference]]


def main() -> None:
    """Read the arguments, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished and evaluated run folder")
    parser.add_argument("--out", type=Path, help="JSON to write")
    args = parser.parse_args()
    try:
        answers, scores, gaps = measure(args.run)
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(table(scores, gaps))
    by_people, by_class = named(args.run, answers[MODEL])
    print(f"the class is named by people in {by_people:.3f} of their test captions, and by the")
    print(f"commonest training caption of the true class in {by_class:.3f} of the test images")
    if args.out:
        result = {
            "run": described(args.run),
            "images": len(answers[MODEL]),
            "distinct": {who: len({one.answer for one in some}) for who, some in answers.items()},
            "copied": copied(args.run, answers[MODEL]),
            "class_named_by": {"people": by_people, "commonest of the true class": by_class},
            "scores": {who: rows(values) for who, values in scores.items()},
            "model_minus": {who: rows(values) for who, values in gaps.items()},
            "machine": machine(),
        }
        finish(result, args.out)


def measure(run: Path) -> tuple[dict[str, list[Prediction]], Scores, Gaps]:
    """Captions by who made them, their scores, and the model minus each of the others."""
    recipe, answers = Experiment.of_run(run).recipe, captions(run)
    seed, resamples = recipe.seed, recipe.evaluation.resamples
    scores = {who: score(some, (), resamples, seed)["caption"] for who, some in answers.items()}
    others = {who: some for who, some in answers.items() if who != MODEL}
    gaps = {
        who: compare(some, answers[MODEL], (), resamples, seed)["caption"]
        for who, some in others.items()
    }
    return answers, scores, gaps


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
    engine = LocalEngine(load(run), threads=recipe.tuning.threads)
    known = engine.features([one.images[0].path for one in images])
    seen = engine.features([one.images[0].path for one in tested])
    return {
        "commonest of all": commonest_caption(images, tested),
        "commonest of the named class": commonest_caption(images, tested, classes),
        "commonest of the nearest image": nearest_caption(images, tested, known, seen),
        MODEL: ours,
    }


def nearest_caption(
    train: Sequence[Conversation], test: Sequence[Conversation], known: Features, seen: Features
) -> list[Prediction]:
    """The commonest caption of the training image nearest by cosine, for every test image.

    Args:
        train: conversations of captions.
        test: conversations of captions.
        known: (train, d) a vector for each training conversation's image.
        seen: (test, d) likewise for the test.
    """
    known, seen = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, seen))
    nearest = np.argmax(seen @ known.T, axis=1)  # (test,)
    texts = [Counter(train[row].truth.to_row()["captions"]).most_common(1)[0][0] for row in nearest]
    return [
        replace(unanswered(one), answer=text, problem=None)
        for one, text in zip(test, texts, strict=True)
    ]


def copied(run: Path, ours: list[Prediction]) -> float:
    """Share of the model's captions that are, word for word, a training caption."""
    known = {
        " ".join(text.split())
        for one in read_set(run / "set").split("train")
        for text in one.truth.get("captions") or []
    }
    return sum(" ".join(one.answer.split()) in known for one in ours) / len(ours)


def named(run: Path, ours: list[Prediction]) -> tuple[float, float]:
    """Shares that name the true class: of people's captions, and of the class's commonest one."""
    built = read_set(run / "set")
    asked = {row.id: row for row in built.split(Experiment.of_run(run).recipe.evaluation.split)}
    training = [row for row in built.split("train") if row.task == "caption"]
    images = [group[0] for group in by_image(training)]
    labels = {row.image: row.truth.get("label") for row in ours}
    people = [
        names_class(text, row.truth.get("label"))
        for row in ours
        for text in row.truth.get("captions")
    ]
    commonest = commonest_caption(images, [asked[row.id] for row in ours], labels)
    by_class = [names_class(row.answer, labels[row.image]) for row in commonest]
    return sum(people) / len(people), sum(by_class) / len(by_class)


def table(scores: Scores, gaps: Gaps) -> str:
    """Scores with 95 % intervals, then the model's lead over each with its p, in plain text."""
    names = list(scores[MODEL])
    lines = [["", *(METRICS[name].title for name in names)]]
    for who, row in scores.items():
        lines.append([who, *(_interval(name, row[name]) for name in names)])
    lines.append([""] * len(lines[0]))
    for who, gap in gaps.items():
        lines.append([f"{MODEL} minus {who}", *(_gap(name, gap[name]) for name in names)])
    first, *others = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(first), *(t.rjust(w) for t, w in zip(line[1:], others, strict=True))]
        ).rstrip()
        for line in lines
    )


def _interval(name: str, one: Score) -> str:
    scale = METRICS[name].scale
    low, high = one.low or 0.0, one.high or 0.0
    return f"{one.value * scale:.1f} ({low * scale:.1f} to {high * scale:.1f})"


def _gap(name: str, one: Difference) -> str:
    scale = METRICS[name].scale
    p = "p < 0.01" if one.p < 0.01 else f"p = {one.p:.2f}"
    ends = f"({one.low * scale:+.1f} to {one.high * scale:+.1f}, {p})"
    return f"{one.value * scale:+.1f} {ends}"


if __name__ == "__main__":
    main()
