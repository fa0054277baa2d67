"""`Engine`: what evaluation, inference and serving ask of a model, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from swath.boxes import Boxes
from swath.errors import ModelError
from swath.instructions.conversation import Conversation, Turn, assistant
from swath.instructions.dialect import DIALECTS
from swath.models.encoding import Encoder, batches, collate, join
from swath.models.loading import Loaded
from swath.models.pixels import PixelStore, View, to_tensor

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Args:
        text: its words, special tokens left out.
        boxes: boxes it named, pixels of the question's image; None where none was readable.
    """

    text: str
    boxes: Boxes | None = None


class Engine(Protocol):
    """A model that answers questions and scores candidates."""

    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order."""

    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
    ) -> list[NDArray[np.float64]]:
        """Summed log-probability of each candidate as the answer to its question."""


class LocalEngine:
    """An engine in this process.

    Args:
        loaded: model, tokenizer and family.
        batch_size: questions answered at once.
        views: quarter turns and flips whose candidate scores are averaged; 1 asks once.
        threads: CPU threads, as `torch` counts them; None leaves its choice.
    """

    def __init__(
        self,
        loaded: Loaded,
        batch_size: int = 32,
        views: int = 1,
        threads: int | None = None,
    ) -> None:
        if not 1 <= views <= 8:
            raise ModelError(f"{views} views asked for; there are 1 to 8 turns and flips.")
        if threads:
            torch.set_num_threads(threads)
        self.loaded = loaded
        self.batch_size = batch_size
        self.views = views
        self.store = PixelStore(loaded.image_size, loaded.imagery.cache_px, capacity=2 * batch_size)
        self.encoder = Encoder(loaded.tokenizer, loaded.family, loaded.image_tokens, loaded.longest)
        self._dialect = DIALECTS.get(loaded.family.dialect)

    @torch.inference_mode()
    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order; questions of like length go together."""
        order = sorted(range(len(questions)), key=lambda i: len(questions[i].text("user")))
        answers: dict[int, Answer] = {}
        for places in batches(order, self.batch_size):
            some = [questions[i] for i in places]
            views = [self.store.plain(one.images[0].path) for one in some]
            texts = self._generate(some, views, max_new_tokens)
            for place, view, text in zip(places, views, texts, strict=True):
                boxes = self._dialect.read(text, (view.pixels.shape[1], view.pixels.shape[0]))
                answers[place] = Answer(text, view.to_image(boxes) if len(boxes) else None)
            if progress:
                progress(len(answers), len(questions))
        return [answers[i] for i in range(len(questions))]

    @torch.inference_mode()
    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
    ) -> list[NDArray[np.float64]]:
        """Summed log-probability of each candidate; image and question are read once for all."""
        scores: list[NDArray[np.float64]] = []
        pairs = list(zip(questions, candidates, strict=True))
        for some in batches(pairs, max(1, self.batch_size // 2)):
            total = [np.zeros(len(texts)) for _, texts in some]
            for orientation in range(self.views):
                for row, logs in zip(total, self._score_batch(some, orientation), strict=True):
                    row += logs / self.views
            scores.extend(total)
            if progress:
                progress(len(scores), len(questions))
        return scores

    @torch.inference_mode()
    def features(self, paths: Sequence[str]) -> NDArray[np.float32]:
        """The vision tower's mean feature of each image, (images, width)."""
        tower = self.loaded.model.get_submodule(self.loaded.family.vision)
        means = [
            tower(self._pixels([self.store.plain(path) for path in some])).mean(dim=1).numpy()
            for some in batches(paths, self.batch_size)
        ]
        return np.concatenate(means)

    def _generate(
        self, questions: Sequence[Conversation], views: Sequence[View], max_new_tokens: int
    ) -> list[str]:
        tokenizer = self.loaded.tokenizer
        encoded = [
            self.encoder.encode(one.question, view, ask=True)
            for one, view in zip(questions, views, strict=True)
        ]
        longest = max(len(one.ids) for one in encoded)
        ids = torch.full((len(encoded), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):  # padded on the left: answers start together
            ids[row, longest - len(one.ids) :] = torch.tensor(one.ids)
            mask[row, longest - len(one.ids) :] = 1
        output = self.loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            pixel_values=self._pixels(views),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _score_batch(
        self, some: Sequence[tuple[Conversation, Sequence[str]]], orientation: int
    ) -> list[NDArray[np.float64]]:
        views = [self.store.plain(one.images[0].path, orientation) for one, _ in some]
        rows = [
            join([self.encoder.encode(_answered(one, t), view) for t in texts], into_answers=True)
            for (one, texts), view in zip(some, views, strict=True)
        ]
        batch = collate(rows, self.loaded.tokenizer.pad_token_id)
        labels, segments = batch.pop("labels"), batch.pop("segments")
        logits = self.loaded.model(
            **batch, pixel_values=self._pixels(views), labels=labels
        ).logits  # (labelled, vocabulary)
        wanted = labels[:, 1:] != -100
        logs = torch.zeros(wanted.shape, dtype=torch.float64)
        logs[wanted] = -functional.cross_entropy(
            logits.double(), labels[:, 1:][wanted], reduction="none"
        )
        for number, row in enumerate(rows):  # the last common token stands in each of them,
            segments[number, row.segments.count(0)] = 0  # and its loss in the first for all
        of = segments[:, 1:]
        return [
            np.array(
                [
                    float(logs[place][(of[place] == 0) | (of[place] == number)].sum())
                    for number in range(1, len(texts) + 1)
                ]
            )
            for place, (_, texts) in enumerate(some)
        ]

    def _pixels(self, views: Sequence[View]) -> torch.Tensor:
        return to_tensor(views, self.loaded.family.mean, self.loaded.family.std)


def _answered(conversation: Conversation, text: str) -> Conversation:
    question = conversation.question
    turns: tuple[Turn, ...] = (*question.turns, assistant(text))
    return Conversation(question.id, question.task, turns)
