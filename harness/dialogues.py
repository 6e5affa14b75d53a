"""Dialogues: samples whose user speaks again after the model's reply (`Sample.turns`).

A turn is a message of the user, and what answers it. Turns are counted from 1 over the whole conversation, those of the
request included. A turn that an assistant message follows is not asked: its reply is given. Every other turn of
`Sample.turns`, and the last one of the request, is asked, and the reply is carried on. The last turn is always asked.

The replies between are in `Response.steps` by the names `turn-1`, `turn-2`, …; the last reply is `Response.text`. What
a strategy did in a turn is in `turn-1:NAME`, and thinking that came apart in `turn-1,reasoning`; neither is carried on.
So an answer holds all that is needed to build the conversation again, and nothing else is stored of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.types import Image, Message, Request, Response, Sample, Text

_REPLY: Final = re.compile(r"turn-([1-9]\d{0,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One turn of a conversation.

    Attributes:
        turn: its number, from 1.
        said: what the user says.
        reply: what answers it.
        given: the reply comes from the data, not from the model.
    """

    turn: int
    said: Message
    reply: str
    given: bool


def name_reply(turn: int) -> str:
    """The name of a turn's reply in `Response.steps`."""
    return f"turn-{turn}"


def find_replies(steps: Mapping[str, str]) -> dict[int, str]:
    """The replies before the last, by the number of their turn and in order."""
    found = ((_REPLY.fullmatch(name), text) for name, text in steps.items())
    return dict(sorted((int(match[1]), text) for match, text in found if match is not None))


def count_turns(sample: Sample) -> int:
    """How many turns the conversation has."""
    return sum(message.role == "user" for message in (*sample.request.messages, *sample.turns))


def list_asked(sample: Sample) -> tuple[int, ...]:
    """The numbers of the turns that the model is asked, in order; one for a sample without `turns`."""
    first = sum(message.role == "user" for message in sample.request.messages)
    asked: list[int] = []
    turn = first
    for number, message in enumerate(sample.turns):
        if message.role == "user":
            if number == 0 or sample.turns[number - 1].role == "user":
                asked.append(turn)
            turn += 1
    return (*asked, turn)


def carry_on(sample: Sample, replies: Mapping[int, str]) -> tuple[tuple[Message, int], ...]:
    """The conversation up to the first turn without a reply, or up to the last.

    Returns:
        Its messages, each with the number of the turn if it is a reply of the model, else with 0.
    """
    found = [(message, 0) for message in sample.request.messages]
    turn = sum(message.role == "user" for message in sample.request.messages)
    before = "user"
    for message in sample.turns:
        if message.role == "user":
            if before == "user":
                if turn not in replies:
                    break
                found.append((Message(role="assistant", content=(Text(text=replies[turn]),)), turn))
            turn += 1
        found.append((message, 0))
        before = message.role
    return tuple(found)


def build_request(sample: Sample, replies: Mapping[int, str]) -> Request:
    """What the model is asked at the first turn without a reply, or at the last.

    `schema`, `choices` and `prefill` are for the last reply: those between are plain text.
    """
    messages = tuple(message for message, _ in carry_on(sample, replies))
    request = replace(sample.request, messages=messages)
    if set(list_asked(sample)[:-1]) <= replies.keys():
        return request
    return replace(request, schema=None, choices=(), prefill="")


def list_requests(sample: Sample, reply: str = "") -> Iterator[Request]:
    """The requests of a sample in order, with this text as each reply between: for estimates."""
    replies: dict[int, str] = {}
    for turn in list_asked(sample):
        yield build_request(sample, replies)
        replies[turn] = reply


def join_replies(sample: Sample, response: Response) -> Sample:
    """The sample with the whole conversation as its request, as the model was asked last; judges are given this one."""
    if not sample.turns:
        return sample
    return replace(sample, request=build_request(sample, find_replies(response.steps)), turns=())


def imagine_answer(sample: Sample, text: str) -> Response:
    """An answer to a sample, with this text as each of its replies: for estimates and checks."""
    return Response(text=text, steps={name_reply(turn): text for turn in list_asked(sample)[:-1]})


def list_exchanges(sample: Sample, response: Response) -> tuple[Exchange, ...]:
    """The turns of an answered sample, with the reply of each; of a sample as a task lists it or as judges get it."""
    replies = find_replies(response.steps)
    messages = [message for message, _ in carry_on(sample, replies)]
    found: list[Exchange] = []
    for number, message in enumerate(messages):
        if message.role != "user":
            continue
        turn = len(found) + 1
        follows = messages[number + 1] if number + 1 < len(messages) else None
        if follows is None:
            found.append(Exchange(turn=turn, said=message, reply=response.text, given=False))
        else:
            reply = "".join(p.text for p in follows.content if isinstance(p, Text)) if follows.role != "user" else ""
            found.append(Exchange(turn=turn, said=message, reply=reply, given=turn not in replies))
    return tuple(found)


def format_conversation(messages: Sequence[Message]) -> str:
    """A conversation as a text, without its system message. No text in it can look like the head of another turn."""
    lines: list[str] = []
    turn = shown = 0
    for message in messages:
        if message.role == "system":
            continue
        images = sum(isinstance(part, Image) for part in message.content)
        numbers = list(range(shown + 1, shown + images + 1))
        shown += images
        turn += message.role == "user"
        head = f"Turn {turn}. The user says" if message.role == "user" else "The model replies"
        lines.append(f"{head}{_format_images(numbers)}:")
        texts = "\n".join(part.text for part in message.content if isinstance(part, Text))
        lines += [f"| {line}" for line in texts.splitlines()]
    return "\n".join(lines)


def _format_images(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    *first, last = map(str, numbers)
    return f", with image {last}" if not first else f", with images {', '.join(first)} and {last}"


def map_images(sample: Sample, change: Callable[[Image], Image]) -> Sample:
    """The sample with another image in place of each, in the request and in the turns."""

    def map_all(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(
            replace(each, content=tuple(change(part) if isinstance(part, Image) else part for part in each.content))
            for each in messages
        )

    request = replace(sample.request, messages=map_all(sample.request.messages))
    return replace(sample, request=request, turns=map_all(sample.turns))


def find_dialogue_fault(sample: Sample) -> str:
    """What is wrong with a sample's `turns`; empty if nothing is. Its messages and parts are sound by themselves."""
    if not sample.turns:
        return ""
    if sample.request.raw:
        return "whose request is raw, so it has no turns"
    if sample.request.messages[-1].role != "user":
        return "whose request does not end with what the user says, though turns follow"
    if any(message.role == "system" for message in sample.turns):
        return "with a system message among its turns; it belongs at the start of the request"
    if any(one.role == two.role == "assistant" for one, two in zip(sample.turns, sample.turns[1:], strict=False)):
        return "with two given replies in a row among its turns"
    if sample.turns[-1].role != "user":
        return "whose last turn is a given reply, so there is nothing to ask"
    if any(not message.content for message in sample.turns):
        return "with a turn that says nothing"
    return ""
