"""Ask a model about one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.boxes import Boxes
from swath.errors import RequestError
from swath.imagery.scene import open_scene
from swath.instructions.conversation import Conversation, Image, user
from swath.models.engine import LocalEngine
from swath.models.loading import load


@dataclass(frozen=True)
class Reply:
    """What the model said.

    Args:
        text: its words.
        boxes: boxes it named, pixels of the picture; None where it named none.
        confidence: share of the probability among the choices; None for a free answer.
    """

    text: str
    boxes: Boxes | None = None
    confidence: float | None = None

    def __str__(self) -> str:
        return self.text


class Assistant:
    """A loaded model.

    Args:
        model: a run, an exported folder or "swath-nano".
        threads: CPU threads; None leaves torch's choice.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        self.engine = LocalEngine(load(model), threads=threads)

    def ask(
        self,
        image: str | Path,
        question: str,
        choices: Sequence[str] = (),
        max_new_tokens: int = 64,
    ) -> Reply:
        """The model's answer to a question about a picture.

        Args:
            image: a picture or raster file.
            question: in the words the model was tuned on, if it is small.
            choices: with them, the answer is the most probable of these and nothing else.
            max_new_tokens: longest free answer.

        Raises:
            ImageryError: the file is absent or cannot be read.
            RequestError: the question is empty.
        """
        if not question.strip():
            raise RequestError("the question is empty; say what you want to know.")
        path = str(Path(image).absolute())
        asked = Conversation(
            id=path,
            task="ask",
            turns=(user(Image(path, open_scene(path).size_wh), "\n" + question.strip()),),
        )
        if not choices:
            answer = self.engine.answer([asked], max_new_tokens)[0]
            return Reply(answer.text, answer.boxes)
        logs = self.engine.score([asked], [list(choices)])[0]
        best = int(logs.argmax())
        shares = np.exp(logs - logs.max())
        return Reply(choices[best], None, float(shares[best] / shares.sum()))
