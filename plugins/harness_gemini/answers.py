"""What `generateContent` answers: text, thinking, tokens, how it ended; and what an error of the service becomes.

A block counts as an outcome of its own and can make a model look safer, so only what the service calls a filter of
content is one. Each reason is decided one by one. Sources: the enums of google-genai (`types.FinishReason`,
`types.BlockedReason`) and the pages of the Gemini API and of Vertex AI on generateContent. A reason that is not here is
an `error` that says its name.

An error body is `{"error": {"code", "message", "status", "details": [{"@type": …ErrorInfo, …RetryInfo,
…QuotaFailure}]}}`: https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness import Failure, HarnessError, Json, Response, Usage
from harness.errors import Forbidden
from harness.http import Reply
from harness.http.status import ApiError, as_count, as_list, as_mapping, as_text, failure

from .client import LOGIN, Rejected

End = Literal["unsaid", "done", "truncated", "input_blocked", "output_blocked", "passing", "final", "account"]

#: Finish reason of a candidate -> how it ended. `passing` is worth another try, `final` is not, `account` ends the run.
FINISHES: dict[str, End] = {
    "": "unsaid",
    "FINISH_REASON_UNSPECIFIED": "unsaid",
    "STOP": "done",
    "MAX_TOKENS": "truncated",
    "CONTINUATION": "truncated",  # a limit of the service; the rest would be another request
    "SAFETY": "output_blocked",
    "RECITATION": "output_blocked",
    "BLOCKLIST": "output_blocked",
    "PROHIBITED_CONTENT": "output_blocked",
    "SPII": "output_blocked",
    "MODEL_ARMOR": "output_blocked",
    "IMAGE_SAFETY": "output_blocked",
    "IMAGE_PROHIBITED_CONTENT": "output_blocked",
    "IMAGE_RECITATION": "output_blocked",
    "ESCALATION": "input_blocked",  # the service says it filtered the request
    "LANGUAGE": "final",  # a language the model does not speak is not a matter of safety
    "OTHER": "passing",  # says nothing, and often passes
    "MALFORMED_FUNCTION_CALL": "passing",  # a slip of the model: no functions are offered
    "UNEXPECTED_TOOL_CALL": "passing",
    "MALFORMED_RESPONSE": "passing",
    "TOO_MANY_TOOL_CALLS": "final",
    "MISSING_THOUGHT_SIGNATURE": "final",
    "IMAGE_OTHER": "final",  # no image was asked for
    "NO_IMAGE": "final",
    "PUP_LIMITED_DISABLED": "account",  # limited or disabled for prohibited use: no request will work
}
#: Block reasons that say nothing; each other one, known or not, is a blocked prompt.
UNBLOCKED = frozenset({"", "BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
_KEY_WORDS = re.compile(r"api key (not valid|expired|not found)|pass a valid api key", re.IGNORECASE)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING"})
_GONE = re.compile(r"limit: 0\b|credits are depleted|spending cap", re.IGNORECASE)
_PLACE = re.compile(r"location is not supported|not available in your country|enable billing", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


def read_answer(reply: Reply, notes: tuple[str, ...]) -> Response | Failure:
    """The outcome of an answer.

    A body without candidates and without a reason is an error worth another try, and so is a candidate without text
    that does not say how it ended. No text is an empty Response.

    Raises HarnessError if the account is limited or disabled.
    """
    payload = as_mapping(reply.payload)
    feedback = as_mapping(payload.get("promptFeedback"))
    reason = as_text(feedback.get("blockReason"))
    who: dict[str, Any] = {
        "usage": _read_usage(payload.get("usageMetadata")),
        "model": as_text(payload.get("modelVersion")),
    }
    if reason not in UNBLOCKED:
        why = reply.where.redact(as_text(feedback.get("blockReasonMessage")) or _list_ratings(feedback))
        return Failure(outcome="input_blocked", reason=reason.lower(), message=why, **who)
    candidate = as_mapping(next(iter(as_list(payload.get("candidates"))), None))
    if not candidate:
        what = "neither an answer nor a reason why there is none"
        return Failure(outcome="error", reason="no_candidates", message=what, transient=True, **who)
    text, thoughts = "", ""
    for part in map(as_mapping, as_list(as_mapping(candidate.get("content")).get("parts"))):
        if part.get("thought") is True:
            thoughts += as_text(part.get("text"))
        else:
            text += as_text(part.get("text"))
    finish = as_text(candidate.get("finishReason"))
    why = reply.where.redact(as_text(candidate.get("finishMessage")) or _list_ratings(candidate))
    end = FINISHES.get(finish, "final")
    if end in ("done", "truncated") or (end == "unsaid" and text):
        flags = frozenset({"truncated"} if end == "truncated" else ())
        return Response(text=text, reasoning=thoughts, flags=flags, seconds=reply.seconds, notes=notes, **who)
    if end == "input_blocked" or end == "output_blocked":
        return Failure(outcome=end, reason=finish.lower(), message=why, text=text, **who)
    if end == "account":
        raise HarnessError(
            f"the account is limited or disabled for prohibited use: {why or finish}",
            where=reply.where.url,
            remedy="ask with another account, or have this one cleared",
        )
    return Failure(
        outcome="error",
        reason=f"finish_{finish.lower() or 'unsaid'}",
        message=why or f"finish reason {finish or 'missing'}",
        transient=end != "final",
        **who,
    )


def _list_ratings(holder: Mapping[str, Json]) -> str:
    """The categories a filter acted on, or found likely."""
    ratings = [as_mapping(rating) for rating in as_list(holder.get("safetyRatings"))]
    acted = [one for one in ratings if one.get("blocked") is True or one.get("probability") in ("MEDIUM", "HIGH")]
    return ", ".join(f"{as_text(one.get('category'))} {as_text(one.get('probability'))}".strip() for one in acted)


def _read_usage(counts: Json) -> Usage:
    """Thinking is billed as output and counted apart from the answer; here it is part of the output, as elsewhere."""
    inside = as_mapping(counts)
    thought = as_count(inside.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=as_count(inside.get("promptTokenCount")),
        output_tokens=as_count(inside.get("candidatesTokenCount")) + thought,
        reasoning_tokens=thought,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleError:
    """An error body of Google's services, read.

    Attributes:
        message: its words, without keys.
        status: name of the code, such as RESOURCE_EXHAUSTED.
        reasons: of its ErrorInfo, such as API_KEY_INVALID.
        quotas: ids of the quotas that ran out, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier.
        wait: seconds to wait, if it says so.
    """

    message: str
    status: str = ""
    reasons: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    wait: float | None = None

    @staticmethod
    def of(rejected: Rejected) -> GoogleError:
        """Read a body; one of another shape is its own message."""
        try:
            payload: Json = json.loads(rejected.content)
        except (ValueError, RecursionError):
            payload = None
        error = as_mapping(as_mapping(next(iter(as_list(payload)), payload)).get("error"))
        details = [as_mapping(detail) for detail in as_list(error.get("details"))]
        violations = [as_mapping(one) for detail in details for one in as_list(detail.get("violations"))]
        delays = [_SECONDS.fullmatch(str(detail.get("retryDelay"))) for detail in details]
        return GoogleError(
            message=rejected.where.redact(ApiError.of(rejected.content).message),
            status=str(error.get("status") or ""),
            reasons=frozenset(str(detail["reason"]) for detail in details if "reason" in detail),
            quotas=tuple(str(one.get("quotaId") or "") for one in violations),
            wait=next((float(delay[1]) for delay in delays if delay), None),
        )


def error_outcome(rejected: Rejected, error: GoogleError) -> Failure:
    """The Failure for an error that teaches nothing about parameters.

    Raises:
        Forbidden: key, credentials, permission, no such model.
        HarnessError: no request will work: place, billing, quota.
    """
    status, said, where = rejected.status, error.message, rejected.where
    if status == 401 or error.reasons & _KEY_REASONS or (status == 400 and _KEY_WORDS.search(said)):
        what = f"the key in {where.key_env} is" if where.key_env else "the credentials are"
        remedy = f"export {where.key_env}=…" if where.key_env else LOGIN
        raise Forbidden(f"{what} not accepted: {said}", where=where.url, remedy=remedy)
    if error.status == "FAILED_PRECONDITION" or (status == 400 and _PLACE.search(said)):
        remedy = "the place you ask from, or the account's billing, must change"
        raise HarnessError(f"the service cannot be asked: {said}", where=where.url, remedy=remedy)
    # waiting a minute does not help: a quota of the day, one of zero, or credit that is spent
    gone = any("PerDay" in quota for quota in error.quotas) or _GONE.search(said) is not None
    if status == 402 or (status == 429 and gone):
        remedy = "wait for the quota to be renewed or add credit, then run again"
        raise HarnessError(f"the quota is gone: {said}", where=where.url, remedy=remedy)
    if status == 403:
        remedy = "enable the API for the project, and allow the key or the account to use it"
        raise Forbidden(f"asking is not permitted: {said}", where=where.url, remedy=remedy)
    if status == 404:
        remedy = "check the model's name, the location and the address; `-M api_version` may matter too"
        raise Forbidden(f"no such model or address: {said}", where=where.url, remedy=remedy)
    found = failure(status, rejected.headers, ApiError.of(rejected.content), where)
    return found if error.wait is None else replace(found, retry_after=error.wait)
