"""Puts descriptors behind the error boundary: each of their functions, and what it opens, lists or wraps.

`bind` is called once for each descriptor, when its plugin offers it. Return values are checked against the contract
(`harness.plugins.shapes`), so the core can rely on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial, update_wrapper
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, TypeVar, cast

from harness.contracts import Attack, Attacked, Judge, ModelInfo, Provider, Report, Rubric, Split, Strategy, Suite, Task
from harness.errors import PluginError, describe_error, describe_value, find_root_error
from harness.plugins.boundary import Boundary, calls_plugin, current_task, is_asked_end, is_closed, is_listened_to
from harness.plugins.loader import Source, format_story
from harness.plugins.shapes import (
    describe_wrong,
    describe_wrong_attacked,
    describe_wrong_calls,
    describe_wrong_count,
    describe_wrong_decision,
    describe_wrong_first_requests,
    describe_wrong_request,
    describe_wrong_requests,
    find_split_faults,
)

_T = TypeVar("_T")


class _Opened(AbstractAsyncContextManager[Any]):
    """The context manager of a model or brush; it passes on what the body raises.

    The work is done before it closes, so any error of closing goes to the listener and ends nothing. It is raised in
    two cases only: there is no listener and the body raised nothing, or the manager itself cancelled the body.
    """

    def __init__(
        self, boundary: Boundary, what: str, manager: AbstractAsyncContextManager[object], method: str
    ) -> None:
        self._boundary = boundary
        self._what = what
        self._manager = manager
        self._method = method

    async def __aenter__(self) -> object:
        boundary, place = self._boundary, f"open of {self._what}"
        given = await boundary.wait(place, self._manager.__aenter__)
        return _bind_model(boundary, self._what, place, given, self._method)

    @calls_plugin
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        import anyio

        boundary, place, task = self._boundary, f"closing of {self._what}", current_task()
        try:
            return await self._manager.__aexit__(kind, error, trace)
        except BaseException as found:
            if error is not None and find_root_error(found) is find_root_error(error):
                raise
            if is_asked_end(found) or is_closed(found, task):
                raise
            root = find_root_error(found)
            made = boundary.error(place, describe_error(root), kind=type(root).__name__, story=format_story(found))
            # If one of the manager's tasks fails, it cancels the body: then this error ended the body.
            broke = (
                error is not None
                and isinstance(find_root_error(error), anyio.get_cancelled_exc_class())
                and not is_asked_end(error)
            )
            if broke or (error is None and not is_listened_to()):
                raise made from found
        return False


def _bind_model(boundary: Boundary, what: str, place: str, given: object, method: str) -> object:
    """Put a model, whose `method` is `generate`, or a brush, whose `method` is `draw`, behind the boundary.

    Raises PluginError if it lacks the method.
    """
    _check_method(boundary, place, given, method)
    return (_BoundModel if method == "generate" else _BoundBrush)(boundary, what, given)


def _check_method(boundary: Boundary, place: str, given: object, method: str) -> None:
    if not callable(getattr(given, method, None)):
        raise boundary.error(place, f"it returned {describe_value(given)}, which has no {method}()")


class _Bound:
    """A model or brush behind the boundary; its other attributes pass through."""

    def __init__(self, boundary: Boundary, what: str, inner: Any) -> None:
        self._boundary = boundary
        self._what = what
        self._inner = inner
        self._info: object = self  # the last info checked; itself before the first, since an info may be None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    @calls_plugin
    def info(self) -> ModelInfo:
        """Its checked info."""
        boundary, place = self._boundary, f"info of {self._what}"
        try:
            info = self._inner.info
        except BaseException as error:  # noqa: BLE001 - as in `Boundary.call`
            boundary.fail(place, error)
        if info is not self._info:
            if why := describe_wrong(info, ModelInfo):
                raise boundary.error(place, why)
            self._info = info
        return cast("ModelInfo", info)


class _BoundModel(_Bound):
    """A Model behind the boundary."""

    async def generate(self, request: Any) -> Any:
        """Its answer, whole."""
        from harness.limits.metered import explain_bad_answer

        boundary, place = self._boundary, f"generate of {self._what}"
        given = await boundary.wait(place, self._inner.generate, request)
        if why := explain_bad_answer(given):
            raise boundary.error(place, why)
        return given


class _BoundStrategy(_BoundModel):
    """A model inside a strategy, behind the boundary, with a limit of the strategy's own time."""

    def __init__(self, boundary: Boundary, what: str, inner: Any, seconds: float | None) -> None:
        super().__init__(boundary, what, inner)
        self._seconds = seconds

    async def generate(self, request: Any) -> Any:
        """Its answer, whole; a PluginError names the strategy to whoever reads the failed sample."""
        from harness.plugins.own_time import OverTime, keep_time

        ask = partial(super().generate, request)
        try:
            return await (ask() if self._seconds is None else keep_time(ask, self._seconds))
        except OverTime:
            said = f"its own code has worked for {self._seconds:g} s, besides the model's calls, and has not ended"
            late = self._boundary.error(f"generate of {self._what}", said, kind="strategy_deadline")
            late.in_sample = late.what
            raise late from None
        except PluginError as error:
            error.in_sample = error.what
            raise


class _BoundBrush(_Bound):
    """A Brush behind the boundary."""

    async def draw(self, drawing: Any) -> Any:
        """Its drawing."""
        return await self._boundary.wait(f"draw of {self._what}", self._inner.draw, drawing)


class _Splits(Mapping[str, Split]):
    """The splits of a task behind the boundary, each checked once, when it is first looked up."""

    def __init__(self, boundary: Boundary, place: str, inner: Mapping[str, Split]) -> None:
        self._boundary = boundary
        self._place = place
        self._inner = inner
        self._found: dict[str, Split] = {}

    @calls_plugin
    def __getitem__(self, name: str) -> Split:
        if name in self._found:
            return self._found[name]
        boundary, place = self._boundary, self._place
        try:
            split = self._inner[name]
        except KeyError:  # normal for a mapping
            raise
        except BaseException as error:  # noqa: BLE001 - as in `Boundary.call`
            boundary.fail(place, error)
        if faults := list(find_split_faults(split)):
            raise boundary.error(place, f"it returned split {name!r}: {'; '.join(faults[:3])}")
        self._found[name] = split
        return split

    @calls_plugin
    def __iter__(self) -> Iterator[str]:
        boundary, place = self._boundary, self._place
        try:
            names: list[object] = list(self._inner)
        except BaseException as error:  # noqa: BLE001 - as in `Boundary.call`
            boundary.fail(place, error)
        for name in names:
            if not isinstance(name, str):
                raise boundary.error(place, f"it names a split {name!r:.100}, which is not a text")
            yield name

    def __len__(self) -> int:
        return self._boundary.call(self._place, lambda: len(self._inner))()


def _bind_open(boundary: Boundary, what: str, function: Callable[..., Any], method: str) -> Callable[..., Any]:
    """A function that returns an async context manager of a model or brush, behind the boundary."""
    call = boundary.call(f"open of {what}", function, AbstractAsyncContextManager)
    return update_wrapper(lambda *given, **named: _Opened(boundary, what, call(*given, **named), method), function)


def _bind_task(boundary: Boundary, it: Task) -> dict[str, Any]:
    what = f"task {it.name!r}"
    place = f"splits of {what}"
    splits: object
    if callable(it.splits):
        call = boundary.call(place, it.splits, Mapping)
        splits = update_wrapper(lambda *given, **named: _Splits(boundary, place, call(*given, **named)), it.splits)
    else:
        splits = _Splits(boundary, place, it.splits)
    return {
        "splits": splits,
        "samples": boundary.samples(f"samples of {what}", it.samples),
        "revision": it.revision and boundary.call(f"revision of {what}", it.revision, str),
    }


def _bind_judge(boundary: Boundary, it: Judge) -> dict[str, Any]:
    what = f"judge {it.name!r}"
    opened = boundary.call(f"open of {what}", it.open, Rubric)

    def open_rubric(*given: Any, **named: Any) -> Rubric:
        rubric = opened(*given, **named)
        if why := describe_wrong(rubric, Rubric):
            raise boundary.error(f"open of {what}", why)
        asks, local = describe_wrong_requests, rubric.ask_local

        def reads(given: object) -> str:
            return asks(given) if issubclass(type(given), list) else describe_wrong_decision(given, rubric.labels)

        def scores(given: object) -> str:
            pair = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ()
            if len(pair) != 2:
                return f"it returned {given!r:.100}, not an item and its decision"
            return describe_wrong_decision(pair[1], rubric.labels)

        return replace(
            rubric,
            needs=None if rubric.needs is None else frozenset(rubric.needs),
            ask=boundary.call(f"ask of {what}", rubric.ask, wrong=asks),
            ask_local=local and boundary.call(f"ask_local of {what}", local, wrong=asks),
            read=boundary.call(f"read of {what}", rubric.read, wrong=reads),
            score=rubric.score and boundary.async_iterator(f"score of {what}", rubric.score, scores),
        )

    needs = None if it.needs is None else frozenset(it.needs)  # a set cannot be hashed
    return {"open": update_wrapper(open_rubric, it.open), "needs": needs}


def _bind_attack(boundary: Boundary, it: Attack) -> dict[str, Any]:
    what, call = f"attack {it.name!r}", boundary.call
    return {
        "apply": call(f"apply of {what}", it.apply, Attacked, wrong=describe_wrong_attacked),
        "check": call(f"check of {what}", it.check, str),
        "images": it.images and call(f"images of {what}", it.images, wrong=describe_wrong_count),
        "ask": it.ask and call(f"ask of {what}", it.ask, wrong=describe_wrong_first_requests),
        "calls": it.calls and call(f"calls of {what}", it.calls, wrong=describe_wrong_count),
        "facts": it.facts and call(f"facts of {what}", it.facts, Mapping),
    }


def _describe_wrong_files(rendered: object) -> str:
    """What is wrong with a report's files: each needs a name inside the folder, and bytes."""
    if not isinstance(rendered, Mapping):
        return ""
    for name, data in cast("Mapping[object, object]", rendered).items():
        path = PurePath(name) if isinstance(name, str) else None
        if path is None or path.is_absolute() or not path.parts or {"..", "\0"} & {*path.parts, *path.as_posix()}:
            return f"it names a file {name!r:.100}, which is not inside the output folder"
        if not isinstance(data, bytes):
            return f"it returned {describe_value(data)} as the file {name!r:.100}, not bytes"
    return ""


def _bind_maker(boundary: Boundary, item: object) -> dict[str, Any]:
    """The functions of a painter, trainer or builder. Only this imports their classes, so a list of tasks does not."""
    from harness.makers import Builder, Built, Painter, Trainer

    call = boundary.call
    match item:
        case Painter():
            return {"open": _bind_open(boundary, f"painter {item.scheme!r}", item.open, "draw")}
        case Trainer():
            what = f"trainer {item.name!r}"
            exports = {name: call(f"export {name} of {what}", each, Path) for name, each in item.exports.items()}
            return {
                "plan": call(f"plan of {what}", item.plan, str),
                "train": call(f"train of {what}", item.train, Path),
                "exports": exports,
                "facts": item.facts and call(f"facts of {what}", item.facts, Mapping),
            }
        case Builder():
            what = f"builder {item.name!r}"
            return {
                "plan": call(f"plan of {what}", item.plan, str),
                "build": boundary.coroutine(f"build of {what}", item.build, Built),
            }
        case _:
            return {}


def bind(item: _T, source: Source) -> _T:
    """A descriptor with all its functions behind the boundary of its plugin."""
    boundary = Boundary(source)
    call = boundary.call
    fields: dict[str, Any] = {}
    match item:
        case Suite():  # has no functions
            return item
        case Provider():
            what = f"provider {item.scheme!r}"
            fields = {
                "open": _bind_open(boundary, what, item.open, "generate"),
                "folder": item.folder and call(f"folder of {what}", item.folder, Path),
                "lineage": item.lineage and call(f"lineage of {what}", item.lineage, Path),
            }
        case Task():
            fields = _bind_task(boundary, item)
        case Judge():
            fields = _bind_judge(boundary, item)
        case Strategy():
            what = f"strategy {item.name!r}"
            place = f"wrap of {what}"
            wrapped, seconds = call(place, item.wrap), item.seconds

            def wrap(model: Any, *given: Any, **named: Any) -> object:
                from harness.plugins.own_time import TimedModel

                def check(request: object) -> None:
                    if why := describe_wrong_request(request, opened=False):
                        raise boundary.error(f"generate of {what}", f"it asks the model {why}")

                inner = wrapped(TimedModel(model, check), *given, **named)
                _check_method(boundary, place, inner, "generate")
                return _BoundStrategy(boundary, what, inner, seconds)

            fields = {
                "needs": frozenset(item.needs or ()),
                "wrap": update_wrapper(wrap, item.wrap),
                "calls": item.calls and call(f"calls of {what}", item.calls, wrong=describe_wrong_calls),
                "check": item.check and call(f"check of {what}", item.check, str),
                "facts": item.facts and call(f"facts of {what}", item.facts, Mapping),
            }
        case Attack():
            fields = _bind_attack(boundary, item)
        case Report():
            what, wrong = f"report {item.name!r}", _describe_wrong_files
            fields = {
                "render": item.render and call(f"render of {what}", item.render, str, bytes, Mapping, wrong=wrong),
                "samples": item.samples and call(f"samples of {what}", item.samples, str, bytes, Mapping, wrong=wrong),
                "figures": item.figures and call(f"figures of {what}", item.figures, Mapping, wrong=wrong),
                "matrix": item.matrix and call(f"matrix of {what}", item.matrix, str, bytes, Mapping, wrong=wrong),
                "linked": item.linked and call(f"linked of {what}", item.linked, str),
            }
        case _:
            fields = _bind_maker(boundary, item)
    return cast("_T", replace(cast("Any", item), **fields))
