"""Judges: each is opened once, and turns an answer into a Verdict or an Unscored.

A judge's failure is never a label: a filter's block, a refusal, an unreadable reply and an error each have their own
state. If a reply is unreadable, the judge is asked once more in that round and told what was wrong.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import anyio
import anyio.abc

from harness import descriptors, plugins, settings
from harness import rubric as rubrics
from harness.batches import BatchedModel, BatchQueue
from harness.contracts import Decision, Judge, Model, Rubric
from harness.errors import BudgetSpent, HarnessError, PluginError, UnknownName, describe_error, unwrap_groups
from harness.evaluation.options import Options
from harness.evaluation.probe import probe_model
from harness.evaluation.splits import JudgeChoice, split_judge
from harness.keys import canonical, messages_digest, short
from harness.limits.endpoints import Endpoints
from harness.limits.metered import Breaker, Metered
from harness.models import IMAGES, ModelSpec, Resolved, list_settings, place_devices, resolve
from harness.plugins.shapes import describe_wrong_decision
from harness.prices import Seller
from harness.rubric.templates import strip_markers
from harness.store.folder import file_name, repeat_id
from harness.store.records import Judgement, sanitize_numbers
from harness.types import (
    BLOCKED,
    Ability,
    Failure,
    Json,
    Request,
    Response,
    Sample,
    Setting,
    Unscored,
    UnscoredState,
    add_usage,
)

_T = TypeVar("_T")
_P = ParamSpec("_P")
ROUNDS = 4
#: the reply to a request with choices if the model cannot score the choices
UNWEIGHED = Response(text="")
#: generation settings of a rubric's requests that `-J` can override, besides the settings of the judge's provider
GENERATION = (
    Setting(name="temperature", type=float, default=None, identity=True, help="of the judge's replies"),
    Setting(name="max_tokens", type=int, default=None, identity=True, help="most tokens of one reply"),
    Setting(name="top_p", type=float, default=None, identity=True, help="of the judge's replies"),
    Setting(name="seed", type=int, default=None, identity=True, help="sent to the judge's provider"),
)
#: types of settings whose values are part of a judge's id; for a path, the rubric's identity covers the file's content
_PLAIN = (bool, int, float, str)


class RubricError(Exception):
    """A rubric raised, or returned no decision. It also wraps a rubric's HarnessError, which is not the model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a judge's model.

    Attributes:
        asked: digest of the prompt, without the markers around its data, so that equal prompts have equal digests.
        result: the reply, or the failure.
    """

    asked: str
    result: Response | Failure


@dataclass(slots=True, kw_only=True)
class OpenJudge:
    """An open judge: its rubric, its model if it needs one, and its id.

    Attributes:
        id: `<rubric>-<model>-<8 hex>`; names its file in the run folder.
        judge: the judge's descriptor.
        rubric: the open rubric.
        model: the metered model; None for a rule.
        breaker: watches the model's calls; None if nothing does.
        overrides: generation settings from `-J`; they override those of the rubric's requests.
        dead: why the judge stopped working; the run continues without it.
        fault: the last error of the rubric's plugin; a retry does not fix it.
        card: its entry in results.json.
        number: which repeat of the judge this is; the first is the judge itself.
        repeats: its other repeats, which share its rubric and its model.
        seller: who answers the model's calls; None for a rule.
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
    number: int = 1
    repeats: tuple[OpenJudge, ...] = ()
    seller: Seller | None = None

    @property
    def every(self) -> tuple[OpenJudge, ...]:
        """The judge, then its other repeats."""
        return (self, *self.repeats)

    @property
    def needs(self) -> frozenset[Ability]:
        """The abilities that the rubric's settings require of its model."""
        own = self.rubric.needs
        return own if own is not None else self.judge.needs or frozenset()

    async def decide(self, sample: Sample, response: Response) -> Judgement:
        """Judge one answer. Raises HarnessError if the judge's model will never work, and nothing else."""
        calls: list[Call] = []
        try:
            decision = await self._decide(sample, response, calls)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of this sample
            descriptors.check(error)
            self.note_fault(error)
            decision = Unscored(state="judge_error", message=describe_failure(error))
        return replace(build_judgement(decision, calls), flags=self.find_flags(response))

    async def _decide(self, sample: Sample, response: Response, calls: list[Call]) -> Decision:
        """Ask the model and read its replies, round by round; appends each finished call to `calls`."""
        requests = _call_rubric(self.build_requests, sample, response)
        replies: list[Response] = []
        rounds, repaired = 1, False
        while True:
            results = await self._send_all(requests)
            called = zip(requests, results, strict=True)
            calls += [build_call(request, result) for request, result in called if result is not UNWEIGHED]
            replies += [result for result in results if isinstance(result, Response)]
            failed = next((state for state in map(find_unscored, results) if state is not None), None)
            if failed is not None:
                return failed
            outcome = _call_rubric(self.rubric.read, sample, response, replies)
            unreadable = isinstance(outcome, Unscored) and outcome.state == "judge_unparsable"
            if unreadable and len(requests) == 1 and not repaired and self.rubric.repairs:
                repaired, bad = True, cast("Unscored", outcome)
                requests = [rubrics.repair_request(requests[0], replies.pop().text, bad.message)]
            elif not isinstance(outcome, list):
                return check_decision(self.rubric, outcome)
            elif rounds == ROUNDS:
                return Unscored(state="judge_error", message=f"no decision after {ROUNDS} rounds")
            else:
                requests, rounds, repaired = outcome, rounds + 1, False

    def build_requests(self, sample: Sample, response: Response) -> list[Request]:
        """The rubric's first requests about an answer; they may differ for a local model."""
        local = self.rubric.ask_local if self.model is not None and self.model.info.local else None
        return (local or self.rubric.ask)(sample, response)

    async def _send_all(self, requests: Sequence[Request]) -> list[Response | Failure]:
        """Send the requests of a round at once, and return the replies in the same order.

        If the model cannot score choices that no verdict needs, the reply is empty and its notes say why.
        """
        results: list[Response | Failure | None] = [None] * len(requests)
        over: list[BudgetSpent] = []

        async def send(number: int, request: Request) -> None:
            try:
                result = await self.send(request)
            except BudgetSpent as error:  # the others are on the wire and paid for
                over.append(error)
                return
            state = find_unscored(result) if request.choices and "choices" not in self.needs else None
            if state is not None:
                result = Response(text="", usage=result.usage, model=result.model, notes=(state.message,))
            results[number] = result

        if len(requests) == 1:
            await send(0, requests[0])
        else:
            try:
                async with anyio.create_task_group() as group:
                    for number, request in enumerate(requests):
                        group.start_soon(send, number, request)
            except BaseExceptionGroup as error:
                raise error.exceptions[0] from None
        if over:
            raise over[0]
        return [result for result in results if result is not None]

    async def send(self, request: Request) -> Response | Failure:
        """Ask the judge's model, with the overrides of `-J`. Raises RubricError if the judge has no model.

        Where the request has a seed, each repeat of the judge sends its own: the given one, then one more each.
        """
        model = self.model
        if model is None:
            raise RubricError(f"rubric {self.judge.name} asks a model but declares that it needs none")
        if request.choices and "choices" not in model.info.can:
            return UNWEIGHED
        own = replace(request.settings, **self.overrides) if self.overrides else request.settings
        if self.number > 1 and own.seed is not None:
            own = replace(own, seed=own.seed + self.number - 1)
        schema = request.schema if "schema" in model.info.can else None
        return sanitize_numbers(await model.generate(replace(request, settings=own, schema=schema)))

    def note_fault(self, error: Exception) -> None:
        """Store the error if the rubric's plugin caused it."""
        cause = error.__cause__ if isinstance(error, RubricError) else error
        if isinstance(cause, PluginError):
            self.fault = cause

    def find_flags(self, response: Response) -> frozenset[str]:
        """`verdict_like` if the answer looks like this rubric's verdict; the flag changes no label."""
        own = self.rubric.verdict_like
        shaped = rubrics.looks_like_verdict(response.text, self.rubric.labels)
        return frozenset({"verdict_like"} if shaped or (own is not None and own(response.text)) else ())


def build_call(request: Request, result: Response | Failure) -> Call:
    """The record of a call, without its images, which may be large."""
    return Call(asked=messages_digest(strip_markers(request)), result=result)


def build_judgement(decision: Decision, calls: Sequence[Call]) -> Judgement:
    """Join a decision with the digests, replies and usage of its calls."""
    results = [each.result for each in calls]
    return Judgement(
        decision=decision,
        asked=tuple(each.asked for each in calls),
        replies=tuple(result.text for result in results if isinstance(result, Response)),
        usage=add_usage(*(result.usage for result in results)),
        models=tuple(dict.fromkeys(result.model for result in results if result.model)),
    )


def check_decision(rubric: Rubric, decision: object) -> Decision:
    """Return a plugin's decision if it is valid. Raises RubricError otherwise."""
    if why := describe_wrong_decision(decision, rubric.labels):
        raise RubricError(why)
    return cast("Decision", decision)


def describe_failure(error: Exception) -> str:
    """The message of a verdict line for an exception."""
    return str(error) if isinstance(error, RubricError) else describe_error(error)


def _call_rubric(function: Callable[_P, _T], *args: _P.args, **given: _P.kwargs) -> _T:
    """Call a rubric's function, and turn whatever it raises into a RubricError."""
    try:
        return function(*args, **given)
    except Exception as error:
        raise RubricError(describe_error(error)) from error


def find_unscored(result: Response | Failure) -> Unscored | None:
    """Why a reply of the judge's model cannot be read as a verdict; None if it can."""
    if isinstance(result, Failure):
        state: UnscoredState = "judge_blocked" if result.outcome in BLOCKED else "judge_error"
        return Unscored(state=state, message=f"{result.reason}: {result.message}")
    if "refusal" in result.flags:
        return Unscored(state="judge_refused", message=result.text)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """The `-J` settings of one choice: overrides of the rubric's requests, and the model's settings.

    Attributes:
        overrides: generation settings.
        model: the model, not yet opened; None for a rule.
    """

    overrides: Mapping[str, Json]
    model: Resolved | None


def resolve_settings(choice: JudgeChoice, options: Options) -> JudgeSettings:
    """Read `-J` for one choice; opens nothing. Raises UnknownName or HarnessError for a wrong model, key or value."""
    if not choice.model:
        return JudgeSettings(overrides={}, model=None)
    names = {setting.name for setting in GENERATION}
    provider = resolve(ModelSpec(ref=choice.model)).provider
    given = place_devices(provider, select_settings(choice.judge.name, options.judge_settings))
    values = settings.effective(
        (*list_settings(provider), *GENERATION), given, owner=f"judge's provider {provider.scheme}"
    )
    own = {name: value for name, value in given.items() if name not in names}
    return JudgeSettings(
        overrides={name: values[name] for name in given if name in names},
        model=resolve(ModelSpec(ref=choice.model, settings=own), devices=options.devices, launch=options.launcher),
    )


def select_settings(rubric: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The `-J` settings of one rubric's model: the general ones, overridden by `RUBRIC.key`."""
    names = {judge.name for judge, _ in plugins.current().offers("judges")}
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for key, value in given.items():
        head, dot, tail = key.partition(".")
        if dot and head in names:
            own.update({tail: value} if head == rubric else {})
        else:
            common[key] = value
    return {**common, **own}


def check_judges(choices: Iterable[JudgeChoice], options: Options) -> None:
    """Check the judges' models and settings before anything is opened. Raises UnknownName, HarnessError."""
    choices = list(choices)
    if options.judge_repeat > 1 and choices and not any(choice.model for choice in choices):
        rules = ", ".join(dict.fromkeys(repr(choice.judge.name) for choice in choices))
        raise HarnessError(
            f"--judge-repeat {options.judge_repeat}: {rules} asks no model, and a rule says the same of an answer"
            " each time",
            remedy="leave --judge-repeat out, or name a judge that asks a model: --judge RUBRIC=SCHEME/NAME",
        )
    names = {judge.name for judge, _ in plugins.current().offers("judges")}
    for key in options.judge_settings:
        head, dot, _ = key.partition(".")
        if dot and head not in names:
            raise UnknownName(f"-J {key}: no judge {head!r}", remedy=settings.nearest(head, names))
    for choice in choices:
        resolve_settings(choice, options)
    for _, model in map(split_judge, options.judges):
        if model:
            resolve(ModelSpec(ref=model))  # a model that no rubric asks must exist too


def find_unrepeated(choices: Iterable[JudgeChoice], options: Options) -> list[str]:
    """A note on the rules among these choices if the judges shall judge several times."""
    rules = dict.fromkeys(choice.judge.name for choice in choices if not choice.model)
    if options.judge_repeat == 1 or not rules:
        return []
    return [f"--judge-repeat: a rule says the same each time, so it judges once: {', '.join(rules)}"]


def explain_live(choice: JudgeChoice, model: Resolved) -> str:
    """Why a judge's model is asked live in a run with batches; empty if it is asked in batches.

    A scorer asks while it works, perhaps one question after the other. In batches, each would take a round of hours.
    """
    if fault := model.find_batch_fault():
        return fault
    if choice.judge.open(choice.settings, choice.root).scope == "split":
        return "its rubric scores all answers of a split at once, and asks while it does"
    return ""


class OpenJudges:
    """The judges of a run, opened one by one and closed with the stack.

    Args:
        options: the run's options.
        endpoints: limit the judges' calls.
        stack: closes the judges.
        images: model -> most images in one of its requests, None if unknown; a model not listed gets none.
        judged: whether the judge with this id has judged in an earlier run.
        batches: where requests are put that are asked in batches; None asks all live.
    """

    def __init__(
        self,
        options: Options,
        endpoints: Endpoints,
        stack: AsyncExitStack,
        images: Mapping[str, int | None] | None = None,
        judged: Callable[[str], bool] = lambda _: False,
        batches: BatchQueue | None = None,
    ) -> None:
        self._batches = batches
        self._options = options
        self._endpoints = endpoints
        self._stack = stack
        self._images = images or {}
        self._judged = judged
        self._models: dict[str, Model] = {}
        self._judges: dict[tuple[str, str], OpenJudge] = {}

    @property
    def all(self) -> Iterable[OpenJudge]:
        """All open judges."""
        return self._judges.values()

    async def open(self, choice: JudgeChoice) -> OpenJudge:
        """Return the judge of a choice, opening it at first use. Raises HarnessError if its model cannot be used."""
        place = (choice.judge.name, choice.model)
        if place in self._judges:
            judge = self._judges[place]
            _check_abilities(choice, judge.rubric, judge.model)
            return judge
        rubric = choice.judge.open(choice.settings, choice.root)
        given = resolve_settings(choice, self._options)
        model = identity = None
        if given.model is not None:
            model = await self._open_model(given.model, raw="raw" in choice.needs(rubric))
            identity = given.model.identity(model)
        parts = {
            "version": choice.judge.version,
            "rubric": dict(rubric.identity),
            "settings": settings.identity((s for s in choice.judge.settings if s.type in _PLAIN), choice.settings),
            "model": identity,
            "generation": dict(given.overrides),
        }
        names = [choice.judge.name, *([file_name(choice.model)] if choice.model else []), short(parts)]
        judge_id = "-".join(names)
        metered = None
        if given.model is not None and model is not None:
            asked, before = given.model, partial(self._judged, judge_id)
            meter = self._endpoints.open_meter(asked.spec.ref, asked.provider, asked.settings)
            if self._batches is None or asked.find_batch_fault():
                metered = Metered(model, self._endpoints, urgent=True, before=before, meter=meter)
            else:
                channel = await self._batches.attach(asked.channel, model.info.ref, asked.batches_of(model))
                metered = BatchedModel(
                    model, self._endpoints, self._batches, channel, urgent=True, before=before, meter=meter
                )
        judge = OpenJudge(
            id=judge_id,
            judge=choice.judge,
            rubric=rubric,
            model=metered,
            breaker=None if metered is None else metered.breaker,
            overrides=given.overrides,
            card=_build_card(choice, rubric, given),
            seller=None if given.model is None else given.model.seller,
        )
        if metered is not None:
            numbers = range(2, self._options.judge_repeat + 1)
            judge.repeats = tuple(replace(judge, id=repeat_id(judge_id, number), number=number) for number in numbers)
        self._judges[place] = judge
        _check_abilities(choice, rubric, metered)
        return judge

    async def _open_model(self, resolved: Resolved, *, raw: bool) -> Model:
        place = canonical({"ref": resolved.spec.ref, "settings": {k: str(v) for k, v in resolved.settings.items()}})
        if place not in self._models:
            images = self._images.get(resolved.spec.ref, 0)
            kept = _kept.get()
            if kept is not None and resolved.provider.local:
                model = await kept.open(place, resolved, images)
            else:
                model = await self._stack.enter_async_context(resolved.open(images=images))
            self._endpoints.watch(model)
            side = None if self._batches is None or resolved.find_batch_fault() else resolved.batches_of(model)
            asked = self._batches is not None and self._batches.log.gathered
            if self._options.probe and (side is None or side.live) and not asked:
                raw = raw and "raw" in model.info.can
                meter = self._endpoints.open_meter(resolved.spec.ref, resolved.provider, resolved.settings)
                await probe_model(
                    model, images=0, raw=raw, policy=self._options.policy, tell=self._endpoints.tell, meter=meter
                )
                self._endpoints.mark_answered(model)
            self._models[place] = model
        return self._models[place]


def _check_abilities(choice: JudgeChoice, rubric: Rubric, model: Model | None) -> None:
    if model is None:
        return
    needs = choice.needs(rubric)
    missing = needs - model.info.can
    remedy = f"--judge {choice.judge.name}=SCHEME/NAME with another model"
    if missing:
        raise HarnessError(
            f"rubric {choice.judge.name!r} needs a model that can: {', '.join(sorted(missing))}",
            where=choice.model,
            remedy=remedy,
        )
    most = model.info.max_images
    if "images" in needs and most is not None and most < choice.images:
        raise HarnessError(
            f"rubric {choice.judge.name!r} shows {choice.images} images at once; {model.info.ref} takes {most}",
            remedy=remedy,
        )


def _build_card(choice: JudgeChoice, rubric: Rubric, given: JudgeSettings) -> dict[str, Json]:
    """A judge's entry in results.json; `resolved` is filled later from the model's replies."""
    return {
        "rubric": choice.judge.name,
        "version": choice.judge.version,
        "template_hash": rubric.identity.get("template_hash", ""),
        "fidelity": rubric.fidelity,
        "model": choice.model or None,
        "resolved": [],
        "settings": {
            **settings.identity(choice.judge.settings, choice.settings),
            **(given.model.overrides if given.model else {}),
            **given.overrides,
        },
        "sees": list(rubric.sees),
        "labels": {label: rubric.meanings.get(label, "") for label in rubric.labels},
    }


class _KeptModels:
    """Open models of judges on this machine, for several runs one after the other; each in a task of its own."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._models: dict[str, tuple[int | None, Model]] = {}
        self.done = anyio.Event()

    async def open(self, place: str, resolved: Resolved, images: int | None) -> Model:
        """The model, opened at first use, and again for requests with more images."""
        most, model = self._models.get(place, (0, None))
        enough = model is not None and (IMAGES not in resolved.settings or (images is not None and most == images))
        if model is None or not enough:
            model = await self._tasks.start(self._hold, resolved, images)
            self._models[place] = images, model
        return model

    async def _hold(self, resolved: Resolved, images: int | None, *, task_status: anyio.abc.TaskStatus[Model]) -> None:
        async with resolved.open(images=images) as model:
            task_status.started(model)
            await self.done.wait()


_kept: ContextVar[_KeptModels | None] = ContextVar("kept", default=None)


@asynccontextmanager
async def keep_judges_open() -> AsyncGenerator[None]:
    """Inside, a judge's model on this machine is opened once for all runs that are judged, and closed at the end."""
    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            kept = _KeptModels(tasks)
            token = _kept.set(kept)
            try:
                yield
            finally:
                _kept.reset(token)
                kept.done.set()
