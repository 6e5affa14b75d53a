"""The descriptor of `hf/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness import Model, Provider, Settings
from harness.extras import require
from harness.http.settings import identity, transport

#: Device and batching are transport: they change speed, and the last bits of a sum, but not what is asked.
SETTINGS = (
    transport("device", str, "auto", "auto, cpu, cuda, cuda:N or mps"),
    transport("sharding", str, "off", "auto spreads one model over all GPUs of this machine", ("off", "auto")),
    transport(
        "max_images",
        int,
        None,
        "most images one request may hold; not set: what is known of the model",
        least=0,
    ),
    transport("threads", int, None, "CPU threads; not set: as the model's size asks", least=1),
    transport("batch_size", int, 8, "most requests answered together", least=1),
    transport("batch_wait", float, 10.0, "milliseconds a request waits for others to join it", least=0),
    identity(
        "dtype",
        str,
        "auto",
        "number format of the weights; auto is the checkpoint's own",
        ("auto", "float32", "bfloat16", "float16"),
    ),
    identity("attn_implementation", str, None, "attention of transformers: sdpa, eager, …"),
    identity("load_in", str, None, "quantise the weights while they load (bitsandbytes, CUDA)", ("4bit", "8bit")),
    identity("revision", str, None, "branch, tag or commit on the hub"),
    identity("adapter", Path, None, "folder of a LoRA adapter (peft) put on the model"),
    identity("min_pixels", int, None, "smaller images are enlarged, where the processor can"),
    identity("max_pixels", int, None, "larger images are scaled down, where the processor can"),
    identity("max_patches", int, None, "most tiles an image is cut into, where the processor cuts"),
    identity("longest_edge", int, None, "longest side an image is scaled to, where the processor does so"),
    identity("profile", str, None, "run the model's family as a paper did: see docs/providers/hf.md", ("mis-paper",)),
    identity("prompt_format", str, None, "the whole prompt with {images} and {question}, in place of a chat template"),
    identity(
        "thinking",
        str,
        "auto",
        "reasoning before the answer, where the chat template has a switch; auto leaves it as it is",
        ("auto", "on", "off"),
    ),
    identity(
        "control_tokens",
        str,
        "text",
        "what the spelling of a control token inside a message is: plain text, or the token itself",
        ("text", "control"),
    ),
    identity("trust_remote_code", bool, False, "run the Python code that comes with the model"),
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
