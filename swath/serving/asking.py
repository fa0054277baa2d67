"""What may be asked: the fields of a chat request, of OpenAI's client and of Mistral's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from swath.models.generating.choosing import LIKELIEST
from swath.serving.protocol import ServeError

Text = Annotated[str, Field(max_length=4_000_000)]


def _absent(value: Any) -> Any:
    """Refuse what asks for something that is not done here."""
    if value and value not in ("none", "auto", "default"):
        raise ValueError("not done here; leave it out")
    return value


Absent = Annotated[Any, AfterValidator(_absent)]
"""A field that changes nothing: absent, empty, or what the client sends by itself."""


class Fields(BaseModel):
    """A JSON object; unknown fields are refused, because they would be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TextPart(Fields):
    """Words."""

    type: Literal["text"]
    text: Text


class Address(Fields):
    """Where a picture is; `detail` is taken and changes nothing, as a model has one size."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Fields):
    """A picture, as `data:image/png;base64,...`."""

    type: Literal["image_url"]
    image_url: Address | str

    @property
    def url(self) -> str:
        """Where it is."""
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class SystemMessage(Fields):
    """The instruction before the first question."""

    role: Literal["system", "developer"]
    content: Text | list[TextPart]
    name: str | None = None


class UserMessage(Fields):
    """A question."""

    role: Literal["user"]
    content: Text | list[Part]
    name: str | None = None


class AssistantMessage(Fields):
    """An earlier answer, as it was given or as a client sends it back."""

    role: Literal["assistant"]
    content: Text | list[TextPart]
    name: str | None = None
    prefix: Literal[False] = False
    refusal: Absent = None
    annotations: Absent = None
    audio: Absent = None
    function_call: Absent = None
    tool_calls: Absent = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class NamedSchema(Fields):
    """A JSON schema; it is always kept to, whatever `strict` says."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class PlainFormat(Fields):
    """Words, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaFormat(Fields):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class StreamOptions(Fields):
    """What a stream ends with."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Fields):
    """A chat request.

    Fields of the last lines ask for what is not done here, and are refused unless they are empty.
    """

    model: Annotated[str, Field(max_length=500)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    max_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: Annotated[int, Field(ge=-(2**62), lt=2**62)] | None = None
    random_seed: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = (
        None
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: PlainFormat | SchemaFormat | None = Field(None, discriminator="type")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=LIKELIEST)] | None = None

    user: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    safe_prompt: Literal[False] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: list[Literal["text"]] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    parallel_tool_calls: bool | None = None
    audio: Absent = None
    function_call: Absent = None
    functions: Absent = None
    guardrails: Absent = None
    logit_bias: Absent = None
    prediction: Absent = None
    prompt_mode: Absent = None
    reasoning_effort: Absent = None
    tool_choice: Absent = None
    tools: Absent = None
    verbosity: Literal["medium"] | None = None
    web_search_options: Absent = None

    @property
    def most_tokens(self) -> int | None:
        """Tokens that the answer may have, by either field.

        Raises:
            ServeError: the two differ.
        """
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise ServeError(
                400, "max_tokens and max_completion_tokens differ; send one.", "max_tokens"
            )
        return both.pop() if both else None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which the answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
