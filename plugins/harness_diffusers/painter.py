"""The descriptor of `diffusers/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import Brush, Painter, Settings
from harness.extras import require
from harness.http.settings import REVISION, identity, transport

SETTINGS = (
    transport("device", str, "auto", "auto, cpu, cuda, cuda:N or mps"),
    transport("threads", int, None, "CPU threads; not set: by model size", least=1),
    identity("steps", int, None, "denoising steps; not set: the pipeline's", least=1),
    identity("guidance", float, None, "how closely images follow the prompt; not set: the pipeline's", least=0),
    identity("negative_prompt", str, "", "what images should not show"),
    identity("dtype", str, "bfloat16", "number format of the weights", choices=("bfloat16", "float16", "float32")),
    identity("variant", str, None, "variant of the weight files, such as fp16"),
    REVISION,
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Brush]:
    with require("build", by="diffusers/"):
        from harness_diffusers.brush import open_brush
    return open_brush(name, settings)


PAINTER = Painter(
    scheme="diffusers",
    description="a text-to-image pipeline of diffusers, from a folder or a Hugging Face hub id, run here",
    open=_open,
    settings=SETTINGS,
    local=True,
)
