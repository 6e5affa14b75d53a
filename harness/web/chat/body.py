"""The body of a chat request: what is understood, and what is refused because it would not be honoured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import pydantic

from harness.types import Generation, Json
from harness.web.chat.refused import Refused

#: Parameters without which an answer is the same.
_IDLE: Final = frozenset({
    "metadata", "parallel_tool_calls", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user",
})  # fmt: skip
#: Values by which clients say "not at all"; so does null, of any parameter.
_NEUTRAL: Final[Mapping[str, tuple[Json, ...]]] = {
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "presence_penalty": (0,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True)


class ImageUrl(_Strict):
    """`detail` is a hint for the price of an image, and no model here knows it."""

    url: str


class TextPart(_Strict):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImagePart(_Strict):
    """An image by its address."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, pydantic.Field(discriminator="type")]


class Turn(_Strict):
    """One message; calls of tools are refused, since none can have been made."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    tool_calls: None = None
    function_call: None = None


class Schema(_Strict):
    """A named JSON Schema."""

    schema_: dict[str, Any] = pydantic.Field(alias="schema")


class ResponseFormat(_Strict):
    """Structured output; `json_object` is refused: no model here can be held to it."""

    type: Literal["text", "json_schema"]
    json_schema: Schema | None = None


class StreamOptions(_Strict):
    """What a stream ends with."""

    include_usage: bool = False


Amount = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, pydantic.Field(ge=1)]


class Body(_Strict):
    """A request as clients send it."""

    model_config = pydantic.ConfigDict(extra="allow", strict=True, frozen=True)

    model: str
    messages: list[Turn] = pydantic.Field(min_length=1)
    temperature: Amount | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    top_p: Annotated[float, pydantic.Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def generation(self) -> Generation:
        """What is not given is left to the model."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Generation(
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            seed=self.seed,
            stop=tuple(text for text in stop if text),
        )

    @property
    def schema_of_answer(self) -> Mapping[str, Json] | None:
        """The JSON Schema, where one is asked for."""
        wanted = self.response_format
        return wanted.json_schema.schema_ if wanted and wanted.type == "json_schema" and wanted.json_schema else None


def parse(data: bytes) -> Body:
    """Read a body. Raises Refused with the parameter at fault."""
    try:
        body = Body.model_validate(json.loads(data, parse_constant=_no_number))
    except pydantic.ValidationError as error:
        raise _refused(error) from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}", code="invalid_json") from None
    for name, value in (body.model_extra or {}).items():
        _check(name, value)
    if body.response_format and body.response_format.type == "json_schema" and body.schema_of_answer is None:
        raise Refused(400, "response_format needs a json_schema", param="response_format", code="invalid_value")
    return body


def _check(name: str, value: Json) -> None:
    """Refuse a parameter that would make another answer."""
    if value is None or name in _IDLE or any(_same(value, idle) for idle in _NEUTRAL.get(name, ())):
        return
    given = f"{name}={json.dumps(value)[:60]}" if name in _NEUTRAL else name
    raise Refused(400, f"{given} is not supported here", param=name, code="unsupported_parameter")


def _same(value: Json, idle: Json) -> bool:
    """Equality as JSON means it; to Python True is 1."""
    return bool(value == idle) and isinstance(value, bool) == isinstance(idle, bool)


def _refused(error: pydantic.ValidationError) -> Refused:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return Refused(400, f"{where or 'the body'}: {first['msg']}", param=where, code="invalid_value")


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no number of JSON")
