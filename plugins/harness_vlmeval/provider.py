"""The provider `vlmeval/…` and its settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from harness import Model, Provider, Setting, Settings

SETTINGS = (
    Setting(
        name="python",
        type=str,
        default="",
        identity=False,
        help="interpreter with VLMEvalKit; else HARNESS_VLMEVAL_PYTHON, else this one",
    ),
    Setting(
        name="model_path",
        type=Path,
        default=None,
        identity=True,
        help="other weights for the class: a folder or a hub id",
    ),
    Setting(name="args", type=str, default="", identity=True, help="more arguments of the class, as a JSON object"),
    Setting(
        name="restarts",
        type=int,
        default=3,
        identity=False,
        help="most restarts of VLMEvalKit's process after it dies",
        least=0,
    ),
)


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    from .model import open_model

    async with open_model(name, settings) as model:
        yield model


PROVIDER = Provider(
    scheme="vlmeval",
    description="any model of VLMEvalKit's zoo, in a separate process",
    open=_open,
    settings=SETTINGS,
    local=True,
)
