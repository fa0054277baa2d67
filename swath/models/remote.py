"""A model behind an OpenAI-compatible endpoint, asked like one in this process."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from swath.boxes import Boxes
from swath.dialect import DIALECTS
from swath.endpoint import Completion, boxes_beside, digest, reach, request
from swath.errors import EndpointError
from swath.files import Journal
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.instructions.conversation import Box, Conversation, Image, Turn
from swath.instructions.tasks.truths import truth_kind
from swath.models.answer_cache import KIND, Contents
from swath.models.engine import Answer, Progress
from swath.models.generating.events import growing_text
from swath.models.generating.schema import Schema
from swath.recipe import Remote, Rendering

LETTERS = "ABCDEFGHIJKLMNOPQRST"
"""Choices that can be weighed: endpoints tell the 20 likeliest tokens."""

_MIDDLE = 0.25, 0.25, 0.75, 0.75


class RemoteEngine:
    """An engine behind an address.

    Args:
        name: `http://host:8000/v1#model`.
        section: how it is asked.
        journal: file of its answers, kept and added to; None keeps none.
        others: further such files, looked up.
        blind: send no picture.
        rendering: how rasters become the pictures sent.

    Raises:
        RequestError: the name holds no model, or the dialect does not exist.
    """

    elsewhere = True

    def __init__(
        self,
        name: str,
        section: Remote,
        journal: Path | None = None,
        others: Sequence[Path] = (),
        blind: bool = False,
        rendering: Rendering = PLAIN,
    ) -> None:
        self.section, self.blind, self.rendering = section, blind, rendering
        self._dialect = DIALECTS.get(section.dialect)
        self._contents = Contents()
        self._endpoint = reach(name, section, Journal(journal, KIND, others))

    def weighs(self, candidates: int) -> bool:
        """Whether so many candidates can be scored; else they are listed and the answer is free."""
        return self.section.logprobs and candidates <= len(LETTERS)

    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
        schema: Schema | None = None,
    ) -> list[Answer]:
        """The answer to each question, in order; JSON of a schema, where there is one.

        Raises:
            EndpointError: the endpoint refuses, stays away, or has cost too much; answers so far
                are kept.
        """

        options = _wishes(max_new_tokens, schema)

        def ask(question: Conversation) -> Answer:
            completion = self._completed(question, self._hint(question), options)
            answer = self._read(completion.answer, question, completion.boxes)
            return replace(answer, refused=completion.refused)

        return self._endpoint.each(ask, questions, self.section.at_once, progress)

    def stream(
        self, question: Conversation, max_new_tokens: int = 64, schema: Schema | None = None
    ) -> Iterator[Answer]:
        """The answer as it grows: its words so far, the last time with its boxes. Nothing is kept.

        Raises:
            EndpointError: the endpoint refuses, stays away or stops before the end.
        """
        messages = self._messages(question, self._hint(question))
        body = request(self.section, messages, **_wishes(max_new_tokens, schema))
        text, rows = "", None
        with self._endpoint.stream(body, question.id) as lines:
            for text, choice in growing_text(lines):
                rows = boxes_beside(choice)
                yield Answer(text)
        yield self._read(text.strip(), question, rows)

    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
    ) -> list[NDArray[np.float64]]:
        """Log-probability of each candidate's letter as the first token of the answer.

        A letter that is not among the likeliest tokens gets the least probability of these; -inf
        all over where the model named none, or refused.

        Raises:
            EndpointError: as in `answer`; too many candidates, or no probabilities came.
        """

        def ask(pair: tuple[Conversation, Sequence[str]]) -> NDArray[np.float64]:
            question, texts = pair
            if not self.weighs(len(texts)):
                raise EndpointError(
                    f"{question.id}: {len(texts)} choices cannot be weighed at {self._where}; set "
                    f"evaluation.remote.logprobs (at most {len(LETTERS)}), or ask freely."
                )
            listed = "\n".join(
                f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)
            )
            hint = f"\n{listed}\nAnswer with one letter."
            options = {"max_tokens": 1, "logprobs": True, "top_logprobs": len(LETTERS)}
            completion = self._completed(question, hint, options)
            if not completion.logprobs and not completion.refused:
                raise EndpointError(
                    f"{question.id}: {self._where} answered without probabilities; set "
                    f"evaluation.remote.logprobs=false, which lists the labels instead."
                )
            logs = np.full(len(texts), -np.inf)
            for token, log in completion.logprobs.items():
                place = LETTERS.find(token.strip()) if len(token.strip()) == 1 else -1
                if 0 <= place < len(texts):
                    logs[place] = np.logaddexp(logs[place], log)
            if np.isfinite(logs).any():
                logs[np.isinf(logs)] = min(completion.logprobs.values())
            return logs

        pairs = list(zip(questions, candidates, strict=True))
        return self._endpoint.each(ask, pairs, self.section.at_once, progress)

    @property
    def _where(self) -> str:
        return f"{self._endpoint.model} at {self._endpoint.where}"

    def _completed(self, question: Conversation, hint: str, options: dict[str, Any]) -> Completion:
        section = self.section
        pixels: list[Any] | None = None
        if not self.blind:
            pixels = [section.image_px, section.image_format]
            pixels += [] if self.rendering == PLAIN else [self.rendering.model_dump(mode="json")]
        words = self._contents.of(question)
        who = [self._endpoint.url, self._endpoint.model]
        fields = request(section, [], **options)
        key = digest([who, words, hint, fields, pixels, section.dialect])

        def body() -> dict[str, Any]:
            return request(section, self._messages(question, hint), **options)

        return self._endpoint.complete(body, question.id, key)

    def _messages(self, question: Conversation, hint: str) -> list[dict[str, Any]]:
        last = len(question.turns) - 1
        return [
            self._message(question, turn, hint if place == last else "")
            for place, turn in enumerate(question.turns)
        ]

    def _hint(self, question: Conversation) -> str:
        return self._notation() if truth_kind(question.task).boxed else ""

    def _read(
        self, text: str, question: Conversation, rows: list[list[float]] | None = None
    ) -> Answer:
        """An answer's words with the boxes they name, or that the server read in them."""
        if not question.images:
            return Answer(text)
        image = question.images[question.frame]
        size = self._sent(image)
        boxes = self._dialect.read(text, size) if rows is None else Boxes.from_rows(rows)
        boxes = boxes.scaled((image.size_wh[0] / size[0], image.size_wh[1] / size[1]))
        return Answer(text, boxes if len(boxes) else None)

    def _message(self, question: Conversation, turn: Turn, hint: str) -> dict[str, Any]:
        images, text = [], ""
        for part in turn.parts:
            if isinstance(part, Image):
                images.append(part)
            elif isinstance(part, Box):
                image = question.images[part.image]
                size = self._sent(image)
                ratio = (size[0] / image.size_wh[0], size[1] / image.size_wh[1])
                text += self._dialect.write(part.boxes.scaled(ratio), size)
            else:
                text += part.text
        text = text.strip() + hint
        if not images or self.blind:
            return {"role": turn.role, "content": text}
        urls = map(self._url, images)
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        return {"role": turn.role, "content": [*pictures, {"type": "text", "text": text}]}

    def _sent(self, image: Image) -> tuple[int, int]:
        """Width and height at which an image is sent."""
        scale = min(1.0, self.section.image_px / max(image.size_wh))
        return max(1, round(image.size_wh[0] * scale)), max(1, round(image.size_wh[1] * scale))

    def _url(self, image: Image) -> str:
        pixels = open_scene(image.path).read_rgb(
            size_wh=self._sent(image), rendering=self.rendering
        )
        stream = io.BytesIO()
        Picture.fromarray(pixels).save(stream, self.section.image_format, quality=95)
        encoded = base64.b64encode(stream.getvalue()).decode()
        return f"data:image/{self.section.image_format};base64,{encoded}"

    def _notation(self) -> str:
        """How boxes are written, which a model tuned elsewhere does not know."""
        size = (1000, 1000)
        example = self._dialect.write(Boxes.from_hbb(np.array(_MIDDLE) * 1000), size)
        return f"\nWrite a box as in {example}, which is the middle of the picture, half its size."


def _wishes(max_new_tokens: int, schema: Schema | None) -> dict[str, Any]:
    """Fields of a request."""
    wishes: dict[str, Any] = {"max_tokens": max_new_tokens}
    if schema:
        form = {"name": "answer", "schema": schema, "strict": True}
        wishes["response_format"] = {"type": "json_schema", "json_schema": form}
    return wishes
