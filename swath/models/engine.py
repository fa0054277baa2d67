"""`Engine`: what evaluation, inference and serving ask of a model, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from swath.models.encoding import IGNORED, Encoded, batches, join
from swath.models.inputs import Inputs, answers_only, head_of
from swath.models.loading import Loaded
from swath.models.pixels import PixelStore, View

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Args:
        text: its words, special tokens left out.
        boxes: boxes it named, pixels of the question's image; None where none was readable.
        refused: it, or a filter before it, would not answer.
    """

    text: str
    boxes: Boxes | None = None
    refused: bool = False


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
        if torch.cuda.is_available():
            loaded.model.to("cuda")
        self.loaded = loaded
        self.batch_size = batch_size
        self.views = views
        self.store = PixelStore(
            loaded.image_size, loaded.imagery.cache_px, 2 * batch_size, loaded.imagery.fit
        )
        self.inputs = Inputs(loaded)
        self._dialect = DIALECTS.get(loaded.family.dialect)

    @torch.inference_mode()
    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order; questions of like length go together."""
        answers: dict[int, Answer] = {}
        order = sorted(range(len(questions)), key=lambda i: len(questions[i].text("user")))
        for places in batches(order, self.batch_size):
            views = {i: self._views(questions[i]) for i in places}
            encode = self.inputs.encoder.encode
            asked = {i: encode(questions[i].question, views[i], ask=True) for i in places}
            for some in self._together(asked):
                texts = self._generate(
                    [asked[i] for i in some], [views[i] for i in some], max_new_tokens
                )
                for place, text in zip(some, texts, strict=True):
                    answers[place] = self._read(text, views[place][questions[place].frame])
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
            self.inputs.features(tower, self._tensor([self.store.plain(path) for path in some]))
            .mean(dim=1)
            .float()
            .cpu()
            .numpy()
            for some in batches(paths, self.batch_size)
        ]
        return np.concatenate(means)

    def _views(self, question: Conversation, orientation: int = 0) -> list[View]:
        family = self.loaded.family
        if len(question.images) > 1 and not family.many_images:
            raise ModelError(
                f"{question.id}: {len(question.images)} images, and {self.loaded.base} reads one "
                f"at a time; ask about each, or use a family that reads several."
            )
        return [self.store.plain(image.path, orientation) for image in question.images]

    def _together(self, asked: Mapping[int, Encoded]) -> list[list[int]]:
        """Questions that may be answered in one batch."""
        if self.loaded.family.left_padding:
            return [list(asked)]
        by_length: dict[int, list[int]] = {}
        for place, one in asked.items():
            by_length.setdefault(len(one.ids), []).append(place)
        return list(by_length.values())

    def _read(self, text: str, view: View) -> Answer:
        boxes = self._dialect.read(text, (view.pixels.shape[1], view.pixels.shape[0]))
        return Answer(text, view.to_image(boxes) if len(boxes) else None)

    def _generate(
        self, asked: Sequence[Encoded], views: Sequence[Sequence[View]], max_new_tokens: int
    ) -> list[str]:
        tokenizer, model = self.loaded.tokenizer, self.loaded.model
        inputs = self.inputs.asking(asked) | self.inputs.pixels(
            self._tensor([view for some in views for view in some]), [len(some) for some in views]
        )
        output = model.generate(
            **{name: value.to(model.device) for name, value in inputs.items()},
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.convert_tokens_to_ids(self.loaded.end),
        )
        longest = max(len(one.ids) for one in asked)
        texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _score_batch(
        self, some: Sequence[tuple[Conversation, Sequence[str]]], orientation: int
    ) -> list[NDArray[np.float64]]:
        seen = [self._views(one, orientation) for one, _ in some]
        encoded = [
            [self.inputs.encoder.encode(_answered(one, text), views) for text in texts]
            for (one, texts), views in zip(some, seen, strict=True)
        ]
        if not self.loaded.family.shared_prefix:
            return [
                self._apart(conversations, views)
                for conversations, views in zip(encoded, seen, strict=True)
            ]
        rows = [join(conversations, into_answers=True) for conversations in encoded]
        batch = self.inputs.training(rows)
        labels, segments = batch.pop("labels"), batch.pop("segments")
        logs = self._logs(batch, labels, seen)
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

    def _apart(self, candidates: Sequence[Encoded], views: Sequence[View]) -> NDArray[np.float64]:
        """Each candidate in a row of its own, for families that cannot share a beginning."""
        scores: list[float] = []
        for some in batches(candidates, self.batch_size):
            batch = self.inputs.training([join([one]) for one in some])
            labels = batch.pop("labels")
            del batch["segments"]
            scores.extend(self._logs(batch, labels, [views] * len(some)).sum(1).tolist())
        return np.array(scores)

    def _logs(
        self, batch: dict[str, torch.Tensor], labels: torch.Tensor, views: Sequence[Sequence[View]]
    ) -> torch.Tensor:
        """Log-probability of every labelled token (rows, tokens - 1), 0 elsewhere."""
        model = self.loaded.model
        values = self._tensor([view for some in views for view in some])
        inputs = batch | self.inputs.pixels(values, [len(some) for some in views])
        with answers_only(head_of(model, self.loaded), labels):
            logits = model(
                **{name: value.to(model.device) for name, value in inputs.items()}, use_cache=False
            ).logits  # (labelled, vocabulary)
        wanted = labels[:, 1:] != IGNORED
        logs = torch.zeros(wanted.shape, dtype=torch.float64)
        logs[wanted] = -functional.cross_entropy(
            logits.double().cpu(), labels[:, 1:][wanted], reduction="none"
        )
        return logs

    def _tensor(self, views: Sequence[View]) -> torch.Tensor:
        return self.inputs.tensor(views).to(self.loaded.model.device, self.loaded.model.dtype)


def _answered(conversation: Conversation, text: str) -> Conversation:
    question = conversation.question
    turns: tuple[Turn, ...] = (*question.turns, assistant(text))
    return Conversation(question.id, question.task, turns)
