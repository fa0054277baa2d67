"""Ask a model about one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.boxes import Boxes
from swath.endpoint import is_address as is_model_address
from swath.errors import ModelError, RequestError
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_address
from swath.imagery.series import coregistered
from swath.imagery.video import SUFFIXES, frames_of
from swath.instructions.conversation import Conversation, Image, system, user
from swath.models.engine import Engine, LocalEngine
from swath.models.loading import load
from swath.models.remote import RemoteEngine
from swath.recipe import Imagery, Remote


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
        model: a run, an exported folder, "swath-nano", or a model behind an OpenAI-compatible
            endpoint, as in `http://host:8000/v1#gpt-4o`, whose key is in OPENAI_API_KEY.
        threads: CPU threads; None leaves torch's choice.

    Raises:
        ModelError: there is no such model, or it is damaged.
        RequestError: an address that names no model.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        self.engine: Engine
        self._imagery, self._system = Imagery(), ""
        if is_model_address(model):
            self.engine = RemoteEngine(str(model), Remote(logprobs=True))
        else:
            loaded = load(model)
            self.engine = LocalEngine(loaded, threads=threads)
            self._imagery, self._system = loaded.imagery, loaded.system or ""

    def ask(
        self,
        image: str | Path | Sequence[str | Path],
        question: str,
        choices: Sequence[str] = (),
        max_new_tokens: int = 256,
        sure: float = 0.0,
    ) -> Reply:
        """The answer to a question about a picture, after the instruction the model was tuned with.

        Args:
            image: a picture, raster or clip; or several pictures, in order of time. Rasters that
                say where they lie are shown on the pixels of the first. Addresses are read after
                `swath.imagery.raster.allow`.
            question: in the words the model was tuned on, if it is small.
            choices: with them, the answer is the most probable of these and nothing else.
            max_new_tokens: longest free answer.
            sure: where the chosen answer has less than this share, it is "unsure" instead.

        Raises:
            ImageryError: the file is absent or cannot be read.
            RequestError: the question is empty.
            ModelError: a model elsewhere names none of the choices.
        """
        if not question.strip():
            raise RequestError("the question is empty; say what you want to know.")
        sources = [image] if isinstance(image, str | Path) else image
        paths = [path for source in sources for path in self._pictures(source)]
        if not paths:
            raise RequestError("no picture is asked about; name at least one.")
        paths = [*coregistered(paths, apart=True)]
        pictures = [Image(path, open_scene(path).size_wh) for path in paths]
        turns = [system(self._system)] if self._system else []
        turns.append(user(*pictures, "\n" + question.strip()))
        conversation = Conversation(id=paths[0], task="ask", turns=tuple(turns))
        if not choices:
            answer = self.engine.answer([conversation], max_new_tokens)[0]
            return Reply(answer.text, answer.boxes)
        logs = self.engine.score([conversation], [list(choices)])[0]
        if not np.isfinite(logs).any():
            raise ModelError(f"it names none of {', '.join(choices)}; ask without choices.")
        best = int(logs.argmax())
        shares = np.exp(logs - logs.max())
        confidence = float(shares[best] / shares.sum())
        return Reply(choices[best] if confidence >= sure else "unsure", None, confidence)

    def _pictures(self, name: str | Path) -> list[str]:
        """A picture is one; of a clip, as many frames as the model was tuned on."""
        if is_address(name):
            return [str(name)]
        path = Path(name).absolute()
        if path.suffix.lower() not in SUFFIXES:
            return [str(path)]
        return frames_of(path, self._imagery.frames)
