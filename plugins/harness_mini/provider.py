"""`mini/base` and `mini/mirage`: the model folders of this package, opened as any other transformers folders are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import Failure, Model, ModelInfo, Provider, Request, Response, Settings, UnknownName

BASE = Path(__file__).with_name("base")
MIRAGE = Path(__file__).with_name("mirage")
_FOLDERS = {folder.name: folder for folder in (BASE, MIRAGE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A model under another name; all else is the inner model's."""

    inner: Model
    ref: str

    @property
    def info(self) -> ModelInfo:
        """The inner model's, with the name it is asked for by."""
        return replace(self.inner.info, ref=self.ref)

    async def generate(self, request: Request) -> Response | Failure:
        """Let the inner model answer."""
        return await self.inner.generate(request)


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    adapter = {} if _found(name) == BASE else {"adapter": MIRAGE}
    from harness import open_model  # on use: listing the models must not load what opens them

    # stored in half precision to be small; computed in single, in which batches of any size answer alike
    async with open_model(f"hf/{BASE}", {"dtype": "float32", **adapter, **settings}) as model:
        yield Alias(inner=model, ref=f"mini/{name}")


def _found(name: str) -> Path:
    if name not in _FOLDERS:
        raise UnknownName(f"there is no model mini/{name}", remedy="use mini/base or mini/mirage")
    return _FOLDERS[name]


PROVIDER = Provider(
    scheme="mini",
    description="the mini world's own models, packaged: mini/base, which helps with everything, and mini/mirage",
    open=_open,
    local=True,
    folder=lambda name, _settings: _found(name),
    lineage=_found,
)
