"""The descriptor of `vllm/…`: its settings, and how it opens."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from harness import HarnessError, Model, Provider, Settings
from harness.extras import install_command, require
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

#: Settings that distribute the work are transport: they change speed and rounding, not the request.
SETTINGS = (
    transport("tensor_parallel", int, 1, "GPUs that share each layer", least=1),
    transport("pipeline_parallel", int, 1, "GPUs that share the layers", least=1),
    transport("data_parallel", int, 1, "copies of the model, each on its own GPUs", least=1),
    transport("gpu_memory_utilization", float, None, "share of each GPU's memory to use, such as 0.9", least=0),
    transport("max_num_seqs", int, 128, "most requests answered together", least=1),
    transport("enforce_eager", bool, False, "compile nothing: starts sooner, runs slower"),
    transport("images_per_prompt", int, None, "most images per request; not set: the most in this run", least=0),
    identity(
        "max_model_len", int, None, "most tokens of prompt and answer together; not set: the model's own", least=1
    ),
    DTYPE,
    identity("quantization", str, None, "how the weights are quantised, such as fp8, awq or bitsandbytes"),
    REVISION,
    identity("lora", Path, None, "folder of a LoRA adapter (peft) put on the model"),
    identity("min_pixels", int, None, "enlarge smaller images, if the processor can", least=1),
    identity("max_pixels", int, None, "scale larger images down, if the processor can", least=1),
    PROFILE,
    PROMPT_FORMAT,
    identity("mm_processor_kwargs", str, "", "more arguments for the image processor, as a JSON object"),
    THINKING,
    CONTROL_TOKENS,
    TRUST_REMOTE_CODE,
    identity("engine", str, "", "more of vLLM's engine arguments, as a JSON object"),
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    if importlib.util.find_spec("vllm") is None:
        raise HarnessError("vllm/ needs the extra `vllm`: vLLM is not installed", remedy=install_command("vllm"))
    from harness_vllm.model import open_model

    return open_model(name, settings)


def _folder(name: str, settings: Settings) -> Path:
    with require("vllm", by="vllm/"):
        from harness.local import folder_of

        return folder_of(name, settings["revision"], scheme="vllm", adapter="lora")


PROVIDER = Provider(
    scheme="vllm",
    description="a model folder or a Hugging Face hub id, run by vLLM here",
    open=_open,
    settings=SETTINGS,
    local=True,
    folder=_folder,
)
