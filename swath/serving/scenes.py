"""`/v1/scenes/ask`: a question about a scene with a place on Earth; its boxes come as GeoJSON."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import Response
from shapely import Polygon
from shapely.geometry import mapping
from shapely.geometry.polygon import orient
from starlette.concurrency import run_in_threadpool

from swath.imagery.georeference import within_a_turn
from swath.serving.access import client_of
from swath.serving.answers import Head, usage
from swath.serving.asking import ChatRequest, ImagePart, TextPart, UserMessage
from swath.serving.completions import GONE, Asked, watched
from swath.serving.models import Serving
from swath.serving.protocol import Row, ServeError, new_id, now
from swath.serving.questions import question_about, wishes_of
from swath.serving.served import Served

router = APIRouter()

Name = Annotated[str, Form(max_length=500)]
Words = Annotated[str, Form(min_length=1, max_length=100_000)]
Tokens = Annotated[int | None, Form(ge=1, le=2**31)]


@router.post("/v1/scenes/ask")
async def ask_scene(
    request: Request,
    served: Serving,
    file: UploadFile,
    model: Name,
    question: Words,
    max_tokens: Tokens = None,
) -> Response:
    """A FeatureCollection of the boxes that the answer names; `answer` beside it has its words.

    The scene is shown to the model whole, at the size the model reads. Each feature's polygon is in
    longitude and latitude (RFC 7946), and its `pixels` are the corners in the scene.
    """
    image = ImagePart(type="image_url", image_url="")
    content = [image, TextPart(type="text", text=question)]
    message = UserMessage(role="user", content=content)
    body = ChatRequest(model=model, messages=[message], max_tokens=max_tokens)
    asked = await run_in_threadpool(_read, served, body, file)
    client = client_of(request.scope)
    ticket = served.batching.submit(asked.model.rows, asked.answers, False, client)
    async for _ in watched(request, served, ticket):
        pass
    if ticket.gone:
        return Response(status_code=GONE)
    (answer,) = asked.answers
    features = [_feature(box) for box in asked.notes(answer)["boxes"]]
    collection = {
        "type": "FeatureCollection",
        "features": features,
        "id": asked.head.id,
        "model": model,
        "answer": answer.text,
        "finish_reason": answer.finish,
        "usage": usage(asked.answers),
    }
    return Response(orjson.dumps(collection), media_type="application/geo+json")


def _read(served: Served, body: ChatRequest, file: UploadFile) -> Asked:
    model = served.model(body.model)
    with served.pictures.received(file.file, served.limits.scene_px) as scene:
        question = question_about(model, body.messages, [scene])
    if question.place is None:
        raise ServeError(
            400,
            "The scene does not say where it lies; give it a CRS (rio edit-info --crs EPSG:CODE), "
            "or ask /v1/chat/completions, which answers in pixels.",
            "file",
            "no_georeference",
        )
    wishes = wishes_of(body, model, question.prompt, served.limits)
    answer = model.rows.answer(question.prompt, wishes)
    return Asked(Head(new_id("scene"), now(), model.name), model, question, [answer])


def _feature(box: Row) -> Row:
    """A box as GeoJSON; of one that lies off the planet the pixels alone are known."""
    geometry = None
    if "lonlat" in box:
        corners = np.array(box["lonlat"])
        corners[:, 0] = np.unwrap(corners[:, 0], period=360)  # across the date line it runs on
        geometry = mapping(within_a_turn(orient(Polygon(corners))))
    return {"type": "Feature", "geometry": geometry, "properties": {"pixels": box["pixels"]}}
