"""CLIPScore and RefCLIPScore: how well a caption suits an image, and its references, for CLIP.

Published values are of ViT-B/32; name the checkpoint beside those of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swath.boxes import Floats
from swath.errors import ModelError
from swath.evaluation.metrics.base import share
from swath.evaluation.predictions import Prediction, Predictions
from swath.evaluation.report.gallery import rendered
from swath.imagery.picture import open_image
from swath.models.encoding import batches
from swath.recipe import Rendering

WEIGHT = 2.5
PROMPT = "A photo depicts "

LONGEST_PX = 2048
"""A picture is read no longer than this; CLIP makes it smaller yet."""


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
    return np.array([(unit(vectors) @ caption).max() for caption, vectors in pairs])


def ref_clip_score(scores: Floats, nearest: Floats) -> Floats:
    """Harmonic mean of `clip_score` and `nearest_reference`, 0 where one is not above 0, (n,).

    The paper's formula; its code keeps negative cosines.
    """
    nearest = np.maximum(nearest, 0)
    return share(2 * scores * nearest, scores + nearest)


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    values = np.asarray(rows, dtype=np.float64)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Scores:
    """Of each caption CLIPScore and, where there are references, RefCLIPScore."""

    clip: Floats
    ref_clip: Floats


def with_clip(
    predictions: Predictions, folder: Path | str, rendering: Rendering | None = None
) -> list[Prediction]:
    """The predictions, those of captions with both scores by a CLIP checkpoint.

    Args:
        predictions: of any tasks; regions and descriptions with boxes are left as they are.
        rendering: of rasters to pictures; of several pictures the first is looked at.

    Raises:
        ModelError: the folder holds no CLIP model.
        RasterError: a picture cannot be opened.
    """
    chosen = [prediction for prediction in predictions if prediction.task == "caption"]
    if not chosen:
        return list(predictions)
    scores = clip_scores(
        folder,
        [prediction.image for prediction in chosen],
        [prediction.answer for prediction in chosen],
        [prediction.truth.get("captions") for prediction in chosen],
        open_image=partial(rendered, rendering=rendering or Rendering(), longest=LONGEST_PX),
    )
    by = Path(folder).resolve().name
    notes = {
        prediction.id: {"score": float(score), "ref": float(ref), "by": by}
        for prediction, score, ref in zip(chosen, scores.clip, scores.ref_clip, strict=True)
    }
    return [replace(prediction, clip=notes.get(prediction.id)) for prediction in predictions]


def clip_scores(
    folder: Path | str,
    images: Sequence[Path | str],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    batch_size: int = 32,
    open_image: Callable[[str], Image.Image] = open_image,
) -> Scores:
    """Both scores of captions by a CLIP checkpoint.

    Args:
        folder: the checkpoint, with image processor and tokenizer, as `transformers` saves it.
        batch_size: pictures or texts embedded at once.

    Raises:
        ModelError: the folder holds no CLIP model.
    """
    import torch
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel

    name = str(folder)
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=True, trust_remote_code=False)
        kind = config.model_type
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: {error}; give a folder saved by transformers.") from None
    if kind != "clip":
        raise ModelError(f"{folder}: a '{kind}' model; CLIPScore needs a CLIP checkpoint.")
    model: Any = CLIPModel.from_pretrained(name, local_files_only=True, trust_remote_code=False)
    model.eval()
    processor = AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    longest = model.config.text_config.max_position_embeddings

    def texts(some: Sequence[str]) -> Floats:
        rows = []
        for part in batches([PROMPT + text for text in some], batch_size):
            ids = tokenizer(
                part, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            pooled = model.text_model(**ids).pooler_output
            rows.append(model.text_projection(pooled).float().numpy())
        return np.concatenate(rows)

    with torch.inference_mode():
        vectors = []
        for part in batches(list(map(str, images)), batch_size):
            pictures = [open_image(path).convert("RGB") for path in part]
            pixels = processor(pictures, return_tensors="pt")["pixel_values"]
            pooled = model.vision_model(pixel_values=pixels).pooler_output
            vectors.append(model.visual_projection(pooled).float().numpy())
        of_captions = texts(captions)
        of_references = texts([text for several in references for text in several])
    ends = np.cumsum([len(several) for several in references])[:-1]
    clip = clip_score(np.concatenate(vectors), of_captions)
    return Scores(
        clip, ref_clip_score(clip, nearest_reference(of_captions, np.split(of_references, ends)))
    )
