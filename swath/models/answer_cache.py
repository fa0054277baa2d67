"""What an engine answered, kept by the content of the question, so that nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.endpoint import digest
from swath.files import Journal, sha256_of
from swath.imagery.scene import parts_of
from swath.instructions.conversation import Conversation
from swath.models.engine import Answer, LocalEngine, Progress
from swath.models.generating.schema import Schema
from swath.models.loaded import Loaded
from swath.models.vision_cache import versions, weights_of

KIND = "replies"

Keep = Callable[[int, dict[str, Any]], None]


class Contents:
    """Questions as what they hold: words, boxes and the bytes of their images, not their paths."""

    def of(self, conversation: Conversation) -> list[Any]:
        """The turns of a question, each image by its content."""
        turns: list[Any] = conversation.to_row()["turns"]
        for turn in turns:
            for part in turn["parts"]:
                if "image" in part:
                    part["image"] = self._file(part["image"])
        return turns

    def _file(self, path: str) -> str:
        """Hash of an image's bytes, a clip's with the frame; a lost file stays its name."""
        file, mark, frame = parts_of(path)
        sha256 = sha256_of(file)
        return path if sha256 is None else sha256 + mark + frame


class RememberingEngine:
    """A local engine that asks its model only what the journal does not hold.

    Args:
        engine: of the model.
        journal: of its replies; rows are added after every batch.
    """

    elsewhere = False

    def __init__(self, engine: LocalEngine, journal: Journal) -> None:
        self.engine, self._journal = engine, journal
        self._identity, self._contents = identity(engine.loaded), Contents()

    def weighs(self, candidates: int) -> bool:
        """Whether so many candidates can be scored."""
        return self.engine.weighs(candidates)

    def answer(
        self,
        questions: Sequence[Conversation],
        max_new_tokens: int = 64,
        progress: Progress | None = None,
        schema: Schema | None = None,
    ) -> list[Answer]:
        """The greedy answer to each question, in order; JSON of a schema, where there is one."""

        def ask(missing: list[Conversation], places: list[int], step: Any, keep: Keep) -> None:
            def kept(place: int, reply: Answer) -> None:
                quads = None if reply.boxes is None else reply.boxes.quads
                keep(place, {"text": reply.text, "boxes": quads, "sure": reply.confidence})

            self.engine.answer(missing, max_new_tokens, step, schema, kept)

        option = [max_new_tokens, schema] if schema else max_new_tokens
        rows = self._remembered(questions, [option] * len(questions), ask, progress)
        answers = []
        for row in rows:
            boxes = None if row["boxes"] is None else Boxes(np.array(row["boxes"]))
            answers.append(Answer(row["text"], boxes, confidence=tuple(row.get("sure", ()))))
        return answers

    def score(
        self,
        questions: Sequence[Conversation],
        candidates: Sequence[Sequence[str]],
        progress: Progress | None = None,
    ) -> list[NDArray[np.float64]]:
        """Summed log-probability of each candidate as the answer to its question."""

        def ask(some: list[Conversation], places: list[int], step: Any, keep: Keep) -> None:
            texts = [candidates[i] for i in places]
            self.engine.score(some, texts, step, lambda place, logs: keep(place, {"logs": logs}))

        options = [[self.engine.views, list(texts)] for texts in candidates]
        rows = self._remembered(questions, options, ask, progress)
        return [np.array(row["logs"], dtype=np.float64) for row in rows]

    def _remembered(
        self,
        questions: Sequence[Conversation],
        options: Sequence[Any],
        ask: Callable[[list[Conversation], list[int], Progress | None, Keep], None],
        progress: Progress | None,
    ) -> list[dict[str, Any]]:
        keys = [
            digest([self._identity, self._contents.of(question), option])
            for question, option in zip(questions, options, strict=True)
        ]
        missing = [place for place, key in enumerate(keys) if self._journal.get(key) is None]
        done = len(keys) - len(missing)
        if progress and not missing:
            progress(done, len(keys))
        if missing:
            ask(
                [questions[i] for i in missing],
                missing,
                _after(done, len(keys), progress),
                lambda place, row: self._journal.put(keys[missing[place]], row),
            )
        return [self._journal.get(key) or {} for key in keys]


def identity(loaded: Loaded) -> str:
    """A hash of everything that makes a model answer as it does: weights, words and pixels."""
    return digest(
        [
            weights_of(loaded.model),
            [
                value
                for value in vars(loaded.family).values()
                if isinstance(value, str | tuple | bool)
            ],
            loaded.tokenizer.get_vocab(),
            loaded.tokenizer.chat_template,
            loaded.imagery.model_dump(mode="json"),
            [loaded.mean, loaded.std, loaded.limit],
            versions(),
        ]
    )


def _after(before: int, total: int, progress: Progress | None) -> Progress | None:
    return (lambda done, _: progress(before + done, total)) if progress else None
