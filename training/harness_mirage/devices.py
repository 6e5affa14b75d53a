"""The devices a training runs on, and the accelerate configurations that `--launch` names.

A configuration is checked for what a training needs: that it starts, and that it leaves a whole model when it ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness import BadData, HarnessError, Training, UnknownName
from harness.runs.config import load_yaml
from harness.settings import nearest

from .settings import get_setting

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
        training: as it is asked for.
        small: whether a CPU will do for the model.

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
    """Read the accelerate configuration behind `--launch`. Raises UnknownName or BadData."""
    path = find_config_file(launch)
    found = load_yaml(path, "an accelerate configuration")
    if not isinstance(found, dict) or "num_processes" not in found:
        raise BadData("an accelerate configuration says num_processes", where=str(path))
    config = cast("dict[str, Any]", found)
    _check_config(config, str(path))
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
    """Whether a configuration spreads a model over GPUs, which a CPU cannot do."""
    return config.get("distributed_type") in ("FSDP", "DEEPSPEED")


def _check_config(config: Mapping[str, Any], where: str) -> None:
    """Raise BadData for a bad count, a section that is no mapping, or weights that would stay spread over devices."""
    for name in ("num_processes", "num_machines"):
        count = config.get(name, 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadData(f"{name}: {count} is not a whole number from 1", where=where)
    for name in ("fsdp_config", "deepspeed_config"):
        if not isinstance(config.get(name) or {}, dict):
            raise BadData(f"{name} is a mapping", where=where)
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
                where=where,
                remedy=f"fsdp_config: {{fsdp_state_dict_type: {_FULL}}}",
            )
    zero = _get_section(config, "deepspeed_config")
    # a file of DeepSpeed's own says itself what is saved
    if zero.get("zero_stage") == 3 and "deepspeed_config_file" not in zero and not zero.get("zero3_save_16bit_model"):
        raise BadData(
            "the weights stay spread over the devices, and no model would be written",
            where=where,
            remedy="deepspeed_config: {zero3_save_16bit_model: true}",
        )


def _get_section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", config.get(name) or {})
