"""`Engine`: what evaluation, inference and serving ask of a model, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import chain
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.dialect import DIALECTS
from swath.errors import ModelError
from swath.instructions.conversation import Conversation, assistant
from swath.models.candidates import Trie
from swath.models.encoding import Encoded, batches
from swath.models.generating.choosing import Wishes
from swath.models.generating.growing import Prompt
from swath.models.generating.image_prefix import Seen
from swath.models.generating.likelihood import Likelihoods
from swath.models.generating.rows import Rows
from swath.models.generating.schema import Grammar, Schema
from swath.models.inputs import Inputs, to_device
from swath.models.loaded import Loaded, compute_device
from swath.models.packing import log_probabilities
from swath.models.pixels import PixelStore, View
from swath.models.vision_cache import Features

P = ParamSpec("P")
R = TypeVar("R")

Progress = Callable[[int, int], None]

LONGEST_ROW = 2048
"""Tokens beside images of questions in one row: attention grows with the square of them."""


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Args:
        text: its words, special tokens left out.
        boxes: boxes it named, pixels of the question's image; None where none was readable.
        refused: it, or a filter before it, would not answer.
        confidence: how sure it is of each box, 0 to 1; empty where that is not known.
    """

    text: str
    boxes: Boxes | None = None
    refused: bool = False
    confidence: tuple[float, ...] = ()


class Engine(Protocol):
    """A model that answers questions and scores candidates.

    A local and a remote one also `stream` an answer as it grows.
    """

    @property
    def elsewhere(self) -> bool:
        """Whether it is asked over the wire, and has met no question of the set before."""

    def weighs(self, candidates: int) -> bool:
        """Whether so many candidates can be scored."""

    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
        schema: Schema | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order; JSON of a schema, where there is one."""

    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
    ) -> list[NDArray[np.float64]]:
        """Summed log-probability of each candidate as the answer to its question."""


def _inferring(method: Callable[P, R]) -> Callable[P, R]:
    """Without gradients, in the format in which the engine's model computes."""

    @wraps(method)
    def inferring(*args: P.args, **kwargs: P.kwargs) -> R:
        engine: Any = args[0]
        with torch.inference_mode(), engine.loaded.computing():
            return method(*args, **kwargs)

    return inferring


class LocalEngine:
    """An engine in this process.

    Args:
        loaded: model, tokenizer and family.
        batch_size: questions answered at once.
        views: quarter turns and flips whose candidate scores are averaged; 1 asks once.
        threads: CPU threads, as `torch` counts them; None leaves its choice.
        kept: the tower's features of an earlier time, where it is still the same; its weights must
            not change while this engine is used.
    """

    elsewhere = False

    def __init__(
        self,
        loaded: Loaded,
        batch_size: int = 32,
        views: int = 1,
        threads: int | None = None,
        kept: Features | None = None,
    ) -> None:
        if not 1 <= views <= 8:
            raise ModelError(f"{views} views asked for; there are 1 to 8 turns and flips.")
        if threads:
            torch.set_num_threads(threads)
        loaded.model.to(compute_device())
        self.loaded = loaded
        self.batch_size = batch_size
        self.views = views
        imagery = loaded.imagery
        self.store = PixelStore(
            loaded.image_size, imagery.cache_px, 2 * batch_size, imagery.fit, imagery.rendering
        )
        self.inputs, self._kept = Inputs(loaded), kept
        self._dialect = DIALECTS.get(loaded.family.dialect)

    def weighs(self, candidates: int) -> bool:
        """Any number of candidates can be scored."""
        return True

    @_inferring
    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
        schema: Schema | None = None,
        keep: Callable[[int, Answer], None] | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order; questions of like length go together.

        `keep` is given the place of a question and its answer as soon as its batch is done.
        """
        answers: dict[int, Answer] = {}
        grammar = Grammar(self.loaded, schema) if schema else None
        for window in batches(self._by_images(questions), self.batch_size):
            looked = self._look_at([questions[group[0]] for group in window])
            places = list(chain.from_iterable(window))
            places.sort(key=lambda i: len(questions[i].text("user")))
            for batch in batches(places, self.batch_size):
                asks = [(i, questions[i].question) for i in batch]
                encodings = {i: self._encoded(ask, looked.views, ask=True) for i, ask in asks}
                for like in self._together(encodings):
                    features = looked.of([_paths(questions[i]) for i in like])
                    likely = Likelihoods(self.loaded.tokenizer, self._dialect)
                    encoded = [encodings[i] for i in like]
                    texts = self._generate(encoded, features, max_new_tokens, grammar, likely)
                    for row, (i, text) in enumerate(zip(like, texts, strict=True)):
                        image = questions[i].images[questions[i].frame]
                        answer = self._read(text, looked.views[image.path])
                        sure = likely.of_boxes(row, answer.boxes)
                        answers[i] = replace(answer, confidence=sure)
                        if keep:
                            keep(i, answers[i])
                if progress:
                    progress(len(answers), len(questions))
        return [answers[i] for i in range(len(questions))]

    @_inferring
    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
        keep: Callable[[int, NDArray[np.float64]], None] | None = None,
    ) -> list[NDArray[np.float64]]:
        """Summed log-probability of each candidate; what several have in common is read once.

        `keep` is given the place of a question and its scores as soon as its batch is done.
        """
        scores = [np.zeros(len(texts)) for texts in candidates]
        pairs = list(zip(questions, candidates, strict=True))
        rows_at_once, done = max(1, self.batch_size // 2), 0
        rows = [
            list(row)
            for group in self._by_images(questions)
            for row in batches(group, rows_at_once)
        ]
        for group in _filled(rows, rows_at_once):
            for orientation in range(self.views):
                passes = [[pairs[i] for i in row] for row in group]
                places = [i for row in group for i in row]
                for i, logs in zip(places, self._score_rows(passes, orientation), strict=True):
                    scores[i] += logs / self.views
            if keep:
                for i in places:
                    keep(i, scores[i])
            done += len(places)
            if progress:
                progress(done, len(questions))
        return scores

    def stream(
        self, question: Conversation, max_new_tokens: int = 64, schema: Schema | None = None
    ) -> Iterator[Answer]:
        """The answer as it grows: its words so far, the last time with its boxes."""
        prompt = self.prompt(question)
        grammar = Grammar(self.loaded, schema) if schema else None
        rows = Rows(self.inputs)
        answer = rows.answer(prompt, Wishes(max_new_tokens, grammar=grammar))
        rows.join([answer])
        while answer.finish is None:
            yield Answer(answer.text)
            rows.step()
        yield self.read(answer.text, prompt)

    def prompt(self, question: Conversation) -> Prompt:
        """A question as the model reads it.

        Raises:
            ImageryError: a picture cannot be read.
            InstructionError: it is longer than the model reads, or steers it.
            ModelError: the model reads no such number of pictures.
        """
        self._by_images([question])
        paths = _paths(question)
        views = {path: self.store.plain(path) for path in paths}
        encoded = self._encoded(question.question, views, ask=True)
        return Prompt(encoded, views, paths, question.frame)

    def read(self, text: str, prompt: Prompt) -> Answer:
        """An answer's words with the boxes they name."""
        return self._read(text, prompt.view) if prompt.view else Answer(text)

    @_inferring
    def features(self, paths: Sequence[str]) -> NDArray[np.float32]:
        """The vision tower's mean feature of each image, (images, width)."""
        tower = self.loaded.model.get_submodule(self.loaded.family.vision)
        means = []
        for batch in batches(paths, self.batch_size):
            pixels = self.inputs.tensor([self.store.plain(path) for path in batch])
            mean = self.inputs.features(tower, pixels).mean(dim=1)
            means.append(mean.float().cpu().numpy())
        return np.concatenate(means)

    def _by_images(self, questions: Sequence[Conversation]) -> list[list[int]]:
        """Places of questions about the same images; those of like length stand together."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, question in enumerate(questions):
            if len(question.images) > 1 and not self.loaded.family.many_images:
                raise ModelError(
                    f"{question.id}: {len(question.images)} images, and {self.loaded.base} reads "
                    f"one at a time; ask about each, or use a family that reads several."
                )
            groups.setdefault(_paths(question), []).append(place)
        return sorted(
            groups.values(), key=lambda some: sum(len(questions[i].text("user")) for i in some)
        )

    def _look_at(self, questions: Iterable[Conversation], orientation: int = 0) -> Seen:
        paths = {path for question in questions for path in _paths(question)}
        views = {path: self.store.plain(path, orientation) for path in sorted(paths)}
        return Seen(self.inputs, views, self.batch_size, self._kept)

    def _encoded(
        self, conversation: Conversation, views: Mapping[str, View], ask: bool = False
    ) -> Encoded:
        pictures = [views[path] for path in _paths(conversation)]
        return self.inputs.encoder.encode(conversation, pictures, ask)

    def _together(self, asked: Mapping[int, Encoded]) -> list[list[int]]:
        """Questions that may be answered in one batch."""
        if self.loaded.family.left_padding:
            return [list(asked)]
        by_length: dict[int, list[int]] = {}
        for place, encoded in asked.items():
            by_length.setdefault(len(encoded.ids), []).append(place)
        return list(by_length.values())

    def _read(self, text: str, view: View) -> Answer:
        boxes = self._dialect.read(text, (view.pixels.shape[1], view.pixels.shape[0]))
        return Answer(text, view.to_image(boxes) if len(boxes) else None)

    def _generate(
        self,
        asked: Sequence[Encoded],
        given: Mapping[str, Any],
        max_new_tokens: int,
        grammar: Grammar | None,
        likely: Likelihoods,
    ) -> list[str]:
        tokenizer, model = self.loaded.tokenizer, self.loaded.model
        bound = grammar.hold(len(asked), max_new_tokens) if grammar else None
        output = model.generate(
            **to_device({**self.inputs.asking(asked), **given}, model.device),
            max_new_tokens=bound.most if bound else max_new_tokens,
            logits_processor=[bound, likely] if bound else [likely],
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.convert_tokens_to_ids(self.loaded.end),
        )
        longest = max(len(conversation.ids) for conversation in asked)
        likely.finish(output[:, longest:])
        texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _score_rows(
        self, rows: Sequence[Sequence[tuple[Conversation, Sequence[str]]]], orientation: int
    ) -> list[NDArray[np.float64]]:
        """Candidates' scores of each question; the questions of a row are about the same images."""
        looked = self._look_at([row[0][0] for row in rows], orientation)
        lines: list[tuple[tuple[str, ...], list[list[Encoded]]]] = []
        for row in rows:
            paths, length = _paths(row[0][0]), LONGEST_ROW
            for question, texts in row:
                candidates = [
                    self._encoded(_answered(question, text), looked.views) for text in texts
                ]
                if not self.inputs.branching:
                    lines += [(paths, [[each]]) for each in candidates]
                    continue
                tokens = len(Trie.of(candidates).ids) - len(paths) * self.loaded.image_tokens
                if length + tokens > LONGEST_ROW:
                    lines.append((paths, []))
                    length = 0
                lines[-1][1].append(candidates)
                length += tokens
        logs: list[NDArray[np.float64]] = []
        for part in batches(lines, self.batch_size):
            features = looked.of([paths for paths, _ in part])
            logs += log_probabilities(self.inputs, [candidates for _, candidates in part], features)
        ends = np.cumsum([len(texts) for row in rows for _, texts in row])
        return np.split(np.concatenate(logs), ends[:-1])


def _filled(rows: Sequence[list[int]], most: int) -> Iterator[list[list[int]]]:
    """Rows for one pass each: of at most so many questions together."""
    group: list[list[int]] = []
    for row in rows:
        if group and sum(map(len, group)) + len(row) > most:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _paths(question: Conversation) -> tuple[str, ...]:
    return tuple(image.path for image in question.images)


def _answered(question: Conversation, text: str) -> Conversation:
    return replace(question, turns=(*question.question.turns, assistant(text)))
