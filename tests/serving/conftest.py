"""A server of a tiny model for the tests, in this process."""

import base64
import io

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from swath.serving.app import create_app
from swath.serving.served import Limits

HERE = "http://127.0.0.1:8000"


def uri(box=(8, 12, 20, 20), size_wh=(32, 32), colour=(220, 30, 30)) -> str:
    """A picture of one coloured rectangle on grey ground, as a data URI."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 110, dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = colour
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def shows(*urls, words="What is it?") -> dict:
    """A user's message of pictures and words."""
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*images, {"type": "text", "text": words}]}


@pytest.fixture
def app(tiny_base, tmp_path):
    """An application that serves the tiny model."""
    limits = Limits(images=3, image_px=1_000_000, new_tokens=64, rows=4, waiting=12)
    return create_app({"tiny": tiny_base}, tmp_path / "serving", limits=limits)


@pytest.fixture
def client(app):
    """What sends requests to it."""
    with TestClient(app, base_url=HERE) as client:
        yield client
