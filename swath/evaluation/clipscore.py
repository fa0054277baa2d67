"""CLIPScore and RefCLIPScore: how well a caption suits an image, and its references, for CLIP.

Published values are of ViT-B/32; name the checkpoint beside those of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.errors import ModelError

WEIGHT = 2.5
PROMPT = "A photo depicts "

Floats = NDArray[np.float64]


def clip_score(images: Floats, captions: Floats) -> Floats:
    """2.5 times the cosine of image and caption, 0 where it is negative, (n,).

    Args:
        images: (n, d) embeddings of any length.
        captions: (n, d), of captions after `PROMPT`.

    Source: CLIPScore (arXiv:2104.08718).
    """
    return WEIGHT * np.maximum((unit(images) * unit(captions)).sum(axis=-1), 0)


def nearest_reference(captions: Floats, references: Sequence[Floats]) -> Floats:
    """The highest cosine of each caption with one of its references, (n,)."""
    pairs = zip(unit(captions), references, strict=True)
    return np.array([(unit(some) @ caption).max() for caption, some in pairs])


def ref_clip_score(scores: Floats, nearest: Floats) -> Floats:
    """Harmonic mean of `clip_score` and `nearest_reference`, 0 where one is not above 0, (n,).

    The paper's formula; its code keeps negative cosines.
    """
    nearest = np.maximum(nearest, 0)
    above, below = 2 * scores * nearest, scores + nearest
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    values = np.asarray(rows, dtype=np.float64)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Scores:
    """Of each caption CLIPScore and, where there are references, RefCLIPScore."""

    clip: Floats
    ref_clip: Floats


def clip_scores(
    folder: Path | str,
    images: Sequence[Path | str],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    batch_size: int = 32,
) -> Scores:
    """Both scores of captions by a CLIP checkpoint.

    Args:
        folder: the checkpoint, with image processor and tokenizer, as `transformers` saves it.
        images: pictures.
        captions: of each.
        references: of each.
        batch_size: pictures or texts embedded at once.

    Raises:
        ModelError: the folder holds no CLIP model.
    """
    import torch
    from PIL import Image
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel

    try:
        kind = AutoConfig.from_pretrained(str(folder), local_files_only=True).model_type
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: {error}; give a folder saved by transformers.") from None
    if kind != "clip":
        raise ModelError(f"{folder}: a '{kind}' model; CLIPScore needs a CLIP checkpoint.")
    model = CLIPModel.from_pretrained(str(folder), local_files_only=True).eval()
    processor = AutoImageProcessor.from_pretrained(str(folder), backend="pil")
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    longest = model.config.text_config.max_position_embeddings

    def texts(some: Sequence[str]) -> Floats:
        rows = []
        for part in _parts([PROMPT + text for text in some], batch_size):
            ids = tokenizer(
                part, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            found = model.text_model(**ids).pooler_output
            rows.append(model.text_projection(found).float().numpy())
        return np.concatenate(rows)

    with torch.inference_mode():
        seen = []
        for part in _parts(list(map(str, images)), batch_size):
            pictures = [Image.open(path).convert("RGB") for path in part]
            pixels = processor(pictures, return_tensors="pt")["pixel_values"]
            found = model.vision_model(pixel_values=pixels).pooler_output
            seen.append(model.visual_projection(found).float().numpy())
        own = texts(captions)
        every = texts([text for several in references for text in several])
    ends = np.cumsum([len(several) for several in references])[:-1]
    clip = clip_score(np.concatenate(seen), own)
    return Scores(clip, ref_clip_score(clip, nearest_reference(own, np.split(every, ends))))


def _parts(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
