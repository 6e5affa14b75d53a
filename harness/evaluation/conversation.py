"""Asks a dialogue turn by turn and makes one answer of it.

Nothing is stored between two turns: a dialogue that a killed run left half done is asked again from its first turn, so
that all replies of an answer are of one conversation. In batches each reply is read again from its batch, so there a
dialogue goes on where it was.
"""

from __future__ import annotations

from dataclasses import replace

from harness.contracts import Model
from harness.dialogues import build_request, count_turns, list_asked, name_reply
from harness.limits.metered import try_once
from harness.store.records import sanitize_numbers
from harness.types import Failure, Response, Sample, Usage, add_usage


async def ask(model: Model, sample: Sample) -> Response | Failure:
    """Ask a sample, turn by turn if it is a dialogue. Raises the model's HarnessError if no call can succeed.

    The first turn that fails, is blocked or has an empty reply ends the dialogue in that outcome, and its message or
    its notes name the turn. Usage is the sum over the turns.
    """
    if not sample.turns:
        return sanitize_numbers(await try_once(model, sample.request))
    turns = list_asked(sample)
    replies: dict[int, str] = {}
    steps: dict[str, str] = {}
    notes: list[str] = []
    usages: list[Usage] = []
    cut = False
    for turn in turns:
        result = sanitize_numbers(await try_once(model, build_request(sample, replies)))
        usages.append(result.usage)
        named = {f"{name_reply(turn)}:{name}": text for name, text in result.steps.items()}
        if isinstance(result, Failure):
            message = f"turn {turn} of {count_turns(sample)}: {result.message}"
            return replace(result, message=message, steps={**steps, **named}, usage=add_usage(*usages))
        notes += [f"turn {turn}: {note}" for note in result.notes]
        empty = not result.text.strip()
        if turn == turns[-1] or empty:
            if empty and turn != turns[-1]:
                notes.append(f"turn {turn} of {count_turns(sample)} had an empty reply: no later one was asked")
            flags = result.flags | {"truncated"} if cut and not empty else result.flags
            return replace(result, flags=flags, notes=tuple(notes), steps={**steps, **named}, usage=add_usage(*usages))
        steps |= named
        if result.reasoning:
            steps[f"{name_reply(turn)},reasoning"] = result.reasoning
        steps[name_reply(turn)] = replies[turn] = result.text
        if "truncated" in result.flags:
            cut = True
            notes.append(f"turn {turn}: its reply was cut at the token limit")
        if "refusal" in result.flags:
            notes.append(f"turn {turn}: the API marks its reply as a refusal")
    raise AssertionError("a dialogue has at least one turn")
