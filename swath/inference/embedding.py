"""Text embedders: vectors of passages and questions, of an address or of a folder.

An embedder is named by whoever asks, never by an index: a file makes swath ask no address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson

from swath.endpoint import Endpoint, is_address, split_address
from swath.errors import EndpointError, ModelError
from swath.files import Journal
from swath.inference.neighbours import Vectors, normed
from swath.models.encoding import batches

KEY = "OPENAI_API_KEY"
"""Environment variable that holds the key of an address."""

LONGEST = 512
"""Tokens of a text that a folder's model reads at most."""

_BATCH = 64
Progress = Callable[[int, int], None]


class Embedder(Protocol):
    """Texts to vectors of length 1."""

    name: str

    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """(texts, width) vectors."""


def open_embedder(name: str) -> Embedder:
    """The embedder of `http://host:8000/v1#model`, or of a sentence-transformers folder.

    Raises:
        RequestError: the address names no model.
        ModelError: there is no such folder, or it is of another kind.
    """
    return AddressEmbedder(name) if is_address(name) else FolderEmbedder(Path(name))


class AddressEmbedder:
    """An embedder behind an OpenAI-compatible address.

    Args:
        name: `http://host:8000/v1#model`.
    """

    def __init__(self, name: str) -> None:
        address, model = split_address(name)
        self.name = name
        self._endpoint = Endpoint(address, model, KEY, Journal(None, ""), path="/embeddings")

    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """(texts, width) vectors.

        Raises:
            EndpointError: it stays away, refuses, or answers something else.
        """
        parts: list[Any] = []
        done = 0
        for batch in batches(texts, _BATCH):
            about = f"texts {done + 1} to {done + len(batch)}"
            request = {"model": self._endpoint.model, "input": list(batch)}
            answer = self._endpoint.posted(request, about)
            parts.append(self._read(answer, len(batch)))
            done += len(batch)
            if progress:
                progress(done, len(texts))
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise EndpointError(f"{self._endpoint.where} gave vectors of different widths.")
        return normed(np.concatenate(parts))

    def _read(self, answer: str, count: int) -> Any:
        """(count, width) of an answer, in the order of the texts."""
        try:
            rows = orjson.loads(answer)["data"]
            rows.sort(key=lambda row: row["index"])
            embeddings = [row["embedding"] for row in rows]
            vectors = np.array(embeddings, dtype=np.float32)
        except (ValueError, LookupError, TypeError, AttributeError):
            vectors = np.empty(0, dtype=np.float32)
        complete = vectors.ndim == 2 and len(vectors) == count
        if not complete or not np.isfinite(vectors).all():
            raise EndpointError(
                f"{self._endpoint.where} gave no {count} vectors; is it an address of embeddings, "
                f"and {self._endpoint.model} a model of texts?"
            )
        return vectors


class FolderEmbedder:
    """A sentence-transformers model in a folder: an encoder, and one vector of its tokens'.

    Args:
        folder: with `1_Pooling/config.json`, which says whether tokens are averaged or the first
            one counts.

    Raises:
        ModelError: it is absent, damaged or pools in another way.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        from swath.models.hub import reading
        from swath.models.vision_cache import weights_of

        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder}: no embedder here; name a sentence-transformers folder.")
        self._first = _first_counts(folder / "1_Pooling" / "config.json")
        with reading(folder):
            self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            self._model = AutoModel.from_pretrained(
                folder, trust_remote_code=False, use_safetensors=True
            ).eval()
        self.name = f"{folder.absolute().name} {weights_of(self._model)[:12]}"

    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """(texts, width) vectors."""
        import torch

        parts: list[Any] = []
        done = 0
        longest = min(LONGEST, self._model.config.max_position_embeddings)
        for batch in batches(texts, _BATCH):
            tokens = self._tokenizer(
                list(batch), padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = self._model(**tokens).last_hidden_state  # (texts, tokens, width)
            mask = tokens["attention_mask"][..., None]
            summed = (hidden * mask).sum(dim=1)
            vectors = hidden[:, 0] if self._first else summed / mask.sum(dim=1)
            parts.append(vectors.float().numpy())
            done += len(batch)
            if progress:
                progress(done, len(texts))
        return normed(np.concatenate(parts))


def _first_counts(pooling: Path) -> bool:
    """Whether a text is its first token; else it is the mean of all, as without this file.

    Raises:
        ModelError: it is something else.
    """
    if not pooling.is_file():
        return False
    modes = orjson.loads(pooling.read_bytes())
    if modes.get("pooling_mode_cls_token"):
        return True
    if not modes.get("pooling_mode_mean_tokens"):
        raise ModelError(f"{pooling}: pools neither by mean nor by the first token.")
    return False
