"""METEOR 1.5: its own Java program aligns the captions, and the score is a formula on sums."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swath.boxes import Floats
from swath.errors import EvaluationError
from swath.evaluation.metrics.base import share

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # English, `-l en -norm`
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


def lines(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    """What METEOR's program says of each caption and the reference that suits it best.

    Args:
        answers: n tokenised captions.
        references: the tokenised references of each.

    Raises:
        EvaluationError: Java or the program is missing, or it failed.
    """
    package = importlib.util.find_spec("pycocoevalcap")
    folders = package.submodule_search_locations if package else None  # it has no __init__
    place = Path(next(iter(folders or ["."])), "meteor")
    if not shutil.which("java") or not (place / "meteor-1.5.jar").is_file():
        raise EvaluationError(
            "METEOR needs Java and its own program; install a Java runtime and "
            "`pip install swath[captions]`, or leave METEOR out."
        )
    request = "".join(
        " ||| ".join(["SCORE", *several, answer.replace("|||", "").replace("  ", " ")]) + "\n"
        for answer, several in zip(answers, references, strict=True)
    )
    command = ["java", "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run(command, cwd=place, input=request, capture_output=True, text=True)
    replies = done.stdout.splitlines()
    if done.returncode or len(replies) != len(answers):
        raise EvaluationError(f"METEOR's program failed: {done.stderr.strip()[-300:]}")
    return replies


def meteor_rows(lines: Sequence[str]) -> Floats:
    """What each caption adds to corpus METEOR, (n, 23), from the program's lines for SCORE.

    A line holds the lengths of caption and reference, their function words; of each matcher the
    content words and the function words matched on either side; chunks, and words matched on
    either side. A caption that matches in one chunk adds no chunk.
    """
    rows = np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 23)
    lengths = rows[:, 0:2]
    matched = rows[:, 21:23]
    in_one_chunk = (rows[:, 20] == 1) & (matched == lengths).all(axis=1)
    rows[in_one_chunk, 20] = 0
    return rows


def meteor(sums: Floats) -> Floats:
    """METEOR of summed `meteor_rows`, 0 to 1.

    Source: Denkowski and Lavie, Meteor Universal (WMT 2014).
    """
    matched = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)  # (..., matcher, kind, side)
    weighed = (matched * _WEIGHTS[:, None, None]).sum(axis=-3)  # (..., kind, side)
    function_words = sums[..., 2:4]
    content_words = sums[..., 0:2] - function_words
    hits = _DELTA * weighed[..., 0, :] + (1 - _DELTA) * weighed[..., 1, :]
    total = _DELTA * content_words + (1 - _DELTA) * function_words
    precision, recall = np.moveaxis(share(hits, total), -1, 0)  # of caption, of reference
    mean = share(precision * recall, (1 - _ALPHA) * recall + _ALPHA * precision)
    broken = share(sums[..., 20], sums[..., 21:23].mean(axis=-1))
    value: Floats = mean * (1 - _GAMMA * broken**_BETA)
    return value
