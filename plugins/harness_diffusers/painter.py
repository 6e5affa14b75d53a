"""The descriptor of `diffusers/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import Brush, HarnessError, Painter, Setting, Settings
from harness_diffusers import INSTALL

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
    Setting(
        name="steps", type=int, default=None, identity=True, help="denoising steps; not set: the pipeline's", least=1
    ),
    Setting(
        name="guidance",
        type=float,
        default=None,
        identity=True,
        help="how closely the words are followed; not set: the pipeline's",
        least=0,
    ),
    Setting(name="negative_prompt", type=str, default="", identity=True, help="what images should not show"),
    Setting(
        name="dtype",
        type=str,
        default="bfloat16",
        identity=True,
        help="number format of the weights",
        choices=("bfloat16", "float16", "float32"),
    ),
    Setting(name="variant", type=str, default=None, identity=True, help="variant of the weight files, such as fp16"),
    Setting(name="revision", type=str, default=None, identity=True, help="branch, tag or commit on the hub"),
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
