"""One answer, one judge: from a Response to a Verdict or an Unscored.

A judge's failure is never a label. A filter's block, a refusal, an unreadable reply and an error each have a state of
their own; an unreadable reply is asked for once more, with what was wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio

from . import rubric as rubrics
from .contracts import Decision, Judge, Model, Rubric
from .errors import HarnessError
from .types import (
    BLOCKED,
    Failure,
    Generation,
    Json,
    Request,
    Response,
    Sample,
    Unscored,
    UnscoredState,
    Usage,
    add_usage,
)

ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision and what it took: the judge's raw replies and the tokens."""

    decision: Decision
    replies: tuple[str, ...] = ()
    usage: Usage = Usage()
    models: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Bench:
    """A judge ready to work: its rubric, its model where it needs one, and its id.

    Attributes:
        id: `<rubric>-<model>-<8 hex>`; names its file in the run folder.
        judge: the descriptor.
        rubric: opened.
        model: metered; None for a rule.
        overrides: generation settings given with `-J`, over those of the rubric's requests.
        dead: why it stopped working; answers go on without it.
        card: what results.json says of it.
    """

    id: str
    judge: Judge
    rubric: Rubric
    model: Model | None
    overrides: Mapping[str, Json] = field(default_factory=dict[str, Json])
    dead: HarnessError | None = None
    card: Mapping[str, Json] = field(default_factory=dict[str, Json])

    async def decide(self, sample: Sample, response: Response) -> Judgement:
        """Judge one answer. Raises HarnessError when the judge's model will never work; no other exception leaves."""
        hearing = _Hearing(self)
        try:
            decision = await hearing.run(sample, response)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of this sample
            decision = Unscored(state="judge_error", message=f"{type(error).__name__}: {error}")
        return hearing.judgement(decision)


class _Hearing:
    """The rounds of one decision, and what they used."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._replies: list[Response] = []
        self._spent: list[Response | Failure] = []

    def judgement(self, decision: Decision) -> Judgement:
        return Judgement(
            decision=decision,
            replies=tuple(reply.text for reply in self._replies),
            usage=add_usage(*(result.usage for result in self._spent)),
            models=tuple(dict.fromkeys(result.model for result in self._spent if result.model)),
        )

    async def run(self, sample: Sample, response: Response) -> Decision:
        requests = self._bench.rubric.ask(sample, response)
        for _ in range(ROUNDS):
            failed = await self._ask(requests)
            if failed is not None:
                return failed
            outcome = self._bench.rubric.read(sample, response, self._replies)
            if isinstance(outcome, Unscored) and outcome.state == "judge_unparsable" and len(requests) == 1:
                return await self._repair(requests[0], sample, response, outcome)
            if not isinstance(outcome, list):
                return outcome
            requests = outcome
        return Unscored(state="judge_error", message=f"no decision after {ROUNDS} rounds")

    async def _repair(self, request: Request, sample: Sample, response: Response, bad: Unscored) -> Decision:
        """Ask once more for a reply that could not be read."""
        reply = self._replies.pop()
        again = rubrics.repair_request(request, reply.text, bad.message)
        failed = await self._ask([again])
        if failed is not None:
            return failed
        outcome = self._bench.rubric.read(sample, response, self._replies)
        return bad if isinstance(outcome, list) else outcome

    async def _ask(self, requests: list[Request]) -> Unscored | None:
        """Ask all requests of a round at once and keep the replies in order; what failed, if any did."""
        results: list[Response | Failure | None] = [None] * len(requests)

        async def one(n: int, request: Request) -> None:
            results[n] = await self._send(request)

        await gather([partial(one, n, request) for n, request in enumerate(requests)])
        for result in results:
            assert result is not None
            self._spent.append(result)
            unscored = _unscored(result)
            if unscored is not None:
                return unscored
            assert isinstance(result, Response)
            self._replies.append(result)
        return None

    async def _send(self, request: Request) -> Response | Failure:
        model = self._bench.model
        if model is None:
            raise RuntimeError(f"rubric {self._bench.judge.name} asks a model and says it needs none")
        settings = replace(request.settings, **self._bench.overrides) if self._bench.overrides else request.settings
        schema = request.schema if "schema" in model.info.can else None
        return await model.generate(replace(request, settings=settings, schema=schema))


def _unscored(result: Response | Failure) -> Unscored | None:
    if isinstance(result, Failure):
        state: UnscoredState = "judge_blocked" if result.outcome in BLOCKED else "judge_error"
        return Unscored(state=state, message=f"{result.reason}: {result.message}")
    if "refusal" in result.flags:
        return Unscored(state="judge_refused", message=result.text)
    return None


async def gather(calls: Sequence[Callable[[], Coroutine[object, object, None]]]) -> None:
    """Await all calls at once; what one raises is raised as it is, not in a group."""
    if len(calls) == 1:
        await calls[0]()
        return
    try:
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(call)
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None


def generation_overrides(values: Mapping[str, Json]) -> dict[str, Json]:
    """Those of some settings that are a rubric request's own: temperature, max_tokens, top_p, seed."""
    names = Generation.__dataclass_fields__
    return {name: value for name, value in values.items() if name in names}
