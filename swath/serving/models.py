"""`/v1/models` and `/health`: what is served, and whether the server is well."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from swath.serving.protocol import LONGEST_PAGE, Paging, Row
from swath.serving.served import Served

router = APIRouter()


def of_request(request: Request) -> Served:
    """What the server that got a request holds."""
    served: Served = request.app.state.swath
    return served


Serving = Annotated[Served, Depends(of_request)]
"""A route's parameter: what the server holds."""


@router.get("/health")
async def health(request: Request, served: Serving) -> Row:
    """Whether the server answers, and for which models; why jobs do not go on, if they do not."""
    troubles = request.app.state.office.troubles.values()
    jobs = {"jobs": "; ".join(troubles)} if troubles else {}
    return {"status": "ok", "models": list(served.models), **jobs}


@router.get("/v1/models")
async def list_models(served: Serving) -> Row:
    """All models, in the order in which they came."""
    cards = [model.card for model in served.models.values()]
    return Paging(limit=LONGEST_PAGE).of(cards)


@router.get("/v1/models/{name:path}")
async def get_model(name: str, served: Serving) -> Row:
    """One model."""
    return served.model(name).card
