"""What an error status becomes: a Failure of one sample, or a HarnessError that ends the run.

401, 403 and 404 are `Forbidden`: it ends the run unless the model has answered something before.

A filter is recognised by the code, type or inner code a server gives, or, where a server gives only a general code, by
one of the few sentences it is known to begin its message with. Any other 400 is an `error`, never a refusal.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urljoin, urlsplit

from harness.errors import Forbidden, HarnessError
from harness.http.addresses import Address
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What a server says went wrong, out of the several shapes of error bodies.

    Attributes:
        message: its words, with those of the provider behind a gateway.
        codes: code, type, inner codes and the stage that was moderated, as text.
        param: the parameter it names, or empty.
        moderated: a gateway's own moderation flagged the input (OpenRouter).
    """

    message: str
    codes: frozenset[str] = frozenset()
    param: str = ""
    moderated: bool = False

    @staticmethod
    def of(body: bytes) -> Complaint:
        """Read an error body; one that is not JSON is its own message."""
        try:
            return Complaint.read(json.loads(body))
        except (ValueError, RecursionError):
            return Complaint(message=body[:2000].decode("utf-8", "replace"))

    @staticmethod
    def read(payload: Json) -> Complaint:
        """Read parsed JSON: `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`, or a list of one."""
        outer = as_mapping(next(iter(as_list(payload)), payload))
        error = outer.get("error", outer)
        inside = as_mapping(error) or outer
        inner = as_mapping(inside.get("innererror") or inside.get("inner_error"))
        behind = as_mapping(inside.get("metadata"))
        details = as_mapping(inside.get("details"))  # Anthropic's
        stage = as_mapping(inside.get("moderation_details")).get("moderation_stage")  # OpenAI's images: input or output
        codes = (inside.get("code"), inside.get("type"), inner.get("code"), details.get("error_code"), stage)
        return Complaint(
            message=_words(error if isinstance(error, str) else inside, behind, payload),
            codes=frozenset(str(code) for code in codes if isinstance(code, str | int)),
            param=inside["param"] if isinstance(inside.get("param"), str) else "",
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
        """What a filter blocked: the prompt, unless it speaks of the output first."""
        words = (self.message, *self.codes)
        made = any(word.casefold().startswith(("output", "generated image")) for word in words)
        return "output_blocked" if made else "input_blocked"


def as_mapping(value: Json) -> Mapping[str, Json]:
    """A JSON object, or an empty one where something else stands."""
    return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}


def as_list(value: Json) -> Sequence[Json]:
    """A JSON array, or an empty one where something else stands."""
    return cast("Sequence[Json]", value) if isinstance(value, list) else ()


def _words(error: Json, behind: Mapping[str, Json], payload: Json) -> str:
    inside = as_mapping(error)
    said = error if isinstance(error, str) else inside.get("message") or inside.get("detail")
    text = said if isinstance(said, str) else json.dumps(said if said is not None else payload)
    raw = behind.get("raw")
    return f"{text}: {raw}" if isinstance(raw, str) else text


def failure(status: int, headers: Mapping[str, str], complaint: Complaint, where: Address) -> Failure:
    """The Failure for a status of 300 and more.

    408, 409, 425, 429 and 5xx are worth another try; 429 and 529 also say that the endpoint is throttled; a filter
    gives `input_blocked`, or `output_blocked` where the server says it was the answer. All else is a final `error`, and
    that of a redirect names both hosts.

    Raises:
        Forbidden: 401, 403, 404, or no such model.
        HarnessError: no request will work: 402, the quota is gone, or the account is on hold.
    """
    message = where.redact(complaint.message)
    if place := _sent_on(status, headers, where):
        return Failure(outcome="error", reason=f"http_{status}", message=where.redact(place))
    if complaint.filtered:
        return Failure(outcome=complaint.blocked, reason="content_filter", message=message)
    _stop(status, complaint, message, where)
    return Failure(
        outcome="error",
        reason=f"http_{status}",
        message=message or f"status {status} without a word",
        transient=status in _PASSING or status >= 500,
        throttled=status in _THROTTLED,
        retry_after=retry_after(headers),
    )


def _sent_on(status: int, headers: Mapping[str, str], where: Address) -> str:
    """What to say of a redirect, which is never followed; empty where the answer is none."""
    target = next((value for name, value in headers.items() if name.lower() == "location"), "")
    if not 300 <= status < 400 or not target:
        return ""
    try:
        found = urlsplit(urljoin(where.url, target))
    except ValueError:
        found = urlsplit("")
    ours = urlsplit(where.url)
    place = (
        f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path[:200]}"  # no password, and no key in a query
    )
    return (
        f"{ours.netloc} sends on to {place}, where neither the prompt nor a key goes; "
        "if that is the server you mean, name its address (-M base_url=…)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A status of 300 and more, not yet turned into what it means: a provider may learn from it what its server takes.

    Attributes:
        status: of the answer.
        headers: of the answer.
        complaint: its body, read.
        where: who said so.
    """

    status: int
    headers: Mapping[str, str]
    complaint: Complaint
    where: Address

    def failure(self) -> Failure:
        """What it means; raises HarnessError where no request will work."""
        return failure(self.status, self.headers, self.complaint, self.where)


def _stop(status: int, complaint: Complaint, message: str, where: Address) -> None:
    if complaint.spent or status == 402:
        raise HarnessError(f"the quota is gone: {message}", where=where.url, remedy="add credit, then run again")
    if complaint.codes & MODEL_CODES or status == 404:
        raise Forbidden(
            f"no such model or address: {message}",
            where=where.url,
            remedy="check the model's name and the server's address (most want it to end in /v1)",
        )
    if status in (401, 403) or complaint.codes & ACCOUNT_CODES:
        what, remedy = _key_trouble(status, where)
        kind = HarnessError if complaint.codes & ACCOUNT_CODES else Forbidden
        raise kind(f"{what}: {message}", where=where.url, remedy=remedy)


def _key_trouble(status: int, where: Address) -> tuple[str, str]:
    if not where.key:
        remedy = "name the environment variable that holds the key, such as -M api_key_env=MY_KEY (a judge: -J)"
        return "the server was asked without a key and refuses", remedy
    key = f"the key in {where.key_env}" if where.key_env else "the key"
    again = f"export {where.key_env}=…" if where.key_env else "give another key"
    if status == 401:
        return f"{key} is not accepted", again
    return f"{key} may not do this", f"allow it, or {again}"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. Keys in any case."""
    lower = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(lower.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = lower.get("retry-after")
    seconds = _number(asked)
    return seconds if seconds is not None else _until(asked, time.time() if now is None else now)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(date: str | None, now: float) -> float | None:
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(date or "").timestamp() - now)
    except (ValueError, OverflowError):
        return None
