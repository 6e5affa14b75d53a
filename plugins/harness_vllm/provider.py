"""The descriptor of `vllm/…`: its settings, and how it opens."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness import HarnessError, Model, Provider, Setting, Settings
from harness_vllm import INSTALL


def _identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), least: float | None = None
) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def _transport(name: str, kind: type, default: object, text: str, least: float | None = None) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=False, help=text, least=least)


#: How the work is spread is transport: it changes speed, and the last bits of a sum, but not what is asked.
SETTINGS = (
    _transport("tensor_parallel", int, 1, "GPUs that share each layer", least=1),
    _transport("pipeline_parallel", int, 1, "GPUs that share the layers", least=1),
    _transport("data_parallel", int, 1, "copies of the model, each on GPUs of its own", least=1),
    _transport("gpu_memory_utilization", float, None, "share of each GPU's memory to take, such as 0.9", least=0),
    _transport("max_num_seqs", int, 128, "most requests answered together", least=1),
    _transport("enforce_eager", bool, False, "compile nothing: starts sooner, runs slower"),
    _transport(
        "images_per_prompt", int, None, "most images of one request; not set: the most that the run asks with", least=0
    ),
    _identity(
        "max_model_len", int, None, "most tokens of prompt and answer together; not set: the model's own", least=1
    ),
    _identity(
        "dtype",
        str,
        "auto",
        "number format of the weights; auto is the checkpoint's own",
        ("auto", "float32", "bfloat16", "float16"),
    ),
    _identity("quantization", str, None, "how the weights are quantised, such as fp8, awq or bitsandbytes"),
    _identity("revision", str, None, "branch, tag or commit on the hub"),
    _identity("lora", Path, None, "folder of a LoRA adapter (peft) put on the model"),
    _identity("min_pixels", int, None, "smaller images are enlarged, where the processor can", least=1),
    _identity("max_pixels", int, None, "larger images are scaled down, where the processor can", least=1),
    _identity("profile", str, None, "run the model's family as a paper did: see docs/providers/hf.md", ("mis-paper",)),
    _identity("prompt_format", str, None, "the whole prompt with {images} and {question}, in place of a chat template"),
    _identity("mm_processor_kwargs", str, "", "more for the model's image processor, as a JSON object"),
    _identity(
        "thinking",
        str,
        "auto",
        "reasoning before the answer, where the chat template has a switch; auto leaves it as it is",
        ("auto", "on", "off"),
    ),
    _identity(
        "control_tokens",
        str,
        "text",
        "what the spelling of a control token inside a message is: plain text, or the token itself",
        ("text", "control"),
    ),
    _identity("trust_remote_code", bool, False, "run the Python code that comes with the model"),
    _identity("engine", str, "", "more of vLLM's engine arguments, as a JSON object"),
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    if importlib.util.find_spec("vllm") is None:
        raise HarnessError("vllm/ needs the extra `vllm`: vLLM is not installed", remedy=INSTALL)
    from harness_vllm.model import open_model

    return open_model(name, settings)


def _folder(name: str, settings: Settings) -> Path:
    from harness.local import folder_of

    try:
        return folder_of(name, settings["revision"], scheme="vllm", adapter="lora")
    except ImportError as error:
        raise HarnessError(f"vllm/ needs the extra `vllm`: {error}", remedy=INSTALL) from error


PROVIDER = Provider(
    scheme="vllm",
    description="a model folder or a Hugging Face hub id, run by vLLM here",
    open=_open,
    settings=SETTINGS,
    local=True,
    folder=_folder,
)
