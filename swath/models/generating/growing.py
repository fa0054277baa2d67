"""`Growing`: one answer in the making, from its question's tokens to the end of its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from transformers import LogitsProcessor

from swath.models.encoding import Encoded
from swath.models.generating.choosing import Chooser, Step, Wishes
from swath.models.pixels import View

Finish = Literal["stop", "length", "error"]
"""Why an answer ended: by itself, at its last token, or because no token can follow."""

_BROKEN = "\ufffd"  # what a sign of several tokens is decoded as before its last one


@dataclass(frozen=True)
class Prompt:
    """A question as a model reads it.

    Args:
        encoded: its tokens.
        views: its pictures by their paths.
        paths: of the pictures, in the order in which they stand in the question.
        frame: number of the picture in whose pixels boxes of the answer lie.
    """

    encoded: Encoded
    views: Mapping[str, View]
    paths: tuple[str, ...]
    frame: int

    @property
    def view(self) -> View | None:
        """The picture in whose pixels boxes of the answer lie; None without pictures."""
        return self.views[self.paths[self.frame]] if self.paths else None


class Growing:
    """One answer in the making.

    Args:
        prompt: the question.
        wishes: how the answer is wanted.
        tokenizer: of the model.
        end: id of the token that ends an answer.
        processors: see `Chooser`.
    """

    def __init__(
        self,
        prompt: Prompt,
        wishes: Wishes,
        tokenizer: Any,
        end: int,
        processors: Sequence[LogitsProcessor] = (),
    ) -> None:
        self.prompt, self.wishes = prompt, wishes
        self.ids: list[int] = []
        self.steps: list[Step] = []
        self.text = ""
        self.finish: Finish | None = None
        self.trouble = ""
        self.chooser = Chooser(wishes, processors)
        schema = self.chooser.held
        self.most = min(schema.most if schema else wishes.max_new_tokens, wishes.room)
        self._tokenizer, self._end = tokenizer, end

    def grow(self, logits: Tensor) -> None:
        """Add a token that is chosen by its scores (vocabulary,)."""
        try:
            step = self.chooser.choose((*self.prompt.encoded.ids, *self.ids), logits)
        except (RuntimeError, ValueError) as error:  # of this row; the others go on
            self.finish, self.trouble = "error", str(error)
            return
        if self.wishes.logprobs is not None:
            self.steps.append(step)
        self.add(step.token)

    def add(self, token: int) -> None:
        """Add a token, and see whether the answer has ended."""
        self.ids.append(token)
        finish: Finish | None = None
        if token == self._end:
            finish = "stop"
        elif len(self.ids) >= self.most:
            finish = "length"
        text = self._tokenizer.decode(self.ids, skip_special_tokens=True).strip()
        places = [text.find(stop) for stop in self.wishes.stop]
        ends = [place for place in places if place >= 0]
        if ends:
            text, finish = text[: min(ends)].rstrip(), "stop"
        elif finish is None:
            text = self._certain(text)
        if finish is not None or text.startswith(self.text):
            self.text = text
        self.finish = finish  # last, as another thread may look on

    @property
    def whole(self) -> bool:
        """Whether an answer of a schema has come to its end."""
        return self.chooser.held is None or self.finish == "stop"

    @property
    def closed_early(self) -> bool:
        """Whether an answer of a schema was closed because it may have no more tokens."""
        return self.chooser.held is not None and len(self.ids) > self.wishes.max_new_tokens

    def _certain(self, text: str) -> str:
        """Words without a sign that is not whole, and without what may begin a stop text."""
        text = text.rstrip(_BROKEN)
        longest = max(map(len, self.wishes.stop), default=0)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self.wishes.stop):
                return text[:-length].rstrip()
        return text
