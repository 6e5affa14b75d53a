"""The devices a training runs on: how many, and what each of them holds of the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness import BadData, HarnessError, Training, UnknownName
from harness.runs.config import yaml_of
from harness.settings import nearest

from .configured import check_config, part
from .settings import asked

Sharding = Literal["none", "FSDP", "ZeRO-3"]
HOME: Final = Path(__file__).with_name("accelerate")
GIB: Final = 1 << 30
#: Peak of dense bfloat16 in FLOP/s by what a device's name holds, as the vendors' data sheets say; the longest first.
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
        """FLOP/s of one device; that of the paper's where the name is not known."""
        if self.memory is None:
            return CPU_PEAK
        return next((peak for part, peak in PEAKS.items() if part in self.name), PEAKS[PAPER[0]])


def devices(training: Training, *, small: bool) -> Devices:
    """The devices of a training, as its `--launch` and this machine say.

    Args:
        training: as it is asked for.
        small: the model is one that a CPU will do for.

    Raises:
        UnknownName: no such configuration.
        BadData: it is not one of accelerate, or leaves no model.
    """
    from .models.untyped import torch

    config = config_of(training.launch) if training.launch else {}
    name, memory, there = PAPER[0], PAPER[1], False
    if asked(training, "device") == "cpu" or (small and not torch.cuda.is_available()):
        return Devices(count=processes(config))
    if torch.cuda.is_available():
        its = torch.cuda.get_device_properties(0)
        name, memory, there = its.name, its.total_memory, True
    fsdp, zero = part(config, "fsdp_config"), part(config, "deepspeed_config")
    sharding: Sharding = "FSDP" if fsdp else "ZeRO-3" if zero.get("zero_stage") == 3 else "none"
    offloaded = bool(fsdp.get("fsdp_offload_params")) or zero.get("offload_param_device", "none") != "none"
    return Devices(
        count=processes(config), sharding=sharding, offloaded=offloaded, name=name, memory=memory, there=there
    )


def config_of(launch: str) -> dict[str, Any]:
    """An accelerate configuration, of the package or of the user. Raises UnknownName or BadData."""
    path = file_of(launch)
    found = yaml_of(path, "an accelerate configuration")
    if not isinstance(found, dict) or "num_processes" not in found:
        raise BadData("an accelerate configuration says num_processes", where=str(path))
    config = cast("dict[str, Any]", found)
    check_config(config, str(path))
    return config


def file_of(launch: str) -> Path:
    """The file behind `--launch NAME|FILE`. Raises UnknownName, and HarnessError where there is no such file."""
    known = sorted(file.stem for file in HOME.glob("*.yaml"))
    if launch.endswith((".yaml", ".yml")):
        file = Path(launch).expanduser()
        if not file.is_file():
            what = f"{', '.join(known)}, or a file that `accelerate config` wrote"
            raise HarnessError("there is no such file", where=f"--launch {launch}", remedy=f"--launch takes {what}")
        return file
    if launch not in known:
        raise UnknownName(f"there is no configuration {launch!r}", remedy=nearest(launch, known))
    return HOME / f"{launch}.yaml"


def processes(config: Mapping[str, Any]) -> int:
    """Of all nodes; `NNODES` in the environment says how many those are. Raises HarnessError where it is no number."""
    count, machines = int(config.get("num_processes", 1)), int(config.get("num_machines", 1))
    if machines == 1:
        return count
    nodes = os.environ.get("NNODES", str(machines))
    if not nodes.isdecimal() or int(nodes) < 1:
        raise HarnessError(f"NNODES: {nodes!r} is not a whole number from 1", remedy="set it to the number of nodes")
    return count // machines * int(nodes)
