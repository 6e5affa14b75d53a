"""Errors of a request that gets no completion, in the shape of OpenAI's."""

from __future__ import annotations

import math

from harness.errors import EndpointDown, HarnessError
from harness.types import Failure, Json

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
