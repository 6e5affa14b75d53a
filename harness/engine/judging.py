"""One answer, one judge: from a Response to a Verdict or an Unscored.

A judge's failure is never a label. A filter's block, a refusal, an unreadable reply and an error each have a state of
their own; an unreadable reply is asked for once more in each round, with what was wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeGuard, TypeVar, cast

import anyio

from harness import descriptors
from harness import rubric as rubrics
from harness.contracts import Decision, Judge, Model, Rubric
from harness.errors import HarnessError, PluginError, describe_error
from harness.keys import messages_digest
from harness.limits.breaker import Breaker
from harness.plugins.shapes import describe_wrong_decision
from harness.rubric.templates import unmarked
from harness.store.records import Judgement
from harness.store.sound import sound
from harness.types import (
    BLOCKED,
    Ability,
    Failure,
    Json,
    Request,
    Response,
    Sample,
    Unscored,
    UnscoredState,
    add_usage,
)

_T = TypeVar("_T")
ROUNDS = 4
#: what a request with choices gets of a model that cannot weigh them
UNWEIGHED = Response(text="")


@dataclass(slots=True, kw_only=True)
class Bench:
    """A judge ready to work: its rubric, its model where it needs one, and its id.

    Attributes:
        id: `<rubric>-<model>-<8 hex>`; names its file in the run folder.
        judge: the descriptor.
        rubric: opened.
        model: metered; None for a rule.
        breaker: of the model's calls; None where nothing watches them.
        overrides: generation settings given with `-J`, over those of the rubric's requests.
        dead: why it stopped working; answers go on without it.
        fault: what its rubric did wrong last, which asking again does not mend.
        card: what results.json says of it.
    """

    id: str
    judge: Judge
    rubric: Rubric
    model: Model | None
    breaker: Breaker | None = None
    overrides: Mapping[str, Json] = field(default_factory=dict[str, Json])
    dead: HarnessError | None = None
    fault: PluginError | None = None
    card: Mapping[str, Json] = field(default_factory=dict[str, Json])

    async def decide(self, sample: Sample, response: Response) -> Judgement:
        """Judge one answer. Raises HarnessError when the judge's model will never work; no other exception leaves."""
        hearing = _Hearing(self)
        try:
            decision = await hearing.run(sample, response)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of this sample
            descriptors.check(error)
            self.note(error)
            decision = Unscored(state="judge_error", message=told(error))
        return replace(hearing.judgement(decision), flags=self.flag(response))

    def note(self, error: Exception) -> None:
        """Keep what the rubric's plugin did wrong, where an error came of that."""
        cause = error.__cause__ if isinstance(error, RubricError) else error
        if isinstance(cause, PluginError):
            self.fault = cause

    def flag(self, response: Response) -> frozenset[str]:
        """`verdict_like` for an answer that is shaped like a verdict of this rubric; it changes no label."""
        own = self.rubric.verdict_like
        shaped = rubrics.looks_like_verdict(response.text, self.rubric.labels)
        return frozenset({"verdict_like"} if shaped or (own is not None and own(response.text)) else ())

    @property
    def needs(self) -> frozenset[Ability]:
        """What its model must be able to, under the rubric's settings."""
        own = self.rubric.needs
        return own if own is not None else self.judge.needs or frozenset()

    def ask(self, sample: Sample, response: Response) -> list[Request]:
        """What the rubric asks about an answer, of a model that runs where this one does."""
        local = self.rubric.ask_local if self.model is not None and self.model.info.local else None
        return (local or self.rubric.ask)(sample, response)

    async def send(self, request: Request) -> Response | Failure:
        """Ask the judge's model, with the overrides of `-J`. Raises RubricError where it has none."""
        model = self.model
        if model is None:
            raise RubricError(f"rubric {self.judge.name} asks a model and says it needs none")
        if request.choices and "choices" not in model.info.can:
            return UNWEIGHED
        settings = replace(request.settings, **self.overrides) if self.overrides else request.settings
        schema = request.schema if "schema" in model.info.can else None
        return sound(await model.generate(replace(request, settings=settings, schema=schema)))


class RubricError(Exception):
    """What a rubric raised or returned is no decision; a HarnessError of its own is not one of the judge's model."""


class _Hearing:
    """The rounds of one decision, and what they used."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._rubric = bench.rubric
        self._replies: list[Response] = []
        self._calls: list[Call] = []
        self._repaired = False

    def judgement(self, decision: Decision) -> Judgement:
        return judgement(decision, self._calls)

    async def run(self, sample: Sample, response: Response) -> Decision:
        requests = _guarded(lambda: self._bench.ask(sample, response))
        rounds = 1
        while True:
            failed = await self._ask(requests)
            if failed is not None:
                return failed
            outcome = _guarded(lambda: self._rubric.read(sample, response, self._replies))
            if self._may_repair(outcome, requests):
                requests = [self._repair(requests[0], outcome)]
            elif not isinstance(outcome, list):
                return checked(self._rubric, outcome)
            elif rounds == ROUNDS:
                return Unscored(state="judge_error", message=f"no decision after {ROUNDS} rounds")
            else:
                requests, rounds, self._repaired = outcome, rounds + 1, False

    def _may_repair(self, outcome: Decision | list[Request], requests: list[Request]) -> TypeGuard[Unscored]:
        unreadable = isinstance(outcome, Unscored) and outcome.state == "judge_unparsable"
        return unreadable and len(requests) == 1 and not self._repaired and self._rubric.repairs

    def _repair(self, request: Request, bad: Unscored) -> Request:
        """The request that asks once more for a reply that could not be read."""
        self._repaired = True
        return rubrics.repair_request(request, self._replies.pop().text, bad.message)

    async def _ask(self, requests: list[Request]) -> Unscored | None:
        """Ask all requests of a round at once and keep the replies in order; what failed, if any did."""
        results: list[Response | Failure | None] = [None] * len(requests)

        async def one(n: int, request: Request) -> None:
            results[n] = self._borne(request, await self._bench.send(request))

        await gather([partial(one, n, request) for n, request in enumerate(requests)])
        ended = [result for result in results if result is not None]
        called = zip(requests, ended, strict=True)
        self._calls += [call(request, result) for request, result in called if result is not UNWEIGHED]
        self._replies += [result for result in ended if isinstance(result, Response)]
        return next((state for state in map(unscored, ended) if state is not None), None)

    def _borne(self, request: Request, result: Response | Failure) -> Response | Failure:
        """The result; where the model failed to weigh what no verdict needs, an empty reply that says why."""
        state = unscored(result) if request.choices and "choices" not in self._bench.needs else None
        if state is None:
            return result
        return Response(text="", usage=result.usage, model=result.model, notes=(state.message,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a judge's model.

    Attributes:
        asked: digest of what it was shown; equal for equal prompts, whatever markers stood around their data.
        result: what came of it.
    """

    asked: str
    result: Response | Failure


def call(request: Request, result: Response | Failure) -> Call:
    """A call without its images, which may be many megabytes."""
    return Call(asked=messages_digest(unmarked(request)), result=result)


def judgement(decision: Decision, calls: Sequence[Call]) -> Judgement:
    """A decision with what its calls were shown, gave and took."""
    results = [each.result for each in calls]
    return Judgement(
        decision=decision,
        asked=tuple(each.asked for each in calls),
        replies=tuple(result.text for result in results if isinstance(result, Response)),
        usage=add_usage(*(result.usage for result in results)),
        models=tuple(dict.fromkeys(result.model for result in results if result.model)),
    )


def checked(rubric: Rubric, decision: object) -> Decision:
    """A plugin's decision as it may be written. Raises RubricError for what is no decision."""
    if why := describe_wrong_decision(decision, rubric.labels):
        raise RubricError(why)
    return cast("Decision", decision)


def told(error: Exception) -> str:
    """What a verdict line says of an exception."""
    return str(error) if isinstance(error, RubricError) else describe_error(error)


def _guarded(call: Callable[[], _T]) -> _T:
    """What a rubric returns; whatever it raises is its own fault."""
    try:
        return call()
    except Exception as error:
        raise RubricError(describe_error(error)) from error


def unscored(result: Response | Failure) -> Unscored | None:
    """The state that a reply of the judge's model ends in; None where it can be read."""
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
