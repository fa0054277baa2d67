"""Labelled pictures by what a model's tower sees: which are most alike, and which class they say.

A class the model was never tuned on is answered by its neighbours' votes. How many vote, and how
much a nearer one weighs, is chosen on the labelled pictures themselves, each judged by the others,
so that the share of the votes is a confidence that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from swath.errors import ModelError

if TYPE_CHECKING:
    from swath.models.engine import LocalEngine

VOTERS = (1, 3, 5, 9, 15)
SHARPNESS = (2.0, 5.0, 10.0, 20.0, 50.0)
"""What likeness is multiplied by before it becomes a weight; candidates, as `VOTERS` are."""

NO_CLASS = -1

_JUDGED = 1000  # labelled pictures that votes are tried on at most
_DOUBT = 0.02  # a vote's worth that each class has before anyone votes, so that none is impossible

Vectors = NDArray[np.float32]  # (pictures, width)


class Tower:
    """The picture features of one model.

    Args:
        engine: of the model.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self.model = engine.loaded.base
        self.digest = engine.loaded.tower_digest
        self._engine = engine

    def vectors(self, paths: Sequence[str]) -> Vectors:
        """(pictures, width) mean features.

        Raises:
            ModelError: the tower makes something that is no number.
        """
        vectors = self._engine.features(paths)
        if not np.isfinite(vectors).all():
            raise ModelError(f"{self.model}: its tower makes numbers that are none; copy it anew.")
        return vectors


@dataclass(frozen=True)
class Voting:
    """How neighbours vote, and how often they are right.

    Args:
        voters: neighbours that vote.
        sharpness: what likeness is multiplied by before it becomes a weight.
        accuracy: share of the labelled pictures that the others name rightly.
        n: pictures that this was measured on, of classes of two pictures or more; where there is
            none, the nearest alone votes.
    """

    voters: int
    sharpness: float
    accuracy: float
    n: int


UNTRIED = Voting(1, 10.0, 0.0, 0)


class Neighbours:
    """Labelled pictures by likeness.

    Args:
        vectors: of the labelled pictures, as the tower makes them.
        labels: class of each, None for none; those do not vote.
        voting: as it was measured; None measures it here.
    """

    def __init__(
        self, vectors: Vectors, labels: Sequence[str | None], voting: Voting | None = None
    ) -> None:
        classes = {label for label in labels if label is not None}
        self.names = sorted(classes)
        places = {name: place for place, name in enumerate(self.names)}
        self._classes = np.full(len(labels), NO_CLASS)
        for row, label in enumerate(labels):
            if label is not None:
                self._classes[row] = places[label]
        # Towers give all pictures much in common, which says nothing of which are alike.
        self._middle = vectors.mean(axis=0, keepdims=True)
        self._directions = normed(vectors - self._middle)
        self.voting = voting or self._measured()

    def nearest(self, vector: Vectors, most: int) -> list[tuple[int, float]]:
        """Rows of the pictures most like a picture of features (width,), with their cosine."""
        alike = self._alike(vector)
        rows = np.argsort(-alike, kind="stable")
        return [(int(row), float(alike[row])) for row in rows[:most]]

    def shares(self, vector: Vectors) -> dict[str, float]:
        """Share of the votes of each class, the largest first; they add up to 1.

        Raises:
            ModelError: no picture has a class.
        """
        if self.voting is None:
            raise ModelError(
                "fewer than two classes are among the labelled pictures, so there is nothing to "
                "tell apart; index pictures of at least two classes."
            )
        alike = self._alike(vector)
        votes = self._votes(alike[None], self.voting.voters, self.voting.sharpness)[0]
        shares: dict[str, float] = {}
        for place in np.argsort(-votes, kind="stable"):
            shares[self.names[place]] = float(votes[place])
        return shares

    def _alike(self, vector: Vectors) -> Vectors:
        """(labelled,) cosines."""
        direction = normed(vector[None] - self._middle)[0]
        return self._directions @ direction

    def _votes(self, alike: Vectors, voters: int, sharpness: float) -> NDArray[np.float64]:
        """(asked, classes) shares of (asked, labelled) cosines."""
        votes = np.full((len(alike), len(self.names)), _DOUBT)
        may_vote = self._classes != NO_CLASS
        for row, cosines in enumerate(alike):
            cosines = np.where(may_vote, cosines, -np.inf)
            nearest = np.argsort(-cosines, kind="stable")[:voters]
            nearest = nearest[np.isfinite(cosines[nearest])]
            further = cosines[nearest] - cosines[nearest[0]]
            weights = np.exp(sharpness * further)
            np.add.at(votes[row], self._classes[nearest], weights)
        totals = votes.sum(axis=1, keepdims=True)
        return votes / totals

    def _measured(self) -> Voting | None:
        """The voting with the least log loss, each picture judged by the others."""
        if len(self.names) < 2:
            return None
        labelled = self._classes != NO_CLASS
        sizes = np.bincount(self._classes[labelled])
        repeated = labelled & (sizes[self._classes] > 1)
        rows = np.flatnonzero(repeated)
        if not len(rows):
            return UNTRIED
        step = math.ceil(len(rows) / _JUDGED)
        judged = rows[::step]
        alike = self._directions[judged] @ self._directions.T
        alike[np.arange(len(judged)), judged] = -np.inf  # nobody votes for himself
        tried: list[tuple[float, Voting]] = []
        for voters in VOTERS:
            for sharpness in SHARPNESS:
                votes = self._votes(alike, voters, sharpness)
                loss, accuracy = _judged(votes, self._classes[judged])
                tried.append((loss, Voting(voters, sharpness, accuracy, len(judged))))
        _, best = min(tried, key=lambda trial: trial[0])
        return best


def _judged(votes: NDArray[np.float64], truth: NDArray[np.int64]) -> tuple[float, float]:
    """Log loss and accuracy of (asked, classes) shares."""
    of_truth = votes[np.arange(len(truth)), truth]
    loss = -np.log(of_truth).mean()
    accuracy = (votes.argmax(axis=1) == truth).mean()
    return float(loss), float(accuracy)


def normed(vectors: Vectors) -> Vectors:
    """(n, width) vectors at length 1; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    tiny = np.finfo(np.float32).tiny
    scaled = vectors / np.maximum(lengths, tiny)
    return scaled.astype(np.float32)
