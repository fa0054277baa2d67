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

from swath.instructions.builder import words_of
from swath.instructions.conversation import Box, Conversation
from swath.instructions.turns import tasks_in_turn
from swath.models.encoding import join
from swath.models.inputs import Inputs
from swath.models.pixels import PixelStore, View
from swath.recipe import Stage
from swath.tuning.sampling import Order, class_weights, label_of


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
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Conversation]],
        inputs: Inputs,
        store: PixelStore,
        stage: Stage,
        targets: Targets,
        seed: int,
    ) -> None:
        self.order = Order(groups, stage, seed)
        self.inputs = inputs
        self.store = store
        self.stage = stage
        self.seed = seed
        self._place = {label: place for place, label in enumerate(targets.labels)}
        self._words = {word: place for place, word in enumerate(targets.words)}
        self._weights = class_weights(groups) if stage.balance == "loss" else {}

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Tensors of these rows.

        Returns:
            With text loss the model's inputs, `labels`, `segments`, and where the loss is balanced
            `weights` (batch, 1 + conversations of a row; the first is of what they share); without
            it `pixel_values` (images, 3, side, side). With image loss `scenes` (images, classes)
            and `words` (images, words).
        """
        stage, shared = self.stage, self.inputs.loaded.family.shared_prefix
        chosen = [(*self.order(row), np.random.default_rng((self.seed, row))) for row in rows]
        views: list[View] = []
        owners: list[Sequence[Conversation]] = []
        per_row, encoded, weights = [], [], []
        for group, task, rng in chosen:
            asked = self._asked(group, task, rng) if stage.text_loss else []
            seen = self._seen(group, asked, rng)
            # A family that cannot share an image's tokens reads it again for every question.
            apart = [asked] if shared or not asked else [[one] for one in asked]
            for together in apart:
                views += seen
                owners += [group] * len(seen)
                per_row.append(len(seen))
                if together:
                    encode = self.inputs.encoder.encode
                    encoded.append(join([encode(one, seen) for one in together]))
                    weights.append([self._weight(one) for one in together])
        rng = np.random.default_rng((self.seed, rows[0], 1))
        values = self.inputs.tensor(views, stage.augment.colour, rng)
        batch: dict[str, Any] = {"pixel_values": values}
        if encoded:
            batch = self.inputs.pixels(values, per_row) | self.inputs.training(encoded)
        if self._weights and encoded:
            batch["weights"] = torch.ones(len(weights), 1 + max(map(len, weights)))
            for row, some in zip(batch["weights"], weights, strict=True):
                row[1 : 1 + len(some)] = torch.tensor(some)
        if stage.image_loss.label and self._place:
            batch["scenes"] = torch.from_numpy(np.stack([self._scene(one) for one in owners]))
        if (stage.image_loss.words or stage.image_loss.contrast) and self._words:
            batch["words"] = torch.from_numpy(np.stack([self._spoken(one) for one in owners]))
        if stage.image_loss.mixup and not encoded:
            share = float(rng.beta(stage.image_loss.mixup, stage.image_loss.mixup))
            other = torch.from_numpy(rng.permutation(len(views)))
            batch = {key: share * one + (1 - share) * one[other] for key, one in batch.items()}
        return batch

    def _seen(
        self, group: Sequence[Conversation], asked: Sequence[Conversation], rng: np.random.Generator
    ) -> list[View]:
        """The views of a group's images; all frames of a sequence are turned and cut alike."""
        whole = any("count" in one.truth or "boxes" in one.truth for one in asked)
        whole = whole or any(isinstance(part, Box) for one in asked for part in one.parts)
        upright = any(one.upright for one in asked)
        before, views = rng.bit_generator.state, []
        for image in group[0].images:
            rng.bit_generator.state = before
            augment = self.stage.augment
            views.append(self.store.augmented(image.path, augment, upright, whole, rng))
        return views

    def _asked(
        self, group: Sequence[Conversation], task: str | None, rng: np.random.Generator
    ) -> list[Conversation]:
        """As many questions as a row may hold: other tasks first, then more of the same."""
        group = [one for one in group if task in (None, one.task)]
        shuffled = [group[place] for place in rng.permutation(len(group))]
        return tasks_in_turn(shuffled)[: self.stage.rows_per_image]

    def _weight(self, conversation: Conversation) -> float:
        if conversation.task != "classify":
            return 1.0
        return self._weights.get(conversation.truth["label"], 1.0)

    def _scene(self, group: Sequence[Conversation]) -> np.ndarray:
        shares = np.zeros(len(self._place), dtype=np.float32)
        label = label_of(group)
        if label in self._place:
            shares[self._place[label]] = 1
        return shares

    def _spoken(self, group: Sequence[Conversation]) -> np.ndarray:
        present = np.zeros(len(self._words), dtype=np.float32)
        captions: list[str] = next(
            (one.truth["captions"] for one in group if "captions" in one.truth), []
        )
        for word in words_of(" ".join(captions)):
            if word in self._words:
                present[self._words[word]] = 1
        return present
