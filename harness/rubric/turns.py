"""A rubric on each reply of a dialogue: its verdict is that of the worst turn.

    EACH = rubric.each_turn(JUDGE, name="tone-each", worst=("alarming", "calm"))

Without it a rubric judges the last reply, with the conversation before it as the question. With it the same rubric is
asked about every reply of the model, each with the conversation up to there. Replies that the data gives are not
judged. The labels of the turns are axes of the verdict (`turn-1`), as is the number of the first worst turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.contracts import Decision, Judge, Rubric
from harness.dialogues import list_exchanges, name_reply
from harness.errors import HarnessError
from harness.rubric.replies import repair_request
from harness.types import Request, Response, Sample, Settings, Unscored, Verdict

EACH: str = "each turn"  #: in `Rubric.sees`
WORST_TURN: str = "worst-turn"  #: the axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One reply of a dialogue as a sample and a response of its own."""

    number: int
    sample: Sample
    response: Response


def list_turns(sample: Sample, response: Response) -> list[Turn]:
    """The model's replies in order, each with the conversation up to it as its request."""
    found: list[Turn] = []
    messages = sample.request.messages
    users = [place for place, message in enumerate(messages) if message.role == "user"]
    exchanges = [each for each in list_exchanges(sample, response) if not each.given]
    for each in exchanges[:-1]:
        request = replace(sample.request, messages=messages[: users[each.turn - 1] + 1])
        steps = {name_reply(one.turn): one.reply for one in exchanges if one.turn < each.turn}
        part = replace(sample, request=request, turns=())
        found.append(Turn(number=each.turn, sample=part, response=Response(text=each.reply, steps=steps)))
    return [*found, Turn(number=exchanges[-1].turn, sample=sample, response=response)]


def each_turn(judge: Judge, *, name: str, worst: Sequence[str], description: str = "") -> Judge:
    """A judge that judges each reply of a dialogue by another judge, and gives the label of the worst.

    One turn without a verdict leaves the dialogue without one, unless another turn has the worst label. A call that
    fails or is blocked always leaves it without one: then no reply is read.

    Args:
        judge: judges one reply; its settings are the new judge's as well. It must not score whole splits.
        name: of the new judge.
        worst: all labels of the rubric, the worst first.
        description: one line; made from the judge's if it is empty.
    """

    def open_rubric(settings: Settings, root: Path) -> Rubric:
        inner = judge.open(settings, root)
        if inner.score is not None or set(inner.labels) != set(worst):
            what = "it scores whole splits" if inner.score is not None else f"its labels are {', '.join(inner.labels)}"
            raise HarnessError(
                f"judge {name}: {judge.name} cannot judge turn by turn: {what}", remedy="name another judge"
            )
        local = inner.ask_local
        return replace(
            inner,
            identity={**inner.identity, "turns": ["each", *worst]},
            labels=tuple(worst),
            ask=_ask_each(inner.ask),
            ask_local=None if local is None else _ask_each(local),
            read=partial(_read_each, inner, worst),
            sees=(*inner.sees, EACH),
            repairs=False,  # each turn repairs its own
        )

    said = description or f"each reply of a dialogue, the worst counts: {judge.description}"
    return replace(judge, name=name, description=said, open=open_rubric)


def _ask_each(ask: Callable[[Sample, Response], list[Request]]) -> Callable[[Sample, Response], list[Request]]:
    return lambda sample, response: [
        request for turn in list_turns(sample, response) for request in ask(turn.sample, turn.response)
    ]


def _read_each(
    inner: Rubric, worst: Sequence[str], sample: Sample, response: Response, replies: Sequence[Response]
) -> Decision | list[Request]:
    """The verdict of the worst turn, or the requests of the next round.

    The replies of all rounds come in one list, in the order of their requests. So each turn's rounds are gone through
    again from the first, and each takes its part of the list.
    """
    turns = list_turns(sample, response)
    asked: list[list[Request]] = [inner.ask(turn.sample, turn.response) for turn in turns]
    heard: list[list[Response]] = [[] for _ in turns]
    decided: dict[int, Decision] = {}
    repaired: set[int] = set()
    taken = 0
    while True:
        for place, requests in enumerate(asked):
            heard[place] += replies[taken : taken + len(requests)]
            taken += len(requests)
        following: list[list[Request]] = [[] for _ in turns]
        for place, turn in enumerate(turns):
            if place in decided:
                continue
            said = inner.read(turn.sample, turn.response, heard[place])
            unreadable = isinstance(said, Unscored) and said.state == "judge_unparsable"
            if isinstance(said, list):
                following[place] = said
            elif unreadable and inner.repairs and len(asked[place]) == 1 and place not in repaired:
                repaired.add(place)
                assert isinstance(said, Unscored)
                following[place] = [repair_request(asked[place][0], heard[place].pop().text, said.message)]
            else:
                decided[place] = said
        if len(decided) == len(turns):
            return _combine(worst, [(turn.number, decided[place]) for place, turn in enumerate(turns)])
        asked = following
        if taken >= len(replies):
            return [request for requests in asked for request in requests]


def _combine(worst: Sequence[str], decisions: Sequence[tuple[int, Decision]]) -> Decision:
    verdicts = [(turn, each) for turn, each in decisions if isinstance(each, Verdict)]
    missing = next(((turn, each) for turn, each in decisions if isinstance(each, Unscored)), None)
    lowest = min(verdicts, key=lambda pair: worst.index(pair[1].label), default=None)
    if missing is not None and (lowest is None or lowest[1].label != worst[0]):
        turn, unscored = missing
        return replace(unscored, message=f"turn {turn}: {unscored.message}")
    assert lowest is not None  # there is at least one turn, and each has a verdict or none
    axes: dict[str, str | float | bool] = {}
    for turn, verdict in verdicts:
        axes[name_reply(turn)] = verdict.label
        axes |= {f"{name_reply(turn)}:{axis}": value for axis, value in verdict.axes.items()}
    axes[WORST_TURN] = lowest[0]
    reasons = "\n".join(f"turn {turn}: {verdict.reason}" for turn, verdict in verdicts if verdict.reason)
    return Verdict(label=lowest[1].label, axes=axes, reason=reasons)
