"""The error boundary: calls from the core into a plugin, so that each error names the plugin.

`harness.plugins.binding` puts a plugin's functions, and the models, rubrics and samples they return, behind its
source's boundary. Each call returns what the contract says, or raises an error that the contract allows
(`HarnessError`, `BadImage`, a full disk, an interrupt, a cancellation) or a `PluginError`; `SystemExit` becomes one
too. The listener (`listen`) gets each PluginError, even if the run survives it.

`find_caller` finds the wrappers' frames in a stack, to name the plugin that hangs. `watch_loop` names the plugin that
blocks a run's event loop.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, update_wrapper
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, TypeVar

from harness.errors import FIXABLE, BadImage, HarnessError, PluginError, describe_error, find_root_error
from harness.plugins.loader import FILE, PATIENCE, Fault, Source, format_story
from harness.plugins.shapes import describe_type, describe_wrong
from harness.secrets import without_secrets
from harness.text import one_line
from harness.types import Sample

IMPORTS: Final = 12  #: an import may take this many times the patience without a new module
_T = TypeVar("_T")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_listener: ContextVar[Callable[[PluginError], None] | None] = ContextVar("harness_plugin_errors", default=None)
_ERROR: Final = "__harness_error__"  #: attribute of a function behind a boundary: makes an error of its plugin
_END: Any = object()  #: marks the end of an async iterator
#: code of the functions that call a plugin; each has the variables `boundary` and `place`
_CODES: set[CodeType] = set()


@contextmanager
def listen(listener: Callable[[PluginError], None]) -> Generator[None]:
    """Call `listener` with each PluginError of the body, even if the run survives it."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def is_listened_to() -> bool:
    """Whether there is a listener."""
    return _listener.get() is not None


def calls_plugin(function: _Function) -> _Function:
    """Mark a function that calls a plugin, so that `find_caller` knows its frames."""
    _CODES.add(function.__code__)
    return function


def find_caller(frame: FrameType | None) -> tuple[Source, str, str] | None:
    """The plugin that runs in a stack: its source, the name of the call, and the file and line of its code."""
    inner: list[FrameType] = []
    while frame is not None:
        if frame.f_code in _CODES:
            boundary: Boundary = frame.f_locals["boundary"]
            frames = inner[::-1] or [frame]  # from the call to the innermost frame
            packages = [str(each.f_globals.get("__name__")).partition(".")[0] for each in frames]
            own = next((name for name in packages if name not in ("contextlib", "harness")), packages[0])
            last = [each for each, name in zip(frames, packages, strict=True) if name == own][-1]
            return boundary.source, frame.f_locals["place"], f"{last.f_code.co_filename}:{last.f_lineno}"
        inner.append(frame)
        frame = frame.f_back
    return None


def is_importing(frame: FrameType | None) -> bool:
    """Whether a stack is in an import made by a plugin call."""
    found = False
    while frame is not None:
        if frame.f_code in _CODES:
            return found
        found = found or frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return False


@contextmanager
def watch_loop(tell: Callable[[str], None], patience: float = PATIENCE) -> Generator[None]:
    """During the body, name the plugin that blocks the running event loop for some seconds, once for each place.

    A slow import on a busy machine is not a hang: its time does not count, unless it imports no new module for
    `IMPORTS` times as long.
    """
    import asyncio

    try:
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
    except RuntimeError:  # another library's loop
        yield
        return
    ended, reported, beat = threading.Event(), set[tuple[str, str]](), time.monotonic()

    def alive() -> None:
        nonlocal beat
        beat = time.monotonic()
        if not ended.is_set():
            loop.call_later(patience / 5, alive)

    def look() -> None:
        modules, came, excused, before = len(sys.modules), beat, beat, False
        while not ended.wait(patience / 5):
            frame, now = sys._current_frames().get(thread), time.monotonic()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented
            if len(sys.modules) != modules:
                modules, came = len(sys.modules), now
            imports = is_importing(frame)
            if (imports or before) and now - max(came, beat) < patience * IMPORTS:
                excused = now
            before = imports
            found = find_caller(frame) if now - max(beat, excused) >= patience else None
            if found is not None and (found[0].name, found[1]) not in reported:
                source, place, where = found
                reported.add((source.name, place))
                tell(
                    f"plugin {source.name} ({source.origin}), {place}: it has blocked the run for {patience:g} s, at "
                    f"{where}; nothing else runs meanwhile"
                )

    alive()
    threading.Thread(target=look, name="harness-loop", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class PluginErrors:
    """The plugin errors of one run: a line with a count for each kind, and tracebacks for log.txt."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unwritten: list[str] = []

    def add(self, error: PluginError) -> None:
        """Count an error, and keep the first of its kind."""
        key = (error.what.partition(": ")[0], error.kind)
        self._counts[key] += 1
        if self._counts[key] == 1:
            self._first[key] = error.what
            self._unwritten.append(f"{error.what}\n{error.story}")

    def add_fault(self, fault: Fault) -> None:
        """Keep the traceback of a fault whose line is printed elsewhere."""
        self._unwritten.append(f"{fault}\n{fault.story}")

    def write(self, log: Callable[[str], None]) -> None:
        """Call `log` with each text that is not in the log yet."""
        while self._unwritten:
            log(without_secrets(self._unwritten.pop(0)))

    def lines(self) -> list[str]:
        """A line for each kind."""
        return [
            what + (f" ({self._counts[key]} times)" if self._counts[key] > 1 else "")
            for key, what in self._first.items()
        ]


def make_error(function: Callable[..., Any], said: str, *, kind: str = "") -> PluginError:
    """The error that says what a descriptor's function did, in its plugin's name; the listener gets it, too."""
    made: Callable[..., PluginError] | None = getattr(function, _ERROR, None)
    return PluginError(said, kind=kind) if made is None else made(said, kind=kind)


@dataclass(frozen=True, slots=True)
class Boundary:
    """The border between the core and one plugin."""

    source: Source

    def error(self, place: str, said: str, *, kind: str = "", story: str = "") -> PluginError:
        """Build the error that says what the plugin did and where, and call the listener with it."""
        plugin = f"{one_line(self.source.name)} ({one_line(self.source.origin)})"
        distribution = self.source.distribution
        author = "its author" if distribution == FILE else f"who maintains {one_line(distribution)}"
        made = PluginError(
            f"plugin {plugin}, {place}: {one_line(said)}",
            remedy=f"{author} can fix it; --plugins-block {one_line(self.source.name)} disables the plugin",
            plugin=plugin,
            said=said,
            kind=kind,
            story=story,
        )
        if listener := _listener.get():
            listener(made)
        return made

    def fail(self, place: str, error: BaseException, task: object = None) -> NoReturn:
        """Raise a plugin's error: unchanged if the contract allows it, else as a PluginError.

        Args:
            place: the name of the call.
            error: the plugin's error.
            task: the task that awaits the call, if any.
        """
        found = find_root_error(error)
        allowed = found.errno in FIXABLE if isinstance(found, OSError) else isinstance(found, HarnessError | BadImage)
        if allowed or is_asked_end(error) or is_closed(error, task):
            raise error
        story = format_story(error)
        raise self.error(place, describe_error(found), kind=type(found).__name__, story=story) from error

    def call(
        self,
        place: str,
        function: Callable[..., _T],
        *wanted: type[Any],
        wrong: Callable[[object], str] = lambda _: "",
    ) -> Callable[..., _T]:
        """The function behind the boundary.

        Args:
            place: the name of the call.
            function: the plugin's function.
            wanted: the allowed types of its value; none accepts any.
            wrong: returns what else is wrong with the value, or an empty text.
        """

        @calls_plugin
        def call(*arguments: Any, **named: Any) -> _T:
            boundary = self
            try:
                given = function(*arguments, **named)
            except BaseException as error:  # noqa: BLE001 - SystemExit must not end a run
                boundary.fail(place, error)
            if why := describe_type(given, *wanted) if wanted and not isinstance(given, wanted) else wrong(given):
                raise boundary.error(place, why)
            return given

        bound = update_wrapper(call, function)
        bound.__dict__[_ERROR] = partial(self.error, place)
        return bound

    @calls_plugin
    async def wait(self, place: str, function: Callable[..., Awaitable[_T]], *arguments: Any, **named: Any) -> _T:
        """Await a coroutine function behind the boundary."""
        boundary, task = self, current_task()
        try:
            return await function(*arguments, **named)
        except BaseException as error:  # noqa: BLE001 - as in `call`
            boundary.fail(place, error, task)

    def coroutine(self, place: str, function: Callable[..., Any], wanted: type[_T]) -> Callable[..., Any]:
        """A coroutine function behind the boundary."""

        async def call(*arguments: Any, **named: Any) -> _T:
            given = await self.wait(place, function, *arguments, **named)
            if not isinstance(given, wanted):
                raise self.error(place, describe_type(given, wanted))
            return given

        return update_wrapper(call, function)

    def samples(self, place: str, function: Callable[..., Any]) -> Callable[..., Iterator[Sample]]:
        """A function that lists samples lazily, behind the boundary."""

        @calls_plugin
        def iterate(*arguments: Any, **named: Any) -> Iterator[Sample]:
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

        return update_wrapper(iterate, function)

    def async_iterator(
        self, place: str, function: Callable[..., AsyncIterator[_T]], wrong: Callable[[object], str]
    ) -> Callable[..., Any]:
        """An async generator function behind the boundary; closes the plugin's generator; `wrong` as in `call`."""

        async def iterate(*arguments: Any, **named: Any) -> AsyncGenerator[_T]:
            items = self.call(place, lambda: aiter(function(*arguments, **named)))()
            try:
                while (item := await self.wait(place, anext, items, _END)) is not _END:
                    if why := wrong(item):
                        raise self.error(place, why)
                    yield item
            finally:
                if isinstance(items, AsyncGenerator):
                    await self.wait(place, items.aclose)

        return update_wrapper(iterate, function)


def is_asked_end(error: BaseException) -> bool:
    """Whether an error is a requested end: an interrupt, or a cancellation of the current task.

    Without a cancellation, the plugin raised the CancelledError itself.
    """
    import asyncio

    import anyio

    error = find_root_error(error)
    if isinstance(error, KeyboardInterrupt):
        return True
    try:
        if not isinstance(error, anyio.get_cancelled_exc_class()):
            return False
    except RuntimeError:  # no loop, so nothing to cancel
        return False
    if anyio.current_effective_deadline() == float("-inf"):
        return True
    task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
    return task is not None and task.cancelling() > 0


def is_closed(error: BaseException, task: object) -> bool:
    """Whether the coroutine that awaits a plugin is being closed: then its task does not run.

    If that task runs, or there is none, the plugin raised the GeneratorExit.
    """
    return isinstance(find_root_error(error), GeneratorExit) and task is not None and task is not current_task()


def current_task() -> object:
    """The running task; None outside asyncio's loop."""
    import asyncio

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
