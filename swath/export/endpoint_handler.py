"""`EndpointHandler`: an exported folder behind a Hugging Face Inference Endpoint.

It answers through the code of `swath serve`, with the same limits; no address is read.
"""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from PIL import Image
from pydantic import ValidationError

from swath.serving.access import Access
from swath.serving.asking import ChatRequest
from swath.serving.completions import Asked, ask, completion_of
from swath.serving.protocol import Row, ServeError, as_invalid
from swath.serving.served import Limits, Served

DESCRIBE = "Describe the image."
"""What is asked about a picture that comes without a question."""

NAME = "model"
_QUESTION_FIELDS = {"image", "images", "question", "text"}


class EndpointHandler:
    """A handler as the endpoint's toolkit calls it: made once, then called with each request.

    Args:
        path: of the exported folder.
        limits: of requests; those of `swath serve` without them.

    Raises:
        ModelError: the folder is damaged.
    """

    def __init__(self, path: str = "", limits: Limits | None = None) -> None:
        self._scratch = TemporaryDirectory(prefix="swath-endpoint-")
        self._served = Served(Path(self._scratch.name) / "serving", limits)
        self._served.add_model(NAME, path or ".")
        # The toolkit calls from threads, or from within a loop of its own.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def __call__(self, data: Mapping[str, Any]) -> Row | list[Row]:
        """The answer to a request.

        Args:
            data: `messages` with the fields of a chat request; or `inputs`, a picture, a question,
                or an object of `image` (or `images`) and `question`, with `parameters`. Pictures
                are data URIs or plain base64.

        Returns:
            Of messages, a chat completion; else a list with `generated_text` and `boxes`.

        Raises:
            ServeError: the request is wrong; its words say how.
            SwathError: a picture or the words cannot be read.
        """
        body = self._checked(chat_body(data))
        answer = asyncio.run_coroutine_threadsafe(self._answer(body), self._loop)
        completion = completion_of(answer.result())
        if "messages" in data or isinstance(data.get("inputs"), list):
            return completion
        return [
            {"generated_text": choice["message"]["content"], "boxes": choice["swath"]["boxes"]}
            for choice in completion["choices"]
        ]

    def close(self) -> None:
        """Answer no more, and remove what was kept on disk."""
        self._served.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._scratch.cleanup()

    async def _answer(self, body: ChatRequest) -> Asked:
        asked = await asyncio.to_thread(ask, self._served, body)
        ticket = self._served.batching.submit(asked.model.rows, asked.answers, growing=False)
        while not ticket.ended:
            await ticket.step()
        return asked

    def _checked(self, body: Row) -> ChatRequest:
        most = Access().body_bytes
        try:
            if len(orjson.dumps(body)) > most:
                raise ServeError(413, f"The request has over {most} bytes; send smaller pictures.")
            request = ChatRequest.model_validate(body)
        except orjson.JSONEncodeError:
            raise ServeError(422, "The request holds what JSON does not.") from None
        except ValidationError as error:
            problems = error.errors()
            raise as_invalid([{**row, "loc": ("body", *row["loc"])} for row in problems]) from None
        if request.stream:
            raise ServeError(
                400, "An endpoint's handler answers whole; leave stream out.", "stream"
            )
        return request


def chat_body(data: Mapping[str, Any]) -> Row:
    """A request of any form as a chat request.

    Raises:
        ServeError: it has a form that is none.
    """
    inputs = data.get("inputs")
    if isinstance(inputs, list) and "messages" not in data:
        data = {**data, "messages": inputs}
    fields = {key: value for key, value in data.items() if key not in ("inputs", "parameters")}
    parameters = data.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ServeError(422, 'parameters: an object, as in {"max_tokens": 64}.', "parameters")
    if "max_new_tokens" in parameters:  # the Hub's name of it
        parameters = {**parameters, "max_tokens": parameters["max_new_tokens"]}
        del parameters["max_new_tokens"]
    if "messages" in fields:
        return {**fields, **parameters, "model": NAME}
    if isinstance(inputs, Image.Image):
        inputs = {"image": _data_uri(inputs)}
    elif isinstance(inputs, str):
        inputs = {"question": inputs}
    if not isinstance(inputs, dict) or not inputs.keys() <= _QUESTION_FIELDS or fields:
        raise ServeError(
            422,
            'inputs: send {"inputs": {"image": base64, "question": words}, "parameters": {}}, '
            "or chat messages.",
            "inputs",
        )
    pictures = inputs.get("images") or ([inputs["image"]] if inputs.get("image") else [])
    if not isinstance(pictures, list):
        raise ServeError(422, "images: a list of pictures.", "images")
    question = inputs.get("question") or inputs.get("text") or DESCRIBE
    parts: list[Row] = [{"type": "image_url", "image_url": _uri(each)} for each in pictures]
    parts.append({"type": "text", "text": question})
    return {"model": NAME, "messages": [{"role": "user", "content": parts}], **parameters}


def _uri(picture: Any) -> Any:
    """A picture as a data URI; what is none is refused where pictures are read."""
    if isinstance(picture, str) and ":" not in picture[:64]:
        return f"data:application/octet-stream;base64,{picture}"
    return picture


def _data_uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
