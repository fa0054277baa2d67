"""Classes that a model was not tuned on, named by a few labelled pictures of each.

    python benchmarks/neighbours.py [MODEL] [--labelled N ...] [--asked N] [--out JSON]

Draws the quickstart's eight kinds of scene, which swath-nano has never seen. Of each kind so many
pictures are labelled, and others are named by the votes of `swath ask --neighbours`; beside that,
the model itself chooses among the eight names.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measured import finish, machine
from PIL import Image

import swath
from swath.evaluation.metrics.statistics import calibration, calibration_error
from swath.files import FORMAT
from swath.imagery.synthetic import QUICKSTART_KINDS, draw
from swath.inference.neighbours import Neighbours, Tower

SIDE_PX = 112


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="swath-nano")
    parser.add_argument("--labelled", type=int, nargs="*", default=[1, 3, 5, 10])
    parser.add_argument("--asked", type=int, default=20, help="pictures of each kind")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    assistant = swath.load(args.model)
    tower = Tower(assistant.engine)
    most = max(args.labelled)
    result: dict[str, Any] = {"format": FORMAT, "model": args.model, "machine": machine()}
    result |= {"classes": len(QUICKSTART_KINDS), "chance": 1 / len(QUICKSTART_KINDS)}
    with tempfile.TemporaryDirectory() as folder:
        pictures = drawn(Path(folder), most + args.asked)
        vectors = {kind: tower.vectors(paths) for kind, paths in pictures.items()}
        for count in args.labelled:
            labels = [kind for kind in vectors for _ in range(count)]
            shown = np.concatenate([vectors[kind][:count] for kind in vectors])
            neighbours = Neighbours(shown, labels)
            asked = {kind: vectors[kind][most:] for kind in vectors}
            result[f"{count} labelled of each"] = named(neighbours, asked)
        right = []
        for kind, paths in pictures.items():
            for path in paths[most:]:
                reply = assistant.ask(path, "What is shown?", QUICKSTART_KINDS)
                right.append(reply.text == kind)
    result["chosen by the model itself"] = {"accuracy": float(np.mean(right)), "n": len(right)}
    finish(result, args.out)


def drawn(folder: Path, count: int) -> dict[str, list[str]]:
    """Files of so many pictures of each kind."""
    pictures: dict[str, list[str]] = {}
    for kind in QUICKSTART_KINDS:
        pictures[kind] = []
        for number in range(count):
            path = folder / f"{kind.replace(' ', '-')}-{number}.png"
            Image.fromarray(draw(kind, number, SIDE_PX).pixels).save(path)
            pictures[kind].append(str(path))
    return pictures


def named(neighbours: Neighbours, asked: dict[str, Any]) -> dict[str, Any]:
    """How often the votes name the kind, and how far their share is off as a confidence."""
    sure: list[float] = []
    right: list[bool] = []
    for kind, vectors in asked.items():
        for vector in vectors:
            shares = neighbours.shares(vector)
            first = next(iter(shares))
            sure.append(shares[first])
            right.append(first == kind)
    rows = calibration(sure, right)
    return {
        "accuracy": float(np.mean(right)),
        "n": len(right),
        "calibration_error": round(float(calibration_error(rows.sum(axis=0))), 4),
        "judged_by_each_other": neighbours.voting and neighbours.voting.accuracy,
    }


if __name__ == "__main__":
    main()
