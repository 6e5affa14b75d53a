"""Turns an error status into a Failure of one sample, or a HarnessError that ends the run.

401, 403 and 404 are `Forbidden`: it ends the run unless the model has answered something before.

A filter is recognised by the code, type or inner code a server gives, or, if a server gives only a general code, by
one of the few sentences it is known to begin its message with. Any other 400 is an `error`, never a refusal. Servers
also say, in several ways, that they do not support a parameter: `find_unsupported`.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urljoin, urlsplit

from harness.errors import Forbidden, HarnessError
from harness.http.settings import Address
from harness.types import Failure, Json

#: Codes and types by which servers say that a content filter refused the request.
FILTER_CODES = frozenset({
    "content_filter",  # OpenAI, Azure OpenAI, Moonshot
    "contentFilter",  # Azure OpenAI, images
    "content_policy_violation",  # OpenAI
    "moderation_blocked",  # OpenAI
    "ResponsibleAIPolicyViolation",  # Azure OpenAI, inner error
    "data_inspection_failed",  # DashScope
    "DataInspectionFailed",
    "sensitive_words_detected",  # gateways
})  # fmt: skip
_FILTER_CODE_ENDS = ("SensitiveContentDetected",)  # Volcengine: InputText…, InputImage…, OutputText…
#: How the message of a filter begins where its code says nothing.
FILTER_SENTENCES = (
    "invalid prompt: your prompt was flagged as potentially violating our usage policy",  # OpenAI reasoning models
    "content exists risk",  # DeepSeek
    "content violates usage guidelines",  # xAI, with status 403
    "output blocked by content filtering policy",  # Anthropic
)
QUOTA_CODES = frozenset({
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active",  # OpenAI
    "billing_error", "contract_spend_limit_reached", "enforced_spend_limit_reached",  # Anthropic
})  # fmt: skip
#: How the message begins where the code of an account without credit is that of any bad request.
QUOTA_SENTENCES = (
    "your credit balance is too low",  # Anthropic
    "you have reached your specified api usage limits",
)
MODEL_CODES = frozenset({"model_not_found", "DeploymentNotFound"})
ACCOUNT_CODES = frozenset({"organization_on_hold"})  # Anthropic, with status 400
_PASSING = frozenset({408, 409, 425, 429})
_THROTTLED = frozenset({429, 529})  # the latter: Anthropic is overloaded
#: Statuses with which a request is refused for what it holds.
REFUSALS = frozenset({400, 422})
_UNSUPPORTED_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_UNSUPPORTED = re.compile(
    r"not supported|unsupported|not support|not permitted|extra_forbidden|unrecogni[sz]ed|unknown (parameter|argument)"
    r"|deprecated for this model",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """A server's error, read from the usual forms of error bodies.

    Attributes:
        message: the server's words, with those of the provider behind a gateway.
        codes: code, type, inner codes and the stage that was moderated, as text.
        param: the parameter it names, or empty.
        moderated: a gateway's own moderation flagged the input (OpenRouter).
    """

    message: str
    codes: frozenset[str] = frozenset()
    param: str = ""
    moderated: bool = False

    @staticmethod
    def of(body: bytes) -> ApiError:
        """Read an error body; one that is not JSON is its own message."""
        try:
            return ApiError.read(json.loads(body))
        except (ValueError, RecursionError):
            return ApiError(message=body[:2000].decode("utf-8", "replace"))

    @staticmethod
    def read(payload: Json) -> ApiError:
        """Read parsed JSON: `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`, or a list of one."""
        outer = as_mapping(next(iter(as_list(payload)), payload))
        error = outer.get("error", outer)
        inside = as_mapping(error) or outer
        inner = as_mapping(inside.get("innererror") or inside.get("inner_error"))
        behind = as_mapping(inside.get("metadata"))
        details = as_mapping(inside.get("details"))  # Anthropic's
        stage = as_mapping(inside.get("moderation_details")).get("moderation_stage")  # OpenAI's images: input or output
        codes = (inside.get("code"), inside.get("type"), inner.get("code"), details.get("error_code"), stage)
        said = error if isinstance(error, str) else inside.get("message") or inside.get("detail")
        message = said if isinstance(said, str) else json.dumps(said if said is not None else payload)
        raw = behind.get("raw")
        return ApiError(
            message=f"{message}: {raw}" if isinstance(raw, str) else message,
            codes=frozenset(str(code) for code in codes if isinstance(code, str | int)),
            param=as_text(inside.get("param")),
            moderated="flagged_input" in behind,
        )

    @property
    def filtered(self) -> bool:
        """Whether a content filter refused the request, by its code or by a known first sentence."""
        if self.moderated or self.codes & FILTER_CODES or any(code.endswith(_FILTER_CODE_ENDS) for code in self.codes):
            return True
        return self._begins(FILTER_SENTENCES)

    @property
    def spent(self) -> bool:
        """Whether the account has no credit left, by its code or by a known first sentence."""
        return bool(self.codes & QUOTA_CODES) or self._begins(QUOTA_SENTENCES)

    def _begins(self, sentences: tuple[str, ...]) -> bool:
        return self.message.strip().casefold().startswith(sentences)

    @property
    def blocked(self) -> Literal["input_blocked", "output_blocked"]:
        """What a filter blocked: the prompt, unless its message begins with the output."""
        words = (self.message, *self.codes)
        made = any(word.casefold().startswith(("output", "generated image")) for word in words)
        return "output_blocked" if made else "input_blocked"


Complaint = ApiError  #: its former name, for plugins that know it


def as_mapping(value: Json) -> Mapping[str, Json]:
    """A JSON object; an empty one for any other value."""
    return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}


def as_list(value: Json) -> Sequence[Json]:
    """A JSON array; an empty one for any other value."""
    return cast("Sequence[Json]", value) if isinstance(value, list) else ()


def as_text(value: Json) -> str:
    """A JSON string; an empty one for any other value."""
    return value if isinstance(value, str) else ""


def as_count(value: Json) -> int:
    """A number of tokens; 0 for anything but a positive integer."""
    return value if isinstance(value, int) and value > 0 else 0


def failure(status: int, headers: Mapping[str, str], error: ApiError, where: Address) -> Failure:
    """The Failure for a status of 300 and more.

    For 408, 409, 425, 429 and 5xx another try may help; 429 and 529 also mean that the endpoint is throttled. A filter
    gives `input_blocked`, or `output_blocked` if the server says that the answer was filtered. All else is a final
    `error`; for a redirect it names both hosts.

    Raises:
        Forbidden: 401, 403, 404, or no such model.
        HarnessError: no request will work: 402, the quota is used up, or the account is on hold.
    """
    message = where.redact(error.message)
    if redirect := _describe_redirect(status, headers, where):
        return Failure(outcome="error", reason=f"http_{status}", message=where.redact(redirect))
    if error.filtered:
        return Failure(outcome=error.blocked, reason="content_filter", message=message)
    if error.spent or status == 402:
        raise HarnessError(f"the quota is used up: {message}", where=where.url, remedy="add credit, then run again")
    if error.codes & MODEL_CODES or status == 404:
        raise Forbidden(
            f"no such model or address: {message}",
            where=where.url,
            remedy="check the model's name and the server's address (most want it to end in /v1)",
        )
    if status in (401, 403) or error.codes & ACCOUNT_CODES:
        key = f"the key in {where.key_env}" if where.key_env else "the key"
        another = f"export {where.key_env}=…" if where.key_env else "give another key"
        if not where.key:
            what = "the server was asked without a key and refuses"
            remedy = "name the environment variable that holds the key, such as -M api_key_env=MY_KEY (a judge: -J)"
        elif status == 401:
            what, remedy = f"{key} is not accepted", another
        else:
            what, remedy = f"{key} may not do this", f"allow it, or {another}"
        kind = HarnessError if error.codes & ACCOUNT_CODES else Forbidden
        raise kind(f"{what}: {message}", where=where.url, remedy=remedy)
    return Failure(
        outcome="error",
        reason=f"http_{status}",
        message=message or f"status {status}, and the server gives no reason",
        transient=status in _PASSING or status >= 500,
        throttled=status in _THROTTLED,
        retry_after=retry_after(headers),
    )


def _describe_redirect(status: int, headers: Mapping[str, str], where: Address) -> str:
    """The message about a redirect, which is never followed; empty if the answer is none."""
    target = next((value for name, value in headers.items() if name.lower() == "location"), "")
    if not 300 <= status < 400 or not target:
        return ""
    try:
        found = urlsplit(urljoin(where.url, target))
    except ValueError:
        found = urlsplit("")
    # no password, and no key in a query
    place = f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path[:200]}"
    return (
        f"{urlsplit(where.url).netloc} redirects to {place}; neither the prompt nor a key is sent there; "
        "if that is the server you mean, name its address (-M base_url=…)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A status of 300 and more. A provider may learn from it which parameters its server takes, before it is a Failure.

    Attributes:
        status: of the answer.
        headers: of the answer.
        error: its body, read.
        where: the server.
    """

    status: int
    headers: Mapping[str, str]
    error: ApiError
    where: Address

    def failure(self) -> Failure:
        """The Failure for it; raises HarnessError if no request will work."""
        return failure(self.status, self.headers, self.error, self.where)

    def refusal_error(self, what: str, remedy: str) -> HarnessError:
        """The error if the model refuses what the user's settings ask for."""
        said = self.where.redact(self.error.message)
        return HarnessError(f"the model refuses {what}: {said}", where=self.where.url, remedy=remedy)


def find_unsupported(error: ApiError, sent: Collection[str]) -> str | None:
    """The parameter of those sent that a server says it does not support, if it says so.

    A provider hears such a refusal once, leaves the parameter out from then on, and lists it in `ModelInfo.dropped`. A
    bad value is not a refusal: the user has to fix it. `param` counts if the code says unsupported; otherwise the
    message must say so, and name it in quotes, after "parameter" or "argument", at its own start, or in one of the
    fixed sentences of validators.
    """
    named = error.param.partition(".")[0]
    says_so = _UNSUPPORTED.search(error.message) is not None
    if named in sent and (error.codes & _UNSUPPORTED_CODES or says_so):
        return named
    if not says_so:
        return None
    for name in sorted(sent, key=len, reverse=True):
        word = re.escape(name)
        quoted = rf"""['"`]{word}['"`]"""
        plain = rf"(?:^|\b(?i:parameter|argument)s?\b[^:]{{0,30}}:?\s*){word}\b"
        fixed = rf"\b{word}(?:\.\w+)*(?:: Extra inputs are not permitted| is deprecated for this model)"
        if re.search(f"{quoted}|{plain}|{fixed}", error.message):
            return name
    return None


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. Keys in any case."""
    lower = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(lower.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = lower.get("retry-after")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    import email.utils

    try:
        until = email.utils.parsedate_to_datetime(asked or "").timestamp()
        return max(0.0, until - (time.time() if now is None else now))
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
