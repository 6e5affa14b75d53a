"""Converts values to lines of the run folder and back, and replaces numbers that JSON cannot hold.

Each line starts with id, split, epoch and key: see `harness.store.journal`.

JSON has neither NaN nor infinity (`sanitize_numbers`). No log-probability is below `LOWEST`: a choice that the model
rules out (-inf) gets that value, whose probability is 0 and which can be added and subtracted. NaN and +inf make the
answer an error. Invalid token counts and seconds become 0 and do not fail an answer. This happens before judging, so
that a verdict is the same for a new and a stored answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from harness.contracts import Decision
from harness.dialogues import carry_on, find_replies
from harness.errors import HarnessError
from harness.keys import canonical, cluster_of, item, text_hash
from harness.limits.tokens import clean_usage
from harness.metrics import Record
from harness.types import Failure, Json, Outcome, Response, Sample, Text, Unscored, Usage, Verdict

LOWEST: Final = -1e9  #: natural logarithm; no stored log-probability is below it
#: field of a redacted response line: the hash of the removed text
TAKEN_OUT: Final = "text_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision with its prompts, replies and usage.

    Attributes:
        decision: the judge's decision.
        asked: digest of each prompt sent to its model, in the order of the calls.
        replies: the model's raw replies.
        usage: tokens of all calls.
        models: the model's names as the provider reports them.
        flags: the judge's flags on the answer: `verdict_like` if it looks like one of the judge's verdicts.
    """

    decision: Decision
    asked: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    usage: Usage = Usage()
    models: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()


def sanitize_numbers(result: Response | Failure) -> Response | Failure:
    """The result with numbers that JSON can hold; a Failure if a log-probability is not a number."""

    usage = clean_usage(result.usage)
    if isinstance(result, Failure):
        return replace(result, usage=usage)
    choices = {name: _to_float(value) for name, value in cast("Mapping[str, object]", result.choices).items()}
    for name, value in choices.items():
        if math.isnan(value) or value == math.inf:
            message = f"the log-probability of {name!r:.100} is {result.choices[name]!r:.100}"
            return Failure(outcome="error", reason="bad_choices", message=message, usage=usage, model=result.model)
    clamped = {name: max(LOWEST, value) for name, value in choices.items()}
    seconds = _to_float(result.seconds)
    return replace(result, usage=usage, seconds=seconds if 0 <= seconds < math.inf else 0.0, choices=clamped)


def _to_float(value: object) -> float:
    """A float, also from a library's number type; NaN for anything that is not a number."""
    try:
        return float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        return math.nan


def outcome_of(result: Response | Failure) -> Outcome:
    """How a sample's generation ended."""
    if isinstance(result, Failure):
        return result.outcome
    return "answered" if result.text.strip() else "empty"


def usage_to_json(usage: Usage) -> dict[str, Json]:
    """The tokens of a line; fields that older versions lack are left out where they say nothing."""
    line: dict[str, Json] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    if usage.cache_read_tokens:
        line["cache_read_tokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        line["cache_write_tokens"] = usage.cache_write_tokens
    if usage.batch:
        line["batch"] = True
    return line


def item_line(sample: Sample, epoch: int, key: str) -> dict[str, Json]:
    """A line of asked.jsonl: the item, its groups, and the key of its question."""
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
    """A line of responses.jsonl; `calls` says how often the model was called, which may be several by a strategy."""
    if isinstance(result, Response):
        own: dict[str, Json] = {
            "reasoning": result.reasoning,
            "flags": sorted(result.flags),
            "seconds": round(result.seconds, 4),
            "choices": dict(result.choices),
            "notes": list(result.notes),
            "steps": dict(result.steps),
        }
    else:
        own = {"flags": [], "reason": result.reason, "message": result.message, "steps": dict(result.steps)}
    return {
        "id": sample.id,
        "split": sample.split,
        "epoch": epoch,
        "key": key,
        "outcome": outcome_of(result),
        "text": result.text,
        **own,
        "usage": usage_to_json(result.usage),
        "calls": calls,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "model": result.model,
        "category": sample.category,
        "cluster": cluster_of(sample),
        "tags": dict(sample.tags),
        "target": sample.target,
        "prompt": prompt_to_json(sample, result.steps),
    }


def original_prompt(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The question of a response line as the task put it, and as judges read it: without the run's attack."""
    attack: Mapping[str, Any] = line.get("attack") or {}
    return list(attack.get("question") or line["prompt"])


def prompt_to_json(sample: Sample, steps: Mapping[str, str]) -> list[Json]:
    """The parts of a question as a line stores them: texts, images by path and hash, and a dialogue's replies."""
    prompt: list[Json] = []
    for message, turn in carry_on(sample, find_replies(steps)):
        of_turn: dict[str, Json] = {"turn": turn} if turn else {}  # a reply of the model, which it was sent again
        for part in message.content:
            own_part: dict[str, Json] = (
                {"text": part.text}
                if isinstance(part, Text)
                else {"image": part.path, "sha256": part.content.sha256 if part.content else None}
            )
            prompt.append({"role": message.role, **own_part, **of_turn})
    return prompt


def response_of(line: Mapping[str, Any]) -> Response:
    """The answer of a line. Raises HarnessError for a redacted line, which cannot be judged."""
    if TAKEN_OUT in line:
        raise HarnessError(
            f"the answer of {line['id']!r} has no text: this is a redacted export", remedy="use the run itself"
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
    """The failure of a line."""
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
    """The hash that ties a verdict to the judged text, and in a dialogue to the replies before it."""
    return _hash_answer(response.text, response.steps)


def line_hash(line: Mapping[str, Any]) -> str:
    """`answer_hash` of a stored answer; a redacted line has it too."""
    return str(line[TAKEN_OUT]) if TAKEN_OUT in line else _hash_answer(line["text"], line.get("steps", {}))


def _hash_answer(text: str, steps: Mapping[str, str]) -> str:
    replies = find_replies(steps) if steps else {}
    return text_hash(canonical([*replies.items(), text]) if replies else text)


def verdict_line(sample: Sample, epoch: int, key: str, answer: str, judgement: Judgement) -> dict[str, Json]:
    """A line of a judge's verdicts: its verdict on the answer with this hash, or why there is none."""
    decision = judgement.decision
    said: dict[str, Json] = (
        {"state": "scored", "label": decision.label, "axes": dict(decision.axes), "reason": decision.reason}
        if isinstance(decision, Verdict)
        else {"state": decision.state, "label": None, "axes": {}, "reason": decision.message}
    )
    return {
        "id": sample.id,
        "split": sample.split,
        "epoch": epoch,
        "key": key,
        "answer": answer,
        **said,
        "flags": sorted(judgement.flags),
        "asked": list(judgement.asked),
        "raw": list(judgement.replies),
        "usage": usage_to_json(judgement.usage),
        "calls": max(len(judgement.asked), len(judgement.replies)),
        "models": list(judgement.models),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def calls_of(line: Mapping[str, Any]) -> int:
    """How often a model was called for an answer or a verdict.

    Lines from older versions lack the number: they count as one call, or none for a rule.
    """
    calls = line.get("calls")
    return int("outcome" in line or bool(line["raw"] or line["models"]) if calls is None else calls)


def decision_of(line: Mapping[str, Any]) -> Decision:
    """The decision of a line, with the rubric's label."""
    if line["state"] == "scored":
        return Verdict(label=line["label"], axes=line["axes"], reason=line["reason"])
    return Unscored(state=line["state"], message=line["reason"])


def record_of(task: str, asked: Mapping[str, Any], response: Mapping[str, Any] | None) -> Record:
    """An asked item as a metrics record, not yet labelled; without a response line it is `unanswered`."""
    return Record(
        item=item(task, asked["split"], asked["id"], asked["epoch"]),
        id=asked["id"],
        split=asked["split"],
        epoch=asked["epoch"],
        category=asked["category"],
        tags=asked["tags"],
        cluster=asked["cluster"],
        target=asked["target"],
        outcome=response["outcome"] if response else "unanswered",
        flags=frozenset(response["flags"] if response else ()),
    )
