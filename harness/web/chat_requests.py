"""A chat request: what its body may say, what is refused, the request that a model gets, and errors in OpenAI's shape.

A parameter that would not be honoured is refused. Images come in the request itself, or are files of the one allowed
folder; no address is ever fetched.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import pydantic

from harness.contracts import ModelInfo
from harness.errors import BadImage, EndpointDown, HarnessError
from harness.images import BYTE_LIMIT, inline_image, open_image
from harness.types import Failure, Generation, Image, Json, Message, Request, Role, Text
from harness.types import Part as MessagePart

_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_FILE = "file://"
#: Parameters without which an answer is the same.
_IGNORED: Final = frozenset({
    "metadata", "parallel_tool_calls", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user",
})  # fmt: skip
#: Values that mean "not at all"; so does null, of any parameter.
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
_FILTERED = "content_filter"
#: errors that are the request's own; another request may well be answered
_REQUEST_FAULTS = frozenset({"context_length", "forbidden", "image_too_large", "unsupported_request"})
_WAIT_SECONDS = 1.0


class RequestError(Exception):
    """A request that is not answered.

    Args:
        status: of the HTTP answer.
        message: for a person.
        code: short and stable.
        param: the parameter at fault.
        final: another try is no use; a header tells the SDKs of OpenAI so.
        wait: seconds to wait before another try.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        final: bool = True,
        wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.final = final
        self.wait = wait

    @property
    def payload(self) -> Json:
        """The body."""
        kinds = {404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param or None, "code": self.code or None}
        return {"error": error}

    @property
    def headers(self) -> dict[str, str]:
        """When to try again, if at all."""
        if self.final:
            return {"x-should-retry": "false"}
        return {} if self.wait is None else {"retry-after": str(math.ceil(self.wait))}


def failure_error(failure: Failure) -> RequestError:
    """The error for a failure that is no completion: all but `output_blocked`."""
    message = failure.message or failure.reason
    if failure.outcome == "input_blocked":
        return RequestError(400, message, code=_FILTERED, param="messages")
    if failure.outcome == "bad_sample":
        return RequestError(400, message, code=failure.reason, param="messages")
    if failure.transient:
        wait = failure.retry_after if failure.retry_after is not None else _WAIT_SECONDS
        return RequestError(429 if failure.throttled else 503, message, code=failure.reason, final=False, wait=wait)
    own = failure.reason in _REQUEST_FAULTS or failure.reason.startswith("http_4")
    return RequestError(400 if own else 500, message, code=failure.reason)


def model_error(error: HarnessError) -> RequestError:
    """The error for a model that answers nothing. Its remedy is for whoever runs the server, and is not sent."""
    if isinstance(error, EndpointDown):
        return RequestError(503, error.what, code="endpoint_down", final=False, wait=60.0)
    return RequestError(500, error.what, code="model_unusable")


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True)


class ImageUrl(_Strict):
    """The address of an image; `detail`, a hint for the price, is ignored."""

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
    """One message; tool calls are refused, since none can have been made."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    tool_calls: None = None
    function_call: None = None


class Schema(_Strict):
    """A named JSON Schema."""

    schema_: dict[str, Any] = pydantic.Field(alias="schema")


class ResponseFormat(_Strict):
    """Structured output; `json_object` is refused: no model here supports it."""

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
        """The sampling settings; those that are not given are left to the model."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Generation(
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            seed=self.seed,
            stop=tuple(text for text in stop if text),
        )

    @property
    def answer_schema(self) -> Mapping[str, Json] | None:
        """The JSON Schema, where one is asked for."""
        wanted = self.response_format
        return wanted.json_schema.schema_ if wanted and wanted.type == "json_schema" and wanted.json_schema else None


def parse_body(data: bytes) -> Body:
    """Read a body. Raises RequestError with the parameter at fault."""

    def refuse_constant(text: str) -> Json:
        raise ValueError(f"{text} is not a number of JSON")

    try:
        body = Body.model_validate(json.loads(data, parse_constant=refuse_constant))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = f"{where or 'the body'}: {first['msg']}"
        raise RequestError(400, message, param=where, code="invalid_value") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}", code="invalid_json") from None
    for name, value in (body.model_extra or {}).items():  # what would make another answer is refused
        neutral = any(
            # Equality as JSON means it; to Python True is 1.
            bool(value == each) and isinstance(value, bool) == isinstance(each, bool)
            for each in _NEUTRAL.get(name, ())
        )
        if value is not None and name not in _IGNORED and not neutral:
            given = f"{name}={json.dumps(value)[:60]}" if name in _NEUTRAL else name
            raise RequestError(400, f"{given} is not supported here", param=name, code="unsupported_parameter")
    if body.response_format and body.response_format.type == "json_schema" and body.answer_schema is None:
        raise RequestError(400, "response_format needs a json_schema", param="response_format", code="invalid_value")
    return body


def build_request(body: Body, info: ModelInfo, files: Path | None) -> Request:
    """The request to the model, with its images opened. Blocking. Raises RequestError if the model cannot honour it."""
    # What the model has no ability for is refused, as before a run; nothing is ever dropped.
    images = sum(isinstance(part, ImagePart) for turn in body.messages for part in turn.content or "")
    most = info.max_images if "images" in info.can else 0
    if most is not None and images > most:
        raise RequestError(400, f"{images} images: the model takes {most}", param="messages", code="too_many_images")
    if "system" not in info.can and any(turn.role in ("system", "developer") for turn in body.messages):
        raise RequestError(400, "the model takes no system message", param="messages", code="unsupported_value")
    if body.answer_schema is not None and "schema" not in info.can:
        message = "response_format is not supported: the model has no structured output"
        raise RequestError(400, message, param="response_format", code="unsupported_parameter")
    messages: list[Message] = []
    for number, turn in enumerate(body.messages):
        role: Role = "system" if turn.role == "developer" else turn.role
        parts: list[MessagePart] = []
        for at, part in enumerate(turn.content if isinstance(turn.content, list) else ()):
            if isinstance(part, ImagePart):
                parts.append(open_picture(part.image_url.url, files, f"messages.{number}.content.{at}"))
            else:
                parts.append(Text(text=part.text))
        if not isinstance(turn.content, list):
            parts.append(Text(text=turn.content or ""))
        messages.append(Message(role=role, content=tuple(parts)))
    return Request(messages=tuple(messages), settings=body.generation, schema=body.answer_schema)


def open_picture(url: str, files: Path | None, place: str) -> Image:
    """The opened image behind an address.

    Args:
        url: `data:image/…;base64,…`, or `file://…` under `files`.
        files: the allowed folder; None allows none.
        place: the part of the body, for the error; also the image's name.

    Raises:
        RequestError: it may not be read, or is no image that models take.
    """
    if _DATA.match(url):
        try:
            data = base64.b64decode(url.partition(",")[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError(400, f"{place}: not base64: {error}", param=place, code="invalid_base64") from None
    elif url.startswith(_FILE):
        data = _read_allowed(url.removeprefix(_FILE), files, place)
    else:
        head = url[:40].partition(",")[0]
        message = f"{place}: {head!r}: images are data URLs (data:image/png;base64,…); no address is fetched"
        raise RequestError(400, message, param=place, code="invalid_image_url")
    try:
        return open_image(inline_image(place, data))
    except BadImage as fault:
        raise RequestError(400, str(fault), param=place, code=fault.reason) from None


def _read_allowed(name: str, files: Path | None, place: str) -> bytes:
    """The bytes of a file in the allowed folder; one outside is refused in the same words whether it exists or not."""
    if files is None:
        raise RequestError(400, f"{place}: no folder of files is allowed here", param=place, code="files_not_allowed")
    path = name.removeprefix("localhost")
    for spelling in dict.fromkeys((path, unquote(path))):  # clients quote names, or do not
        if (data := _read_file(spelling, files.resolve(), place)) is not None:
            return data
    raise RequestError(400, f"{place}: there is no such file", param=place, code="missing")


def _read_file(spelling: str, root: Path, place: str) -> bytes | None:
    try:
        path = Path(spelling)
        real = path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte
        return None
    if not path.is_absolute() or not real.is_relative_to(root):
        raise RequestError(400, f"{place}: outside the allowed folder", param=place, code="outside_root")
    try:
        found = real.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > BYTE_LIMIT:
            raise RequestError(400, f"{place}: {found.st_size} bytes are too many", param=place, code="too_many_bytes")
        return real.read_bytes()
    except OSError:
        return None
