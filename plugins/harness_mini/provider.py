"""`mini/base`: the model folder of this package, opened as any other transformers folder is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import Failure, Model, ModelInfo, Provider, Request, Response, Settings, UnknownName

BASE = Path(__file__).with_name("base")


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
    if name != BASE.name:
        raise UnknownName(f"there is no model mini/{name}", remedy="use mini/base")
    from harness import open_model  # on use: listing the models must not load what opens them

    # stored in half precision to be small; computed in single, in which batches of any size answer alike
    async with open_model(f"hf/{BASE}", {"dtype": "float32", **settings}) as model:
        yield Alias(inner=model, ref=f"mini/{name}")


PROVIDER = Provider(
    scheme="mini", description="the mini world's own model, packaged: mini/base", open=_open, local=True
)
