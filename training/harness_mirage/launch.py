"""`--launch`: one training on several devices or nodes, by accelerate.

The method and the training are written into a file, and accelerate starts `harness_mirage.worker` with it, once for
each device. The user's process waits; if one of the others dies, accelerate ends all of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Training

from .devices import count_processes, find_config_file, load_config, spreads_model
from .methods import Method, parse_method
from .settings import get_setting

_NODES: Final = {
    "NODE_RANK": "--machine_rank",
    "MASTER_ADDR": "--main_process_ip",
    "MASTER_PORT": "--main_process_port",
}


def launch(method: Method, training: Training) -> Path:
    """Train under accelerate -> the output folder.

    Raises:
        HarnessError: a process ended early, the environment does not say which node this is, or this machine lacks
            GPUs or DeepSpeed.
    """
    config = load_config(training.launch)
    nodes = check_launch(training)
    with tempfile.TemporaryDirectory(prefix="harness-launch-") as folder:
        file = Path(folder) / "asked.json"
        file.write_text(request_to_json(method, training), encoding="utf-8")
        accelerate = ["--config_file", str(find_config_file(training.launch).resolve()), *nodes]
        worker = ["-m", "harness_mirage.worker", str(file)]
        with subprocess.Popen([sys.executable, "-m", "harness_mirage.starter", *accelerate, *worker]) as started:  # noqa: S603 - our own interpreter
            try:
                code = started.wait()
            except KeyboardInterrupt:
                started.wait()  # it was interrupted as well, and ends its own
                raise
    if code:
        raise HarnessError(
            "a process of the training ended early, so all of them were ended; its message is above",
            where=f"{count_processes(config)} processes by {training.launch}",
            remedy="fix that and give the same command again: it goes on from the last whole checkpoint",
        )
    return training.out


def request_to_json(method: Method, training: Training) -> str:
    """A training as text for another process, without its `launch`."""
    plain = asdict(replace(training, launch=""))
    return json.dumps({"method": asdict(method), "training": plain}, default=str)


def parse_request(text: str) -> tuple[Method, Training]:
    """The inverse of `request_to_json`."""
    values: dict[str, Any] = json.loads(text)
    training = values["training"]
    training["data"] = {name: Path(path) for name, path in training["data"].items()}
    training["out"], training["hold_out"] = Path(training["out"]), tuple(training["hold_out"])
    return parse_method(values["method"], "the method"), Training(**training)


def is_main_process(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process writes what a training leaves."""
    return environ.get("RANK", "0") == "0"


def single_gpu_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables by which a training without `--launch` sees one GPU: transformers would take all that it sees."""
    if "WORLD_SIZE" in environ:
        return {}
    return {"CUDA_VISIBLE_DEVICES": environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


def check_launch(training: Training, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Check that this machine can do what `--launch` asks -> the flags that tell accelerate which node this is.

    Raises:
        HarnessError: the environment does not say which node this is, or this machine lacks GPUs or DeepSpeed.
    """
    from .models.untyped import torch

    config = load_config(training.launch)
    nodes = ["--main_process_port", "0"]  # a free one
    if int(config.get("num_machines", 1)) > 1:
        if missing := [name for name in _NODES if name not in environ]:
            raise HarnessError(
                f"it is not known which node this is: {', '.join(missing)}",
                remedy="set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT, and give the same command on every node",
            )
        nodes = [word for name, flag in _NODES.items() for word in (flag, environ[name])]
        nodes += ["--num_machines", environ.get("NNODES", str(config["num_machines"]))]
        nodes += ["--num_processes", str(count_processes(config))]
    if get_setting(training, "device") == "cpu":
        if spreads_model(config):
            raise HarnessError(
                f"--launch {training.launch} spreads a model over GPUs, and -S device=cpu uses none",
                remedy="leave out -S device=cpu, or take a file of your own with distributed_type: MULTI_CPU",
            )
        return nodes
    if config.get("deepspeed_config") and importlib.util.find_spec("deepspeed") is None:
        raise HarnessError(
            f"--launch {training.launch} needs DeepSpeed", remedy="pip install deepspeed, or take fsdp-…"
        )
    wanted, there = int(config["num_processes"]) // int(config.get("num_machines", 1)), int(torch.cuda.device_count())
    if wanted > there:
        raise HarnessError(
            f"--launch {training.launch} wants {wanted} GPUs, and {there} can be seen here",
            remedy="name another configuration, or a file of your own: see docs/commands/train.md",
        )
    return nodes
