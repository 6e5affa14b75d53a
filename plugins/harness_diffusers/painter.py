"""The descriptor of `diffusers/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from harness import Brush, HarnessError, Painter, Setting, Settings
from harness_diffusers import INSTALL


def _identity(name: str, kind: type, default: object, text: str, **more: Any) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=True, help=text, **more)


SETTINGS = (
    Setting(name="device", type=str, default="auto", identity=False, help="auto, cpu, cuda, cuda:N or mps"),
    Setting(
        name="threads",
        type=int,
        default=None,
        identity=False,
        help="CPU threads; not set: as the model's size asks",
        least=1,
    ),
    _identity("steps", int, None, "denoising steps; not set: the pipeline's", least=1),
    _identity("guidance", float, None, "how closely the words are followed; not set: the pipeline's", least=0),
    _identity("negative_prompt", str, "", "what images should not show"),
    _identity("dtype", str, "bfloat16", "number format of the weights", choices=("bfloat16", "float16", "float32")),
    _identity("variant", str, None, "variant of the weight files, such as fp16"),
    _identity("revision", str, None, "branch, tag or commit on the hub"),
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Brush]:
    try:
        from harness_diffusers.brush import open_brush
    except ImportError as error:
        raise HarnessError(f"diffusers/ needs the extra `build`: {error}", remedy=INSTALL) from error
    return open_brush(name, settings)


PAINTER = Painter(
    scheme="diffusers",
    description="a text-to-image pipeline of diffusers, from a folder or a Hugging Face hub id, run here",
    open=_open,
    settings=SETTINGS,
    local=True,
)
