"""The descriptor of `hf/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness import Model, Provider, Settings
from harness.extras import require
from harness.http.settings import (
    CONTROL_TOKENS,
    DTYPE,
    PROFILE,
    PROMPT_FORMAT,
    REVISION,
    THINKING,
    TRUST_REMOTE_CODE,
    identity,
    transport,
)

#: Device and batching are transport: they change speed and rounding, not the request.
SETTINGS = (
    transport("device", str, "auto", "auto, cpu, cuda, cuda:N or mps"),
    transport("sharding", str, "off", "auto spreads one model over all GPUs of this machine", ("off", "auto")),
    transport(
        "max_images",
        int,
        None,
        "most images per request; not set: the model's known limit",
        least=0,
    ),
    transport("threads", int, None, "CPU threads; not set: by model size", least=1),
    transport("batch_size", int, 8, "most requests answered together", least=1),
    transport("batch_wait", float, 10.0, "milliseconds a request waits for others to join it", least=0),
    DTYPE,
    identity("attn_implementation", str, None, "attention of transformers: sdpa, eager, …"),
    identity("load_in", str, None, "quantise the weights while they load (bitsandbytes, CUDA)", ("4bit", "8bit")),
    REVISION,
    identity("adapter", Path, None, "folder of a LoRA adapter (peft) put on the model"),
    identity("min_pixels", int, None, "enlarge smaller images, if the processor can"),
    identity("max_pixels", int, None, "scale larger images down, if the processor can"),
    identity("max_patches", int, None, "most tiles per image, if the processor cuts"),
    identity("longest_edge", int, None, "longest side of a scaled image, if the processor scales"),
    PROFILE,
    PROMPT_FORMAT,
    THINKING,
    CONTROL_TOKENS,
    TRUST_REMOTE_CODE,
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    with require("hf", by="hf/"):
        from harness_hf.model import open_model
    return open_model(name, settings)


def _folder(name: str, settings: Settings) -> Path:
    with require("hf", by="hf/"):
        from harness.local import folder_of

        return folder_of(name, settings["revision"], scheme="hf", adapter="adapter")


PROVIDER = Provider(
    scheme="hf",
    description="a model folder or a Hugging Face hub id, run by transformers here",
    open=_open,
    settings=SETTINGS,
    local=True,
    folder=_folder,
)
