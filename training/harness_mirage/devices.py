"""The devices a training runs on, and `--launch`: one training on several devices or nodes, by accelerate.

An accelerate configuration is checked for what a training needs: that it starts, and that it leaves a whole model when
it ends. A launch writes the method and the training into a file, and accelerate starts `harness_mirage.worker` with it,
once for each device. The user's process waits; if one of the others dies, accelerate ends all of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness import BadData, HarnessError, Training, UnknownName
from harness.runs.config import load_yaml
from harness.settings import nearest

from .methods import Method, get_setting, parse_method

Sharding = Literal["none", "FSDP", "ZeRO-3"]
FOLDER: Final = Path(__file__).with_name("accelerate")
GIB: Final = 1 << 30
#: Peak of dense bfloat16 in FLOP/s by a part of the device's name, as the vendors' data sheets say; the longest first.
PEAKS: Final = {
    "H200": 989e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "A40": 150e12,
    "A10": 125e12,
    "4090": 165e12,
    "3090": 71e12,
}
PAPER: Final = ("A100", 80 * GIB)  #: what the paper trained on
CPU_PEAK: Final = 5e10  #: of one core, a rough middle
_FULL: Final = "FULL_STATE_DICT"
_NODES: Final = {
    "NODE_RANK": "--machine_rank",
    "MASTER_ADDR": "--main_process_ip",
    "MASTER_PORT": "--main_process_port",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Where a training runs.

    Attributes:
        count: of processes, each with a device.
        sharding: what spreads weights, gradients and optimizer over them.
        offloaded: what a device does not need at once lies in the host's memory.
        name: of the device; `CPU`, or of an assumed one.
        memory: bytes of one device; None for the host's.
        there: whether such a device is in this machine.
    """

    count: int = 1
    sharding: Sharding = "none"
    offloaded: bool = False
    name: str = "CPU"
    memory: int | None = None
    there: bool = True

    @property
    def peak(self) -> float:
        """FLOP/s of one device; that of the paper's device for an unknown name."""
        if self.memory is None:
            return CPU_PEAK
        return next((peak for part, peak in PEAKS.items() if part in self.name), PEAKS[PAPER[0]])


def find_devices(training: Training, *, small: bool) -> Devices:
    """The devices of a training, as its `--launch` and this machine say.

    Args:
        training: with its `--launch` and settings.
        small: whether a CPU is fast enough for the model.

    Raises:
        UnknownName: no such configuration.
        BadData: the file is no configuration of accelerate, or would leave no model.
    """
    from .models.untyped import torch

    config = load_config(training.launch) if training.launch else {}
    count = count_processes(config)
    name, memory, there = PAPER[0], PAPER[1], False
    if get_setting(training, "device") == "cpu" or (small and not torch.cuda.is_available()):
        return Devices(count=count)
    if torch.cuda.is_available():
        its = torch.cuda.get_device_properties(0)
        name, memory, there = its.name, its.total_memory, True
    fsdp, zero = _get_section(config, "fsdp_config"), _get_section(config, "deepspeed_config")
    sharding: Sharding = "FSDP" if fsdp else "ZeRO-3" if zero.get("zero_stage") == 3 else "none"
    offloaded = bool(fsdp.get("fsdp_offload_params")) or zero.get("offload_param_device", "none") != "none"
    return Devices(count=count, sharding=sharding, offloaded=offloaded, name=name, memory=memory, there=there)


def load_config(launch: str) -> dict[str, Any]:
    """Read the accelerate configuration behind `--launch`.

    Raises:
        UnknownName: there is no such configuration.
        BadData: it is none, has a bad count, or would leave the weights spread over the devices.
    """
    path = find_config_file(launch)
    found = load_yaml(path, "an accelerate configuration")
    if not isinstance(found, dict) or "num_processes" not in found:
        raise BadData("an accelerate configuration says num_processes", where=str(path))
    config = cast("dict[str, Any]", found)
    for name in ("num_processes", "num_machines"):
        count = config.get(name, 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadData(f"{name}: {count} is not a whole number from 1", where=str(path))
    for name in ("fsdp_config", "deepspeed_config"):
        if not isinstance(config.get(name) or {}, dict):
            raise BadData(f"{name} is a mapping", where=str(path))
    if config.get("distributed_type") == "FSDP":
        # accelerate takes the keys with and without `fsdp_`, and FSDP 2 spreads the weights unless it is told not to
        fsdp = {
            key if key.startswith("fsdp") else f"fsdp_{key}": value
            for key, value in _get_section(config, "fsdp_config").items()
        }
        default = _FULL if str(fsdp.get("fsdp_version", 1)) == "1" else "SHARDED_STATE_DICT"
        kind = str(fsdp.get("fsdp_state_dict_type") or default).upper()
        if kind not in (_FULL, "1"):  # 1: its number in torch, which accelerate takes as well
            raise BadData(
                f"with {kind} the weights stay spread over the devices, and no model would be written",
                where=str(path),
                remedy=f"fsdp_config: {{fsdp_state_dict_type: {_FULL}}}",
            )
    zero = _get_section(config, "deepspeed_config")
    # a file of DeepSpeed's own says itself what is saved
    if zero.get("zero_stage") == 3 and "deepspeed_config_file" not in zero and not zero.get("zero3_save_16bit_model"):
        raise BadData(
            "the weights stay spread over the devices, and no model would be written",
            where=str(path),
            remedy="deepspeed_config: {zero3_save_16bit_model: true}",
        )
    return config


def find_config_file(launch: str) -> Path:
    """The file behind `--launch NAME|FILE`. Raises UnknownName, and HarnessError if there is no such file."""
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if launch.endswith((".yaml", ".yml")):
        file = Path(launch).expanduser()
        if not file.is_file():
            what = f"{', '.join(known)}, or a file that `accelerate config` wrote"
            raise HarnessError("there is no such file", where=f"--launch {launch}", remedy=f"--launch takes {what}")
        return file
    if launch not in known:
        raise UnknownName(f"there is no configuration {launch!r}", remedy=nearest(launch, known))
    return FOLDER / f"{launch}.yaml"


def count_processes(config: Mapping[str, Any]) -> int:
    """Processes of all nodes, whose number may be in the environment. Raises HarnessError if NNODES is no number."""
    count, machines = int(config.get("num_processes", 1)), int(config.get("num_machines", 1))
    if machines == 1:
        return count
    nodes = os.environ.get("NNODES", str(machines))
    if not nodes.isdecimal() or int(nodes) < 1:
        raise HarnessError(f"NNODES: {nodes!r} is not a whole number from 1", remedy="set it to the number of nodes")
    return count // machines * int(nodes)


def spreads_model(config: Mapping[str, Any]) -> bool:
    """Whether a configuration spreads a model over GPUs, which no CPU can do."""
    return config.get("distributed_type") in ("FSDP", "DEEPSPEED")


def _get_section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", config.get(name) or {})


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
            remedy="fix that and give the same command again: it continues from the last complete checkpoint",
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
            f"--launch {training.launch} needs {wanted} GPUs, and {there} can be seen here",
            remedy="name another configuration, or a file of your own: see docs/commands/train.md",
        )
    return nodes
