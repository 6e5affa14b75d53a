"""Values to lines of the run folder, and back.

Each line starts with id, split, epoch and key: see `harness.store.journal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.keys import cluster_of, flat_fields, item, text_hash
from harness.metrics import Record
from harness.types import Failure, Json, Message, Outcome, Response, Sample, Text, Unscored, Usage, Verdict

#: field of a redacted response line: the hash of the text that was taken out of it
TAKEN_OUT: Final = "text_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision and what it took.

    Attributes:
        decision: what the judge says.
        asked: digest of each prompt that its model was shown, in the order of the calls.
        replies: the model's raw replies.
        usage: tokens of all calls.
        models: the model's names as the provider reports them.
        flags: of the answer as this judge saw it: `verdict_like` where it is shaped like one of the judge's verdicts.
    """

    decision: Decision
    asked: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    usage: Usage = Usage()
    models: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()


def outcome_of(result: Response | Failure) -> Outcome:
    """How a sample's generation ended."""
    if isinstance(result, Failure):
        return result.outcome
    return "answered" if result.text.strip() else "empty"


def asked_line(sample: Sample, epoch: int, key: str) -> dict[str, Json]:
    """Who is asked, what it is grouped by, and the key of what is asked."""
    return {
        "id": sample.id,
        "split": sample.split,
        "epoch": epoch,
        "key": key,
        "category": sample.category,
        "cluster": cluster_of(sample),
        "tags": dict(sample.tags),
        "target": sample.target,
    }


def response_line(
    sample: Sample, epoch: int, key: str, result: Response | Failure, *, calls: int = 1
) -> dict[str, Json]:
    """One answer or failure; `calls` says how often the model was asked for it, which a strategy decides."""
    return {
        "id": sample.id,
        "split": sample.split,
        "epoch": epoch,
        "key": key,
        "outcome": outcome_of(result),
        "text": result.text,
        **(_answer(result) if isinstance(result, Response) else _failure(result)),
        "usage": flat_fields(result.usage),
        "calls": calls,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "model": result.model,
        "category": sample.category,
        "cluster": cluster_of(sample),
        "tags": dict(sample.tags),
        "target": sample.target,
        "prompt": [part for message in sample.request.messages for part in _prompt(message)],
    }


def _answer(response: Response) -> dict[str, Json]:
    return {
        "reasoning": response.reasoning,
        "flags": sorted(response.flags),
        "seconds": round(response.seconds, 4),
        "choices": dict(response.choices),
        "notes": list(response.notes),
        "steps": dict(response.steps),
    }


def _failure(failure: Failure) -> dict[str, Json]:
    return {"flags": [], "reason": failure.reason, "message": failure.message, "steps": dict(failure.steps)}


def _prompt(message: Message) -> list[dict[str, Json]]:
    return [
        {"role": message.role, "text": part.text}
        if isinstance(part, Text)
        else {"role": message.role, "image": part.path, "sha256": part.content.sha256 if part.content else None}
        for part in message.content
    ]


def response_of(line: Mapping[str, Any]) -> Response:
    """The answer a line holds. Raises HarnessError where its text was taken out: nobody can judge that."""
    if TAKEN_OUT in line:
        raise HarnessError(
            f"the answer of {line['id']!r} has no text: it is of a redacted export", remedy="use the run itself"
        )
    return Response(
        text=line["text"],
        reasoning=line["reasoning"],
        flags=frozenset(line["flags"]),
        usage=Usage(**line["usage"]),
        model=line["model"],
        seconds=line["seconds"],
        choices=line["choices"],
        notes=tuple(line["notes"]),
        steps=line.get("steps", {}),  # lines of older versions have none
    )


def failure_of(line: Mapping[str, Any]) -> Failure:
    """The failure a line holds."""
    return Failure(
        outcome=line["outcome"],
        reason=line["reason"],
        message=line["message"],
        text=line["text"],
        usage=Usage(**line["usage"]),
        model=line["model"],
        steps=line.get("steps", {}),
    )


def answer_hash(response: Response) -> str:
    """What ties a verdict to the text it was given on."""
    return text_hash(response.text)


def stored_hash(line: Mapping[str, Any]) -> str:
    """`answer_hash` of a stored answer, also where its text was taken out."""
    return str(line[TAKEN_OUT]) if TAKEN_OUT in line else text_hash(line["text"])


def verdict_line(sample: Sample, epoch: int, key: str, answer: str, judgement: Judgement) -> dict[str, Json]:
    """One verdict, or the reason why there is none."""
    decision = judgement.decision
    return {
        "id": sample.id,
        "split": sample.split,
        "epoch": epoch,
        "key": key,
        "answer": answer,
        **(_scored(decision) if isinstance(decision, Verdict) else _unscored(decision)),
        "flags": sorted(judgement.flags),
        "asked": list(judgement.asked),
        "raw": list(judgement.replies),
        "usage": flat_fields(judgement.usage),
        "calls": max(len(judgement.asked), len(judgement.replies)),
        "models": list(judgement.models),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _scored(verdict: Verdict) -> dict[str, Json]:
    return {"state": "scored", "label": verdict.label, "axes": dict(verdict.axes), "reason": verdict.reason}


def _unscored(unscored: Unscored) -> dict[str, Json]:
    return {"state": unscored.state, "label": None, "axes": {}, "reason": unscored.message}


def calls_of(line: Mapping[str, Any]) -> int:
    """How often a model was asked for an answer or a verdict.

    Lines of older versions do not say it, and count as one call where there was any: a rule makes none.
    """
    return int(line.get("calls", "outcome" in line or bool(line["raw"] or line["models"])))


def decision_of(line: Mapping[str, Any]) -> Decision:
    """The decision a line holds, with the rubric's own label."""
    if line["state"] == "scored":
        return Verdict(label=line["label"], axes=line["axes"], reason=line["reason"])
    return Unscored(state=line["state"], message=line["reason"])


def record_of(task: str, asked: Mapping[str, Any], response: Mapping[str, Any] | None) -> Record:
    """An asked item as metrics see it, not yet labelled; one without a response line is an unresolved error."""
    return Record(
        item=item(task, asked["split"], asked["id"], asked["epoch"]),
        id=asked["id"],
        split=asked["split"],
        epoch=asked["epoch"],
        category=asked["category"],
        tags=asked["tags"],
        cluster=asked["cluster"],
        target=asked["target"],
        outcome=response["outcome"] if response else "error",
        flags=frozenset(response["flags"] if response else ()),
    )
