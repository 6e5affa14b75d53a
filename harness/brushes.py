"""Opening painters' brushes by reference, and what identifies one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import plugins, settings
from harness.errors import HarnessError
from harness.makers import Brush, Painter
from harness.types import Json, Settings

if TYPE_CHECKING:
    from harness.limits.endpoints import Endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPainter:
    """A painter, the name that it opens, and all its settings; nothing is opened yet."""

    painter: Painter
    name: str
    settings: Settings

    def open(self) -> AbstractAsyncContextManager[Brush]:
        """Open the brush, without slots and retries."""
        return self.painter.open(self.name, self.settings)

    def identity(self, brush: Brush) -> dict[str, Json]:
        """What was requested, as JSON; a local model is known by its files, wherever they lie."""
        return {
            "scheme": self.painter.scheme,
            "name": "" if brush.info.fingerprint else self.name,
            "settings": settings.identity(self.painter.settings, self.settings),
            "fingerprint": dict(brush.info.fingerprint),
        }


def find_painter(ref: str, given: Mapping[str, Any] | None = None) -> FoundPainter:
    """The painter of `SCHEME/NAME` with its settings.

    Raises:
        UnknownName: no plugin offers the scheme, or it has no such setting; with the nearest spelling.
        HarnessError: `ref` has no name, or a value is wrong.
    """
    scheme, _, name = ref.partition("/")
    if not name:
        raise HarnessError(
            f"{ref!r} is not a painter",
            remedy="write SCHEME/NAME, such as diffusers/ID or openai/NAME: see `harness painters`",
        )
    painter = plugins.current().painter(scheme)
    values = settings.effective(painter.settings, given or {}, owner=f"painter {scheme}")
    return FoundPainter(painter=painter, name=name, settings=values)


@asynccontextmanager
async def open_brush(
    found: FoundPainter, endpoints: Endpoints, *, before: Callable[[], bool] = lambda: False
) -> AsyncGenerator[Brush]:
    """Open a brush whose calls take slots and are retried like a model's; it gives whole images only.

    Args:
        found: the painter and its model.
        endpoints: of all calls of the process: a painter and a model at one server share its slots.
        before: whether it drew anything in an earlier invocation; called only when that matters.

    Raises:
        HarnessError: the model cannot be opened.
    """
    from harness.limits import MeteredBrush

    async with found.open() as brush:
        endpoints.watch(brush)
        yield MeteredBrush(brush, endpoints, before=before)
