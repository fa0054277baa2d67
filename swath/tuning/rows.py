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
from torch.utils.data import Dataset

from swath.instructions.builder import words_of
from swath.instructions.conversation import Conversation
from swath.models.encoding import Encoder, collate, join
from swath.models.pixels import PixelStore, to_tensor
from swath.recipe import Stage


class Schedule(Dataset[int]):
    """Row numbers 0, 1, 2, ...: every epoch a new order of all images."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> int:
        if not 0 <= row < self.rows:
            raise IndexError(row)
        return row


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
        encoder: of the model's family.
        store: of the images.
        stage: batch, augmentation and losses.
        targets: of the auxiliary heads.
        seed: of this stage.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Conversation]],
        encoder: Encoder,
        store: PixelStore,
        stage: Stage,
        targets: Targets,
        seed: int,
    ) -> None:
        self.groups = groups
        self.encoder = encoder
        self.store = store
        self.stage = stage
        self.seed = seed
        self._place = {label: place for place, label in enumerate(targets.labels)}
        self._words = {word: place for place, word in enumerate(targets.words)}
        self._order: tuple[int, np.ndarray] | None = None

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Tensors of these rows.

        Returns:
            `pixel_values`, and with text loss `input_ids`, `position_ids`, `attention_mask`,
            `labels`, `segments`; with image loss `scenes` (images, classes) and `words`
            (images, words).
        """
        stage, views, encoded = self.stage, [], []
        chosen = [(self._group(row), np.random.default_rng((self.seed, row))) for row in rows]
        for group, rng in chosen:
            asked = self._asked(group, rng) if stage.text_loss else []
            whole = any("count" in one.truth or "boxes" in one.truth for one in asked)
            upright = any(one.upright for one in asked)
            path = group[0].images[0].path
            view = self.store.augmented(path, stage.augment, upright, whole, rng)
            views.append(view)
            if asked:
                encoded.append(join([self.encoder.encode(one, view) for one in asked]))
        rng = np.random.default_rng((self.seed, rows[0], 1))
        family, colour = self.encoder.family, stage.augment.colour
        batch: dict[str, Any] = {
            "pixel_values": to_tensor(views, family.mean, family.std, colour, rng)
        }
        if encoded:
            batch.update(collate(encoded, self.encoder.tokenizer.pad_token_id))
        if stage.image_loss.label and self._place:
            batch["scenes"] = torch.from_numpy(np.stack([self._scene(one) for one, _ in chosen]))
        if stage.image_loss.words and self._words:
            batch["words"] = torch.from_numpy(np.stack([self._spoken(one) for one, _ in chosen]))
        if stage.image_loss.mixup and not encoded:
            share = float(rng.beta(stage.image_loss.mixup, stage.image_loss.mixup))
            other = torch.from_numpy(rng.permutation(len(rows)))
            batch = {key: share * one + (1 - share) * one[other] for key, one in batch.items()}
        return batch

    def _group(self, row: int) -> Sequence[Conversation]:
        epoch, place = divmod(row, len(self.groups))
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.seed, epoch, 2)).permutation(len(self.groups))
            self._order = (epoch, order)
        return self.groups[self._order[1][place]]

    def _asked(self, group: Sequence[Conversation], rng: np.random.Generator) -> list[Conversation]:
        """As many questions as a row may hold: other tasks first, then more of the same."""
        order = rng.permutation(len(group))
        seen: dict[str, int] = {}
        turns: list[tuple[int, int, Conversation]] = []
        for place in order:
            task = group[place].task
            seen[task] = seen.get(task, 0) + 1
            turns.append((seen[task], len(turns), group[place]))
        turns.sort(key=lambda turn: turn[:2])
        return [one for _, _, one in turns[: self.stage.rows_per_image]]

    def _scene(self, group: Sequence[Conversation]) -> np.ndarray:
        shares = np.zeros(len(self._place), dtype=np.float32)
        label = next((one.truth["label"] for one in group if "label" in one.truth), None)
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
