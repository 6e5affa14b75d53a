"""The form of `generateContent`: a request, the parameters a model takes, an answer, and an error of the service.

The form: https://ai.google.dev/api/generate-content. A `Dialect` remembers each parameter that the model refuses for
all later calls, and `ModelInfo` shows it. Only an answer that says a parameter is not supported counts; the user must
fix a bad value or setting.

A block is a separate outcome and can make a model look safer, so only a reason that the service calls a content filter
is a block. Sources: the enums of google-genai (`types.FinishReason`, `types.BlockedReason`) and the pages of the Gemini
API and Vertex AI on generateContent. A reason that is not listed here is an `error` with its name.

An error body is `{"error": {"code", "message", "status", "details": [{"@type": …ErrorInfo, …RetryInfo,
…QuotaFailure}]}}`: https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness import Failure, Generation, HarnessError, Image, Json, Message, Request, Response, Settings, Usage
from harness.errors import Forbidden
from harness.http import Address, ImageBytes, Reply
from harness.http.scaling import ImageLimit
from harness.http.status import ApiError, as_count, as_list, as_mapping, as_text, failure
from harness.settings import json_object

LOGIN = "gcloud auth application-default login, or export GOOGLE_APPLICATION_CREDENTIALS=FILE"
#: Categories that rate a text prompt or answer. The service accepts civic integrity but no longer filters by it.
CATEGORIES = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
)
#: Categories that are not sent -> why.
UNSENT = {
    "HARM_CATEGORY_UNSPECIFIED": "means none",
    "HARM_CATEGORY_JAILBREAK": "off unless a project at Vertex AI turns it on; the Gemini API refuses it",
    "HARM_CATEGORY_IMAGE_HATE": "of images that are made",
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT": "of images that are made",
    "HARM_CATEGORY_IMAGE_HARASSMENT": "of images that are made",
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT": "of images that are made",
}
TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_ROLES = {"user": "user", "assistant": "model"}
_VERTEX_IMAGE_MB = 7.0
_OWNED = frozenset({
    "temperature", "topP", "seed", "maxOutputTokens", "stopSequences", "candidateCount", "responseMimeType",
    "responseSchema", "responseJsonSchema", "thinkingConfig", "mediaResolution",
})  # fmt: skip
_WIRE = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "seed": "seed",
    "stop": "stopSequences",
}
_SPARED = frozenset({"HARM_CATEGORY_CIVIC_INTEGRITY"})  # deprecated; the other categories are never left out
_WORDS = re.compile(r"not supported|unsupported|not support|not enabled|unknown name|cannot find field", re.IGNORECASE)
_SCHEMA_WORDS = re.compile(r"json.?mode|schema|response.?mime.?type", re.IGNORECASE)
_POSITION = re.compile(r"safety_?settings\[(\d+)\]", re.IGNORECASE)


def turns(request: Request) -> dict[str, Json]:
    """`contents`, and `systemInstruction` if there is one: parts keep their order, images are not copied."""
    system: list[Json] = []
    contents: list[Json] = []
    for message in request.messages:
        if message.role == "system":
            system += _parts(message)
        else:
            contents.append({"role": _ROLES[message.role], "parts": _parts(message)})
    return {"contents": contents} | ({"systemInstruction": {"parts": system}} if system else {})


def _parts(message: Message) -> list[Json]:
    """Leaves out empty texts next to other parts: the service refuses them."""
    full = [part for part in message.content if isinstance(part, Image) or part.text]
    return [
        {"inlineData": {"mimeType": part.opened.mime, "data": ImageBytes("", part.opened.encoded)}}
        if isinstance(part, Image)
        else {"text": part.text}
        for part in full or message.content
    ]


def safety_settings(settings: Settings, categories: tuple[str, ...]) -> dict[str, Json]:
    """`safetySettings` for these categories; empty for the product's own filters."""
    if settings["safety"] == "default":
        return {}
    return {"safetySettings": [{"category": name, "threshold": settings["safety"]} for name in categories]}


def build_config(settings: Settings) -> dict[str, Json]:
    """The part of `generationConfig` that the settings fix.

    Raises HarnessError if both a thinking budget and a level are given, or `extra` is not a JSON object or holds a
    key that the harness sets and records.
    """
    budget, level, resolution = (settings[name] for name in ("thinking_budget", "thinking_level", "media_resolution"))
    if budget is not None and level:
        raise HarnessError(
            "-M thinking_budget and -M thinking_level cannot be given together", remedy="give one of them"
        )
    given = {
        "thinkingBudget": budget,
        "thinkingLevel": level.upper() or None,
        "includeThoughts": settings["include_thoughts"] or None,
    }
    thinking = {name: value for name, value in given.items() if value is not None}
    return {
        **json_object(settings, "extra", such_as='{"topK": 20}', owned=_OWNED),
        **({"mediaResolution": f"MEDIA_RESOLUTION_{resolution.upper()}"} if resolution else {}),
        **({"thinkingConfig": thinking} if thinking else {}),
    }


def image_limit(request: Request, settings: Settings, *, vertex: bool) -> ImageLimit:
    """The largest image of a request: if all together exceed the limit, each gets an equal share."""
    given = settings["max_image_mb"]
    most = given if given is not None else _VERTEX_IMAGE_MB if vertex else None
    size = None if most is None else int(most * 1_000_000)
    together = settings["max_request_mb"] * 1_000_000
    if sum(len(image.opened.encoded) for image in request.images) > together:
        share = int(together / len(request.images)) // 4 * 3  # four letters of base64 hold three bytes
        size = share if size is None else min(size, share)
    return ImageLimit(size=size, side=settings["max_image_side"], types=TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters one model accepts.

    Attributes:
        dropped: sampling settings that are left out.
        schema: whether to ask for structured output.
        categories: harm categories of the safety settings.
        room: thinking tokens, added to a request's `max_tokens`: the service counts both as output.
    """

    dropped: frozenset[str] = frozenset()
    schema: bool = True
    categories: tuple[str, ...] = CATEGORIES
    room: int = 0

    def parameters(self, request: Request) -> dict[str, Json]:
        """The request's settings under the names of `generationConfig`."""
        wanted = {_WIRE[name]: value for name, value in self._build_sampling(request.settings).items()}
        if request.schema is not None and self.schema:
            wanted |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
        return wanted

    def _build_sampling(self, settings: Generation) -> dict[str, Json]:
        given: dict[str, Json] = {
            "temperature": settings.temperature,
            "max_tokens": None if settings.max_tokens is None else settings.max_tokens + self.room,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop": list(settings.stop) or None,
        }
        return {name: value for name, value in given.items() if value is not None and name not in self.dropped}

    def after_refusal(self, message: str, request: Request) -> Dialect:
        """The dialect after a refusal; the same if it teaches nothing."""
        if request.schema is not None and self.schema and _SCHEMA_WORDS.search(message):
            return replace(self, schema=False)
        # a category by its list position, since the message also lists accepted ones; else by its name
        place = _POSITION.search(message)
        if place is not None:
            named = self.categories[int(place[1]) : int(place[1]) + 1]
        else:
            named = tuple(name for name in self.categories if name in message)
        if refused := _SPARED.intersection(named):
            return replace(self, categories=tuple(name for name in self.categories if name not in refused))
        sent = self._build_sampling(request.settings)
        found = next((name for name in sent if refuses(message, _WIRE[name])), None)
        return self if found is None else replace(self, dropped=self.dropped | {found})


def refuses(message: str, name: str) -> bool:
    """Whether a message says that a parameter is not supported, in any spelling of its name."""
    spelled = "[_ ]?".join(re.escape(word) for word in re.findall(r"[A-Za-z][a-z]*|\d+", name))
    return _WORDS.search(message) is not None and re.search(rf"\b{spelled}\b", message, re.IGNORECASE) is not None


End = Literal["unsaid", "done", "truncated", "input_blocked", "output_blocked", "passing", "final", "account"]

#: Finish reason of a candidate -> how it ended. `passing` is retried, `final` is not, `account` ends the run.
FINISHES: dict[str, End] = {
    "": "unsaid",
    "FINISH_REASON_UNSPECIFIED": "unsaid",
    "STOP": "done",
    "MAX_TOKENS": "truncated",
    "CONTINUATION": "truncated",  # a limit of the service; the rest needs another request
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
    "OTHER": "passing",  # unspecific, and often passes
    "MALFORMED_FUNCTION_CALL": "passing",  # a slip of the model: no functions are offered
    "UNEXPECTED_TOOL_CALL": "passing",
    "MALFORMED_RESPONSE": "passing",
    "TOO_MANY_TOOL_CALLS": "final",
    "MISSING_THOUGHT_SIGNATURE": "final",
    "IMAGE_OTHER": "final",  # no image was asked for
    "NO_IMAGE": "final",
    "PUP_LIMITED_DISABLED": "account",  # limited or disabled for prohibited use: no request will work
}
#: Unspecific block reasons; every other one, known or not, is a blocked prompt.
UNBLOCKED = frozenset({"", "BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
_KEY_WORDS = re.compile(r"api key (not valid|expired|not found)|pass a valid api key", re.IGNORECASE)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING"})
_GONE = re.compile(r"limit: 0\b|credits are depleted|spending cap", re.IGNORECASE)
_PLACE = re.compile(r"location is not supported|not available in your country|enable billing", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A status of 300 or more, or an error inside a success status; not yet interpreted."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    where: Address


def read_answer(reply: Reply, notes: tuple[str, ...]) -> Response | Failure:
    """The outcome of an answer.

    A body without candidates and reason is a transient error, and so is a candidate without text and finish reason.
    Otherwise no text is an empty Response.

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
        what = "neither an answer nor a block reason"
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
            remedy="use another account, or ask Google to clear this one",
        )
    return Failure(
        outcome="error",
        reason=f"finish_{finish.lower() or 'unsaid'}",
        message=why or f"finish reason {finish or 'missing'}",
        transient=end != "final",
        **who,
    )


def _list_ratings(holder: Mapping[str, Json]) -> str:
    """The categories that a filter blocked or found likely."""
    ratings = [as_mapping(rating) for rating in as_list(holder.get("safetyRatings"))]
    acted = [one for one in ratings if one.get("blocked") is True or one.get("probability") in ("MEDIUM", "HIGH")]
    return ", ".join(f"{as_text(one.get('category'))} {as_text(one.get('probability'))}".strip() for one in acted)


def _read_usage(counts: Json) -> Usage:
    """Token counts; the service counts thinking separately, here it is part of the output, as elsewhere."""
    inside = as_mapping(counts)
    thought = as_count(inside.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=as_count(inside.get("promptTokenCount")),
        output_tokens=as_count(inside.get("candidatesTokenCount")) + thought,
        reasoning_tokens=thought,
        cache_read_tokens=as_count(inside.get("cachedContentTokenCount")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleError:
    """A parsed error body of Google's services.

    Attributes:
        message: its text, keys redacted.
        status: name of the code, such as RESOURCE_EXHAUSTED.
        reasons: reasons in its ErrorInfo, such as API_KEY_INVALID.
        quotas: ids of the exhausted quotas, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier.
        wait: seconds to wait, if it names them.
    """

    message: str
    status: str = ""
    reasons: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    wait: float | None = None

    @staticmethod
    def of(rejected: Rejected) -> GoogleError:
        """Parse a body; a body of another shape becomes the message."""
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
        Forbidden: bad key, credentials or permission, or no such model.
        HarnessError: no request will work: location, billing, quota.
    """
    status, said, where = rejected.status, error.message, rejected.where
    if status == 401 or error.reasons & _KEY_REASONS or (status == 400 and _KEY_WORDS.search(said)):
        what = f"the key in {where.key_env} is" if where.key_env else "the credentials are"
        remedy = f"export {where.key_env}=…" if where.key_env else LOGIN
        raise Forbidden(f"{what} not accepted: {said}", where=where.url, remedy=remedy)
    if error.status == "FAILED_PRECONDITION" or (status == 400 and _PLACE.search(said)):
        remedy = "ask from another location, or change the account's billing"
        raise HarnessError(f"the service is not available: {said}", where=where.url, remedy=remedy)
    # waiting a minute does not help: a daily quota, a zero quota, or spent credit
    gone = any("PerDay" in quota for quota in error.quotas) or _GONE.search(said) is not None
    if status == 402 or (status == 429 and gone):
        remedy = "wait for the quota to be renewed or add credit, then run again"
        raise HarnessError(f"the quota is used up: {said}", where=where.url, remedy=remedy)
    if status == 403:
        remedy = "enable the API for the project, and allow the key or the account to use it"
        raise Forbidden(f"the request is not permitted: {said}", where=where.url, remedy=remedy)
    if status == 404:
        remedy = "check the model's name, the location, the address and `-M api_version`"
        raise Forbidden(f"no such model or address: {said}", where=where.url, remedy=remedy)
    found = failure(status, rejected.headers, ApiError.of(rejected.content), where)
    return found if error.wait is None else replace(found, retry_after=error.wait)
