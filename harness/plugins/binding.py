"""Descriptors behind the error boundary: each function of a descriptor, and what it opens, lists or wraps.

`bind` is called once for each descriptor, when its plugin offers it. What the functions give is checked against the
contract (`harness.plugins.shapes`), so the core can rely on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, TypeVar, cast

from harness.contracts import (
    Builder,
    Built,
    Judge,
    ModelInfo,
    Painter,
    Provider,
    Report,
    Rubric,
    Split,
    Strategy,
    Task,
    Trainer,
)
from harness.errors import describe_error, find_root_error
from harness.plugins.boundary import Boundary, calls_plugin, current_task, is_asked_end, is_closed, is_listened_to
from harness.plugins.loader import Source, format_story
from harness.plugins.shapes import (
    describe_value,
    describe_wrong,
    describe_wrong_calls,
    describe_wrong_decision,
    describe_wrong_requests,
    find_split_faults,
)

_T = TypeVar("_T")


class _Opened(AbstractAsyncContextManager[Any]):
    """What a provider or painter opens; what the body raises goes through it as it is.

    When it is closed, all is done that it was opened for. So what its closing raises, of whatever kind, goes to the
    listener and ends nothing. It is raised where nobody listens and the body raised nothing itself, and where the
    manager itself cancelled the body.
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
            # A task of the manager's own that broke cancels the body: then this is the error that ended it.
            broke = (
                error is not None
                and isinstance(find_root_error(error), anyio.get_cancelled_exc_class())
                and not is_asked_end(error)
            )
            if broke or (error is None and not is_listened_to()):
                raise made from found
        return False


def _bind_model(boundary: Boundary, what: str, place: str, given: object, method: str) -> object:
    """What a plugin gave as a model or a brush, behind the boundary. Raises PluginError where it lacks its method.

    Args:
        boundary: of the plugin.
        what: it was opened as.
        place: what gave it.
        given: by the plugin.
        method: `generate` of a model, `draw` of a brush.
    """
    if not callable(getattr(given, method, None)):
        raise boundary.error(place, f"it gave {describe_value(given)}, which has no {method}()")
    return (_BoundModel if method == "generate" else _BoundBrush)(boundary, what, given)


class _Bound:
    """A model or brush behind the boundary; all else that it has is there too."""

    def __init__(self, boundary: Boundary, what: str, inner: Any) -> None:
        self._boundary = boundary
        self._what = what
        self._inner = inner
        self._info: object = self  # the last that was checked; itself before any was, since an info may be None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    @calls_plugin
    def info(self) -> ModelInfo:
        """What it says of itself."""
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
        except KeyError:  # as any mapping may
            raise
        except BaseException as error:  # noqa: BLE001 - as in `Boundary.call`
            boundary.fail(place, error)
        if faults := list(find_split_faults(split)):
            raise boundary.error(place, f"it gave split {name!r}: {'; '.join(faults[:3])}")
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
                raise boundary.error(place, f"it names a split {name!r:.100}, which is no text")
            yield name

    def __len__(self) -> int:
        return self._boundary.call(self._place, lambda: len(self._inner))()


def _bind_open(boundary: Boundary, what: str, function: Callable[..., Any], method: str) -> Callable[..., Any]:
    """A function that gives an async context manager of a model or brush, behind the boundary."""
    call = boundary.call(f"open of {what}", function, AbstractAsyncContextManager)
    return update_wrapper(lambda *given, **named: _Opened(boundary, what, call(*given, **named), method), function)


def _bind_provider(boundary: Boundary, it: Provider) -> dict[str, Any]:
    what = f"provider {it.scheme!r}"
    return {
        "open": _bind_open(boundary, what, it.open, "generate"),
        "folder": it.folder and boundary.call(f"folder of {what}", it.folder, Path),
        "lineage": it.lineage and boundary.call(f"lineage of {what}", it.lineage, Path),
    }


def _bind_painter(boundary: Boundary, it: Painter) -> dict[str, Any]:
    return {"open": _bind_open(boundary, f"painter {it.scheme!r}", it.open, "draw")}


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

        def decides(given: object) -> str:
            return describe_wrong_decision(given, rubric.labels)

        def reads(given: object) -> str:
            wrong = asks if issubclass(type(given), list) else decides
            return wrong(given)

        def scores(given: object) -> str:
            pair = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ()
            if len(pair) != 2:
                return f"it gave {given!r:.100}, not an item and its decision"
            return decides(pair[1])

        return replace(
            rubric,
            ask=boundary.call_checked(f"ask of {what}", rubric.ask, asks),
            ask_local=local and boundary.call_checked(f"ask_local of {what}", local, asks),
            read=boundary.call_checked(f"read of {what}", rubric.read, reads),
            score=rubric.score and boundary.async_iterator(f"score of {what}", rubric.score, scores),
        )

    return {"open": update_wrapper(open_rubric, it.open)}


def _bind_strategy(boundary: Boundary, it: Strategy) -> dict[str, Any]:
    what = f"strategy {it.name!r}"
    place = f"wrap of {what}"
    wrapped = boundary.call(place, it.wrap)

    def wrap(*given: Any, **named: Any) -> object:
        return _bind_model(boundary, what, place, wrapped(*given, **named), "generate")

    return {
        "wrap": update_wrapper(wrap, it.wrap),
        "calls": it.calls and boundary.call_checked(f"calls of {what}", it.calls, describe_wrong_calls),
    }


def _bind_report(boundary: Boundary, it: Report) -> dict[str, Any]:
    what = f"report {it.name!r}"

    def files(place: str, function: Callable[..., Any], *wanted: type[Any]) -> Callable[..., Any]:
        return boundary.call_checked(place, function, _wrong_files, *wanted)

    return {
        "render": it.render and files(f"render of {what}", it.render, str, bytes, Mapping),
        "samples": it.samples and files(f"samples of {what}", it.samples, str, bytes, Mapping),
        "figures": it.figures and files(f"figures of {what}", it.figures, Mapping),
    }


def _wrong_files(rendered: object) -> str:
    """What is wrong with the files of a report: each has a name below the folder it is written to, and bytes."""
    if not isinstance(rendered, Mapping):
        return ""
    for name, data in cast("Mapping[object, object]", rendered).items():
        path = PurePath(name) if isinstance(name, str) else None
        if path is None or path.is_absolute() or not path.parts or {"..", "\0"} & {*path.parts, *path.as_posix()}:
            return f"it names a file {name!r:.100}, which is not below the folder it is written to"
        if not isinstance(data, bytes):
            return f"it gave {describe_value(data)} as the file {name!r:.100}, not bytes"
    return ""


def _bind_trainer(boundary: Boundary, it: Trainer) -> dict[str, Any]:
    what = f"trainer {it.name!r}"
    return {
        "plan": boundary.call(f"plan of {what}", it.plan, str),
        "train": boundary.call(f"train of {what}", it.train, Path),
        "exports": {name: boundary.call(f"export {name} of {what}", each, Path) for name, each in it.exports.items()},
        "facts": it.facts and boundary.call(f"facts of {what}", it.facts, Mapping),
    }


def _bind_builder(boundary: Boundary, it: Builder) -> dict[str, Any]:
    what = f"builder {it.name!r}"
    return {
        "plan": boundary.call(f"plan of {what}", it.plan, str),
        "build": boundary.coroutine(f"build of {what}", it.build, Built),
    }


_BINDERS: dict[type[Any], Callable[[Boundary, Any], dict[str, Any]]] = {
    Provider: _bind_provider,
    Painter: _bind_painter,
    Task: _bind_task,
    Judge: _bind_judge,
    Strategy: _bind_strategy,
    Report: _bind_report,
    Trainer: _bind_trainer,
    Builder: _bind_builder,
}


def bind(item: _T, source: Source) -> _T:
    """A descriptor with all its functions behind the boundary of its plugin."""
    bind = _BINDERS.get(type(item)) or next((b for kind, b in _BINDERS.items() if isinstance(item, kind)), None)
    return item if bind is None else cast("_T", replace(cast("Any", item), **bind(Boundary(source), item)))
