"""An answer of `generateContent`, read: text, thinking, tokens, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness import Failure, HarnessError, Json, Response, Usage
from harness.http import Reply
from harness.http.status import as_list, as_mapping

from .outcomes import FINISHES, UNBLOCKED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """One candidate, read but not yet judged by how it ended; `why` is what the service says about a block."""

    text: str
    reasoning: str
    finish: str
    why: str
    usage: Usage
    model: str

    def response(self, seconds: float, notes: tuple[str, ...], *, truncated: bool) -> Response:
        return Response(
            text=self.text,
            reasoning=self.reasoning,
            flags=frozenset({"truncated"} if truncated else ()),
            usage=self.usage,
            model=self.model,
            seconds=seconds,
            notes=notes,
        )

    def failure(self, *, transient: bool) -> Failure:
        reason = f"finish_{self.finish.lower() or 'unsaid'}"
        return Failure(
            outcome="error",
            reason=reason,
            message=self.why or f"finish reason {self.finish or 'missing'}",
            transient=transient,
            usage=self.usage,
            model=self.model,
        )


def read(reply: Reply, notes: tuple[str, ...]) -> Response | Failure:
    """The outcome by the tables of `outcomes`.

    A body without candidates and without a reason is an error worth another try, and so is a candidate without text
    that does not say how it ended. No text is an empty Response.

    Raises HarnessError where the account is limited or disabled.
    """
    payload = as_mapping(reply.payload)
    feedback = as_mapping(payload.get("promptFeedback"))
    reason = _string(feedback.get("blockReason"))
    usage, model = _usage(payload.get("usageMetadata")), _string(payload.get("modelVersion"))
    if reason not in UNBLOCKED:
        why = reply.where.redact(_string(feedback.get("blockReasonMessage")) or _rated(feedback))
        return Failure(outcome="input_blocked", reason=reason.lower(), message=why, usage=usage, model=model)
    candidate = as_mapping(next(iter(as_list(payload.get("candidates"))), None))
    if not candidate:
        what = "neither an answer nor a reason why there is none"
        return Failure(outcome="error", reason="no_candidates", message=what, transient=True, usage=usage, model=model)
    parts = [as_mapping(part) for part in as_list(as_mapping(candidate.get("content")).get("parts"))]
    said = _Said(
        text="".join(_string(part.get("text")) for part in parts if part.get("thought") is not True),
        reasoning="".join(_string(part.get("text")) for part in parts if part.get("thought") is True),
        finish=_string(candidate.get("finishReason")),
        why=reply.where.redact(_string(candidate.get("finishMessage")) or _rated(candidate)),
        usage=usage,
        model=model,
    )
    return _ended(said, reply, notes)


def _ended(said: _Said, reply: Reply, notes: tuple[str, ...]) -> Response | Failure:
    end = FINISHES.get(said.finish, "final")
    if end in ("done", "truncated") or (end == "unsaid" and said.text):
        return said.response(reply.seconds, notes, truncated=end == "truncated")
    if end == "input_blocked" or end == "output_blocked":
        return Failure(
            outcome=end,
            reason=said.finish.lower(),
            message=said.why,
            text=said.text,
            usage=said.usage,
            model=said.model,
        )
    if end == "account":
        raise HarnessError(
            f"the account is limited or disabled for prohibited use: {said.why or said.finish}",
            where=reply.where.url,
            remedy="ask with another account, or have this one cleared",
        )
    return said.failure(transient=end != "final")


def _rated(holder: Mapping[str, Json]) -> str:
    """The categories a filter acted on, or found likely."""
    ratings = [as_mapping(rating) for rating in as_list(holder.get("safetyRatings"))]
    acted = [one for one in ratings if one.get("blocked") is True or one.get("probability") in ("MEDIUM", "HIGH")]
    return ", ".join(f"{_string(one.get('category'))} {_string(one.get('probability'))}".strip() for one in acted)


def _usage(counts: Json) -> Usage:
    """Thinking is billed as output and counted apart from the answer; here it is part of the output, as elsewhere."""
    inside = as_mapping(counts)
    thought = _count(inside.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=_count(inside.get("promptTokenCount")),
        output_tokens=_count(inside.get("candidatesTokenCount")) + thought,
        reasoning_tokens=thought,
    )


def _count(value: Json) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
