"""The error boundary: each call from the core into what a plugin offered, under the name of the plugin.

A descriptor is bound when it is offered: its functions, and the models, rubrics and samples they give, are put behind
the boundary of its source. Whatever comes out of them is what the contract says, an error that the contract allows
(`HarnessError`, `BadImage`, a disk that is full, an interrupt, a cancellation), or a `PluginError`. `SystemExit` is no
exception to that. Each PluginError is told to whoever listens (`listen`), also where a run goes on without it.

The wrappers' frames say what is being called: `find_holder` finds them in a stack, to name the plugin that hangs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import update_wrapper
from pathlib import Path, PurePath
from types import CodeType, FrameType, TracebackType
from typing import Any, NoReturn, TypeVar, cast

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
from harness.errors import MENDABLE, BadImage, HarnessError, PluginError, describe_error
from harness.groups import leaf
from harness.plugins.loader import Fault, Source, format_story
from harness.plugins.shapes import (
    describe_wrong,
    describe_wrong_calls,
    describe_wrong_decision,
    describe_wrong_requests,
    find_split_faults,
    named,
    unwanted,
)
from harness.secrets import without_secrets
from harness.terminal import one_line
from harness.types import Sample

_T = TypeVar("_T")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_listener: ContextVar[Callable[[PluginError], None] | None] = ContextVar("harness_plugin_errors", default=None)
_END: Any = object()  #: what an async iterator gives that is at its end
_CODES: set[CodeType] = (
    set()
)  #: of the functions here that call a plugin; each has the variables `boundary` and `place`


@contextmanager
def listen(hear: Callable[[PluginError], None]) -> Generator[None]:
    """Give `hear` each PluginError that is made while the body lasts, also one that the run goes on without."""
    token = _listener.set(hear)
    try:
        yield
    finally:
        _listener.reset(token)


def _calling(function: _Function) -> _Function:
    """Mark a function as one that calls a plugin, so that `find_holder` knows its frames."""
    _CODES.add(function.__code__)
    return function


def find_holder(frame: FrameType | None) -> tuple[Source, str, str] | None:
    """The plugin that a stack is in: its source, what was called, and the file and line that its code has come to."""
    inner: list[FrameType] = []
    while frame is not None:
        if frame.f_code in _CODES:
            boundary: Boundary = frame.f_locals["boundary"]
            return boundary.source, frame.f_locals["place"], _last_line(inner[::-1] or [frame])
        inner.append(frame)
        frame = frame.f_back
    return None


def is_importing(frame: FrameType | None) -> bool:
    """Whether the call of a plugin that a stack is in has come to an import."""
    found = False
    while frame is not None:
        if frame.f_code in _CODES:
            return found
        found = found or frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return False


def _last_line(frames: Sequence[FrameType]) -> str:
    """Where the package that a plugin was called by has come to, in frames from the call inwards."""
    packages = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames]
    own = next((name for name in packages if name not in ("contextlib", "harness")), packages[0])
    last = [frame for frame, name in zip(frames, packages, strict=True) if name == own][-1]
    return f"{last.f_code.co_filename}:{last.f_lineno}"


class PluginErrors:
    """What plugins did wrong during one run: a line for each kind, with how often, and the tracebacks for log.txt."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unwritten: list[str] = []

    def add(self, error: PluginError) -> None:
        """Count an error; the first of its kind is kept."""
        key = (error.what.partition(": ")[0], error.kind)
        self._counts[key] += 1
        if self._counts[key] == 1:
            self._first[key] = error.what
            self._unwritten.append(f"{error.what}\n{error.story}")

    def add_fault(self, fault: Fault) -> None:
        """Keep the traceback of a fault that is told otherwise."""
        self._unwritten.append(f"{fault}\n{fault.story}")

    def write(self, log: Callable[[str], None]) -> None:
        """Give `log` what was not given yet."""
        while self._unwritten:
            log(without_secrets(self._unwritten.pop(0)))

    def lines(self) -> list[str]:
        """A line for each kind."""
        return [
            what + (f" ({self._counts[key]} times)" if self._counts[key] > 1 else "")
            for key, what in self._first.items()
        ]


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where the core ends and one plugin begins."""

    source: Source

    def error(self, place: str, said: str, *, kind: str = "", story: str = "") -> PluginError:
        """The error that says what the plugin did, and where; told to who listens."""
        plugin = f"{one_line(self.source.name)} ({one_line(self.source.origin)})"
        made = PluginError(
            f"plugin {plugin}, {place}: {one_line(said)}",
            remedy=f"{_author(self.source)} can mend it; --plugins-block {one_line(self.source.name)} keeps it out",
            plugin=plugin,
            said=said,
            kind=kind,
            story=story,
        )
        if hear := _listener.get():
            hear(made)
        return made

    def fail(self, place: str, error: BaseException, task: object = None) -> NoReturn:
        """Raise what a plugin raised: as it is where its contract allows it, else as a PluginError.

        Args:
            place: what was called.
            error: that it raised.
            task: that awaits it, where it is awaited.
        """
        if _allowed(error) or _is_closed(error, task):
            raise error
        found = leaf(error)
        story = format_story(error)
        raise self.error(place, describe_error(found), kind=type(found).__name__, story=story) from error

    def call(self, place: str, function: Callable[..., _T], *wanted: type[Any]) -> Callable[..., _T]:
        """The function behind the boundary; what it gives must be one of the types that are wanted."""

        @_calling
        def called(*arguments: Any, **named: Any) -> _T:
            boundary = self
            try:
                given = function(*arguments, **named)
            except BaseException as error:  # noqa: BLE001 - SystemExit is no way out of a run
                boundary.fail(place, error)
            if wanted and not isinstance(given, wanted):
                raise boundary.error(place, unwanted(given, *wanted))
            return given

        return update_wrapper(called, function)

    def checked(
        self, place: str, function: Callable[..., _T], wrong: Callable[[object], str], *wanted: type[Any]
    ) -> Callable[..., _T]:
        """As `call`, for what a type does not tell: `wrong` says what is wrong with what it gives, or nothing."""
        call = self.call(place, function, *wanted)

        def called(*arguments: Any, **named: Any) -> _T:
            given = call(*arguments, **named)
            if why := wrong(given):
                raise self.error(place, why)
            return given

        return update_wrapper(called, function)

    @_calling
    async def wait(self, place: str, function: Callable[..., Awaitable[_T]], *arguments: Any, **named: Any) -> _T:
        """What a coroutine function gives, awaited behind the boundary."""
        boundary, task = self, _task()
        try:
            return await function(*arguments, **named)
        except BaseException as error:  # noqa: BLE001 - as in `call`
            boundary.fail(place, error, task)

    def coroutine(self, place: str, function: Callable[..., Any], wanted: type[_T]) -> Callable[..., Any]:
        """A coroutine function behind the boundary."""

        async def awaited(*arguments: Any, **named: Any) -> _T:
            given = await self.wait(place, function, *arguments, **named)
            if not isinstance(given, wanted):
                raise self.error(place, unwanted(given, wanted))
            return given

        return update_wrapper(awaited, function)

    def samples(self, place: str, function: Callable[..., Any]) -> Callable[..., Iterator[Sample]]:
        """A function that lists samples lazily behind the boundary."""

        @_calling
        def listed(*arguments: Any, **named: Any) -> Iterator[Sample]:
            boundary = self
            try:
                items = iter(function(*arguments, **named))
            except BaseException as error:  # noqa: BLE001 - as in `call`
                boundary.fail(place, error)
            while True:
                try:
                    item = next(items)
                except StopIteration:
                    return
                except BaseException as error:  # noqa: BLE001 - as in `call`
                    boundary.fail(place, error)
                if why := describe_wrong(item, Sample):
                    raise boundary.error(place, why)
                yield item

        return update_wrapper(listed, function)

    def async_iterator(
        self, place: str, function: Callable[..., AsyncIterator[_T]], wrong: Callable[[object], str]
    ) -> Callable[..., Any]:
        """An async generator function behind the boundary; `wrong` as in `checked`. Closing it closes the plugin's."""

        async def listed(*arguments: Any, **named: Any) -> AsyncGenerator[_T]:
            items = self.call(place, lambda: aiter(function(*arguments, **named)))()
            try:
                while (item := await self.wait(place, anext, items, _END)) is not _END:
                    if why := wrong(item):
                        raise self.error(place, why)
                    yield item
            finally:
                if isinstance(items, AsyncGenerator):
                    await self.wait(place, items.aclose)

        return update_wrapper(listed, function)

    def opener(self, what: str, function: Callable[..., Any], asked: str) -> Callable[..., Any]:
        """A function that gives an async context manager of something that is asked, behind the boundary."""
        opened = self.call(f"open of {what}", function, AbstractAsyncContextManager)
        return update_wrapper(lambda *given, **named: _Opened(self, what, opened(*given, **named), asked), function)


class _Opened(AbstractAsyncContextManager[Any]):
    """What a provider or painter opens; what the body raises goes through it as it is.

    When it is closed all is done that it was opened for. So what its closing raises, of whatever kind, is told to who
    listens and ends nothing; where nobody listens it is raised, unless the body raised something itself. It is raised
    too where the manager itself cancelled the body.
    """

    def __init__(self, boundary: Boundary, what: str, manager: AbstractAsyncContextManager[object], asked: str) -> None:
        self._boundary = boundary
        self._what = what
        self._manager = manager
        self._asked = asked

    async def __aenter__(self) -> object:
        boundary, place = self._boundary, f"open of {self._what}"
        given = await boundary.wait(place, self._manager.__aenter__)
        return bind_model(boundary, self._what, place, given, self._asked)

    @_calling
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        import anyio

        boundary, place, task = self._boundary, f"closing of {self._what}", _task()
        try:
            return await self._manager.__aexit__(kind, error, trace)
        except BaseException as found:
            if error is not None and leaf(found) is leaf(error):
                raise
            if _asked_to_end(found) or _is_closed(found, task):
                raise
            made = boundary.error(
                place, describe_error(leaf(found)), kind=type(leaf(found)).__name__, story=format_story(found)
            )
            # a task of the manager's own that broke cancels the body: then this is the error that ended it
            broke = (
                error is not None
                and isinstance(leaf(error), anyio.get_cancelled_exc_class())
                and not _asked_to_end(error)
            )
            if broke or (error is None and _listener.get() is None):
                raise made from found
        return False


def bind_model(boundary: Boundary, what: str, place: str, given: object, asked: str) -> object:
    """What a plugin gave as a model or a brush, behind the boundary.

    Args:
        boundary: of the plugin.
        what: it was opened as.
        place: what gave it.
        given: by the plugin.
        asked: name of the coroutine that it is asked by.

    Raises:
        PluginError: it has none of that name.
    """
    if not callable(getattr(given, asked, None)):
        raise boundary.error(place, f"it gave {named(given)}, which has no {asked}()")
    return (_BoundModel if asked == "generate" else _BoundBrush)(boundary, what, given)


class _Bound:
    """A model or brush behind the boundary; all else that it has is there too."""

    def __init__(self, boundary: Boundary, what: str, inner: Any) -> None:
        self._boundary = boundary
        self._what = what
        self._inner = inner
        self._info: object = self  # the last that was looked at; itself before any was, since an info may be None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    @_calling
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
        from harness.limits.metered import wrong_with

        boundary, place = self._boundary, f"generate of {self._what}"
        given = await boundary.wait(place, self._inner.generate, request)
        if why := wrong_with(given):
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

    @_calling
    def __getitem__(self, name: str) -> Split:
        if name in self._found:
            return self._found[name]
        boundary, place = self._boundary, self._place
        try:
            split = self._inner[name]
        except KeyError:  # what a mapping may say of a name
            raise
        except BaseException as error:  # noqa: BLE001 - as in `Boundary.call`
            boundary.fail(place, error)
        if faults := list(find_split_faults(split)):
            raise boundary.error(place, f"it gave split {name!r}: {'; '.join(faults[:3])}")
        self._found[name] = split
        return split

    @_calling
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


def bind(item: _T, source: Source) -> _T:
    """A descriptor with all its functions behind the boundary of its plugin."""
    bind = _BINDERS.get(type(item)) or next((b for kind, b in _BINDERS.items() if isinstance(item, kind)), None)
    return item if bind is None else cast("_T", replace(cast("Any", item), **bind(Boundary(source), item)))


def _bind_provider(boundary: Boundary, it: Provider) -> dict[str, Any]:
    what = f"provider {it.scheme!r}"
    return {
        "open": boundary.opener(what, it.open, "generate"),
        "folder": it.folder and boundary.call(f"folder of {what}", it.folder, Path),
        "lineage": it.lineage and boundary.call(f"lineage of {what}", it.lineage, Path),
    }


def _bind_painter(boundary: Boundary, it: Painter) -> dict[str, Any]:
    return {"open": boundary.opener(f"painter {it.scheme!r}", it.open, "draw")}


def _bind_task(boundary: Boundary, it: Task) -> dict[str, Any]:
    what = f"task {it.name!r}"
    place = f"splits of {what}"

    def bound(splits: Mapping[str, Split]) -> Mapping[str, Split]:
        return _Splits(boundary, place, splits)

    def listed(function: Callable[..., Mapping[str, Split]]) -> Callable[..., Mapping[str, Split]]:
        call = boundary.call(place, function, Mapping)
        return update_wrapper(lambda *given, **options: bound(call(*given, **options)), function)

    return {
        "splits": listed(it.splits) if callable(it.splits) else bound(it.splits),
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
            ask=boundary.checked(f"ask of {what}", rubric.ask, asks),
            ask_local=local and boundary.checked(f"ask_local of {what}", local, asks),
            read=boundary.checked(f"read of {what}", rubric.read, reads),
            score=rubric.score and boundary.async_iterator(f"score of {what}", rubric.score, scores),
        )

    return {"open": update_wrapper(open_rubric, it.open)}


def _bind_strategy(boundary: Boundary, it: Strategy) -> dict[str, Any]:
    what = f"strategy {it.name!r}"
    place = f"wrap of {what}"
    wrapped = boundary.call(place, it.wrap)

    def wrap(*given: Any, **named: Any) -> object:
        return bind_model(boundary, what, place, wrapped(*given, **named), "generate")

    return {
        "wrap": update_wrapper(wrap, it.wrap),
        "calls": it.calls and boundary.checked(f"calls of {what}", it.calls, describe_wrong_calls),
    }


def _bind_report(boundary: Boundary, it: Report) -> dict[str, Any]:
    what = f"report {it.name!r}"

    def files(place: str, function: Callable[..., Any], *wanted: type[Any]) -> Callable[..., Any]:
        return boundary.checked(place, function, _wrong_files, *wanted)

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
            return f"it gave {named(data)} as the file {name!r:.100}, not bytes"
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


def _allowed(error: BaseException) -> bool:
    """Whether a plugin may raise it: what the user can mend, and what somebody else asked for."""
    error = leaf(error)
    if isinstance(error, HarnessError | BadImage):
        return True
    if isinstance(error, OSError):
        return error.errno in MENDABLE
    return _asked_to_end(error)


def _asked_to_end(error: BaseException) -> bool:
    """Whether somebody else asked for the end that an error brings: an interrupt, a cancellation."""
    error = leaf(error)
    return isinstance(error, KeyboardInterrupt) or _is_cancellation(error)


def _is_closed(error: BaseException, task: object) -> bool:
    """Whether somebody closes the coroutine of ours that a plugin is awaited in: then its own task does not run.

    A GeneratorExit while that task runs, or where nothing is awaited, is raised by the plugin.
    """
    return isinstance(leaf(error), GeneratorExit) and task is not None and task is not _task()


def _task() -> object:
    """The task that runs; None outside of asyncio's loop."""
    import asyncio

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _is_cancellation(error: BaseException) -> bool:
    """Whether somebody has asked the current task to end; a CancelledError out of the blue is the plugin's."""
    import asyncio

    import anyio

    try:
        if not isinstance(error, anyio.get_cancelled_exc_class()):
            return False
    except RuntimeError:  # no loop, so nothing to cancel
        return False
    if anyio.current_effective_deadline() == float("-inf"):
        return True
    task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
    return task is not None and task.cancelling() > 0


def _author(source: Source) -> str:
    return "its author" if source.distribution == "file" else f"who maintains {one_line(source.distribution)}"
