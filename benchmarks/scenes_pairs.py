"""A run tuned on pairs, asked through `compare` about the pairs of its test split.

    swath tune quickstart name=pairs annotations.drawn.change=true \\
        'instructions.tasks=[question, ground, caption]'
    swath evaluate runs/pairs
    python benchmarks/scenes_pairs.py runs/pairs [--out JSON]

Each pair goes through `swath compare` as two files. What it says is held against the truth, and
against what `swath evaluate` was answered to the rows of the set: both should be asked the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from measured import finish, machine

import swath
from swath.annotations.image import read_images
from swath.boxes import Boxes
from swath.errors import RequestError
from swath.evaluation.metrics import matching
from swath.evaluation.metrics.grounding import THRESHOLD
from swath.evaluation.predictions import Prediction, read_predictions
from swath.files import FORMAT
from swath.inference.compare import Comparison

NEAR_PX = 0.5
"""How far corners may lie apart that are called the same."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=None, help="so many of them")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    assistant = swath.load(args.run)
    images = read_images(args.run / "set" / "images.jsonl")
    pairs = [image for image in images if image.split == "test" and len(image.frames) == 2]
    answers: dict[tuple[str, str], Prediction] = {}
    for answer in read_predictions(args.run / "evaluation" / "tuned" / "predictions.jsonl"):
        answers[answer.image, answer.task] = answer
    rows: list[dict[str, Any]] = []
    refused = 0
    for image in pairs[: args.pairs]:
        try:
            comparison = assistant.compare(*image.frames)
        except RequestError:  # a shift is measured where none is
            refused += 1
            continue
        of_tasks = {task: answers.get((image.path, task)) for task in ("caption", "question")}
        rows.append(row_of(comparison, image, of_tasks, answers.get((image.path, "ground"))))
    finish(
        {
            "format": FORMAT,
            "machine": machine(),
            "pairs": len(rows),
            "refused": refused,
            "caption_right": share(rows, "caption_right"),
            "changed_right": share(rows, "changed_right"),
            "boxes_f1@0.5": f1(rows),
            "as_evaluate": {
                "caption": share(rows, "caption_same"),
                "changed": share(rows, "changed_same"),
                "boxes": share(rows, "boxes_same"),
            },
        },
        args.out,
    )


def row_of(
    comparison: Comparison, image: Any, answers: dict[str, Any], pointed: Prediction | None
) -> dict[str, Any]:
    """Of one pair: what was right, and what was as `evaluate` was answered."""
    (tile,) = comparison.tiles
    changed = tile.changed is not None and tile.changed > 0.5
    found = tile.boxes.get("change", Boxes.empty())
    overlaps = matching.overlaps(comparison.changes.boxes, image.boxes)
    row: dict[str, Any] = {
        "changed_right": changed == bool(len(image.boxes)),
        "counts": (
            matching.greedy(overlaps, THRESHOLD),
            len(comparison.changes),
            len(image.boxes),
        ),
    }
    if (caption := answers["caption"]) is not None:
        references = caption.truth.to_row()["captions"]
        row["caption_right"] = comparison.caption in references
        row["caption_same"] = comparison.caption == caption.answer
    if (question := answers["question"]) is not None:
        row["changed_same"] = ("yes" if changed else "no") == question.answer.strip().lower()
    if pointed is not None:
        told = Boxes.from_rows(pointed.boxes or [])
        row["boxes_same"] = len(told) == len(found) and bool(
            np.abs(told.quads - found.quads).max(initial=0) < NEAR_PX
        )
    return row


def share(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Share of the rows that say so, of how many that say anything."""
    marks = [row[key] for row in rows if key in row]
    return {"share": round(float(np.mean(marks)), 4) if marks else None, "n": len(marks)}


def f1(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """F1 of all boxes, pairs pooled."""
    hits, found, there = np.sum([row["counts"] for row in rows], axis=0).tolist()
    return {"f1": round(2 * hits / max(found + there, 1), 4), "found": found, "there": there}


if __name__ == "__main__":
    main()
