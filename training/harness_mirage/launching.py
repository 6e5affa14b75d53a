"""`--launch`: one training on several devices or nodes, by accelerate.

The method and what is asked for are written into a file, and accelerate starts `harness_mirage.worker` with it, once
for each device. The process of the user waits; when one of the others dies, accelerate ends all of them.
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

from .configured import shards
from .devices import config_of, file_of, processes
from .methods import Method
from .settings import asked
from .written import method_of

_NODES: Final = {
    "NODE_RANK": "--machine_rank",
    "MASTER_ADDR": "--main_process_ip",
    "MASTER_PORT": "--main_process_port",
}
_TELL: Final = "set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT, and give the same command on every node"


def launch(method: Method, training: Training) -> Path:
    """Train under accelerate -> the output folder.

    Raises:
        HarnessError: a process ended early, it is not said which node this is, or this machine lacks GPUs or DeepSpeed.
    """
    config = config_of(training.launch)
    nodes = check_launch(training)
    with tempfile.TemporaryDirectory(prefix="harness-launch-") as folder:
        file = Path(folder) / "asked.json"
        file.write_text(asked_as_text(method, training), encoding="utf-8")
        words = [
            "--config_file",
            str(file_of(training.launch).resolve()),
            *nodes,
            "-m",
            "harness_mirage.worker",
            str(file),
        ]
        code = _waited([sys.executable, "-m", "harness_mirage.starter", *words])
    if code:
        raise HarnessError(
            "a process of the training ended early, so all of them were ended; what it said stands above",
            where=f"{processes(config)} processes by {training.launch}",
            remedy="mend that and give the same command again: it goes on from the last whole checkpoint",
        )
    return training.out


def asked_as_text(method: Method, training: Training) -> str:
    """A training for another process, without its `launch`."""
    plain = asdict(replace(training, launch=""))
    return json.dumps({"method": asdict(method), "training": plain}, default=str)


def asked_of_text(text: str) -> tuple[Method, Training]:
    """What `asked_as_text` wrote."""
    values: dict[str, Any] = json.loads(text)
    training = values["training"]
    training["data"] = {name: Path(path) for name, path in training["data"].items()}
    training["out"], training["hold_out"] = Path(training["out"]), tuple(training["hold_out"])
    return method_of(values["method"], "the method"), Training(**training)


def main_process(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process writes what a training leaves."""
    return environ.get("RANK", "0") == "0"


def alone(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which a training without `--launch` sees one GPU: transformers would take all it sees."""
    if "WORLD_SIZE" in environ:
        return {}
    return {"CUDA_VISIBLE_DEVICES": environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


def check_launch(training: Training) -> list[str]:
    """Whether this machine can do what `--launch` asks of it -> how accelerate is told which node this is.

    Raises:
        HarnessError: it is not said which node this is, or this machine lacks GPUs or DeepSpeed.
    """
    config = config_of(training.launch)
    nodes = _nodes(config)
    _check(config, training)
    return nodes


def _check(config: Mapping[str, Any], training: Training) -> None:
    from .models.untyped import torch

    if asked(training, "device") == "cpu":
        if shards(config):
            raise HarnessError(
                f"--launch {training.launch} spreads a model over GPUs, and -S device=cpu uses none",
                remedy="leave out -S device=cpu, or take a file of your own with distributed_type: MULTI_CPU",
            )
        return
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


def _nodes(config: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> list[str]:
    """How accelerate is told which node this is; nothing for one node but a free port."""
    if int(config.get("num_machines", 1)) <= 1:
        return ["--main_process_port", "0"]
    if missing := [name for name in _NODES if name not in environ]:
        raise HarnessError(f"it is not said which node this is: {', '.join(missing)}", remedy=_TELL)
    words = [word for name, flag in _NODES.items() for word in (flag, environ[name])]
    count = ["--num_machines", environ.get("NNODES", str(config["num_machines"]))]
    return [*words, *count, "--num_processes", str(processes(config))]


def _waited(words: list[str]) -> int:
    """Run a command to its end -> its exit code; interrupted, it is ended first."""
    with subprocess.Popen(words) as started:  # noqa: S603 - our own interpreter
        try:
            return started.wait()
        except KeyboardInterrupt:
            started.wait()  # it was interrupted as well, and ends its own
            raise
