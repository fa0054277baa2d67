"""What a stage minimises: the answers' loss, and auxiliary losses on the vision tower."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.encoding import IGNORED
from swath.recipe import ImageLoss
from swath.tuning.batches import Targets

CONTRAST_WIDTH = 64
"""Numbers in which an image and a caption are compared."""


class ImageHeads(nn.Module):
    """Linear heads on the tower's mean token; they teach the tower and are then thrown away.

    Args:
        width: of the tower's features.
        targets: classes and words to predict.
        section: weights of the losses.
    """

    def __init__(self, width: int, targets: Targets, section: ImageLoss) -> None:
        super().__init__()
        self.section = section
        self.label = nn.Linear(width, max(1, len(targets.labels)))
        count = max(1, len(targets.words))
        self.words = nn.Linear(width, count)
        if section.contrast:
            self.image = nn.Linear(width, CONTRAST_WIDTH, bias=False)
            self.caption = nn.Linear(count, CONTRAST_WIDTH, bias=False)
            self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, features: Tensor, scenes: Tensor | None, words: Tensor | None) -> Tensor:
        """The weighted sum of the losses the batch has targets for.

        Args:
            features: (images, tokens, width) of the tower.
            scenes: (images, classes) shares of each class, all 0 where none is known.
            words: (images, words) from 0 to 1.
        """
        mean = features.float().mean(dim=1)
        loss = mean.sum() * 0
        if scenes is not None:
            loss = loss + self.section.label * self._label(mean, scenes)
        if words is not None:
            present = functional.binary_cross_entropy_with_logits(self.words(mean), words)
            loss = loss + self.section.words * present
            if self.section.contrast:
                loss = loss + self.section.contrast * self._contrast(mean, words)
        return loss

    def _label(self, mean: Tensor, scenes: Tensor) -> Tensor:
        """Cross-entropy of the class, smoothed over all of them; 0 for images that have none."""
        smoothing = self.section.smoothing
        evenly = scenes.sum(1, keepdim=True) * smoothing / scenes.shape[1]
        targets = scenes * (1 - smoothing) + evenly
        logs = functional.log_softmax(self.label(mean), dim=1)
        return -(targets * logs).sum(1).mean()

    def _contrast(self, mean: Tensor, words: Tensor) -> Tensor:
        """CLIP's loss (arXiv:2103.00020) of images against the words of the batch's captions.

        Images whose captions have the same words are not to be told apart.
        """
        image = functional.normalize(self.image(mean), dim=1)
        caption = functional.normalize(self.caption(words), dim=1)
        logits = self.scale.exp().clamp(max=100) * image @ caption.T
        same = (words[:, None] == words[None]).all(dim=2).float()
        targets = same / same.sum(1, keepdim=True)
        of_images = logits.log_softmax(1)
        of_captions = logits.T.log_softmax(1)
        return -(targets * (of_images + of_captions)).sum(1).mean() / 2


def text_loss(
    logits: Tensor, labels: Tensor, segments: Tensor, average: str, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the answers.

    Args:
        logits: (labelled, vocabulary), only where a label is, in reading order.
        labels: (batch, tokens), -100 elsewhere.
        segments: (batch, tokens), which conversation a token belongs to.
        average: "token" weighs every token alike; "answer" every conversation.
        weights: (batch, segments) the losses of a row's segments are multiplied by.
    """
    next_words = labels[:, 1:]
    learnt = next_words != IGNORED
    losses = functional.cross_entropy(logits.float(), next_words[learnt], reduction="none")
    if weights is not None:
        segment = segments[:, 1:].clamp(min=0)
        losses = losses * weights.gather(1, segment)[learnt]
    if average == "token":
        return losses.mean()
    answers = _answers(labels, segments)
    _, answer, sizes = answers.unique(return_inverse=True, return_counts=True)
    return (losses / sizes[answer]).sum() / len(sizes)


def counted(labels: Tensor, segments: Tensor, average: str) -> int:
    """How many tokens or answers `text_loss` is the mean of."""
    answers = _answers(labels, segments)
    return len(answers) if average == "token" else len(answers.unique())


def _answers(labels: Tensor, segments: Tensor) -> Tensor:
    """The number of its answer for every labelled token, in reading order."""
    rows = torch.arange(len(labels), device=labels.device)
    numbers = segments[:, 1:] + rows[:, None] * (int(segments.max()) + 1)
    return numbers[labels[:, 1:] != IGNORED]
