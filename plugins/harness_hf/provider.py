"""The descriptor of `hf/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness import HarnessError, Model, Provider, Setting, Settings
from harness_hf import INSTALL

#: Device and batching are transport: they change speed, and the last bits of a sum, but not what is asked.
SETTINGS = (
    Setting(name="device", type=str, default="auto", identity=False, help="auto, cpu, cuda, cuda:N or mps"),
    Setting(
        name="sharding",
        type=str,
        default="off",
        identity=False,
        help="auto spreads one model over all GPUs of this machine",
        choices=("off", "auto"),
    ),
    Setting(
        name="max_images",
        type=int,
        default=None,
        identity=False,
        help="most images one request may hold; not set: what is known of the model",
        least=0,
    ),
    Setting(
        name="threads",
        type=int,
        default=None,
        identity=False,
        help="CPU threads; not set: as the model's size asks",
        least=1,
    ),
    Setting(name="batch_size", type=int, default=8, identity=False, help="most requests answered together", least=1),
    Setting(
        name="batch_wait",
        type=float,
        default=10.0,
        identity=False,
        help="milliseconds a request waits for others to join it",
        least=0,
    ),
    Setting(
        name="dtype",
        type=str,
        default="auto",
        identity=True,
        help="number format of the weights; auto is the checkpoint's own",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Setting(
        name="attn_implementation",
        type=str,
        default=None,
        identity=True,
        help="attention of transformers: sdpa, eager, …",
    ),
    Setting(
        name="load_in",
        type=str,
        default=None,
        identity=True,
        help="quantise the weights while they load (bitsandbytes, CUDA)",
        choices=("4bit", "8bit"),
    ),
    Setting(name="revision", type=str, default=None, identity=True, help="branch, tag or commit on the hub"),
    Setting(
        name="adapter", type=Path, default=None, identity=True, help="folder of a LoRA adapter (peft) put on the model"
    ),
    Setting(
        name="min_pixels",
        type=int,
        default=None,
        identity=True,
        help="smaller images are enlarged, where the processor can",
    ),
    Setting(
        name="max_pixels",
        type=int,
        default=None,
        identity=True,
        help="larger images are scaled down, where the processor can",
    ),
    Setting(
        name="max_patches",
        type=int,
        default=None,
        identity=True,
        help="most tiles an image is cut into, where the processor cuts",
    ),
    Setting(
        name="longest_edge",
        type=int,
        default=None,
        identity=True,
        help="longest side an image is scaled to, where the processor does so",
    ),
    Setting(
        name="profile",
        type=str,
        default=None,
        identity=True,
        help="run the model's family as a paper did: see docs/providers/hf.md",
        choices=("mis-paper",),
    ),
    Setting(
        name="prompt_format",
        type=str,
        default=None,
        identity=True,
        help="the whole prompt with {images} and {question}, in place of a chat template",
    ),
    Setting(
        name="thinking",
        type=str,
        default="auto",
        identity=True,
        help="reasoning before the answer, where the chat template has a switch; auto leaves it as it is",
        choices=("auto", "on", "off"),
    ),
    Setting(
        name="control_tokens",
        type=str,
        default="text",
        identity=True,
        help="what the spelling of a control token inside a message is: plain text, or the token itself",
        choices=("text", "control"),
    ),
    Setting(
        name="trust_remote_code",
        type=bool,
        default=False,
        identity=True,
        help="run the Python code that comes with the model",
    ),
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    try:
        from harness_hf.model import open_model
    except ImportError as error:
        raise HarnessError(f"hf/ needs the extra `hf`: {error}", remedy=INSTALL) from error
    return open_model(name, settings)


def _folder(name: str, settings: Settings) -> Path:
    try:
        from harness_hf.folders import folder_of

        return folder_of(name, settings)
    except ImportError as error:
        raise HarnessError(f"hf/ needs the extra `hf`: {error}", remedy=INSTALL) from error


PROVIDER = Provider(
    scheme="hf",
    description="a model folder or a Hugging Face hub id, run by transformers here",
    open=_open,
    settings=SETTINGS,
    local=True,
    folder=_folder,
)
