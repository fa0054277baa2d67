"""Training rows: which image comes when, seen how, with which questions. Nothing here has state.

Row v of a stage depends on the seed, the stage and v alone, so a resumed run sees what an
uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swath.instructions.builder import words_of
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import LabelTruth
from swath.instructions.turns import tasks_in_turn
from swath.models.encoding import Row, join
from swath.models.inputs import Inputs
from swath.models.pixels import PixelStore, View
from swath.models.vision_cache import Features
from swath.recipe import Stage
from swath.tuning.sampling import Dealt, Order, class_weights, label_of


@dataclass(frozen=True)
class Targets:
    """What the auxiliary heads of the vision tower learn.

    Args:
        labels: scene classes; a label's place is its target.
        words: caption words; each is present or not.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]


class Batcher:
    """Turns row numbers into a batch of tensors: the trainer's collator.

    Args:
        groups: conversations of the training split, grouped by image.
        inputs: of the model.
        store: of the images.
        stage: mix, balance, augmentation and losses.
        targets: of the auxiliary heads.
        seed: of this stage.
        features: what a frozen tower makes of pictures, instead of pixels.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Conversation]],
        inputs: Inputs,
        store: PixelStore,
        stage: Stage,
        targets: Targets,
        seed: int,
        features: Features | None = None,
    ) -> None:
        self.order = Order(groups, stage, seed)
        self.inputs = inputs
        self.store = store
        self.stage = stage
        self.seed = seed
        self.features = features
        self._place = {label: place for place, label in enumerate(targets.labels)}
        self._words = {word: place for place, word in enumerate(targets.words)}
        self._weights = class_weights(groups) if stage.balance == "loss" else {}

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Tensors of these rows.

        Returns:
            With text loss the model's inputs, `labels`, `segments`, and where the loss is balanced
            `weights` (batch, 1 + conversations of a row; the first is of what they share); without
            it `pixel_values` (images, 3, side, side). With image loss `scenes` (images, classes)
            and `words` (images, words). Where the tower's features are kept, `tower_features`
            (images, tokens, width) stand for the pixels.
        """
        stage = self.stage
        drawn = _Drawn()
        for row in rows:
            self._draw(row, drawn)
        rng = np.random.default_rng((self.seed, rows[0], 1))
        tower = self.features.tower(self.inputs) if self.features else None
        if self.features and tower:
            features = self.features.of(self.inputs, tower, drawn.views)
            batch: dict[str, Any] = {"tower_features": features}
        else:
            values = self.inputs.tensor(drawn.views, stage.augment.colour, rng)
            batch = {"pixel_values": values}
            if drawn.encoded:
                batch = self.inputs.pixels(values, drawn.images_per_row)
        if drawn.encoded:
            batch |= self.inputs.training(drawn.encoded)
        if self._weights and drawn.encoded:
            batch["weights"] = _padded(drawn.weights)
        if stage.image_loss.label and self._place:
            scenes = [self._scene(group) for group in drawn.owners]
            batch["scenes"] = torch.from_numpy(np.stack(scenes))
        if (stage.image_loss.words or stage.image_loss.contrast) and self._words:
            words = [self._spoken(group) for group in drawn.owners]
            batch["words"] = torch.from_numpy(np.stack(words))
        if stage.image_loss.mixup and not drawn.encoded:
            batch = _mixed_up(batch, stage.image_loss.mixup, rng)
        return batch

    def _draw(self, row: int, drawn: _Drawn) -> None:
        """Add what a row number stands for."""
        rng = np.random.default_rng((self.seed, row))
        dealt = self.order(row)
        group = dealt.group
        questions = self._questions(dealt, rng) if self.stage.text_loss else []
        views = self._views(group, questions, rng)
        # A family that cannot share an image's tokens reads it again for every question.
        if self.inputs.loaded.family.shared_prefix or not questions:
            rows = [questions]
        else:
            rows = [[question] for question in questions]
        for together in rows:
            drawn.views += views
            drawn.owners += [group] * len(views)
            drawn.images_per_row.append(len(views))
            if together:
                encoder = self.inputs.encoder
                encoded = [encoder.encode(question, views) for question in together]
                drawn.encoded.append(join(encoded))
                drawn.weights.append([self._weight(question) for question in together])

    def _views(
        self,
        group: Sequence[Conversation],
        questions: Sequence[Conversation],
        rng: np.random.Generator,
    ) -> list[View]:
        """The views of a group's images; all frames of a sequence are turned and cut alike."""
        whole_picture = any(question.needs_whole_picture for question in questions)
        upright = any(question.upright for question in questions)
        state = rng.bit_generator.state
        views = []
        for image in group[0].images:
            rng.bit_generator.state = state
            augment = self.stage.augment
            views.append(self.store.augmented(image.path, augment, upright, whole_picture, rng))
        return views

    def _questions(self, dealt: Dealt, rng: np.random.Generator) -> Sequence[Conversation]:
        """Those dealt, or as many as a row may hold: other tasks first, then more of the same."""
        if dealt.questions is not None:
            return dealt.questions
        of_task = [question for question in dealt.group if dealt.task in (None, question.task)]
        shuffled = [of_task[place] for place in rng.permutation(len(of_task))]
        return tasks_in_turn(shuffled)[: self.stage.rows_per_image]

    def _weight(self, conversation: Conversation) -> float:
        truth = conversation.truth
        return self._weights.get(truth.label, 1.0) if isinstance(truth, LabelTruth) else 1.0

    def _scene(self, group: Sequence[Conversation]) -> np.ndarray:
        shares = np.zeros(len(self._place), dtype=np.float32)
        label = label_of(group)
        if label in self._place:
            shares[self._place[label]] = 1
        return shares

    def _spoken(self, group: Sequence[Conversation]) -> np.ndarray:
        present = np.zeros(len(self._words), dtype=np.float32)
        truths = [conversation.truth for conversation in group]
        captions: list[str] = next(
            (truth.get("captions") for truth in truths if truth.get("captions")), []
        )
        for word in words_of(" ".join(captions)):
            if word in self._words:
                present[self._words[word]] = 1
        return present


class _Drawn:
    """What some rows show and say: views and their groups, rows of tokens and their weights."""

    def __init__(self) -> None:
        self.views: list[View] = []
        self.owners: list[Sequence[Conversation]] = []
        self.images_per_row: list[int] = []
        self.encoded: list[Row] = []
        self.weights: list[list[float]] = []


def _padded(weights: Sequence[Sequence[float]]) -> Tensor:
    """(rows, 1 + conversations); what conversations of a row share weighs 1."""
    longest = max(map(len, weights))
    table = torch.ones(len(weights), 1 + longest)
    for row, row_weights in enumerate(weights):
        table[row, 1 : 1 + len(row_weights)] = torch.tensor(row_weights)
    return table


def _mixed_up(
    batch: dict[str, Tensor], strength: float, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Each picture and its targets mixed with another's, by one share."""
    share = float(rng.beta(strength, strength))
    partners = torch.from_numpy(rng.permutation(len(batch["pixel_values"])))
    return {name: share * tensor + (1 - share) * tensor[partners] for name, tensor in batch.items()}
