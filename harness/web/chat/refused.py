"""What a client is told when it gets no completion, in the shape of OpenAI's errors."""

from __future__ import annotations

import math

from harness.errors import EndpointDown, HarnessError
from harness.types import Failure, Json

_FILTERED = "content_filter"
#: errors that are the request's own; another request may well be answered
_OF_THE_REQUEST = frozenset({"context_length", "forbidden", "image_too_large", "unsupported_request"})
_WAIT_SECONDS = 1.0


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of the HTTP answer.
        message: for a person.
        code: short and stable.
        param: the parameter at fault.
        final: another try is no use, which the SDKs of OpenAI are told in a header.
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


def of_failure(failure: Failure) -> Refused:
    """A failure that is no completion: all but `output_blocked`."""
    said = failure.message or failure.reason
    if failure.outcome == "input_blocked":
        return Refused(400, said, code=_FILTERED, param="messages")
    if failure.outcome == "bad_sample":
        return Refused(400, said, code=failure.reason, param="messages")
    if failure.transient:
        wait = failure.retry_after if failure.retry_after is not None else _WAIT_SECONDS
        return Refused(429 if failure.throttled else 503, said, code=failure.reason, final=False, wait=wait)
    own = failure.reason in _OF_THE_REQUEST or failure.reason.startswith("http_4")
    return Refused(400 if own else 500, said, code=failure.reason)


def of_error(error: HarnessError) -> Refused:
    """Nothing works: whoever runs the server must mend it. The remedy is theirs and is not sent."""
    if isinstance(error, EndpointDown):
        return Refused(503, error.what, code="endpoint_down", final=False, wait=60.0)
    return Refused(500, error.what, code="model_unusable")
