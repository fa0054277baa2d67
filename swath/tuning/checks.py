"""What is looked at every so many steps: validation loss, a task's score, and whether to stop.

All that is known is in the rows of `losses.jsonl`, so a continued stage knows what an
uninterrupted one would.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from swath.files import replacing
from swath.recipe import Tuning
from swath.tuning import processes
from swath.tuning.stages import learnt

RISES = 3
"""Validation losses above the one before, in a row, that are told of."""


class Checks:
    """The checks of one stage, and its best weights.

    Args:
        tuning: how often, and how patient.
        place: the stage's folder, in which the best weights lie meanwhile.
        losses: rows of the run; those of this stage are taken.
        stage: its name.
        validate: the mean text loss on the val split.
        score: of a task; more is better.
    """

    def __init__(
        self,
        tuning: Tuning,
        place: Path,
        losses: list[dict[str, Any]],
        stage: str,
        validate: Callable[[], float] | None,
        score: Callable[[], float] | None,
    ) -> None:
        self.stop = tuning.stop if score else None
        self.every = tuning.validate_every if validate else None
        self.place, self.losses, self.stage = place, losses, stage
        self.validate, self.score = validate, score

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The stage's rows so far."""
        return [row for row in self.losses if row["stage"] == self.stage]

    @property
    def over(self) -> bool:
        """Whether patience has run out."""
        if self.stop is None:
            return False
        scores = [row["score"] for row in self.rows if "score" in row]
        if not scores:
            return False
        since_best = len(scores) - 1 - scores.index(max(scores))
        return since_best >= self.stop.patience

    def look(self, row: dict[str, Any], model: nn.Module) -> bool:
        """Add to the newest row what is due at its step: `val`, `score`, `warning`.

        Returns:
            Whether the stage should stop here.
        """
        step = row["step"]
        last = step == row["steps"]
        validates = self.validate is not None and self.every and step % self.every == 0
        scores = self.stop is not None and (step % self.stop.every == 0 or last)
        if not validates and not scores:
            return False
        model.eval()
        if validates and self.validate:
            row["val"] = round(self.validate(), 5)
            warning = rising(self.rows)
            warned = any("warning" in earlier for earlier in self.rows)
            if warning and not warned:
                row["warning"] = f"stage {self.stage}, step {step}: {warning}"
        if scores and self.score:
            score = self.score() if processes.first() else 0.0
            row["score"] = round(processes.agreed(score), 5)
            if best(self.rows) is row and processes.first():
                with replacing(self._file(step)) as temporary:
                    save_file(learnt(model), temporary)
        model.train()
        return scores and self.over

    def forget(self) -> None:
        """Remove all weights but the best; once a checkpoint knows of them, none goes back."""
        row = best(self.rows)
        for file in self.place.glob("best-*.safetensors"):
            if row is not None and file != self._file(row["step"]):
                file.unlink()

    def restore(self, model: nn.Module) -> dict[str, Any]:
        """Give the model its best weights; return what the run's record says of them."""
        row = best(self.rows)
        if row is None:
            return {}
        processes.wait()
        model.load_state_dict(load_file(self._file(row["step"])), strict=False)
        return {"best_step": row["step"], "score": row["score"]}

    def _file(self, step: int) -> Path:
        return self.place / f"best-{step}.safetensors"


def best(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The first row of the highest score."""
    scored = [row for row in rows if "score" in row]
    return max(scored, key=lambda row: row["score"], default=None)


def rising(rows: Sequence[dict[str, Any]]) -> str | None:
    """A warning, if the last validation losses rose one after another while training's fell.

    Training's loss is the mean over the steps since the validation before.
    """
    validated = [place for place, row in enumerate(rows) if "val" in row]
    if len(validated) <= RISES:
        return None
    means = []
    for before, place in itertools.pairwise([-1, *validated]):
        texts = [row["text"] for row in rows[before + 1 : place + 1]]
        means.append(sum(texts) / len(texts))
    last = [rows[place]["val"] for place in validated[-RISES - 1 :]]
    rose = all(before < after for before, after in itertools.pairwise(last))
    if not rose or means[-1] >= means[-RISES - 1]:
        return None
    return (
        f"validation loss rose {RISES} times in a row ({last[0]:.3f} to {last[-1]:.3f}) while "
        f"training loss fell ({means[-RISES - 1]:.3f} to {means[-1]:.3f}): the model learns by "
        f"heart. Take fewer epochs, a lower learning_rate, or tuning.stop."
    )
