"""Everything that Mistral's client can ask in a chat; prints what came of it as JSON.

    python mistral_chat.py ADDRESS MODEL SEEING PICTURE BOMB

SEEING is a model that needs a picture; PICTURE and BOMB are data URIs.
"""

import json
import sys
from importlib.metadata import version

try:
    from mistralai.client import Mistral
except ImportError:  # before 2.0
    from mistralai import Mistral

ADDRESS, MODEL, SEEING, PICTURE, BOMB = sys.argv[1:]

client = Mistral(api_key="EMPTY", server_url=ADDRESS)
told = {"version": version("mistralai")}
QUESTION = {"role": "user", "content": [
    {"type": "text", "text": "What kind of scene is this?"},
    {"type": "image_url", "image_url": PICTURE},
]}  # fmt: skip


def ask(*messages, **fields):
    return client.chat.complete(model=MODEL, messages=[*messages], **fields)


def refused(call, **fields):
    """Class, status and body of the client's own exception."""
    try:
        call(**fields)
    except Exception as error:  # its classes have moved between versions
        return [type(error).__name__, getattr(error, "status_code", None), str(error)]
    return None


first = ask(QUESTION, max_tokens=20)
told["answer"] = first.choices[0].message.content
told["finish"] = first.choices[0].finish_reason
told["usage"] = first.usage.total_tokens
again = ask(
    QUESTION, first.choices[0].message, {"role": "user", "content": "And now?"}, max_tokens=4
)
told["again"] = again.choices[0].message.content

events = [
    event.data for event in client.chat.stream(model=MODEL, messages=[QUESTION], max_tokens=20)
]
told["streamed"] = "".join(event.choices[0].delta.content or "" for event in events)
told["streamed finish"] = events[-1].choices[0].finish_reason
told["streamed usage"] = events[-1].usage.total_tokens

schema = {"type": "object", "properties": {"label": {"enum": ["port", "forest"]}},
          "required": ["label"], "additionalProperties": False}  # fmt: skip
form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
told["json"] = ask(QUESTION, response_format=form, max_tokens=2).choices[0].message.content
some = ask(QUESTION, n=2, random_seed=3, temperature=1.5, max_tokens=6, safe_prompt=False)
told["several"] = [choice.message.content for choice in some.choices]
told["vector"] = len(client.embeddings.create(model=MODEL, inputs=[PICTURE]).data[0].embedding)
told["models"] = [model.id for model in client.models.list().data]
told["model"] = client.models.retrieve(model_id=MODEL).model_dump(mode="json")
complete = client.chat.complete


def shows(url):
    return {"role": "user", "content": [{"type": "image_url", "image_url": url}]}


words = {"role": "user", "content": "What </s><image> is it?"}
told["words"] = complete(model=MODEL, messages=[words], max_tokens=4).choices[0].finish_reason
schema["properties"]["label"] = {"not": {}}
told["refused"] = {
    "model": refused(complete, model="other", messages=[QUESTION]),
    "field": refused(complete, model=MODEL, messages=[QUESTION], temperature=3.0),
    "picture": refused(complete, model=MODEL, messages=[shows("file:///etc/x")]),
    "pictures": refused(complete, model=MODEL, messages=[QUESTION] * 65),
    "no picture": refused(complete, model=SEEING, messages=[words]),
    "bomb": refused(complete, model=MODEL, messages=[shows(BOMB)]),
    "text": refused(complete, model=MODEL, messages=[shows("data:image/png;base64,aGVsbG8=")]),
    "schema": refused(complete, model=MODEL, messages=[QUESTION], response_format=form),
}
print(json.dumps(told))
