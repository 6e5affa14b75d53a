"""`mini/base` and `mini/mirage`: model folders of this package, opened as other transformers folders.

`mini/writer` is a rule without a folder. `mini/painter` is a rule that draws.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import (
    Brush,
    Failure,
    HarnessError,
    Model,
    ModelInfo,
    Painter,
    Provider,
    Request,
    Response,
    Setting,
    Settings,
    UnknownName,
)

BASE = Path(__file__).with_name("base")
MIRAGE = Path(__file__).with_name("mirage")
#: the rule and its misbehaving variants
WRITERS = ("writer", *(f"writer-{how}" for how in ("prose", "refuse", "loop", "one_object")))
_FOLDERS = {folder.name: folder for folder in (BASE, MIRAGE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A model under another name."""

    inner: Model
    ref: str

    @property
    def info(self) -> ModelInfo:
        """The inner model's, under this name."""
        return replace(self.inner.info, ref=self.ref)

    async def generate(self, request: Request) -> Response | Failure:
        """Answer by the inner model."""
        return await self.inner.generate(request)


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    if name in WRITERS:
        from .writer import Writer

        yield Writer(name=name)
        return
    folder, own = _find_folder(name), settings["adapter"]
    if own is not None and folder != BASE:
        raise HarnessError(f"mini/{name} is already an adapter", remedy="put yours on mini/base")
    adapter = own if folder == BASE else folder
    from harness import open_model  # imported here: listing models must stay fast

    # stored in half precision to be small; computed in single, so that batch size does not change answers
    async with open_model(f"hf/{BASE}", {"dtype": "float32", "adapter": adapter}) as model:
        yield Alias(inner=model, ref=f"mini/{name}")


def _find_folder(name: str) -> Path:
    if name not in _FOLDERS:
        raise UnknownName(f"there is no model mini/{name}", remedy="use mini/base, mini/mirage or mini/writer")
    return _FOLDERS[name]


def _folder(name: str, _settings: Settings) -> Path:
    if name in WRITERS:
        raise HarnessError(f"mini/{name} is a rule and has no weights", remedy="use mini/base or mini/mirage")
    return _find_folder(name)


PROVIDER = Provider(
    scheme="mini",
    description="the mini world's own, packaged: mini/base, which helps with everything, mini/mirage and mini/writer",
    open=_open,
    settings=(
        Setting(
            name="adapter", type=Path, default=None, identity=True, help="folder of a LoRA adapter put on mini/base"
        ),
    ),
    local=True,
    folder=_folder,
    # the folder of a rule holds no training.json
    lineage=lambda name: Path(__file__).parent if name in WRITERS else _find_folder(name),
)


@asynccontextmanager
async def _open_brush(name: str, _settings: Settings) -> AsyncGenerator[Brush]:
    if name != "painter":
        raise UnknownName(f"there is no painter mini/{name}", remedy="use mini/painter")
    from .painter import MiniBrush

    yield MiniBrush()


PAINTER = Painter(
    scheme="mini",
    description="draws the mini world's own objects: mini/painter, with no model and no key",
    open=_open_brush,
)
