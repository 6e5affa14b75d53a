"""Names the plugin that hangs: at import or in a hook, and later in the event loop of a run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.text import one_line

if TYPE_CHECKING:
    from harness.plugins.loader import Source, Stage

PATIENCE: Final = 5.0  #: seconds of silence before a plugin is named
IMPORTS: Final = 12  #: times that patience an import may go without a new module
_DOING: Final = {"import": "its import", "register": "its registration", "offer": "what it offers", "hook": "a hook"}


class Watch:
    """Calls of plugins while they load: how long each takes, and a line about one that does not come back.

    One thread looks; it ends by itself where nothing is called.

    Attributes:
        seconds: what each plugin took, by stage.
    """

    def __init__(self, tell: Callable[[str], None], patience: float | None = None) -> None:
        self.seconds: dict[tuple[Source, Stage], float] = {}
        self._tell = tell
        self._patience = PATIENCE if patience is None else patience
        self._lock = threading.Lock()
        self._now: tuple[Source, Stage, float] | None = None
        self._looking = False

    @contextmanager
    def calling(self, source: Source, stage: Stage) -> Generator[None]:
        """Watch a call, which is the body; calls do not overlap."""
        began = time.monotonic()
        with self._lock:
            self._now = (source, stage, began)
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="harness-plugins", daemon=True).start()
        try:
            yield
        finally:
            self._now = None
            spent = self.seconds.get((source, stage), 0.0)
            self.seconds[source, stage] = spent + time.monotonic() - began

    def _look(self) -> None:
        reported: object = None
        while True:
            time.sleep(self._patience / 10)
            with self._lock:
                now = self._now
                if now is None:
                    self._looking = False
                    return
            source, stage, began = now
            if now != reported and time.monotonic() - began >= self._patience:
                reported = now
                self._tell(
                    f"plugin {one_line(source.name)} ({one_line(source.origin)}): {_DOING.get(stage, stage)} has taken "
                    f"{self._patience:g} s so far; Ctrl-C ends it, --plugins-block {one_line(source.name)} keeps it out"
                )


@contextmanager
def watch_loop(tell: Callable[[str], None], patience: float = PATIENCE) -> Generator[None]:
    """Name the plugin that blocks the running event loop for some seconds, once for each place, while the body lasts.

    An import under way is not a hang, however long it takes on a busy machine: its time does not count, until no new
    module has been imported for `IMPORTS` times as long.
    """
    import asyncio

    from harness.plugins.boundary import find_caller, is_importing

    try:
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
    except RuntimeError:  # the loop of another library
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
                    f"plugin {source.name} ({source.origin}), {place}: it has held the run for {patience:g} s, at "
                    f"{where}; nothing else goes on meanwhile"
                )

    alive()
    threading.Thread(target=look, name="harness-loop", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
