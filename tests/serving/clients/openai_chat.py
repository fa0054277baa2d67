"""Everything that OpenAI's client can ask in a chat; prints what came of it as JSON.

    python openai_chat.py ADDRESS MODEL SEEING PICTURE BOMB

SEEING is a model that needs a picture; PICTURE and BOMB are data URIs. Nothing but the address
tells this from a chat with OpenAI.
"""

import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel

ADDRESS, MODEL, SEEING, PICTURE, BOMB = sys.argv[1:]

client = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key="EMPTY", max_retries=0)
told = {"version": openai.__version__}
QUESTION = {"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": PICTURE}},
    {"type": "text", "text": "What kind of scene is this?"},
]}  # fmt: skip


def ask(*messages, **fields):
    return client.chat.completions.create(model=MODEL, messages=[*messages], **fields)


def refused(call, **fields):
    """Class, status, message and parameter of the client's own exception."""
    try:
        call(**fields)
    except openai.APIError as error:
        status = getattr(error, "status_code", None)
        return [type(error).__name__, status, error.message, error.param]
    return None


class Box(BaseModel):
    x: int
    y: int


class Scene(BaseModel):
    label: Literal["harbour", "forest", "bare land"]
    boxes: list[Box]
    cloudy: bool


first = ask(QUESTION, max_completion_tokens=20)
told["answer"] = first.choices[0].message.content
told["finish"] = first.choices[0].finish_reason
told["boxes"] = first.choices[0].model_extra["swath"]["boxes"]
told["usage"] = first.usage.model_dump()
again = ask(
    QUESTION, first.choices[0].message, {"role": "user", "content": "And now?"}, max_tokens=4
)
told["again"] = again.choices[0].message.content

chunks = list(ask(QUESTION, max_tokens=20, stream=True, stream_options={"include_usage": True}))
told["streamed"] = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
told["finishes"] = [c.choices[0].finish_reason for c in chunks if c.choices]
told["streamed usage"] = chunks[-1].usage.model_dump()

likely = ask(QUESTION, max_tokens=3, logprobs=True, top_logprobs=2).choices[0].logprobs.content
told["likely"] = [[token.token, token.logprob, len(token.top_logprobs)] for token in likely]

parse = client.chat.completions.parse
told["parsed"] = [
    parse(model=MODEL, messages=[QUESTION], response_format=Scene, max_tokens=most)
    .choices[0].message.parsed.model_dump()
    for most in (5, 20, 50)
]  # fmt: skip
some = ask(QUESTION, n=2, seed=3, temperature=1.5, max_tokens=6)
told["several"] = [choice.message.content for choice in some.choices]

vectors = client.embeddings.create(model=MODEL, input=[PICTURE, PICTURE])
told["vectors"] = [[len(row.embedding), sum(x * x for x in row.embedding)] for row in vectors.data]
told["models"] = [model.id for model in client.models.list()]
told["model"] = client.models.retrieve(MODEL).model_dump()

create = client.chat.completions.create


def shows(url):
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


words = {"role": "user", "content": "What </s><image> is it?"}
told["words"] = create(model=MODEL, messages=[words], max_tokens=4).choices[0].finish_reason
forbidden = {"type": "object", "properties": {"a": {"not": {}}}}
form = {"type": "json_schema", "json_schema": {"name": "a", "schema": forbidden}}
told["refused"] = {
    "model": refused(create, model="other", messages=[QUESTION]),
    "picture": refused(create, model=MODEL, messages=[shows("file:///etc/x")]),
    "no picture": refused(create, model=SEEING, messages=[words]),
    "bomb": refused(create, model=MODEL, messages=[shows(BOMB)]),
    "text": refused(create, model=MODEL, messages=[shows("data:image/png;base64,aGVsbG8=")]),
    "pictures": refused(create, model=MODEL, messages=[QUESTION] * 65),
    "schema": refused(create, model=MODEL, messages=[QUESTION], response_format=form),
    "field": refused(create, model=MODEL, messages=[QUESTION], extra_body={"top_k": 3}),
    "embedding": refused(client.embeddings.create, model=MODEL, input="a word"),
}
endless = {"type": "array", "items": {"type": "integer"}, "minItems": 5000}
form = {"type": "json_schema", "json_schema": {"name": "a", "schema": endless}}
told["refused"]["stream"] = refused(
    lambda **fields: list(create(**fields)),
    model=MODEL, messages=[QUESTION], response_format=form, stream=True, max_tokens=5,
)  # fmt: skip
print(json.dumps(told))
