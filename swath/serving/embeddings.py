"""`/v1/embeddings`: pictures as the numbers a model's vision tower makes of them."""

from __future__ import annotations

import asyncio
import base64
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import orjson
from fastapi import APIRouter
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from swath.serving.asking import Fields, ImagePart
from swath.serving.models import Serving
from swath.serving.protocol import Row, ServeError
from swath.serving.served import Served, ServedModel

router = APIRouter()

Picture = str | ImagePart


class EmbeddingRequest(Fields):
    """Pictures to be embedded, as data URIs; the other fields are the clients'."""

    model: Annotated[str, Field(max_length=500)]
    input: Picture | Annotated[list[Picture], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None
    output_dimension: None = None
    output_dtype: Literal["float"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None

    @property
    def urls(self) -> list[str]:
        """Where the pictures are."""
        pictures = self.input if isinstance(self.input, list) else [self.input]
        return [picture if isinstance(picture, str) else picture.url for picture in pictures]


@router.post("/v1/embeddings")
async def embed(body: EmbeddingRequest, served: Serving) -> Response:
    """The mean feature of each picture, of length 1: in numbers, or as base64 of float32."""
    model = served.model(body.model)
    if len(body.urls) > served.limits.images:
        words = f"{len(body.urls)} pictures, and a request may hold {served.limits.images}."
        raise ServeError(400, words, "input", "too_many_images")
    features = await _features(served, model, body.urls)
    rows: list[Row] = []
    for number, vector in enumerate(features):
        packed = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        value = packed if body.encoding_format == "base64" else vector.tolist()
        rows.append({"object": "embedding", "index": number, "embedding": value})
    tokens = len(rows) * model.engine.loaded.image_tokens
    whole = {
        "id": f"embd-{model.name}",
        "object": "list",
        "data": rows,
        "model": model.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
    }
    return Response(orjson.dumps(whole), media_type="application/json")


async def _features(served: Served, model: ServedModel, urls: list[str]) -> NDArray[np.float32]:
    """(pictures, width), each of length 1; the tower is asked between two steps."""
    with ExitStack() as stack:
        paths = await run_in_threadpool(_written, served, urls, stack)

        def look() -> NDArray[np.float32]:
            with model.reading:
                return model.engine.features(paths)

        features = await asyncio.wrap_future(served.batching.call(look))
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)


def _written(served: Served, urls: list[str], stack: ExitStack) -> list[str]:
    """Paths of the pictures, for as long as the stack is open."""
    paths = []
    for number, url in enumerate(urls, 1):
        try:
            content = served.pictures.content(url, number)
            scene = stack.enter_context(served.pictures.opened(content, number))
        except ServeError as error:
            raise replace(error, param="input") from None
        paths.append(str(scene.path))
    return paths
